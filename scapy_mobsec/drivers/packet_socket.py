"""Frames as they come: a packet socket of Linux on one interface (packet(7)).

Filters are compiled by libpcap, through Scapy, and run in the kernel. On the loopback, where each
packet passes twice, what goes out is left out, as elsewhere it would not be.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

from scapy_mobsec.drivers.capture_source import MAX_RECORD, CaptureError, Record
from scapy_mobsec.packet.link import ETHERNET, RAW

_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_TIMESPEC = struct.Struct("@qq")
_BUFFER = 8 << 20

_ARPHRD_ETHER, _ARPHRD_LOOPBACK, _ARPHRD_RAWIP, _ARPHRD_NONE = 1, 772, 519, 65534
_LINK_TYPES = {
    _ARPHRD_ETHER: ETHERNET,
    _ARPHRD_LOOPBACK: ETHERNET,
    _ARPHRD_RAWIP: RAW,
    _ARPHRD_NONE: RAW,
}
_FILTERED_AS = {ETHERNET: 1, RAW: 12}
"""Link types by the numbers that libpcap compiles for on Linux (DLT_)."""


class PacketSocket:
    """Captures on one interface; as a context manager, closed at its end."""

    def __init__(self, interface: str, bpf: str = "") -> None:
        """bpf: a filter as tcpdump has it, "" for none.

        Raises CaptureError: no CAP_NET_RAW, no such interface, a link layer that is not read, a
        filter that libpcap does not take, or no libpcap.
        """
        self._interface = interface
        try:
            # Protocol 0 receives nothing until the filter is there.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise CaptureError(f"{interface}: capturing needs CAP_NET_RAW (or root)") from None
        try:
            self._link_type = self._attach(bpf)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> "PacketSocket":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def records(self) -> Iterator[Record]:
        """Yield the frames that come, without end. Raises CaptureError if the interface goes."""
        buffer, room = bytearray(MAX_RECORD), socket.CMSG_SPACE(_TIMESPEC.size)
        is_loopback = self._socket.getsockname()[3] == _ARPHRD_LOOPBACK
        while True:
            try:
                length, ancillary, _, sender = self._socket.recvmsg_into([buffer], room)
            except OSError as error:
                raise CaptureError(f"{self._interface}: {error.strerror}") from error
            if is_loopback and sender[2] == socket.PACKET_OUTGOING:
                continue
            time_ns = next(_times(ancillary))
            yield Record(time_ns, self._link_type, bytes(buffer[:length]), length)

    def lost(self) -> int:
        """Return how many frames found no room in the kernel since this was last asked."""
        counts = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        _, dropped = struct.unpack("@II", counts)
        return int(dropped)

    def _attach(self, bpf: str) -> int:
        """Begin to receive. Returns the link type."""
        interface = self._interface
        try:
            self._socket.bind((interface, 0))
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise CaptureError(f"{interface}: no such interface") from error
            raise CaptureError(f"{interface}: {error.strerror}") from error
        hardware = self._socket.getsockname()[3]
        if hardware not in _LINK_TYPES:
            raise CaptureError(f"{interface}: link layer {hardware} is not read")
        link_type = _LINK_TYPES[hardware]
        if bpf:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _compiled(bpf, link_type))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((interface, _ETH_P_ALL))
        return link_type


def _compiled(bpf: str, link_type: int) -> bytes:
    """Compile a filter to a `struct sock_fprog`. Raises CaptureError."""
    from scapy.arch.common import compile_filter
    from scapy.error import Scapy_Exception

    try:
        program = compile_filter(bpf, linktype=_FILTERED_AS[link_type])
    except (Scapy_Exception, ImportError, OSError) as error:
        raise CaptureError(f"filter {bpf!r}: {error}") from error
    return bytes(program)


def _times(ancillary: list[tuple[int, int, bytes]]) -> Iterator[int]:
    """Yield the time that the kernel noted, in nanoseconds since the Unix epoch."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            yield seconds * 10**9 + nanoseconds
