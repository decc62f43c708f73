"""What `mobsec decode` prints: as what, which views, and which packets of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console

from scapy_mobsec.observer.ladder import Ladders
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.seen import SeenPacket
from scapy_mobsec.ui.csv_view import CsvView
from scapy_mobsec.ui.diagram import diagrams
from scapy_mobsec.ui.explain import sentences
from scapy_mobsec.ui.ladder import print_ladder
from scapy_mobsec.ui.packet_filter import PacketFilter, Selection
from scapy_mobsec.ui.report_json import report_as_json
from scapy_mobsec.ui.svg import svg_of
from scapy_mobsec.ui.timeline import print_timeline
from scapy_mobsec.ui.views import print_report, summary_line, widen_pipe
from scapy_mobsec.ui.written import CannotWrite

MAX_ROWS_NOTE = "mobsec: warning: {} packets are not in the ladder: it has 20,000 rows at most"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of `mobsec decode` that say what is shown. kind: text, json or csv."""

    kind: str = "text"
    ladder: bool = False
    svg: Path | None = None
    timeline: bool = False
    explain: bool = False
    quiet: bool = False
    packet_filter: PacketFilter = field(default_factory=PacketFilter)

    def __post_init__(self) -> None:
        """Raises ValueError for what does not go together."""
        if self.svg is not None and not self.ladder:
            raise ValueError("--svg is a picture of --ladder: give that, too")
        if self.svg == Path("-"):
            raise ValueError("--svg writes a file, not stdout")
        if self.kind != "text" and (self.ladder or self.timeline or self.explain):
            raise ValueError(f"--ladder, --timeline and --explain are text, not {self.kind}")


class Output:
    """Takes what an observer sees, and prints it at the end; CSV at once."""

    def __init__(self, wanted: Wanted, stream: TextIO) -> None:
        self._wanted, self._stream = wanted, stream
        self._selection = Selection(wanted.packet_filter)
        self._ladders = Ladders()
        self._csv = CsvView(stream) if wanted.kind == "csv" else None

    @property
    def on_packet(self) -> Callable[[SeenPacket], None] | None:
        """What the observer is to call with each packet; None where nothing needs it."""
        wanted = self._wanted
        return self._take if self._csv or wanted.ladder or wanted.packet_filter else None

    def filtered(self, taker: Callable[[SeenPacket], None]) -> Callable[[SeenPacket], None]:
        """Return what gives another taker the packets that the filter passes."""
        passes = self._wanted.packet_filter.passes

        def take(seen: SeenPacket) -> None:
            if passes(seen):
                taker(seen)

        return take

    def _take(self, seen: SeenPacket) -> None:
        if not self._wanted.packet_filter.passes(seen):
            return
        self._selection.take(seen)
        if self._csv:
            self._csv.take(seen)
        if self._wanted.ladder:
            self._ladders.take(seen)

    def print(self, observer: Observer) -> None:
        """Print what is known. Raises CannotWrite."""
        if self._csv:
            return
        report = self._selection.of(observer.report())
        wanted = self._wanted
        if wanted.kind == "json":
            json.dump(report_as_json(report), self._stream, indent=2)
            self._stream.write("\n")
            return
        console = Console(file=self._stream, highlight=False, markup=False)
        if not (wanted.ladder or wanted.timeline or wanted.explain):
            print_report(report, console, summary_only=wanted.quiet)
            return
        widen_pipe(console)
        # A terminal would break a long line in the midst of a word; a pipe gets it whole.
        whole = not console.is_terminal
        console.print(summary_line(report.summary), soft_wrap=whole)
        if wanted.ladder:
            drawn = diagrams(self._ladders.ladders(), report)
            print_ladder(drawn, report.first_time, console)
            if self._ladders.not_kept:
                click.echo(MAX_ROWS_NOTE.format(self._ladders.not_kept), err=True)
            if wanted.svg is not None:
                summary = summary_line(report.summary).plain
                _write(wanted.svg, svg_of(drawn, report.first_time, summary))
        if wanted.timeline:
            print_timeline(report, console)
        if wanted.explain:
            for sentence in sentences(report):
                console.print(sentence, soft_wrap=whole)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"{path}: {error.strerror}") from error
