"""What the capture formats share: the record, the errors, and the octets of a file or pipe.

Octets come from any binary stream, also one that cannot seek, gzip (RFC 1952) undone on the way.
Never more than one chunk and one record are held, whatever the stream unpacks to.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_RECORD = 256 << 10
"""Longest record that is believed, as in Wireshark; more is a corrupt file."""

_CHUNK = 256 << 10
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FORMAT = 16 + zlib.MAX_WBITS


class CaptureError(Exception):
    """A capture cannot be read (further); the text is one sentence for a person."""


class CaptureTruncated(CaptureError):
    """The capture ends inside a record; all whole records were read before."""


@dataclass(frozen=True, slots=True)
class Record:
    """One captured frame."""

    time_ns: int
    """Nanoseconds since the Unix epoch; 0 where the format has no time (simple packet blocks)."""
    link_type: int
    """LINKTYPE_ number of tcpdump.org."""
    data: bytes
    original_length: int
    """Octets on the wire; more than there are in `data` if the capture was cut (snap length)."""


class Readable(Protocol):
    """What is needed of a stream: up to `size` octets at a time, none at its end."""

    def read(self, size: int, /) -> bytes: ...


class Source:
    """The octets of a capture, in order. Only CaptureError escapes, whatever they are."""

    def __init__(self, stream: Readable) -> None:
        # read1 gives what a live pipe has now, where read would wait for a whole chunk.
        self._read = getattr(stream, "read1", stream.read)
        self._buffer = b""
        self._position = 0
        self._base = 0
        self._where = ""
        if self.peek(2) == _GZIP_MAGIC:
            self._read = _Gunzip(self._read, self._buffer).read
            self._buffer = b""
            self._where = " of the uncompressed data"

    @property
    def offset(self) -> int:
        """How many octets were taken so far (of gzip: as they were before compression)."""
        return self._base + self._position

    def require_header(self, count: int) -> None:
        """Raise CaptureError (and not CaptureTruncated) if not even the first octets are there."""
        cut_off = CaptureError("the file header is cut off")
        try:
            there = len(self.peek(count))
        except CaptureTruncated:
            raise cut_off from None
        if there < count:
            raise cut_off if there else CaptureError("empty file")

    def at_end(self) -> bool:
        """Whether all octets were taken."""
        return self._position == len(self._buffer) and not self.peek(1)

    def peek(self, count: int) -> bytes:
        """Return the next `count` octets without taking them; fewer at the end."""
        if self._position + count > len(self._buffer):
            self._fill(count)
        return self._buffer[self._position : self._position + count]

    def take(self, count: int) -> bytes:
        """Take `count` octets. Raises CaptureTruncated if there are fewer."""
        start = self._position
        end = start + count
        if end > len(self._buffer):
            missing = count - self._fill(count)
            if missing > 0:
                raise CaptureTruncated(
                    f"the last record is cut off (octets missing: {missing} or more)"
                )
            start, end = 0, count
        self._position = end
        return self._buffer[start:end]

    def skip(self, count: int) -> None:
        """Take and forget `count` octets, without holding them all."""
        while count:
            count -= len(self.take(min(count, _CHUNK)))

    def corrupt(self, offset: int, detail: str) -> CaptureError:
        """Make the error for a record at `offset` that cannot be."""
        return CaptureError(f"corrupt record at offset {offset}{self._where}: {detail}")

    def _fill(self, count: int) -> int:
        """Read on until `count` octets are there, or the end; return how many there are."""
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < count:
            try:
                chunk = self._read(_CHUNK)
            except OSError as error:
                raise CaptureError(f"cannot be read: {error.strerror or error}") from error
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        self._base += self._position
        self._position = 0
        self._buffer = b"".join(parts)
        return have


class _Gunzip:
    """The octets that a gzip stream of one or more members holds."""

    def __init__(self, read: Callable[[int], bytes], start: bytes) -> None:
        self._read_packed = read
        self._packed = start
        self._inflater = zlib.decompressobj(_GZIP_FORMAT)

    def read(self, size: int) -> bytes:
        while self._next_member():
            packed = self._packed or self._read_packed(_CHUNK)
            try:
                data = self._inflater.decompress(packed, size)
            except zlib.error:
                raise CaptureError("the gzip data is corrupt") from None
            self._packed = self._inflater.unconsumed_tail
            if data:
                return data
            if not packed:
                raise CaptureTruncated("the gzip data is cut off")
        return b""

    def _next_member(self) -> bool:
        """Step over the end of a member and zero padding; False if nothing follows."""
        if self._inflater.eof:
            self._packed = self._inflater.unused_data.lstrip(b"\0")
            while not self._packed:
                chunk = self._read_packed(_CHUNK)
                if not chunk:
                    return False
                self._packed = chunk.lstrip(b"\0")
            self._inflater = zlib.decompressobj(_GZIP_FORMAT)
        return True
