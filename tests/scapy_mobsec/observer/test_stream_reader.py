"""One connection: any cutting, order and repetition; mid-stream; what waits for the other end."""

import itertools
from functools import partial

import pytest
from frames import OLD, TO_GATEWAY, TO_MOBILE, Bench
from http_samples import NAMED, UPGRADE, post_answer, posted
from hypothesis import given
from hypothesis import strategies as st
from tcp_streams import SWITCHING, InTls, Stream, elsewhere
from tls_samples import DATA
from tls_samples import Connection as TlsConnection

from contrib_layers.numbers import STREAM_PREFIX
from scapy_mobsec.drivers.memory.packet import ACK
from scapy_mobsec.drops import DropReason
from scapy_mobsec.encap.capsule import wrap_capsule
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.observer import streams
from scapy_mobsec.observer.stream_reader import MAX_FIRST
from scapy_mobsec.observer.streams import MAX_WAIT_NS
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.tcp_direction import MAX_WAIT_FOR_BEGINNING_NS

COUNT = 4


def said(carrier, stream, tls):
    """Return what both ends say, each a list of units; the first one is the beginning."""
    up, down = ([stream.esp(spi) for _ in range(COUNT)] for spi in (TO_GATEWAY, TO_MOBILE))
    wrap = wrap_capsule if carrier == "http" else partial(wrap_frame, Content.ESP)
    up, down = (list(map(wrap, each)) for each in (up, down))
    if carrier == "http-post":
        return [b"", *(posted(each, NAMED) for each in up)], [b"", *map(post_answer, down)]
    if carrier == "http":
        return [UPGRADE, *up], [SWITCHING, *down]
    if carrier == "tcp":
        return [STREAM_PREFIX, *up], [b"", *down]
    (_, hello), (_, answer), (_, certificate), (_, finished) = tls.handshake()
    up = [tls.client.seal(DATA, part) for part in (STREAM_PREFIX, *up)]
    down = [tls.server.seal(DATA, part) for part in down]
    return [hello + finished + up[0], *up[1:]], [answer + certificate, *down]


@st.composite
def captures(draw):
    """A carrier, a port, and segments of both ends: cut, out of order, some twice."""
    carrier = draw(st.sampled_from(["tcp", "tls", "http", "http-post"]))
    tls = TlsConnection()
    make = draw(st.sampled_from([Stream, elsewhere]))
    stream = make(Bench(tls_keys=tls.keys))
    segments = []
    for end, units in enumerate(said(carrier, stream, tls)):
        octets = b"".join(units)
        places = st.integers(0, len(octets))
        cuts = sorted({0, len(octets), *draw(st.lists(places, max_size=15))})
        parts = list(itertools.pairwise(cuts))
        parts += draw(st.lists(st.sampled_from(parts), max_size=4))
        segments += [(end, start, octets[start:stop]) for start, stop in parts]
    return carrier, stream, draw(st.permutations(segments))


def stream_frame(sequence, spi=TO_GATEWAY):
    return wrap_frame(Content.ESP, Bench().seal(spi, sequence=sequence))


def told(stream):
    stream.bench.observer.finish()
    assert not stream.bench.report.moves
    return sorted((seen.spi, seen.sequence) for seen in stream.bench.packets if seen.spi)


ALL = [(spi, number + 1) for spi in sorted((TO_GATEWAY, TO_MOBILE)) for number in range(COUNT)]


@given(captures())
def test_any_cutting_order_and_repetition_gives_the_same_packets(drawn):
    carrier, stream, segments = drawn
    for end, start, octets in segments:
        stream.put(end, ACK, stream.next[end] + start, octets)
    assert told(stream) == ALL
    assert stream.report.drops == {}
    found = {seen.outer.encapsulation for seen in stream.bench.packets}
    assert found == {Encapsulation(carrier)}


@st.composite
def captures_from_the_midst(draw):
    """The same without SYNs, from somewhere in the first packet on; and those behind it."""
    carrier = draw(st.sampled_from(["tcp", "http", "http-post"]))
    stream = Stream(begun=False)
    segments, whole = [], []
    for end, units in enumerate(said(carrier, stream, None)):
        octets, begin = b"".join(units), len(units[0])
        first = draw(st.integers(begin, begin + len(units[1])))
        whole += [((TO_GATEWAY, TO_MOBILE)[end], number) for number in range(2, COUNT + 1)]
        places = st.integers(first, len(octets))
        cuts = sorted({first, len(octets), *draw(st.lists(places, max_size=12))})
        segments += [(end, start, octets[start:stop]) for start, stop in itertools.pairwise(cuts)]
    return carrier, stream, draw(st.permutations(segments)), whole


