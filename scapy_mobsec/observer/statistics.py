"""How the data of each link flowed: by which path, how fast, and how long each move stopped it.

Data are packets that a key opens and that are no registration and no dummy. All times are those of
the point of capture, and only what carries data shows: where a packet goes every 100 ms, an
interruption of less than that cannot be told from none.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from scapy_mobsec.observer.associations import ObservedSa
from scapy_mobsec.observer.links import MAX_MOVES, Move
from scapy_mobsec.observer.outer import Outer

MAX_SPANS = 256
"""Of one direction of a link; the newest are kept."""
MAX_KEEPALIVE_PATHS = 4096


@dataclass(slots=True)
class DataSpan:
    """Data of a link in one direction during one stay on one path.

    octets: of the inner packets, first_octets: of the first one. first and last: SA and sequence
    number of these packets. unverified: packets that were decrypted without an integrity key.
    is_left: a move elsewhere was told, so the next packet begins another span. is_late: begun by a
    path that the link had left; it belongs to the span before, unless the link comes back.
    """

    outer: Outer
    first_time: int
    first: tuple[ObservedSa, int]
    first_octets: int
    last_time: int = 0
    last: tuple[ObservedSa, int] | None = None
    packets: int = 0
    octets: int = 0
    unverified: int = 0
    is_left: bool = False
    is_late: bool = False

    @property
    def interval_ns(self) -> int | None:
        """The mean time from one packet to the next, None with less than two."""
        if self.packets < 2:
            return None
        return (self.last_time - self.first_time) // (self.packets - 1)

    @property
    def bits_per_second(self) -> float | None:
        """What came after the first packet, per time since then; None where that is no time."""
        lasted = self.last_time - self.first_time
        return (self.octets - self.first_octets) * 8e9 / lasted if lasted > 0 else None

    def count(
        self, sa: ObservedSa, time_ns: int, sequence: int, octets: int, *, verified: bool
    ) -> None:
        """Add a packet."""
        self.packets += 1
        self.unverified += not verified
        self.octets += octets
        if time_ns >= self.last_time:
            self.last_time = time_ns
        if self.last is None or self.last[0] is not sa or self.last[1] < sequence:
            self.last = sa, sequence

    def absorb(self, late: "DataSpan") -> None:
        """Take over what came late by this path."""
        self.packets += late.packets
        self.octets += late.octets
        self.unverified += late.unverified
        self.last_time = max(self.last_time, late.last_time)
        self.last = late.last


@dataclass(slots=True)
class Interruption:
    """Data in one direction around a move; None where there was none."""

    before: DataSpan | None = None
    after: DataSpan | None = None

    @property
    def verified(self) -> bool:
        """Whether all data before and after were."""
        return not any(span and span.unverified for span in (self.before, self.after))

    @property
    def duration_ns(self) -> int | None:
        """From the last packet by the old path to the first by the new one."""
        if self.before is None or self.after is None:
            return None
        return max(self.after.first_time - self.before.last_time, 0)

    @property
    def missing(self) -> int | None:
        """Sequence numbers in between that the capture has not.

        None where another SA goes on, or where the SA does not remember numbers so low.
        """
        if self.before is None or self.after is None or self.before.last is None:
            return None
        (sa, last), (following, first) = self.before.last, self.after.first
        return sa.seen.missing_between(last, first) if sa is following else None


@dataclass(slots=True)
class Handover:
    """A move, and the data towards the end that stayed and from it."""

    move: Move
    to_peer: Interruption
    from_peer: Interruption

    @property
    def verified(self) -> bool:
        """Whether what told the move was, and the data around it."""
        return self.move.verified and self.to_peer.verified and self.from_peer.verified


@dataclass(slots=True)
class Keepalives:
    """NAT keepalives and dummy packets by one path, in one direction. Times in nanoseconds."""

    first_time: int
    last_time: int
    count: int = 1
    shortest: int | None = None
    longest: int | None = None

    @property
    def interval_ns(self) -> int | None:
        """The mean interval, None with less than two."""
        return (self.last_time - self.first_time) // (self.count - 1) if self.count > 1 else None

    def add(self, time_ns: int) -> None:
        """Count another one."""
        interval = max(time_ns - self.last_time, 0)
        self.shortest = interval if self.shortest is None else min(self.shortest, interval)
        self.longest = interval if self.longest is None else max(self.longest, interval)
        self.last_time = max(time_ns, self.last_time)
        self.count += 1


@dataclass(slots=True)
class LinkData:
    """The data of a link, forward (the way of its first SA) and backward, in the order of time."""

    number: int
    forward: list[DataSpan] = field(default_factory=list)
    backward: list[DataSpan] = field(default_factory=list)
    handovers: list[Handover] = field(default_factory=list)

    def __iter__(self) -> Iterator[DataSpan]:
        yield from self.forward
        yield from self.backward

    def spans(self, forward: bool) -> list[DataSpan]:
        """Those of one direction."""
        return self.forward if forward else self.backward


class Statistics:
    """What is counted of all links of a capture."""

    def __init__(self) -> None:
        self.keepalives: dict[Outer, Keepalives] = {}
        self._links: dict[int, LinkData] = {}
        self._handovers = 0

    @property
    def links(self) -> list[LinkData]:
        """All links that had data or moved, by number."""
        return [self._links[number] for number in sorted(self._links)]

    @property
    def handovers(self) -> list[Handover]:
        """Those of all links, in the order of time."""
        found = [handover for link in self._links.values() for handover in link.handovers]
        return sorted(found, key=lambda handover: handover.move.frame)

    def part(
        self, links: Container[int | None], frames: Container[int], paths: Container[Outer]
    ) -> "Statistics":
        """What is counted of these links, of the moves told by these frames, and by these paths."""
        part = Statistics()
        for number, link in self._links.items():
            kept = [each for each in link.handovers if each.move.frame in frames]
            spans = (link.forward, link.backward) if number in links else ([], [])
            if kept or any(spans):
                part._links[number] = LinkData(number, *spans, kept)
        part.keepalives = {outer: kept for outer, kept in self.keepalives.items() if outer in paths}
        return part

    def note_move(self, move: Move, *, forward: bool) -> None:
        """Take a move, before the packet that made it. forward: the direction of `move.new`."""
        link = self._link(move.link)
        if self._handovers >= MAX_MOVES or (link.handovers and link.handovers[-1].move is move):
            return
        self._handovers += 1
        to_peer = forward if move.moved != "destination" else not forward
        there, back = link.spans(to_peer), link.spans(not to_peer)
        if back and back[-1].outer.pair == move.new.pair:
            # The end that stayed learns of the move only now: what it sent was still under way.
            _join_late(back)
        link.handovers.append(Handover(move, _around(move, there), _around(move, back)))

    def _link(self, number: int) -> LinkData:
        link = self._links.get(number)
        if link is None:
            link = self._links[number] = LinkData(number)
        return link

    def note_keepalive(self, outer: Outer, time_ns: int) -> None:
        """Take a NAT keepalive or a dummy packet."""
        known = self.keepalives.get(outer)
        if known is not None:
            known.add(time_ns)
        elif len(self.keepalives) < MAX_KEEPALIVE_PATHS:
            self.keepalives[outer] = Keepalives(time_ns, time_ns)

    def note_data(
        self,
        sa: ObservedSa,
        outer: Outer,
        time_ns: int,
        sequence: int,
        octets: int,
        *,
        newest: bool,
        verified: bool,
    ) -> None:
        """Take a packet with data; octets: of the inner packet. newest: of its SA."""
        if sa.link is None:
            return
        link = self._link(sa.link)
        spans = link.forward if sa.forward else link.backward
        span = spans[-1] if spans else None
        if span is not None and (span.is_left or span.outer != outer):
            earlier = () if newest else reversed(spans)
            span = next((each for each in earlier if each.outer == outer), None)
        if span is None:
            if spans and not newest:
                return
            span = DataSpan(outer, time_ns, (sa, sequence), octets)
            _begin(link, spans, span)
        span.count(sa, time_ns, sequence, octets, verified=verified)


def _around(move: Move, spans: list[DataSpan]) -> Interruption:
    """What is known of one direction when a move is told: data may go by its new path already."""
    newest = spans[-1] if spans else None
    if newest is None or newest.is_left:
        return Interruption(newest)
    if newest.outer.pair != move.new.pair:
        newest.is_left = True
        return Interruption(newest)
    newest.is_late = False
    return Interruption(spans[-2] if len(spans) > 1 else None, newest)


def _join_late(spans: list[DataSpan]) -> None:
    """Add what came late by a path that the link had left to the stay before."""
    if len(spans) > 1 and spans[-1].is_late:
        late = spans.pop()
        spans[-1].absorb(late)


def _begin(link: LinkData, spans: list[DataSpan], span: DataSpan) -> None:
    """Begin another span; where the link had come to its path, the newest handover is over."""
    arrives = bool(link.handovers) and link.handovers[-1].move.new.pair == span.outer.pair
    if spans and spans[-1].outer == span.outer:
        span.is_late = not arrives
    else:
        _join_late(spans)
    before = spans[-1] if spans else None
    spans.append(span)
    if len(spans) > MAX_SPANS:
        del spans[0]
    if not arrives:
        return
    handover = link.handovers[-1]
    same_way = handover.move.new == span.outer
    to_peer = same_way != (handover.move.moved == "destination")
    interruption = handover.to_peer if to_peer else handover.from_peer
    if interruption.after is None:
        interruption.before, interruption.after = before, span
