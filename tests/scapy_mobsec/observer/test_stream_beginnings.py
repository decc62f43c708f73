"""What the first octets of a stream tell; more in test_streams.py, where there is a stream."""

import pytest
from frames import TO_GATEWAY, Bench
from http_samples import NAMED, POST, UPGRADE, posted

from contrib_layers.numbers import STREAM_PREFIX
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.http import BASE
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.observer.stream_beginnings import (
    CLIENT,
    MAX_BEGINNING,
    SERVER,
    base_of,
    begins,
    is_hello,
    is_tls_record,
    kind_of_client,
)
from scapy_mobsec.observer.stream_units import Kind

ELSEWHERE = b"POST /vpn HTTP/1.1"
FRAME = wrap_frame(Content.ESP, Bench().seal(TO_GATEWAY))


def known(spi):
    return spi == TO_GATEWAY


@pytest.mark.parametrize(
    ("whole", "kind"),
    [
        (STREAM_PREFIX, Kind.TCP),
        (UPGRADE.splitlines(keepends=True)[0], Kind.HTTP),
        (b"GET / HTTP/1.1\r\n", Kind.OTHER),
        (posted(b""), Kind.POST),
        (posted(b"", NAMED, ELSEWHERE), Kind.POST),
        (posted(b"", b"", ELSEWHERE), Kind.OTHER),
        (posted(FRAME, b"", ELSEWHERE)[: 6 - len(FRAME)], Kind.POST),
        (posted(b"\0\6abcdef", b"", ELSEWHERE)[:-2], Kind.OTHER),
        (POST, Kind.OTHER),
    ],
)
def test_a_client_shows_what_it_is_with_the_last_octet_of_these(whole, kind):
    assert {kind_of_client(whole[:at], known) for at in range(1, len(whole))} == {None}
    assert kind_of_client(whole, known) is kind


def test_a_client_that_does_not_show_it():
    assert kind_of_client(b"POST /".ljust(MAX_BEGINNING, b"x"), known) is None
    assert kind_of_client(b"POST /".ljust(MAX_BEGINNING + 1, b"x"), known) is Kind.OTHER
    with pytest.raises(Drop) as caught:
        kind_of_client(b"HTTP/1.1 200 OK", known)
    assert caught.value.reason is DropReason.WRONG_PREFIX


def test_what_stands_before_a_target():
    assert base_of(UPGRADE) == BASE
    assert base_of(UPGRADE.replace(b"/.well-known/masque/udp", b"http://y/vpn")) == "/vpn"


def test_hellos_as_far_as_they_are_there():
    hello = b"\x16\x03\x01\0\x05\x01"
    assert all(is_hello(hello[:at], CLIENT) for at in range(1, 7))
    assert [is_hello(hello[:at], SERVER) for at in (0, 5, 6)] == [False, True, False]
    assert is_tls_record(hello)
    assert not is_tls_record(b"GET / HTTP")
    assert begins(b"GE", b"GET ")
    assert not begins(b"GO", b"GET ")
