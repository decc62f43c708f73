"""RFC 3948 in and out of UDP payloads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.udp import Content, classify, unwrap, wrap


@pytest.mark.parametrize(
    ("payload", "content", "message"),
    [
        (b"\xff", Content.KEEPALIVE, b""),
        (bytes(4), Content.IKE, b""),
        (bytes(4) + b"ike", Content.IKE, b"ike"),
        (bytes(3) + b"\x01" + bytes(20), Content.ESP, bytes(3) + b"\x01" + bytes(20)),
        (b"\xff\xff\xff\xff", Content.ESP, b"\xff\xff\xff\xff"),
    ],
)
def test_each_content(payload: bytes, content: Content, message: bytes) -> None:
    assert classify(payload) is content
    assert unwrap(payload) == (content, message)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\xfe", b"\xff\xff", bytes(3), b"\x01\x02\x03"])
def test_too_short_for_an_spi(payload: bytes) -> None:
    with pytest.raises(Drop) as caught:
        unwrap(payload)
    assert caught.value.reason is DropReason.TRUNCATED


@given(st.binary(max_size=64))
def test_ike_and_esp_come_out_as_they_went_in(message: bytes) -> None:
    assert unwrap(wrap(Content.IKE, message)) == (Content.IKE, message)
    esp = b"\x01\x02\x03\x04" + message
    assert unwrap(wrap(Content.ESP, esp)) == (Content.ESP, esp)
    assert unwrap(wrap(Content.KEEPALIVE)) == (Content.KEEPALIVE, b"")


@given(st.binary(max_size=16))
def test_only_drop_escapes(payload: bytes) -> None:
    try:
        content, message = unwrap(payload)
    except Drop:
        assert len(payload) < 4
        assert payload != b"\xff"
    else:
        assert wrap(content, message) == payload
