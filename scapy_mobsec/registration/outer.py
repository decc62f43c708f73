"""The headers outside: the description of an ESP packet on a path, and the carrier it shows."""

from collections.abc import Mapping

from contrib_layers.numbers import HeaderType
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import (
    Description,
    EspHeader,
    Ipv4Header,
    Ipv6Header,
    UdpHeader,
)

_CARRIERS: Mapping[tuple[int, ...], Encapsulation] = {
    (): Encapsulation.NATIVE,
    (HeaderType.UDP,): Encapsulation.UDP,
    (HeaderType.TCP,): Encapsulation.TCP,
    (HeaderType.TCP, HeaderType.TLS): Encapsulation.TLS,
}


def describe(
    encapsulation: Encapsulation, source: Endpoint, destination: Endpoint, spi: int
) -> Description:
    """Return the headers of an ESP packet, outermost first. Raises Drop(UNKNOWN_CARRIER)."""
    header = Ipv4Header if len(source.address) == 4 else Ipv6Header
    ip, esp = header(source.address, destination.address), EspHeader(spi)
    if encapsulation is Encapsulation.NATIVE:
        return (ip, esp)
    if encapsulation is Encapsulation.UDP:
        return (ip, UdpHeader(source.port, destination.port), esp)
    raise Drop(DropReason.UNKNOWN_CARRIER, encapsulation.value)


def carrier_of(description: Description) -> Encapsulation | None:
    """Return the encapsulation that a description shows, whatever its IP family (NAT64)."""
    return _CARRIERS.get(tuple(int(header.type) for header in description[1:-1]))
