"""Capture files and pipes: pcap and pcapng, in gzip too, told apart by what is in them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import BinaryIO

from scapy_mobsec.drivers.capture_source import (
    CaptureError,
    CaptureTruncated,
    Readable,
    Record,
    Source,
)
from scapy_mobsec.drivers.pcap import MAGICS, CaptureWriter, read_pcap
from scapy_mobsec.drivers.pcapng import MAGIC, PcapngWriter, read_pcapng

__all__ = [
    "CaptureError",
    "CaptureTruncated",
    "CaptureWriter",
    "PcapngWriter",
    "Record",
    "open_capture",
    "read_records",
]

_PACKED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zX": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"BZh": "bzip2",
}
"""First octets of what is not read here."""


def read_records(
    stream: Readable, on_tls_keys: Callable[[str], object] = lambda key_log: None
) -> Iterator[Record]:
    """Read the records of a capture one by one; the stream need not be able to seek.

    on_tls_keys: gets the TLS key logs that are in it, each before the packets behind it.
    Raises CaptureError, whatever the octets: not a capture, unsupported, corrupt;
    CaptureTruncated, after all whole records, if the capture ends inside one.
    """
    source = Source(stream)
    source.require_header(4)
    magic = source.peek(4)
    if magic in MAGICS:
        yield from read_pcap(source)
    elif magic == MAGIC:
        yield from read_pcapng(source, on_tls_keys)
    else:
        packed = next((tool for start, tool in _PACKED.items() if magic.startswith(start)), None)
        how = f"packed by {packed}: undo that first, and read it from stdin"
        raise CaptureError(how if packed else "not a capture file (pcap or pcapng)")


def open_capture(path: str | PathLike[str]) -> AbstractContextManager[BinaryIO]:
    """Open a capture for reading, `-` for standard input (left open). Raises CaptureError."""
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise CaptureError(f"cannot be opened: {error.strerror}") from error
