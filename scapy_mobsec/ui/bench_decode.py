"""Figures of `mobsec decode` beside tshark and Scapy: packets per second, and what memory grows by.

Each program reads a capture from a pipe, once a tenth of it and once all of it, decrypts, and finds
the registrations. What the second run took beyond the first, seconds of the processor and peak
memory, is what packets cost: the start of the program is in both. A program that does not find all
registrations did not do the work, and has no ratio.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from rich.console import Console
from rich.table import Table

from scapy_mobsec.drivers.keyfiles import write_esp_sa
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.ui import bench_child
from scapy_mobsec.ui.bench_traffic import STREAMS, messages_in, sas_of, write_traffic

SCAPY_PACKETS = 5_000
"""At most: it is slow."""

MIN_SECONDS = 0.2
"""Between the two runs of a program: what is less may be noise, and makes no rate."""

_MEBIBYTE = 1 << 20
_DECRYPT = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")

EXPLANATION = (
    "packets/s: of the processor's time, between a tenth of the packets and all;\n"
    "a - where the two runs are too short to tell: take more --packets.\n"
    "MiB: peak of resident memory, with a tenth of the packets and with all of them."
)


@dataclass(frozen=True, slots=True)
class DecodeFigure:
    """What one program did with so many packets; peaks in octets.

    rate: packets per second, None where the two runs are too short to tell. ratio: of its rate to
    ours. note: why it did not do the work; rate, ratio and peaks say nothing then.
    """

    program: str
    packets: int
    rate: float | None = None
    ratio: float | None = None
    peak_of_tenth: int = 0
    peak: int = 0
    note: str = ""

    @property
    def growth(self) -> int:
        """Octets of memory that nine tenths of the packets added."""
        return self.peak - self.peak_of_tenth


@dataclass(frozen=True, slots=True)
class _Program:
    """What is measured. command: empty if it cannot be, `note` says why.

    found: from its output, how many RREQs and RREPs it found; raises ValueError.
    """

    name: str
    command: Sequence[str]
    found: Callable[[str], int]
    note: str = ""
    most: int | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float = 0
    peak: int = 0
    note: str = ""


def decode_figures(
    packets: int,
    suite: str,
    encapsulation: Encapsulation,
    say: Callable[[str], object] = lambda text: None,
) -> tuple[DecodeFigure, ...]:
    """Measure with so many ESP packets, at least 1,000; ours comes first.

    encapsulation: one of bench_traffic.ENCAPSULATIONS. say: gets what is under way. Raises OSError
    if a temporary folder cannot be written.
    """
    figures: list[DecodeFigure] = []
    with tempfile.TemporaryDirectory(prefix="mobsec-bench-") as name:
        folder = Path(name)
        with open(folder / "esp_sa", "w", encoding="ascii") as keys:
            write_esp_sa(sas_of(suite), keys)
        for program in _programs(folder, suite, encapsulation):
            count = min(packets, program.most or packets)
            if not program.command:
                figures.append(DecodeFigure(program.name, count, note=program.note))
                continue
            runs = []
            for part in (count // 10, count):
                say(f"{program.name}: {part:,} packets")
                runs.append(_run(program, part, suite, encapsulation, folder))
            ours = figures[0].rate if figures else 0
            figures.append(_figure(program.name, count, runs[0], runs[1], ours))
    return tuple(figures)


def _programs(folder: Path, suite: str, encapsulation: Encapsulation) -> tuple[_Program, ...]:
    python = (sys.executable, "-m")
    ours = (*python, "scapy_mobsec", "decode", "-", "-k", str(folder / "esp_sa"), "-T", "json")
    options = (part for each in _DECRYPT for part in ("-o", each))
    shown = ("-Y", "mip", "-T", "fields", "-e", "mip.type")
    tshark = ("tshark", "-n", "-r", "-", *options, *shown) if shutil.which("tshark") else ()
    in_stream = encapsulation in STREAMS
    scapy = () if in_stream else (*python, "scapy_mobsec.ui.bench_scapy", suite)
    return (
        _Program("mobsec", ours, _found_by_us),
        _Program("tshark", tshark, lambda output: len(output.splitlines()), "not installed"),
        _Program("Scapy", scapy, int, "finds no ESP in streams", SCAPY_PACKETS),
    )


def _found_by_us(output: str) -> int:
    summary: dict[str, Any] = json.loads(output)["summary"]
    return 2 * int(summary["registrations"]) if summary["verified"] == summary["esp"] else 0


def _figure(
    program: str, packets: int, tenth: _Run, whole: _Run, ours: float | None
) -> DecodeFigure:
    """Compare two runs. ours: the rate of `mobsec decode`, 0 if this is it."""
    note = tenth.note or whole.note
    seconds = whole.seconds - tenth.seconds
    if note or seconds < MIN_SECONDS:
        return DecodeFigure(program, packets, None, None, tenth.peak, whole.peak, note)
    rate = (packets - packets // 10) / seconds
    ratio = 1.0 if ours == 0 else rate / ours if ours else None
    return DecodeFigure(program, packets, rate, ratio, tenth.peak, whole.peak)


def _run(
    program: _Program, packets: int, suite: str, encapsulation: Encapsulation, folder: Path
) -> _Run:
    usage, output, errors = (folder / name for name in ("usage", "output", "errors"))
    usage.unlink(missing_ok=True)
    bare = (sys.executable, "-I", "-S", bench_child.__file__, str(usage))
    with (
        open(output, "wb") as stdout,
        open(errors, "wb") as stderr,
        subprocess.Popen(
            (*bare, *program.command),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            bufsize=_MEBIBYTE,
            env=os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)},
        ) as child,
    ):
        stream = cast(BinaryIO, child.stdin)
        try:
            # A program that ends early has an exit code that tells of it.
            with suppress(BrokenPipeError):
                write_traffic(stream, packets, suite, encapsulation)
        finally:
            with suppress(BrokenPipeError):
                stream.close()
    if child.returncode:
        last = errors.read_text(errors="replace").strip().rpartition("\n")[2]
        if shutil.disk_usage(folder).free < _MEBIBYTE:
            last = f"no room in {folder.parent}"
        return _Run(note=last or f"exit code {child.returncode}")
    took = json.loads(usage.read_text())
    with suppress(ValueError):
        if program.found(output.read_text(errors="replace")) == messages_in(packets):
            return _Run(took["seconds"], took["peak"])
    return _Run(took["seconds"], took["peak"], "did not decrypt: the registrations are not found")


def bench_decode(
    console: Console,
    figures: Sequence[DecodeFigure],
    as_json: bool = False,
) -> None:
    """Show the figures as a table for people, or as one JSON object for programs."""
    if as_json:
        rows = [asdict(each) | {"growth": each.growth} for each in figures]
        console.print_json(data={"unit": "packets/s, octets", "decode": rows})
        return
    table = Table(title="Decrypting a capture, and finding its registrations")
    table.add_column("program")
    for name in ("packets", "packets/s", "ratio", "MiB of a tenth", "MiB", "growth, MiB"):
        table.add_column(name, justify="right")
    for each in figures:
        rate = "-" if each.rate is None else f"{each.rate:,.0f}"
        ratio = "-" if each.ratio is None else f"{each.ratio:.2f}"
        peaks = (each.peak_of_tenth, each.peak, each.growth)
        memory = ["-" if each.note else f"{octets / _MEBIBYTE:,.0f}" for octets in peaks]
        table.add_row(each.program, f"{each.packets:,}", rate, ratio, *memory)
    console.print(table)
    for each in figures:
        if each.note:
            console.print(f"{each.program}: {each.note}")
    console.print(EXPLANATION)
