"""Transport mode: the header goes and comes back, and checksums are over the home addresses."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.packet import Raw

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import build_ip, build_udp, parse_ip
from scapy_mobsec.terminal.modes.transport import ForeignChecksums, Transport
from scapy_mobsec.terminal.signalling import Inner

TRANSPORT = Transport()
VERSIONS = pytest.mark.parametrize("version", [4, 6])
REAL = {4: ("192.168.1.77", "203.0.113.2"), 6: ("2001:db8::77", "2001:db8::2")}


def header(version, source, destination, **fields):
    return (IP if version == 4 else IPv6)(src=source, dst=destination, **fields)


def payloads(version):
    """One packet of each protocol whose checksum Scapy fills in."""
    icmp = ICMP() if version == 4 else ICMPv6EchoRequest()
    return [TCP(sport=1, dport=2), UDP(sport=1, dport=2), icmp]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([4, 6]), st.integers(0, 2), st.binary(max_size=300), st.booleans())
def test_round_trip_with_checksums_as_scapy_has_them(ends, version, kind, data, up):
    pair = ends(TRANSPORT, version)
    source, destination = pair.texts if up else pair.texts[::-1]
    packet = header(version, source, destination) / payloads(version)[kind] / Raw(data)
    inner, octets = (pair.up if up else pair.down)(bytes(packet))
    assert inner is Inner.DATA
    mine, theirs = parse_ip(octets), parse_ip(bytes(packet))
    assert (mine.source, mine.destination) == (theirs.source, theirs.destination)
    assert (mine.protocol, mine.payload) == (theirs.protocol, theirs.payload)
    again = type(packet)(octets)
    if version == 4:
        del again.chksum
        assert bytes(again) == octets


@VERSIONS
def test_only_what_follows_the_ip_header_is_sealed(ends, version):
    pair = ends(TRANSPORT, version)
    packet = build_ip(pair.home, pair.other, 6, b"x" * 20)
    assert pair.at_mobile.wrap_data(packet) == (b"x" * 20, 6)


@VERSIONS
def test_a_registration_is_udp_434_over_the_home_addresses(ends, esp, drops, version):
    pair = ends(TRANSPORT, version)
    payload, next_header = pair.at_mobile.wrap_message(b"message")
    assert (payload, next_header) == (build_udp(pair.home, pair.other, 434, 434, b"message"), 17)
    assert pair.at_other.unwrap(esp(payload, 17)) == (Inner.SIGNALLING, b"message")
    reply = pair.at_other.wrap_message(b"reply")
    assert pair.at_mobile.unwrap(esp(*reply)) == (Inner.SIGNALLING, b"reply")
    with drops(DropReason.BAD_CHECKSUM):
        pair.at_other.unwrap(esp(build_udp(pair.home, pair.home, 434, 434, b"message"), 17))
    with drops(DropReason.OUTSIDE_POLICY):
        pair.at_other.unwrap(esp(build_udp(pair.home, pair.other, 9, 434, b"message"), 17))


def test_policy(ends, drops):
    pair = ends(TRANSPORT)
    for source, destination in ((pair.other, pair.home), (pair.home, bytes(4))):
        with drops(DropReason.OUTSIDE_POLICY):
            pair.at_mobile.wrap_data(build_ip(source, destination, 6, bytes(20)))
    message = build_udp(pair.home, pair.other, 9, 434, b"m")
    with drops(DropReason.OUTSIDE_POLICY):
        pair.at_mobile.wrap_data(build_ip(pair.home, pair.other, 17, message))


def test_what_transport_mode_cannot_carry(ends, drops):
    pair, pair6 = ends(TRANSPORT), ends(TRANSPORT, 6)
    (x, y), (x6, y6) = pair.texts, pair6.texts
    packets = [
        IP(src=x, dst=y, options=[IPOption_NOP()]) / UDP(),
        IP(src=x, dst=y, flags="MF") / UDP(),
        IP(src=x, dst=y, frag=1) / UDP(),
        IP(src=x, dst=y) / IP() / UDP(),
        IP(src=x, dst=y, proto=59),
    ]
    for extension in (
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrDestOpt(),
        IPv6ExtHdrRouting(),
        IPv6ExtHdrFragment(m=1),
        IPv6ExtHdrFragment(),
    ):
        packets.append(IPv6(src=x6, dst=y6) / extension / UDP())
    for packet in packets:
        end = pair if packet.version == 4 else pair6
        with drops(DropReason.NOT_CARRIED):
            end.at_mobile.wrap_data(bytes(packet))


@VERSIONS
@pytest.mark.parametrize("next_header", [0, 43, 44, 60, 4, 41])
def test_next_headers_that_are_refused(ends, esp, drops, version, next_header):
    with drops(DropReason.UNKNOWN_NEXT_HEADER):
        ends(TRANSPORT, version).at_other.unwrap(esp(bytes(40), next_header))


def test_dummies_and_too_long(ends, esp, drops):
    end = ends(TRANSPORT).at_other
    assert end.unwrap(esp(b"anything", 59)) == (Inner.DUMMY, b"")
    assert len(end.unwrap(esp(bytes(65515), 6))[1]) == 65535
    with drops(DropReason.MALFORMED_IP):
        end.unwrap(esp(bytes(65516), 6))


# Foreign peers


def foreign(version, **options):
    return Transport(ForeignChecksums(*(ip_address(t).packed for t in REAL[version]), **options))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([4, 6]), st.integers(0, 2), st.binary(max_size=300))
def test_checksums_over_foreign_addresses_are_put_right(ends, esp, version, kind, data):
    """In both directions, to what Scapy computes."""
    pair = ends(foreign(version), version)
    over_real = bytes(header(version, *REAL[version]) / payloads(version)[kind] / Raw(data))
    over_home = bytes(header(version, *pair.texts) / payloads(version)[kind] / Raw(data))
    sent, wanted = parse_ip(over_real), parse_ip(over_home)
    inner, octets = pair.at_other.unwrap(esp(sent.payload, sent.protocol))
    assert (inner, parse_ip(octets).payload) == (Inner.DATA, wanted.payload)
    assert pair.at_mobile.wrap_data(over_home) == (sent.payload, sent.protocol)


def test_udp_checksum_zero(ends, esp):
    home, other = ends(TRANSPORT).home, ends(TRANSPORT).other
    datagram = build_udp(home, other, 1, 2, b"data")
    without = datagram[:6] + bytes(2) + datagram[8:]
    pair = ends(foreign(4, zero_udp=True))
    assert parse_ip(pair.at_other.unwrap(esp(datagram, 17))[1]).payload == without
    assert parse_ip(ends(foreign(4)).at_other.unwrap(esp(without, 17))[1]).payload == without
    # IPv6 has no UDP without checksum: it is put right all the same
    over_real = bytes(header(6, *REAL[6]) / UDP(sport=1, dport=2) / Raw(b"data"))
    pair = ends(foreign(6, zero_udp=True), 6)
    over_home = bytes(header(6, *pair.texts) / UDP(sport=1, dport=2) / Raw(b"data"))
    assert pair.at_other.unwrap(esp(over_real[40:], 17))[1][40:] == over_home[40:]


def test_registrations_are_not_recalculated(ends, esp):
    pair = ends(foreign(4))
    assert pair.at_other.unwrap(esp(*pair.at_mobile.wrap_message(b"m"))) == (Inner.SIGNALLING, b"m")


def test_foreign_addresses_are_of_the_same_family(ends):
    with pytest.raises(ValueError, match="family"):
        ends(foreign(6), 4)


@given(st.binary(max_size=80), st.sampled_from([0, 1, 4, 6, 17, 41, 58, 59, 60]))
def test_only_drop_escapes(ends, esp, octets, next_header):
    for settings_ in (TRANSPORT, foreign(4), foreign(4, zero_udp=True)):
        pair = ends(settings_)
        whole = build_ip(pair.home, pair.other, next_header, octets)
        for call, argument in (
            (pair.at_other.unwrap, esp(octets, next_header)),
            (pair.at_mobile.wrap_data, octets),
            (pair.at_mobile.wrap_data, whole),
        ):
            with suppress(Drop):
                call(argument)
