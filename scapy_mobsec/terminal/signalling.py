"""How registrations and data lie inside ESP.

Tunnel mode: a registration is IP / UDP 434 between home address and signalling address, all else
is data (docs/wire-format.md). Other modes offer what `Mode` says; nothing else asks for the mode.
"""

from enum import Enum
from typing import Protocol

from contrib_layers.numbers import MOBILE_IP_PORT
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.ip import UDP, addresses, build_ip, build_udp, parse_ip, parse_udp
from scapy_mobsec.packet.path import Endpoint

IPV4, IPV6, DUMMY = 4, 41, 59
"""Next header values of ESP: IPv4 and IPv6 in tunnel mode, and nothing at all (RFC 4303)."""

_SIGNALLING_PORT = MOBILE_IP_PORT.to_bytes(2, "big")


class Inner(Enum):
    """What an ESP packet turned out to hold."""

    SIGNALLING = "registration message"
    DATA = "data"
    DUMMY = "nothing"


class Mode(Protocol):
    """What inner packets look like on one link, seen from one of its ends."""

    def wrap_message(self, message: bytes) -> tuple[bytes, int]:
        """Return payload and next header of the ESP packet that carries a registration message."""

    def wrap_data(self, packet: bytes) -> tuple[bytes, int]:
        """Return payload and next header for an inner IP packet. Raises Drop(OUTSIDE_POLICY)."""

    def unwrap(self, opened: Opened) -> tuple[Inner, bytes]:
        """Return a registration message or an inner IP packet. Raises Drop."""


class TunnelMode:
    """Inner IP packets as they are (RFC 4303 section 3.1.2).

    The policy of the link: the inner address on the mobile terminal's side is the home address,
    and users' packets do not speak for the signalling address.
    """

    def __init__(self, home: bytes, signalling: bytes, *, at_mobile: bool) -> None:
        self._home = home
        self._at_mobile = at_mobile
        self._from, self._to = (home, signalling) if at_mobile else (signalling, home)
        self._next_header = IPV4 if len(home) == 4 else IPV6

    def wrap_message(self, message: bytes) -> tuple[bytes, int]:
        source, destination = self._from, self._to
        datagram = build_udp(source, destination, MOBILE_IP_PORT, MOBILE_IP_PORT, message)
        return build_ip(source, destination, UDP, datagram), self._next_header

    def wrap_data(self, packet: bytes) -> tuple[bytes, int]:
        source, destination = addresses(packet)
        self._check_home(source if self._at_mobile else destination)
        if (source, destination) == (self._from, self._to) and _is_signalling(packet):
            raise Drop(DropReason.OUTSIDE_POLICY, "registration from outside the terminal")
        return packet, self._next_header

    def unwrap(self, opened: Opened) -> tuple[Inner, bytes]:
        packet, next_header = opened.payload, opened.next_header
        if next_header == DUMMY:
            return Inner.DUMMY, b""
        if next_header not in (IPV4, IPV6):
            raise Drop(DropReason.UNKNOWN_NEXT_HEADER, str(next_header))
        source, destination = addresses(packet)
        self._check_home(destination if self._at_mobile else source)
        if (source, destination) == (self._to, self._from) and _is_signalling(packet):
            datagram = parse_udp(parse_ip(packet), verify=True)
            if datagram.source_port != MOBILE_IP_PORT:
                raise Drop(DropReason.OUTSIDE_POLICY, f"from port {datagram.source_port}")
            return Inner.SIGNALLING, datagram.payload
        return Inner.DATA, packet

    def _check_home(self, address: bytes) -> None:
        if address != self._home:
            raise Drop(DropReason.OUTSIDE_POLICY, f"{Endpoint(address)} is not the home address")


def _is_signalling(packet: bytes) -> bool:
    """Tell whether an inner packet is UDP to port 434."""
    ip = parse_ip(packet)
    return ip.protocol == UDP and not ip.fragment_offset and ip.payload[2:4] == _SIGNALLING_PORT


def if_ipv4(address: bytes) -> bytes:
    """Return what the fixed part of a message has for an address: zeros if it is not IPv4."""
    return address if len(address) == 4 else bytes(4)
