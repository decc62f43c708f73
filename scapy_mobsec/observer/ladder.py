"""The signalling of each link in the order of time, with the data in between counted.

Messages without an SA of a link (IKE, NAT keepalives, what no key opens) are kept by their two
addresses and handed to the link that was seen between these, whichever comes first.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from scapy_mobsec.drops import DropReason
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.outer import Outer, OuterPair
from scapy_mobsec.observer.seen import PacketType, SeenPacket

MAX_ROWS = 20_000
MAX_LADDERS = 1024
MAX_KINDS = 256
"""Of packets in one run: kinds beyond that begin a new one."""

SIGNALLING = frozenset({PacketType.RREQ, PacketType.RREP, PacketType.IKE})
_Addresses: TypeAlias = frozenset[bytes]


class Kind(NamedTuple):
    """What is counted together. forward: of its SA, None where the link is not known."""

    type: PacketType
    outer: Outer
    dropped: DropReason | None
    forward: bool | None


@dataclass(slots=True)
class Run:
    """Packets by one path that signal nothing, one after the other. move: the first one made it."""

    frame: int
    time_ns: int
    path: OuterPair
    move: Move | None = None
    last_time: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)

    def has_room(self, kind: Kind) -> bool:
        """Whether a packet can be counted here."""
        known = kind in self.counts
        return known or (kind.outer.pair == self.path and len(self.counts) < MAX_KINDS)


Row: TypeAlias = SeenPacket | Run


@dataclass(slots=True)
class Ladder:
    """What passed between two terminals. link: its number, None where no key opened anything."""

    link: int | None
    rows: list[Row] = field(default_factory=list)
    addresses: set[_Addresses] = field(default_factory=set)

    def packets(self) -> Iterator[tuple[Outer, bool | None]]:
        """The path of each row's packets and their direction, where that is known."""
        for row in self.rows:
            if isinstance(row, Run):
                for kind in row.counts:
                    yield kind.outer, kind.forward
            else:
                yield row.outer, row.sa.forward if _is_linked(row) and row.sa else None


class Ladders:
    """Takes the packets of a capture; at most 20,000 rows and 1024 ladders are kept."""

    def __init__(self) -> None:
        self.not_kept = 0
        """Packets without room."""
        self._ladders: dict[int | _Addresses, Ladder] = {}
        self._links: dict[_Addresses, int] = {}
        """The link that was seen first between two addresses."""
        self._rows = 0

    def take(self, seen: SeenPacket) -> None:
        """Add a packet."""
        ladder = self._ladder(seen)
        if ladder is None:
            self.not_kept += 1
            return
        if seen.type in SIGNALLING:
            # What it carried is in the message: a row is small.
            opened = seen.opened._replace(payload=b"") if seen.opened else None
            self._add(ladder, seen._replace(opened=opened))
            return
        forward = seen.sa.forward if seen.sa is not None and _is_linked(seen) else None
        kind = Kind(seen.type, seen.outer, seen.dropped, forward)
        run = ladder.rows[-1] if ladder.rows else None
        if not isinstance(run, Run) or seen.move or not run.has_room(kind):
            run = Run(seen.frame, seen.time_ns, seen.outer.pair, seen.move)
            if not self._add(ladder, run):
                return
        run.counts[kind] += 1
        run.last_time = max(run.last_time, seen.time_ns)

    def ladders(self) -> list[Ladder]:
        """All of them: the links by number, then what belongs to none."""
        filled = [each for each in self._ladders.values() if each.rows]
        linked = [each for each in filled if each.link is not None]
        linked = [Ladder(each.link, list(each.rows), each.addresses) for each in linked]
        others = [each for each in filled if each.link is None]
        owners = {pair: ladder for ladder in reversed(linked) for pair in ladder.addresses}
        alone = []
        for other in others:
            (pair,) = other.addresses
            owner = owners.get(pair)
            if owner is None:
                alone.append(other)
            else:
                owner.rows += other.rows
        for ladder in linked:
            ladder.rows.sort(key=lambda row: row.frame)
        return sorted(linked, key=lambda ladder: ladder.link or 0) + alone

    def _ladder(self, seen: SeenPacket) -> Ladder | None:
        pair = frozenset((seen.outer.source, seen.outer.destination))
        link = seen.sa.link if seen.sa is not None and _is_linked(seen) else None
        if link is None:
            link = self._links.get(pair)
        elif len(self._links) < MAX_ROWS:
            self._links.setdefault(pair, link)
        key = pair if link is None else link
        ladder = self._ladders.get(key)
        if ladder is None:
            if len(self._ladders) >= MAX_LADDERS:
                return None
            ladder = self._ladders[key] = Ladder(link)
        if len(ladder.addresses) < MAX_LADDERS:
            ladder.addresses.add(pair)
        return ladder

    def _add(self, ladder: Ladder, row: Row) -> bool:
        """Returns whether there was room."""
        if self._rows >= MAX_ROWS:
            self.not_kept += 1
            return False
        self._rows += 1
        ladder.rows.append(row)
        return True


def _is_linked(seen: SeenPacket) -> bool:
    """A packet whose ICV is wrong may be of anybody."""
    return seen.type is not PacketType.ENCRYPTED and seen.sa is not None
