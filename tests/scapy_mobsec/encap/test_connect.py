"""CONNECT: a tunnel, or a refusal by name, cut anywhere (RFC 9110 section 9.3.6)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import pieces

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.connect import ConnectClient, ConnectServer
from scapy_mobsec.encap.http_message import MAX_AUTHORITY, MAX_HEADERS
from scapy_mobsec.registration.description import HttpHeader

TARGET = "203.0.113.2:443"
REQUEST = b"CONNECT 203.0.113.2:443 HTTP/1.1\r\nHost: 203.0.113.2:443\r\n\r\n"
ANSWER = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n"
ASKED = HttpHeader("CONNECT", TARGET, "")


def client():
    """Return one that has asked."""
    one = ConnectClient(TARGET)
    one.start()
    return one


def fed(tunnel, *parts):
    return b"".join(tunnel.receive(part) for part in parts)


def test_client_asks_and_server_agrees():
    one, other = ConnectClient(TARGET), ConnectServer()
    assert one.start() == REQUEST
    assert other.receive(REQUEST) == b""
    assert (one.header, other.seen) == (ASKED, ASKED)
    assert one.seen is None
    assert not one.ready
    assert one.receive(other.accept()) == b""
    assert one.ready
    assert one.seen == HttpHeader("", "", "200")
    assert (one.receive(b"back"), other.receive(b"there")) == (b"back", b"there")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(("side", "first"), [(client, ANSWER), (ConnectServer, REQUEST)])
def test_what_follows_is_for_the_tunnel_however_it_is_cut(side, first, size):
    tunnel = side()
    assert fed(tunnel, *pieces(first + b"IKETCP", size)) == b"IKETCP"
    assert tunnel.ready


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_every_2xx_makes_a_tunnel_and_has_no_content(head):
    assert client().receive(head + b"IKETCP") == b"IKETCP"


def test_an_intermediary_is_seen():
    tunnel = client()
    tunnel.receive(ANSWER)
    assert tunnel.seen == HttpHeader("", "", "200", ("Via",))


@pytest.mark.parametrize("status", ["300 Choices", "403 Forbidden", "407 Proxy", "502 Bad Gateway"])
def test_any_other_answer_is_a_refusal(status):
    tunnel = client()
    with pytest.raises(Drop) as caught:
        tunnel.receive(f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nsorry".encode())
    assert (caught.value.reason, caught.value.detail) == (DropReason.HTTP_REFUSED, status[:3])
    assert not tunnel.ready


@pytest.mark.parametrize(
    "octets",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEADERS,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
    ],
)
def test_an_answer_is_http_and_bounded(octets):
    tunnel = client()
    with pytest.raises(Drop) as caught:
        fed(tunnel, *pieces(octets, 100))
    assert caught.value.reason is DropReason.MALFORMED_HTTP


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: y\r\n\r\n", DropReason.HTTP_UNWANTED),
        (b"\x16\x03\x03", DropReason.MALFORMED_HTTP),
        (
            b"CONNECT " + b"y" * MAX_AUTHORITY + b":1 HTTP/1.1\r\nHost: y\r\n\r\n",
            DropReason.MALFORMED_HTTP,
        ),
    ],
)
def test_what_asks_for_no_tunnel(request_, reason):
    server = ConnectServer()
    with pytest.raises(Drop) as caught:
        server.receive(request_)
    assert caught.value.reason is reason
    assert server.refuse(400).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("authority", ["", "y:1\r\nX: y", "y y:1", "y" * (MAX_AUTHORITY + 1)])
def test_what_cannot_be_asked_for(authority):
    with pytest.raises(Drop) as caught:
        ConnectClient(authority)
    assert caught.value.reason is DropReason.MALFORMED_HTTP


@given(st.sampled_from([client, ConnectServer]), st.lists(st.binary(max_size=60), max_size=5))
def test_nothing_but_a_drop_leaves_it(side, parts):
    with suppress(Drop):
        fed(side(), *parts)


@given(st.integers(0, len(ANSWER) - 1), st.binary(min_size=1, max_size=2))
def test_nothing_but_a_drop_leaves_it_when_octets_are_changed(at, octets):
    with suppress(Drop):
        client().receive(ANSWER[:at] + octets + ANSWER[at + 1 :])
