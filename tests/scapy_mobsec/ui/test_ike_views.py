import io

import pytest
from ike import (
    ELSEWHERE,
    GATEWAY,
    IKE_GCM,
    MOBILE,
    Talk,
    clear,
    delete,
    fragments,
    keys,
    nat_hashes,
    nonce,
    notify,
    outer,
    sa,
    sealed,
)
from rich.console import Console

from scapy_mobsec.ike.numbers import Exchange, NotifyType, Protocol
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.ui.ike_views import ike_tables

UPDATE = notify(NotifyType.UPDATE_SA_ADDRESSES)


def printed(talk):
    console = Console(file=io.StringIO(), width=200)
    for table in ike_tables(talk.tracker.sas, 0):
        console.print(table)
    return console.file.getvalue()


def test_exchanges_payloads_and_child_sas():
    text = printed(Talk(keys()).init().auth())
    for words in (
        "IKEv2 696e697469617465 726573706f6e7365",
        "x@y (198.51.100.2:4500) > 203.0.113.2:4500, aes-gcm-16, prf-hmac-sha2-256",
        "2 verified",
        "IKE_SA_INIT #0",
        "IKE_AUTH #1",
        "+3.000000 s, frame 3",
        "SA IKE aes-gcm-16-256 prf-hmac-sha2-256 curve25519, KE curve25519, NONCE",
        "IDi x@y, SA ESP 00000101 aes-gcm-16-256, TSi 198.51.100.2, TSr 203.0.113.2",
        "> 0x00000202",
        "198.51.100.2 = 203.0.113.2",
        "derived from SK_d",
    ):
        assert words in text


def test_what_the_network_did():
    private = nat_hashes(Endpoint.of("10.0.0.2", 4500), GATEWAY)
    forced = nat_hashes(Endpoint(MOBILE.address, 0), GATEWAY)
    cookie = notify(NotifyType.COOKIE2, bytes(8))
    talk = Talk(keys()).exchange(37, [UPDATE, cookie, *private], [cookie])
    talk.exchange(37, [UPDATE, cookie, *forced], [], mid=3)
    text = printed(talk)
    for words in (
        "N(UPDATE_SA_ADDRESSES), N(COOKIE2 0000000000000000)",
        "NAT detection: destination not translated",
        "NAT detection: source made up, to force UDP encapsulation",
        "translated: source address and port ? -> 198.51.100.2:4500",
        "COOKIE2 came back: path proved",
        "COOKIE2 DID NOT COME BACK",
    ):
        assert words in text
    assert "NAT_DETECTION" not in text


def test_what_cannot_be_read_or_derived_is_said():
    assert "SK encrypted" in printed(Talk().init().auth())
    assert "SK_d is not given" in printed(Talk(keys(sk_d=None)).init().auth())
    bad = keys(sk_ei=bytes(5), sk_er=bytes(5))
    assert "keys do not serve" in printed(Talk(bad).init().auth())
    unverified = keys("aes-cbc", "hmac-sha1-96", sk_ai=None, sk_ar=None)
    talk = Talk(unverified).see(sealed(keys("aes-cbc", "hmac-sha1-96"), 37, UPDATE))
    assert "NOT VERIFIED" in printed(talk)


def test_re_keying_says_that_its_keys_do_not_follow():
    talk = Talk(keys()).init().auth()
    asked = sa(IKE_GCM, Protocol.IKE, b"new init"), nonce(bytes(32))
    answered = sa(IKE_GCM, Protocol.IKE, b"new resp"), nonce(bytes(32))
    talk.exchange(Exchange.CREATE_CHILD_SA, asked, answered)
    talk.exchange(37, [delete(Protocol.ESP, b"\0\0\1\1")], [], mid=3)
    text = printed(talk)
    assert f"re-keyed to {b'new init'.hex()} {b'new resp'.hex()}" in text
    assert "deleted" in text


def test_fragments_and_repeats_are_told():
    parts = fragments(keys(), 37, nonce(bytes(100)))
    text = printed(Talk(keys()).see(*parts, *parts))
    assert "of 3 fragments" in text
    assert "fragments missing of 1" in printed(Talk(keys()).see(parts[0]))
    assert "repeated 1x" in text


@pytest.mark.parametrize(("exchange", "name"), [(2, "MAIN_MODE"), (32, "QUICK_MODE")])
def test_ikev1(exchange, name):
    message = clear(exchange, (13, b"who"), (20, bytes(20)), version=0x10, initiator=False)
    hidden = message[:19] + b"\1" + message[20:]
    talk = Talk().see(message, hidden, path=outer(ELSEWHERE))
    text = printed(talk)
    for words in (name, "VENDOR-ID 77686f, NAT-D", "encrypted", "IKEv1"):
        assert words in text
