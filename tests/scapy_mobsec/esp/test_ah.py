"""AH against Scapy in both directions, and what its ICV covers and does not cover."""

import hmac
from contextlib import suppress
from ipaddress import ip_address

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import (
    IP,
    UDP,
    IPOption_LSRR,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    IPOption_SSRR,
)
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH, SecurityAssociation
from scapy.packet import Raw

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters, InboundAh, OutboundAh, content_of, spi_of

ADDRESSES = {
    4: [ip_address(text).packed for text in ("192.0.2.1", "198.51.100.2")],
    6: [ip_address(text).packed for text in ("2001:db8::1", "2001:db8::2")],
}
OUTER = {4: IP(src="192.0.2.1", dst="198.51.100.2"), 6: IPv6(src="2001:db8::1", dst="2001:db8::2")}
INNER = {4: IP(src="10.0.0.1", dst="10.0.0.2"), 6: IPv6(src="fd00::1", dst="fd00::2")}
SCAPY_NAMES = {
    "hmac-md5-96": "HMAC-MD5-96",
    "hmac-sha1-96": "HMAC-SHA1-96",
    "hmac-sha2-256-128": "SHA2-256-128",
    "hmac-sha2-384-192": "SHA2-384-192",
    "hmac-sha2-512-256": "SHA2-512-256",
    "aes-cmac-96": "AES-CMAC-96",
}
WITH_ESN = ["hmac-sha2-256-128", "aes-cmac-96", "aes-128-gmac"]
VERSIONS = st.sampled_from([4, 6])
LOWS, HIGHS = st.integers(1, 2**32 - 1), st.sampled_from([0, 1, 0x87654321])


def make(name="hmac-sha2-256-128", *, esn=False, spi=0x1234):
    suite = AH_SUITES[name]
    return AhParameters(spi, suite, bytes(range(suite.key_length)), esn)


def fixture_of(names):
    params = [(name, False) for name in names]
    params += [(name, True) for name in WITH_ESN if name in names]
    return pytest.fixture(scope="module", params=params, ids=lambda p: f"{p[0]}-{p[1]}")


@fixture_of(AH_SUITES)
def sa(request):
    return make(request.param[0], esn=request.param[1])


@fixture_of(SCAPY_NAMES)
def scapys(request):
    """An SA with a suite that Scapy has."""
    return make(request.param[0], esn=request.param[1])


def scapy_sa(parameters, tunnel=None, high=0):
    return SecurityAssociation(
        AH,
        parameters.spi,
        auth_algo=SCAPY_NAMES[parameters.suite.name],
        auth_key=parameters.integrity_key,
        tunnel_header=tunnel,
        esn_en=parameters.esn,
        esn=high,
    )


def whole(parameters, high, low):
    return (high << 32) + low if parameters.esn else low


def sealed(parameters, version=4, payload=b"payload", sequence=1):
    return OutboundAh(parameters, first_sequence=sequence).seal(payload, 17, *ADDRESSES[version])


# Scapy


@settings(deadline=None, max_examples=8)
@given(VERSIONS, VERSIONS, HIGHS, LOWS, st.binary(max_size=200))
def test_scapy_opens_ours_in_tunnel_mode(scapys, outer, inner, high, low, data):
    payload = bytes(INNER[inner] / UDP(sport=1, dport=2) / Raw(data))
    ours = OutboundAh(scapys, first_sequence=whole(scapys, high, low))
    packet = ours.seal(payload, {4: 4, 6: 41}[inner], *ADDRESSES[outer])
    assert len(packet) == ours.sealed_length(len(payload), len(ADDRESSES[outer][0]))
    theirs = scapy_sa(scapys, OUTER[outer], high).decrypt(type(OUTER[outer])(packet))
    assert bytes(theirs) == payload


