"""The Authentication Header (RFC 4302): SAs whose ICV covers the addresses outside, too.

Whoever translates an address breaks the ICV; so a packet that opens was not translated. AH goes
as an IP protocol of its own, in no other encapsulation, and both ends work on whole IP packets.

With AES-GMAC an IV begins the field for the ICV, and is covered (RFC 4543 section 4); it is the
sequence number, which never comes twice.
Covered: the IP header with its mutable fields as zeros (section 3.3.3.1 and Appendix A), AH with
its ICV as zeros, the payload, and the unsent half of an extended number (3.3.3.2.2). Written: IP
headers without options or extension headers. Read: IPv4 options; IPv6 hop-by-hop, destination
options and routing headers. A source route is covered as its last hop sees it, so a packet opens
at any place on it (Appendix A).
Sequence numbers and replay window are those of ESP. AH is as long as its family's alignment needs;
on IPv4 the alignment of IPv6 is accepted as well, because Linux writes it (a deviation from 2.6).

    AH = next header (1) | payload length (1) | reserved (2) | SPI (4) | sequence number (4) | ICV
         | padding
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from struct import Struct
from types import MappingProxyType
from typing import ClassVar

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.integrity import GMACS, INTEGRITY, Integrity
from scapy_mobsec.esp.replay import MAX_EXTENDED_SEQUENCE, MAX_SEQUENCE, ReplayWindow
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.ip import AH, build_ip

_HEADER = Struct(">BBHII")
_ALIGNMENT = {4: 4, 16: 8}
_HOP_BY_HOP, _ROUTING, _DESTINATION_OPTIONS = 0, 43, 60
_MAX_EXTENSION_HEADERS = 8

_ROUTE_TYPES = (0, 2)
_END, _NO_OPERATION, _PAD1 = 0, 1, 0
_SOURCE_ROUTES = (131, 137)
"""IPv4 options with the addresses that a packet is still to visit, loose and strict (RFC 791)."""
_IMMUTABLE_OPTIONS = frozenset({0, 1, 130, 133, 134, 148, 149})
"""IPv4 options that routers leave as they are (Appendix A1)."""

_MAY_CHANGE = 0x20
"""Bit in the type of an IPv6 option whose data is mutable (RFC 8200 section 4.2)."""


AH_SUITES: Mapping[str, Integrity] = MappingProxyType({**INTEGRITY, **GMACS})


@dataclass(frozen=True, slots=True)
class AhParameters:
    """What both ends of one AH SA share. `esn_high`: as of `SaParameters`."""

    spi: int
    suite: Integrity
    integrity_key: bytes = field(repr=False)
    esn: bool = False
    esn_high: int = 0

    verifiable: ClassVar[bool] = True
    """As of `SaParameters`; AH without its key is nothing."""

    def __post_init__(self) -> None:
        """Raises ValueError for an SPI that no packet carries or a key of a wrong length."""
        if not 0 < self.spi < 2**32:
            raise ValueError(f"SPI {self.spi} is not in 1..2^32-1")
        if not 0 <= self.esn_high <= MAX_SEQUENCE:
            raise ValueError(f"upper half of a number {self.esn_high} is not in 0..2^32-1")
        if len(self.integrity_key) != self.suite.key_length:
            raise ValueError(
                f"{self.suite.name}: integrity key of {len(self.integrity_key)} octets, "
                f"not {self.suite.key_length}"
            )


class InboundAh:
    """The receiving end of an AH SA: verifies packets and keeps their replay window."""

    __slots__ = ("_icv", "_lengths", "parameters", "replay")

    def __init__(self, parameters: AhParameters, *, window: int = 1024, ceiling: int = 0) -> None:
        """`window`, `ceiling`: as of `InboundSa`. Raises ValueError as `ReplayWindow` does."""
        self.parameters = parameters
        self.replay = ReplayWindow(window, ceiling)
        self._icv = parameters.suite.keyed(parameters.integrity_key)
        narrow, wide = (_length(parameters.suite, family) for family in (4, 16))
        self._lengths = {4: (narrow, wide), 6: (wide,)}

    def open(self, packet: bytes) -> Opened:
        """Verify a whole IP packet; return what AH protected. Only Drop escapes, for any octets.

        Drop reasons: MALFORMED_IP (a fragment, too: section 3.4.1), TRUNCATED, MALFORMED_AH,
        UNKNOWN_SPI (a packet of another SA), SEQUENCE_ZERO, TOO_OLD, REPLAYED, BAD_ICV. A dropped
        packet leaves the replay window as it was. Octets after the IP packet are cut off.
        """
        header, start, end = _covered_header(packet)
        if end - start < _HEADER.size:
            raise Drop(DropReason.MALFORMED_AH, f"{end - start} octets")
        next_header, words, _, spi, sequence = _HEADER.unpack_from(packet, start)
        if spi != self.parameters.spi:
            raise Drop(DropReason.UNKNOWN_SPI, f"0x{spi:08x}")
        payload = start + (words + 2) * 4
        if payload - start not in self._lengths[packet[0] >> 4] or payload > end:
            raise Drop(DropReason.MALFORMED_AH, f"length {payload - start}")
        high = b""
        if self.parameters.esn:
            sequence = self.replay.infer(sequence)
            high = (sequence >> 32).to_bytes(4)
        self.replay.check(sequence)
        icv_at = start + _HEADER.size
        icv_end = icv_at + self.parameters.suite.icv_length
        iv = packet[icv_at : icv_at + self.parameters.suite.iv_length]
        icv_at += len(iv)
        zeros = bytes(icv_end - icv_at)
        covered = (iv, header, packet[start:icv_at], zeros, packet[icv_end:end], high)
        icv = self._icv(b"".join(covered))
        if not compare_digest(icv, packet[icv_at:icv_end]):
            raise Drop(DropReason.BAD_ICV)
        self.replay.update(sequence)
        return Opened(packet[payload:end], next_header, sequence, True)


class OutboundAh:
    """The sending end of an AH SA: gives every packet the next sequence number, each only once."""

    __slots__ = ("_icv", "_last_sequence", "_next_sequence", "parameters")

    def __init__(
        self,
        parameters: AhParameters,
        *,
        first_sequence: int = 1,
        last_sequence: int | None = None,
    ) -> None:
        """Seal with the numbers `first_sequence` to `last_sequence`, as `OutboundSa` does.

        Raises ValueError for numbers that the SA cannot have.
        """
        limit = MAX_EXTENDED_SEQUENCE if parameters.esn else MAX_SEQUENCE
        if last_sequence is None:
            last_sequence = limit
        if first_sequence < 1 or last_sequence > limit:
            raise ValueError(
                f"sequence numbers {first_sequence}..{last_sequence} are not in 1..{limit}"
            )
        self.parameters = parameters
        self._icv = parameters.suite.keyed(parameters.integrity_key)
        self._next_sequence = first_sequence
        self._last_sequence = last_sequence

    @property
    def next_sequence(self) -> int:
        """The number of the next packet; one above the last number when exhausted."""
        return self._next_sequence

    def seal(self, payload: bytes, next_header: int, source: bytes, destination: bytes) -> bytes:
        """Make the next IP packet. The addresses, packed, are those that it starts out with.

        Its octets go out as they are, the IP header too: identification and length are covered.
        Raises Drop(SEQUENCE_EXHAUSTED), and ValueError if addresses or length do not fit.
        """
        sequence = self._next_sequence
        if sequence > self._last_sequence:
            raise Drop(DropReason.SEQUENCE_EXHAUSTED, f"last was {self._last_sequence}")
        parameters = self.parameters
        length = _length(parameters.suite, len(source))
        number = sequence & MAX_SEQUENCE
        head = _HEADER.pack(next_header, length // 4 - 2, 0, parameters.spi, number)
        iv = sequence.to_bytes(8)[: parameters.suite.iv_length]
        head += iv
        zeros = bytes(parameters.suite.icv_length - len(iv))
        padding = bytes(length - len(head) - len(zeros))
        packet = build_ip(source, destination, AH, b"".join((head, zeros, padding, payload)))
        self._next_sequence = sequence + 1
        header, start, _ = _covered_header(packet)
        high = (sequence >> 32).to_bytes(4) if parameters.esn else b""
        icv_at = start + len(head)
        icv = self._icv(b"".join((iv, header, packet[start:], high)))
        return b"".join((packet[:icv_at], icv, packet[icv_at + len(icv) :]))

    def skip(self, count: int) -> bool:
        """Leave out the next `count` numbers; False, and none is, if the last one would be."""
        if self._next_sequence + count > self._last_sequence:
            return False
        self._next_sequence += count
        return True

    def sealed_length(self, payload_length: int, address_length: int) -> int:
        """Octets of the IP packet that a payload becomes between addresses of so many octets."""
        ip_header = 20 if address_length == 4 else 40
        return ip_header + _length(self.parameters.suite, address_length) + payload_length


def spi_of(packet: bytes) -> int:
    """Return the SPI of a whole IP packet with AH, for the look-up of its SA. Raises Drop."""
    _, start, end = _covered_header(packet)
    if end - start < _HEADER.size:
        raise Drop(DropReason.MALFORMED_AH, f"{end - start} octets")
    return int.from_bytes(packet[start + 4 : start + 8])


def content_of(packet: bytes) -> tuple[int, bytes]:
    """Return next header and payload of a whole IP packet with AH, unverified. Raises Drop."""
    _, start, end = _covered_header(packet)
    payload = start + (int.from_bytes(packet[start + 1 : start + 2]) + 2) * 4
    if payload > end:
        raise Drop(DropReason.MALFORMED_AH, f"length {payload - start}")
    return packet[start], packet[payload:end]


def _length(suite: Integrity, address_length: int) -> int:
    """Octets of AH with its padding (section 2.6)."""
    length = _HEADER.size + suite.icv_length
    return length + -length % _ALIGNMENT[address_length]


def _covered_header(packet: bytes) -> tuple[bytes, int, int]:
    """Return the IP header as the ICV covers it, where AH starts, and where the packet ends."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        return _covered_ipv4(packet)
    if version == 6 and len(packet) >= 40:
        return _covered_ipv6(packet)
    raise Drop(DropReason.MALFORMED_IP, f"no header in {len(packet)} octets")


