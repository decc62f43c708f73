"""Signalling diagrams as data: who the two ends are, and what passed between them, step by step.

`ladder` draws one with characters, `svg` as a picture.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from contrib_layers.numbers import FieldCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.ike.message import HEADER, Header
from scapy_mobsec.ike.numbers import PayloadType
from scapy_mobsec.observer.ike_messages import Reading, SeenMessage
from scapy_mobsec.observer.ladder import Kind, Ladder, Run
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.outer import Outer, OuterPair
from scapy_mobsec.observer.registrations import Registration
from scapy_mobsec.observer.report import Report
from scapy_mobsec.observer.seen import PacketType, SeenPacket
from scapy_mobsec.translation import Translation, describe_all
from scapy_mobsec.ui.message_text import exchange_text, ike_text, message_text

_ADDRESSES = (FieldCode.SOURCE_ADDRESS, FieldCode.DESTINATION_ADDRESS)


class Shape(Enum):
    """How a step is drawn."""

    MESSAGE = "message"
    DATA = "data"
    """Several packets, folded."""
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Step:
    """One arrow, or a move. translated: something translates on its path, as far as is known.

    notes: what was done to this message. loud: not to be trusted. left, right: of a move, the ends
    from here on.
    """

    time_ns: int
    shape: Shape
    text: str
    to_right: bool = True
    translated: bool = False
    notes: tuple[str, ...] = ()
    loud: bool = False
    left: str = ""
    right: str = ""


@dataclass(slots=True)
class Diagram:
    """Left the end that moves or asks, right the other; in the middle what translates, if any."""

    title: str
    left: str
    right: str
    translator: bool = False
    steps: list[Step] = field(default_factory=list)


def diagrams(ladders: list[Ladder], report: Report) -> list[Diagram]:
    """One for each ladder that has something to show."""
    ike: defaultdict[int, list[SeenMessage]] = defaultdict(list)
    for sa in report.ike:
        for exchange in sa.exchanges:
            for seen in exchange.messages:
                ike[seen.frame].append(seen)
    moves = {move.frame: move for move in report.moves}
    return [_Drawing(ladder, ike, moves).diagram for ladder in ladders]


class _Drawing:
    """Makes the diagram of one ladder."""

    def __init__(
        self, ladder: Ladder, ike: dict[int, list[SeenMessage]], moves: dict[int, Move]
    ) -> None:
        self._ike, self._moves = ike, moves
        self._flip = False
        self._left: set[bytes] = set()
        self._right: set[bytes] = set()
        self._translated: set[OuterPair | frozenset[bytes]] = set()
        """Paths with a translator on them; where it changes an address, all between these two."""
        self._learn_ends(ladder)
        first = _first(ladder)
        if not self._to_right(first):
            first = first.reversed()
        self._now = first
        """Where the link is, from left to right."""
        self.diagram = Diagram(
            _title(ladder), str(first.source_endpoint), str(first.destination_endpoint)
        )
        for row in ladder.rows:
            steps = self._of_run(row) if isinstance(row, Run) else self._of_message(row)
            self.diagram.steps += steps
        self.diagram.translator = any(step.translated for step in self.diagram.steps)

    def _learn_ends(self, ladder: Ladder) -> None:
        """Find which addresses are whose; the left end asks, or moves, or is the first seen."""
        for outer, forward in ladder.packets():
            if forward is not None:
                self._learn(outer if forward else outer.reversed())
        if not self._left:
            self._learn(next(ladder.packets())[0])
        for row in ladder.rows:
            if isinstance(row, SeenPacket) and row.type is PacketType.RREQ and row.sa is not None:
                self._flip = not row.sa.forward
                break
            move = self._moves.get(row.frame)
            if move is not None:
                outward = move.new if move.moved != "destination" else move.new.reversed()
                self._flip = outward.source in self._right

    def _learn(self, outer: Outer) -> None:
        self._left.add(outer.source)
        self._right.add(outer.destination)

    def _to_right(self, outer: Outer, forward: bool | None = None) -> bool:
        if forward is None:
            known = outer.source in self._left or outer.destination in self._right
            forward = known and not (outer.source in self._right and outer.source not in self._left)
        return forward != self._flip

    def _mark(self, move: Move | None) -> Iterator[Step]:
        if move is None:
            return
        text = f"{move.old.carrier} {move.left} -> {move.new.carrier} {move.reached}"
        if move.moved == "both":
            text = f"{move.old} -> {move.new}"
        elif move.moved == "encapsulation":
            text = f"{move.old.carrier} -> {move.new.carrier}"
        told = "REFUSED" if move.refused else "" if move.signalled else "no registration seen"
        text = f"moved: {text}" + (f", {told}" if told else "")
        if not move.verified:
            text += ", NOT VERIFIED"
        new = move.new if self._to_right(move.new) else move.new.reversed()
        left, right = str(new.source_endpoint), str(new.destination_endpoint)
        self._now = new
        loud = not move.verified
        yield Step(move.time_ns, Shape.MOVE, text, loud=loud, left=left, right=right)

    def _path(self, outer: Outer, *, to_right: bool, is_ike: bool = False) -> str:
        """What carries a packet, and its endpoints where they are not the link's present ones.

        IKE has ports of its own, and so has another carrier: there addresses alone count.
        """
        now = self._now if to_right else self._now.reversed()
        if is_ike or outer.carrier != now.carrier:
            now = now._replace(
                source_port=outer.source_port, destination_port=outer.destination_port
            )
        words = [outer.carrier]
        if outer.source_endpoint != now.source_endpoint:
            words += ["from", str(outer.source_endpoint)]
        if outer.destination_endpoint != now.destination_endpoint:
            words += ["to", str(outer.destination_endpoint)]
        return f"[{' '.join(words)}]"

    def _of_message(self, row: SeenPacket) -> Iterator[Step]:
        if row.type is PacketType.IKE:
            yield from self._mark(self._moves.get(row.frame))
            yield self._ike_step(row)
            return
        yield from self._mark(row.move)
        assert row.message is not None
        asks = row.type is PacketType.RREQ
        changed: tuple[Translation, ...] = ()
        if row.registration is not None and row.registration.asked.frame == row.frame:
            changed = row.registration.translations
            self._note_translator(row.outer, changed)
        elif row.registration is not None and not asks and _is_answer(row, row.registration):
            changed = row.registration.reply_translations or ()
        to_right = self._to_right(row.outer, row.sa.forward if row.sa else None)
        text = f"{message_text(row.message)} {self._path(row.outer, to_right=to_right)}"
        loud = row.dropped is not None
        if row.opened is None or not row.opened.verified:
            text, loud = f"{text} NOT VERIFIED", True
        if row.dropped is not None:
            text += f" ({row.dropped.value})"
        yield Step(
            row.time_ns,
            Shape.MESSAGE,
            text,
            to_right,
            self._is_translated(row.outer),
            tuple(describe_all(changed)),
            loud,
        )

    def _ike_step(self, row: SeenPacket) -> Step:
        to_right = self._to_right(row.outer)
        messages = self._ike.get(row.frame, [])
        if row.dropped is not None:
            return Step(
                row.time_ns, Shape.MESSAGE, f"IKE: {row.dropped.value}", to_right, loud=True
            )
        path = self._path(row.outer, to_right=to_right, is_ike=True)
        elsewhere = f" {path}" if " " in path else ""
        if not messages:
            header = Header._make(HEADER.unpack(row.octets))
            what = "a fragment" if header.next_payload == PayloadType.SKF else "repeated"
            text = f"{exchange_text(header)}, {what}{elsewhere}"
            translated = self._is_translated(row.outer)
            return Step(row.time_ns, Shape.MESSAGE, text, to_right, translated)
        notes = tuple(describe_all(messages[0].translations))
        self._note_translator(row.outer, messages[0].translations)
        text = "; ".join(ike_text(seen) for seen in messages) + elsewhere
        translated = self._is_translated(row.outer)
        loud = any(seen.reading is Reading.UNVERIFIED for seen in messages)
        return Step(row.time_ns, Shape.MESSAGE, text, to_right, translated, notes, loud)

    def _note_translator(self, outer: Outer, changed: Iterable[Translation]) -> None:
        for each in changed:
            of_address = each.field in _ADDRESSES
            ends = frozenset((outer.source, outer.destination))
            self._translated.add(ends if of_address else outer.pair)

    def _is_translated(self, outer: Outer) -> bool:
        ends = frozenset((outer.source, outer.destination))
        return ends in self._translated or outer.pair in self._translated

    def _of_run(self, run: Run) -> Iterator[Step]:
        yield from self._mark(run.move)
        for kind, count in run.counts.items():
            to_right = self._to_right(kind.outer, kind.forward)
            text = f"{_run_text(kind, count)} {self._path(kind.outer, to_right=to_right)}"
            if run.last_time > run.time_ns and count > 1:
                text += f" in {(run.last_time - run.time_ns) / 1e6:.3f} ms"
            if kind.unverified:
                text += " NOT VERIFIED"
            loud = kind.unverified or kind.dropped not in (None, DropReason.UNKNOWN_SPI)
            translated = self._is_translated(kind.outer)
            yield Step(run.time_ns, Shape.DATA, text, to_right, translated, loud=loud)


def _first(ladder: Ladder) -> Outer:
    """The first path, of IKE only if there is nothing else."""
    for row in ladder.rows:
        if isinstance(row, Run):
            return next(iter(row.counts)).outer
        if row.type is not PacketType.IKE:
            return row.outer
    return next(ladder.packets())[0]


def _title(ladder: Ladder) -> str:
    if ladder.link is not None:
        return f"Link {ladder.link}"
    return f"IKE SA {ladder.ike.initiator_spi.hex()}, no link" if ladder.ike else "No link"


def _is_answer(row: SeenPacket, registration: Registration) -> bool:
    return registration.answered is not None and registration.answered.frame == row.frame


_WORDS = {
    PacketType.DATA: "data",
    PacketType.DUMMY: "dummy",
    PacketType.ENCRYPTED: "encrypted",
    PacketType.REPEATED: "captured twice",
    PacketType.KEEPALIVE: "keepalive",
}


def _run_text(kind: Kind, count: int) -> str:
    words = _WORDS[kind.type]
    if kind.dropped is DropReason.BAD_ICV:
        words = "WRONG ICV"
    elif kind.dropped is DropReason.REPLAYED:
        words = "REPLAYED"
    elif kind.dropped is DropReason.SEQUENCE_FORGOTTEN:
        words = "TOO OLD TO TELL"
    elif kind.dropped is not None:
        words += f" ({kind.dropped.value})"
    return f"{count} x {words}"
