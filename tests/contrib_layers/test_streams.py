"""Frames, capsules and bodies as layers: both ways, held against the core's codecs; TCPSession."""

from contextlib import suppress
from itertools import pairwise

import pytest
from http_samples import NAMED, UPGRADE, post_answer, posted
from hypothesis import given
from hypothesis import strategies as st
from layer_samples import near_misses, uint
from scapy.fields import RawVal
from scapy.layers.http import HTTP, HTTPRequest, HTTPResponse
from scapy.layers.inet import IP, TCP
from scapy.layers.ipsec import ESP, NAT_KEEPALIVE, NON_ESP
from scapy.packet import Padding, Raw, fuzz
from scapy.sessions import TCPSession
from streams import MESSAGES

from contrib_layers.numbers import MAX_CAPSULE, STREAM_PREFIX
from contrib_layers.shim import Capsule, Capsules, PostBody, StreamFrame, StreamFrames, TCPStream
from contrib_layers.streams import Varint, varint_octets
from scapy_mobsec.drops import Drop
from scapy_mobsec.encap.capsule import (
    measure_capsule,
    read_varint,
    unwrap_capsule,
    varint_end,
    wrap_capsule,
    write_varint,
)
from scapy_mobsec.encap.carrier import Cutter
from scapy_mobsec.encap.tcp import measure_frame, wrap_frame
from scapy_mobsec.encap.udp import Content, wrap

SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n"
)
LAYERS = {Content.ESP: ESP, Content.IKE: NON_ESP, Content.KEEPALIVE: NAT_KEEPALIVE}

esp = st.binary(min_size=8, max_size=60).filter(lambda octets: any(octets[:4]))
payloads = esp | st.just(b"\xff") | st.binary(max_size=7).filter(lambda octets: any(octets[:4]))
frames = payloads.map(lambda payload: (len(payload) + 2).to_bytes(2) + payload)
capsules = st.builds(
    lambda kind, value: write_varint(kind) + write_varint(len(value)) + value,
    st.integers(1, 1 << 40),
    st.binary(max_size=20),
) | payloads.map(wrap_capsule)
streams_of_frames = st.builds(
    lambda prefix, parts: prefix + b"".join(parts),
    st.sampled_from([b"", STREAM_PREFIX]),
    st.lists(frames, max_size=4),
)
streams_of_capsules = st.lists(capsules, max_size=4).map(b"".join)


def cut_by_the_core(octets, measure):
    """The whole units up to the first fault, as the core tells them."""
    units = []
    with suppress(Drop):
        units.extend(Cutter(measure).cut(octets))
    return units


@pytest.mark.parametrize(("content", "message"), MESSAGES[:3])
def test_a_frame_of_the_core_is_one_here(content, message):
    octets = wrap_frame(content, message)
    frame = StreamFrame(octets)
    assert type(frame.payload) is LAYERS[content]
    assert (frame.length, bytes(frame)) == (len(octets), octets)
    assert bytes(StreamFrame() / Raw(wrap(content, message))) == octets
    capsule = Capsule(wrap_capsule(wrap(content, message)))
    assert type(capsule.payload) is LAYERS[content]
    assert bytes(Capsule() / Raw(wrap(content, message))) == bytes(capsule)


@given(near_misses(streams_of_frames))
def test_frames_are_those_of_the_core(octets):
    stream = StreamFrames(octets)
    assert bytes(stream) == octets
    expected = cut_by_the_core(octets.removeprefix(STREAM_PREFIX), measure_frame)
    if not isinstance(stream, StreamFrames):
        assert not expected
        return
    assert [bytes(frame) for frame in stream.frames] == expected
    for frame in stream.frames:
        del frame.length
    assert bytes(stream) == octets


@given(near_misses(streams_of_capsules))
def test_capsules_are_those_of_the_core(octets):
    stream = Capsules(octets)
    assert bytes(stream) == octets
    expected = []
    with suppress(Drop):  # a capsule of UDP that cannot be read
        for unit in cut_by_the_core(octets, measure_capsule):
            expected.append((unit, unwrap_capsule(unit)))
    if not isinstance(stream, Capsules):
        assert not expected
        return
    carried = [(bytes(capsule), udp_payload(capsule)) for capsule in stream.capsules]
    assert carried == expected


