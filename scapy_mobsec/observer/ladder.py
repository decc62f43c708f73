"""The signalling of each link in the order of time, with the data in between counted.

IKE belongs to the link of its CHILD_SAs. Where these are not known, and for what else is of no SA
of a link (NAT keepalives, what no key opens), the two endpoints tell, or else the two addresses, if
one link alone was seen between them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias, TypeVar

from scapy_mobsec.drops import DropReason
from scapy_mobsec.ike.message import HEADER
from scapy_mobsec.ike.numbers import Protocol
from scapy_mobsec.observer.ike_sa import ObservedIkeSa
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.outer import Outer, OuterPair
from scapy_mobsec.observer.seen import PacketType, SeenPacket

MAX_ROWS = 20_000
MAX_LADDERS = 1024
MAX_KINDS = 256
"""Of packets in one run: kinds beyond that begin a new one."""

SIGNALLING = frozenset({PacketType.RREQ, PacketType.RREP, PacketType.IKE})
_Addresses: TypeAlias = frozenset[bytes]
K = TypeVar("K")


class Kind(NamedTuple):
    """What is counted together. forward: of its SA, None where the link is not known.

    unverified: decrypted without an integrity key.
    """

    type: PacketType
    outer: Outer
    dropped: DropReason | None
    forward: bool | None
    unverified: bool


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
    pairs: set[OuterPair] = field(default_factory=set)
    ike: ObservedIkeSa | None = None
    """Whose messages these are, where no link is known."""

    @property
    def addresses(self) -> set[_Addresses]:
        """Between which addresses its packets went."""
        return {_addresses(pair) for pair in self.pairs}

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
        self._ladders: dict[int | OuterPair, Ladder] = {}
        self._of_ike: dict[int, Ladder] = {}
        """By identity of the IKE SA, until its link is known."""
        self._links: defaultdict[OuterPair | _Addresses, set[int]] = defaultdict(set)
        """Those that were seen between two endpoints, and between two addresses."""
        self._of_spi: dict[tuple[bool, int], int] = {}
        """The link of an SA, by whether it is AH, and its SPI."""
        self._ended: set[_Addresses] = set()
        """Where an IKE message ends the run of a link that is not known yet."""
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
            kept = seen.octets[: HEADER.size] if seen.type is PacketType.IKE else b""
            self._add(ladder, seen._replace(opened=opened, octets=kept))
            return
        forward = seen.sa.forward if seen.sa is not None and _is_linked(seen) else None
        unverified = seen.opened is not None and not seen.opened.verified
        kind = Kind(seen.type, seen.outer, seen.dropped, forward, unverified)
        run = ladder.rows[-1] if ladder.rows else None
        ended = bool(self._ended) and _addresses(seen.outer.pair) in self._ended
        if not isinstance(run, Run) or seen.move or ended or not run.has_room(kind):
            self._ended.discard(_addresses(seen.outer.pair))
            run = Run(seen.frame, seen.time_ns, seen.outer.pair, seen.move)
            if not self._add(ladder, run):
                return
        run.counts[kind] += 1
        run.last_time = max(run.last_time, seen.time_ns)

    def ladders(self) -> list[Ladder]:
        """All of them: the links by number, then what belongs to none."""
        kept = [*self._ladders.values(), *self._of_ike.values()]
        kept = [replace(each, rows=list(each.rows)) for each in kept if each.rows]
        linked: dict[int, Ladder] = {each.link: each for each in kept if each.link is not None}
        alone: list[Ladder] = []
        places: dict[_Addresses, Ladder] = {}
        for other in (each for each in kept if each.link is None):
            links = self._links_of(other)
            owner = linked.get(min(links)) if len(links) == 1 else None
            if not links:
                owner = next((places[pair] for pair in other.addresses if pair in places), None)
            if owner is None:
                alone.append(other)
                places.update(dict.fromkeys(other.addresses, other))
            else:
                owner.rows += other.rows
                owner.ike = None
        for ladder in (*linked.values(), *alone):
            ladder.rows.sort(key=lambda row: row.frame)
        return [linked[number] for number in sorted(linked)] + alone

    def _links_of(self, ladder: Ladder) -> set[int]:
        """The links to which rows without one may belong."""
        if ladder.ike is not None:
            link = self._link_of_ike(ladder.ike)
            if link is not None:
                return {link}
            if ladder.ike.child_spis:
                return set()
        return self._links_between(ladder.pairs)

    def _links_between(self, pairs: Iterable[OuterPair]) -> set[int]:
        """The links of these endpoints, or else of their addresses."""
        found = {link for pair in pairs for link in self._links.get(pair, ())}
        return found or {link for pair in pairs for link in self._links.get(_addresses(pair), ())}

    def _link_of_ike(self, sa: ObservedIkeSa) -> int | None:
        """The link of the newest CHILD_SA that carried something."""
        spis = ((protocol == Protocol.AH, spi) for protocol, spi in reversed(sa.child_spis))
        return next((self._of_spi[spi] for spi in spis if spi in self._of_spi), None)

    def _ladder(self, seen: SeenPacket) -> Ladder | None:
        pair = seen.outer.pair
        link = seen.sa.link if seen.sa is not None and _is_linked(seen) else None
        if link is not None:
            self._note_link(pair, link, seen)
        elif seen.ike is not None:
            link = self._link_of_ike(seen.ike)
        elif len(links := self._links_between((pair,))) == 1:
            (link,) = links
        if link is None and seen.ike is not None:
            if len(self._ended) < MAX_ROWS:
                self._ended.add(_addresses(pair))
            ladder = self._in(self._of_ike, id(seen.ike), Ladder(None, ike=seen.ike))
        else:
            ladder = self._in(self._ladders, pair if link is None else link, Ladder(link))
        if ladder is not None and len(ladder.pairs) < MAX_LADDERS:
            ladder.pairs.add(pair)
        return ladder

    def _in(self, ladders: dict[K, Ladder], key: K, new: Ladder) -> Ladder | None:
        """Find a ladder, or begin it if there is room."""
        if key not in ladders and len(self._ladders) + len(self._of_ike) >= MAX_LADDERS:
            return None
        return ladders.setdefault(key, new)

    def _note_link(self, pair: OuterPair, link: int, seen: SeenPacket) -> None:
        if len(self._links) < MAX_ROWS and link not in self._links[pair]:
            self._links[pair].add(link)
            self._links[_addresses(pair)].add(link)
        if seen.spi is not None and len(self._of_spi) < MAX_ROWS:
            self._of_spi[seen.outer.ah, seen.spi] = link

    def _add(self, ladder: Ladder, row: Row) -> bool:
        """Returns whether there was room."""
        if self._rows >= MAX_ROWS:
            self.not_kept += 1
            return False
        self._rows += 1
        ladder.rows.append(row)
        return True


def _addresses(pair: OuterPair) -> _Addresses:
    return frozenset(address for address, _ in pair[2])


def _is_linked(seen: SeenPacket) -> bool:
    """A packet whose ICV is wrong may be of anybody."""
    return seen.type is not PacketType.ENCRYPTED and seen.sa is not None
