"""Which carrier for which stream; client against server, found out by the first octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import MESSAGES, contents, feed, pieces

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.http_post import Channels
from scapy_mobsec.encap.stream import client_carrier, detect, reading_carrier, server_carrier
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import HttpHeader

STREAMS = [Encapsulation.TCP, Encapsulation.TLS, Encapsulation.HTTP]
GATEWAY = Endpoint.of("2001:db8::9", 8080)


def is_own(host, port):
    return (host, port) in {("2001:db8::9", 4500), ("gw.example", 4500)}


@pytest.mark.parametrize("encapsulation", STREAMS)
@pytest.mark.parametrize("size", [1, 2, 50, 10_000])
@pytest.mark.parametrize("found_out", [True, False])
def test_client_against_server(encapsulation, size, found_out):
    client = client_carrier(encapsulation, GATEWAY)
    server = server_carrier(None if found_out else encapsulation, is_own=is_own)
    assert feed(server, pieces(client.start(), size)) == ([], None)
    assert feed(client, pieces(server.take_output(), size)) == ([], None)
    assert client.ready
    assert server.ready
    assert server.headers == client.headers
    assert server.answer_headers == client.answer_headers
    for sender, receiver in ((client, server), (server, client)):
        data = b"".join(sender.wrap(*message) for message in MESSAGES)
        carried, reason = feed(receiver, pieces(data, size))
        assert (contents(carried), reason) == (MESSAGES, None)


@pytest.mark.parametrize("encapsulation", [*STREAMS, Encapsulation.HTTP_POST])
@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_who_only_sees_a_stream_reads_both_ways(encapsulation, size):
    channels = Channels(lambda: bytes(16), lambda named: None)
    client = client_carrier(encapsulation, GATEWAY)
    server = server_carrier(encapsulation, is_own=is_own, channels=channels)
    up, down = [client.start()], []
    server.receive(up[0])
    down.append(server.take_output())
    client.receive(down[0])
    for message in MESSAGES:
        up.append(client.wrap(*message) or client.settle())
        server.receive(up[-1])
        down.append(server.wrap(*message) or server.settle())
        client.receive(down[-1])
    asked = reading_carrier(None, from_client=True)
    carried, reason = feed(asked, pieces(b"".join(up), size))
    assert (contents(carried), reason) == (MESSAGES, None)
    assert asked.headers == client.headers
    answered = reading_carrier(encapsulation, from_client=False)
    carried, reason = feed(answered, pieces(b"".join(down), size))
    assert (contents(carried), reason) == (MESSAGES, None)
    assert answered.answer_headers == client.answer_headers


def test_nobody_reads_a_datagram_as_a_stream():
    with pytest.raises(Drop):
        reading_carrier(Encapsulation.UDP, from_client=True)


@pytest.mark.parametrize(
    ("data", "encapsulation"),
    [
        (b"", None),
        (b"I", None),
        (b"IKETC", None),
        (b"IKETCP", Encapsulation.TCP),
        (b"GET", None),
        (b"GET /", Encapsulation.HTTP),
        (b"POST", None),
        (b"POST /", Encapsulation.HTTP_POST),
    ],
)
def test_detect(data, encapsulation):
    assert detect(data) is encapsulation


@pytest.mark.parametrize("data", [b"X", b"GETX", b"\x16\x03\x01", b"IKETCX", b"PUT "])
def test_what_is_nothing_known(data):
    with pytest.raises(Drop) as caught:
        detect(data)
    assert caught.value.reason is DropReason.WRONG_PREFIX
    assert feed(server_carrier(is_own=is_own), [data]) == ([], DropReason.WRONG_PREFIX)


def test_a_server_that_does_not_know_yet():
    server = server_carrier(is_own=is_own)
    assert (server.receive(b"IKE"), server.encapsulation) == ([], None)
    with pytest.raises(Drop):
        server.wrap(Content.ESP, b"x")
    assert (server.receive(b"TCP"), server.encapsulation) == ([], Encapsulation.TCP)


def test_what_came_before_a_violation_is_not_lost():
    message = (Content.ESP, b"\x01" * 8)
    client = client_carrier(Encapsulation.TCP, GATEWAY)
    data = client.start() + client.wrap(*message) + client.settle() + bytes(2)
    carried, reason = feed(server_carrier(is_own=is_own), [data])
    assert (contents(carried), reason) == ([message], DropReason.BAD_FRAME_LENGTH)


def test_item_of_an_http_server():
    client = client_carrier(Encapsulation.HTTP, GATEWAY, host="gw.example", path="/m", tls=True)
    assert client.headers == (HttpHeader("GET", "gw.example:8080", "/m/gw.example/4500/"),)
    server = server_carrier(is_own=is_own, path="/m")
    request = client.start()
    server.receive(request)
    assert server.ready
    other = server_carrier(is_own=is_own)
    assert feed(other, [request])[1] is DropReason.HTTP_UNWANTED
    assert other.take_output().startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("encapsulation", [Encapsulation.NATIVE, Encapsulation.UDP])
def test_no_stream(encapsulation):
    with pytest.raises(Drop) as caught:
        client_carrier(encapsulation, GATEWAY)
    assert caught.value.reason is DropReason.UNKNOWN_CARRIER
    with pytest.raises(Drop):
        server_carrier(encapsulation, is_own=is_own)


def test_posts_need_channels():
    client = client_carrier(Encapsulation.HTTP_POST, GATEWAY, host="gw.example", path="/p")
    client.wrap(Content.ESP, b"\x01" * 8)
    request = client.settle()
    assert client.headers == (HttpHeader("POST", "gw.example:8080", "/p"),)
    assert feed(server_carrier(is_own=is_own), [request]) == ([], DropReason.UNKNOWN_CARRIER)
    channels = Channels(lambda: bytes(16), lambda channel_id: None)
    server = server_carrier(is_own=is_own, channels=channels, path="/p")
    assert contents(server.receive(request)) == [(Content.ESP, b"\x01" * 8)]
    client.receive(server.settle())
    assert client.channel.id == server.channel.id == bytes(16)
    assert server.release() == b""


@given(st.binary(max_size=60), st.integers(1, 9))
def test_only_drops_whatever_comes_first(data, size):
    whole = feed(server_carrier(is_own=is_own), [data])
    assert feed(server_carrier(is_own=is_own), pieces(data, size)) == whole
