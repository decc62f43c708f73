"""Frames in bodies of POST and of its answers, cut anywhere; refusals, limits, channels."""

import pytest
from http_samples import ID, NAMED, post_answer, posted
from hypothesis import given
from hypothesis import strategies as st
from streams import ESP, MESSAGES, contents, feed, pieces

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import MAX_HELD, Channel
from scapy_mobsec.encap.http_post import (
    MAX_BODY,
    Channels,
    HttpPostClient,
    HttpPostReader,
    HttpPostServer,
    PostMessage,
)
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.registration.description import HttpHeader

BODY = wrap_frame(Content.ESP, ESP)
ONE = [(Content.ESP, ESP)]


def client(channel=None):
    return HttpPostClient("y.example", "/mobsec", channel)


def server(known=None):
    return HttpPostServer(Channels(lambda: ID, lambda named: known if named == ID else None))


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
def test_frames_wait_for_the_answer_to_the_request_before(size):
    one, other = client(), server()
    assert (one.start(), one.ready, one.channel.id) == (b"", True, b"")
    assert (one.wrap(*MESSAGES[0]), one.busy) == (b"", False)
    first = one.settle()
    assert one.busy
    assert [one.wrap(*each) or one.settle() for each in MESSAGES[1:]] == [b""] * 5
    carried, reason = feed(other, pieces(first, size))
    assert (contents(carried), reason) == (MESSAGES[:1], None)
    assert other.headers == one.headers == (HttpHeader("POST", "y.example", "/mobsec"),)
    for each in MESSAGES:
        assert other.wrap(*each) == b""
    carried, reason = feed(one, pieces(other.settle(), size))
    assert (contents(carried), reason) == (MESSAGES, None)
    assert not one.busy
    assert one.channel.id == other.channel.id == ID
    assert one.answer_headers == other.answer_headers == (HttpHeader("", "", "200"),)
    carried, _ = feed(other, pieces(one.settle(), size))
    assert contents(carried) == MESSAGES[1:]
    empty = other.settle()
    assert empty.endswith(b"Content-Length: 0\r\n\r\n")
    assert feed(one, [empty]) == ([], None)
    assert one.settle() == other.settle() == b""


def test_a_second_connection_waits_for_frames():
    channel = Channel(ID)
    one, other = client(Channel(ID)), server(channel)
    assert not one.ready
    assert other.receive(one.start()) == []
    assert (other.settle(), other.waits) == (b"", True)
    channel.hold(BODY)
    carried = one.receive(other.settle())
    assert (contents(carried), other.waits) == (ONE, False)
    assert other.release() == b""
    assert other.receive(one.settle()) == []
    assert other.settle() == b""
    assert one.receive(other.release()) == []
    assert one.settle().startswith(b"POST ")


@pytest.mark.parametrize(
    ("data", "reason", "status"),
    [
        (posted(BODY, line=b"GET /mobsec HTTP/1.1"), DropReason.HTTP_UNWANTED, b"405"),
        (posted(BODY, line=b"POST / HTTP/1.1"), DropReason.HTTP_UNWANTED, b"404"),
        (posted(BODY, line=b"POST /mobsec HTTP/1.0"), DropReason.HTTP_UNWANTED, b"505"),
        (posted(b"", NAMED.replace(b"00", b"ff")), DropReason.HTTP_UNWANTED, b"404"),
        (posted(BODY, NAMED), DropReason.HTTP_UNWANTED, b"400"),
        (posted(b"", b"Channel: xyz\r\n"), DropReason.MALFORMED_HTTP, b"400"),
        (posted(b"", b"Channel: 00\r\n"), DropReason.MALFORMED_HTTP, b"400"),
        (posted(BODY, line=b"PO ST"), DropReason.MALFORMED_HTTP, b"400"),
        (posted(bytes(MAX_BODY + 1)), DropReason.MALFORMED_HTTP, b"400"),
        (posted(BODY[:-1]), DropReason.TRUNCATED, b"400"),
        (posted(b"\0\1"), DropReason.BAD_FRAME_LENGTH, b"400"),
        (posted(b"\0\5abc"), DropReason.TRUNCATED, b"400"),
        (posted(b"", b"X: " + b"x" * 20_000 + b"\r\n"), DropReason.MALFORMED_HTTP, b"431"),
    ],
)
@pytest.mark.parametrize("size", [97, 1_000_000])
def test_each_refusal_of_the_server(data, reason, status, size):
    other = server(Channel(ID))
    assert feed(other, pieces(data, size)) == ([], reason)
    assert other.take_output().startswith(b"HTTP/1.1 " + status)
    assert other.settle() == other.release() == b""


def test_what_came_whole_before_is_not_lost():
    carried, reason = feed(server(), [posted(BODY + b"\0")])
    assert (contents(carried), reason) == (ONE, DropReason.TRUNCATED)


def test_one_request_at_a_time():
    carried, reason = feed(server(), [posted(BODY) + posted(BODY)])
    assert (contents(carried), reason) == (ONE, DropReason.MALFORMED_HTTP)
    assert feed(server(), [posted(BODY), posted(BODY)])[1] is DropReason.HTTP_UNWANTED


def test_a_connection_keeps_its_channel():
    other = server()
    other.receive(posted(BODY))
    other.settle()
    assert contents(other.receive(posted(BODY, NAMED))) == ONE
    other.settle()
    assert feed(other, [posted(BODY)]) == ([], DropReason.HTTP_UNWANTED)


