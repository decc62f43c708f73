"""IPv4, IPv6 and UDP on bytes: parse with named drops, build with real checksums.

IPv4: RFC 791. The header checksum is not checked: a capture on the sending host shows the packet
before the network card filled it in. For the same reason a total length of zero (segmentation
offload) means "the octets there are". IPv6: RFC 8200, extension headers walked. UDP: RFC 768.
"""

import struct
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.recent import recent

ICMP, IPV4, TCP, UDP, IPV6, ESP, AH, ICMPV6, NO_NEXT_HEADER = 1, 4, 6, 17, 41, 50, 51, 58, 59
"""Protocol numbers, next headers of ESP and AH, too: IPV4 and IPV6 in tunnel mode."""

MAX_LENGTH = 0xFFFF
"""Octets of the longest IPv4 packet, and of the longest IPv6 payload (no jumbograms)."""

MAX_PLAIN = 2048
"""Octets of the longest packet that is plain: what is remembered of it is short."""

MAX_SUMS = 256
"""Ends of plain packets whose checksums are remembered."""

_REST_AT_4, _REST_AT_6 = 140, 152
"""Where in a plain packet what may differ each time is over: the rest is padding."""

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_IPV4_HEAD = struct.Struct("!BBHHHBB")  # as far as the checksum
_UDP = struct.Struct("!HHHH")
_PSEUDO = struct.Struct("!HH")
_PLAIN_IPV4_UDP = struct.Struct("!BxHxxHxBxx12sHH").unpack_from
_PLAIN_IPV6_UDP = struct.Struct("!BxxxHBx36sHH").unpack_from
_BUILD_IPV4_UDP = struct.Struct("!BBHHHBBH12sHH").pack
_BUILD_IPV6_UDP = struct.Struct("!IHBB36sHH").pack

_from_bytes = int.from_bytes

_DONT_FRAGMENT = 0x4000
_MORE_FRAGMENTS = 0x2000
_UNFRAGMENTED = (0, _DONT_FRAGMENT)
_PLAIN_IPV4_SUM = 0x4500 + _DONT_FRAGMENT + (64 << 8 | UDP)
"""Of the words of a plain IPv4 header, without length and addresses."""

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION_OPTIONS = 0, 43, 44, 60
_OPTION_HEADERS = frozenset({_HOP_BY_HOP, _ROUTING, _DESTINATION_OPTIONS})
_SIGNALLING_HEADERS = frozenset({135, 139, 140})
"""Mobility (RFC 6275), HIP (RFC 7401), Shim6 (RFC 5533): of the same form, and most often last."""
_MAX_EXTENSION_HEADERS = 8


