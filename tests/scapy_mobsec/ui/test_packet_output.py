"""`mobsec decode -w`: what is in the captures that it writes."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from frames import Bench

from scapy_mobsec.drivers.capture import Record, read_records
from scapy_mobsec.packet.ip import parse_ip
from scapy_mobsec.ui.cli import main
from scapy_mobsec.ui.packet_output import (
    CLASSIC_END_NS,
    MAX_COMMENTS,
    InnerOutput,
    OuterOutput,
)

PCAPS = Path(__file__).parents[3] / "pcaps"
GCM, CBC = PCAPS / "strongswan-natt.pcap", PCAPS / "strongswan-natt-aes128-sha256.pcap"
HANDOVER = PCAPS / "handover-nat.pcap"
MOBSEC = [sys.executable, "-m", "scapy_mobsec"]


@pytest.fixture
def run(capsys):
    def run_(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["decode", *map(str, arguments)])
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


def keyed(capture):
    return capture, "-k", capture.with_suffix(".esp_sa")


def without_authentication(tmp_path):
    """The keys of a capture, of which the authentication is not known."""
    keys = tmp_path / "unknown.esp_sa"
    rows = [row.split(",") for row in CBC.with_suffix(".esp_sa").read_text().splitlines()]
    unknown = '"ANY 128 bit authentication [no checking]"', '""'
    keys.write_text("".join(",".join([*row[:-2], *unknown]) + "\n" for row in rows))
    return CBC, "-k", keys


def read(path):
    with open(path, "rb") as stream:
        return list(read_records(stream))


def test_inner_packets_have_the_times_of_their_frames(run, tmp_path):
    inner = tmp_path / "inner.pcap"
    done = run(*keyed(GCM), "-w", inner)
    assert (done.code, done.err) == (0, "")
    assert "20 verified" in done.out
    records = read(inner)
    assert len(records) == 20
    assert {record.link_type for record in records} == {101}
    assert {parse_ip(record.data).protocol for record in records} == {1}
    times = {record.time_ns for record in read(GCM)}
    assert all(record.time_ns in times for record in records)


def test_unverified_packets_are_marked_in_pcapng_and_not_in_pcap(run, tmp_path):
    arguments = without_authentication(tmp_path)
    classic, commented = tmp_path / "inner.pcap", tmp_path / "inner.pcapng"
    done = run(*arguments, "-w", classic)
    assert done.code == 0
    assert read(classic) == []
    assert "20 packets are not in" in done.err
    done = run(*arguments, "-w", commented)
    assert done.err == ""
    assert len(read(commented)) == 20
    assert commented.read_bytes().count(b"NOT VERIFIED") == 20


def test_to_stdout_the_report_gives_way():
    command = [*MOBSEC, "decode", *map(str, keyed(GCM)), "-q", "-w", "-"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert len(list(read_records(io.BytesIO(done.stdout)))) == 20
    assert b"20 verified" in done.stderr


def test_no_packets_to_a_terminal():
    reader, writer = pty.openpty()
    command = [*MOBSEC, "decode", *map(str, keyed(GCM)), "-w", "-"]
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writer)
        os.close(reader)
    assert done.returncode == 2
    assert done.stderr == b"mobsec: stdout is a terminal: -w - is for a pipe or a file\n"


def test_frames_are_kept_as_captured_with_comments(run, tmp_path):
    outer = tmp_path / "outer.pcapng"
    done = run(*keyed(HANDOVER), GCM, "-w", outer, "--keep-outer")
    assert done.code == 0
    assert read(outer) == read(HANDOVER) + read(GCM)
    octets = outer.read_bytes()
    for text in ("RREQ #2", "RREP #2 accepted USE", "link 1 moved", "by registration"):
        assert text.encode() in octets


def test_a_damaged_capture_is_written_as_far_as_it_was_read(run, tmp_path):
    damaged, outer = tmp_path / "damaged.pcap", tmp_path / "outer.pcapng"
    damaged.write_bytes(GCM.read_bytes() + b"\xff" * 16)
    done = run(damaged, "-k", GCM.with_suffix(".esp_sa"), "-w", outer, "--keep-outer")
    assert done.code == 2
    assert read(outer) == read(GCM)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-w", "x.pcap", "--keep-outer"], "x.pcap: --keep-outer writes comments"),
        (["--keep-outer"], "--keep-outer says what -w writes"),
        (["-w", "nowhere/x.pcap"], "nowhere/x.pcap: No such file or directory"),
        (["-w", str(GCM)], "is read, and cannot be written at once"),
    ],
)
def test_there_is_no_writing(run, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    before = GCM.read_bytes()
    done = run(*keyed(GCM), *arguments)
    assert done.code == 2
    assert text in done.err
    assert done.err.count("\n") == 1
    assert GCM.read_bytes() == before


def test_a_classic_capture_ends_in_2106():
    bench = Bench()
    bench.see(bench.up())
    (seen,) = bench.packets
    stream = io.BytesIO()
    output = InnerOutput(stream, comments=False)
    output.take(seen._replace(time_ns=CLASSIC_END_NS - 1))
    output.take(seen._replace(time_ns=CLASSIC_END_NS))
    assert output.left_out == 1
    assert len(list(read_records(io.BytesIO(stream.getvalue())))) == 1


def test_comments_are_bounded_and_tell_another_frame():
    bench = Bench()
    bench.see(*[bench.up()] * 2)
    repeated = bench.packets[1]
    stream = io.BytesIO()
    output = OuterOutput(stream)
    output.begin(Record(7, 1, b"frame", 5))
    for _ in range(MAX_COMMENTS + 3):
        output.take(repeated)
    output.finish()
    output.begin(Record(8, 1, b"frame", 5))
    output.finish()
    octets = stream.getvalue()
    assert octets.count(b"frame 2: captured twice") == MAX_COMMENTS
    assert b"3 more" in octets
    assert len(list(read_records(io.BytesIO(octets)))) == 2
