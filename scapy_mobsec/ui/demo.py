"""`mobsec demo --simulate`: run a scenario of the simulated internet and show what happened."""

from collections.abc import Callable
from pathlib import Path

from click import ClickException
from rich.console import Console
from rich.table import Table

from scapy_mobsec.drivers.capture import CaptureWriter
from scapy_mobsec.drivers.keyfiles import write_esp_sa
from scapy_mobsec.drivers.simulation import SimulationResult, run_handover
from scapy_mobsec.ui.event_text import event_text
from scapy_mobsec.ui.views import PIPED_WIDTH, add_row, table_of

SCENARIOS: dict[str, Callable[[], SimulationResult]] = {"handover": run_handover}
CAPTURED_AT = "mobile"


class DemoError(ClickException):
    """The demo cannot be run as asked; one line, exit code 2."""

    exit_code = 2


def run_demo(scenario: str, console: Console, write: Path | None) -> None:
    """Run a scenario, print it, and write its capture and keys where asked. Raises DemoError."""
    run = SCENARIOS.get(scenario)
    if run is None:
        raise DemoError(f"no scenario {scenario!r}; there is: {', '.join(SCENARIOS)}")
    result = run()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(result.picture, markup=False, soft_wrap=True)
    console.print(events_table(result))
    if write is not None:
        if not write.name or write.suffix == ".esp_sa":
            raise DemoError(f"no name for a capture: {str(write)!r}")
        keys = write.with_suffix(".esp_sa")
        try:
            write_capture(result, write, keys)
        except OSError as error:
            raise DemoError(f"{error.filename or write}: {error.strerror}") from error
        text = f"Wrote {write} and {keys}. Next: mobsec decode {write} -k {keys}"
        console.print(text, markup=False, soft_wrap=True)


def write_capture(result: SimulationResult, capture: Path, keys: Path) -> None:
    """Write what the link of the mobile terminal saw, and the keys to read it."""
    with capture.open("wb") as stream:
        writer = CaptureWriter(stream)
        for time_ns, packet in result.captures[CAPTURED_AT]:
            writer.write(time_ns, packet)
    with keys.open("w", encoding="utf-8") as text:
        write_esp_sa(result.sas, text)


def events_table(result: SimulationResult) -> Table:
    """The events of both terminals in the order of time."""
    table = table_of("Events", "Time", "Mobile terminal", "Other terminal")
    rows = [(time, 0, event) for time, event in result.mobile_events]
    rows += [(time, 1, event) for time, event in result.other_events]
    start = result.moves[0]
    for time, side, event in sorted(rows, key=lambda row: row[:2]):
        cells = ["", ""]
        cells[side] = event_text(event)
        add_row(table, f"+{(time - start) / 1e6:.3f} ms", *cells)
    return table