class IpPacket(NamedTuple):
    """One IP packet or fragment; the family is the length of the addresses (4 or 16 octets)."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    hop_limit: int = 64
    identification: int = 0
    fragment_offset: int = 0
    """Octets, not units of 8."""
    more_fragments: bool = False

    @property
    def is_fragment(self) -> bool:
        """Whether the payload is only a part of what was sent."""
        return self.more_fragments or self.fragment_offset > 0


class UdpDatagram(NamedTuple):
    """One UDP datagram."""

    source_port: int
    destination_port: int
    payload: bytes


def internet_checksum(data: bytes) -> int:
    """Compute the checksum of RFC 1071: the complement of the ones' complement sum of 16-bit words.

    2**16 is 1 modulo 2**16 - 1, so the sum is the remainder of the whole as one large number.
    """
    number = _number(data)
    # A sum of zero and one of 0xFFFF have the same remainder; only all-zero octets sum up to zero.
    return -number % 0xFFFF if number else 0xFFFF


def _number(data: bytes) -> int:
    """Return whole words as one number, which may be added to others and summed up with them."""
    number = _from_bytes(data)
    return number << 8 if len(data) & 1 else number


def parse_ip(data: bytes) -> IpPacket:
    """Parse an IPv4 or IPv6 packet; octets after its end (link padding) are cut off.

    Raises Drop: TRUNCATED, MALFORMED_IP.
    """
    if not data:
        raise Drop(DropReason.TRUNCATED, "no IP header")
    version = data[0] >> 4
    if version == 4:
        return _parse_ipv4(data)
    if version == 6:
        return _parse_ipv6(data)
    raise Drop(DropReason.MALFORMED_IP, f"version {version}")


def addresses(packet: bytes) -> tuple[bytes, bytes]:
    """Return source and destination of an IP packet, without a look at the rest.

    Raises Drop(MALFORMED_IP).
    """
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= _IPV4.size:
        return packet[12:16], packet[16:20]
    if version == 6 and len(packet) >= _IPV6.size:
        return packet[8:24], packet[24:40]
    raise Drop(DropReason.MALFORMED_IP, f"no header in {len(packet)} octets")


def _parse_ipv4(data: bytes) -> IpPacket:
    if len(data) < _IPV4.size:
        raise Drop(DropReason.TRUNCATED, "IPv4 header")
    (version_length, _, total_length, identification, fragment, hop_limit, protocol, _, source,
     destination) = _IPV4.unpack_from(data)  # fmt: skip
    header_length = (version_length & 0x0F) * 4
    end = total_length or len(data)
    if header_length < _IPV4.size or end < header_length:
        raise Drop(DropReason.MALFORMED_IP, f"header length {header_length}, total length {end}")
    if end > len(data):
        raise Drop(DropReason.TRUNCATED, f"{len(data)} of {end} octets")
    return IpPacket(
        source,
        destination,
        protocol,
        data[header_length:end],
        hop_limit,
        identification,
        (fragment & 0x1FFF) * 8,
        bool(fragment & _MORE_FRAGMENTS),
    )


def _parse_ipv6(data: bytes) -> IpPacket:
    if len(data) < _IPV6.size:
        raise Drop(DropReason.TRUNCATED, "IPv6 header")
    _, payload_length, protocol, hop_limit, source, destination = _IPV6.unpack_from(data)
    is_known = payload_length or protocol == NO_NEXT_HEADER
    end = _IPV6.size + payload_length if is_known else len(data)
    if end > len(data):
        raise Drop(DropReason.TRUNCATED, f"{len(data)} of {end} octets")
    protocol, payload = _walk(protocol, data[_IPV6.size : end])
    if protocol != _FRAGMENT:
        return IpPacket(source, destination, protocol, payload, hop_limit)
    if len(payload) < 8:
        raise Drop(DropReason.MALFORMED_IP, "IPv6 fragment header")
    protocol, _, fragment, identification = struct.unpack_from("!BBHI", payload)
    offset, more = fragment & 0xFFF8, bool(fragment & 1)
    payload = payload[8:]
    if not offset and not more:  # RFC 6946: an atomic fragment is the whole packet
        protocol, payload = upper_layer(protocol, payload)
    return IpPacket(source, destination, protocol, payload, hop_limit, identification, offset, more)


def upper_layer(protocol: int, payload: bytes) -> tuple[int, bytes]:
    """Step over the IPv6 extension headers of a whole packet: the protocol, and its octets.

    Raises Drop(MALFORMED_IP), also for a fragment header: none may be inside another's part.
    """
    protocol, payload = _walk(protocol, payload)
    if protocol == _FRAGMENT:
        raise Drop(DropReason.MALFORMED_IP, "second IPv6 fragment header")
    return protocol, payload


def _walk(protocol: int, payload: bytes) -> tuple[int, bytes]:
    """Step over hop-by-hop, routing and destination options headers (RFC 8200 section 4).

    Over those of signalling, too, where something follows; otherwise they are what the packet is.
    """
    position = 0
    for _ in range(_MAX_EXTENSION_HEADERS + 1):
        if protocol not in _OPTION_HEADERS and not (
            protocol in _SIGNALLING_HEADERS and _is_followed(payload, position)
        ):
            return protocol, payload[position:]
        end = position + 8
        if end <= len(payload):
            end += payload[position + 1] * 8
        if end > len(payload):
            raise Drop(DropReason.MALFORMED_IP, "IPv6 extension header")
        protocol, position = payload[position], end
    raise Drop(
        DropReason.MALFORMED_IP, f"more than {_MAX_EXTENSION_HEADERS} IPv6 extension headers"
    )


def _is_followed(payload: bytes, position: int) -> bool:
    return position < len(payload) and payload[position] != NO_NEXT_HEADER


def build_ip(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    *,
    hop_limit: int = 64,
    identification: int = 0,
) -> bytes:
    """Build an IPv4 or IPv6 packet, by the length of the addresses.

    Without an identification an IPv4 packet must not be fragmented (DF, RFC 6864 section 4).
    Raises ValueError if the addresses or the length do not fit.
    """
    if len(source) != len(destination) or len(source) not in (4, 16):
        raise ValueError("source and destination must both be 4 or both be 16 octets")
    length = len(payload) + (_IPV4.size if len(source) == 4 else 0)
    if length > MAX_LENGTH:
        raise ValueError(f"{len(payload)} octets do not fit into an IP packet")
    if len(source) == 16:
        header = _IPV6.pack(6 << 28, length, protocol, hop_limit, source, destination)
        return header + payload
    flags = 0 if identification else _DONT_FRAGMENT
    head = _IPV4_HEAD.pack(0x45, 0, length, identification, flags, hop_limit, protocol)
    addresses = source + destination
    checksum = internet_checksum(head + addresses)
    return b"".join((head, checksum.to_bytes(2, "big"), addresses, payload))


def parse_udp(ip: IpPacket, *, verify: bool = False) -> UdpDatagram:
    """Parse the UDP datagram of a whole IP packet; octets beyond the UDP length are cut off.

    With `verify` its checksum must be right, or zero on IPv4 (not computed).
    Raises Drop: MALFORMED_UDP, BAD_CHECKSUM.
    """
    data = ip.payload
    if ip.protocol != UDP or ip.is_fragment or len(data) < _UDP.size:
        raise Drop(DropReason.MALFORMED_UDP, "no whole UDP header")
    source_port, destination_port, length, checksum = _UDP.unpack_from(data)
    if not _UDP.size <= length <= len(data):
        raise Drop(DropReason.MALFORMED_UDP, f"length {length}, {len(data)} octets there")
    if verify and (checksum or len(ip.source) == 16):
        pseudo = _pseudo_header(ip.source, ip.destination, length)
        if not checksum or internet_checksum(pseudo + data[:length]):
            raise Drop(DropReason.BAD_CHECKSUM, "UDP")
    return UdpDatagram(source_port, destination_port, data[_UDP.size : length])


def plain_udp(packet: bytes, between: bytes) -> bytes | None:
    """Return the payload of a UDP packet without anything unusual, whose checksum is right.

    `between`: source and destination address, source and destination port, as they lie in it.
    None for any other packet, which is then for `parse_ip` and `parse_udp`: options, extension
    headers, fragments, octets after the end, no checksum or a wrong one, great length.
    """
    size = len(packet)
    if size > MAX_PLAIN:
        return None
    if len(between) == 12:
        addresses_at, start, rest_at, length = 12, 28, _REST_AT_4, size - 20
        if length < 8:
            return None
        first, ip_length, fragment, protocol, ends, udp_length, checksum = _PLAIN_IPV4_UDP(packet)
        plain = first == 0x45 and ip_length == size and fragment in _UNFRAGMENTED
    else:
        addresses_at, start, rest_at, length = 8, 48, _REST_AT_6, size - 40
        if length < 8:
            return None
        first, ip_length, protocol, ends, udp_length, checksum = _PLAIN_IPV6_UDP(packet)
        plain = first >> 4 == 6 and ip_length == length
    if not (plain and protocol == UDP and ends == between and udp_length == length and checksum):
        return None
    # The addresses lie before the UDP header: with its length and protocol all that is summed up.
    if size > rest_at:
        number = _from_bytes(packet[addresses_at:rest_at]) + _rest_sum(packet, rest_at)
    else:
        number = _number(packet[addresses_at:])
    if (UDP + length + number) % 0xFFFF:
        return None
    return packet[start:]


@recent(MAX_SUMS)
def _rest_sum(data: bytes) -> int:
    """Return the ones' complement sum of padding, which comes again and again."""
    return _number(data) % 0xFFFF


