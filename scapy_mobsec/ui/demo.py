"""`mobsec demo --simulate`: run a scenario of the simulated internet and show what happened."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path

from click import ClickException
from rich.console import Console
from rich.table import Table

from scapy_mobsec.drivers import simulation
from scapy_mobsec.drivers.capture import CaptureWriter
from scapy_mobsec.drivers.keyfiles import write_esp_sa
from scapy_mobsec.drivers.simulation import SimulationResult, run_handover
from scapy_mobsec.terminal.events import (
    BindingEnded,
    BindingMoved,
    CountersCorrected,
    Deregistered,
    Event,
    Moved,
    PacketDropped,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
    Renewed,
)
from scapy_mobsec.translation import describe_all
from scapy_mobsec.ui.views import PIPED_WIDTH, add_row, code_text, table_of

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
    console.print(inspect.getdoc(simulation), markup=False)
    console.print(events_table(result))
    if write is not None:
        keys = write.with_suffix(".esp_sa")
        try:
            write_capture(result, write, keys)
        except OSError as error:
            raise DemoError(f"{error.filename}: {error.strerror}") from error
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


def event_text(event: Event) -> str:
    """What an event tells, in one line or two."""
    match event:
        case Moved():
            return f"moved: {event.new}, attempt {event.attempt}"
        case Registered():
            text = f"registered in {event.rtt * 1e3:.3f} ms"
            return _with_lines(text, describe_all(event.reply_translations))
        case Renewed():
            return f"renewed for {event.lifetime} s"
        case CountersCorrected():
            return f"counters corrected, attempt {event.attempt}"
        case RegistrationFailed():
            code = "" if event.code is None else f" ({code_text(event.code)})"
            return f"attempt {event.attempt} failed: {event.reason.value}{code}"
        case Deregistered():
            return "de-registered"
        case RegistrationReceived():
            text = f"RREQ of attempt {event.attempt} accepted"
            return _with_lines(text, describe_all(event.translations))
        case BindingMoved():
            return f"binding moved: {event.new}"
        case BindingEnded():
            return f"binding ended: {event.reason.value}"
        case PacketDropped():
            return f"dropped: {event.reason.value}"


def _with_lines(text: str, lines: Iterable[str]) -> str:
    return "\n".join([text, *lines])
