"""The end of a carrier at its first violation, and the cutting of streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import pieces

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import Carried, Cutter, StreamCarrier, Violation
from scapy_mobsec.encap.udp import Content


def one_octet_length(data, offset):
    return offset + 1 + data[offset] if offset < len(data) else offset + 1


def test_carried_of_a_udp_payload():
    assert Carried.of(b"\xff") == Carried(Content.KEEPALIVE, b"")
    with pytest.raises(Drop) as caught:
        Carried.of(b"abc")
    assert caught.value.reason is DropReason.TRUNCATED


@given(st.lists(st.binary(max_size=255), max_size=8), st.integers(1, 300))
def test_units_come_out_whole_however_they_are_cut(values, size):
    units = [bytes((len(value),)) + value for value in values]
    cutter = Cutter(one_octet_length)
    got = [unit for part in pieces(b"".join(units), size) for unit in cutter.cut(part)]
    assert got == units
    assert cutter.held == 0


def test_at_most_one_unit_is_held():
    cutter = Cutter(one_octet_length)
    assert list(cutter.cut(b"\x01a\xff" + bytes(254))) == [b"\x01a"]
    assert cutter.held == 255
    assert list(cutter.cut(b"")) == []
    assert list(cutter.cut(b"\0\xff")) == [b"\xff" + bytes(255)]
    assert cutter.held == 1


class Stumbling(StreamCarrier):
    def wrap(self, content, message=b""):
        return message

    def _receive(self, data, carried):
        carried.append(Carried(Content.ESP, data))
        if data == b"bad":
            raise Drop(DropReason.WRONG_PREFIX, "why")


def test_the_first_violation_is_the_end_and_keeps_what_came_before():
    carrier = Stumbling()
    assert (carrier.start(), carrier.take_output()) == (b"", b"")
    assert carrier.receive(b"good") == [Carried(Content.ESP, b"good")]
    with pytest.raises(Violation) as caught:
        carrier.receive(b"bad")
    assert caught.value.carried == (Carried(Content.ESP, b"bad"),)
    assert (caught.value.reason, caught.value.detail) == (DropReason.WRONG_PREFIX, "why")
    with pytest.raises(Violation) as caught:
        carrier.receive(b"good")
    assert caught.value.carried == ()