@pytest.mark.parametrize(
    ("data", "reason", "status"),
    [
        (post_answer(BODY, status=b"403 No"), DropReason.HTTP_REFUSED, "403"),
        (post_answer(BODY, status=b"502 No", fields=b""), DropReason.HTTP_REFUSED, "502"),
        (post_answer(BODY, fields=b""), DropReason.HTTP_REFUSED, "200"),
        (
            post_answer(BODY, fields=NAMED + b"Connection: close\r\n"),
            DropReason.HTTP_REFUSED,
            "200",
        ),
        (post_answer(bytes(MAX_BODY + 1)), DropReason.MALFORMED_HTTP, None),
        (post_answer(BODY[:-1]), DropReason.TRUNCATED, None),
        (post_answer(BODY) + post_answer(BODY), DropReason.MALFORMED_HTTP, None),
        (b"IKETCP\r\n\r\n", DropReason.MALFORMED_HTTP, None),
    ],
)
def test_what_ends_it_for_the_client(data, reason, status):
    one = client()
    one.wrap(Content.ESP, ESP)
    one.settle()
    assert feed(one, pieces(data, 1000))[1] is reason
    with pytest.raises(Drop, match=status):
        one.receive(b"")
    one.channel.hold(BODY)
    assert one.settle() == b""


def test_an_answer_to_no_request():
    assert feed(client(), [post_answer(BODY)]) == ([], DropReason.MALFORMED_HTTP)


def test_another_channel_than_before():
    one = client(Channel(ID[::-1]))
    one.start()
    assert feed(one, [post_answer(BODY)]) == ([], DropReason.HTTP_REFUSED)


def test_what_waits_is_bounded():
    one = client()
    for _ in range(MAX_HELD // len(BODY)):
        one.wrap(Content.ESP, ESP)
    with pytest.raises(Drop) as caught:
        one.wrap(Content.ESP, ESP)
    assert caught.value.reason is DropReason.QUEUE_FULL


def test_no_frame_before_there_is_a_channel():
    with pytest.raises(Drop):
        server().wrap(Content.ESP, ESP)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_one_way_is_read_by_who_only_sees_it(size):
    """Several messages at once too."""
    asked, answered = HttpPostReader(from_client=True), HttpPostReader(from_client=False)
    octets = posted(BODY, fields=b"Via: 1.1 p\r\n") + posted(BODY * 2, NAMED) + posted(b"", NAMED)
    carried, reason = feed(asked, pieces(octets, size))
    assert (contents(carried), reason) == (ONE * 3, None)
    assert asked.headers == (HttpHeader("POST", "y.example", "/mobsec"),)
    octets = post_answer(b"") + post_answer(BODY * 2) + post_answer(BODY, fields=b"Via: 1.1 p\r\n")
    carried, reason = feed(answered, pieces(octets, size))
    assert (contents(carried), reason) == (ONE * 3, None)
    assert answered.answer_headers == (HttpHeader("", "", "200", ("Via",)),)
    assert asked.channel.id == answered.channel.id == ID
    assert asked.take_output() == asked.settle() == b""
    with pytest.raises(Drop):
        asked.wrap(*MESSAGES[0])


@pytest.mark.parametrize(
    ("data", "from_client", "reason"),
    [
        (posted(BODY[:-1]), True, DropReason.TRUNCATED),
        (posted(b"\0\1" + BODY), True, DropReason.BAD_FRAME_LENGTH),
        (post_answer(BODY, status=b"404 No"), False, DropReason.HTTP_REFUSED),
        (post_answer(BODY, fields=b"Channel: 00\r\n"), False, DropReason.MALFORMED_HTTP),
    ],
)
def test_what_ends_it_for_who_only_sees_it(data, from_client, reason):
    reader = HttpPostReader(from_client=from_client)
    assert feed(reader, pieces(data, 1000))[1] is reason


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_one_message_is_read_to_its_end(size):
    message, carried = PostMessage(from_client=True), []
    octets = posted(BODY * 2, NAMED)
    *before, last = pieces(octets, size)
    assert not any(message.receive(part, carried) for part in before)
    assert message.receive(last + b"next", carried)
    assert (contents(carried), message.rest) == (ONE * 2, b"next")
    assert (message.channel, message.fault) == (ID, None)
    assert message.header == HttpHeader("POST", "y.example", "/mobsec")


def test_frames_come_as_they_are_whole_and_without_a_length_too():
    message, carried = PostMessage(from_client=False), []
    assert not message.receive(b"HTTP/1.1 200 OK\r\n\r\n" + BODY + BODY[:9], carried)
    assert contents(carried) == ONE
    assert not message.receive(BODY[9:], carried)
    assert contents(carried) == ONE * 2


def test_behind_a_fault_a_body_is_passed_over():
    message, carried = PostMessage(from_client=True), []
    assert message.receive(posted(BODY + b"\0\0" + BODY) + b"next", carried)
    assert (contents(carried), message.rest) == (ONE, b"next")
    assert message.fault.reason is DropReason.BAD_FRAME_LENGTH


@given(data=st.data())
def test_only_drops_whatever_is_changed(data):
    one = client()
    one.wrap(Content.ESP, ESP)
    one.settle()
    readers = HttpPostReader(from_client=True), HttpPostReader(from_client=False)
    of_both = posted(BODY), post_answer(BODY)
    for carrier, octets in zip((server(), one, *readers), of_both * 2, strict=True):
        stream = bytearray(octets)
        for _ in range(data.draw(st.integers(1, 3))):
            stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
        end = data.draw(st.integers(0, len(stream)))
        feed(carrier, pieces(bytes(stream[:end]), data.draw(st.integers(1, 60))))
        carrier.settle()
