"""Tunnel mode: inner IP packets as they are (RFC 4303 section 3.1.2).

A registration is IP / UDP 434 between home address and signalling address; all else is data.
"""

from dataclasses import dataclass
from typing import ClassVar

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.ip import (
    IPV4,
    IPV6,
    NO_NEXT_HEADER,
    UDP,
    IpPacket,
    addresses,
    build_plain_udp,
    parse_ip,
    plain_udp,
)
from scapy_mobsec.packet.path import address_text
from scapy_mobsec.terminal.signalling import (
    SIGNALLING_PORT,
    Inner,
    is_signalling,
    parse_signalling,
)

_SIGNALLING = Inner.SIGNALLING  # members that each packet needs: a look-up in an Enum is slow


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Settings of tunnel mode: there are none."""

    def make(self, home: bytes, other: bytes, *, at_mobile: bool) -> "TunnelMode":
        return TunnelMode(home, other, at_mobile=at_mobile)


class TunnelMode:
    """The policy of the link: the inner address on the mobile terminal's side is the home address,
    and users' packets do not speak for the signalling address.
    """

    shows_home: ClassVar[bool] = True

    __slots__ = ("_at_mobile", "_from", "_home", "_inbound", "_next_header", "_outbound", "_to")

    def __init__(self, home: bytes, signalling: bytes, *, at_mobile: bool) -> None:
        self._home = home
        self._at_mobile = at_mobile
        self._from, self._to = (home, signalling) if at_mobile else (signalling, home)
        self._inbound = self._to + self._from + 2 * SIGNALLING_PORT
        self._outbound = self._from + self._to + 2 * SIGNALLING_PORT
        self._next_header = IPV4 if len(home) == 4 else IPV6

    def wrap_message(self, message: bytes) -> tuple[bytes, int]:
        return build_plain_udp(self._outbound, message), self._next_header

    def wrap_data(self, packet: bytes) -> tuple[bytes, int]:
        source, destination = addresses(packet)
        check_home(source if self._at_mobile else destination, self._home)
        if (source, destination) == (self._from, self._to) and _is_signalling(parse_ip(packet)):
            raise Drop(DropReason.OUTSIDE_POLICY, "registration from outside the terminal")
        return packet, self._next_header

    def unwrap(self, opened: Opened) -> tuple[Inner, bytes]:
        packet, next_header = opened.payload, opened.next_header
        if next_header == self._next_header:
            message = plain_udp(packet, self._inbound)
            if message is not None:
                return _SIGNALLING, message
        if next_header == NO_NEXT_HEADER:
            return Inner.DUMMY, b""
        if next_header not in (IPV4, IPV6):
            raise Drop(DropReason.UNKNOWN_NEXT_HEADER, str(next_header))
        source, destination = addresses(packet)
        check_home(destination if self._at_mobile else source, self._home)
        if (source, destination) == (self._to, self._from):
            ip = parse_ip(packet)
            if _is_signalling(ip):
                return Inner.SIGNALLING, parse_signalling(ip)
        return Inner.DATA, packet


def check_home(address: bytes, home: bytes) -> None:
    """Raise Drop(OUTSIDE_POLICY) unless an inner address is the home address."""
    if address != home:
        raise Drop(DropReason.OUTSIDE_POLICY, f"{address_text(address)} is not the home address")


def _is_signalling(ip: IpPacket) -> bool:
    """Tell whether an inner packet is UDP to port 434."""
    return ip.protocol == UDP and not ip.fragment_offset and is_signalling(ip.payload)
