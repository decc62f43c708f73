"""`--timeline`: which path carried the data of each link, from when to when, and the gaps between.

udp 10.0.0.2:4500 > 203.0.113.2:4500
|            ############             | +1000.000 to +1900.000 ms, 10 packets
"""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from scapy_mobsec.observer.report import Report
from scapy_mobsec.observer.statistics import Handover, Interruption, LinkData
from scapy_mobsec.ui.tables import MAX_ROWS

MIN_BAR = 10
"""Columns that a chart has at least, however narrow the terminal is."""


def print_timeline(report: Report, console: Console) -> None:
    """Print the chart of each link, as wide as the terminal."""
    filled = "█" if console.encoding.lower().replace("-", "").startswith("utf") else "#"
    links = [link for link in report.statistics.links if any(link)]
    if not links:
        console.print("No data that a key opens.")
    for link in links:
        for line in timeline_lines(link, console.width, report.first_time, filled):
            console.print(line, soft_wrap=True)


def timeline_lines(link: LinkData, width: int, start_ns: int, filled: str = "█") -> Iterator[Text]:
    """The lines of one link's chart; times in ms, counted from `start_ns`."""
    spans = sorted(link, key=lambda span: span.first_time)
    begin, end = spans[0].first_time, max(span.last_time for span in spans)
    lasted = end - begin
    notes = [
        f"{_ms(span.first_time - start_ns)} to {_ms(span.last_time - start_ns)} ms, "
        f"{span.packets} packet{'s' * (span.packets != 1)}"
        + (f", {span.unverified} NOT VERIFIED" if span.unverified else "")
        for span in spans
    ]
    columns = max(width - max(map(len, notes)) - 3, MIN_BAR)
    step = f", one column is {lasted / columns / 1e6:.3f} ms" if lasted else ""
    head = (
        f"Link {link.number}: data from {_ms(begin - start_ns)} to {_ms(end - start_ns)} ms{step}"
    )
    yield Text(head, style="bold")
    for span, note in list(zip(spans, notes, strict=True))[:MAX_ROWS]:
        first = _column(span.first_time - begin, lasted, columns)
        last = _column(span.last_time - begin, lasted, columns)
        bar = " " * first + filled * (last - first + 1)
        yield Text(str(span.outer))
        yield Text(f"|{bar:<{columns}}| {note}", style=_style(not span.unverified))
    if len(spans) > MAX_ROWS:
        yield Text(f"and {len(spans) - MAX_ROWS} more")
    for handover in link.handovers[:MAX_ROWS]:
        yield from _gaps(handover, start_ns)


def _column(time: int, lasted: int, columns: int) -> int:
    return min(time * columns // lasted, columns - 1) if lasted else 0


def _gaps(handover: Handover, start_ns: int) -> Iterator[Text]:
    peer = handover.move.peer or handover.move.new.destination_endpoint
    at = _ms(handover.move.time_ns - start_ns)
    text = f"Move at {at} ms: gap to {peer} {_gap(handover.to_peer)}, back "
    text += _gap(handover.from_peer) + ("" if handover.verified else ", NOT VERIFIED")
    yield Text(text, style=_style(handover.verified, "bold"))


def _gap(interruption: Interruption) -> str:
    duration = interruption.duration_ns
    return "not known" if duration is None else f"{duration / 1e6:.3f} ms"


def _style(verified: bool, usual: str = "") -> str:
    return usual if verified else "bold red"


def _ms(time_ns: int) -> str:
    return f"{time_ns / 1e6:+.3f}"
