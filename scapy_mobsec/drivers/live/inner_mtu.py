"""Inner packets that fit: TCP segments are kept short, longer packets are answered (rule 13).

A tunnel device tells its MTU to hosts that send into it, but not to those beyond the other
terminal; TCP there is told by the MSS of SYN segments. Packets that are too long all the same were
on their way while the MTU fell, or the device's own MTU could not follow.
"""

from struct import Struct

from scapy_mobsec.drops import Drop
from scapy_mobsec.packet.icmp import packet_too_big
from scapy_mobsec.packet.ip import TCP, internet_checksum, parse_ip
from scapy_mobsec.packet.tcp import TcpFlag

SMALLEST_IPV6_MTU = 1280
"""Octets that every host may send over IPv6 (RFC 8200 section 5). No host is told of less."""

_IPV4_HEADER, _IPV6_HEADER, _TCP_HEADER = 20, 40, 20
_IPV4 = Struct("!BBHHHBBH8s")
_END_OF_OPTIONS, _NO_OPERATION, _MSS, _MSS_LENGTH = 0, 1, 2, 4
_SYN = int(TcpFlag.SYN)
_DONT_FRAGMENT, _MORE_FRAGMENTS, _OFFSET = 0x4000, 0x2000, 0x1FFF


def fit(packet: bytes, mtu: int) -> tuple[list[bytes], bytes | None]:
    """Return the packets that go in place of one into the tunnel, and what its sender is told.

    IPv4 without DF is fragmented: its sender would not heed an answer. IPv6 up to 1280 octets
    passes as it is, for no host sends less; outside, it is fragmented.
    """
    if len(packet) <= mtu:
        return [clamp_mss(packet, mtu)], None
    if packet[0] >> 4 == 4:
        fragments = fragment_ipv4(packet, mtu)
        return fragments, None if fragments else packet_too_big(packet, mtu)
    if len(packet) <= SMALLEST_IPV6_MTU:
        return [clamp_mss(packet, mtu)], None
    return [], packet_too_big(packet, max(mtu, SMALLEST_IPV6_MTU))


def clamp_mss(packet: bytes, mtu: int) -> bytes:
    """Return a packet, whose MSS option is lowered if it is a TCP SYN with one that is too high.

    The MSS is what is left of the MTU by IP and TCP headers without options (RFC 6691 section 2).
    """
    syn = _syn_at(packet)
    option = _mss_at(packet, syn) if syn else None
    if not syn or not option:
        return packet
    headers = (_IPV4_HEADER if packet[0] >> 4 == 4 else _IPV6_HEADER) + _TCP_HEADER
    mss = max(mtu - headers, 0).to_bytes(2)
    old = packet[option : option + 2]
    if old <= mss:
        return packet
    clamped = bytearray(packet)
    clamped[option : option + 2] = mss
    checksum = packet[syn + 16 : syn + 18]
    swapped = -1 if (option - syn) & 1 else 1  # a word across two words of the sum
    clamped[syn + 16 : syn + 18] = updated_checksum(checksum, old[::swapped], mss[::swapped])
    return bytes(clamped)


def updated_checksum(checksum: bytes, old: bytes, new: bytes) -> bytes:
    """Return the checksum after a word of what it covers changed (RFC 1624 section 3, eqn. 3)."""
    total = sum(0xFFFF - int.from_bytes(each) for each in (checksum, old)) + int.from_bytes(new)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (0xFFFF - total).to_bytes(2)


def _syn_at(packet: bytes) -> int | None:
    """Return where the TCP header of a SYN begins, None in any other packet."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) > _IPV4_HEADER:
        if packet[9] != TCP or int.from_bytes(packet[6:8]) & _OFFSET:
            return None
        at = (packet[0] & 0x0F) * 4
    elif version == 6 and len(packet) > _IPV6_HEADER:
        at = _IPV6_HEADER if packet[6] == TCP else _behind_extension_headers(packet)
    else:
        return None
    is_syn = _IPV4_HEADER <= at <= len(packet) - _TCP_HEADER and packet[at + 13] & _SYN
    return at if is_syn else None


def _behind_extension_headers(packet: bytes) -> int:
    """Return where TCP begins behind IPv6 extension headers, 0 if it does not."""
    try:
        ip = parse_ip(packet)
    except Drop:
        return 0
    if ip.protocol != TCP or ip.fragment_offset:
        return 0
    return _IPV6_HEADER + int.from_bytes(packet[4:6]) - len(ip.payload)


def _mss_at(packet: bytes, tcp: int) -> int | None:
    """Return where the value of the MSS option is (RFC 9293 section 3.2), None without it."""
    at = tcp + _TCP_HEADER
    end = min(tcp + (packet[tcp + 12] >> 4) * 4, len(packet))
    while at + 1 < end and packet[at] != _END_OF_OPTIONS:
        kind, length = packet[at], packet[at + 1]
        if kind == _NO_OPERATION:
            at += 1
        elif kind == _MSS and length == _MSS_LENGTH and at + length <= end:
            return at + 2
        elif length < 2:
            return None
        else:
            at += length
    return None


def fragment_ipv4(packet: bytes, mtu: int) -> list[bytes]:
    """Return the fragments of an IPv4 packet, none longer than `mtu` (RFC 791 section 3.2).

    None at all with DF, where there are IPv4 options, and where nothing fits beside the header.
    """
    if len(packet) < _IPV4_HEADER:
        return []
    first, tos, length, identification, flags, ttl, protocol, _, ends = _IPV4.unpack_from(packet)
    step = (mtu - _IPV4_HEADER) // 8
    if first != 0x45 or flags & _DONT_FRAGMENT or length > len(packet) or step < 1:
        return []
    payload = packet[_IPV4_HEADER:length]
    begin, fragments = flags & _OFFSET, []
    for at in range(0, len(payload), step * 8):
        part = payload[at : at + step * 8]
        more = at + len(part) < len(payload) or flags & _MORE_FRAGMENTS
        offset = begin + at // 8 | (_MORE_FRAGMENTS if more else 0)
        fields = (first, tos, _IPV4_HEADER + len(part), identification, offset, ttl, protocol)
        checksum = internet_checksum(_IPV4.pack(*fields, 0, ends))
        fragments.append(_IPV4.pack(*fields, checksum, ends) + part)
    return fragments


class TokenBucket:
    """So many at once, then so many a second (RFC 4443 section 2.4 (f))."""

    def __init__(self, most: int, per_second: float) -> None:
        self._most, self._per_second = most, per_second
        self._left, self._since = float(most), 0.0

    def take(self, now: float) -> bool:
        """Tell whether there is another one."""
        gained = max(now - self._since, 0.0) * self._per_second
        self._left, self._since = min(self._left + gained, self._most), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
