"""`mobsec demo --simulate`: run a scenario of the simulated internet and show what happened."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from click import ClickException
from rich.console import Console

from scapy_mobsec.drivers.capture import CaptureWriter, PcapngWriter
from scapy_mobsec.drivers.keyfiles import write_esp_sa
from scapy_mobsec.drivers.scenarios import SCENARIOS, ScenarioResult, run
from scapy_mobsec.terminal.events import Event
from scapy_mobsec.ui.event_text import event_text
from scapy_mobsec.ui.wrapping import wrapped, wrapped_packet, wrapped_picture
from scapy_mobsec.ui.written import check_outputs

SIDES = "mobile terminal", "other terminal"
DULL = ("ping", "pong", "data", "dummy", "keepalive", "ACK")
"""How lines of the ladder begin that say little where there are many of them."""
SHOWN_OF_A_RUN = 2
PACKET_HANG = " " * 13
"""Before what does not fit into a line of the ladder: a little more than its column of times."""
KEY_SUFFIXES = ".esp_sa", ".keylog"
"""What is written beside a capture: the keys of ESP and AH, and the secrets of TLS."""


class DemoError(ClickException):
    """The demo cannot be run as asked; one line, exit code 2."""

    exit_code = 2


def print_scenarios(console: Console) -> None:
    """Print the name of each scenario, and what it shows."""
    width = max(map(len, SCENARIOS))
    for scenario in SCENARIOS.values():
        line = f"{scenario.name:{width}}  {scenario.sentence}"
        console.print(line, markup=False, soft_wrap=True)


def run_demo(name: str, console: Console, write: Path | None) -> None:
    """Run a scenario, print it, and write its capture and keys where asked. Raises DemoError.

    Lines are as wide as the console; file names and a command to copy stay whole.
    """
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise DemoError(f"no scenario {name!r}: mobsec demo --list names those there are")
    if write is not None:
        check_capture(write)
    result = run(scenario)
    print_lines(console, story(scenario.sentence, result, console.width))
    if write:
        keys, tls_keys = write_capture(result, write)
        files, options = f"{write} and {keys}", f"-k {keys}"
        if tls_keys:
            files, options = f"{write}, {keys} and {tls_keys}", f"{options} --tls-keys {tls_keys}"
        text = f"Wrote {files}.\nNext: mobsec decode {write} {options}"
        console.print(text, markup=False, soft_wrap=True)


def check_capture(capture: Path) -> None:
    """Raises DemoError for a name that no capture and its keys can have, CannotWrite for a place
    where they cannot be.
    """
    if not capture.name or capture.suffix in KEY_SUFFIXES:
        raise DemoError(f"no name for a capture: {str(capture)!r}")
    beside = [capture.with_suffix(suffix) for suffix in KEY_SUFFIXES]
    for keys in beside:
        if keys.exists() and not capture.exists():
            raise DemoError(
                f"{keys} is there already, and {capture} is not: the keys may be others'"
            )
    check_outputs(map(str, (capture, *beside)), ())


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines that are as wide as they may be."""
    for line in lines:
        console.print(printable(line, console.encoding), markup=False, soft_wrap=True)


def story(sentence: str, result: ScenarioResult, width: int) -> Iterator[str]:
    """Yield all lines of a demonstration: network, packets, events and outcome."""
    yield from wrapped(sentence, width)
    yield from wrapped_picture(result.picture, width)
    yield ""
    for line in folded(ladder(result)):
        yield from wrapped_packet(line, width, PACKET_HANG)
    yield ""
    yield from event_lines(result, width)
    yield ""
    yield from wrapped(outcome(result), width)


