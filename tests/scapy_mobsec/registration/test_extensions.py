"""The walk over the extensions, vendor extensions, PAD, and our smaller values."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.extensions import (
    MAX_ADDRESSES,
    MAX_EXTENSIONS,
    MAX_TRANSLATIONS,
    MAX_VALUE,
    Attempt,
    Extension,
    Report,
    TranslationItem,
    build_addresses,
    build_attempt,
    build_pad,
    build_report,
    build_translations,
    build_vendor,
    check_pad,
    pad_for,
    parse_addresses,
    parse_attempt,
    parse_challenge,
    parse_home,
    parse_report,
    parse_translations,
    read_extensions,
)


def read(data, offset=0):
    values, others = {}, []
    pad = read_extensions(data, offset, values, others)
    return values, others, pad


def ours(vendor_type, value):
    return build_vendor(vendor_type, value)


def test_vendor_extension_written_out():
    assert ours(8, b"abcdefgh") == bytes.fromhex("86 10 0000 00007ed9 0008") + b"abcdefgh"


def test_values_and_others_in_any_order():
    nai = Extension(131, b"\x83\x02me")
    data = nai.octets + ours(7, b"x") + b"\0" + ours(1, b"yz") + b"\x90\x00" + ours(2, b"")
    values, others, pad = read(b"head" + data, 4)
    assert values == {7: b"x", 1: b"yz", 2: b""}
    assert others == [nai, Extension(0, b"\0"), Extension(144, b"\x90\x00")]
    assert pad == 0


@pytest.mark.parametrize("length", [0, 1, 246, 247, 248, 494, 495, MAX_VALUE])
def test_long_values_continue_and_are_joined(length):
    value = bytes(range(256)) * (length // 256) + bytes(length % 256)
    data = ours(1, value)
    assert len(data) == length + 10 * max(1, -(-length // 247))
    assert read(data)[0] == {1: value}


def test_a_value_continues_even_where_the_one_before_was_not_full():
    assert read(ours(1, b"ab") + ours(1, b"c"))[0] == {1: b"abc"}


def test_bound_on_one_value():
    with pytest.raises(ValueError, match=f"more than {MAX_VALUE}"):
        ours(1, bytes(MAX_VALUE + 1))
    with pytest.raises(Drop, match=f"SENT longer than {MAX_VALUE}"):
        read(ours(1, bytes(MAX_VALUE)) + ours(1, b"x"))


@pytest.mark.parametrize("between", [ours(2, b"x"), ours(9, b""), b"\0", b"\xc8\0"])
def test_a_value_twice(between):
    with pytest.raises(Drop, match="SENT twice") as caught:
        read(ours(1, b"x") + between + ours(1, b"y"))
    assert caught.value.reason is DropReason.POORLY_FORMED


def test_reserved_octets_are_ignored():
    data = bytearray(ours(1, b"x"))
    data[2:4] = b"\xff\xff"
    assert read(bytes(data))[0] == {1: b"x"}


def test_vendor_extensions_that_are_not_ours_are_kept():
    foreign = bytes.fromhex("86 09 0000 00000009 0001 ff")
    unknown = bytes.fromhex("86 09 0000 00007ed9 000d ff")
    values, others, _ = read(foreign + unknown + unknown)
    assert values == {}
    assert [each.octets for each in others] == [foreign, unknown, unknown]


def test_bound_on_extensions():
    assert len(read(b"\0" * MAX_EXTENSIONS)[1]) == MAX_EXTENSIONS
    with pytest.raises(Drop, match=f"more than {MAX_EXTENSIONS} extensions"):
        read(b"\0" * (MAX_EXTENSIONS + 1))


@pytest.mark.parametrize("kind", [1, 31, 35, 36, 37, 40, 43, 45, 127])
def test_unknown_types_below_128(kind):
    with pytest.raises(Drop, match=f"unknown extension type {kind}") as caught:
        read(bytes((kind, 0, 0, 0)))
    assert caught.value.reason is DropReason.POORLY_FORMED


@pytest.mark.parametrize("kind", [32, 33, 34, 44, 128, 131, 144, 200, 255])
def test_types_that_are_kept(kind):
    octets = bytes((kind, 3)) + b"abc"
    assert read(octets)[1] == [Extension(kind, octets)]


@pytest.mark.parametrize(
    ("octets", "reason", "detail"),
    [
        ("26 00 0006 00000009 0001", "UNKNOWN_CRITICAL_VENDOR_EXTENSION", "vendor 9, type 1"),
        ("26 00 0007 00007ed9 0001 ff", "UNKNOWN_CRITICAL_VENDOR_EXTENSION", "vendor 32473"),
        ("26 00 0005 00007ed9 00", "POORLY_FORMED", "length does not fit"),
        ("26 00 0007 00007ed9 0001", "POORLY_FORMED", "type 38 truncated"),
        ("26 00", "POORLY_FORMED", "type 38 truncated"),
        ("86", "POORLY_FORMED", "vendor extension truncated"),
        ("86 07 0000 00007ed9 00", "POORLY_FORMED", "vendor extension truncated"),
        ("86 07 0000 00007ed9 0001", "POORLY_FORMED", "vendor extension whose length"),
        ("86 09 0000 00007ed9 0001", "POORLY_FORMED", "vendor extension whose length"),
        ("86 09 0000 00007ed9 0009 01", "POORLY_FORMED", "PAD is not zero"),
        ("c8", "POORLY_FORMED", "type 200 truncated"),
        ("c8 01", "POORLY_FORMED", "type 200 truncated"),
    ],
)
def test_malformed_extensions(octets, reason, detail):
    with pytest.raises(Drop, match=detail) as caught:
        read(bytes.fromhex(octets))
    assert caught.value.reason is DropReason[reason]


@pytest.mark.parametrize(
    ("kind", "octets"),
    [(32, b""), (32, b"\x20\x01"), (32, b"\x21\0"), (0, b"\0\0"), (36, b"\x24\0")],
)
def test_an_extension_is_one_whole_extension(kind, octets):
    with pytest.raises(ValueError, match=f"extension of type {kind}"):
        Extension(kind, octets)


def test_long_form():
    assert Extension(36, b"\x24\x07\x00\x01x").octets[4:] == b"x"


@pytest.mark.parametrize("octets", [*range(10, 600), 1028, 1029, 1037, 1038])
def test_pad_takes_exactly_so_many_octets(octets):
    check_pad(octets)
    data = build_pad(octets)
    assert len(data) == octets
    assert read(data) == ({}, [], octets)
    assert data.count(bytes.fromhex("00007ed9 0009")) == -(-octets // 257)


def test_pad_for_what_is_missing():
    assert [pad_for(missing) for missing in (-5, 0, 1, 9, 10, 11)] == [0, 0, 10, 10, 10, 11]
    assert build_pad(0) == b""


@pytest.mark.parametrize("octets", [-1, 1, 9])
def test_pad_that_is_impossible(octets):
    with pytest.raises(ValueError, match="PAD cannot"):
        check_pad(octets)


def test_pads_may_stand_anywhere():
    data = build_pad(20) + ours(1, b"x") + build_pad(300) + ours(2, b"y") + build_pad(10)
    assert read(data) == ({1: b"x", 2: b"y"}, [], 330)


def test_attempt():
    attempt = Attempt(0x0102_0304, 5, 6, 7)
    assert build_attempt(attempt) == bytes.fromhex("01020304 05 06 07 00")
    assert parse_attempt(bytes.fromhex("01020304 05 06 07 ff")) == attempt


def test_report():
    report = Report(2**32 - 1, 2, 1400)
    assert build_report(report) == bytes.fromhex("ffffffff 00000002 0578")
    assert parse_report(build_report(report)) == report


@pytest.mark.parametrize(
    ("parse", "lengths"),
    [
        (parse_attempt, (0, 7, 9)),
        (parse_report, (0, 9, 11)),
        (parse_challenge, (0, 7, 9, 16)),
        (parse_home, (0, 4, 15, 17)),
    ],
)
def test_fixed_lengths(parse, lengths):
    for length in lengths:
        with pytest.raises(Drop, match=f"of {length} octets"):
            parse(bytes(length))


def test_translations():
    items = (
        TranslationItem(0, FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS),
        TranslationItem(255, FieldCode.HTTP_INTERMEDIARY, NatureCode.REWRITTEN),
    )
    assert build_translations(items) == bytes.fromhex("00 01 01  ff 08 07")
    assert parse_translations(build_translations(items)) == items
    assert parse_translations(b"") == ()


@pytest.mark.parametrize(
    "octets", ["00", "00 01", "00 01 01 00", "00 00 01", "00 09 01", "00 01 08"]
)
def test_malformed_translations(octets):
    with pytest.raises(Drop, match="TRANSLATIONS"):
        parse_translations(bytes.fromhex(octets))


def test_bound_on_translations():
    most = (TranslationItem(0, FieldCode.SOURCE_PORT, NatureCode.PORT),) * MAX_TRANSLATIONS
    assert parse_translations(build_translations(most)) == most
    with pytest.raises(Drop, match="TRANSLATIONS of"):
        parse_translations(build_translations(most) + b"\0\3\2")
    with pytest.raises(ValueError, match=f"more than {MAX_TRANSLATIONS}"):
        build_translations((*most, most[0]))


def test_addresses():
    addresses = (bytes((192, 0, 2, 1)), bytes(range(16)))
    assert build_addresses(addresses) == b"\x04\xc0\0\2\1\x06" + bytes(range(16))
    assert parse_addresses(build_addresses(addresses)) == addresses
    assert parse_addresses(b"") == ()
    with pytest.raises(ValueError, match="address has 5 octets"):
        build_addresses((bytes(5),))


@pytest.mark.parametrize("octets", ["04", "04 c00002", "05 c0000201", "06 c0000201", "00"])
def test_malformed_addresses(octets):
    with pytest.raises(Drop, match="family or length"):
        parse_addresses(bytes.fromhex(octets))


def test_bound_on_addresses():
    most = (bytes(4),) * MAX_ADDRESSES
    assert parse_addresses(build_addresses(most)) == most
    with pytest.raises(Drop, match=f"more than {MAX_ADDRESSES}"):
        parse_addresses(build_addresses(most) + b"\x04" + bytes(4))
    with pytest.raises(ValueError, match=f"more than {MAX_ADDRESSES}"):
        build_addresses((*most, most[0]))


REASONS = {DropReason.POORLY_FORMED, DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION}


@given(
    st.lists(st.sampled_from([b"\x86", b"\x26", b"\0\0\x7e\xd9", b"\0\1"]) | st.binary(max_size=9))
)
@settings(max_examples=300, deadline=None)
def test_any_octets_are_extensions_or_a_drop(verdict, parts):
    octets = b"".join(parts)
    found, drop = verdict(read, octets)
    if drop:
        assert drop.reason in REASONS
        assert drop.detail
    else:
        values, others, pad = found
        rebuilt = [build_vendor(kind, value) for kind, value in values.items()]
        rebuilt += [each.octets for each in others]
        assert len(b"".join(rebuilt)) + pad <= len(octets)  # less where short ones were joined
