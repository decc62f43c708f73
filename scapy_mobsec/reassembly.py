"""TCP streams of a capture put together again (RFC 9293 section 3.4), both directions, bounded.

Octets come out once and in order, whatever was cut, reordered or repeated; of octets that overlap,
those that came out first count. A gap is waited for: 60 s of capture time without progress, or as
much as may be held. Then the stream goes on behind it, and says so: no octets are made up. A stream
without its SYN begins with the first segment that has octets. RST counts only with the number that
is next (RFC 5961 section 3.2). What ended stays known, so that late repetitions begin nothing new.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.tcp import TcpFlag, TcpSegment

MAX_WAIT_NS = 60_000_000_000
MAX_STREAM_OCTETS = 1 << 20
"""What one direction holds behind a gap."""
MAX_OCTETS = 16 << 20
"""What all directions hold."""
MAX_TENTATIVE_OCTETS = 64 << 10
"""What one direction holds of a connection that may be none of ours."""
MAX_CONNECTIONS = 16_384

_OVERHEAD = 128
"""What a held segment counts beyond its octets, so that tiny ones are bounded too."""
_NUMBERS = 1 << 32
_FIN, _SYN, _RST = int(TcpFlag.FIN), int(TcpFlag.SYN), int(TcpFlag.RST)

End = tuple[bytes, int]
"""Packed address and port."""


class Stamp(NamedTuple):
    """Where in the capture octets were complete: number and time of the frame."""

    frame: int
    time_ns: int


class Piece(NamedTuple):
    """Octets of one direction, in order.

    follows: they come directly behind the piece before, or are the first ones of the stream.
    stamp: of the frame with which these octets and all before them were there.
    """

    octets: bytes
    stamp: Stamp
    follows: bool = True


class _Held(NamedTuple):
    octets: bytes
    stamp: Stamp


class Direction:
    """What one end sent. Positions are sequence numbers that do not wrap."""

    def __init__(self) -> None:
        self.octets = 0
        """What is held, with overhead."""
        self.gaps = 0
        """How many were given up."""
        self._ended = False
        self._syn: int | None = None
        self._next: int | None = None
        self._fin: int | None = None
        self._held: dict[int, _Held] = {}
        self._starts: list[int] = []
        self._stamp = Stamp(0, 0)
        self._waits_since = 0
        self._follows = True

    def add(self, segment: TcpSegment, stamp: Stamp) -> Iterator[Piece]:
        """Take a segment; yield what is in order now. To be exhausted."""
        if self._ended:
            return
        sequence = segment.sequence
        if segment.flags & _SYN:
            if self._next is None:
                self._syn, self._next = sequence, sequence + 1
            sequence += 1
        if self._next is None:
            if not segment.payload:
                return
            self._next, self._follows = sequence, False
        start = self._position(sequence)
        if segment.flags & _RST:
            if start == self._next:
                self.end()
            return
        if segment.flags & _FIN and self._fin is None:
            self._fin = start + len(segment.payload)
        if start == self._next and segment.payload and not self._held and self._fin is None:
            yield self._fresh(segment.payload, stamp)  # as usual: no need to hold it
            return
        waited, before = self.waits, self._next
        self._hold(start, _Held(segment.payload, stamp))
        yield from self._in_order()
        if not waited or self._next != before:
            self._waits_since = stamp.time_ns
        elif stamp.time_ns - self._waits_since > MAX_WAIT_NS:
            yield from self.skip()
        while self.octets > MAX_STREAM_OCTETS:
            yield from self.skip()

    def skip(self) -> Iterator[Piece]:
        """Give up the gap that is waited for; yield what comes behind it. To be exhausted."""
        if self._starts:
            self.gaps += 1
            self._next, self._follows = self._starts[0], False
            yield from self._in_order()

    def end(self) -> None:
        """Forget what is held, and take no more."""
        self._ended = True
        self._held.clear()
        self._starts.clear()
        self.octets = 0

    def begins_anew(self, segment: TcpSegment) -> bool:
        """Whether this is the SYN of another stream between the same two ends."""
        is_other = self._next is not None and self._syn != segment.sequence
        return bool(segment.flags & _SYN) and is_other

    @property
    def waits(self) -> bool:
        """Whether octets are held behind a gap."""
        return bool(self._held)

    def _position(self, sequence: int) -> int:
        """The position that a 32-bit sequence number stands for: the one nearest to the next."""
        assert self._next is not None
        half = _NUMBERS // 2
        return self._next + (sequence - self._next + half) % _NUMBERS - half

    def _hold(self, start: int, part: _Held) -> None:
        assert self._next is not None
        if start + len(part.octets) <= self._next:
            return
        known = self._held.get(start)
        if known is None:
            heappush(self._starts, start)
            self.octets += _OVERHEAD
        elif len(known.octets) >= len(part.octets):
            return
        self.octets += len(part.octets) - (len(known.octets) if known else 0)
        self._held[start] = part

    def _in_order(self) -> Iterator[Piece]:
        assert self._next is not None
        while self._starts and self._starts[0] <= self._next:
            start = heappop(self._starts)
            octets, stamp = self._held.pop(start)
            self.octets -= len(octets) + _OVERHEAD
            fresh = octets[self._next - start :]
            if fresh:
                yield self._fresh(fresh, max(self._stamp, stamp))
        if self._fin is not None and self._next >= self._fin:
            self.end()

    def _fresh(self, octets: bytes, stamp: Stamp) -> Piece:
        """Return the next octets as a piece."""
        assert self._next is not None
        self._next += len(octets)
        self._stamp = stamp
        follows, self._follows = self._follows, True
        return Piece(octets, stamp, follows)


class Connection:
    """Both directions of one TCP connection, each by the end that sends.

    tentative: nobody knows yet whether it is wanted, so nothing that is lost of it counts.
    """

    def __init__(self, one: End, other: End, *, tentative: bool = False) -> None:
        self.directions = {one: Direction(), other: Direction()}
        self.tentative = tentative


class Found(NamedTuple):
    """A piece, of which connection, and who sent it."""

    connection: Connection
    sender: End
    piece: Piece


class TcpStreams:
    """All connections of a capture. `drops` counts what was given up, and why."""

    def __init__(self) -> None:
        self.drops: Counter[DropReason] = Counter()
        self._connections: OrderedDict[frozenset[End], Connection] = OrderedDict()
        self._waiting: OrderedDict[Direction, tuple[Connection, End]] = OrderedDict()
        self._octets = 0

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def octets(self) -> int:
        """What all directions hold."""
        return self._octets

    def knows(self, one: End, other: End) -> bool:
        """Whether the connection between two ends is followed."""
        return frozenset((one, other)) in self._connections

    def add(
        self,
        source: bytes,
        destination: bytes,
        segment: TcpSegment,
        stamp: Stamp,
        *,
        tentative: bool = False,
    ) -> list[Found]:
        """Take a segment between two packed addresses; return what is in order with it.

        tentative: of the connection, if it is a new one.
        """
        sender, receiver = (source, segment.source_port), (destination, segment.destination_port)
        key = frozenset((sender, receiver))
        connection = self._connections.get(key)
        if connection is not None and connection.directions[sender].begins_anew(segment):
            self._forget(key)
            connection = None
        if connection is None:
            if not (segment.payload or segment.flags & _SYN):
                return []
            connection = Connection(sender, receiver, tentative=tentative)
            self._connections[key] = connection
        self._connections.move_to_end(key)
        direction = connection.directions[sender]
        found = self._take(connection, sender, direction.add(segment, stamp))
        if connection.tentative and direction.octets > MAX_TENTATIVE_OCTETS:
            self._forget(key)
        elif len(self._connections) > MAX_CONNECTIONS:
            key, oldest = next(iter(self._connections.items()))
            if not oldest.tentative:
                self.drops[DropReason.STREAM_LIMIT] += 1
            self._forget(key)
        while self._octets > MAX_OCTETS:
            found += self._skip(next(iter(self._waiting)))
        return found

    def ignore(self, connection: Connection) -> None:
        """Hold and find nothing more of a connection; forget a tentative one."""
        key = frozenset(connection.directions)
        if connection.tentative and self._connections.get(key) is connection:
            self._forget(key)
        for direction in connection.directions.values():
            self._forget_held(direction)
            direction.end()

    def finish(self) -> list[Found]:
        """Return what waits behind gaps: no more segments come."""
        found: list[Found] = []
        while self._waiting:
            found += self._skip(next(iter(self._waiting)))
        return found

    def _skip(self, direction: Direction) -> list[Found]:
        connection, sender = self._waiting[direction]
        return self._take(connection, sender, connection.directions[sender].skip())

    def _take(self, connection: Connection, sender: End, pieces: Iterator[Piece]) -> list[Found]:
        """Collect pieces, and keep the account of what is held and was given up."""
        direction = connection.directions[sender]
        octets, gaps = direction.octets, direction.gaps
        found = [Found(connection, sender, piece) for piece in pieces]
        self._octets += direction.octets - octets
        if direction.gaps > gaps and not connection.tentative:
            self.drops[DropReason.TCP_GAP] += direction.gaps - gaps
        if direction.waits:
            self._waiting.setdefault(direction, (connection, sender))
        else:
            self._waiting.pop(direction, None)
        return found

    def _forget(self, key: frozenset[End]) -> None:
        for direction in self._connections.pop(key).directions.values():
            self._forget_held(direction)

    def _forget_held(self, direction: Direction) -> None:
        self._octets -= direction.octets
        self._waiting.pop(direction, None)
