"""RREQ and RREP as a whole: octets written out, every border, PAD, required extensions."""

import copy
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrib_layers.numbers import VendorType
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.description import EspHeader, HttpHeader, UdpHeader
from scapy_mobsec.registration.extensions import build_vendor
from scapy_mobsec.registration.messages import (
    Attempt,
    Extension,
    RegistrationReply,
    RegistrationRequest,
    Report,
    build_reply,
    build_request,
    missing_required,
    pad_request,
    parse_message,
    parse_reply,
    parse_request,
    salvage_request,
)

REASONS = {DropReason.POORLY_FORMED, DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION}
PLAIN_REPLY = RegistrationReply(5, 0, 600, bytes(4), bytes(4))


def build(message):
    return (
        build_request(message) if isinstance(message, RegistrationRequest) else build_reply(message)
    )


@pytest.fixture(scope="module")
def parses(verdict):
    """Return the message or None; a Drop must name what is wrong."""

    def parse(data):
        message, drop = verdict(parse_message, data)
        if drop:
            assert drop.reason in REASONS
            assert drop.detail
        return message

    return parse


def test_request_written_out(request_message, request_octets):
    assert build_request(request_message) == request_octets
    assert parse_request(request_octets) == request_message


def test_reply_written_out():
    reply = RegistrationReply(
        0xEEF5_1E00_0000_0007,
        133,
        0xFFFF,
        bytes((10, 1, 0, 2)),
        bytes((192, 0, 2, 1)),
        attempt=Attempt(7, 8),
        challenge=b"whoareu?",
        addresses=(bytes((192, 0, 2, 9)),),
        pad=11,
        others=(Extension(131, b"\x83\x02me"),),
    )
    octets = bytes.fromhex(
        "03 85 ffff 0a010002 c0000201 eef51e0000000007"  # RFC 5944 section 3.4
        "86 10 0000 00007ed9 0006  00000007 08 00 01 00"
        "86 10 0000 00007ed9 0007  77686f617265753f"
        "86 0d 0000 00007ed9 000b  04 c0000209"
        "83 02 6d65"
        "86 09 0000 00007ed9 0009  00"
    )
    assert build_reply(reply) == octets
    assert parse_reply(octets) == reply


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(requests, replies, data):
    message = data.draw(requests | replies)
    assert parse_message(build(message)) == message


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_octets_are_a_message_or_a_drop(parses, tail):
    for head in (b"", b"\x01", b"\x03", b"\x01" + bytes(23), b"\x03" + bytes(19)):
        parses(head + tail)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_octets_are_a_message_or_a_drop(parses, requests, replies, data):
    octets = bytearray(build(data.draw(requests | replies)))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    if message := parses(bytes(octets)):
        assert parse_message(build(message)) == message


def test_truncated_at_each_octet(parses, request_message):
    values = {"others": (Extension(131, b"\x83\x02me"),), "pad": 20, "challenge": bytes(8)}
    whole = replace(request_message, report=Report(1, 2, 3), home=bytes(16), **values)
    octets = build_request(whole)
    boundaries = {24}
    while (at := max(boundaries)) < len(octets):
        boundaries.add(at + 2 + octets[at + 1])
    for end in range(len(octets)):
        assert (parses(octets[:end]) is not None) == (end in boundaries)


def test_a_long_description_continues(request_message):
    sent = (UdpHeader(1, 2), HttpHeader("GET", "gw", "/" * 600), EspHeader(1))
    octets = build_request(replace(request_message, sent=sent))
    assert octets.count(bytes.fromhex("00007ed9 0001")) == 3
    assert parse_request(octets).sent == sent


@pytest.mark.parametrize(
    ("kind", "octets", "detail"),
    [
        ("RREQ", b"", "RREQ truncated"),
        ("RREQ", b"\x01" + bytes(22), "RREQ truncated"),
        ("RREQ", b"\x03" + bytes(30), "message type 3, not an RREQ"),
        ("RREP", b"", "RREP truncated"),
        ("RREP", b"\x03" + bytes(18), "RREP truncated"),
        ("RREP", b"\x01" + bytes(30), "message type 1, not an RREP"),
    ],
)
def test_neither_one_nor_the_other(kind, octets, detail):
    parse = parse_request if kind == "RREQ" else parse_reply
    with pytest.raises(Drop, match=detail) as caught:
        parse(octets)
    assert caught.value.reason is DropReason.POORLY_FORMED


def test_other_message_types():
    with pytest.raises(Drop, match="message type 4"):
        parse_message(b"\x04" + bytes(30))


