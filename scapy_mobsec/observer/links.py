"""Links and their moves, told from authentic packets alone.

A link is all SAs that two terminals share. SAs belong together when they run between the same
two outer endpoints, or when they carry traffic between the same two inner addresses and one outer
address stayed: so a re-keyed SA is recognised after a move, too. A link has moved when the newest
packet of one of its SAs comes by other outer endpoints than before; the reverse SA and re-keyed
ones that follow to the same endpoints belong to that move.

Where terminals register, data of the mobile one moves nothing: the other one follows its RREQs,
what it proves on a path (CONFIRM), and what it finds out itself, which its own packets show.
"""

from dataclasses import dataclass, field
from enum import Enum

from scapy_mobsec.observer.associations import ObservedSa
from scapy_mobsec.observer.outer import Outer, OuterPair
from scapy_mobsec.observer.signs import Sign, sign_of
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.messages import RegistrationReply, RegistrationRequest
from scapy_mobsec.registration.serial import is_newer_attempt

MAX_INNER_PAIRS = 65_536
MAX_MOVES = 20_000

MAX_LEFT = 64
MAX_PATHS = 8
"""RREQs of one attempt; Y admits as many paths."""

Inner = tuple[bytes, bytes]


class Evidence(Enum):
    """What was first seen at the new outer address."""

    REGISTRATION = "registration"
    VALIDATION = "validation"
    DATA = "data"
    MOBIKE = "mobike"
    """UPDATE_SA_ADDRESSES of IKEv2 (RFC 4555)."""


_EVIDENCE = {
    Sign.ASKS: Evidence.REGISTRATION,
    Sign.USES: Evidence.REGISTRATION,
    Sign.VALIDATES: Evidence.VALIDATION,
    Sign.DATA: Evidence.DATA,
}
# A look-up in an Enum is slow.
_DATA, _NOTHING, _VALIDATES = Sign.DATA, Sign.NOTHING, Sign.VALIDATES
_OF_MOBILE = (Sign.ASKS, Sign.ASKS_AMONG_OTHERS, Sign.VALIDATES)
"""What the mobile terminal alone says."""


@dataclass(slots=True)
class Move:
    """A link's change of outer endpoints. `old` and `new` in the direction of the first SA.

    `verified`: nothing that told it was decrypted without an integrity key.
    """

    link: int
    time_ns: int
    frame: int
    old: Outer
    new: Outer
    evidence: Evidence
    signalled: bool
    spis: list[int]
    refused: bool = False
    """The registration that told it was refused."""
    verified: bool = True

    @property
    def moved(self) -> str:
        """What changed, seen in the direction of `new`: source, destination, both, encapsulation.

        Encapsulation: neither address changed. Where it changed too, ports do not count.
        """
        old, new = self.old, self.new
        if old.carrier == new.carrier:
            source = old.source_endpoint != new.source_endpoint
            destination = old.destination_endpoint != new.destination_endpoint
        else:
            source = old.source != new.source
            destination = old.destination != new.destination
        if source and destination:
            return "both"
        return "source" if source else "destination" if destination else "encapsulation"

    @property
    def left(self) -> Endpoint:
        """The endpoint that was given up; the source, unless the destination alone moved."""
        at_destination = self.moved == "destination"
        return self.old.destination_endpoint if at_destination else self.old.source_endpoint

    @property
    def reached(self) -> Endpoint:
        """The endpoint in its place."""
        at_destination = self.moved == "destination"
        return self.new.destination_endpoint if at_destination else self.new.source_endpoint

    @property
    def peer(self) -> Endpoint | None:
        """The end that stayed, None where both changed."""
        if self.moved == "both":
            return None
        at_destination = self.moved == "destination"
        return self.new.source_endpoint if at_destination else self.new.destination_endpoint


