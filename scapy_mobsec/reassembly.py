"""TCP connections of a capture, both directions put together again, bounded.

A SYN in a stream that goes on is ignored, as a receiver does (RFC 5961 section 4), unless more
shows that another connection is between the two ends now. What ended stays known, so that late
repetitions begin nothing new. Where room is needed, connections that are known to be wanted stay
longer than others.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.tcp import TcpFlag, TcpSegment
from scapy_mobsec.places import Places
from scapy_mobsec.tcp_direction import Direction, Piece, Stamp

MAX_OCTETS = 16 << 20
"""What all directions hold."""
MAX_TENTATIVE_OCTETS = 256 << 10
"""What one direction holds of a connection that may be none of ours."""
MAX_CONNECTIONS = 16_384

NEVER = 1 << 63
"""Later than any time."""

_NUMBERS = 1 << 32
_SYN, _ACK = int(TcpFlag.SYN), int(TcpFlag.ACK)

End = tuple[bytes, int]
"""Packed address and port."""


class Connection:
    """Both directions of one TCP connection, each by the end that sends.

    tentative: nobody knows yet whether it is wanted, so nothing that is lost of it counts.
    wanted: it is, and keeps its place longer than others (`TcpStreams.keep`). opener: the end that
    asked for it, None while no SYN showed that.
    """

    def __init__(self, one: End, other: End, *, tentative: bool = False) -> None:
        self.directions = {one: Direction(), other: Direction()}
        self.tentative = tentative
        self.wanted = False
        self.opener: End | None = None
        self._syns: dict[End, tuple[TcpSegment, Stamp]] = {}
        """Of another stream between the same ends, if more shows that."""

    @property
    def is_over(self) -> bool:
        """Whether both ends have said all."""
        one, other = self.directions.values()
        return one.ended and other.ended

    def add(self, sender: End, segment: TcpSegment, stamp: Stamp) -> Iterator[Piece]:
        """Take a segment; yield what is in order now. To be exhausted."""
        if segment.flags & _SYN:
            is_answer = bool(segment.flags & _ACK)
            self.opener = next(end for end in self.directions if (end != sender) is is_answer)
        return self.directions[sender].add(segment, stamp)

    def is_over_by(self, sender: End, segment: TcpSegment, stamp: Stamp) -> bool:
        """Whether a segment shows that another stream is between the two ends now.

        A SYN does so behind the end of a stream, and where the other end has sent one, too; else
        what comes directly behind it does, if the stream does not go on before.
        """
        if not (segment.flags & _SYN or self._syns):
            return False
        direction = self.directions[sender]
        if segment.flags & _SYN:
            is_of_another = direction.is_of_another(segment)
            if any(end != sender for end in self._syns):
                return is_of_another or not direction.begun
            if is_of_another and not direction.ended:
                self._syns[sender] = segment, stamp
            return is_of_another and direction.ended
        if sender not in self._syns:
            return False
        if direction.is_next(segment):
            del self._syns[sender]
            return False
        syn, _ = self._syns[sender]
        return segment.sequence == (syn.sequence + 1) % _NUMBERS

    def syns_but(self, sender: End, segment: TcpSegment) -> list[tuple[End, TcpSegment, Stamp]]:
        """Return the SYNs of the other stream, before a segment with which it showed."""
        syns = self._syns.items()
        return [(end, *syn) for end, syn in syns if end != sender or not segment.flags & _SYN]


class Found(NamedTuple):
    """A piece, of which connection, and who sent it."""

    connection: Connection
    sender: End
    piece: Piece


class TcpStreams:
    """All connections of a capture. `drops` counts what was given up, and why.

    due: when `expire` is to be called: something is given up then.
    """

    def __init__(self) -> None:
        self.drops: Counter[DropReason] = Counter()
        self.due = NEVER
        self._connections: Places[frozenset[End], Connection] = Places(MAX_CONNECTIONS)
        self._waiting: OrderedDict[Direction, tuple[Connection, End]] = OrderedDict()
        self._timers: list[tuple[int, int, Direction]] = []
        """One of each direction that waits, at its `due` or before."""
        self._serial = count()
        self._over: list[Connection] = []
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
        found: list[Found] = []
        connection = self._connections.get(key)
        before: list[tuple[End, TcpSegment, Stamp]] = []
        if connection is not None and connection.is_over_by(sender, segment, stamp):
            before = connection.syns_but(sender, segment)
            found = self._flush(connection, stamp)
            connection = None
        if connection is None:
            if not (before or segment.payload or segment.flags & _SYN):
                return found
            connection = Connection(sender, receiver, tentative=tentative)
        for end, syn, when in before:
            found += self._take(connection, end, connection.add(end, syn, when))
        found += self._take(connection, sender, connection.add(sender, segment, stamp))
        if connection.tentative and connection.directions[sender].octets > MAX_TENTATIVE_OCTETS:
            self._connections.pop(key)
            self._forget(connection)
            return found
        wanted = connection.wanted and not connection.is_over
        gone = self._connections.put(key, connection, wanted=wanted)
        if gone is not None:
            if not (gone.tentative or gone.is_over):
                self.drops[DropReason.STREAM_LIMIT] += 1
            found += self._flush(gone, stamp)
        while self._octets > MAX_OCTETS:
            found += self._skip(next(iter(self._waiting)), stamp.time_ns)
        return found

    def keep(self, connection: Connection) -> None:
        """Let a connection stay longer than others: it is wanted."""
        key = frozenset(connection.directions)
        connection.wanted = True
        if self._connections.get(key) is connection:
            self._connections.put(key, connection, wanted=True)

    def ignore(self, connection: Connection) -> None:
        """Hold and find nothing more of a connection; forget a tentative one."""
        key = frozenset(connection.directions)
        if connection.tentative and self._connections.get(key) is connection:
            self._connections.pop(key)
        self._forget(connection)

    def expire(self, now_ns: int) -> list[Found]:
        """Return what comes behind that which was waited for long enough."""
        found: list[Found] = []
        while self._timers and self._timers[0][0] < now_ns:
            *_, direction = heappop(self._timers)
            direction.timed = False
            if direction.due is not None and direction.due < now_ns:
                found += self._skip(direction, now_ns)
            else:
                self._time(direction)
        self.due = self._timers[0][0] if self._timers else NEVER
        return found

    def finish(self) -> list[Found]:
        """Return what waits behind gaps: no more segments come."""
        found: list[Found] = []
        while self._waiting:
            found += self._skip(next(iter(self._waiting)), 0)
        return found

    def take_over(self) -> list[Connection]:
        """Return the connections that have come to their end, each once."""
        over, self._over = self._over, []
        return over

    def _skip(self, direction: Direction, now_ns: int) -> list[Found]:
        connection, sender = self._waiting[direction]
        return self._take(connection, sender, connection.directions[sender].skip(now_ns))

    def _take(self, connection: Connection, sender: End, pieces: Iterator[Piece]) -> list[Found]:
        """Collect pieces, and keep the account of what is held and was given up."""
        direction = connection.directions[sender]
        octets, gaps, ended = direction.octets, direction.gaps, direction.ended
        found = [Found(connection, sender, piece) for piece in pieces]
        self._octets += direction.octets - octets
        if direction.gaps > gaps and not connection.tentative:
            self.drops[DropReason.TCP_GAP] += direction.gaps - gaps
        if direction.waits:
            self._waiting.setdefault(direction, (connection, sender))
            self._time(direction)
        else:
            self._waiting.pop(direction, None)
            if direction.ended and not ended and connection.is_over:
                self._over.append(connection)
        return found

    def _time(self, direction: Direction) -> None:
        """See to it that `expire` comes to a direction."""
        if direction.due is not None and not direction.timed:
            direction.timed = True
            heappush(self._timers, (direction.due, next(self._serial), direction))
            self.due = self._timers[0][0]

    def _flush(self, connection: Connection, stamp: Stamp) -> list[Found]:
        """Forget a connection; return what of it waits behind gaps."""
        found: list[Found] = []
        for direction in connection.directions.values():
            while direction.waits and not connection.tentative:
                found += self._skip(direction, stamp.time_ns)
        self._connections.pop(frozenset(connection.directions))
        self._forget(connection)
        self._over.append(connection)
        return found

    def _forget(self, connection: Connection) -> None:
        for direction in connection.directions.values():
            self._octets -= direction.octets
            self._waiting.pop(direction, None)
            direction.end()
