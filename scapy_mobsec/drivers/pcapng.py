"""The pcapng reader (sections, interfaces, the three kinds of packet blocks), and a small writer.

Format: draft-ietf-opsawg-pcapng. Comments, name resolution, statistics, secrets of others than TLS
and blocks that are not known are stepped over; comments and TLS secrets are written.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from scapy_mobsec.drivers.capture_source import MAX_RECORD, CaptureError, Record, Source

MAGIC = b"\x0a\x0d\x0d\x0a"
"""Type of the section header block, the same in both byte orders."""

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_OLD_PACKET = 2
_SIMPLE_PACKET = 3
_ENHANCED_PACKET = 6
_DECRYPTION_SECRETS = 10

_FIXED_PART = {
    _SECTION_HEADER: 16,
    _INTERFACE_DESCRIPTION: 8,
    _OLD_PACKET: 20,
    _SIMPLE_PACKET: 4,
    _ENHANCED_PACKET: 20,
}
"""The blocks that are read: octets of body before options and packet data."""

_TLS_KEY_LOG = 0x544C534B
"""Type of secrets: the lines of a key log."""

_END_OF_OPTIONS, _COMMENT, _TIME_RESOLUTION, _TIME_OFFSET = 0, 1, 9, 14

_NANOSECONDS = 9
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_VERSION = (1, 0)
_UNKNOWN_LENGTH = (1 << 64) - 1
_MAX_OPTION = 0xFFFF

_BYTE_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

_MAX_BLOCK = 16 << 20
_MAX_BODY = MAX_RECORD + (64 << 10)
"""Of a block that is read: one record and its options."""
_MAX_INTERFACES = 4096
_MAX_TIME_NS = (1 << 63) - 1
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snap_length: int
    units: int
    """Units of time per second."""
    offset: int
    """Seconds to add to every time."""

    def time_ns(self, high: int, low: int) -> int:
        """Convert a time stamp; one outside of 1970 to 2262 becomes the nearer end."""
        time = (high << 32 | low) * _SECOND // self.units + self.offset * _SECOND
        return min(max(time, 0), _MAX_TIME_NS)


def read_pcapng(source: Source, on_tls_keys: Callable[[str], object]) -> Iterator[Record]:
    """Read the packets of a pcapng file, from its first octet on. Raises CaptureError.

    on_tls_keys: gets each key log in it, before the packets behind that.
    """
    source.require_header(28)
    section = _Section("<")
    while not source.at_end():
        offset = source.offset
        start = source.take(8)
        try:
            if start[:4] == MAGIC:
                section = _Section(_byte_order(source))
            kind, length = section.start.unpack(start)
            if not 12 <= length <= _MAX_BLOCK or length % 4:
                raise ValueError(f"block length {length}")
            if kind in _FIXED_PART:
                if not _FIXED_PART[kind] <= length - 12 <= _MAX_BODY:
                    raise ValueError(f"block length {length}")
                record = section.read(kind, source.take(length - 12))
            else:
                record = None
                if kind == _DECRYPTION_SECRETS:
                    on_tls_keys(section.key_log(source.take(length - 12)))
                else:
                    source.skip(length - 12)
            if source.take(4) != start[4:]:
                raise ValueError("the two lengths of the block differ")
        except ValueError as error:
            raise source.corrupt(offset, str(error)) from None
        if record:
            yield record


def _byte_order(source: Source) -> str:
    magic = source.peek(4)
    if len(magic) < 4:
        source.take(4)  # raises CaptureTruncated
    if magic not in _BYTE_ORDERS:
        raise ValueError("no byte-order magic")
    return _BYTE_ORDERS[magic]


class _Section:
    """Byte order and interfaces: what holds until the next section header.

    Raises ValueError for a block that cannot be.
    """

    def __init__(self, order: str) -> None:
        self._order = order
        self._interfaces: list[_Interface] = []
        self.start = struct.Struct(order + "II")
        self._enhanced = struct.Struct(order + "IIIII")
        self._old = struct.Struct(order + "HHIIII")
        self._simple = struct.Struct(order + "I")

    def read(self, kind: int, body: bytes) -> Record | None:
        """Read the body of a block of one of the known kinds; only packets give a record."""
        if kind == _ENHANCED_PACKET:
            return self._packet(body, *self._enhanced.unpack_from(body))
        if kind == _OLD_PACKET:
            interface, _, high, low, length, original = self._old.unpack_from(body)
            return self._packet(body, interface, high, low, length, original)
        if kind == _SIMPLE_PACKET:
            return self._simple_packet(body)
        if kind == _INTERFACE_DESCRIPTION:
            self._add_interface(body)
        else:
            major, minor = struct.unpack_from(self._order + "HH", body, 4)
            if major != 1:
                raise CaptureError(f"unsupported pcapng version {major}.{minor}")
        return None

    def key_log(self, body: bytes) -> str:
        """Return the lines of a block of decryption secrets, "" if they are not of TLS."""
        if len(body) < 8:
            raise ValueError(f"{len(body)} octets of secrets")
        kind, length = self.start.unpack_from(body)
        if length > len(body) - 8:
            raise ValueError(f"secrets length {length}")
        text = body[8 : 8 + length].decode("latin-1")
        return text if kind == _TLS_KEY_LOG else ""

    def _packet(
        self, body: bytes, interface: int, high: int, low: int, length: int, original: int
    ) -> Record:
        if length > min(len(body) - 20, MAX_RECORD):
            raise ValueError(f"length {length}")
        known = self._interface(interface)
        return Record(known.time_ns(high, low), known.link_type, body[20 : 20 + length], original)

    def _simple_packet(self, body: bytes) -> Record:
        known = self._interface(0)
        (original,) = self._simple.unpack_from(body)
        length = min(original, known.snap_length or original)
        if length > min(len(body) - 4, MAX_RECORD):
            raise ValueError(f"length {length}")
        return Record(0, known.link_type, body[4 : 4 + length], original)

    def _interface(self, number: int) -> _Interface:
        if number >= len(self._interfaces):
            raise ValueError(f"interface {number} is not described")
        return self._interfaces[number]

    def _add_interface(self, body: bytes) -> None:
        if len(self._interfaces) == _MAX_INTERFACES:
            raise ValueError(f"more than {_MAX_INTERFACES} interfaces")
        link_type, _, snap_length = struct.unpack_from(self._order + "HHI", body)
        units, offset = 10**6, 0
        for code, value in self._options(body[8:]):
            if code == _TIME_RESOLUTION and len(value) == 1:
                exponent = value[0] & 0x7F
                units = 1 << exponent if value[0] & 0x80 else 10**exponent
            elif code == _TIME_OFFSET and len(value) == 8:
                (offset,) = struct.unpack(self._order + "q", value)
        self._interfaces.append(_Interface(link_type, snap_length, units, offset))

    def _options(self, octets: bytes) -> Iterator[tuple[int, bytes]]:
        position = 0
        while position + 4 <= len(octets):
            code, length = struct.unpack_from(self._order + "HH", octets, position)
            if code == _END_OF_OPTIONS:
                return
            value = octets[position + 4 : position + 4 + length]
            if len(value) < length:
                raise ValueError("option beyond the end of its block")
            yield code, value
            position += 4 + length + -length % 4


class PcapngWriter:
    """Writes one section, an interface for each link type: nanoseconds, little endian, comments.

    link_type: of the first interface. tls_keys: a key log, for who reads it.
    """

    def __init__(self, stream: BinaryIO, link_type: int = 101, tls_keys: str = "") -> None:
        self._stream = stream
        self._link_type = link_type
        self._interfaces: dict[int, int] = {}
        section = struct.pack("<IHHQ", _BYTE_ORDER_MAGIC, *_VERSION, _UNKNOWN_LENGTH)
        self._block(_SECTION_HEADER, section)
        self._interface_of(link_type)
        if tls_keys:
            secrets = tls_keys.encode("ascii")
            head = struct.pack("<II", _TLS_KEY_LOG, len(secrets))
            self._block(_DECRYPTION_SECRETS, head + _padded(secrets))

    def write(
        self,
        time_ns: int,
        data: bytes,
        comments: Iterable[str] = (),
        *,
        link_type: int | None = None,
        original_length: int | None = None,
    ) -> None:
        """Add one frame, seen `time_ns` nanoseconds after the Unix epoch, with its comments.

        link_type: None for that of the first interface. original_length: octets on the wire, None
        for those of `data`. Raises ValueError if the frame, its time or a comment does not fit.
        """
        options = [(_COMMENT, comment.encode()) for comment in comments]
        too_long = len(data) > MAX_RECORD or any(len(text) > _MAX_OPTION for _, text in options)
        if too_long or not 0 <= time_ns <= _MAX_TIME_NS:
            raise ValueError(f"{len(data)} octets at {time_ns} ns do not fit into a pcapng block")
        interface = self._interface_of(self._link_type if link_type is None else link_type)
        length = len(data) if original_length is None else original_length
        head = struct.pack("<IIIII", interface, *divmod(time_ns, 1 << 32), len(data), length)
        self._block(_ENHANCED_PACKET, head + _padded(data), options)

    def _interface_of(self, link_type: int) -> int:
        """Return the number of the interface with a link type, described before its first frame."""
        known = self._interfaces.get(link_type)
        if known is not None:
            return known
        body = struct.pack("<HHI", link_type, 0, MAX_RECORD)
        self._block(_INTERFACE_DESCRIPTION, body, [(_TIME_RESOLUTION, bytes((_NANOSECONDS,)))])
        return self._interfaces.setdefault(link_type, len(self._interfaces))

    def _block(self, kind: int, body: bytes, options: Iterable[tuple[int, bytes]] = ()) -> None:
        listed = b"".join(
            struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options
        )
        if listed:
            listed += struct.pack("<HH", _END_OF_OPTIONS, 0)
        length = 12 + len(body) + len(listed)
        start, end = struct.pack("<II", kind, length), struct.pack("<I", length)
        self._stream.write(b"".join((start, body, listed, end)))


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
