"""Streams of a capture, cut, reordered and repeated anyhow: the same packets; mutated: no lies."""

from itertools import pairwise
from random import Random

import pytest
from frames import GATEWAY, OLD, RAW_IP, TO_GATEWAY, TO_MOBILE, Bench
from http_samples import NAMED, UPGRADE, post_answer, posted
from hypothesis import given
from hypothesis import strategies as st
from play import HTTP, HTTP_POST, TCP

from contrib_layers.numbers import STREAM_PREFIX
from scapy_mobsec.drivers.memory.packet import ACK, SYN, Packet, TcpFields
from scapy_mobsec.encap.capsule import wrap_capsule
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.packet.ip import TCP as TCP_PROTOCOL

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: connect-udp\r\n\r\n"
UP, DOWN = 0, 1
SPIS = TO_GATEWAY, TO_MOBILE
UNKNOWN_CAPSULE = b"\x17\x02xx"


class Noting(Observer):
    """Notes what streams carry, by direction."""

    def __init__(self, keys):
        super().__init__(keys)
        self.noted = ([], [])

    def _observe_in_stream(self, one):
        self.noted[one.sender[1] == GATEWAY.port].append(one.carried.message)
        super()._observe_in_stream(one)


def framed(packets):
    return b"".join(wrap_frame(Content.ESP, packet) for packet in packets)


def turns_of(kind, up, down):
    """What both ends say, in turns, to carry these packets."""
    if kind is TCP:
        return [(UP, STREAM_PREFIX + b"\0\2" + framed(up)), (DOWN, framed(down))]
    if kind is HTTP:
        first, second = (UNKNOWN_CAPSULE.join(map(wrap_capsule, each)) for each in (up, down))
        return [(UP, UPGRADE + first), (DOWN, SWITCHING + second)]
    turns = [(UP, posted(framed(up[:1]))), (DOWN, post_answer(framed(down)))]
    return [*turns, (UP, posted(framed(up[1:]), NAMED)), (DOWN, post_answer(b""))]


@st.composite
def segments(draw, kind):
    """The packets that each end sends, and the segments (end, offset, octets) as captured.

    In http-post each message comes behind the one that it answers, as its channel is told by that.
    """
    bench = Bench()
    up, down = ([bench.seal(spi) for _ in range(draw(st.integers(1, 4)))] for spi in SPIS)
    offsets, seen = [0, 0], []
    for end, octets in turns_of(kind, up, down):
        places = st.integers(0, len(octets))
        cuts = sorted({0, len(octets), *draw(st.lists(places, max_size=8))})
        parts = list(pairwise(cuts))
        parts += [tuple(sorted(pair)) for pair in draw(st.lists(st.tuples(places, places)))]
        turn = [(end, offsets[end] + a, octets[a:b]) for a, b in parts]
        seen += draw(st.permutations(turn)) if kind is HTTP_POST else turn
        offsets[end] += len(octets)
    if kind is not HTTP_POST:
        seen = draw(st.permutations(seen))
    return (up, down), seen


def packets_of(segments_, first=(1000, 2000)):
    """The IP packets of a connection: both SYNs, and the segments."""
    for end, offset, octets in [(UP, -1, SYN), (DOWN, -1, SYN), *segments_]:
        ends = (OLD._replace(port=999), GATEWAY)[:: 1 - 2 * end]
        flags, payload = (SYN | (ACK * end), b"") if octets is SYN else (ACK, octets)
        fields = TcpFields(flags, (first[end] + offset) % (1 << 32), 1)
        yield Packet(TCP_PROTOCOL, *ends, payload, fields).octets()


def feed(packets):
    bench = Bench()
    observer = Noting(bench.keys)
    for packet in packets:
        observer.feed(bench.time_ns, packet, RAW_IP)
    observer.finish()
    return observer


@pytest.mark.parametrize("kind", [TCP, HTTP, HTTP_POST], ids=lambda kind: kind.value)
@given(st.data(), st.integers(0, (1 << 32) - 1) | st.integers((1 << 32) - 300, (1 << 32) - 1))
def test_any_cutting_order_and_repetition_gives_the_same_packets(kind, data, first):
    packets, seen = data.draw(segments(kind))
    observer = feed(packets_of(seen, (first, first)))
    report = observer.report()
    assert (observer.noted, report.drops) == (packets, {})
    assert report.summary.verified == sum(map(len, packets))
    assert {sa.outer.encapsulation for sa in report.sas} == {kind}


def mutated(packets, random):
    """The packets with one to four faults."""
    packets = list(packets)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(packets))
        octets = bytearray(packets[at])
        fault = random.randrange(6)
        if fault < 3 and octets:
            octets[random.randrange(len(octets))] = random.randrange(256)
        elif fault == 3:
            del octets[random.randrange(len(octets) + 1) :]
        elif fault == 4:
            packets.insert(random.randrange(len(packets) + 1), bytes(octets))
        elif len(packets) > 1:
            del packets[at]
            at = random.randrange(len(packets))
            octets = packets[at]
        packets[at] = bytes(octets)
    return packets


@pytest.mark.parametrize("kind", [TCP, HTTP, HTTP_POST], ids=lambda kind: kind.value)
def test_of_mutated_streams_only_what_was_sent_is_verified(kind):
    bench = Bench()
    up, down = ([bench.seal(spi) for _ in range(4)] for spi in SPIS)
    offsets, segments_ = [0, 0], []
    for end, octets in turns_of(kind, up, down):
        for at in range(0, len(octets), 100):
            segments_.append((end, offsets[end] + at, octets[at : at + 100]))
        offsets[end] += len(octets)
    packets = list(packets_of(segments_))
    whole = 0
    for seed in range(334):
        observer = feed(mutated(packets, Random(seed)))
        summary = observer.report().summary
        noted = {*observer.noted[UP], *observer.noted[DOWN]}
        genuine = noted.intersection(up + down)
        assert summary.verified - summary.replayed == len(genuine), seed
        whole += len(genuine)
    assert whole > 334 * 4
