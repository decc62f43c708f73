"""Capsules and their integers: the vectors of RFC 9000 A.1, and what RFC 9297 and 9298 demand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.capsule import (
    MAX_CAPSULE,
    MAX_UDP_PAYLOAD,
    measure_capsule,
    read_varint,
    unwrap_capsule,
    varint_end,
    wrap_capsule,
    write_varint,
)


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        ("c2197c5eff14e88c", 151_288_809_941_952_652),
        ("9d7f3e7d", 494_878_333),
        ("7bbd", 15_293),
        ("25", 37),
        ("4025", 37),
    ],
)
def test_vectors_of_rfc_9000(octets, value):
    data = bytes.fromhex(octets)
    assert varint_end(data, 0) == len(data)
    assert read_varint(data, 0, len(data)) == value
    if octets != "4025":  # longer than needed
        assert write_varint(value) == data


@pytest.mark.parametrize(
    ("value", "size"),
    [(0, 1), (63, 1), (64, 2), (16383, 2), (16384, 4), (2**30 - 1, 4), (2**30, 8), (2**62 - 1, 8)],
)
def test_shortest_coding(value, size):
    data = write_varint(value)
    assert (len(data), read_varint(data, 0, size)) == (size, value)


def test_no_more_than_62_bits():
    with pytest.raises(OverflowError):
        write_varint(2**62)


@pytest.mark.parametrize(
    ("capsule", "payload"),
    [
        ("0006 00 0a0b0c0d01", bytes.fromhex("0a0b0c0d01")),
        ("4000 06 00 0a0b0c0d01", bytes.fromhex("0a0b0c0d01")),
        ("00 4006 00 0a0b0c0d01", bytes.fromhex("0a0b0c0d01")),
        ("00 07 4000 0a0b0c0d01", bytes.fromhex("0a0b0c0d01")),
        ("00 02 00 ff", b"\xff"),
        ("00 01 00", b""),
        ("00 06 02 0a0b0c0d01", None),
        ("01 06 00 0a0b0c0d01", None),
        ("9d7f3e7d 00", None),
    ],
)
def test_each_capsule(capsule, payload):
    data = bytes.fromhex(capsule)
    assert measure_capsule(data, 0) == len(data)
    assert unwrap_capsule(data) == payload
    for cut in range(len(data)):
        assert cut < measure_capsule(data[:cut], 0) <= max(len(data), 2)


@pytest.mark.parametrize("capsule", ["0000", "000140", "0003800000", "0001c0"])
def test_a_datagram_has_a_context_id(capsule):
    with pytest.raises(Drop) as caught:
        unwrap_capsule(bytes.fromhex(capsule))
    assert caught.value.reason is DropReason.MALFORMED_CAPSULE


@pytest.mark.parametrize("kind", [0, 1, 2**62 - 1])
def test_huge_capsules_are_refused_before_they_come(kind):
    head = write_varint(kind)
    assert measure_capsule(head + write_varint(MAX_CAPSULE), 0) == len(head) + 4 + MAX_CAPSULE
    with pytest.raises(Drop) as caught:
        measure_capsule(head + write_varint(MAX_CAPSULE + 1), 0)
    assert caught.value.reason is DropReason.CAPSULE_TOO_LONG


def test_no_more_than_udp_can_carry():
    assert unwrap_capsule(wrap_capsule(bytes(MAX_UDP_PAYLOAD))) == bytes(MAX_UDP_PAYLOAD)
    with pytest.raises(Drop) as caught:
        wrap_capsule(bytes(MAX_UDP_PAYLOAD + 1))
    assert caught.value.reason is DropReason.MESSAGE_TOO_LONG
    value = bytes(1 + MAX_UDP_PAYLOAD + 1)
    with pytest.raises(Drop) as caught:
        unwrap_capsule(b"\0" + write_varint(len(value)) + value)
    assert caught.value.reason is DropReason.CAPSULE_TOO_LONG


@given(st.binary(max_size=2000))
def test_what_goes_in_comes_out(payload):
    capsule = wrap_capsule(payload)
    assert measure_capsule(capsule + b"rest", 0) == len(capsule)
    assert unwrap_capsule(capsule) == payload
