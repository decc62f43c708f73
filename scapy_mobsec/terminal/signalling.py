"""How registrations and data lie inside ESP or AH: what `Mode` says; nothing else asks for it.

The modes are in `modes`: tunnel, transport, and transport with L2TP data messages.
"""

from enum import Enum
from typing import ClassVar, Protocol, runtime_checkable

from contrib_layers.numbers import MOBILE_IP_PORT
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.ip import IpPacket, build_udp, parse_udp

SIGNALLING_PORT = MOBILE_IP_PORT.to_bytes(2, "big")


class Inner(Enum):
    """What an ESP packet turned out to hold."""

    SIGNALLING = "registration message"
    DATA = "data"
    DUMMY = "nothing"


class Mode(Protocol):
    """What inner packets look like on one link, seen from one of its ends."""

    shows_home: ClassVar[bool]
    """Whether an inner header of a registration has X's inner address."""

    def wrap_message(self, message: bytes) -> tuple[bytes, int]:
        """Return payload and next header of the ESP packet that carries a registration message."""

    def wrap_data(self, packet: bytes) -> tuple[bytes, int]:
        """Return payload and next header for an inner IP packet. Raises Drop."""

    def unwrap(self, opened: Opened) -> tuple[Inner, bytes]:
        """Return a registration message or an inner IP packet. Raises Drop."""


@runtime_checkable
class ModeSettings(Protocol):
    """Which mode a link has, with what the two ends must agree on."""

    def make(self, home: bytes, other: bytes, *, at_mobile: bool) -> Mode:
        """Make the mode of one end; `home`, `other`: inner addresses of X and of Y, packed."""


def build_signalling(source: bytes, destination: bytes, message: bytes) -> bytes:
    """Build the UDP datagram that carries a registration message, in every mode."""
    return build_udp(source, destination, MOBILE_IP_PORT, MOBILE_IP_PORT, message)


def is_signalling(udp: bytes) -> bool:
    """Tell whether a UDP datagram goes to the port of registrations."""
    return udp[2:4] == SIGNALLING_PORT


def parse_signalling(packet: IpPacket) -> bytes:
    """Return the registration message of a whole UDP packet. Raises Drop.

    It comes from the port of registrations, too, or another program than a terminal wrote it.
    """
    datagram = parse_udp(packet, verify=True)
    if datagram.source_port != MOBILE_IP_PORT:
        raise Drop(DropReason.OUTSIDE_POLICY, f"from port {datagram.source_port}")
    return datagram.payload


def if_ipv4(address: bytes) -> bytes:
    """Return what the fixed part of a message has for an address: zeros if it is not IPv4."""
    return address if len(address) == 4 else bytes(4)
