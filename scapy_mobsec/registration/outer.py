"""The headers outside: the description of an ESP packet on a path, and the carrier it shows."""

from collections.abc import Mapping

from contrib_layers.numbers import HeaderType
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import (
    AhHeader,
    Description,
    EspHeader,
    HeaderDescriptor,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    UdpHeader,
    ip_udp_esp,
)

_CARRIERS: Mapping[tuple[int, ...], Encapsulation] = {
    (): Encapsulation.NATIVE,
    (HeaderType.UDP,): Encapsulation.UDP,
    (HeaderType.TCP,): Encapsulation.TCP,
    (HeaderType.TCP, HeaderType.TLS): Encapsulation.TLS,
}
_USUAL: Mapping[tuple[type, ...], Encapsulation] = {
    (ip, *between, EspHeader): carrier
    for ip in (Ipv4Header, Ipv6Header)
    for between, carrier in {
        (): Encapsulation.NATIVE,
        (UdpHeader,): Encapsulation.UDP,
        (TcpHeader,): Encapsulation.TCP,
    }.items()
}
_HTTP_KINDS = (
    (HeaderType.TCP, HeaderType.HTTP),
    (HeaderType.TCP, HeaderType.TLS, HeaderType.HTTP),
)
_CONNECT, _POST = "CONNECT", "POST"


def describe(
    encapsulation: Encapsulation,
    source: Endpoint,
    destination: Endpoint,
    spi: int,
    headers: Description = (),
) -> Description:
    """Return the headers of an ESP packet, outermost first.

    `headers`: of a stream, what lies between TCP and ESP (TLS, HTTP).
    """
    if encapsulation is Encapsulation.UDP:
        return ip_udp_esp(*source, *destination, spi)
    ip, esp = _ip_header(source, destination), EspHeader(spi)
    if encapsulation is Encapsulation.NATIVE:
        return (ip, esp)
    return (ip, TcpHeader(source.port, destination.port), *headers, esp)


def describe_ah(source: Endpoint, destination: Endpoint, spi: int) -> Description:
    """Return the headers of an AH packet: AH goes in no other encapsulation."""
    return (_ip_header(source, destination), AhHeader(spi))


def _ip_header(source: Endpoint, destination: Endpoint) -> Ipv4Header | Ipv6Header:
    header = Ipv4Header if len(source.address) == 4 else Ipv6Header
    return header(source.address, destination.address)


def is_connect(header: HeaderDescriptor) -> bool:
    """Tell whether a header is what asks a forward proxy for a tunnel."""
    return isinstance(header, HttpHeader) and header.method == _CONNECT


def carrier_of(description: Description) -> Encapsulation | None:
    """Return the encapsulation that a description shows, whatever its IP family (NAT64).

    None where it does not begin with IP and end with ESP. The CONNECT to a forward proxy is no
    carrier; TLS may lie around HTTP.
    """
    usual = _USUAL.get(tuple(map(type, description)))
    if usual:
        return usual
    if len(description) < 2 or not (
        isinstance(description[0], Ipv4Header | Ipv6Header)
        and isinstance(description[-1], EspHeader)
    ):
        return None
    kinds = tuple([header.type for header in description[1:-1] if not is_connect(header)])
    carrier = _CARRIERS.get(kinds)
    if carrier is None and kinds in _HTTP_KINDS:
        http = description[-2]
        posts = isinstance(http, HttpHeader) and http.method == _POST
        return Encapsulation.HTTP_POST if posts else Encapsulation.HTTP
    return carrier