def _covered_ipv4(packet: bytes) -> tuple[bytes, int, int]:
    start, end = (packet[0] & 0x0F) * 4, int.from_bytes(packet[2:4])
    if start < 20 or end < start:
        raise Drop(DropReason.MALFORMED_IP, f"header length {start}, total length {end}")
    _check_end(packet, end)
    if int.from_bytes(packet[6:8]) & 0x3FFF:
        raise Drop(DropReason.MALFORMED_IP, "fragment")
    _check_protocol(packet[9])
    # DSCP and ECN, flags and fragment offset, TTL and checksum are mutable.
    fixed = (packet[:1], b"\0", packet[2:6], b"\0\0\0", packet[9:10], b"\0\0", packet[12:16])
    options, last_hop = _covered_options(packet[20:start])
    return b"".join((*fixed, last_hop or packet[16:20], options)), start, end


def _covered_options(options: bytes) -> tuple[bytes, bytes]:
    """Put zeros for each mutable IPv4 option, its type and length included (Appendix A1).

    Returns them, and the last address of a source route that is not at its end.
    """
    covered, position, last_hop = bytearray(options), 0, b""
    while position < len(options):
        kind = options[position]
        if kind == _END:
            break
        if kind == _NO_OPERATION:
            position += 1
            continue
        length = int.from_bytes(options[position + 1 : position + 2])
        if length < 2 or position + length > len(options):
            raise Drop(DropReason.MALFORMED_IP, "IPv4 options")
        option = options[position : position + length]
        if kind in _SOURCE_ROUTES and length >= 7 and option[2] <= length - 3:
            last_hop = option[-4:]
        if kind not in _IMMUTABLE_OPTIONS:
            covered[position : position + length] = bytes(length)
        position += length
    return bytes(covered), last_hop