@given(captures_from_the_midst())
def test_so_it_does_from_the_midst_on(drawn):
    carrier, stream, segments, whole = drawn
    for end, start, octets in segments:
        stream.put(end, ACK, stream.next[end] + start, octets)
    found = told(stream)
    assert set(whole) <= set(found) <= set(ALL)
    assert stream.summary.verified == stream.summary.esp == len(found)
    assert stream.report.drops == {}
    assert {seen.outer.encapsulation for seen in stream.bench.packets} == {Encapsulation(carrier)}


def test_on_other_ports_the_server_may_be_captured_first():
    stream = elsewhere().down(stream_frame(1, TO_MOBILE))
    assert stream.up(STREAM_PREFIX).summary.verified == 1


def test_the_server_waits_for_the_client_only_so_long():
    stream = elsewhere()
    for _ in range(MAX_FIRST // 1000 + 1):
        assert len(stream.bench.observer._streams) in (0, 1)
        stream.down(b"\xfe" * 1000)
    assert len(stream.bench.observer._tcp) == 0


@pytest.mark.parametrize("ends", [Stream().ends, elsewhere().ends])
@pytest.mark.parametrize("said_as", [list, sorted])
def test_tls_of_which_the_server_may_be_captured_first(ends, said_as):
    stream = InTls(ends=ends, said=said_as)
    stream.up(STREAM_PREFIX, stream.frame()).down(stream.frame(TO_MOBILE))
    assert (stream.summary.verified, stream.summary.tls, stream.report.drops) == (2, 0, {})


@pytest.mark.parametrize("syns", [(), (0,), (1,)])
def test_tls_without_its_syns(syns):
    stream = InTls(syns=syns)
    stream.up(STREAM_PREFIX, stream.frame()).down(stream.frame(TO_MOBILE))
    assert (stream.summary.verified, stream.summary.tls, stream.report.drops) == (2, 0, {})


def test_frames_in_the_midst_of_a_body_wait_until_a_head_shows():
    """Else they would look like those of a stream, and what follows like a move."""
    stream = Stream(begun=False)
    octets = posted(stream_frame(2), NAMED)
    stream.up(stream_frame(1), octets[:100])
    stream.bench.time_ns += MAX_WAIT_FOR_BEGINNING_NS
    stream.up(octets[100:])
    assert told(stream) == [(TO_GATEWAY, 1), (TO_GATEWAY, 2)]


def test_frames_without_a_head_wait_only_so_long():
    stream = Stream(begun=False).up(stream_frame(1))
    stream.bench.time_ns += MAX_WAIT_FOR_BEGINNING_NS
    stream.up(stream_frame(2))
    assert stream.bench.packets == []
    stream.bench.time_ns += MAX_WAIT_NS - MAX_WAIT_FOR_BEGINNING_NS
    stream.down(b"")
    assert [seen.outer.encapsulation for seen in stream.bench.packets] == [Encapsulation.TCP] * 2


def test_a_second_connection_whose_first_one_is_not_known_is_counted():
    stream = (
        Stream(begun=False).up(posted(b"", NAMED)).down(post_answer(stream_frame(1, TO_MOBILE)))
    )
    assert stream.report.drops == {DropReason.NO_FIRST_CONNECTION: 1}


def test_a_post_elsewhere_is_told_by_its_body_wherever_it_is_cut():
    octets = posted(stream_frame(1), b"", b"POST /vpn HTTP/1.1")
    for at in range(1, len(octets), 7):
        stream = Stream().up(octets[:at], octets[at:])
        assert stream.summary.verified == 1


def test_what_all_streams_hold_is_bounded(monkeypatch):
    monkeypatch.setattr(streams, "MAX_OCTETS", 100_000)
    bench = Bench()
    for port in range(1000, 1020):
        stream = Stream(bench, source=Endpoint(OLD.address, port)).up(STREAM_PREFIX)
        stream.up(b"\xff\xff" + bytes(20_000))
        assert bench.observer._streams._all_octets <= 100_000
    assert stream.report.drops == {DropReason.STREAM_LIMIT: 16}


def test_an_answer_without_a_length_is_read_to_its_end():
    stream = Stream().up(posted(stream_frame(1)))
    answer = b"HTTP/1.1 200 OK\r\n" + NAMED + b"\r\n"
    stream.down(answer, stream_frame(1, TO_MOBILE), stream_frame(2, TO_MOBILE))
    assert (stream.summary.verified, stream.report.drops) == (3, {})
