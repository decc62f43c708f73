"""`mobsec demo`: both terminals on loopback with real sockets, and what happened between them."""

import logging
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scapy_mobsec.drivers.live.loopback import LoopbackResult, Stay, run_on_loopback
from scapy_mobsec.translation import describe_all
from scapy_mobsec.ui.decode import run_decode
from scapy_mobsec.ui.demo import DemoError, check_capture, print_lines, story, write_capture
from scapy_mobsec.ui.output import Wanted

log = logging.getLogger("mobsec")

CAPTURE = Path("handover.pcapng")
SENTENCE = (
    "A mobile terminal goes through five networks, on the loopback interface with real sockets; "
    "both sides send data all the time."
)


def run_live_demo(console: Console, capture: Path) -> int:
    """Run both terminals, print what happened, write it and decode it again.

    Returns the exit code: 1 if X was without a path in the end. Raises DemoError.
    """
    check_capture(capture)
    log.addHandler(logging.NullHandler())  # what the networks refuse is shown by what comes of it
    try:
        result = run_on_loopback()
    except OSError as error:
        raise DemoError(f"no demo on loopback: {error}") from error
    print_lines(console, story(SENTENCE, result.story, console.width))
    console.print()
    console.print(costs(result))
    keys = write_capture(result.story, capture)[0]
    command = f"mobsec decode {capture} -k {keys} --explain"
    console.print(f"\nWrote {capture} and {keys}.\n\n$ {command}", markup=False, soft_wrap=True)
    run_decode([str(capture)], [str(keys)], wanted=Wanted(explain=True), count=None)
    return 0 if result.story.path and all(stay.path for stay in result.stays) else 1


def costs(result: LoopbackResult) -> Table:
    """Make the table of what each move cost."""
    table = Table(title="Data after each move", title_justify="left", show_lines=True)
    for heading in ("network", "registered by, translated", "RTT", "X > Y after", "Y > X after"):
        table.add_column(heading, overflow="fold")
    for stay in result.stays:
        table.add_row(
            stay.place.name,
            "\n".join(_found(stay)),
            _milliseconds(stay.round_trip),
            _milliseconds(stay.to_other),
            _milliseconds(stay.to_mobile),
        )
    return table


def _found(stay: Stay) -> Iterator[str]:
    yield stay.path.encapsulation.value if stay.path else "not registered"
    yield from describe_all(stay.translations)


def _milliseconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds * 1e3:.1f} ms"
