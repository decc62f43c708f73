"""The octets of a capture: from any stream, in any portions, out of gzip."""

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drivers.capture_source import CaptureError, CaptureTruncated, Source

DATA = bytes(range(256)) * 40


class Dribble:
    """A raw stream that cannot seek and gives a few octets at a time."""

    def __init__(self, data, portion):
        self._data = data
        self._portion = portion

    def read(self, size):
        taken = self._data[: min(size, self._portion)]
        self._data = self._data[len(taken) :]
        return taken


@pytest.mark.parametrize("portion", [1, 2, 7, 10_000])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_octets_in_order_in_any_portions(pack, portion):
    source = Source(Dribble(pack(DATA), portion))
    assert source.peek(5) == DATA[:5]
    assert source.take(3) == DATA[:3]
    source.skip(1000)
    assert source.offset == 1003
    assert source.peek(20_000) == DATA[1003:]
    assert not source.at_end()
    assert source.take(len(DATA) - 1003) == DATA[1003:]
    assert source.at_end()
    assert source.take(0) == b""


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_missing_octets_are_counted(pack):
    source = Source(io.BytesIO(pack(DATA)))
    source.skip(len(DATA) - 5)
    with pytest.raises(CaptureTruncated, match=r"cut off \(octets missing: 7 or more\)"):
        source.take(12)


def test_gzip_of_several_members_and_padding():
    packed = gzip.compress(DATA[:99]) + gzip.compress(b"") + bytes(9) + gzip.compress(DATA[99:])
    for portion in (1, 100_000):
        source = Source(Dribble(packed + bytes(3000), portion))
        assert source.take(len(DATA)) == DATA
        assert source.at_end()


@given(st.integers(0, len(DATA)), st.data())
def test_cut_off_gzip_gives_all_it_can(taken, data):
    packed = gzip.compress(DATA, compresslevel=1)
    packed = packed[: data.draw(st.integers(10, len(packed) - 1))]
    whole = zlib.decompressobj(31).decompress(packed)
    source = Source(io.BytesIO(packed))
    if taken <= len(whole):
        assert source.take(taken) == whole[:taken]
    with pytest.raises(CaptureTruncated, match="gzip data is cut off"):
        source.skip(len(DATA) + 1)


@pytest.mark.parametrize("portion", [1, 100_000])
def test_corrupt_gzip(portion):
    packed = bytearray(gzip.compress(DATA))
    packed[-6] ^= 1  # of the checksum
    for bad in (bytes(packed), gzip.compress(DATA) + b"garbage", b"\x1f\x8b\x00" + bytes(40)):
        with pytest.raises(CaptureError, match="gzip data is corrupt"):
            Source(Dribble(bad, portion)).skip(len(DATA) + 1)


def test_a_gzip_bomb_is_unpacked_bit_by_bit():
    packed = gzip.compress(bytes(256 << 20), compresslevel=1)
    source = Source(io.BytesIO(packed))
    longest = 0
    while not source.at_end():
        source.take(1)
        longest = max(longest, len(source._buffer))
        source.skip(min(len(source._buffer) - 1, 1 << 20))
    assert source.offset == 256 << 20
    assert longest <= 1 << 20


def test_an_error_of_the_stream_is_a_capture_error():
    class Broken:
        def read(self, size):
            raise OSError(5, "Input/output error")

    with pytest.raises(CaptureError, match="cannot be read: Input/output error"):
        Source(Broken())


def test_corrupt_says_which_octets_are_counted():
    plain, packed = Source(io.BytesIO(DATA)), Source(io.BytesIO(gzip.compress(DATA)))
    assert str(plain.corrupt(24, "x")) == "corrupt record at offset 24: x"
    assert str(packed.corrupt(24, "x")) == "corrupt record at offset 24 of the uncompressed data: x"
