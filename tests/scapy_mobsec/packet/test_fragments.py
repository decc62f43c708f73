"""Reassembly of fragments: any cutting and order, overlaps, bounds, time."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, fragment6
from scapy.packet import Raw

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.fragments import Reassembler
from scapy_mobsec.packet.ip import IpPacket, parse_ip

V4 = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2])
V6 = bytes(15) + b"\1", bytes(15) + b"\2"


def part(start, end, *, total=64, identification=7, addresses=V4, fill=b"x"):
    """Return octets `start` to `end` of a payload of `total` octets."""
    payload = fill * (end - start)
    return IpPacket(*addresses, 17, payload, 64, identification, start, end < total)


def refused(reassembler, fragment, now=0.0):
    with pytest.raises(Drop) as drop:
        reassembler.add(fragment, now)
    return drop.value.reason


@st.composite
def cuttings(draw):
    """Draw a whole packet and its fragments in any order, some of them twice."""
    addresses = draw(st.sampled_from([V4, V6]))
    payload = draw(st.binary(min_size=9, max_size=400))
    places = range(8, len(payload), 8)
    cuts = sorted(draw(st.sets(st.sampled_from(places), min_size=1)))
    edges = [0, *cuts, len(payload)]
    whole = IpPacket(*addresses, 17, payload, 64, draw(st.integers(0, 65535)))
    parts = [
        whole._replace(
            payload=payload[start:end],
            fragment_offset=start,
            more_fragments=end < len(payload),
        )
        for start, end in itertools.pairwise(edges)
    ]
    return whole, draw(st.permutations(parts))


@given(cuttings(), st.data())
def test_any_cutting_and_order_gives_the_same_packet(cutting, data):
    whole, parts = cutting
    reassembler = Reassembler()
    for cut in parts[:-1]:
        assert reassembler.add(cut, 0.0) is None
        again = data.draw(st.sampled_from(parts[:-1]))
        if again in parts[: parts.index(cut) + 1]:
            assert reassembler.add(again, 0.0) is None
    assert reassembler.add(parts[-1], 0.0) == whole
    assert len(reassembler) == 0


def test_ipv4_fragments_that_scapy_cut():
    packet = IP(src="192.0.2.1", dst="198.51.100.2", id=7) / UDP() / Raw(bytes(range(200)))
    reassembler = Reassembler()
    results = [reassembler.add(parse_ip(bytes(cut)), 0.0) for cut in fragment(packet, 64)]
    assert results[:-1] == [None] * (len(results) - 1)
    assert results[-1] == parse_ip(bytes(packet))


def test_ipv6_extension_headers_inside_the_fragments_are_walked():
    packet = (
        IPv6(src="::1", dst="::2")
        / IPv6ExtHdrFragment()
        / IPv6ExtHdrDestOpt()
        / UDP(sport=1, dport=2)
        / Raw(bytes(3000))
    )
    reassembler = Reassembler()
    *waiting, whole = [
        reassembler.add(parse_ip(bytes(cut)), 0.0) for cut in fragment6(packet, 1280)
    ]
    assert waiting == [None, None]
    assert (whole.protocol, len(whole.payload), whole.payload[:4]) == (17, 3008, b"\0\1\0\2")


def test_nested_fragment_header_is_malformed():
    inner = bytes([17, 0, 0, 1]) + bytes(12)
    first = IpPacket(*V6, 44, inner, more_fragments=True)
    reassembler = Reassembler()
    reassembler.add(first, 0.0)
    last = IpPacket(*V6, 44, b"x", fragment_offset=16)
    assert refused(reassembler, last) is DropReason.MALFORMED_IP
    assert len(reassembler) == 0


def test_what_is_no_fragment_passes_through():
    whole = IpPacket(*V4, 17, b"abc")
    assert Reassembler().add(whole, 0.0) is whole


@pytest.mark.parametrize(
    "other",
    [
        part(0, 24, identification=8),
        part(0, 24, addresses=(V4[1], V4[0])),
        part(0, 24, addresses=(V4[0], V4[0])),
        part(0, 24)._replace(protocol=50),
    ],
)
def test_datagrams_are_kept_apart(other):
    reassembler = Reassembler()
    reassembler.add(other, 0.0)
    assert reassembler.add(part(24, 64), 0.0) is None
    assert reassembler.add(part(0, 24), 0.0).payload == b"x" * 64


@pytest.mark.parametrize(
    "overlapping",
    [
        part(16, 32),
        part(8, 24),
        part(24, 48),
        part(24, 32),
        part(16, 40, fill=b"y"),
        part(0, 56),
        part(40, 56, total=56),
        part(40, 80, total=80),
        part(64, 72, total=80),
        part(64, 72, total=72),
    ],
)
def test_overlap_refuses_the_datagram_and_its_other_fragments(overlapping):
    reassembler = Reassembler()
    reassembler.add(part(16, 40), 0.0)
    reassembler.add(part(56, 64), 0.0)
    assert refused(reassembler, overlapping) is DropReason.FRAGMENT_OVERLAP
    for rest in (part(0, 16), part(16, 40), part(40, 56), part(56, 64)):
        assert refused(reassembler, rest) is DropReason.FRAGMENT_OVERLAP
    assert reassembler.add(part(0, 64, total=65), 31.0) is None


def test_last_fragment_before_what_is_already_there():
    reassembler = Reassembler()
    reassembler.add(part(40, 56), 0.0)
    assert refused(reassembler, part(16, 24, total=24)) is DropReason.FRAGMENT_OVERLAP


@pytest.mark.parametrize(
    "bad",
    [
        part(0, 12),
        part(8, 8),
        part(64, 64),
        part(65528, 65536, total=65536),
        part(65512, 65516, total=65516),
        part(65528, 65536, total=65536, addresses=V6),
    ],
)
def test_malformed_fragments(bad):
    assert refused(Reassembler(), bad) is DropReason.MALFORMED_IP


@pytest.mark.parametrize(("addresses", "longest"), [(V4, 65515), (V6, 65535)])
def test_longest_packet(addresses, longest):
    reassembler = Reassembler()
    cuts = [*range(0, longest, 4096), longest]
    for start, end in itertools.pairwise(cuts):
        whole = reassembler.add(part(start, end, total=longest, addresses=addresses), 0.0)
    assert len(whole.payload) == longest


def test_thirty_seconds_to_complete():
    reassembler = Reassembler()
    reassembler.add(part(0, 32), 100.0)
    assert reassembler.add(part(32, 64), 129.9) is not None
    reassembler.add(part(0, 32, identification=8), 200.0)
    assert reassembler.add(part(32, 64, identification=8), 230.0) is None
    assert reassembler.drops == {DropReason.FRAGMENT_MISSING: 1}


def test_what_waits_at_the_end_counts():
    reassembler = Reassembler()
    reassembler.add(part(0, 32), 0.0)
    reassembler.finish()
    assert (len(reassembler), reassembler.drops) == (0, {DropReason.FRAGMENT_MISSING: 1})


def test_a_repeated_fragment_of_a_whole_datagram_is_none_that_is_missing():
    reassembler = Reassembler()
    assert reassembler.add(part(0, 32), 0.0) is None
    assert reassembler.add(part(32, 64), 0.0) is not None
    assert reassembler.add(part(0, 32), 0.0) is None
    reassembler.finish()
    assert not reassembler.drops


def test_a_refused_datagram_counts_once():
    reassembler = Reassembler()
    reassembler.add(part(0, 32), 0.0)
    assert refused(reassembler, part(8, 40)) is DropReason.FRAGMENT_OVERLAP
    reassembler.finish()
    assert not reassembler.drops


def test_datagrams_are_bounded_and_the_oldest_goes():
    reassembler = Reassembler(max_datagrams=3)
    for number in range(4):
        reassembler.add(part(0, 32, identification=number), 0.0)
    assert (len(reassembler), reassembler.drops) == (3, {DropReason.FRAGMENT_LIMIT: 1})
    assert reassembler.add(part(32, 64, identification=3), 0.0) is not None
    assert reassembler.add(part(32, 64, identification=0), 0.0) is None


def test_octets_are_bounded_and_the_oldest_goes():
    reassembler = Reassembler(max_octets=10_000)
    for number in range(8):
        reassembler.add(part(0, 1600, total=3000, identification=number), 0.0)
    assert (len(reassembler), reassembler.drops) == (5, {DropReason.FRAGMENT_LIMIT: 3})


def test_a_datagram_that_takes_all_room_is_refused():
    reassembler = Reassembler(max_octets=10_000)
    for start in range(0, 8000, 1600):
        reassembler.add(part(start, start + 1600, total=20_000), 0.0)
    assert refused(reassembler, part(8000, 9600, total=20_000)) is DropReason.FRAGMENT_LIMIT
    assert (len(reassembler), reassembler.drops) == (0, {})


def test_tiny_fragments_are_bounded():
    reassembler = Reassembler(max_octets=100_000)
    count = 0
    while not reassembler.drops:
        reassembler.add(part(0, 8, identification=count), 0.0)
        count += 1
    assert count < 1000


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6), st.booleans()), max_size=30))
def test_only_drop_escapes_and_the_account_stays_right(pieces):
    reassembler = Reassembler(max_datagrams=2, max_octets=2000)
    for start, length, last in pieces:
        fragment = IpPacket(*V4, 17, bytes(8 * length), 64, start % 3, 8 * start, not last)
        with contextlib.suppress(Drop):
            reassembler.add(fragment, 0.0)
    assert len(reassembler) <= 2
    reassembler.add(part(0, 8, identification=99), 1000.0)
    assert reassembler.add(part(8, 64, identification=99), 1000.0) is not None
    assert reassembler._octets == 0