def udp_payload(capsule):
    return None if capsule.type or capsule.context_id else bytes(capsule.payload)


@given(st.lists(payloads), st.booleans())
def test_what_is_built_the_core_reads(messages, prefixed):
    prefix = STREAM_PREFIX if prefixed else b""
    stream = StreamFrames(prefix=prefix, frames=[StreamFrame() / Raw(each) for each in messages])
    cut = Cutter(measure_frame).cut(bytes(stream).removeprefix(STREAM_PREFIX))
    assert [frame[2:] for frame in cut] == messages
    stream = Capsules(capsules=[Capsule() / Raw(each) for each in messages])
    assert [unwrap_capsule(each) for each in Cutter(measure_capsule).cut(bytes(stream))] == messages


@given(uint(62), st.sampled_from([1, 2, 4, 8]))
def test_integers_of_quic(value, size):
    octets = varint_octets(value)
    assert octets == write_varint(value)
    longer = Varint(value)
    longer.size = size
    coded = varint_octets(longer)
    assert len(coded) == max(size, len(octets))
    assert Varint.read(coded) == value == read_varint(coded, 0, varint_end(coded, 0))
    assert varint_octets(Varint.read(coded)) == coded
    assert Varint.read(coded[:-1]) is None


def test_an_integer_that_is_too_large():
    with pytest.raises(ValueError, match="62 bits"):
        bytes(Capsule(type=1 << 62))


def test_wrong_values_are_built_as_set():
    assert bytes(StreamFrame(length=1) / Raw(b"abc")) == b"\0\1abc"
    assert bytes(StreamFrame(length=RawVal(b"x")) / Raw(b"abc")) == b"xabc"
    assert bytes(Capsule(type=5, length=70) / Raw(b"abc")) == b"\5\x40\x46abc"
    assert bytes(Capsule(context_id=2) / Raw(b"abc")) == b"\0\4\2abc"
    with pytest.raises(ValueError, match="set length"):
        bytes(StreamFrame() / Raw(bytes(65534)))
    for layer in (StreamFrames, StreamFrame, Capsules, Capsule, PostBody):
        bytes(fuzz(layer()))


@pytest.mark.parametrize(
    ("layer", "octets"),
    [
        (StreamFrame, b"\0\1"),
        (StreamFrame, b"\0"),
        (StreamFrame, b"\0\4x"),
        (Capsule, b"\0\0"),
        (Capsule, b"\0\1\x40"),
        (Capsule, b"\5"),
        (Capsule, b"\5\2x"),
        (Capsule, b"\5" + write_varint(MAX_CAPSULE + 1) + bytes(MAX_CAPSULE + 1)),
        (StreamFrames, b"\0\1"),
        (Capsules, b"\0\0"),
        (TCPStream, b"\0\1"),
    ],
)
def test_what_is_none_is_raw(layer, octets):
    assert type(layer(octets)) is Raw


@pytest.mark.parametrize(
    ("octets", "layer"),
    [
        (STREAM_PREFIX, StreamFrames),
        (wrap_frame(*MESSAGES[0]) + wrap_frame(*MESSAGES[0])[:9], StreamFrames),
        (wrap_capsule(MESSAGES[0][1]) + wrap_capsule(MESSAGES[0][1])[:9], Capsules),
        (UPGRADE, HTTP),
        (wrap_frame(*MESSAGES[0]) + b"\0\1", StreamFrames),
    ],
)
def test_a_segment_on_the_shared_port_is_told_by_its_beginning(octets, layer):
    packet = IP(bytes(IP() / TCP(sport=9, dport=4500) / Raw(octets)))
    assert type(packet[TCP].payload) is layer
    assert bytes(packet[TCP].payload) == octets