def printable(text: str, encoding: str) -> str:
    """Return a picture in ASCII where the output cannot take its lines."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(str.maketrans("├└│─", "+`|-"))
    return text


def ladder(result: ScenarioResult) -> Iterator[str]:
    """Yield a line for each packet of the shown link, and for all that was done to the network."""
    times = (time_ns for time_ns, _ in result.captures[result.shown])
    packets = zip(times, result.ladder, strict=True)
    start = result.moves[0]
    notes = (
        (time, f"{(time - start) / 1e6:.0f} ms  --- {text} ---") for time, text in result.notes
    )
    yield f"Packets at the {SIDES[result.shown == 'other']}, from its first move on:"
    for _, line in merge(notes, packets, key=itemgetter(0)):
        time, _, rest = line.partition(" ms  ")
        yield f"{time:>6} ms  {rest}"


def folded(ladder: Iterable[str]) -> Iterator[str]:
    """Leave out lines where nothing but data passes; a line tells how many."""
    for dull, group in groupby(ladder, key=_is_dull):
        lines = list(group)
        hidden = len(lines) - SHOWN_OF_A_RUN if dull else 0
        yield from lines[: len(lines) - max(hidden, 0)]
        if hidden > 0:
            yield f"... {hidden} more"


def _is_dull(line: str) -> bool:
    what = line.rpartition("  ")[2].rpartition("octets, ")[2]
    return what.startswith(DULL) or what.endswith("octets")


def outcome(result: ScenarioResult) -> str:
    """Say in one line how it ended."""
    where = f"registered on {result.path}" if result.path else "not registered"
    answered = f"{len(result.inner_mobile)} of {result.pings} pings answered"
    return f"Outcome: {where}; {answered}"


def write_capture(result: ScenarioResult, capture: Path) -> tuple[Path, Path | None]:
    """Write what a link saw, the mobile terminal's or the other's, and the keys to read it.

    A name that ends in .pcapng gets comments that tell the events, and TLS secrets; else it is a
    classic capture. Returns the paths of the keys: those of ESP, and of TLS where it is beside.
    Raises DemoError.
    """
    keys, tls_keys = (capture.with_suffix(suffix) for suffix in KEY_SUFFIXES)
    try:
        with capture.open("wb") as stream:
            _write_packets(result, stream, commenting=capture.suffix.lower() == ".pcapng")
        with keys.open("w", encoding="utf-8") as text:
            write_esp_sa(result.sas, text)
        if capture.suffix.lower() == ".pcapng" or not result.tls_keys:
            return keys, None
        tls_keys.write_text(result.tls_keys, encoding="ascii")
    except OSError as error:
        raise DemoError(f"{error.filename or capture}: {error.strerror}") from error
    return keys, tls_keys


def _write_packets(result: ScenarioResult, stream: BinaryIO, *, commenting: bool) -> None:
    packets = result.captures[result.shown]
    if commenting:
        commented = PcapngWriter(stream, tls_keys=result.tls_keys)
        told = comments(result)
        for number, (time_ns, packet) in enumerate(packets):
            commented.write(time_ns, packet, told[number])
    else:
        writer = CaptureWriter(stream)
        for time_ns, packet in packets:
            writer.write(time_ns, packet)


def comments(result: ScenarioResult) -> dict[int, list[str]]:
    """Return what both terminals tell, by the number of the packet that it is written at.

    That is the first packet of the last instant that is not after it. Times are those of the
    capture, from its first packet on.
    """
    times = [time_ns for time_ns, _ in result.captures[result.shown]]
    told = defaultdict(list)
    for time_ns, side, event in events(result):
        last = max(bisect_right(times, time_ns) - 1, 0)
        number = times.index(times[last])
        told[number].append(f"{SIDES[side]}, {_after(time_ns, times[0])}: {event_text(event)}")
    return told


def events(result: ScenarioResult) -> list[tuple[int, int, Event]]:
    """Time, side (0: mobile terminal, 1: other terminal) and event, in the order of time."""
    both = result.mobile_events, result.other_events
    rows = [(time, side, event) for side, told in enumerate(both) for time, event in told]
    return sorted(rows, key=lambda row: row[:2])


def event_lines(result: ScenarioResult, width: int) -> Iterator[str]:
    """Yield what both terminals tell, in the order of time."""
    yield from wrapped(f"Events at X, the {SIDES[0]}, and Y, the {SIDES[1]}:", width)
    rows = [
        (_after(time, result.moves[0]), "XY"[side], event_text(event))
        for time, side, event in events(result)
    ]
    column = max(len(after) for after, _, _ in rows)
    margin = " " * (column + 5)
    for after, name, text in rows:
        first, *further = text.splitlines()
        yield from wrapped(f"{after:>{column}}  {name}  {first}", width, f"{margin}  ")
        for line in further:
            yield from wrapped(margin + line, width, f"{margin}  ")


def _after(time_ns: int, start: int) -> str:
    return f"{(time_ns - start) / 1e6:+.3f} ms"
