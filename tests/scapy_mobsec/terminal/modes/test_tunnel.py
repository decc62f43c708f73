"""Tunnel mode: what is a registration, what is data, and what the policy refuses."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminals import HOME, INNER_HOST, PING, PONG, SIGNALLING

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.ip import build_ip, build_udp, parse_ip, parse_udp
from scapy_mobsec.terminal.modes.tunnel import Tunnel, TunnelMode
from scapy_mobsec.terminal.signalling import Inner

AT_MOBILE = TunnelMode(HOME, SIGNALLING, at_mobile=True)
AT_OTHER = TunnelMode(HOME, SIGNALLING, at_mobile=False)


def udp(source, destination, source_port, destination_port, payload=b"message"):
    datagram = build_udp(source, destination, source_port, destination_port, payload)
    return build_ip(source, destination, 17, datagram)


def opened(payload, next_header=4):
    return Opened(payload, next_header, 1, True)


def reason_of(call, *arguments):
    with pytest.raises(Drop) as caught:
        call(*arguments)
    return caught.value.reason


def test_a_registration_is_udp_434_with_a_checksum():
    payload, next_header = AT_MOBILE.wrap_message(b"message")
    ip = parse_ip(payload)
    assert (next_header, ip.source, ip.destination) == (4, HOME, SIGNALLING)
    datagram = parse_udp(ip, verify=True)
    assert (datagram.source_port, datagram.destination_port) == (434, 434)
    assert AT_OTHER.unwrap(opened(payload)) == (Inner.SIGNALLING, b"message")


def test_each_end_reads_what_the_other_wrote():
    assert AT_OTHER.unwrap(opened(*AT_MOBILE.wrap_data(PING))) == (Inner.DATA, PING)
    assert AT_MOBILE.unwrap(opened(*AT_OTHER.wrap_data(PONG))) == (Inner.DATA, PONG)
    assert AT_MOBILE.unwrap(opened(*AT_OTHER.wrap_message(b"m"))) == (Inner.SIGNALLING, b"m")


def test_ipv6_inside():
    home, signalling = (ip_address(f"2001:db8::{n}").packed for n in (1, 2))
    payload, next_header = TunnelMode(home, signalling, at_mobile=True).wrap_message(b"m")
    assert next_header == 41
    other = TunnelMode(home, signalling, at_mobile=False)
    assert other.unwrap(opened(payload, 41)) == (Inner.SIGNALLING, b"m")


@pytest.mark.parametrize(
    "packet",
    [
        udp(HOME, INNER_HOST, 434, 434),
        udp(HOME, SIGNALLING, 434, 435),
        build_ip(HOME, SIGNALLING, 6, b"\x01\xb2\x01\xb2"),
    ],
    ids=["other destination", "other port", "tcp"],
)
def test_ordinary_data(packet):
    """Port 434 towards any other inner destination is ordinary data."""
    assert AT_OTHER.unwrap(opened(packet)) == (Inner.DATA, packet)
    assert AT_MOBILE.wrap_data(packet) == (packet, 4)


def test_policy_on_receipt():
    assert reason_of(AT_OTHER.unwrap, opened(PONG)) is DropReason.OUTSIDE_POLICY
    assert reason_of(AT_MOBILE.unwrap, opened(PING)) is DropReason.OUTSIDE_POLICY
    other_port = udp(HOME, SIGNALLING, 1024, 434)
    assert reason_of(AT_OTHER.unwrap, opened(other_port)) is DropReason.OUTSIDE_POLICY


def test_policy_on_sending():
    assert reason_of(AT_MOBILE.wrap_data, PONG) is DropReason.OUTSIDE_POLICY
    assert reason_of(AT_OTHER.wrap_data, PING) is DropReason.OUTSIDE_POLICY


def test_nobody_else_speaks_for_the_terminals():
    request, reply = AT_MOBILE.wrap_message(b"m")[0], AT_OTHER.wrap_message(b"m")[0]
    assert reason_of(AT_MOBILE.wrap_data, request) is DropReason.OUTSIDE_POLICY
    assert reason_of(AT_OTHER.wrap_data, reply) is DropReason.OUTSIDE_POLICY


def test_damaged_inside():
    message = AT_MOBILE.wrap_message(b"message")[0]
    assert reason_of(AT_OTHER.unwrap, opened(message[:-1] + b"?")) is DropReason.BAD_CHECKSUM
    assert reason_of(AT_OTHER.unwrap, opened(message[:-1])) is DropReason.TRUNCATED
    assert reason_of(AT_OTHER.unwrap, opened(b"")) is DropReason.MALFORMED_IP
    assert reason_of(AT_OTHER.unwrap, opened(PING, 6)) is DropReason.UNKNOWN_NEXT_HEADER


def test_a_dummy_is_nothing():
    assert AT_OTHER.unwrap(opened(b"anything", 59)) == (Inner.DUMMY, b"")


@given(st.binary(max_size=80), st.sampled_from([4, 41, 59, 17, 0]))
def test_only_drop_escapes(payload, next_header):
    for mode in (AT_MOBILE, AT_OTHER):
        for call, argument in (
            (mode.unwrap, opened(payload, next_header)),
            (mode.wrap_data, payload),
        ):
            with suppress(Drop):
                call(argument)


def test_the_settings_make_it():
    assert isinstance(Tunnel().make(HOME, SIGNALLING, at_mobile=True), TunnelMode)
