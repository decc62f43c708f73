"""Transport mode with L2TP data messages inside: hosts behind the other terminal are reached.

    ESP( UDP 1701 -> 1701 | L2TP | PPP | inner IP packet )     registrations as in transport mode

L2TP: data messages only (RFC 2661 section 3.1), with static tunnel and session ids: no control
connection, and no PPP negotiation, so PPP frames are as RFC 1661 has them before any: address and
control field (FF 03) and a protocol of 2 octets. A peer that compresses both is understood.
Written without the optional L2TP fields; read with all of them. ESP refuses replays, so sequence
numbers of L2TP are not looked at. The policy is that of tunnel mode, and nothing but L2TP and
registrations passes the SA (RFC 3193 section 4).
"""

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.ip import MAX_LENGTH, UDP, addresses, build_udp, parse_ip, parse_udp
from scapy_mobsec.terminal.modes.transport import ForeignChecksums, TransportMode
from scapy_mobsec.terminal.modes.tunnel import check_home
from scapy_mobsec.terminal.signalling import Inner

L2TP_PORT = 1701

_CONTROL, _LENGTH, _SEQUENCE, _OFFSET, _VERSION = 0x8000, 0x4000, 0x0800, 0x0200, 0x000F
_L2TP_VERSION = 2
_DATA, _IDS = Struct(">HHH"), Struct(">HH")
_PPP_ADDRESS_CONTROL = b"\xff\x03"
_PPP_IPV4, _PPP_IPV6 = 0x0021, 0x0057
_OVERHEAD = 28 + _DATA.size + 4  # IPv4, UDP, L2TP, PPP; IPv6 does not count its own header


@dataclass(frozen=True, slots=True)
class L2tp:
    """Settings of L2TP. Each end writes the ids that the other one reads (RFC 2661 section 3.1).

    `tunnel`, `session`: ids towards the other terminal; `mobile_tunnel`, `mobile_session`: towards
    the mobile terminal, None for the same ones. `foreign`: as in transport mode.
    """

    tunnel: int
    session: int
    mobile_tunnel: int | None = None
    mobile_session: int | None = None
    foreign: ForeignChecksums | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for an id that no data message carries."""
        for number in (*self.to_other, *self.to_mobile):
            if not 0 < number <= 0xFFFF:
                raise ValueError(f"L2TP id {number} is not in 1..65535")

    @property
    def to_other(self) -> tuple[int, int]:
        """Tunnel and session id of messages to the other terminal."""
        return self.tunnel, self.session

    @property
    def to_mobile(self) -> tuple[int, int]:
        """Tunnel and session id of messages to the mobile terminal."""
        tunnel, session = self.mobile_tunnel, self.mobile_session
        return (
            self.tunnel if tunnel is None else tunnel,
            self.session if session is None else session,
        )

    def make(self, home: bytes, other: bytes, *, at_mobile: bool) -> "L2tpMode":
        return L2tpMode(home, other, self, at_mobile=at_mobile)


class L2tpMode:
    """L2TP in transport mode, seen from one end. The home address is X's inner address in both."""

    shows_home: ClassVar[bool] = False

    def __init__(self, home: bytes, other: bytes, settings: L2tp, *, at_mobile: bool) -> None:
        """Raises ValueError as `TransportMode` does."""
        foreign = settings.foreign
        self._transport = TransportMode(home, other, at_mobile=at_mobile, foreign=foreign)
        self._home, self._at_mobile = home, at_mobile
        self._from, self._to = (home, other) if at_mobile else (other, home)
        ids = settings.to_other, settings.to_mobile
        self._written, self._read = ids if at_mobile else ids[::-1]

    def wrap_message(self, message: bytes) -> tuple[bytes, int]:
        return self._transport.wrap_message(message)

    def wrap_data(self, packet: bytes) -> tuple[bytes, int]:
        source, destination = addresses(packet)
        check_home(source if self._at_mobile else destination, self._home)
        if len(packet) > MAX_LENGTH - _OVERHEAD:
            raise Drop(DropReason.NOT_CARRIED, f"packet of {len(packet)} octets")
        message = build_l2tp(*self._written, packet)
        datagram = build_udp(self._from, self._to, L2TP_PORT, L2TP_PORT, message)
        return self._transport.wrap_payload(datagram, UDP)

    def unwrap(self, opened: Opened) -> tuple[Inner, bytes]:
        inner, octets = self._transport.unwrap(opened)
        if inner is not Inner.DATA:
            return inner, octets
        ip = parse_ip(octets)
        if ip.protocol != UDP:
            raise Drop(DropReason.OUTSIDE_POLICY, f"protocol {ip.protocol} beside L2TP")
        datagram = parse_udp(ip, verify=True)
        if datagram.destination_port != L2TP_PORT:
            port = datagram.destination_port
            raise Drop(DropReason.OUTSIDE_POLICY, f"UDP port {port} beside L2TP")
        tunnel, session, packet = parse_l2tp(datagram.payload)
        if (tunnel, session) != self._read:
            raise Drop(DropReason.WRONG_SESSION, f"tunnel {tunnel}, session {session}")
        source, destination = addresses(packet)
        check_home(destination if self._at_mobile else source, self._home)
        return Inner.DATA, packet


def build_l2tp(tunnel: int, session: int, packet: bytes) -> bytes:
    """Build the data message that carries an IP packet in a PPP frame."""
    protocol = _PPP_IPV4 if packet[0] >> 4 == 4 else _PPP_IPV6
    head = _DATA.pack(_L2TP_VERSION, tunnel, session)
    return b"".join((head, _PPP_ADDRESS_CONTROL, protocol.to_bytes(2), packet))


def parse_l2tp(message: bytes) -> tuple[int, int, bytes]:
    """Return tunnel id, session id and the IP packet of a data message.

    Raises Drop: MALFORMED_L2TP, NOT_CARRIED (a control message, or a PPP frame without IP).
    """
    flags = int.from_bytes(message[:2])
    if len(message) < 2 or flags & _VERSION != _L2TP_VERSION:
        raise Drop(DropReason.MALFORMED_L2TP, "not of version 2")
    if flags & _CONTROL:
        raise Drop(DropReason.NOT_CARRIED, "L2TP control message")
    ids = 4 if flags & _LENGTH else 2
    position = ids + 4 + (4 if flags & _SEQUENCE else 0)
    end = len(message)
    if flags & _LENGTH:
        end = int.from_bytes(message[2:4])
    if flags & _OFFSET:
        position += 2 + int.from_bytes(message[position : position + 2])
    if not position <= end <= len(message):
        raise Drop(DropReason.MALFORMED_L2TP, f"{len(message)} octets")
    tunnel, session = _IDS.unpack_from(message, ids)
    return tunnel, session, _parse_ppp(message[position:end])


def _parse_ppp(frame: bytes) -> bytes:
    """Return the IP packet of a PPP frame, compressed or not (RFC 1661 sections 6.5 and 6.6).

    The first octet of a protocol is even, the last one odd; that tells how many there are.
    """
    frame = frame.removeprefix(_PPP_ADDRESS_CONTROL)
    length = 1 if frame and frame[0] & 1 else 2
    protocol = int.from_bytes(frame[:length])
    if len(frame) < length or protocol not in (_PPP_IPV4, _PPP_IPV6):
        raise Drop(DropReason.NOT_CARRIED, f"PPP protocol 0x{protocol:04x}")
    return frame[length:]
