"""Classic captures of all four kinds, and Scapy as the reader of what the writer wrote."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader

from scapy_mobsec.drivers.capture_source import CaptureError, CaptureTruncated, Record, Source
from scapy_mobsec.drivers.pcap import CaptureWriter, read_pcap

MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D


def header(order="<", magic=MICROSECONDS, version=(2, 4), network=1):
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, network)


def record(data, order="<", seconds=1, fraction=5, length=None, original=None):
    length = len(data) if length is None else length
    original = length if original is None else original
    return struct.pack(order + "IIII", seconds, fraction, length, original) + data


def read(data):
    return list(read_pcap(Source(io.BytesIO(data))))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "scale"), [(MICROSECONDS, 1000), (NANOSECONDS, 1)])
def test_both_byte_orders_and_both_resolutions(order, magic, scale):
    data = (
        header(order, magic)
        + record(b"abc", order, 1_700_000_000, 999)
        + record(b"", order, 4_000_000_000, 0, original=90)
    )
    assert read(data) == [
        Record(1_700_000_000 * 10**9 + 999 * scale, 1, b"abc", 3),
        Record(4_000_000_000 * 10**9, 1, b"", 90),
    ]


def test_no_records():
    assert read(header()) == []


def test_frame_check_sequence_bits_are_no_part_of_the_link_type():
    (only,) = read(header(network=0x24000001) + record(b"abc"))
    assert only.link_type == 1


@pytest.mark.parametrize("version", [(2, 3), (1, 4), (3, 0)])
def test_unsupported_version(version):
    with pytest.raises(CaptureError, match=rf"unsupported pcap version {version[0]}\.{version[1]}"):
        read(header(version=version))


def test_header_cut_off():
    with pytest.raises(CaptureError, match="header is cut off") as error:
        read(header()[:23])
    assert not isinstance(error.value, CaptureTruncated)


@pytest.mark.parametrize(("cut", "missing"), [(1, 1), (3, 3), (4, 1), (18, 15)])
def test_truncated_after_whole_records(cut, missing):
    records = read_pcap(Source(io.BytesIO((header() + record(b"abc") * 2)[:-cut])))
    assert next(records).data == b"abc"
    with pytest.raises(CaptureTruncated, match=rf"missing: {missing} or more"):
        next(records)


def test_longest_record_and_one_octet_more():
    longest = bytes(256 << 10)
    assert read(header() + record(longest))[0].data == longest
    with pytest.raises(CaptureError, match="corrupt record at offset 43: length 262145"):
        read(header() + record(b"abc") + record(longest + b"x"))


def test_what_the_writer_wrote_is_read_by_scapy():
    stream = io.BytesIO()
    writer = CaptureWriter(stream, link_type=1)
    frame = bytes(Ether() / IP(src="192.0.2.1"))
    writer.write(1_700_000_000_123_456_789, frame)
    writer.write(1_700_000_001_000_000_000, frame)
    stream.seek(0)
    first, second = PcapReader(stream)
    assert first[IP].src == second[IP].src == "192.0.2.1"
    assert str(first.time) == "1700000000.123456789"
    assert second.time == 1_700_000_001


@given(
    st.integers(0, 65535),
    st.lists(st.tuples(st.integers(0, (1 << 32) * 10**9 - 1), st.binary(max_size=50))),
)
def test_what_the_writer_wrote_is_read_back(link_type, frames):
    stream = io.BytesIO()
    writer = CaptureWriter(stream, link_type)
    for time_ns, data in frames:
        writer.write(time_ns, data)
    expected = [Record(time_ns, link_type, data, len(data)) for time_ns, data in frames]
    assert read(stream.getvalue()) == expected


@pytest.mark.parametrize(
    ("time_ns", "length"), [(-1, 0), ((1 << 32) * 10**9, 0), (0, (256 << 10) + 1)]
)
def test_the_writer_refuses_what_does_not_fit(time_ns, length):
    with pytest.raises(ValueError, match="do not fit"):
        CaptureWriter(io.BytesIO()).write(time_ns, bytes(length))
