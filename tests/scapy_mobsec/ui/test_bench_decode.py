"""The figures have their shape; how fast it is depends on the machine and is not tested."""

import io
import json
import shutil
import sys
from contextlib import suppress

import pytest
from rich.console import Console

from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.ui import bench_decode as bench
from scapy_mobsec.ui.bench_decode import DecodeFigure
from scapy_mobsec.ui.cli import main

FIGURES = (
    DecodeFigure("mobsec", 200_000, 45_123.4, 1.0, 50 << 20, 54 << 20),
    DecodeFigure("tshark", 200_000, 30_000.0, 0.665, 150 << 20, 350 << 20),
    DecodeFigure("Scapy", 5_000, note="finds no ESP in streams"),
)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120)


@pytest.fixture
def alone(monkeypatch):
    """No peers, which take their time to start."""
    ours = bench._programs
    monkeypatch.setattr(bench, "_programs", lambda *arguments: ours(*arguments)[:1])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def runs(monkeypatch, command, found=int, note=""):
    program = bench._Program("other", command, found, note)
    monkeypatch.setattr(bench, "_programs", lambda *arguments: (program,))
    (figure,) = bench.decode_figures(1_000, "aes-gcm-16", Encapsulation.UDP)
    return figure


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_all_programs_find_all_registrations_in_udp(folder):
    said = []
    figures = bench.decode_figures(1_000, "aes-gcm-16", Encapsulation.UDP, said.append)
    assert [(each.program, each.packets, each.note) for each in figures] == [
        ("mobsec", 1_000, ""),
        ("tshark", 1_000, ""),
        ("Scapy", 1_000, ""),
    ]
    assert all(each.peak_of_tenth > 20 << 20 for each in figures)
    assert said[:2] == ["mobsec: 100 packets", "mobsec: 1,000 packets"]
    assert not list(folder.iterdir())


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_what_the_peers_cannot_read_is_told():
    ours, tshark, scapy = bench.decode_figures(1_000, "aes-gcm-16", Encapsulation.TCP)
    assert not ours.note
    assert tshark.note.startswith("did not decrypt")
    assert scapy.note == "finds no ESP in streams"
    assert tshark.rate is tshark.ratio is scapy.rate is None


def test_without_tshark(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    programs = bench._programs(bench.Path(), "aes-gcm-16", Encapsulation.UDP)
    monkeypatch.setattr(bench, "_programs", lambda *arguments: programs[1:2])
    (figure,) = bench.decode_figures(1_000, "aes-gcm-16", Encapsulation.UDP)
    assert figure.note == "not installed"


@pytest.mark.parametrize(
    ("program", "note"),
    [
        ("import sys; sys.exit('no such\\nkey file')", "key file"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import sys; sys.stdin.buffer.read(); print(1)", "did not decrypt"),
        ("import sys; sys.stdin.buffer.read(); print('none')", "did not decrypt"),
    ],
)
def test_a_program_that_fails_has_no_figures(folder, monkeypatch, program, note):
    figure = runs(monkeypatch, (sys.executable, "-S", "-c", program))
    assert figure.note.startswith(note)
    assert figure.rate is figure.ratio is None
    assert not list(folder.iterdir())


def test_a_temporary_folder_without_room_is_told(folder, monkeypatch):
    full = shutil.disk_usage(folder)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    figure = runs(monkeypatch, (sys.executable, "-S", "-c", "import sys; sys.exit(120)"))
    assert figure.note == f"no room in {folder}"


def test_more_time_for_more_packets_or_no_rate():
    first, second = bench._Run(1.0, 5 << 20), bench._Run(1.5, 7 << 20)
    figure = bench._figure("other", 1_000, first, second, 3_600.0)
    assert (figure.rate, figure.ratio, figure.growth) == (1_800.0, 0.5, 2 << 20)
    assert bench._figure("other", 1_000, second, first, 3_600.0).rate is None
    hardly_more = bench._Run(1.19, 7 << 20)
    figure = bench._figure("other", 1_000, first, hardly_more, 3_600.0)
    assert (figure.rate, figure.ratio, figure.growth) == (None, None, 2 << 20)


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_ctrl_c_leaves_nothing(folder, alone, monkeypatch, capsys, ended):
    """It reaches the program that is measured, too, which may be gone already."""

    def interrupt(stream, *arguments):
        with suppress(BrokenPipeError):
            while ended:
                stream.write(bytes(1 << 20))
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "write_traffic", interrupt)
    with pytest.raises(SystemExit) as left:
        main(["bench", "decode", "--packets", "1000"])
    assert left.value.code == 130
    assert not list(folder.iterdir())
    assert "Traceback" not in capsys.readouterr().err


def test_table(console):
    bench.bench_decode(console, FIGURES)
    text = console.file.getvalue()
    for word in ("mobsec", "200,000", "45,123", "1.00", "0.67", "50", "54", "350", "5,000"):
        assert word in text
    assert "Scapy: finds no ESP in streams" in text


def test_json(console):
    bench.bench_decode(console, FIGURES, as_json=True)
    shown = json.loads(console.file.getvalue())["decode"]
    assert [each["growth"] for each in shown] == [4 << 20, 200 << 20, 0]
    assert shown[1]["ratio"] == 0.665
    assert shown[2]["rate"] is None


def test_command(alone, capsys):
    with pytest.raises(SystemExit) as left:
        main(["bench", "decode", "--packets", "1000", "--encapsulation", "http"])
    assert left.value.code == 0
    assert "packets/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["--packets", "0"],
        ["--packets", "many"],
        ["--suite", "rot13"],
        ["--encapsulation", "carrier-pigeon"],
        ["-T", "xml"],
    ],
)
def test_bad_options_are_one_line(options, capsys):
    with pytest.raises(SystemExit) as left:
        main(["bench", "decode", *options])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("mobsec: ")
    assert error.count("\n") == 1
