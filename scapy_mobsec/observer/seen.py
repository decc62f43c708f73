"""What the observer tells of each packet of mobile IPsec at once, in the order of the capture."""

from enum import Enum
from typing import NamedTuple

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.observer.associations import ObservedSa
from scapy_mobsec.observer.ike_sa import ObservedIkeSa
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.observer.registrations import Message, Registration
from scapy_mobsec.packet.ip import NO_NEXT_HEADER
from scapy_mobsec.registration.messages import RegistrationRequest


class PacketType(Enum):
    """What a packet is, as far as it could be read."""

    RREQ = "rreq"
    RREP = "rrep"
    DATA = "data"
    DUMMY = "dummy"
    """ESP or AH with next header 59."""
    ENCRYPTED = "encrypted"
    """ESP or AH that no key opens, or whose ICV is wrong: its content is not shown."""
    REPEATED = "repeated"
    """ESP or AH with a number that its SA had before: dropped as a replay, or captured twice."""
    IKE = "ike"
    KEEPALIVE = "keepalive"
    """A NAT keepalive, a single 0xFF."""


_DATA, _DUMMY = PacketType.DATA, PacketType.DUMMY  # a look-up in an Enum is slow


def type_of(opened: Opened, message: Message | None) -> PacketType:
    """What an opened packet is, with the message in it."""
    if message is not None:
        asks = isinstance(message, RegistrationRequest)
        return PacketType.RREQ if asks else PacketType.RREP
    return _DUMMY if opened.next_header == NO_NEXT_HEADER else _DATA


class SeenPacket(NamedTuple):
    """One ESP or AH packet, IKE message or NAT keepalive.

    length: octets of the ESP packet or IKE message, of AH those of the whole IP packet. sequence:
    as the SA counts, with ESN 64 bits; None where no key opens the packet. inner: source and
    destination in the tunnel. registration: that an RREQ or RREP belongs to. move: that it made.
    dropped: why it does not count. ike: the IKE SA of a message that could be read. octets: the
    `length` octets, as captured.
    """

    frame: int
    time_ns: int
    type: PacketType
    outer: Outer
    length: int
    spi: int | None = None
    sequence: int | None = None
    sa: ObservedSa | None = None
    opened: Opened | None = None
    inner: tuple[bytes, bytes] | None = None
    message: Message | None = None
    registration: Registration | None = None
    move: Move | None = None
    dropped: DropReason | None = None
    ike: ObservedIkeSa | None = None
    octets: bytes = b""
