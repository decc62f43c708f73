"""TLS 1.3 records: sealed and opened, in any cutting, and what ends the reading.

The expected keys are those of RFC 8448 section 3.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tls_samples import (
    CERTIFICATE,
    DATA,
    FINISHED,
    HANDSHAKE,
    HELLO,
    KEY_UPDATE,
    SECRETS,
    Connection,
    answer,
)

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import tls
from scapy_mobsec.encap.tls import (
    AES_128_GCM,
    MAX_CIPHERTEXT,
    MAX_HANDSHAKE,
    MAX_WAITING,
    SUITES,
    Content,
    Handshake,
    Protection,
    message,
    plain_record,
    vector,
)

HEADER = b"\x17\x03\x03\0" + bytes((4 + 1 + 9 + 16,))


def reason_of(action, *arguments):
    with pytest.raises(Drop) as caught:
        action(*arguments)
    return caught.value.reason


def test_the_keys_of_rfc_8448():
    secret = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
    protection = Protection(AES_128_GCM, bytes.fromhex(secret))
    key, iv = (protection._expand(*one) for one in ((b"key", 16), (b"iv", 12)))
    assert key.hex() == "9f02283b6c9c07efc26bb9f2ac92e356"
    assert iv.hex() == "cf782b88dd83549aadf1e984"


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: hex(suite.code))
def test_each_suite(suite):
    one = Connection(suite).opened()
    assert one.up(one.client.seal(DATA, b"up")) == b"up"
    assert one.down(one.server.seal(DATA, b"down") + one.server.seal(DATA, b"!")) == b"down!"
    assert (one.reader.server_name, one.reader.certificate) == ("vpn.example", b"DER")


def test_keys_that_are_updated():
    one = Connection().opened()
    one.up(one.client.seal(HANDSHAKE, KEY_UPDATE))
    one.client = one.client.updated()
    assert one.up(one.client.seal(DATA, b"up")) == b"up"
    assert one.down(one.server.seal(DATA, b"down")) == b"down"


def test_padding_alerts_and_tickets_are_no_data():
    one = Connection().opened()
    for content, data in ((HANDSHAKE, b"\4\0\0\1x"), (Content.ALERT, b"\1\0")):
        assert one.down(one.server.seal(content, data)) == b""
    one.down(plain_record(Content.CHANGE_CIPHER_SPEC, b"\1"))
    sealed = one.server._aead.encrypt(one.server._nonce(), b"data\x17" + bytes(9), HEADER)
    assert one.down(HEADER + sealed) == b"data"


@given(st.data())
def test_any_cutting(data):
    one = Connection()
    said = [
        (True, plain_record(HANDSHAKE, HELLO[:50]) + plain_record(HANDSHAKE, HELLO[50:])),
        (False, plain_record(HANDSHAKE, answer())),
        (False, one.server.seal(HANDSHAKE, CERTIFICATE[:5])),
        (False, one.server.seal(HANDSHAKE, CERTIFICATE[5:] + FINISHED)),
        (True, one.client.seal(HANDSHAKE, FINISHED)),
        (True, Protection(AES_128_GCM, SECRETS.client_traffic).seal(DATA, b"up")),
        (False, Protection(AES_128_GCM, SECRETS.server_traffic).seal(DATA, b"down")),
    ]
    read = {True: b"", False: b""}
    for from_client, octets in said:
        while octets:
            cut = data.draw(st.integers(1, len(octets)))
            read[from_client] += one.reader.receive(octets[:cut], from_client=from_client)
            octets = octets[cut:]
    assert read == {True: b"up", False: b"down"}


@given(st.binary(max_size=200), st.booleans())
def test_whatever_comes_only_a_drop_is_raised(octets, opened):
    one = Connection().opened() if opened else Connection()
    for receive in (one.up, one.down):
        try:
            receive(octets)
            receive(plain_record(HANDSHAKE, message(Handshake.CLIENT_HELLO, octets)))
        except Drop:
            pass


def test_what_a_client_says_before_the_server_waits_for_it():
    one = Connection()
    one.up(plain_record(HANDSHAKE, HELLO) + one.client.seal(HANDSHAKE, FINISHED))
    early = Protection(AES_128_GCM, SECRETS.client_traffic).seal(DATA, b"early")
    assert one.up(early) == b""
    one.down(plain_record(HANDSHAKE, answer()))
    assert one.up(b"") == b"early"


def test_how_much_waits():
    one = Connection()
    one.up(plain_record(HANDSHAKE, HELLO))
    record = plain_record(DATA, bytes(MAX_CIPHERTEXT))
    for _ in range(MAX_WAITING // len(record)):
        one.up(record)
    assert reason_of(one.up, record) is DropReason.MALFORMED_TLS


def test_a_server_that_asks_for_another_hello():
    one = Connection()
    one.up(plain_record(HANDSHAKE, HELLO))
    one.down(plain_record(HANDSHAKE, answer(random=tls._HELLO_RETRY)))
    one.opened()
    assert one.up(one.client.seal(DATA, b"up")) == b"up"


@pytest.mark.parametrize("retry", [False, True])
def test_what_a_server_says_before_a_hello_was_read_waits_for_it(retry):
    one = Connection()
    (_, hello), *said = one.handshake()
    if retry:
        one.up(hello)
        one.down(plain_record(HANDSHAKE, answer(random=tls._HELLO_RETRY)))
    for from_client, octets in said[:2]:
        assert one.reader.receive(octets, from_client=from_client) == b""
    assert one.down(one.server.seal(DATA, b"down")) == b""
    one.up(hello)
    assert one.down(b"") == b"down"


def test_what_comes_before_a_violation_is_returned_first():
    one = Connection().opened()
    assert one.up(one.client.seal(DATA, b"up") + plain_record(DATA, bytes(40))) == b"up"
    for _ in range(2):
        assert reason_of(one.up, b"") is DropReason.BAD_TLS_RECORD


def test_what_is_not_read():
    old = answer().replace(b"\0\x2b\0\2\3\4", b"\0\x2b\0\2\3\3")
    other_suite = answer().replace(b"\0\x13\x01\0", b"\0\x13\x04\0")
    for hello in (old, other_suite):
        one = Connection()
        one.up(plain_record(HANDSHAKE, HELLO))
        assert reason_of(one.down, plain_record(HANDSHAKE, hello)) is DropReason.NO_TLS_SECRET
    unknown, early = Connection(known=False), Connection()
    with_early_data = HELLO.replace(b"\0\x2b\0\3", b"\0\x2a\0\3")
    assert reason_of(unknown.up, plain_record(HANDSHAKE, HELLO)) is DropReason.NO_TLS_SECRET
    hello = plain_record(HANDSHAKE, with_early_data)
    assert reason_of(early.up, hello) is DropReason.NO_TLS_SECRET


def test_a_record_that_is_not_sealed_so():
    one = Connection().opened()
    record = one.client.seal(DATA, b"up")
    assert reason_of(one.up, record[:-1] + b"x") is DropReason.BAD_TLS_RECORD
    short = Connection().opened()
    assert reason_of(short.up, plain_record(DATA, b"x")) is DropReason.BAD_TLS_RECORD


@pytest.mark.parametrize(
    "octets",
    [
        b"\x99",
        b"\x16\x02\x00\0\0",
        b"\x17\x03\x03\xff\xff",
        plain_record(DATA, b"before the hello"),
        plain_record(HANDSHAKE, FINISHED),
        plain_record(HANDSHAKE, HELLO[:1] + vector(3, HELLO[4:60])),
        plain_record(HANDSHAKE, b"\1" + (MAX_HANDSHAKE + 1).to_bytes(3, "big")),
        plain_record(HANDSHAKE, HELLO.replace(b"vpn", b"v\x1bn")),
    ],
)
def test_what_cannot_be(octets):
    assert reason_of(Connection().up, octets) is DropReason.MALFORMED_TLS


@pytest.mark.parametrize(
    ("content", "data"),
    [(DATA, b"before Finished"), (HANDSHAKE, KEY_UPDATE), (Content.HANDSHAKE, b"\x0b\0\0\1\5")],
)
def test_what_cannot_be_in_a_handshake(content, data):
    one = Connection().hello()
    assert reason_of(one.down, one.server.seal(content, data)) is DropReason.MALFORMED_TLS


def test_what_is_in_clear_behind_the_hello_and_a_record_of_nothing():
    one = Connection().hello()
    assert reason_of(one.down, plain_record(HANDSHAKE, FINISHED)) is DropReason.MALFORMED_TLS
    with pytest.raises(Drop, match="without a type"):
        one.client.open(Protection(AES_128_GCM, SECRETS.client_handshake).seal(0, b""))
