"""L2TP data messages: inner packets in and out, with Scapy and octets by hand as witnesses."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2tp import L2TP
from scapy.layers.ppp import HDLC
from terminals import HOME, INNER_HOST, PING, PONG, SIGNALLING

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import build_ip, build_udp, parse_ip, parse_udp
from scapy_mobsec.terminal.modes.l2tp import L2tp, build_l2tp, parse_l2tp
from scapy_mobsec.terminal.modes.transport import ForeignChecksums
from scapy_mobsec.terminal.signalling import Inner

SETTINGS = L2tp(1, 2, mobile_tunnel=3, mobile_session=4)


@given(st.binary(max_size=300), st.integers(0, 255))
def test_round_trip(ends, payload, protocol):
    """A host behind Y: any packet, UDP 434 to the other terminal's own address too."""
    pair = ends(SETTINGS)
    for host in (INNER_HOST, SIGNALLING):
        there = build_ip(HOME, host, protocol, payload)
        back = build_ip(host, HOME, protocol, payload)
        assert pair.up(there) == (Inner.DATA, there)
        assert pair.down(back) == (Inner.DATA, back)


def test_ipv6(ends):
    pair = ends(SETTINGS, 6)
    packet = build_ip(pair.home, bytes(16), 17, b"data")
    assert pair.up(packet) == (Inner.DATA, packet)


def test_what_is_written(ends):
    payload, next_header = ends(SETTINGS).at_mobile.wrap_data(PING)
    assert next_header == 17
    datagram = parse_udp(parse_ip(build_ip(HOME, SIGNALLING, 17, payload)), verify=True)
    assert (datagram.source_port, datagram.destination_port) == (1701, 1701)
    assert datagram.payload == bytes.fromhex("0002 0001 0002 ff03 0021") + PING
    theirs = L2TP(datagram.payload)
    assert (theirs.version, theirs.tunnel_id, theirs.session_id) == (2, 1, 2)
    assert bytes(HDLC(bytes(theirs.payload)).payload.payload) == PING


def test_each_direction_has_its_ids(ends, esp, drops):
    pair = ends(SETTINGS)
    assert ends(L2tp(1, 2)).up(PING) == (Inner.DATA, PING)
    assert pair.at_other.wrap_data(PONG)[0][8:14] == bytes.fromhex("0002 0003 0004")
    for ids in ((1, 3), (3, 2), (3, 4)):
        message = build_l2tp(*ids, PING)
        with drops(DropReason.WRONG_SESSION):
            pair.at_other.unwrap(esp(build_udp(HOME, SIGNALLING, 1701, 1701, message), 17))


@pytest.mark.parametrize("number", [0, -1, 65536])
def test_impossible_ids(number):
    for ids in ((number, 1), (1, number), (1, 1, number), (1, 1, 1, number)):
        with pytest.raises(ValueError, match="L2TP id"):
            L2tp(*ids)


def test_registrations_are_those_of_transport_mode(ends, esp):
    pair = ends(SETTINGS)
    payload, next_header = pair.at_mobile.wrap_message(b"message")
    assert payload == build_udp(HOME, SIGNALLING, 434, 434, b"message")
    assert pair.at_other.unwrap(esp(payload, next_header)) == (Inner.SIGNALLING, b"message")
    assert pair.at_other.unwrap(esp(b"", 59)) == (Inner.DUMMY, b"")


def test_policy(ends, esp, drops):
    pair = ends(SETTINGS)
    for call in (pair.at_mobile.wrap_data, pair.up):
        with drops(DropReason.OUTSIDE_POLICY):
            call(PONG)
    wrong_inside = build_udp(HOME, SIGNALLING, 1701, 1701, build_l2tp(1, 2, PONG))
    for payload, protocol in (
        (wrong_inside, 17),
        (build_udp(HOME, SIGNALLING, 1701, 1702, b"x"), 17),
        (bytes(20), 6),
    ):
        with drops(DropReason.OUTSIDE_POLICY):
            pair.at_other.unwrap(esp(payload, protocol))
    with drops(DropReason.NOT_CARRIED):
        pair.at_mobile.wrap_data(PING + bytes(65498 - len(PING)))


@pytest.mark.parametrize(
    "message",
    [
        "0002 0001 0002",
        "4002 LLLL 0001 0002",
        "0802 0001 0002 0007 0008",
        "0202 0001 0002 0003 aaaaaa",
        "4b02 LLLL 0001 0002 0007 0008 0001 aa",
    ],
    ids=["plain", "length", "sequence", "offset", "all, with priority"],
)
@pytest.mark.parametrize("ppp", ["ff03 0021", "0021", "ff03 21", "21"])
def test_all_forms_are_read(message, ppp):
    length = len(bytes.fromhex((message + ppp).replace("LLLL", "0000"))) + len(PING)
    octets = bytes.fromhex((message + ppp).replace("LLLL", f"{length:04x}")) + PING
    assert parse_l2tp(octets) == (1, 2, PING)
    if "LLLL" in message:
        assert parse_l2tp(octets + b"more") == (1, 2, PING)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", DropReason.MALFORMED_L2TP),
        ("00", DropReason.MALFORMED_L2TP),
        ("0003 0001 0002 21", DropReason.MALFORMED_L2TP),
        ("0002 0001", DropReason.MALFORMED_L2TP),
        ("4002 0009 0001 0002", DropReason.MALFORMED_L2TP),
        ("4002 0007 0001 0002 21", DropReason.MALFORMED_L2TP),
        ("0202 0001 0002 0009 21", DropReason.MALFORMED_L2TP),
        ("c802 000c 0000 0000 0000 0000", DropReason.NOT_CARRIED),
        ("0002 0001 0002 ff03 c021 01", DropReason.NOT_CARRIED),
        ("0002 0001 0002", DropReason.NOT_CARRIED),
        ("0002 0001 0002 ff03 00", DropReason.NOT_CARRIED),
    ],
)
def test_refused(drops, message, reason):
    with drops(reason):
        parse_l2tp(bytes.fromhex(message))


def test_foreign_checksums(ends, esp):
    """Its UDP datagrams are put right as those of transport mode."""
    real = bytes([192, 168, 1, 77]), bytes([203, 0, 113, 2])
    pair = ends(L2tp(1, 2, foreign=ForeignChecksums(*real)))
    payload = build_udp(*real, 1701, 1701, build_l2tp(1, 2, PING))
    assert pair.at_other.unwrap(esp(payload, 17)) == (Inner.DATA, PING)
    assert pair.at_mobile.wrap_data(PING) == (payload, 17)


@given(st.binary(max_size=80))
def test_only_drop_escapes(ends, esp, octets):
    pair = ends(SETTINGS)
    udp = build_udp(HOME, SIGNALLING, 1701, 1701, octets)
    message = build_udp(HOME, SIGNALLING, 1701, 1701, bytes.fromhex("000200010002") + octets)
    for call, argument in (
        (pair.at_other.unwrap, esp(octets, 17)),
        (pair.at_other.unwrap, esp(udp, 17)),
        (pair.at_other.unwrap, esp(message, 17)),
        (pair.at_mobile.wrap_data, octets),
    ):
        with suppress(Drop):
            call(argument)
