"""Captures as Wireshark's tools write them are read as tshark reads them."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from scapy_mobsec.drivers.capture import (
    CaptureError,
    CaptureWriter,
    PcapngWriter,
    open_capture,
    read_records,
)

pytestmark = pytest.mark.skipif(
    not shutil.which("tshark") or not shutil.which("editcap"), reason="tshark is not installed"
)

STRONGSWAN = Path(__file__).parents[2] / "pcaps" / "strongswan-natt.pcap"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def as_tshark_reads(path):
    """Return time, captured and original length of each frame."""
    fields = ("frame.time_epoch", "frame.cap_len", "frame.len")
    options = [part for field in fields for part in ("-e", field)]
    rows = run("tshark", "-r", str(path), "-T", "fields", *options).splitlines()
    return [
        (int(time.replace(".", "")), int(captured), int(original))
        for time, captured, original in (row.split("\t") for row in rows)
    ]


def as_we_read(path):
    with open_capture(path) as stream:
        return [
            (record.time_ns, len(record.data), record.original_length)
            for record in read_records(stream)
        ]


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
@pytest.mark.parametrize("options", [[], ["-s", "60"], ["-t", "0.000000001"]], ids="".join)
def test_formats_that_editcap_writes(tmp_path, kind, options):
    path = tmp_path / "x"
    run("editcap", "-F", kind, *options, str(STRONGSWAN), str(path))
    ours = as_we_read(path)
    assert len(ours) == 34
    assert ours == as_tshark_reads(path)
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert as_we_read(packed) == ours


def test_comments_secrets_and_two_interfaces(tmp_path):
    commented, merged, secrets = tmp_path / "1.pcapng", tmp_path / "2.pcapng", tmp_path / "keys"
    secrets.write_text("CLIENT_RANDOM 00 00\n")
    run("editcap", "-a", "1:a comment", "--capture-comment", "another",
        "--inject-secrets", f"tls,{secrets}", str(STRONGSWAN), str(commented))  # fmt: skip
    nanoseconds = tmp_path / "3.pcap"
    run("editcap", "-F", "nsecpcap", "-t", "1.5", str(STRONGSWAN), str(nanoseconds))
    run("mergecap", "-w", str(merged), str(commented), str(nanoseconds))
    ours = as_we_read(merged)
    assert len(ours) == 68
    assert ours == as_tshark_reads(merged)


def test_sections_one_after_the_other(tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    run("editcap", "-F", "pcapng", str(STRONGSWAN), str(one))
    two.write_bytes(one.read_bytes() * 2)
    assert as_we_read(two) == as_we_read(one) * 2 == as_tshark_reads(two)


@pytest.mark.parametrize("kind", ["modpcap", "snoop", "lanalyzer"])
def test_formats_that_are_not_read(tmp_path, kind):
    path = tmp_path / "x"
    run("editcap", "-F", kind, str(STRONGSWAN), str(path))
    with pytest.raises(CaptureError, match="not a capture file"):
        as_we_read(path)


def test_what_the_writer_wrote(tmp_path):
    path = tmp_path / "x.pcap"
    with open(path, "wb") as stream:
        writer = CaptureWriter(stream, link_type=1)
        writer.write(1_700_000_000_123_456_789, bytes(60))
        writer.write(1_700_000_001_000_000_001, bytes(61))
    assert as_tshark_reads(path) == as_we_read(path)
    assert as_we_read(path)[0] == (1_700_000_000_123_456_789, 60, 60)


def test_comments_that_the_writer_wrote(tmp_path):
    path = tmp_path / "x.pcapng"
    with open(path, "wb") as stream:
        writer = PcapngWriter(stream, link_type=1)
        writer.write(1_700_000_000_123_456_789, bytes(61), ["first", "zweite: \u00fc"])
        writer.write(1_700_000_001_000_000_001, bytes(60))
    assert as_tshark_reads(path) == as_we_read(path)
    assert as_we_read(path)[0] == (1_700_000_000_123_456_789, 61, 61)
    options = ("-T", "fields", "-E", "aggregator=|", "-e", "frame.comment")
    assert run("tshark", "-r", str(path), *options).splitlines() == ["first|zweite: \u00fc", ""]
