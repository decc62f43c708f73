import pytest
from ike import (
    AES_CBC_SHA256,
    AES_GCM_16,
    ELSEWHERE,
    GATEWAY,
    IKE_GCM,
    MOBILE,
    clear,
    delete,
    identity,
    key_exchange,
    nonce,
    notify,
    proposal,
    sa,
    selectors,
)

from scapy_mobsec.ike.ikev1 import NatHash, OriginalAddress
from scapy_mobsec.ike.message import parse_header, parse_message
from scapy_mobsec.ike.numbers import NotifyType, PayloadType, Protocol
from scapy_mobsec.ike.payloads import Opaque, Selector, VendorId, parse_payload
from scapy_mobsec.ui.ike_text import exchange_name, payload_name, payload_text, selector_text

INVALID_KE = notify(NotifyType.INVALID_KE_PAYLOAD, b"\0\x0e")
NO_NATS = MOBILE.address + GATEWAY.address + b"\x11\x94\x01\xf4"


def read(item):
    (payload,) = parse_message(clear(37, item)).payloads
    return parse_payload(payload)


@pytest.mark.parametrize(
    ("item", "name", "text"),
    [
        (sa(IKE_GCM, Protocol.IKE), "sa", "IKE aes-gcm-16-256 prf-hmac-sha2-256 curve25519"),
        (sa((*AES_GCM_16, (5, 1, None)), spi=b"spi4"), "sa", "ESP 73706934 aes-gcm-16-256 esn"),
        (sa([(5, 0, None), (9, 7, None)]), "sa", "ESP 9:7"),
        (
            (PayloadType.SA, proposal(AES_CBC_SHA256, last=False) + proposal([(1, 99, None)])),
            "sa",
            "ESP aes-cbc-128 hmac-sha2-256-128; ESP 99",
        ),
        (key_exchange(), "ke", "curve25519"),
        (nonce(bytes(16)), "nonce", ""),
        (identity("x@y"), "idi", "x@y"),
        (identity(b"\x0a\0\0\1", 1, initiator=False), "idr", "10.0.0.1"),
        (identity(b"\xff", 11), "idi", "key-id ff"),
        (identity(b"\xff\x1b", 2), "idi", "\\xff\x1b"),
        ((PayloadType.AUTH, bytes((2, 0, 0, 0))), "auth", "shared-key"),
        (selectors(PayloadType.TSI, MOBILE, GATEWAY), "tsi", "198.51.100.2, 203.0.113.2"),
        (selectors(PayloadType.TSR, MOBILE), "tsr", "198.51.100.2"),
        (delete(Protocol.ESP, b"spi4", b"spi5"), "delete", "ESP 73706934 73706935"),
        (delete(Protocol.IKE), "delete", "IKE"),
        ((PayloadType.CP, b"\1\0\0\0"), "cp", "cfg_request"),
        ((PayloadType.CERT, b"\4abc"), "cert", "4 octets"),
        ((200, b""), "payload_200", "0 octets"),
        ((PayloadType.VENDOR_ID, b"who"), "vendor_id", "77686f"),
        ((PayloadType.VENDOR_ID, bytes(40)), "vendor_id", "00" * 32 + "..."),
        (notify(NotifyType.UPDATE_SA_ADDRESSES), "notify", "update_sa_addresses"),
        (notify(50_000), "notify", "notify_50000"),
        (notify(NotifyType.COOKIE2, b"12345678"), "notify", "cookie2 3132333435363738"),
        (
            notify(NotifyType.ADDITIONAL_IP4_ADDRESS, ELSEWHERE.address),
            "notify",
            "additional_ip4_address 192.0.2.6",
        ),
        (
            notify(NotifyType.NO_NATS_ALLOWED, NO_NATS),
            "notify",
            "no_nats_allowed 198.51.100.2:4500 > 203.0.113.2:500",
        ),
        (notify(NotifyType.REKEY_SA, b"", 3, b"spi4"), "notify", "rekey_sa ESP 73706934"),
        (
            notify(NotifyType.INVALID_KE_PAYLOAD, b"\0\x0e"),
            "notify",
            "invalid_ke_payload modp-2048",
        ),
        (notify(NotifyType.INVALID_KE_PAYLOAD, b""), "notify", "invalid_ke_payload"),
    ],
)
def test_payloads_in_words(item, name, text):
    content = read(item)
    assert (payload_name(content, 2), payload_text(content)) == (name, text)


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (OriginalAddress(b"\x0a\0\0\1"), "nat_oa", "10.0.0.1"),
        (NatHash(bytes(20)), "nat_d", ""),
        (Opaque(4, 128), "ke", "128 octets"),
        (VendorId(bytes.fromhex("4a131c81070358455c5728f20e95452f")), "vendor_id", "RFC 3947"),
    ],
)
def test_payloads_of_ikev1(content, name, text):
    assert (payload_name(content, 1), payload_text(content)) == (name, text)


@pytest.mark.parametrize(
    ("exchange", "version", "name"),
    [
        (34, 0x20, "ike_sa_init"),
        (37, 0x20, "informational"),
        (99, 0x20, "exchange_99"),
        (2, 0x10, "main_mode"),
        (4, 0x10, "aggressive_mode"),
        (32, 0x10, "quick_mode"),
        (5, 0x10, "informational"),
    ],
)
def test_exchanges_by_name(exchange, version, name):
    assert exchange_name(parse_header(clear(exchange, version=version))) == name


def test_selectors_tell_what_limits_them():
    wide = Selector(7, 0, 0, 65535, b"\x0a\0\0\0", b"\x0a\0\0\xff")
    assert selector_text(wide) == "10.0.0.0-10.0.0.255"
    narrow = Selector(7, 6, 80, 80, b"\x0a\0\0\1", b"\x0a\0\0\1")
    assert selector_text(narrow) == "10.0.0.1 protocol 6 ports 80-80"
    assert selector_text(Selector(9, 0, 0, 0, b"", b"")) == "kind 9"