def build_plain_udp(between: bytes, payload: bytes) -> bytes:
    """Build the packet that `plain_udp` reads: UDP in IP, with `between` as there.

    Raises ValueError if the payload does not fit.
    """
    length = 8 + len(payload)
    total = 20 + length
    if total > MAX_LENGTH:
        raise ValueError(f"{len(payload)} octets do not fit into a packet")
    ends = _from_bytes(between)
    checksum = -(UDP + 2 * length + ends + _number(payload)) % 0xFFFF or 0xFFFF
    if len(between) == 12:
        of_ip = -(_PLAIN_IPV4_SUM + total + (ends >> 32)) % 0xFFFF
        head = _BUILD_IPV4_UDP(
            0x45, 0, total, 0, _DONT_FRAGMENT, 64, UDP, of_ip, between, length, checksum
        )
    else:
        head = _BUILD_IPV6_UDP(6 << 28, length, UDP, 64, between, length, checksum)
    return head + payload


def build_udp(
    source: bytes, destination: bytes, source_port: int, destination_port: int, payload: bytes
) -> bytes:
    """Build the UDP datagram (without IP header) between two packed addresses.

    The checksum is always there; one that comes out as zero is sent as 0xFFFF (RFC 768).
    Raises ValueError if the payload does not fit.
    """
    length = _UDP.size + len(payload)
    if length > MAX_LENGTH:
        raise ValueError(f"{len(payload)} octets do not fit into a UDP datagram")
    ports = struct.pack("!HHH", source_port, destination_port, length)
    pseudo = _pseudo_header(source, destination, length)
    checksum = internet_checksum(b"".join((pseudo, ports, b"\0\0", payload))) or 0xFFFF
    return b"".join((ports, checksum.to_bytes(2, "big"), payload))


def _pseudo_header(source: bytes, destination: bytes, length: int) -> bytes:
    """Return what the UDP checksum covers besides the datagram (RFC 768; RFC 8200 section 8.1).

    The layouts of IPv4 and IPv6 differ only in zero octets, which do not change the sum.
    """
    return source + destination + _PSEUDO.pack(UDP, length)
