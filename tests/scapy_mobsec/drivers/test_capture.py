"""Captures told apart by their content, and whatever else a file may hold."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drivers.capture import (
    CaptureError,
    CaptureTruncated,
    CaptureWriter,
    Record,
    open_capture,
    read_records,
)

DATA = Path(__file__).parents[2] / "data"

PCAPNG = bytes.fromhex(
    "0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffffffffffff 1c000000"
    "01000000 14000000 65000000 00000000 14000000"
    "06000000 24000000 00000000 00000000 05000000 03000000 03000000 61626300 24000000"
)


def pcap(count=3):
    stream = io.BytesIO()
    writer = CaptureWriter(stream)
    for number in range(count):
        writer.write(number, bytes([number]) * 30)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_format_is_told_by_the_content(pack):
    expected = [Record(number, 101, bytes([number]) * 30, 30) for number in range(3)]
    assert list(read_records(io.BytesIO(pack(pcap())))) == expected
    assert list(read_records(io.BytesIO(pack(PCAPNG)))) == [Record(5000, 101, b"abc", 3)]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "empty file"),
        (gzip.compress(b"", mtime=0), "empty file"),
        (b"\xd4", "the file header is cut off"),
        (pcap()[:23], "the file header is cut off"),
        (PCAPNG[:27], "the file header is cut off"),
        (gzip.compress(pcap(), mtime=0)[:12], "the file header is cut off"),
        (gzip.compress(pcap(), 0, mtime=0)[:30], "the file header is cut off"),
        (b"text file\n" * 9, "not a capture file"),
        (gzip.compress(gzip.compress(pcap(), mtime=0), mtime=0), "not a capture file"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "packed by zstd"),
        (lzma.compress(pcap()), "packed by xz"),
        (bz2.compress(pcap()), "packed by bzip2"),
        (b"\x04\x22\x4d\x18" + bytes(9), "packed by lz4"),
    ],
)
def test_what_is_not_a_capture(octets, reason):
    with pytest.raises(CaptureError, match=reason) as error:
        list(read_records(io.BytesIO(octets)))
    assert not isinstance(error.value, CaptureTruncated)


@pytest.mark.parametrize("octets", [pcap(), PCAPNG], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_cut_gives_the_whole_records_and_one_error(octets, pack):
    packed = pack(octets)
    whole = list(read_records(io.BytesIO(packed)))
    for end in range(len(packed)):
        records = []
        with contextlib.suppress(CaptureError):
            for record in read_records(io.BytesIO(packed[:end])):
                records.append(record)
        assert records == whole[: len(records)]
        if pack is bytes and octets is not PCAPNG:
            assert len(records) == max(0, end - 24) // 46


@given(
    st.sampled_from([pcap(), PCAPNG, gzip.compress(pcap()), gzip.compress(PCAPNG)]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 200),
)
def test_only_capture_errors_escape(octets, changes, end):
    changed = bytearray(octets[: max(end, 4)])
    for place, value in changes:
        changed[place % len(changed)] = value
    with contextlib.suppress(CaptureError):
        list(read_records(io.BytesIO(bytes(changed))))


@given(st.sampled_from([pcap(0), PCAPNG[:28], PCAPNG[:48], b"", b"\x1f\x8b"]), st.binary())
def test_only_capture_errors_escape_any_octets(start, octets):
    with contextlib.suppress(CaptureError):
        list(read_records(io.BytesIO(start + octets)))


def test_records_of_a_live_pipe_come_at_once():
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as source:
        source.write(pcap(1))
        records = read_records(stream)
        first = []
        thread = threading.Thread(target=lambda: first.append(next(records)), daemon=True)
        thread.start()
        thread.join(10)
        assert [record.time_ns for record in first] == [0]


def test_open_a_file_and_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(1))
    with open_capture(path) as stream:
        assert len(list(read_records(stream))) == 1
    assert stream.closed
    with open(path, "rb") as given_stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given_stream))
        with open_capture("-") as stream:
            assert len(list(read_records(stream))) == 1
        assert not stream.closed


def test_what_cannot_be_opened(tmp_path):
    for path, reason in ((tmp_path / "x", "No such file"), (tmp_path, "Is a directory")):
        with (
            pytest.raises(CaptureError, match=f"cannot be opened: {reason}"),
            open_capture(path),
        ):
            pass


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("tcpdump/02-sunrise-sunset-esp.pcap", 8),
        ("tcpdump/espudp1.pcap", 8),
        ("tcpdump/isakmp4500.pcap", 35),
        ("malformed/esp_truncated.pcap", 1),
        ("malformed/isakmp-pointer-loop.pcap", 1),
        ("malformed/isakmp-rfc3948-oobr.pcap", 23),
    ],
)
def test_captures_of_others(name, count):
    with open_capture(DATA / name) as stream:
        records = list(read_records(stream))
    assert [record.link_type for record in records] == [1] * count
