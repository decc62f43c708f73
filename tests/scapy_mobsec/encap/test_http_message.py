"""What HTTP tells of itself: authorities, tokens, requests that cannot be described."""

from contextlib import suppress

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.http_message import (
    MAX_AUTHORITY,
    MAX_DETAIL,
    MAX_HEADERS,
    HttpConnection,
    authority_of,
    check_request,
    connect_authority,
    request_header,
    tokens,
)
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import HttpHeader


@pytest.mark.parametrize(
    ("host", "address", "port", "tls", "authority"),
    [
        ("", "192.0.2.1", 80, False, "192.0.2.1"),
        ("", "192.0.2.1", 443, False, "192.0.2.1:443"),
        ("", "2001:db8::1", 443, True, "[2001:db8::1]"),
        ("", "2001:db8::1", 8080, True, "[2001:db8::1]:8080"),
        ("gw.example", "192.0.2.1", 8080, False, "gw.example:8080"),
    ],
)
def test_authority(host, address, port, tls, authority):
    assert authority_of(host, Endpoint.of(address, port), tls=tls) == authority


@pytest.mark.parametrize(
    ("host", "address", "authority"),
    [
        ("", "192.0.2.1", "192.0.2.1:443"),
        ("", "2001:db8::1", "[2001:db8::1]:443"),
        ("gw.example", "192.0.2.1", "gw.example:443"),
    ],
)
def test_the_authority_of_a_tunnel_always_has_a_port(host, address, authority):
    assert connect_authority(host, Endpoint.of(address, 443)) == authority


@pytest.mark.parametrize(
    ("authority", "target"),
    [("", "/"), ("a b", "/"), ("é", "/"), ("a" * (MAX_AUTHORITY + 1), "/"), ("a", "/\r\nX: y")],
)
def test_what_cannot_stand_in_a_request(authority, target):
    with pytest.raises(Drop) as caught:
        check_request(authority, target)
    assert caught.value.reason is DropReason.MALFORMED_HTTP


def test_a_request_through_an_old_proxy():
    request = h11.Request(
        method="GET",
        target="http://a:81/p?q",
        http_version="1.0",
        headers=[("Connection", "a, B"), ("connection", "c")],
    )
    assert tokens(request, b"connection") == {"a", "b", "c"}
    assert request_header(request) == HttpHeader("GET", "a:81", "/p?q", (), 0x10)


def test_headers_have_a_limit():
    http = HttpConnection(client=False)
    assert list(http.receive(b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_HEADERS - 20))) == []
    with pytest.raises(Drop) as caught:
        list(http.receive(b"x" * 20))
    assert caught.value.reason is DropReason.MALFORMED_HTTP
    assert len(caught.value.detail) <= MAX_DETAIL
    assert http.refuse(http.error_status).startswith(b"HTTP/1.1 431 ")
    assert http.refuse(400) == b""


@pytest.mark.parametrize("head", ["G" * 70_000 + " /", "GET /" + "p" * 70_000, "GET /"])
def test_headers_that_come_whole_have_the_same_limit(head):
    http = HttpConnection(client=False)
    fields = "" if len(head) > 9 else f"X: {'x' * MAX_HEADERS}\r\n"
    with pytest.raises(Drop) as caught:
        list(http.receive(f"{head} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()))
    assert caught.value.reason is DropReason.MALFORMED_HTTP
    assert http.refuse(http.error_status).startswith(b"HTTP/1.1 431 ")


def test_details_are_short():
    with pytest.raises(Drop) as caught:
        list(HttpConnection(client=False).receive(b"GET " + b" " * 9000 + b"\r\n\r\n"))
    assert len(caught.value.detail) <= MAX_DETAIL


@given(st.binary(max_size=200), st.booleans())
def test_only_drops_whatever_comes(data, client):
    http = HttpConnection(client=client)
    if client:
        http.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    with suppress(Drop):
        list(http.receive(data))