@pytest.mark.parametrize(
    "kind", [VendorType.OBSERVED, VendorType.TRANSLATIONS, VendorType.SELECTED]
)
def test_values_of_an_rrep_in_an_rreq(kind, request_octets):
    with pytest.raises(Drop, match=f"{kind.name} in the wrong kind of message"):
        parse_request(request_octets + build_vendor(kind, b""))


def test_unknown_critical_vendor_extension_allows_the_answer_140(request_octets):
    with pytest.raises(Drop) as caught:
        parse_request(request_octets + bytes.fromhex("26 00 0006 00007ed9 0001"))
    assert caught.value.reason is DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION


def test_parsed_messages_are_frozen_and_ordinary(request_octets):
    request = parse_request(request_octets)
    for part in (request, request.attempt, *request.supported):
        with pytest.raises(FrozenInstanceError):
            part.flags = 0
    assert copy.deepcopy(request) == request
    assert hash(request) == hash(parse_request(request_octets))
    assert replace(request, lifetime=0).lifetime == 0


@pytest.mark.parametrize(
    "values",
    [
        {"home_address": bytes(16)},
        {"home_agent": b""},
        {"care_of_address": bytes(5)},
        {"challenge": bytes(7)},
        {"response": bytes(9)},
        {"home": bytes(4)},
        {"pad": 9},
        {"identification": 2**64},
        {"lifetime": 65536},
        {"flags": -1},
        {"attempt": Attempt(2**32)},
        {"sent": (EspHeader(2**32),)},
    ],
)
def test_values_that_do_not_fit(request_message, values):
    with pytest.raises(ValueError, match=r"octets|range"):
        build_request(replace(request_message, **values))


@pytest.mark.parametrize("values", [{"home_address": b""}, {"challenge": b""}, {"code": 256}])
def test_values_that_do_not_fit_into_a_reply(values):
    with pytest.raises(ValueError, match=r"octets|range"):
        build_reply(replace(PLAIN_REPLY, **values))


class TestSalvage:
    """What can be known of a request that is poorly formed."""

    def test_the_fixed_part_and_attempt(self, request_message, request_octets):
        salvaged = salvage_request(request_octets + b"\x25\x00")
        fixed = replace(request_message, sent=None, supported=None)
        assert salvaged == fixed

    def test_without_attempt(self, request_octets):
        assert salvage_request(request_octets[:24] + b"\x25\x00").attempt is None
        assert salvage_request(request_octets[:30]).attempt is None

    @given(st.binary(max_size=60))
    @settings(deadline=None)
    def test_any_octets(self, tail):
        assert salvage_request(b"\x01" + bytes(23) + tail).identification == 0

    def test_nothing_to_salvage(self, request_octets):
        with pytest.raises(Drop, match="RREQ truncated"):
            salvage_request(request_octets[:23])


class TestPadding:
    """PAD makes a request as long as wanted."""

    @pytest.mark.parametrize("room", [*range(10, 40), 256, 257, 258, 266, 267, 268, 1100])
    def test_exactly_as_long(self, request_message, room):
        length = len(build_request(request_message)) + room
        padded = pad_request(request_message, length)
        assert len(build_request(padded)) == length
        assert parse_request(build_request(padded)) == padded
        assert replace(padded, pad=0) == request_message

    @pytest.mark.parametrize(("room", "pad"), [(-20, 0), (0, 0), (1, 10), (9, 10)])
    def test_as_near_as_possible(self, request_message, room, pad):
        length = len(build_request(request_message)) + room
        assert pad_request(request_message, length).pad == pad

    def test_padding_again_replaces_the_padding(self, request_message):
        assert pad_request(pad_request(request_message, 1200), 500).pad == (
            pad_request(request_message, 500).pad
        )


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, None),
        ({"attempt": None}, "ATTEMPT"),
        ({"sent": None}, "SENT"),
        ({"attempt": None, "sent": None}, "ATTEMPT"),
        ({"attempt": Attempt(1, flags=0x04)}, "RESPONSE"),
        ({"attempt": Attempt(1, flags=0x0C)}, "RESPONSE"),
        ({"attempt": Attempt(1, flags=0x04), "response": bytes(8)}, None),
        ({"attempt": Attempt(1, flags=0x0B)}, None),
    ],
)
def test_required_in_a_request(request_message, values, missing):
    assert missing_required(replace(request_message, **values)) == missing


def test_required_in_a_reply():
    assert missing_required(PLAIN_REPLY) == "ATTEMPT"
    assert missing_required(replace(PLAIN_REPLY, attempt=Attempt(1))) is None
    assert missing_required(replace(PLAIN_REPLY, attempt=Attempt(1, flags=0x04))) is None
