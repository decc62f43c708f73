"""What a proxy makes of the messages of one connection."""

import pytest
from http_samples import OK, POST, UPGRADE, heads

from scapy_mobsec.drivers.memory.http_relay import HttpRelay, Rewriting, Upgrade

SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n"


def relay(**rewriting):
    return HttpRelay(Rewriting(**rewriting), "10.0.0.2")


def taken(one):
    """What waits for the server and for the client."""
    waiting = one.to_server, one.to_client
    one.to_server = one.to_client = b""
    return waiting


def test_the_head_is_rewritten():
    one = relay(host="inner.example", via="proxy", forwarded_for=True)
    one.from_client(UPGRADE)
    to_server, _ = taken(one)
    assert to_server.startswith(b"GET /.well-known/masque/udp/y/4500/ HTTP/1.1\r\n")
    assert heads(to_server) == {
        "host": "inner.example",
        "connection": "upgrade",
        "upgrade": "connect-udp",
        "capsule-protocol": "?1",
        "via": "1.1 proxy",
        "x-forwarded-for": "10.0.0.2",
    }


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_after_101_all_passes_untouched(step):
    one, to_server, to_client = relay(via="proxy"), b"", b""
    for method, octets in (
        (one.from_client, UPGRADE),
        (one.from_server, SWITCHED + b"\0\1\xff"),
        (one.from_client, b"\0\2\xfe"),
        (one.from_server, b"GET"),
    ):
        for start in range(0, len(octets), step):
            method(octets[start : start + step])
            waiting = taken(one)
            to_server += waiting[0]
            to_client += waiting[1]
    assert to_server.endswith(b"\r\n\r\n\0\2\xfe")
    assert to_client.startswith(b"HTTP/1.1 101 ")
    assert to_client.endswith(b"\r\n\r\n\0\1\xffGET")
    assert not one.ended


def test_upgrade_is_refused():
    one = relay(upgrade=Upgrade.REFUSE, refusal=403)
    one.from_client(UPGRADE)
    to_server, to_client = taken(one)
    assert (to_server, to_client[:12], one.ended) == (b"", b"HTTP/1.1 403", True)


def test_upgrade_is_taken_out():
    one = relay(upgrade=Upgrade.STRIP)
    one.from_client(UPGRADE)
    assert heads(taken(one)[0]) == {"host": "y.example", "capsule-protocol": "?1"}
    one.from_server(OK + b"no!")
    assert taken(one)[1].endswith(b"no!")


def test_bodies_pass_and_the_connection_is_used_again():
    one = relay(upgrade=Upgrade.REFUSE, via="proxy")
    for round_ in range(3):
        one.from_client(POST + b"ab")
        one.from_client(b"cd")
        to_server, _ = taken(one)
        assert to_server.endswith(b"\r\n\r\nabcd"), round_
        one.from_server(OK + b"efg")
        assert taken(one)[1].endswith(b"\r\n\r\nefg")
    assert not one.ended


def test_requests_that_come_early_wait_for_their_turn():
    one = relay()
    one.from_client((POST + b"abcd") * 2)
    assert taken(one)[0].count(b"POST") == 1
    one.from_server(OK + b"efg")
    assert taken(one)[0].count(b"POST") == 1


@pytest.mark.parametrize(
    ("client", "server", "status"),
    [(b"\x16\x03\x03 no HTTP", b"", b"400"), (POST + b"abcd", b"no HTTP\r\n\r\n", b"502")],
)
def test_what_is_no_http(client, server, status):
    one = relay()
    one.from_client(client)
    if server:
        one.from_server(server)
    assert taken(one)[1].startswith(b"HTTP/1.1 " + status)
    assert one.ended


def test_no_server():
    one = relay()
    one.from_client(POST)
    one.server_failed()
    assert taken(one)[1].startswith(b"HTTP/1.1 502")


def test_label():
    text = Rewriting("inner", "proxy", True, Upgrade.REFUSE).label()
    assert text == "Host inner, Via proxy, X-Forwarded-For, Upgrade refused"
