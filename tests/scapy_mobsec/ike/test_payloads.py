from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ike import (
    AES_CBC_SHA256,
    ELSEWHERE,
    GATEWAY,
    IKE_GCM,
    clear,
    delete,
    key_exchange,
    nonce,
    notify,
    proposal,
    sa,
    selectors,
)

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike.message import Payload, parse_message
from scapy_mobsec.ike.numbers import (
    Exchange,
    NotifyType,
    PayloadType,
    Protocol,
    TransformType,
)
from scapy_mobsec.ike.payloads import (
    MAX_TRANSFORMS,
    Authentication,
    Configuration,
    ConfigurationAttribute,
    Delete,
    Identity,
    KeyExchangeData,
    Nonce,
    Notify,
    Opaque,
    Selector,
    Transform,
    VendorId,
    count_values,
    parse_payload,
    parse_payloads,
)


def read(kind, body):
    return parse_payload(Payload(kind, False, body, 0, 0))


def reason_of(kind, body):
    with pytest.raises(Drop) as caught:
        read(kind, body)
    return caught.value.reason


def test_proposals_and_transforms():
    body = proposal(IKE_GCM, Protocol.IKE, b"8 octets", 1, last=False)
    body += proposal(AES_CBC_SHA256, Protocol.ESP, b"spi4", 2)
    first, second = read(PayloadType.SA, body).proposals
    assert (first.number, first.protocol, first.spi) == (1, Protocol.IKE, b"8 octets")
    assert first.transforms == (Transform(1, 20, 256), Transform(2, 5), Transform(4, 31))
    assert (second.number, second.spi) == (2, b"spi4")
    assert second.chosen(TransformType.INTEG) == Transform(3, 12)
    assert second.chosen(TransformType.PRF) is None


def test_other_attributes_than_the_key_length_are_passed_over():
    attributes = b"\x80\x01\x00\x07" + b"\x00\x63\x00\x02xx" + b"\x80\x0e\x01\x00"
    body = bytes.fromhex("00000000") + bytes((1, 3, 0, 1))
    body += b"\0\0" + (8 + len(attributes)).to_bytes(2) + b"\1\0\0\x0c" + attributes
    body = body[:2] + len(body).to_bytes(2) + body[4:]
    (found,) = read(PayloadType.SA, body).proposals
    assert found.transforms == (Transform(1, 12, 256),)


@pytest.mark.parametrize("attribute", [b"\x80\x0e\1", b"\0\x63\0\2x"])
def test_an_attribute_cut_short_is_malformed(attribute):
    body = b"\0\0" + (16 + len(attribute)).to_bytes(2) + bytes((1, 3, 0, 1))
    body += b"\0\0" + (8 + len(attribute)).to_bytes(2) + b"\1\0\0\x0c" + attribute
    assert reason_of(PayloadType.SA, body) is DropReason.MALFORMED_IKE


@pytest.mark.parametrize("end", range(len(sa(AES_CBC_SHA256, spi=b"spi4")[1])))
def test_a_proposal_cut_short_is_malformed(end):
    assert reason_of(PayloadType.SA, sa(AES_CBC_SHA256, spi=b"spi4")[1][:end]) is (
        DropReason.MALFORMED_IKE
    )


SA_BODY = sa(AES_CBC_SHA256, spi=b"spi4")[1]


@pytest.mark.parametrize(
    ("at", "octet"),
    [(0, 2), (0, 9), (3, 200), (3, 7), (6, 99), (7, 1), (7, 3), (12, 1), (15, 1), (15, 7)],
)
def test_lengths_that_disagree_are_malformed(at, octet):
    body = SA_BODY[:at] + bytes([octet]) + SA_BODY[at + 1 :]
    assert reason_of(PayloadType.SA, body) is DropReason.MALFORMED_IKE


def test_proposals_are_bounded():
    many = b"".join(proposal((), number=1, last=n == 64) for n in range(65))
    assert reason_of(PayloadType.SA, many) is DropReason.MALFORMED_IKE


def test_transforms_are_bounded():
    many = [proposal([(1, 20, None)] * count, number=1, last=count == 4) for count in (254, 254, 4)]
    assert count_values(read(PayloadType.SA, b"".join(many))) == 1 + 3 + MAX_TRANSFORMS
    more = b"".join([proposal([(1, 20, None)], number=1, last=False), *many])
    assert reason_of(PayloadType.SA, more) is DropReason.MALFORMED_IKE


def test_attributes_of_a_transform_are_bounded():
    for count, fits in ((8, True), (9, False)):
        body = bytearray(proposal([(1, 20, None)]) + b"\x80\x0e\x01\x00" * count)
        for at in (2, 10):  # the lengths of the proposal and of the transform
            body[at : at + 2] = (int.from_bytes(body[at : at + 2]) + 4 * count).to_bytes(2)
        if fits:
            assert read(PayloadType.SA, bytes(body)).proposals[0].transforms[0].key_length == 256
        else:
            assert reason_of(PayloadType.SA, bytes(body)) is DropReason.MALFORMED_IKE


@pytest.mark.parametrize(("more", "fits"), [(1, True), (2, False)])
def test_a_message_holds_a_bounded_number_of_values(more, fits):
    attributes = PayloadType.CP, bytes(4) + b"\0\1\0\0" * 254
    payloads = [attributes] * 4 + [nonce(bytes(16))] * (more + 3)
    message = parse_message(clear(Exchange.INFORMATIONAL, *payloads))
    if fits:
        assert len(parse_payloads(message.payloads)) == 8
        return
    with pytest.raises(Drop, match="more than 1024 values"):
        parse_payloads(message.payloads)