@dataclass(slots=True)
class ObservedLink:
    """The SAs that two terminals share. `outer`: the newest one on the current endpoints.

    `forward`: that `outer` goes the way of the link's first SA. `attempt`: the newest attempt that
    was seen to register it; `is_validated`: on these endpoints. `asking`: a newer one that began
    with several RREQs; `asked`: time and frame of the first one of these on each way.
    `is_answered`: an RREP was seen.
    """

    number: int
    outer: Outer
    forward: bool = True
    last_move: Move | None = None
    attempt: int | None = None
    is_validated: bool = False
    asking: int | None = None
    is_answered: bool = False
    asked: dict[OuterPair, tuple[int, int]] = field(default_factory=dict)
    left: list[OuterPair] = field(default_factory=list)
    """Where it was before, the last 64."""

    def is_newer(self, attempt: int) -> bool:
        """Whether an attempt is newer than all that were seen to register it."""
        return self.attempt is None or is_newer_attempt(attempt, self.attempt)

    def begin(self, attempt: int) -> None:
        """Note a newer attempt."""
        self.attempt, self.is_validated, self.asking = attempt, False, None

    def ask(self, attempt: int, pair: OuterPair, time_ns: int, frame: int) -> None:
        """Note an RREQ that is one of several."""
        if self.is_newer(attempt) and attempt != self.asking:
            self.asking = attempt
            self.asked.clear()
        if attempt == self.asking and len(self.asked) < MAX_PATHS:
            self.asked.setdefault(pair, (time_ns, frame))


class Links:
    """All links of a capture and the moves they made."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.moves_not_kept = 0
        self.newest_move: Move | None = None
        self._links: list[ObservedLink] = []
        self._by_inner: dict[Inner, tuple[ObservedLink, Outer]] = {}
        self._by_pair: dict[OuterPair, ObservedLink] = {}

    def __len__(self) -> int:
        return len(self._links)

    def follow(
        self,
        sa: ObservedSa,
        outer: Outer,
        inner: Inner | None,
        message: RegistrationRequest | RegistrationReply | None,
        time_ns: int,
        frame: int,
        *,
        verified: bool,
    ) -> Move | None:
        """Take note of the newest authentic packet of an SA; return the move that it made.

        `inner`: source and destination inside the tunnel. `message`: None in data. Call it with no
        other packet.
        """
        sign = sign_of(message)
        if sign is _NOTHING:
            return None
        attempt = message.attempt.number if message and message.attempt else 0
        link = self._link_of(sa, outer, inner)
        if inner is not None:
            self._note_inner(link, outer, inner)
        begins = False
        if sign is not _DATA:
            sa.asks = sa.asks or sign in _OF_MOBILE
            begins = sign in (Sign.ASKS, Sign.USES) and link.is_newer(attempt)
            if sign is Sign.ASKS_AMONG_OTHERS:
                link.ask(attempt, outer.pair, time_ns, frame)
                return None
            if begins:
                link.begin(attempt)
            if sign is Sign.USES and not sa.asks:
                link.is_answered = True
        if outer.pair == link.outer.pair:
            link.outer = sa.outer = outer
            link.forward = sa.forward
            if sign is _VALIDATES and attempt == link.attempt:
                link.is_validated = True
            if link.last_move:
                _join_move(link.last_move, sa, signalled=begins, verified=verified)
            return None
        if not begins and not _is_moved(link, sa, outer, sign, attempt):
            return None
        old = _in_direction_of(link.outer, outer)
        if sa.outer is not None and sa.outer.pair == link.outer.pair:
            old = sa.outer
        asked = link.asked.get(outer.pair) if link.asking is not None and sign is _DATA else None
        if asked:  # data does not wait for the answer to what told the move
            sign, (time_ns, frame) = Sign.ASKS, asked
        signalled = sign is not _DATA
        move = Move(link.number, time_ns, frame, old, outer, _EVIDENCE[sign], signalled, [sa.spi])
        move.verified = verified
        self._record(link, move, sa.forward)
        link.is_validated = sign is Sign.VALIDATES
        sa.outer = outer
        return move

    def signal(
        self, link: int | None, old: Outer, new: Outer, time_ns: int, frame: int, *, verified: bool
    ) -> Move | None:
        """Take note of UPDATE_SA_ADDRESSES; return the move that it told of.

        `link`: the number of the link of its SAs, None where none of them was seen.
        """
        known = self._links[link - 1] if link else self._by_pair.get(old.pair)
        if known is None:
            known = ObservedLink(len(self._links) + 1, old)
            self._links.append(known)
        if new.pair == known.outer.pair:
            if known.last_move:
                _signal(known.last_move, verified=verified)
            return known.last_move
        old = _in_direction_of(known.outer, new)
        move = Move(known.number, time_ns, frame, old, new, Evidence.MOBIKE, True, [])
        move.verified = verified
        forward = known.forward == (old == known.outer)
        self._record(known, move, forward)
        return move

    def is_forward(self, move: Move) -> bool:
        """Whether the newest move of a link is told in the direction of the link's first SA."""
        link = self._links[move.link - 1]
        return link.forward == (move.new == link.outer)

    def _link_of(self, sa: ObservedSa, outer: Outer, inner: Inner | None) -> ObservedLink:
        if sa.link is not None:
            return self._links[sa.link - 1]
        link = self._by_pair.get(outer.pair)
        if link is None and inner is not None:
            key, oriented = _oriented(inner, outer)
            known, seen = self._by_inner.get(key, (None, outer))
            # Overlapping addresses, or two clients that talk through one gateway, are two links.
            if seen.source == oriented.source or seen.destination == oriented.destination:
                link = known
        if link is None:
            link = ObservedLink(len(self._links) + 1, outer)
            self._links.append(link)
            self._by_pair[outer.pair] = link
        sa.link = link.number
        sa.forward = link.forward == _same_way(link.outer, outer)
        return link

    def _note_inner(self, link: ObservedLink, outer: Outer, inner: Inner) -> None:
        """Remember by which inner addresses a re-keyed SA of this link can be known."""
        key, oriented = _oriented(inner, outer)
        known = self._by_inner.get(key)
        if known is not None and known[0] is link and known[1] == oriented:
            return
        if any(address in _NOBODY for address in inner):
            return
        if known is None and len(self._by_inner) >= MAX_INNER_PAIRS:
            return
        if known is None or known[0] is link:
            self._by_inner[key] = link, oriented

    def _record(self, link: ObservedLink, move: Move, forward: bool) -> None:
        if self._by_pair.get(link.outer.pair) is link:
            del self._by_pair[link.outer.pair]
        link.left = [*link.left, link.outer.pair][-MAX_LEFT:]
        link.outer, link.forward = move.new, forward
        link.last_move = self.newest_move = move
        self._by_pair[move.new.pair] = link
        if len(self.moves) < MAX_MOVES:
            self.moves.append(move)
        else:
            self.moves_not_kept += 1


