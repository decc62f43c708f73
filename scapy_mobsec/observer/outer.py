"""What the outside of a datagram says: encapsulation, endpoints, and ESP, IKE or keepalive within.

ESP is recognised as IP protocol 50, in UDP on port 4500 (RFC 3948), and in UDP on any other port
where a known SPI shows or where ESP was authenticated before between the same two endpoints.
"""

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeAlias

from contrib_layers.numbers import IKE_PORT, NATT_PORT
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.udp import Content, unwrap
from scapy_mobsec.esp.ah import content_of
from scapy_mobsec.packet.ip import ESP, UDP, IpPacket, build_ip, parse_udp
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import Description
from scapy_mobsec.registration.outer import describe, describe_ah

ESP_HEADER_LENGTH = 8
IKE_HEADER_LENGTH = 28
MAX_OUTERS = 4096
"""Outer headers that are remembered."""

_IN_UDP, _NATIVE, _ESP, _IKE = Encapsulation.UDP, Encapsulation.NATIVE, Content.ESP, Content.IKE

OuterPair: TypeAlias = tuple[Encapsulation, bool, frozenset[tuple[bytes, int]]]


class _OuterFields(NamedTuple):
    encapsulation: Encapsulation
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    ah: bool = False


class Outer(_OuterFields):
    """Outer headers of one packet, in the direction it went. A tuple, as tables are asked by it.

    `ah`: native carries AH instead of ESP.
    """

    def __str__(self) -> str:
        return f"{self.carrier} {self.source_endpoint} > {self.destination_endpoint}"

    @property
    def carrier(self) -> str:
        """The encapsulation in one word, or `ah`."""
        return "ah" if self.ah else self.encapsulation.value

    @property
    def source_endpoint(self) -> Endpoint:
        return Endpoint(self.source, self.source_port)

    @property
    def destination_endpoint(self) -> Endpoint:
        return Endpoint(self.destination, self.destination_port)

    @cached_property
    def pair(self) -> OuterPair:
        """Both endpoints without direction, and what carries between them."""
        ends = (self.source, self.source_port), (self.destination, self.destination_port)
        return self.encapsulation, self.ah, frozenset(ends)

    def reversed(self) -> "Outer":
        """The same path in the other direction."""
        return self._reversed

    @cached_property
    def _reversed(self) -> "Outer":
        return Outer(
            self.encapsulation,
            self.destination,
            self.destination_port,
            self.source,
            self.source_port,
            self.ah,
        )

    def native(self, *, ah: bool) -> "Outer":
        """The path of ESP or AH without encapsulation between the same two addresses."""
        return Outer(Encapsulation.NATIVE, self.source, 0, self.destination, 0, ah)

    def description(self, spi: int, headers: Description = ()) -> Description:
        """The header descriptors that a terminal would report for this packet.

        headers: what lies between TCP and ESP.
        """
        source, destination = self.source_endpoint, self.destination_endpoint
        if self.ah:
            return describe_ah(source, destination, spi)
        return describe(self.encapsulation, source, destination, spi, headers)


outer_of = lru_cache(MAX_OUTERS)(Outer)
"""The same headers as the last time are the same object, which knows its pair already."""


class Carried(NamedTuple):
    """The content of one packet and where it was carried. headers: between TCP and ESP.

    Of AH, which covers the addresses, `octets` are the whole IP packet.
    """

    content: Content
    octets: bytes
    outer: Outer
    headers: Description = ()

    def checked(self) -> "Carried":
        """Return it. Raises Drop(MALFORMED_IKE) for IKE without a whole header."""
        if self.content is _IKE and len(self.octets) < IKE_HEADER_LENGTH:
            raise Drop(DropReason.MALFORMED_IKE, f"{len(self.octets)} octets are no IKE header")
        return self


def carried_by_ah(ip: IpPacket, octets: bytes | None) -> Carried:
    """What a packet with AH carries. `octets`: of the whole IP packet; None: it came in fragments.

    Their header is made anew, as it was before unless it had options or IPv6 extension headers
    (RFC 4302 section 3.4.1 joins fragments first, and what they changed of it is mutable).
    What the link layer put behind the packet is cut off.
    """
    if octets is None:
        octets = build_ip(*ip[:4], identification=ip.identification)
    outer = Outer(Encapsulation.NATIVE, ip.source, 0, ip.destination, 0, ah=True)
    before, length_at = (0, 2) if len(ip.source) == 4 else (40, 4)
    end = before + int.from_bytes(octets[length_at : length_at + 2])
    return Carried(Content.ESP, octets[:end], outer)


def esp_behind_ah(carried: Carried) -> Carried | None:
    """Return the ESP packet right behind AH, as if native; None if something else is. Raises Drop.

    So sends who has an SA of each for a packet (transport adjacency, RFC 2401 section 4.3).
    """
    next_header, payload = content_of(carried.octets)
    if next_header != ESP:
        return None
    return Carried(_ESP, payload, carried.outer.native(ah=False))


def classify(
    ip: IpPacket,
    knows_spi: Callable[[int], bool],
    knows_flow: Callable[[Outer], bool],
) -> Carried | None:
    """Find ESP, IKE or a NAT keepalive in a whole IP packet; None if it carries neither.

    Raises Drop where a packet must be one of them but is malformed.
    """
    if ip.protocol == ESP:
        outer = outer_of(_NATIVE, ip.source, 0, ip.destination, 0)
        return Carried(_ESP, ip.payload, outer)
    if ip.protocol != UDP:
        return None
    udp = parse_udp(ip)
    outer = outer_of(_IN_UDP, ip.source, udp.source_port, ip.destination, udp.destination_port)
    ports = (udp.source_port, udp.destination_port)
    if NATT_PORT in ports or knows_flow(outer):
        return _natt_content(udp.payload, outer)
    if len(udp.payload) >= ESP_HEADER_LENGTH and knows_spi(int.from_bytes(udp.payload[:4], "big")):
        return Carried(Content.ESP, udp.payload, outer)
    if IKE_PORT in ports:
        return Carried(Content.IKE, udp.payload, outer).checked()
    return None


def _natt_content(payload: bytes, outer: Outer) -> Carried:
    content, message = unwrap(payload)
    return Carried(content, message, outer).checked()
