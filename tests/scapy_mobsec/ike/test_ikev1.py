import pytest

from scapy_mobsec.ike.ikev1 import (
    NatHash,
    OriginalAddress,
    PayloadType,
    is_encrypted,
    parse_payload,
    vendor_name,
)
from scapy_mobsec.ike.message import HEADER, Payload, parse_header
from scapy_mobsec.ike.payloads import Opaque, VendorId


def read(kind, body):
    return parse_payload(Payload(kind, False, body, 0, 0))


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        ("4a131c81070358455c5728f20e95452f", "RFC 3947"),
        ("90cb80913ebb696e086381b5ec427b1f", "draft-ietf-ipsec-nat-t-ike-02"),
        ("cd60464335df21f87cfdb2fc68b6a448", "draft-ietf-ipsec-nat-t-ike-02"),
        ("7d9419a65310ca6f2c179d9215529d56", "draft-ietf-ipsec-nat-t-ike-03"),
        ("4485152d18b6bbcd0be8a8469579ddcc", "draft-ietf-ipsec-nat-t-ike-00"),
        ("4048b7d56ebce88525e7de7f00d6c2d380000000", "FRAGMENTATION"),
        ("afcad71368a1f1c96b8696fc77570100", "Dead Peer Detection (RFC 3706)"),
        ("00", None),
    ],
)
def test_vendor_ids_are_named(octets, name):
    assert vendor_name(bytes.fromhex(octets)) == name


@pytest.mark.parametrize("kind", [20, 15, 130])
def test_nat_d(kind):
    assert read(kind, b"h" * 20) == NatHash(b"h" * 20)


@pytest.mark.parametrize("kind", [21, 16, 131])
def test_nat_oa(kind):
    assert read(kind, b"\1\0\0\0\x0a\0\0\1") == OriginalAddress(b"\x0a\0\0\1")
    six = bytes(range(16))
    assert read(kind, b"\5\0\0\0" + six) == OriginalAddress(six)


@pytest.mark.parametrize("body", [b"", b"\1\0\0\0\x0a", b"\2\0\0\0\x0a\0\0\1"])
def test_nat_oa_without_an_address_is_told_by_its_length(body):
    assert read(PayloadType.NAT_OA, body) == Opaque(PayloadType.NAT_OA, len(body))


def test_other_payloads():
    assert read(PayloadType.VENDOR_ID, b"who") == VendorId(b"who")
    assert read(PayloadType.KE, bytes(128)) == Opaque(PayloadType.KE, 128)


@pytest.mark.parametrize(("flags", "encrypted"), [(0, False), (1, True), (2, False), (3, True)])
def test_the_flag_tells_what_is_encrypted(flags, encrypted):
    octets = HEADER.pack(b"i" * 8, b"r" * 8, 0, 0x10, 2, flags, 0, HEADER.size)
    assert is_encrypted(parse_header(octets)) is encrypted
