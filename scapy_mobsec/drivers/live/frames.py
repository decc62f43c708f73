"""What a terminal's sockets carry, as packets: for charts and captures without rights to capture.

Datagrams are as they were. Of streams the kernel tells the octets alone: their segments, numbers
and the handshake are written anew, at the times when the octets came and went.
"""

from collections.abc import Mapping

from scapy_mobsec.drivers.memory.packet import ACK, FIN, PSH, SYN, Packet, TcpFields
from scapy_mobsec.packet.ip import ESP, TCP, UDP
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Ends, Path
from scapy_mobsec.terminal.driving import (
    Close,
    Closed,
    Established,
    Input,
    Open,
    Output,
    Refused,
    Transmit,
)

MAX_PACKETS = 1_000_000
"""What comes later is not kept."""

_SEGMENT = 1400
_PROTOCOLS: Mapping[Encapsulation, int] = {Encapsulation.UDP: UDP, Encapsulation.NATIVE: ESP}


class Frames:
    """A tap of a `LiveHost`: keeps packets with their times. AH is not kept, nor what is in TLS."""

    def __init__(self) -> None:
        self._packets: list[tuple[int, Packet]] = []
        self._opened: dict[Path, int] = {}
        self._streams: dict[Ends, _Stream] = {}

    def packets(self) -> list[tuple[int, Packet]]:
        """Return what was seen, in the order of its times: nanoseconds since the Unix epoch."""
        return sorted(self._packets, key=lambda packet: packet[0])

    def __call__(self, now: float, path: Path, data: Input | Output) -> None:
        """See what comes and what goes."""
        time_ns = int(now * 1e9)
        protocol = _PROTOCOLS.get(path.encapsulation)
        match data:
            case Open():
                self._opened[path] = time_ns
            case Established():
                self._begin(time_ns, path, data)
            case Transmit() if protocol:
                self._add(time_ns, Packet(protocol, path.local, path.remote, data.data))
            case bytes() if protocol:
                self._add(time_ns, Packet(protocol, path.remote, path.local, data))
            case Transmit() | bytes() | Close() | Closed() | Refused():
                stream = self._streams.get(path.ends)
                for packet in stream.packets(data) if stream else ():
                    self._add(time_ns, packet)

    def _begin(self, time_ns: int, path: Path, established: Established) -> None:
        opened = self._opened.pop(established.wanted, time_ns) if established.wanted else time_ns
        stream = _Stream(path.ends, opener=established.wanted is not None)
        self._streams[path.ends] = stream
        syn, *further = stream.handshake()
        self._add(opened, syn)
        for packet in further:
            self._add(time_ns, packet)

    def _add(self, time_ns: int, packet: Packet) -> None:
        if len(self._packets) < MAX_PACKETS:
            self._packets.append((time_ns, packet))


class _Stream:
    """The numbers of one stream, both ways."""

    def __init__(self, ends: Ends, *, opener: bool) -> None:
        self._ends = ends
        self._opener = ends[0] if opener else ends[1]
        self._next = dict.fromkeys(ends, 0)

    def handshake(self) -> list[Packet]:
        there = self._opener
        back = self._other(there)
        return [
            self._segment(there, SYN),
            self._segment(back, SYN | ACK),
            self._segment(there, ACK),
        ]

    def packets(self, data: Input | Output) -> list[Packet]:
        """Return the segments for what came or went."""
        local, remote = self._ends
        if isinstance(data, Transmit):
            return self._segments(local, data.data)
        if isinstance(data, bytes):
            return self._segments(remote, data)
        if isinstance(data, Close):
            return [self._segment(local, FIN | ACK)]
        return [self._segment(remote, FIN | ACK)]

    def _segments(self, source: Endpoint, data: bytes) -> list[Packet]:
        parts = (data[at : at + _SEGMENT] for at in range(0, len(data), _SEGMENT))
        return [self._segment(source, PSH | ACK, part) for part in parts]

    def _segment(self, source: Endpoint, flags: int, payload: bytes = b"") -> Packet:
        destination = self._other(source)
        fields = TcpFields(flags, self._next[source], self._next[destination])
        self._next[source] += len(payload) + (1 if flags & (SYN | FIN) else 0)
        return Packet(TCP, source, destination, payload, fields)

    def _other(self, end: Endpoint) -> Endpoint:
        return self._ends[1] if end == self._ends[0] else self._ends[0]
