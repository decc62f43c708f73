"""ICMP (RFC 792) and ICMPv6 (RFC 4443) on octets: echo, and "packet too big"."""

from struct import Struct

from scapy_mobsec.drops import Drop
from scapy_mobsec.packet.ip import ICMP, ICMPV6, IpPacket, build_ip, internet_checksum, parse_ip

_ECHO_REQUEST, _ECHO_REPLY = {ICMP: 8, ICMPV6: 128}, {ICMP: 0, ICMPV6: 129}
_UNREACHABLE, _FRAGMENTATION_NEEDED, _PACKET_TOO_BIG = 3, 4, 2

_ERRORS = frozenset({3, 4, 5, 11, 12})
"""ICMP messages that are no queries (RFC 1122 section 3.2.2); of ICMPv6, those below 128."""

_LONGEST_ERROR = {ICMP: 576, ICMPV6: 1280}
"""Octets of a packet with an error (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c))."""

_PSEUDO = Struct("!II")


def echo_request(source: bytes, destination: bytes, number: int) -> bytes:
    """Build an IP packet with an echo request that has 48 octets of data."""
    rest = b"".join((b"\x12\x34", number.to_bytes(2), bytes(range(48))))
    return _build(source, destination, _ECHO_REQUEST[_protocol(source)], 0, rest)


def echo_reply(packet: bytes) -> bytes | None:
    """Return what a host answers to a whole and right echo request, None to any other packet.

    Raises Drop as `parse_ip` does.
    """
    ip = parse_ip(packet)
    protocol, message = _protocol(ip.source), ip.payload
    if ip.protocol != protocol or ip.is_fragment or len(message) < 8:
        return None
    if message[0] != _ECHO_REQUEST[protocol] or message[1]:
        return None
    if _checksum(ip.source, ip.destination, message):
        return None
    return _build(ip.destination, ip.source, _ECHO_REPLY[protocol], 0, message[4:])


def packet_too_big(packet: bytes, mtu: int) -> bytes | None:
    """Return what the sender of an IP packet is told that is longer than `mtu` octets.

    It seems to come from the packet's destination, which the sender's checks of addresses let pass.
    None where nothing may be answered (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)): to what
    is no IP packet, to errors, to all fragments but the first, and to groups, whose address must
    not be a source.
    """
    try:
        ip = parse_ip(packet)
    except Drop:
        return None
    protocol = _protocol(ip.source)
    if (
        ip.fragment_offset
        or _is_error(ip)
        or not (_is_host(ip.source) and _is_host(ip.destination))
    ):
        return None
    kind = _UNREACHABLE if protocol == ICMP else _PACKET_TOO_BIG
    code = _FRAGMENTATION_NEEDED if protocol == ICMP else 0
    headers = (20 if protocol == ICMP else 40) + 8
    rest = mtu.to_bytes(4) + packet[: _LONGEST_ERROR[protocol] - headers]
    return _build(ip.destination, ip.source, kind, code, rest)


def _is_error(ip: IpPacket) -> bool:
    kind = ip.payload[0] if ip.payload else 0
    if ip.protocol == ICMP:
        return kind in _ERRORS
    return ip.protocol == ICMPV6 and kind < 128


def _is_host(address: bytes) -> bool:
    """Tell whether an address is neither unspecified nor that of a group or of all hosts."""
    group = 0xE0 if len(address) == 4 else 0xFF
    return any(address) and address[0] < group


def _protocol(address: bytes) -> int:
    return ICMP if len(address) == 4 else ICMPV6


def _build(source: bytes, destination: bytes, kind: int, code: int, rest: bytes) -> bytes:
    head = bytes((kind, code))
    checksum = _checksum(source, destination, head + bytes(2) + rest)
    message = b"".join((head, checksum.to_bytes(2), rest))
    return build_ip(source, destination, _protocol(source), message)


def _checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """Compute the checksum of a message; that of ICMPv6 covers a pseudo-header, too (RFC 4443
    section 2.3).
    """
    if len(source) == 4:
        return internet_checksum(message)
    pseudo = _PSEUDO.pack(len(message), ICMPV6)
    return internet_checksum(b"".join((source, destination, pseudo, message)))
