"""RFC 9329 in and out of streams: one list of frames, both directions, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import ESP, IKE, MESSAGES, contents, feed, pieces

from contrib_layers.numbers import STREAM_PREFIX
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import Carried
from scapy_mobsec.encap.tcp import TcpCarrier, measure_frame, wrap_frame
from scapy_mobsec.encap.udp import Content

FRAMES = [
    (Content.ESP, ESP, b"\x00\x32" + ESP),
    (Content.IKE, IKE, b"\x00\x22" + bytes(4) + IKE),
    (Content.KEEPALIVE, b"", b"\x00\x03\xff"),
    (Content.ESP, b"\x01" * 65533, b"\xff\xff" + b"\x01" * 65533),
]
STREAM = b"".join(wrap_frame(*message) for message in MESSAGES)


@pytest.mark.parametrize(("content", "message", "frame"), FRAMES)
@pytest.mark.parametrize("originator", [True, False])
def test_each_frame_both_ways(content, message, frame, originator):
    carrier = TcpCarrier(originator=originator)
    assert carrier.wrap(content, message) == frame
    if not originator:
        carrier.receive(STREAM_PREFIX)
    assert carrier.receive(frame) == [Carried(content, message)]


def test_prefix_once_and_by_the_originator():
    client, server = TcpCarrier(originator=True), TcpCarrier(originator=False)
    assert (client.start(), server.start()) == (b"IKETCP", b"")
    assert (client.ready, server.ready) == (True, False)
    assert server.receive(b"IKET") == []
    assert not server.ready
    assert server.receive(b"CP") == []
    assert server.ready


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1399, 10_000])
@pytest.mark.parametrize("originator", [True, False])
def test_any_cutting(size, originator):
    data = STREAM if originator else STREAM_PREFIX + STREAM
    carried, reason = feed(TcpCarrier(originator=originator), pieces(data, size))
    assert (contents(carried), reason) == (MESSAGES, None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x00", DropReason.BAD_FRAME_LENGTH),
        (b"\x00\x01", DropReason.BAD_FRAME_LENGTH),
        (b"\x00\x03\xfe", DropReason.TRUNCATED),
        (b"\x00\x05abc", DropReason.TRUNCATED),
        (b"\x00\x02", None),
        (b"\x00", None),
        (b"\x00\x32" + ESP[:-1], None),
    ],
)
@pytest.mark.parametrize("size", [1, 9999])
def test_what_ends_a_stream_and_what_does_not(data, reason, size):
    before = wrap_frame(Content.ESP, ESP)
    carried, found = feed(TcpCarrier(originator=True), pieces(before + data, size))
    assert (contents(carried), found) == ([(Content.ESP, ESP)], reason)


@pytest.mark.parametrize("data", [b"X", b"IKETCp", b"IKEX", b"\x00\x32" + ESP])
@pytest.mark.parametrize("size", [1, 9999])
def test_wrong_prefix(data, size):
    carried, reason = feed(TcpCarrier(originator=False), pieces(data, size))
    assert (carried, reason) == ([], DropReason.WRONG_PREFIX)


def test_message_too_long():
    with pytest.raises(Drop) as caught:
        wrap_frame(Content.ESP, bytes(65534))
    assert caught.value.reason is DropReason.MESSAGE_TOO_LONG
    with pytest.raises(Drop):
        wrap_frame(Content.IKE, bytes(65530))


def test_a_frame_is_waited_for_until_it_is_whole():
    assert measure_frame(b"\x00", 0) == 2
    carrier = TcpCarrier(originator=True)
    frame = wrap_frame(Content.ESP, b"\x07" * 65533)
    for part in pieces(frame[:-1], 1024):
        assert carrier.receive(part) == []
    assert carrier.receive(frame[-1:]) == [Carried(Content.ESP, b"\x07" * 65533)]


@given(st.binary(max_size=200), st.integers(1, 30), st.booleans())
def test_only_drops_whatever_comes_and_however_it_is_cut(data, size, prefixed):
    data = STREAM_PREFIX + data if prefixed else data
    whole = feed(TcpCarrier(originator=False), [data])
    assert feed(TcpCarrier(originator=False), pieces(data, size)) == whole