def _join_move(move: Move, sa: ObservedSa, *, signalled: bool, verified: bool) -> None:
    if sa.spi not in move.spis:
        move.spis.append(sa.spi)
    if signalled:
        _signal(move, verified=verified)


def _signal(move: Move, *, verified: bool) -> None:
    move.signalled = True
    move.verified = move.verified and verified


_NOBODY = (bytes(4), b"\xff" * 4, bytes(16))
"""Unspecified and broadcast addresses: every client has them."""


def _oriented(inner: Inner, outer: Outer) -> tuple[Inner, Outer]:
    """The same inner pair and outer path for both directions of one traffic."""
    source, destination = inner
    if source <= destination:
        return inner, outer
    return (destination, source), outer.reversed()


def _is_moved(link: ObservedLink, sa: ObservedSa, outer: Outer, sign: Sign, attempt: int) -> bool:
    """Whether a packet elsewhere than its link, which begins no attempt, moves it."""
    if sign is Sign.VALIDATES:
        return attempt == link.attempt and not link.is_validated
    if sign is Sign.ASKS or (sign is Sign.USES and attempt != link.attempt):
        return False
    if sign is Sign.DATA and sa.asks and link.is_answered and link.asking is None:
        return False
    return not _still_under_way(link, sa, outer)


def _still_under_way(link: ObservedLink, sa: ObservedSa, outer: Outer) -> bool:
    """Whether a packet elsewhere than its link is only late, and moves nothing.

    So is one of an SA that stays where it was, and one towards an end that left that place: its
    sender may not know of the move yet. Not so where it begins a newer attempt.
    """
    if sa.outer is not None and sa.outer.pair == outer.pair:
        return True
    if link.last_move is None or outer.pair not in link.left:
        return False
    shown_by_sender = link.last_move.moved != "destination"
    here = _in_direction_of(link.outer, outer)
    return shown_by_sender and here.source_endpoint == outer.source_endpoint


def _in_direction_of(old: Outer, new: Outer) -> Outer:
    """The old path in the direction of an SA that was not seen there."""
    return old if _same_way(old, new) else old.reversed()


def _same_way(one: Outer, other: Outer) -> bool:
    """Whether two paths that share an end lead in the same direction."""
    if one == other.reversed():
        return False
    return one.source == other.source or one.destination == other.destination
