"""The views of `mobsec decode`, by the command line."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from shown import EXPECTED, ROOT, shown

from scapy_mobsec.ui.cli import main
from scapy_mobsec.ui.output import Output, Wanted
from scapy_mobsec.ui.packet_filter import PacketFilter

HANDOVER = [
    str(ROOT / "pcaps" / "handover-nat.pcap"),
    "-k",
    str(ROOT / "pcaps" / "handover-nat.esp_sa"),
]
MOBSEC = [sys.executable, "-m", "scapy_mobsec", "decode", *HANDOVER]


@pytest.fixture
def run(capsys):
    def run_(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["decode", *map(str, (*HANDOVER, *arguments))])
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


def test_views_come_in_place_of_the_tables_and_in_one_order(run):
    done = run("--explain", "--timeline", "--ladder")
    assert done.code == 0
    places = [done.out.index(words) for words in ("RREQ #2", "one column is", "went from")]
    assert places == sorted(places)
    assert done.out.startswith("67 packets")
    assert "Security associations" not in done.out
    assert (EXPECTED / "handover-nat.explain.txt").read_text() in done.out


def test_a_picture_is_written(run, tmp_path):
    done = run("--ladder", "--svg", tmp_path / "ladder.svg")
    assert done.code == 0
    assert ElementTree.parse(tmp_path / "ladder.svg").getroot().tag.endswith("svg")


def test_a_picture_that_cannot_be_written_is_one_line(run, tmp_path):
    done = run("--ladder", "--svg", tmp_path / "no" / "x.svg")
    assert done.code == 2
    assert done.err == f"mobsec: {tmp_path}/no/x.svg: No such file or directory\n"


def test_csv(run):
    done = run("-T", "csv", "-Y", "type=rreq,rrep", "-Y", "spi=0x414c353c")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["type"] for row in rows] == ["rrep"] * 3
    assert done.code == 0


def test_json_lists_what_passes_and_counts_everything(run):
    whole = json.loads(run("-T", "json").out)
    part = json.loads(run("-T", "json", "-Y", "type=rreq encap=udp").out)
    assert part["summary"] == whole["summary"]
    assert len(part["registrations"]) == 3
    assert [sa["spi"] for sa in part["sas"]] == ["0x2265b2f5"]
    none = json.loads(run("-T", "json", "-Y", "encap=native").out)
    assert none["registrations"] == none["moves"] == none["sas"] == none["links"] == []
    assert none["summary"] == whole["summary"]


def test_the_ladder_shows_what_passes(run):
    text = run("--ladder", "-Y", "type=rrep").out
    assert "RREP #1" in text
    assert "RREQ" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-Y", "type=nothing"], "filter type=nothing: not one of rreq, rrep, data"),
        (["-Y", "port=434"], "not KEY=VALUE with a key of type, spi, encap, inner"),
        (["--svg", "x.svg"], "--svg is a picture of --ladder"),
        (["-T", "csv", "--ladder"], "are text, not csv"),
        (["-T", "json", "--explain"], "are text, not json"),
    ],
)
def test_what_does_not_go_together_is_one_line(run, arguments, words):
    done = run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert words in done.err
    assert done.err.count("\n") == 1


def test_wanted_says_why():
    with pytest.raises(ValueError, match="--ladder"):
        Wanted(kind="csv", timeline=True)


def test_another_taker_gets_what_passes(bench):
    bench.see(bench.up(), bench.udp(b"\xff"))
    taken = []
    wanted = Wanted(packet_filter=PacketFilter(["type=keepalive"]))
    take = Output(wanted, io.StringIO()).filtered(taken.append)
    for seen in bench.packets:
        take(seen)
    assert taken == bench.packets[1:]


def test_an_output_without_utf_8_gets_ascii():
    command = [*MOBSEC, "--ladder", "--timeline", "--explain"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert b"|-- RREQ #2 [udp]" in done.stdout


@pytest.mark.parametrize("view", ["--ladder", "--timeline", "-Tcsv"])
def test_a_reader_that_goes_away_ends_it_without_a_word(view):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*MOBSEC, view], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert done.stderr == b""
    assert done.returncode in (0, 1)


def test_a_terminal_gets_sentences_that_break_between_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    stream.isatty = lambda: True
    output = Output(Wanted(explain=True), stream)
    output.print(SimpleNamespace(report=lambda: shown("handover-nat").report))
    lines = [re.sub("\x1b[^m]*m", "", line).rstrip() for line in stream.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    for sentence in (EXPECTED / "handover-nat.explain.txt").read_text().splitlines():
        assert sentence in " ".join(lines)


def test_a_terminal_gets_its_own_width():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    command = [*MOBSEC, "--ladder", "--timeline"]
    done = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 65_536)
        except OSError:
            break
    os.close(ours)
    assert done.wait(60) == 0
    lines = text.decode().replace("\r", "").splitlines()
    expected = (EXPECTED / "handover-nat.ladder.txt").read_text().splitlines()
    assert lines[1 : 1 + len(expected)] == expected
