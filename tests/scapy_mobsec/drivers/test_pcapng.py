"""pcapng blocks, sections, interfaces and times."""

import io
import struct

import pytest

from scapy_mobsec.drivers.capture_source import CaptureError, CaptureTruncated, Record, Source
from scapy_mobsec.drivers.pcapng import PcapngWriter, read_pcapng

ORDERS = pytest.mark.parametrize("order", ["<", ">"])


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order="<", version=(1, 0)):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1), order)


def interface(order="<", link_type=1, snap=0, options=b""):
    return block(1, struct.pack(order + "HHI", link_type, 0, snap) + options, order)


def enhanced(data=b"abc", order="<", number=0, time=0, length=None, options=b""):
    length = len(data) if length is None else length
    head = struct.pack(order + "IIIII", number, time >> 32, time & 0xFFFFFFFF, length, 99)
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def old(data=b"abc", order="<", number=0, time=0):
    head = struct.pack(
        order + "HHIIII", number, 7, time >> 32, time & 0xFFFFFFFF, len(data), len(data)
    )
    return block(2, head + data, order)


def simple(data=b"abc", order="<", original=None):
    original = len(data) if original is None else original
    return block(3, struct.pack(order + "I", original) + data, order)


def read(*blocks, on_tls_keys=lambda key_log: None):
    return list(read_pcapng(Source(io.BytesIO(b"".join(blocks))), on_tls_keys))


def secrets(octets, order="<", kind=0x544C534B, length=None):
    length = len(octets) if length is None else length
    return block(10, struct.pack(order + "II", kind, length) + octets, order)


@ORDERS
def test_the_three_packet_blocks(order):
    assert read(
        section(order),
        interface(order),
        enhanced(b"abc", order, time=5 << 32),
        old(b"abcde", order, time=7),
        simple(b"abcd", order),
    ) == [
        Record((5 << 32) * 1000, 1, b"abc", 99),
        Record(7000, 1, b"abcde", 5),
        Record(0, 1, b"abcd", 4),
    ]


def test_simple_packets_are_cut_at_the_snap_length():
    (only,) = read(section(), interface(snap=5), simple(b"abcde", original=1500))
    assert only == Record(0, 1, b"abcde", 1500)


def test_interfaces_and_sections_are_kept_apart():
    records = read(
        section("<"),
        interface("<", 1),
        interface("<", 113),
        enhanced(order="<", number=1),
        enhanced(order="<", number=0),
        section(">"),
        interface(">", 101),
        enhanced(order=">"),
    )
    assert [record.link_type for record in records] == [113, 1, 101]


@ORDERS
@pytest.mark.parametrize(
    ("resolution", "time", "time_ns"),
    [
        (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (0, 1_700_000_000, 1_700_000_000_000_000_000),
        (12, 1_700_000_000_123_456, 1_700_000_000_123),
        (0x80, 1_700_000_000, 1_700_000_000_000_000_000),
        (0x81, 3, 1_500_000_000),
        (0x94, 1 << 20, 1_000_000_000),
        (127, (1 << 64) - 1, 0),
        (0, (1 << 64) - 1, (1 << 63) - 1),
    ],
)
def test_time_resolution(order, resolution, time, time_ns):
    options = option(1, b"odds!", order) + option(9, bytes([resolution]), order)
    (only,) = read(
        section(order), interface(order, options=options), enhanced(order=order, time=time)
    )
    assert only.time_ns == time_ns


@ORDERS
@pytest.mark.parametrize(
    ("offset", "time_ns"), [(1000, 1000 * 10**9 + 5000), (-1, 0), (1 << 62, (1 << 63) - 1)]
)
def test_time_offset(order, offset, time_ns):
    options = option(14, struct.pack(order + "q", offset), order)
    (only,) = read(section(order), interface(order, options=options), enhanced(order=order, time=5))
    assert only.time_ns == time_ns


@ORDERS
def test_tls_secrets_are_handed_on(order):
    found = []
    one, two = secrets(b"a line\n", order), secrets(b"another", order)
    first, second = enhanced(order=order), enhanced(order=order)
    blocks = section(order), interface(order), one, first, two, second
    assert len(read(*blocks, on_tls_keys=found.append)) == 2
    assert found == ["a line\n", "another"]


def test_tls_secrets_are_written():
    stream, found = io.BytesIO(), []
    PcapngWriter(stream, tls_keys="a line\n").write(1000, b"abc")
    (record,) = read(stream.getvalue(), on_tls_keys=found.append)
    assert (record.data, found) == (b"abc", ["a line\n"])


def test_other_blocks_and_options_are_stepped_over():
    comment = option(1, b"a comment") + option(0, b"") + option(9, b"\0")
    records = read(
        section(),
        block(4, bytes(20)),
        interface(options=option(2, b"eth0") + option(1, b"c") + comment),
        secrets(bytes(400_000), kind=0x57474B4C),
        block(0xBAD, b"custom"),
        enhanced(options=comment, time=1),
        block(5, bytes(12)),
    )
    assert records == [Record(1000, 1, b"abc", 99)]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([section()[:8] + bytes(20)], "offset 0: no byte-order magic"),
        ([section(), interface(), enhanced(number=1)], "interface 1 is not described"),
        ([section(), simple()], "interface 0 is not described"),
        ([section(), secrets(b"abcd", length=5)], "secrets length 5"),
        ([section(), block(10, b"TLSK")], "4 octets of secrets"),
        ([section(), interface(), section(), enhanced()], "interface 0 is not described"),
        ([section(), interface(), enhanced(length=5)], "length 5"),
        ([section(), interface(), old()[:20] + b"\xff" * 4 + old()[24:]], "length 4294967295"),
        ([section(), interface(), simple(original=9)], "length 9"),
        ([section(), interface(snap=9), simple(original=9)], "length 9"),
        ([section(), interface(options=b"\x09\0\x09\0\0\0\0\0")], "option beyond"),
        ([section(), block(6, bytes(16))], "block length 28"),
        ([section(), block(1, bytes(4))], "block length 16"),
        ([section(), block(9, b"")[:4] + b"\x08\0\0\0" + bytes(4)], "block length 8"),
        ([section(), block(9, b"")[:4] + b"\x0e\0\0\0" + bytes(9)], "block length 14"),
        ([section(), block(9, b"")[:4] + b"\x04\0\0\x01"], "block length 16777220"),
        ([section(), block(6, bytes(400_000))], "block length 400012"),
        ([section(), interface()[:-1] + b"\1"], "offset 28: the two lengths"),
    ],
)
def test_corrupt_blocks(blocks, reason):
    with pytest.raises(CaptureError, match=rf"corrupt record at offset \d+: .*{reason}|{reason}"):
        read(*blocks)