def test_what_a_payload_holds_many_of_is_counted():
    assert count_values(read(*delete(Protocol.ESP, b"spi1", b"spi2"))) == 3
    assert count_values(read(*selectors(PayloadType.TSI, GATEWAY))) == 2
    attributes = bytes.fromhex("01000000 00010000 00020000")
    assert count_values(read(PayloadType.CP, attributes)) == 3
    assert count_values(read(*nonce(b"n" * 16))) == 1


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (key_exchange(14, 256), KeyExchangeData(14, 256)),
        ((PayloadType.IDI, b"\2\0\0\0host"), Identity(True, 2, b"host")),
        ((PayloadType.IDR, b"\1\0\0\0\1\2\3\4"), Identity(False, 1, b"\1\2\3\4")),
        ((PayloadType.AUTH, b"\2\0\0\0" + bytes(32)), Authentication(2, 32)),
        (nonce(b"n" * 16), Nonce(b"n" * 16)),
        (notify(16393, b"d", 3, b"spi4"), Notify(16393, 3, b"spi4", b"d")),
        (delete(Protocol.IKE), Delete(1, ())),
        (delete(Protocol.ESP, b"spi1", b"spi2"), Delete(3, (b"spi1", b"spi2"))),
        ((PayloadType.VENDOR_ID, b"who"), VendorId(b"who")),
        (
            (PayloadType.CP, b"\1\0\0\0" + b"\x80\1\0\0" + b"\0\3\0\4abcd"),
            Configuration(1, (ConfigurationAttribute(1, b""), ConfigurationAttribute(3, b"abcd"))),
        ),
        ((PayloadType.CERT, b"\4der"), Opaque(PayloadType.CERT, 4)),
        ((200, b""), Opaque(200, 0)),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, tuple) else "",
)
def test_what_is_in_each_payload(payload, value):
    assert read(*payload) == value


def test_traffic_selectors():
    found = read(*selectors(PayloadType.TSR, GATEWAY, ELSEWHERE))
    assert not found.of_initiator
    one = Selector(7, 0, 0, 65535, GATEWAY.address, GATEWAY.address)
    assert found.selectors == (one, replace(one, first=ELSEWHERE.address, last=ELSEWHERE.address))
    unknown = read(PayloadType.TSI, b"\1\0\0\0" + b"\x09\0\0\x0a\0\0\0\0ab")
    assert unknown.selectors == (Selector(9, 0, 0, 0, b"", b""),)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PayloadType.KE, b"\0\x0e\0"),
        (PayloadType.IDI, b"\2\0\0"),
        (PayloadType.AUTH, b""),
        (PayloadType.NONCE, bytes(15)),
        (PayloadType.NONCE, bytes(257)),
        (PayloadType.NOTIFY, b"\0\0\0"),
        (PayloadType.NOTIFY, b"\0\5\x40\x09spi4"),
        (PayloadType.SA, sa(AES_CBC_SHA256)[1] + b"x"),
        (PayloadType.SA, b""),
        (PayloadType.DELETE, b""),
        (PayloadType.DELETE, b"\x63\0\0\1"),
        (PayloadType.TSI, b""),
        (PayloadType.DELETE, b"\3\4\0"),
        (PayloadType.DELETE, b"\3\4\0\2spi1"),
        (PayloadType.DELETE, b"\3\0\0\1"),
        (PayloadType.DELETE, b"\3\2\0\1ab"),
        (PayloadType.DELETE, b"\1\4\0\1spi1"),
        (PayloadType.TSI, b"\1\0\0"),
        (PayloadType.TSI, b"\1\0\0\0\7\0\0\x10"),
        (PayloadType.TSI, b"\1\0\0\0" + b"\x07\0\0\x0c\0\0\0\0abcd"),
        (PayloadType.TSI, b"\0\0\0\0x"),
        (PayloadType.CP, b"\1\0\0"),
        (PayloadType.CP, b"\1\0\0\0\0\1\0\4abc"),
        (PayloadType.CP, b"\1\0\0\0\0\1"),
    ],
)
def test_bodies_that_cannot_be_are_malformed(kind, body):
    assert reason_of(kind, body) is DropReason.MALFORMED_IKE


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (NotifyType.NAT_DETECTION_SOURCE_IP, 20, 16),
        (NotifyType.NAT_DETECTION_DESTINATION_IP, 20, 0),
        (NotifyType.ADDITIONAL_IP4_ADDRESS, 4, 16),
        (NotifyType.ADDITIONAL_IP6_ADDRESS, 16, 4),
        (NotifyType.COOKIE2, 8, 7),
        (NotifyType.COOKIE2, 64, 65),
        (NotifyType.NO_NATS_ALLOWED, 12, 13),
        (NotifyType.NO_NATS_ALLOWED, 36, 35),
    ],
)
def test_notifications_have_the_length_that_their_rfc_gives(kind, good, bad):
    assert read(*notify(kind, bytes(good))).data == bytes(good)
    assert reason_of(*notify(kind, bytes(bad))) is DropReason.MALFORMED_IKE


def test_selectors_and_attributes_are_bounded():
    many = b"\1\0\0\0" + b"\0\1\0\0" * 257
    assert reason_of(PayloadType.CP, many) is DropReason.MALFORMED_IKE
    assert reason_of(PayloadType.DELETE, b"\3\4" + (513).to_bytes(2) + bytes(4 * 513)) is (
        DropReason.MALFORMED_IKE
    )


def test_the_nonce_is_not_in_the_repr():
    assert "nnn" not in repr(read(*nonce(b"n" * 16)))


@given(st.integers(33, 54), st.binary(max_size=80))
def test_only_drop_leaves_the_parser(kind, body):
    for payload in parse_message(clear(Exchange.INFORMATIONAL, (kind, body))).payloads:
        with suppress(Drop):
            parse_payload(payload)
