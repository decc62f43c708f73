"""What is read and written at fixed places says the same as what `messages` reads and writes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrib_layers.numbers import VendorType
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration import flat, messages
from scapy_mobsec.registration.description import EspHeader, build_description, ip_udp_esp
from scapy_mobsec.registration.extensions import Attempt, build_pad, build_vendor
from scapy_mobsec.registration.messages import (
    RegistrationReply,
    RegistrationRequest,
    build_reply,
    build_request,
)

PORT = st.integers(0, 0xFFFF)


def usual(size):
    address = st.binary(min_size=size, max_size=size)
    return st.builds(ip_udp_esp, address, PORT, address, PORT, st.integers(0, 2**32 - 1))


USUAL = usual(4) | usual(16)


def equal(verdict, octets):
    """Read an RREQ both ways, and hold the results against each other; return the reason."""
    values, drop = verdict(flat.read_request, octets)
    request, expected_drop = verdict(messages.parse_request, octets)
    assert values == (request and flat.values_of(request))
    assert str(drop) == str(expected_drop)
    return drop and drop.reason


@given(st.data())
@settings(max_examples=150)
def test_any_request_reads_the_same(requests, verdict, data):
    request = data.draw(requests)
    if data.draw(st.booleans()):
        request = replace(request, attempt=Attempt(7, 1, 2, 3), sent=data.draw(USUAL))
    octets = bytearray(build_request(request))
    assert equal(verdict, bytes(octets)) is None
    for _ in range(data.draw(st.integers(1, 2))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    equal(verdict, bytes(octets))
    equal(verdict, bytes(octets[: data.draw(st.integers(0, len(octets)))]))


def head(request_message):
    """ATTEMPT and SENT alone."""
    return build_request(replace(request_message, supported=None, others=(), pad=0))


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (build_pad(1000), None),
        (build_vendor(VendorType.SENT, b""), None),
        (build_vendor(VendorType.SENT, EspHeader(1).build()), None),
        (build_vendor(VendorType.ATTEMPT, bytes(8)), DropReason.POORLY_FORMED),
        (build_pad(10) * 62, None),
        (build_pad(10) * 63, DropReason.POORLY_FORMED),
    ],
    ids=["PAD", "SENT goes on empty", "SENT goes on", "ATTEMPT again", "64", "65"],
)
def test_what_follows_may_change_the_head(request_message, verdict, rest, reason):
    assert equal(verdict, head(request_message) + rest) is reason


def test_the_usual_is_not_parsed_again(request_message, monkeypatch):
    octets = build_request(request_message)
    expected = flat.read_request(octets)
    monkeypatch.setattr(messages, "parse_request", None)
    assert flat.read_request(octets) == expected == flat.values_of(request_message)


def test_values_of_what_lacks_much():
    bare = flat.values_of(RegistrationRequest(1, 60, bytes(4), bytes(4), bytes(4)))
    assert (bare.number, bare.flags, bare.index, bare.count, bare.sent) == (0, 0, 0, 0, b"")
    assert (bare.usual, bare.carrier, bare.by_ah, bare.missing) == (None, None, False, "ATTEMPT")


@given(USUAL, st.integers(0, 2**32 - 1))
def test_usual_headers_are_written_from_their_values(observed, sent_spi):
    values = flat.usual_values(observed)
    remote, local = Endpoint(*values[:2]), Endpoint(*values[2:4])
    sent = ip_udp_esp(*local, *remote, sent_spi)
    octets, value = flat.build_usual_headers(local, remote, sent_spi, values[4])
    assert octets == flat.build_reply_rest(sent=sent, observed=observed)
    assert value == build_description(observed)
    assert flat.usual_values((*observed, EspHeader(1))) is None


@given(st.data())
@settings(max_examples=100)
def test_the_head_of_an_acceptance(requests, replies, data):
    request, reply = data.draw(requests), data.draw(replies)
    attempt, flags = Attempt(2**32 - 1, 8, 2, 3), data.draw(st.integers(0, 255))
    sent, observed = (
        data.draw(USUAL) if each is None else each for each in (reply.sent, reply.observed)
    )
    values = flat.values_of(replace(request, attempt=attempt))
    descriptions = map(build_description, (sent, observed))
    octets = flat.build_acceptance_head(values, flags, reply.lifetime)
    octets += flat.build_reply_headers(*descriptions)
    whole = RegistrationReply(
        request.identification, 0, reply.lifetime, request.home_address, request.home_agent,
        replace(attempt, flags=flags), sent, observed,
    )  # fmt: skip
    assert octets == build_reply(whole)
    assert flat.flags_of_reply(octets) == flags
    other = replace(whole, attempt=replace(attempt, flags=flags ^ 1))
    assert flat.with_flags(octets, flags ^ 1) == build_reply(other)
    rest = replace(reply, attempt=None, sent=None, observed=None)
    values = {name: getattr(rest, name) for name in ("supported", "selected", "report", "pad")}
    assert octets + flat.build_reply_rest(**values) == build_reply(replace(whole, **values))