@settings(deadline=None, max_examples=8)
@given(VERSIONS, VERSIONS, HIGHS, LOWS, st.binary(max_size=200))
def test_ours_opens_scapys_in_tunnel_mode(scapys, outer, inner, high, low, data):
    packet = INNER[inner] / UDP(sport=1, dport=2) / Raw(data)
    payload, sequence = bytes(packet), whole(scapys, high, low)
    theirs = bytes(scapy_sa(scapys, OUTER[outer], high).encrypt(packet, seq_num=low))
    opened = InboundAh(scapys, ceiling=sequence - 1).open(theirs)
    assert opened == (payload, {4: 4, 6: 41}[inner], sequence, True)


@settings(deadline=None, max_examples=5)
@given(VERSIONS, st.binary(max_size=200))
def test_transport_mode_both_ways(scapys, version, data):
    packet = OUTER[version] / UDP(sport=1, dport=2) / Raw(data)
    payload = bytes(packet)[-len(packet[UDP]) :]
    theirs = bytes(scapy_sa(scapys).encrypt(packet.copy()))
    assert InboundAh(scapys).open(theirs) == (payload, 17, 1, True)
    ours = sealed(scapys, version, payload)
    opened = bytes(scapy_sa(scapys).decrypt(type(packet)(ours)))
    assert opened[20 if version == 4 else 40 :] == payload