def test_longest_record_and_one_octet_more():
    longest = bytes(256 << 10)
    assert read(section(), interface(), enhanced(longest))[0].data == longest
    for one_more in (enhanced(longest + b"x"), old(longest + b"x"), simple(longest + b"x")):
        with pytest.raises(CaptureError, match="length 262145"):
            read(section(), interface(), one_more)


def test_interfaces_are_bounded():
    assert read(section(), interface() * 4096, enhanced(number=4095))
    with pytest.raises(CaptureError, match="more than 4096 interfaces"):
        read(section(), interface() * 4097)


@pytest.mark.parametrize("version", [(0, 9), (2, 0)])
def test_unsupported_version(version):
    with pytest.raises(CaptureError, match=f"unsupported pcapng version {version[0]}"):
        read(section(version=version))


def test_truncated_in_the_next_section_header():
    for missing in range(1, 28):
        with pytest.raises(CaptureTruncated):
            read(section(), section()[:-missing])


def test_header_cut_off():
    with pytest.raises(CaptureError, match="header is cut off") as error:
        read(section()[:27])
    assert not isinstance(error.value, CaptureTruncated)


@pytest.mark.parametrize(
    ("cut", "missing"), [(1, 1), (3, 3), (5, 1), (4 + 24, 24), (4 + 24 + 1, 1), (35, 7)]
)
def test_truncated_after_whole_records(cut, missing):
    octets = section() + interface() + enhanced() * 2
    records = read_pcapng(Source(io.BytesIO(octets[:-cut])), lambda key_log: None)
    assert next(records).data == b"abc"
    with pytest.raises(CaptureTruncated, match=rf"missing: {missing} or more"):
        next(records)


def written(*frames, link_type=101):
    stream = io.BytesIO()
    writer = PcapngWriter(stream, link_type)
    for frame in frames:
        writer.write(*frame)
    return stream.getvalue()


def test_what_is_written_is_read_with_its_nanoseconds():
    frames = [(1_700_000_000_123_456_789, b"abc", ["a comment", "b"]), (2**63 - 1, b"")]
    records = read(written(*frames))
    assert records == [Record(time, 101, data, len(data)) for time, data, *_ in frames]


def test_comments_are_options_of_their_packet():
    comment = option(1, "\u00e4".encode()) + option(1, b"long") + option(0, b"")
    head = struct.pack("<IIIII", 0, 0, 7, 3, 3)
    assert written((7, b"abc", ["\u00e4", "long"])).endswith(block(6, head + b"abc\0" + comment))
    assert written((7, b"abc")).endswith(block(6, head + b"abc"))


def test_each_link_type_has_its_interface_and_cut_frames_their_length():
    stream = io.BytesIO()
    writer = PcapngWriter(stream, 1)
    for link_type in (None, 113, 1, 113):
        writer.write(7, b"abc", link_type=link_type, original_length=link_type)
    records = read(stream.getvalue())
    assert [each.link_type for each in records] == [1, 113, 1, 113]
    assert [each.original_length for each in records] == [3, 113, 1, 113]
    assert stream.getvalue().count(struct.pack("<HHI", 113, 0, 256 << 10)) == 1


@pytest.mark.parametrize(
    "frame",
    [
        (-1, b""),
        (2**63, b""),
        (0, bytes((256 << 10) + 1)),
        (0, b"", ["x" * 65_536]),
    ],
)
def test_what_does_not_fit_is_not_written(frame):
    with pytest.raises(ValueError, match="do not fit"):
        written(frame)
