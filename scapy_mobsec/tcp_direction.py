"""One direction of a TCP stream put together again (RFC 9293 section 3.4), bounded.

Octets come out once and in order, whatever was cut, reordered or repeated; of octets that overlap,
those that came out first count. A gap is waited for: 60 s of capture time without progress, or as
much as may be held. Then the stream goes on behind it, and says so: no octets are made up. A stream
without its SYN begins with the lowest number of its first 200 ms. RST counts only with the number
that is next (RFC 5961 section 3.2), FIN only in the window.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from scapy_mobsec.packet.tcp import TcpFlag, TcpSegment

MAX_WAIT_NS = 60_000_000_000
MAX_WAIT_FOR_BEGINNING_NS = 200_000_000
MAX_STREAM_OCTETS = 1 << 20
"""What one direction holds behind a gap."""
MAX_BEGINNING_OCTETS = 64 << 10
"""What one direction holds before it begins without a SYN."""

_OVERHEAD = 128
"""What a held segment counts beyond its octets, so that tiny ones are bounded too."""
_NUMBERS = 1 << 32
_FIN, _SYN, _RST = map(int, (TcpFlag.FIN, TcpFlag.SYN, TcpFlag.RST))


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
    """What one end sent. Positions are sequence numbers that do not wrap.

    octets: what is held, with overhead. gaps: how many were given up. due: when what is waited for
    is given up, None while nothing is. timed: somebody sees to that. begun: it is known where.
    """

    def __init__(self) -> None:
        self.octets = 0
        self.gaps = 0
        self.due: int | None = None
        self.timed = False
        self.ended = False
        self.begun = False
        self._first = 0
        """Where it began."""
        self._next: int | None = None
        """Before it began: any position, from which others are told."""
        self._fin: int | None = None
        self._held: dict[int, _Held] = {}
        self._starts: list[int] = []
        self._stamp = Stamp(0, 0)
        self._follows = True

    def add(self, segment: TcpSegment, stamp: Stamp) -> Iterator[Piece]:
        """Take a segment; yield what is in order now. To be exhausted."""
        if self.ended or not (self.begun or segment.payload or segment.flags & (_SYN | _FIN)):
            return
        if self._next is None:
            self._next = segment.sequence
        start = self._position(segment.sequence)
        if segment.flags & _SYN:
            start += 1
            if not self.begun:
                self._begin(start)
                self._wait_from(stamp.time_ns)
            elif not self._is_first(start):
                return
        if segment.flags & _RST:
            if start == self._next and self.begun:
                self.end()
            return
        if segment.flags & _FIN:
            self._note_fin(start + len(segment.payload))
        if (
            start == self._next
            and segment.payload
            and not self._held
            and self.begun
            and self._fin is None
        ):
            yield self._fresh(segment.payload, stamp)  # as usual: no need to hold it
            return
        yield from self._wait(start, segment.payload, stamp)

    def _wait(self, start: int, octets: bytes, stamp: Stamp) -> Iterator[Piece]:
        """Hold octets, until they are in order or nothing is waited for any more."""
        waits_for, limit = self._next if self._held else None, MAX_STREAM_OCTETS
        self._hold(start, _Held(octets, stamp))
        if not self.begun:
            limit = MAX_BEGINNING_OCTETS
            if self.due is None and self._held:
                self.due = stamp.time_ns + MAX_WAIT_FOR_BEGINNING_NS
        else:
            yield from self._in_order()
            if self._next != waits_for:
                self._wait_from(stamp.time_ns)
        while self.octets > limit or (self.due is not None and stamp.time_ns > self.due):
            yield from self.skip(stamp.time_ns)
            limit = MAX_STREAM_OCTETS

    def skip(self, now_ns: int) -> Iterator[Piece]:
        """Give up what is waited for; yield what comes behind it. To be exhausted."""
        if not self._starts:
            return
        if self.begun:
            self.gaps += 1
            self._next = self._starts[0]
        else:
            self._begin(self._starts[0])
        self._follows = False
        yield from self._in_order()
        self._wait_from(now_ns)

    def end(self) -> None:
        """Forget what is held, and take no more."""
        self.ended = True
        self._held.clear()
        self._starts.clear()
        self.octets, self.due = 0, None

    def is_of_another(self, syn: TcpSegment) -> bool:
        """Whether a SYN is not the one that this stream began with, or may have begun with."""
        if self._next is None:
            return False
        first = self._position(syn.sequence) + 1
        if self.begun:
            return not self._is_first(first)
        return bool(self._starts) and not 0 <= self._starts[0] - first <= MAX_STREAM_OCTETS

    def is_next(self, segment: TcpSegment) -> bool:
        """Whether this segment goes on with the stream."""
        return self.begun and self._position(segment.sequence) == self._next

    @property
    def waits(self) -> bool:
        """Whether octets are held behind a gap."""
        return bool(self._held)

    def _is_first(self, position: int) -> bool:
        return (position - self._first) % _NUMBERS == 0

    def _begin(self, at: int) -> None:
        self.begun, self._first, self._next = True, at, at
        if self._fin is not None and self._fin < at:
            self._fin = None

    def _wait_from(self, now_ns: int) -> None:
        self.due = now_ns + MAX_WAIT_NS if self._held else None

    def _note_fin(self, end: int) -> None:
        """Take what a FIN says, if a receiver would: what it ends is still to come."""
        assert self._next is not None
        is_near = 0 <= end - self._next <= MAX_STREAM_OCTETS
        if self._fin is None and (is_near or not self.begun):
            self._fin = end

    def _position(self, sequence: int) -> int:
        """The position that a 32-bit sequence number stands for: the one nearest to the next."""
        assert self._next is not None
        half = _NUMBERS // 2
        return self._next + (sequence - self._next + half) % _NUMBERS - half

    def _hold(self, start: int, part: _Held) -> None:
        assert self._next is not None
        if self.begun and start + len(part.octets) <= self._next:
            return
        if not part.octets and not (self.begun and start - self._next <= MAX_STREAM_OCTETS):
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