IPV4_OPTIONS = [IPOption_Router_Alert(), IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"] * 3)]


def test_ipv4_options_of_scapy(scapys, drops):
    """Record Route is mutable as a whole; Router Alert is not."""
    packet = IP(src="192.0.2.1", dst="198.51.100.2", options=IPV4_OPTIONS, ttl=9, tos=4) / UDP()
    theirs = scapy_sa(scapys).encrypt(packet)
    routed = theirs.copy()
    routed.options[2].routers[0] = "203.0.113.9"
    assert InboundAh(scapys).open(bytes(routed)).next_header == 17
    theirs.options[0].alert = "router_shall_examine_packet"
    theirs.options[0].alert = 7
    with drops(DropReason.BAD_ICV):
        InboundAh(scapys).open(bytes(theirs))


def test_ipv6_options_of_scapy(scapys, drops):
    """Data of options that may change on the way is not covered, that of others is."""
    mutable, fixed = HBHOptUnknown(otype=0x3E, optdata=b"abcd"), HBHOptUnknown(otype=0x1E)
    fixed.optdata = b"efgh"
    packet = OUTER[6] / IPv6ExtHdrHopByHop(options=[mutable, fixed])
    theirs = bytes(scapy_sa(scapys).encrypt(packet / IPv6ExtHdrDestOpt() / UDP()))
    assert spi_of(theirs) == scapys.spi
    assert InboundAh(scapys).open(theirs.replace(b"abcd", b"wxyz")).next_header == 17
    with drops(DropReason.BAD_ICV):
        InboundAh(scapys).open(theirs.replace(b"efgh", b"wxyz"))


@pytest.mark.parametrize("kind", [0, 2])
def test_ipv6_source_route_at_each_hop(scapys, drops, kind):
    """Scapy, too, covers the header as the last hop sees it."""
    hops = ["2001:db8::a", "2001:db8::b", "2001:db8::c"][: 1 if kind else 3]
    route = IPv6ExtHdrRouting(type=kind, addresses=hops, segleft=len(hops))
    theirs = scapy_sa(scapys).encrypt(OUTER[6] / route / UDP() / Raw(b"payload"))
    for left in range(len(hops), -1, -1):
        header = theirs[IPv6ExtHdrRouting]
        assert header.segleft == left
        assert InboundAh(scapys).open(bytes(theirs)).next_header == 17
        if left:
            at = len(hops) - left
            theirs.dst, header.addresses[at] = header.addresses[at], theirs.dst
            header.segleft -= 1
    theirs.dst = "2001:db8::d"
    with drops(DropReason.BAD_ICV):
        InboundAh(scapys).open(bytes(theirs))


@pytest.mark.parametrize(("kind", "left", "size"), [(0, 2, 24), (4, 1, 24), (0, 1, 16)])
def test_what_is_no_source_route_is_covered_as_it_is(sa, drops, kind, left, size):
    header = bytes((51, size // 8 - 1, kind, left)) + bytes(size - 4)
    packet = sealed(sa, 6)
    length = (len(packet) - 40 + size).to_bytes(2)
    packet = packet[:4] + length + b"\x2b" + packet[7:40] + header + packet[40:]
    assert spi_of(packet) == sa.spi
    with drops(DropReason.BAD_ICV):
        InboundAh(sa).open(packet)


@pytest.mark.parametrize("option", [IPOption_LSRR, IPOption_SSRR])
def test_ipv4_source_route_at_each_hop(scapys, drops, option):
    """At the last hop the destination is the last address, and none is left in the option."""
    hops = ["192.0.2.7", "192.0.2.8", "198.51.100.2"]
    route = option(routers=["203.0.113.1", *hops[:-1]], pointer=16)
    packet = IP(src="192.0.2.1", dst=hops[-1], options=[route]) / UDP()
    theirs = scapy_sa(scapys).encrypt(packet)
    assert InboundAh(scapys).open(bytes(theirs)).next_header == 17
    for pointer, destination in ((4, "203.0.113.1"), (8, hops[0]), (12, hops[1])):
        before = theirs.copy()
        before.dst, before.options[0].pointer = destination, pointer
        before.options[0].routers = hops
        assert InboundAh(scapys).open(bytes(before)).next_header == 17
    before.options[0].routers = hops[::-1]
    with drops(DropReason.BAD_ICV):
        InboundAh(scapys).open(bytes(before))


# The ICV by hand


@pytest.mark.parametrize(("version", "padding"), [(4, 0), (6, 4)])
@pytest.mark.parametrize("high", [0, 5])
def test_the_covered_octets_by_hand(version, padding, high):
    parameters = make(esn=bool(high))
    packet = sealed(parameters, version, b"12345", (high << 32) + 7)
    source, destination = ADDRESSES[version]
    words = (12 + 16 + padding) // 4 - 2
    ah = bytes((17, words, 0, 0)) + bytes.fromhex("00001234 00000007") + bytes(16 + padding)
    length = len(ah) + 5
    if version == 4:
        covered = b"\x45\0" + (20 + length).to_bytes(2) + bytes(5) + b"\x33\0\0"
    else:
        covered = b"\x60\0\0\0" + length.to_bytes(2) + b"\x33\0"
    covered += source + destination + ah + b"12345"
    if high:
        covered += high.to_bytes(4)
    start = 32 if version == 4 else 52
    expected = hmac.digest(parameters.integrity_key, covered, "sha256")[:16]
    assert packet[start : start + 16] == expected


def test_aes_gmac_as_another_implementation_makes_it(drops):
    """A ping in transport mode, whose ICV is the one that OpenDataPlane's tests have for it."""
    parameters = AhParameters(123, AH_SUITES["aes-128-gmac"], b"\xa5" * 16 + b"\xca\xfe\xba\xbe")
    ping = bytes.fromhex("0800fb37 12340000 babe0123 4567cafe") + bytes(range(0x5C))
    ah = bytes.fromhex("01070000 0000007b 00000001 0100000000000000")
    icv = bytes.fromhex("d60ecc22 31795972 68c958fb 8bb0bbd5")
    packet = IP(src="192.168.111.2", dst="192.168.222.2", id=0, proto=51) / Raw(ah + icv + ping)
    assert InboundAh(parameters).open(bytes(packet)) == (ping, 1, 1, True)
    for at in (20 + 12, 20 + 20, 20 + 36):  # IV, ICV, content
        changed = bytearray(bytes(packet))
        changed[at] ^= 1
        with drops(DropReason.BAD_ICV):
            InboundAh(parameters).open(bytes(changed))


@pytest.mark.parametrize("name", ["aes-128-gmac", "aes-192-gmac", "aes-256-gmac"])
@pytest.mark.parametrize(("version", "length"), [(4, 36), (6, 40)])
@pytest.mark.parametrize("high", [0, 5])
def test_the_covered_octets_of_aes_gmac_by_hand(name, version, length, high):
    parameters = make(name, esn=bool(high))
    packet = sealed(parameters, version, b"12345", (high << 32) + 7)
    key, start = parameters.integrity_key, 20 if version == 4 else 40
    iv, tag = packet[start + 12 : start + 20], packet[start + 20 : start + 36]
    assert packet[start + 1] == length // 4 - 2
    assert packet[start + 36 : -5] == bytes(length - 36)
    header = bytearray(packet[:start])
    for at in (1, 6, 7, 8, 10, 11) if version == 4 else (7,):
        header[at] = 0
    covered = bytes(header) + packet[start : start + 20] + bytes(16) + packet[start + 36 :]
    covered += high.to_bytes(4) if high else b""
    assert tag == AESGCM(key[:-4]).encrypt(key[-4:] + iv, b"", covered)
    following = sealed(parameters, version, b"12345", (high << 32) + 8)
    assert following[start + 12 : start + 20] != iv


@pytest.mark.parametrize("version", [4, 6])
def test_each_octet_is_covered_or_mutable(sa, version):
    """Of octets that hold two fields, a bit of the flags and one of the version are changed."""
    mutable = {4: {1, 6, 8, 10, 11}, 6: {1, 2, 3, 7}}[version]
    bits = {(4, 6): 0x40, (6, 0): 0x10}
    packet = sealed(sa, version)
    for position in range(len(packet)):
        changed = bytearray(packet)
        changed[position] ^= bits.get((version, position), 0x01)
        if position in mutable:
            assert InboundAh(sa).open(bytes(changed)).payload == b"payload"
            continue
        inbound = InboundAh(sa)
        with pytest.raises(Drop):
            inbound.open(bytes(changed))
        assert inbound.replay.highest == 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("which", [0, 1])
def test_a_translated_address_breaks_the_icv(sa, version, which, drops):
    packet = sealed(sa, version)
    old = ADDRESSES[version][which]
    with drops(DropReason.BAD_ICV):
        InboundAh(sa).open(packet.replace(old, old[:-1] + b"\x63"))


def test_the_alignment_that_linux_writes_on_ipv4(drops):
    """28 octets of AH are padded to 32, as for IPv6."""
    parameters = make()
    for padding, good in ((4, True), (8, False)):
        ah = bytes((17, (28 + padding) // 4 - 2, 0, 0)) + bytes.fromhex("0000123400000001")
        rest = bytes(padding) + b"payload"
        head = b"\x45\0" + (20 + 28 + len(rest)).to_bytes(2) + bytes(5) + b"\x33\0\0"
        head += b"".join(ADDRESSES[4])
        icv = hmac.digest(parameters.integrity_key, head + ah + bytes(16) + rest, "sha256")[:16]
        if good:
            assert InboundAh(parameters).open(head + ah + icv + rest).payload == b"payload"
        else:
            with drops(DropReason.MALFORMED_AH):
                InboundAh(parameters).open(head + ah + icv + rest)


# Sequence numbers


def test_replay_and_age(sa, drops):
    outbound, inbound = OutboundAh(sa), InboundAh(sa, window=4)
    packets = [outbound.seal(b"", 59, *ADDRESSES[4]) for _ in range(5)]
    assert outbound.next_sequence == 6
    assert [inbound.open(packets[n]).sequence for n in (4, 1)] == [5, 2]
    with drops(DropReason.REPLAYED):
        inbound.open(packets[4])
    with drops(DropReason.BAD_ICV if sa.esn else DropReason.TOO_OLD):
        inbound.open(packets[0])


def test_esn_goes_on_over_32_bits():
    parameters = make(esn=True)
    outbound = OutboundAh(parameters, first_sequence=2**32 - 2)
    inbound = InboundAh(parameters, ceiling=2**32 - 3)
    for expected in range(2**32 - 2, 2**32 + 3):
        assert inbound.open(outbound.seal(b"", 59, *ADDRESSES[6])).sequence == expected


def test_exhausted_never_wraps(sa, drops):
    last = 2**64 - 1 if sa.esn else 2**32 - 1
    outbound = OutboundAh(sa, first_sequence=last)
    outbound.seal(b"", 59, *ADDRESSES[4])
    for _ in range(2):
        with drops(DropReason.SEQUENCE_EXHAUSTED):
            outbound.seal(b"", 59, *ADDRESSES[4])
    with pytest.raises(ValueError, match="sequence numbers"):
        OutboundAh(sa, first_sequence=0)
    with pytest.raises(ValueError, match="sequence numbers"):
        OutboundAh(sa, last_sequence=last + 1)


def test_zero(sa, drops):
    packet = bytearray(sealed(sa))
    packet[28:32] = bytes(4)
    with drops(DropReason.SEQUENCE_ZERO):
        InboundAh(sa).open(bytes(packet))


# Parameters, and what is dropped


def test_parameters():
    suite = AH_SUITES["hmac-sha1-96"]
    for spi in (0, 2**32):
        with pytest.raises(ValueError, match="SPI"):
            AhParameters(spi, suite, bytes(20))
    with pytest.raises(ValueError, match="integrity key"):
        AhParameters(256, suite, bytes(32))
    for high in (-1, 2**32):
        with pytest.raises(ValueError, match="upper half"):
            AhParameters(256, suite, bytes(20), esn=True, esn_high=high)
    assert "secret" not in repr(AhParameters(256, suite, b"a secret of 20 octet"))


def test_of_another_sa(sa, drops):
    with drops(DropReason.UNKNOWN_SPI):
        InboundAh(make(spi=9)).open(sealed(sa))


def test_fragments_and_other_protocols(sa, drops):
    packet = bytearray(sealed(sa))
    for octets in (b"\x20\0", b"\0\1"):
        packet[6:8] = octets
        with drops(DropReason.MALFORMED_IP):
            InboundAh(sa).open(bytes(packet))
    with drops(DropReason.MALFORMED_AH):
        InboundAh(sa).open(bytes(IP() / UDP()))
    with drops(DropReason.MALFORMED_AH):
        spi_of(bytes(IP(proto=51) / Raw(bytes(11))))


def test_cut_off_and_padded(sa, drops):
    packet = sealed(sa)
    with drops(DropReason.TRUNCATED):
        InboundAh(sa).open(packet[:-1])
    assert InboundAh(sa).open(packet + bytes(9)).payload == b"payload"


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=120), st.sampled_from([b"", b"\x45", b"\x4f", b"\x60"]), st.data())
def test_only_drop_escapes(octets, first, data):
    packet = bytearray(sealed(make(), data.draw(VERSIONS)))
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    ipv6 = b"\x60" + bytes(3) + len(octets).to_bytes(2) + b"\0\x40" + bytes(32) + octets
    for candidate in (first + octets, bytes(packet), ipv6):
        for call in (InboundAh(make()).open, spi_of, content_of):
            with suppress(Drop):
                call(candidate)


def test_another_protocol_in_the_place_of_ah(sa, drops):
    packet = bytearray(sealed(sa))
    packet[9] = 50
    for call in (InboundAh(sa).open, spi_of):
        with drops(DropReason.MALFORMED_AH):
            call(bytes(packet))


def test_longer_than_its_packet(sa, drops):
    packet = bytearray(sealed(sa, payload=b""))
    packet[2:4] = (len(packet) - 1).to_bytes(2)
    for call in (InboundAh(sa).open, content_of):
        with drops(DropReason.MALFORMED_AH):
            call(bytes(packet))


def test_the_content_without_a_key(sa):
    for version in ADDRESSES:
        assert content_of(sealed(sa, version) + b"of the link layer") == (17, b"payload")


@pytest.mark.parametrize("options", ["07000000", "07010000", "01010107", "07050000"])
def test_malformed_ipv4_options(sa, drops, options):
    packet = bytearray(sealed(sa))
    packet[0] = 0x46
    packet[2:4] = (len(packet) + 4).to_bytes(2)
    packet[20:20] = bytes.fromhex(options)
    with drops(DropReason.MALFORMED_IP):
        InboundAh(sa).open(bytes(packet))


def test_numbers_are_skipped_but_not_beyond_the_last_one():
    outbound = OutboundAh(make(), last_sequence=100)
    assert not outbound.skip(100)
    assert outbound.skip(99)
    assert outbound.next_sequence == 100