def _covered_ipv6(packet: bytes) -> tuple[bytes, int, int]:
    end = 40 + int.from_bytes(packet[4:6])
    _check_end(packet, end)
    # Traffic class, flow label and hop limit are mutable.
    parts, destination = [b"\x60\0\0\0", packet[4:7], b"\0", packet[8:24]], packet[24:40]
    headers: list[bytes] = []
    protocol, start = packet[6], 40
    for _ in range(_MAX_EXTENSION_HEADERS):
        if protocol not in (_HOP_BY_HOP, _ROUTING, _DESTINATION_OPTIONS):
            break
        length = 8 + int.from_bytes(packet[start + 1 : start + 2]) * 8
        if start + length > end:
            raise Drop(DropReason.MALFORMED_IP, "IPv6 extension header")
        extension = packet[start : start + length]
        if protocol == _ROUTING:
            covered, destination = _covered_route(extension, destination)
        else:
            covered = _covered_extension(extension)
        headers.append(covered)
        protocol, start = extension[0], start + length
    _check_protocol(protocol)
    return b"".join((*parts, destination, *headers)), start, end


def _covered_route(header: bytes, destination: bytes) -> tuple[bytes, bytes]:
    """Return a routing header and the destination as they are at the last hop (Appendix A2).

    Each hop before it puts the destination in the place of the next address, which becomes the
    destination (RFC 2460 section 4.4; of type 2, RFC 6275 section 6.4). Other types stay.
    """
    addresses = [header[at : at + 16] for at in range(8, len(header), 16)]
    left = header[3]
    if header[2] not in _ROUTE_TYPES or not 0 < left <= len(addresses) or len(header) % 16 != 8:
        return header, destination
    ahead = addresses[-left:]
    visited = [*addresses[:-left], destination, *ahead[:-1]]
    return b"".join((header[:3], b"\0", header[4:8], *visited)), ahead[-1]


def _covered_extension(extension: bytes) -> bytes:
    """Put zeros for the data of each IPv6 option that may change on the way (Appendix A2)."""
    covered, position = bytearray(extension), 2
    while position < len(extension):
        if extension[position] == _PAD1:
            position += 1
            continue
        data = position + 2
        if data > len(extension) or data + extension[position + 1] > len(extension):
            raise Drop(DropReason.MALFORMED_IP, "IPv6 options")
        length = extension[position + 1]
        if extension[position] & _MAY_CHANGE:
            covered[data : data + length] = bytes(length)
        position = data + length
    return bytes(covered)


def _check_end(packet: bytes, end: int) -> None:
    if end > len(packet):
        raise Drop(DropReason.TRUNCATED, f"{len(packet)} of {end} octets")


def _check_protocol(protocol: int) -> None:
    if protocol != AH:
        raise Drop(DropReason.MALFORMED_AH, f"protocol {protocol} in its place")