def a_session(*parts, port=4500, end=False):
    """What TCPSession gives of (from the client, octets), in order."""
    session, sequence, given = TCPSession(), [1000, 5000], []
    for number, (up, octets) in enumerate(parts):
        ports = {"sport": 999, "dport": port} if up else {"sport": port, "dport": 999}
        flags = "FA" if end and number == len(parts) - 1 else "A"
        segment = TCP(**ports, seq=sequence[up], flags=flags) / Raw(octets)
        ends = {"src": "10.0.0.2", "dst": "10.0.0.3"}
        packet = IP(**ends) if up else IP(src=ends["dst"], dst=ends["src"])
        octets_seen = bytes(packet / segment)
        got = session.process(IP(octets_seen, stop_dissection_after=TCP))
        given += [got] if got is not None else []
        sequence[up] += len(octets)
    return given


def layers(packets, layer):
    found = []
    for packet in packets:
        number = 1
        while each := packet.getlayer(layer, number):
            found.append(each)
            number += 1
    return found


def parts_of(octets, cuts, up=True):
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    return [(up, octets[a:b]) for a, b in pairwise(places)]


cuts = st.lists(st.integers(0, 1 << 16), max_size=8)


@given(st.lists(esp, min_size=1, max_size=5), cuts)
def test_a_session_gives_the_same_frames_however_they_are_cut(messages, cuts):
    octets = STREAM_PREFIX + b"".join(wrap_frame(Content.ESP, each) for each in messages)
    given_ = a_session(*parts_of(octets, cuts))
    assert [bytes(each) for each in layers(given_, ESP)] == messages
    assert layers(given_, StreamFrames)[0].prefix == STREAM_PREFIX


@given(st.lists(esp, min_size=1, max_size=5), cuts)
def test_a_session_gives_the_same_capsules_after_an_upgrade(messages, cuts):
    octets = b"".join(map(wrap_capsule, messages))
    up = [(True, UPGRADE), *parts_of(SWITCHING + octets, cuts, up=False)]
    given_ = a_session(*up, *parts_of(octets, cuts))
    assert [bytes(each) for each in layers(given_, ESP)] == messages * 2
    assert len(layers(given_, HTTPRequest)) == len(layers(given_, HTTPResponse)) == 1


TYPE = b"Content-Type: application/octet-stream\r\n"


@given(st.lists(esp, min_size=1, max_size=3), cuts)
def test_a_session_gives_the_same_bodies_of_posts(messages, cuts):
    body = b"".join(wrap_frame(Content.ESP, each) for each in messages)
    ask = parts_of(posted(body, TYPE), cuts)
    answer = parts_of(post_answer(body, TYPE + NAMED.lower()), cuts, up=False)
    given_ = a_session(*ask, *answer)
    bodies = layers(given_, PostBody)
    assert [bytes(each) for each in bodies] == [body, body]
    assert [bytes(each) for each in layers(given_, ESP)] == messages * 2


def test_on_the_ports_of_http_scapy_gives_bodies_whose_heads_come_whole():
    body = wrap_frame(*MESSAGES[0])
    octets = posted(body, TYPE)
    (one,) = layers(a_session((True, octets[:-9]), (True, octets[-9:]), port=80), PostBody)
    assert bytes(one) == body


@pytest.mark.parametrize(
    ("octets", "fields"), [(b"\0\4ab", b""), (b"\0\4abc", NAMED), (b"\0\1ab", NAMED)]
)
def test_other_bodies_stay_as_they_are(octets, fields):
    request = posted(octets, TYPE + fields, b"POST /else HTTP/1.1")
    assert type(HTTP(request).lastlayer()) is Raw


def test_what_is_cut_at_the_end_is_not_lost():
    octets = wrap_frame(*MESSAGES[0])
    (_first, last) = a_session((True, octets), (True, octets[:9]), end=True)
    assert bytes(last[TCP].payload) == octets[:9]
    (packet,) = a_session((True, octets + b"\0\1abc"))
    assert bytes(packet[TCP].payload) == octets + b"\0\1abc"
    assert Padding not in packet


def test_a_head_without_end_is_let_go():
    (packet,) = a_session((True, b"GET /" + bytes(17_000)))
    assert len(packet[TCP].payload) == 17_005


def test_summaries():
    octets = STREAM_PREFIX + wrap_frame(*MESSAGES[0])
    assert StreamFrames(octets).summary() == "RFC 9329 stream (1)"
    assert PostBody(octets[6:]).frames[0][ESP].spi == 0x0A0B0C0D
