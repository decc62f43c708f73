"""Classic capture files: a reader for both byte orders and both resolutions, and the writer.

Format: draft-ietf-opsawg-pcap, version 2.4.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from scapy_mobsec.drivers.capture_source import MAX_RECORD, CaptureError, Record, Source

_SECOND = 10**9
_VERSION = (2, 4)
_NANOSECONDS = 0xA1B23C4D

MAGICS = {
    struct.pack(order + "I", number): (order, scale)
    for order in "<>"
    for number, scale in ((0xA1B2C3D4, 1000), (_NANOSECONDS, 1))
}
"""First 4 octets: byte order of the integers, nanoseconds per unit of time."""


def read_pcap(source: Source) -> Iterator[Record]:
    """Read the records of a classic capture, from its first octet on. Raises CaptureError."""
    source.require_header(24)
    order, scale = MAGICS[source.peek(4)]
    _, major, minor, _, _, _, network = struct.unpack(order + "IHHIIII", source.take(24))
    if (major, minor) != _VERSION:
        raise CaptureError(f"unsupported pcap version {major}.{minor}")
    link_type = network & 0xFFFF  # the rest tells of a frame check sequence, which IP leaves out
    header = struct.Struct(order + "IIII")
    while not source.at_end():
        offset = source.offset
        seconds, fraction, length, original_length = header.unpack(source.take(16))
        if length > MAX_RECORD:
            raise source.corrupt(offset, f"length {length}")
        time_ns = seconds * _SECOND + fraction * scale
        yield Record(time_ns, link_type, source.take(length), original_length)


class CaptureWriter:
    """Writes a classic capture: nanoseconds, little endian, one link type (101: raw IP)."""

    def __init__(self, stream: BinaryIO, link_type: int = 101) -> None:
        self._stream = stream
        stream.write(struct.pack("<IHHIIII", _NANOSECONDS, *_VERSION, 0, 0, MAX_RECORD, link_type))

    def write(self, time_ns: int, data: bytes) -> None:
        """Add one frame, seen `time_ns` nanoseconds after the Unix epoch.

        Raises ValueError if the frame is too long or the time is not within 1970 to 2106.
        """
        seconds, fraction = divmod(time_ns, _SECOND)
        if len(data) > MAX_RECORD or not 0 <= seconds < 1 << 32:
            raise ValueError(f"{len(data)} octets at {seconds} s do not fit into a pcap record")
        self._stream.write(struct.pack("<IIII", seconds, fraction, len(data), len(data)) + data)
