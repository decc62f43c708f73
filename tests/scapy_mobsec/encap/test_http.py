"""Upgrade to connect-udp, refusals and capsules, cut anywhere (RFC 9298 sections 3 and 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import ESP, MESSAGES, contents, feed, pieces

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.capsule import wrap_capsule, write_varint
from scapy_mobsec.encap.http import HttpClient, HttpServer, parse_target, target_path
from scapy_mobsec.encap.http_message import MAX_DETAIL
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.registration.description import HttpHeader

PATH = "/.well-known/masque/udp/192.0.2.6/443/"
REQUEST = (  # RFC 9298 section 3.2, with a target of its documentation
    b"GET https://example.org/.well-known/masque/udp/192.0.2.6/443/ HTTP/1.1\r\n"
    b"Host: example.org\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n"
    b"Capsule-Protocol: ?1\r\n\r\n"
)
ANSWER = (  # RFC 9298 section 3.3
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
    b"Upgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n"
)
SKIPPED = b"".join(
    write_varint(kind) + write_varint(len(value)) + value
    for kind, value in [(1, b"unknown type"), (2**40, bytes(9000)), (0, b"\x02unknown context")]
)


def client():
    """Return one that has asked."""
    carrier = HttpClient("example.org", PATH)
    carrier.start()
    return carrier


def server():
    return HttpServer(lambda host, port: (host, port) == ("192.0.2.6", 443))


CAPSULES = SKIPPED + SKIPPED.join(server().wrap(*message) for message in MESSAGES)
SIDES = [(client, ANSWER), (server, REQUEST)]


def test_client_asks_and_server_agrees():
    one, other = HttpClient("example.org", PATH), server()
    request = one.start()
    assert request.startswith(f"GET {PATH} HTTP/1.1\r\n".encode())
    fields = request.split(b"\r\n")[1:-2]
    assert fields == REQUEST.split(b"\r\n")[1:-2]
    assert (other.start(), other.receive(request)) == (b"", [])
    answer = other.take_output()
    assert answer.split(b"\r\n")[1:] == ANSWER.split(b"\r\n")[1:]
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert other.take_output() == b""
    assert not one.ready
    assert one.receive(answer) == []
    assert one.ready
    assert other.ready
    assert one.headers == other.headers == (HttpHeader("GET", "example.org", PATH),)
    assert one.answer_headers == other.answer_headers == (HttpHeader("", "", "101"),)


@pytest.mark.parametrize(("make", "head"), SIDES)
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1399, 100_000])
def test_any_cutting(make, head, size):
    carried, reason = feed(make(), pieces(head + CAPSULES, size))
    assert (contents(carried), reason) == (MESSAGES, None)


@pytest.mark.parametrize(("make", "head"), SIDES)
@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (write_varint(0) + write_varint(65536), DropReason.CAPSULE_TOO_LONG),
        (write_varint(77) + write_varint(2**62 - 1), DropReason.CAPSULE_TOO_LONG),
        (b"\0\0", DropReason.MALFORMED_CAPSULE),
        (wrap_capsule(b"abc"), DropReason.TRUNCATED),
        (wrap_capsule(b""), DropReason.TRUNCATED),
    ],
)
def test_what_ends_a_stream_of_capsules(make, head, size, garbage, reason):
    good = wrap_capsule(ESP)
    carried, found = feed(make(), pieces(head + good + garbage, size))
    assert (contents(carried), found) == ([(Content.ESP, ESP)], reason)


def answered(status, fields=b""):
    return b"HTTP/1.1 " + status + b" Whatever\r\n" + fields + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (answered(b"200", b"Content-Length: 5\r\n") + b"hello", "200"),
        (answered(b"302", b"Location: /\r\n"), "302"),
        (answered(b"403"), "403"),
        (answered(b"407"), "407"),
        (answered(b"426", b"Upgrade: connect-udp\r\n"), "426"),
        (answered(b"502", b"Via: 1.1 squid\r\n"), "502"),
        (answered(b"101", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), "101"),
        (answered(b"101"), "101"),
    ],
)
@pytest.mark.parametrize("size", [1, 9999])
def test_a_refusal_tells_its_status(answer, status, size):
    carrier = client()
    assert feed(carrier, pieces(answer, size)) == ([], DropReason.HTTP_REFUSED)
    with pytest.raises(Drop) as caught:
        carrier.receive(b"")
    assert caught.value.detail.split()[0] == status
    assert carrier.answer_headers[0].path == status
    assert not carrier.ready


def test_other_informational_answers_are_passed_over():
    carrier = client()
    carrier.receive(answered(b"103", b"Link: </x>\r\n") + ANSWER)
    assert carrier.ready


@pytest.mark.parametrize(
    ("old", "new", "status", "reason"),
    [
        (b"192.0.2.6/443", b"192.0.2.7/443", b"403", DropReason.HTTP_FOREIGN_TARGET),
        (b"192.0.2.6/443", b"192.0.2.6/444", b"403", DropReason.HTTP_FOREIGN_TARGET),
        (b"192.0.2.6/443", b"192.0.2.6/0", b"404", DropReason.HTTP_UNWANTED),
        (b"192.0.2.6/443", b"192.0.2.6/65536", b"404", DropReason.HTTP_UNWANTED),
        (b"/.well-known/masque", b"/index", b"404", DropReason.HTTP_UNWANTED),
        (b"/443/ ", b"/443/?x ", b"404", DropReason.HTTP_UNWANTED),
        (b"GET", b"PUT", b"405", DropReason.HTTP_UNWANTED),
        (b"Upgrade: connect-udp\r\n", b"", b"426", DropReason.HTTP_UNWANTED),
        (b"Upgrade: connect-udp", b"Upgrade: websocket", b"426", DropReason.HTTP_UNWANTED),
        (b"Connection: Upgrade\r\n", b"", b"426", DropReason.HTTP_UNWANTED),
        (b"HTTP/1.1", b"HTTP/1.0", b"426", DropReason.HTTP_UNWANTED),
        (b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\nx", b"400", DropReason.HTTP_UNWANTED),
        (b"Host: example.org\r\n", b"", b"400", DropReason.MALFORMED_HTTP),
        (b"GET", b"G T", b"400", DropReason.MALFORMED_HTTP),
        (b"\r\n\r\n", b"\r\nX: " + bytes(1) + b"\r\n\r\n", b"400", DropReason.MALFORMED_HTTP),
        (b"\r\n\r\n", b"\r\nX: " + b"x" * 20000, b"431", DropReason.MALFORMED_HTTP),
        (b"https://example.org/", b"/" + b"x" * 1024, b"400", DropReason.MALFORMED_HTTP),
    ],
)
@pytest.mark.parametrize("size", [1, 99_999])
def test_each_refusal_of_the_server(old, new, status, reason, size):
    carrier = server()
    request = REQUEST.replace(old, new)
    assert request != REQUEST
    assert feed(carrier, pieces(request, size)) == ([], reason)
    assert carrier.take_output().startswith(b"HTTP/1.1 " + status)
    assert not carrier.ready


def test_a_target_is_no_text_for_a_terminal():
    with pytest.raises(Drop) as caught:
        server().receive(REQUEST.replace(b"192.0.2.6", b"%1B%5B2J" + b"x" * 200))
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) <= MAX_DETAIL


def test_intermediaries_are_seen_on_both_sides():
    names = b"Via: 1.1 a\r\nx-forwarded-for: 192.0.2.1\r\nVia: 1.1 b\r\nX-Real-IP: ::1\r\n\r\n"
    other = server()
    other.receive(REQUEST.replace(b"org\r\n", b"net\r\n")[:-2] + names)
    seen = ("Via", "X-Forwarded-For", "X-Real-IP")
    assert other.headers == (HttpHeader("GET", "example.org", PATH, seen),)
    one = client()
    one.receive(ANSWER[:-2] + b"Via: 1.1 a\r\n\r\n")
    assert one.answer_headers == (HttpHeader("", "", "101", ("Via",)),)


@pytest.mark.parametrize(
    ("host", "port", "path"),
    [
        ("192.0.2.6", 443, PATH),
        ("2001:db8::42", 4500, "/.well-known/masque/udp/2001%3Adb8%3A%3A42/4500/"),
        ("gw.example", 1, "/.well-known/masque/udp/gw.example/1/"),
    ],
)
def test_targets(host, port, path):
    assert target_path(host, port) == path
    assert parse_target(path) == (host, port)


def test_targets_have_one_text_form():
    assert parse_target("/b/2001%3ADB8%3a0%3A%3A42/1/", "/b") == ("2001:db8::42", 1)
    assert parse_target("/b/GW.example/1/", "/b") == ("gw.example", 1)


@pytest.mark.parametrize(("make", "head"), SIDES)
@given(data=st.data())
def test_only_drops_whatever_is_changed(make, head, data):
    stream = bytearray(head + wrap_capsule(ESP))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(stream)))
    part = data.draw(st.integers(1, 60))
    feed(make(), [bytes(stream[:end])])
    feed(make(), pieces(bytes(stream), part))
