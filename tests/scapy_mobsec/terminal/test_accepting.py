"""Streams that Y accepts: when they are closed, how many there may be, whose they are."""

from dataclasses import replace

import pytest
from http_samples import UPGRADE, heads
from proving_steps import data_from, later, told
from terminals import (
    CONFIRM,
    ELSEWHERE,
    HOME,
    INNER_HOST,
    NEW,
    OTHER,
    OTHER_LINK,
    PONG,
    SIGNALLING,
    SUPPORTED,
    TO_MOBILE,
    TO_OTHER,
    TRANSLATED,
    Pair,
    a_request,
    drops,
    events,
    path_at_other,
    with_attempt,
)

from contrib_layers.numbers import STREAM_PREFIX, AttemptFlag, EncapsulationCode, ReplyCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.encap.http_post import ANSWER_WITHIN
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import (
    EspHeader,
    HttpHeader,
    Ipv4Header,
    TcpHeader,
    TlsHeader,
)
from scapy_mobsec.registration.messages import Attempt, build_request, parse_reply
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.accepting import (
    CLOSED_AFTER,
    FIRST_ESP_OCTETS,
    MAX_LINK_STREAMS,
    MAX_UNPROVEN_PER_SOURCE,
)
from scapy_mobsec.terminal.config import LinkParameters, OtherConfiguration
from scapy_mobsec.terminal.driving import Close, Closed, Established
from scapy_mobsec.terminal.events import PathValidated, Suspended
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.paths import PathState
from scapy_mobsec.terminal.proving import Timer

PROBE = AttemptFlag.PROBE
PATH = path_at_other(TRANSLATED)
BIG = {"pad": 1000}
STREAM = Path(Encapsulation.TCP, Endpoint(OTHER.address, 4500), Endpoint(NEW.address, 50000))
NEIGHBOUR = bytes((10, 64, 0, 77))
"""Home address of another link."""

HEADERS = (Ipv4Header(NEW.address, OTHER.address), TcpHeader(50000, 4500))


def accept(pair, path=STREAM):
    pair.other.receive(Established(None, HEADERS), path, pair.now)
    return pair.other.transmits(pair.now)


def frame(pair, message):
    return wrap_frame(Content.ESP, message)


def give_frame(pair, path=STREAM, prefix=b"", **changes):
    """Give Y a request on a stream; return what it sends then."""
    request = {
        "sent": describe(Encapsulation.TCP, path.remote, path.local, TO_OTHER.spi),
        **changes,
    }
    message = build_request(a_request(pair.now, **request))
    for octet in prefix + frame(pair, pair.as_mobile.seal_message(message)):
        pair.other.receive(bytes((octet,)), path, pair.now)
    return pair.other.transmits(pair.now)


def stream_request(pair, number=5, path=STREAM, **changes):
    return give_frame(pair, path, STREAM_PREFIX, **{**with_attempt(number), **changes})


def stream_confirm(pair, answer, number=5):
    pair.now += 0.1
    response = parse_reply(_opened(pair, answer)).challenge
    return give_frame(pair, answer.path, response=response, **with_attempt(number, CONFIRM))


def stream_from(port, source=NEW):
    return Path(Encapsulation.TCP, STREAM.local, Endpoint(source.address, port))


def limited(max_streams):
    """A pair whose Y has so many streams at most."""
    pair = Pair(supported=SUPPORTED)
    settings = OtherConfiguration((OTHER_LINK,), SUPPORTED, max_streams=max_streams)
    pair.other = OtherTerminal(settings, random_bytes=pair.random.randbytes)
    return pair


@pytest.mark.parametrize(
    ("supported", "stream", "taken"),
    [
        ((Encapsulation.NATIVE, Encapsulation.UDP), Encapsulation.TCP, False),
        ((Encapsulation.NATIVE, Encapsulation.UDP), Encapsulation.TLS, False),
        ((Encapsulation.TCP,), Encapsulation.TLS, False),
        ((Encapsulation.TLS,), Encapsulation.TCP, True),  # a reverse proxy may have ended it
        ((Encapsulation.HTTP,), Encapsulation.TCP, True),
        ((Encapsulation.HTTP_POST,), Encapsulation.TLS, True),
    ],
)
def test_a_stream_that_carries_nothing_supported_is_not_taken(supported, stream, taken):
    codes = {each.code for each in supported}
    pair = Pair(supported=tuple(one for one in SUPPORTED if one.code in codes))
    path = STREAM._replace(encapsulation=stream)
    assert accept(pair, path) == ([] if taken else [Close(path)])
    assert drops(pair.other) == ([] if taken else [DropReason.UNKNOWN_CARRIER])


def test_what_a_stream_turns_out_to_carry_is_refused_on_it():
    pair = Pair(supported=tuple(one for one in SUPPORTED if one.code == EncapsulationCode.HTTP))
    accept(pair)
    (answer,) = stream_request(pair)
    assert parse_reply(_opened(pair, answer)).code == ReplyCode.ADMINISTRATIVELY_PROHIBITED
    assert pair.other.path(HOME) is None


def test_a_registration_on_a_stream_lifts_the_limit_but_not_the_challenge():
    pair = Pair(supported=SUPPORTED)
    assert accept(pair) == []
    (answer,) = stream_request(pair)
    assert answer.path == STREAM
    reply = parse_reply(_opened(pair, answer))
    assert reply.challenge is not None
    assert reply.observed == (*HEADERS, EspHeader(TO_OTHER.spi))
    assert reply.translations == ()
    for _ in range(100):
        pair.other.send(PONG, pair.now)
    assert len(pair.other.transmits(pair.now)) == 100
    pair.other.receive(Closed("reset"), STREAM, pair.now)
    assert pair.other.state(HOME) is OtherState.SUSPENDED
    assert later(pair, 100) == []


def _opened(pair, transmit):
    return pair.read_reply(transmit._replace(data=transmit.data[2:]))


def test_a_stream_that_shows_nothing_is_closed():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    assert later(pair, 4.9) == []
    assert later(pair, 0.2) == [Close(STREAM)]
    accept(pair)
    junk = STREAM_PREFIX + (FIRST_ESP_OCTETS // 100 + 1) * (b"\0\x64" + b"x" * 98)
    pair.other.receive(junk, STREAM, pair.now)
    assert Close(STREAM) in pair.other.transmits(pair.now)
    accept(pair)
    pair.other.receive(b"\0" * 20, STREAM, pair.now)
    assert pair.other.transmits(pair.now)[-1] == Close(STREAM)


def test_a_path_over_http_is_called_so_and_takes_nothing_before_the_101():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    http = STREAM._replace(encapsulation=Encapsulation.HTTP)
    target = f"/.well-known/masque/udp/{OTHER}/".replace(":", "/")
    head = UPGRADE.replace(b"/.well-known/masque/udp/y/4500/", target.encode())
    for octet in head[:-1]:
        pair.other.receive(bytes((octet,)), STREAM, pair.now)
    link = pair.other._homes[HOME]
    before, link.current = link.outbound.next_sequence, PathState(http, validated=True)
    pair.other.send(PONG, pair.now)
    assert pair.other.transmits(pair.now) == []
    assert drops(pair.other) == [DropReason.UNKNOWN_STREAM]
    assert link.outbound.next_sequence == before
    pair.other.receive(head[-1:], STREAM, pair.now)
    pair.other.send(PONG, pair.now)
    answer, data = pair.other.transmits(pair.now)
    assert answer.data.startswith(b"HTTP/1.1 101 ")
    assert (data.data[:1], data.path) == (b"\0", STREAM)
    pair.other.receive(Closed("reset"), STREAM, pair.now)
    assert pair.other._streams == {}


def post(pair, port, body=b"", channel="", source=NEW):
    """What Y answers to a POST on a connection that may be new."""
    path = Path(Encapsulation.TCP, STREAM.local, Endpoint(source.address, port))
    if path.ends not in pair.other._streams:
        accept(pair, path)
    fields = f"Channel: {channel}\r\n" if channel else ""
    head = f"POST /mobsec HTTP/1.1\r\nHost: y\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    pair.other.receive(head.encode() + body, path, pair.now)
    return pair.other.transmits(pair.now)


def open_channel(pair, opened=None, number=5, **changes):
    """X registers with a POST from port 1, or another; return the id of its channel."""
    path = (opened or stream_from(1))._replace(encapsulation=Encapsulation.HTTP_POST)
    post_header = HttpHeader("POST", "y", "/mobsec")
    sent = describe(path.encapsulation, path.remote, path.local, TO_OTHER.spi, (post_header,))
    message = build_request(a_request(pair.now, sent=sent, **with_attempt(number), **changes))
    (answer,) = post(pair, path.remote.port, frame(pair, pair.as_mobile.seal_message(message)))
    assert pair.other.path(HOME) == (None if "lifetime" in changes else path)
    head, _, body = answer.data.partition(b"\r\n\r\n")
    assert parse_reply(pair.read_reply(answer._replace(data=body[2:]))).code == 0
    return heads(head)["channel"]


def test_a_channel_of_two_connections():
    pair = Pair(supported=SUPPORTED)
    channel = open_channel(pair)
    pair.other.send(PONG, pair.now)
    assert pair.other.transmits(pair.now) == []  # held
    (data,) = post(pair, 2, channel=channel)
    assert b"Content-Length: 0" not in data.data
    assert post(pair, 2, channel=channel) == []
    pair.other.send(PONG, pair.now)
    (data,) = pair.other.transmits(pair.now)
    assert data.path.remote.port == 2
    pair.other._timers.remove((Timer.CHALLENGE, HOME))
    assert post(pair, 2, channel=channel) == []
    assert later(pair, ANSWER_WITHIN - 1) == []
    (empty,) = later(pair, 1)
    assert (empty.path.remote.port, b"Content-Length: 0" in empty.data) == (2, True)
    pair.other.receive(Closed("reset"), empty.path, pair.now)
    assert [type(each) for each in pair.other.transmits(pair.now)] == [Close]
    assert pair.other._streams == pair.other._channels == pair.other._unproven == {}
    assert pair.other.state(HOME) is OtherState.SUSPENDED


def test_who_may_not_have_a_channel():
    pair = Pair(supported=SUPPORTED)
    channel = open_channel(pair)
    assert post(pair, 3, channel="ab" * 16)[0].data.startswith(b"HTTP/1.1 404 ")
    assert post(pair, 3, channel=channel, source=ELSEWHERE)[0].data.startswith(b"HTTP/1.1 404 ")
    post(pair, 2, channel=channel)
    assert post(pair, 3, channel=channel)[0].data.startswith(b"HTTP/1.1 404 ")
    assert len(pair.other._streams) == 2
    (answer,) = post(pair, 9)
    named = heads(answer.data)["channel"]
    assert post(pair, 10, channel=named)[0].data.startswith(b"HTTP/1.1 404 ")  # not authentic
    assert drops(pair.other) == [DropReason.HTTP_UNWANTED] * 4


def test_a_second_connection_that_is_refused_takes_nothing_from_the_first():
    pair = Pair(supported=SUPPORTED)
    channel = open_channel(pair)
    pair.other.send(PONG, pair.now)
    answer, closed = post(pair, 2, b"?", channel=channel)
    assert answer.data.startswith(b"HTTP/1.1 400 ")
    assert closed == Close(stream_from(2))
    (data,) = post(pair, 3, channel=channel)
    assert data.data.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: 0" not in data.data
    assert drops(pair.other) == [DropReason.HTTP_UNWANTED]
    assert pair.other._unproven == {}


@pytest.mark.parametrize("closed", [1, 2])
def test_what_a_channel_holds_when_it_ends_is_dropped_by_name(closed):
    pair = Pair(supported=SUPPORTED)
    channel = open_channel(pair)
    post(pair, 2, channel=channel)
    for _ in range(4):  # the first one is the answer to the request that waits
        pair.other.send(PONG, pair.now)
    assert len(pair.other.transmits(pair.now)) == 1
    assert drops(pair.other) == []
    pair.other.receive(Closed("reset"), stream_from(closed), pair.now)
    assert drops(pair.other) == [DropReason.STREAM_CLOSED] * 3


def test_a_stream_that_opens_again_is_another_one():
    """Its ends are those of one whose end was not told: nothing of that is left."""
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    stream_request(pair)
    assert pair.other.path(HOME) == STREAM
    events(pair.other)
    assert accept(pair) == []
    assert events(pair.other) == [Suspended(HOME, STREAM)]
    assert pair.other.state(HOME) is OtherState.SUSPENDED
    assert pair.other._unproven == {NEW.address: 1}
    assert later(pair, 6) == [Close(STREAM)]
    assert pair.other._unproven == pair.other._stream_links == {}


def test_the_other_connection_of_a_channel_closes_where_one_opens_again():
    pair = Pair(supported=SUPPORTED)
    channel = open_channel(pair)
    post(pair, 2, channel=channel)
    assert accept(pair, stream_from(1)) == [Close(stream_from(2))]
    assert pair.other._channels == {}


def test_streams_that_show_nothing_are_limited_by_source():
    pair = Pair(supported=SUPPORTED)
    paths = [stream_from(port) for port in range(1, MAX_UNPROVEN_PER_SOURCE + 2)]
    for path in paths:
        sent = accept(pair, path)
        pair.other.receive(Closed("never open"), STREAM, pair.now)
    assert sent == [Close(path)]
    assert drops(pair.other) == [DropReason.STREAM_LIMIT]
    pair.other.receive(Closed("done"), paths[0], pair.now)
    assert accept(pair, path) == []


def test_those_that_show_something_are_not():
    pair = Pair(supported=SUPPORTED)
    for port in range(1, MAX_UNPROVEN_PER_SOURCE):
        accept(pair, stream_from(port))
    channel = open_channel(pair, stream_from(100))
    post(pair, 101, channel=channel)
    assert pair.other._unproven == {NEW.address: MAX_UNPROVEN_PER_SOURCE - 1}
    assert accept(pair) == []
    assert drops(pair.other) == []


def test_a_link_has_no_more_streams_than_an_attempt_has_paths():
    pair = Pair(supported=SUPPORTED)
    paths = [stream_from(port) for port in range(1, MAX_LINK_STREAMS + 3)]
    for number, path in enumerate(paths):
        pair.now += 0.1
        accept(pair, path)
        flags = 0 if number == 1 else PROBE
        sent = stream_request(pair, 5, path, attempt=Attempt(5, flags))
        closed = [each for each in sent if isinstance(each, Close)]
        surplus = paths[0:1] if number == MAX_LINK_STREAMS else paths[2:3]
        assert closed == ([Close(*surplus)] if number >= MAX_LINK_STREAMS else [])
    assert pair.other.path(HOME) == paths[1]
    assert drops(pair.other) == [DropReason.STREAM_LIMIT] * 2


def stream_data(pair, link, path):
    """Data of a link on a stream; return what Y delivers."""
    packet = build_ip(link.home_address, INNER_HOST, 17, b"data")
    pair.other.receive(wrap_frame(Content.ESP, link.seal_data(packet, path)), path, pair.now)
    return pair.other.received()


@pytest.mark.parametrize("flags", [0, PROBE])
def test_streams_of_older_attempts_deliver_and_close_after_a_silence(flags):
    pair = Pair(supported=SUPPORTED)
    first, second = (stream_from(port) for port in (1, 2))
    accept(pair, first)
    stream_confirm(pair, *stream_request(pair, 5, first))
    accept(pair, second)
    pair.now += 0.1
    (answer,) = stream_request(pair, 7, second, attempt=Attempt(7, flags))
    stream_confirm(pair, answer, 7)
    current, left = (first, second) if flags else (second, first)
    assert pair.other.path(HOME) == current
    assert later(pair, CLOSED_AFTER - 1) == []
    assert len(stream_data(pair, pair.as_mobile, left)) == 1
    assert later(pair, CLOSED_AFTER - 1) == []
    assert later(pair, 2) == [Close(left)]
    assert later(pair, 5 * CLOSED_AFTER) == []
    assert pair.other.path(HOME) == current
    assert drops(pair.other) == []


def test_a_stream_is_a_path_of_one_link():
    """Another one, whose path is not validated, is neither registered nor challenged on it."""
    pair = Pair(supported=SUPPORTED)
    to_other, to_mobile = replace(TO_OTHER, spi=0x7777), replace(TO_MOBILE, spi=0x8888)
    links = LinkParameters(NEIGHBOUR, SIGNALLING, (to_other,), to_mobile)
    pair.other.add_link(links)
    links = replace(links, inbound=(to_mobile,), outbound=to_other)
    neighbour = Link(links, at_mobile=True, random_bytes=pair.random.randbytes)

    def request(path, number):
        sent = describe(path.encapsulation, path.remote, path.local, to_other.spi)
        values = {"home_address": NEIGHBOUR, "sent": sent, **with_attempt(number)}
        return neighbour.seal_message(build_request(a_request(pair.now, **values)))

    accept(pair)
    stream_confirm(pair, *stream_request(pair))
    pair.other.receive(request(PATH, 1), PATH, pair.now)
    assert pair.other.path(NEIGHBOUR) == PATH
    pair.other.transmits(pair.now)
    assert stream_data(pair, neighbour, STREAM)
    pair.now += 0.1
    pair.other.receive(frame(pair, request(STREAM, 2)), STREAM, pair.now)
    assert pair.other.transmits(pair.now) == []
    assert drops(pair.other) == [DropReason.WRONG_IDENTITY]
    assert pair.other.path(NEIGHBOUR) == PATH
    assert pair.other.path(HOME) == STREAM


@pytest.mark.parametrize("carrier", [Encapsulation.TCP, Encapsulation.HTTP_POST])
def test_the_streams_of_a_binding_close_after_the_answer_that_ends_it(carrier):
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    stream_request(pair)
    pair.now += 0.1
    if carrier is Encapsulation.TCP:
        assert len(give_frame(pair, lifetime=0, **with_attempt(6))) == 1
    else:
        open_channel(pair, stream_from(1), 6, lifetime=0)
    assert pair.other.state(HOME) is OtherState.UNBOUND
    closed = later(pair, 0)
    assert Close(STREAM) in closed
    assert len(closed) == (1 if carrier is Encapsulation.TCP else 2)
    assert pair.other._streams == pair.other._stream_links == pair.other._homes[HOME].streams == {}


def test_the_streams_of_a_binding_close_when_it_expires():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    stream_confirm(pair, *stream_request(pair, lifetime=10))
    assert later(pair, 9.5) == []
    assert later(pair, 1) == [Close(STREAM)]
    assert pair.other.state(HOME) is OtherState.EXPIRED


def test_the_oldest_that_is_not_current_makes_room():
    pair = limited(2)
    first, second, third, fourth = (stream_from(port) for port in (1, 2, 3, 4))
    accept(pair, first)
    stream_request(pair, 5, first)
    assert accept(pair, second) == []
    assert accept(pair, third) == [Close(second)]  # it has shown nothing
    pair.now += 0.1
    stream_request(pair, 6, third)
    assert accept(pair, fourth) == [Close(first)]
    assert pair.other.path(HOME) == third
    pair.other.receive(Closed("done"), fourth, pair.now)
    assert drops(pair.other) == [DropReason.STREAM_LIMIT] * 2


def test_a_current_stream_does_not_make_room():
    pair = limited(1)
    accept(pair)
    stream_request(pair)
    assert accept(pair, stream_from(1)) == [Close(stream_from(1))]
    assert pair.other.path(HOME) == STREAM
    assert drops(pair.other) == [DropReason.STREAM_LIMIT]


def test_a_closed_stream_is_not_challenged():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    pair.now += 1
    stream_request(pair, 6)
    assert pair.other.path(HOME) == STREAM
    pair.other.receive(Closed("reset"), STREAM, pair.now)
    events(pair.other)
    assert later(pair, 100) == []
    assert drops(pair.other) == []


def test_a_closed_stream_suspends_although_another_path_is_validated():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    stream_request(pair)
    link = pair.other._homes[HOME]
    link.state_of(STREAM).validated = True
    pair.other._timers.remove((Timer.CHALLENGE, HOME))
    pair.now += 1
    (probed,) = pair.request(**with_attempt(5, PROBE), **BIG)
    pair.confirm(probed)
    assert link.state_of(PATH).validated
    pair.other.receive(Closed("reset"), STREAM, pair.now)
    assert pair.other.path(HOME) is None
    assert pair.other.state(HOME) is OtherState.SUSPENDED


def test_nothing_falls_back_to_a_closed_stream():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    (answer,) = stream_request(pair)
    link = pair.other._homes[HOME]
    link.state_of(STREAM).validated = True
    (probed,) = pair.request(identification=1 << 62, **with_attempt(5, PROBE), **BIG)
    link.current = link.state_of(PATH)
    pair.other.receive(Closed("reset"), STREAM, pair.now)
    later(pair, 4)
    assert pair.other.state(HOME) is OtherState.SUSPENDED
    assert answer.path != probed.path


def test_a_reverse_proxy_may_end_tls():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    sent = (*HEADERS, TlsHeader(bytes(32), "y"), EspHeader(TO_OTHER.spi))
    (answer,) = stream_request(pair, sent=sent)
    assert parse_reply(_opened(pair, answer)).code == 0
    assert pair.other.path(HOME) == STREAM


@pytest.mark.parametrize(("host", "own"), [("203.0.113.2", True), ("192.0.2.9", False)])
def test_http_reaches_y_and_nobody_else(host, own):
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    request = (
        f"GET /.well-known/masque/udp/{host}/4500/ HTTP/1.1\r\nHost: y\r\n"
        "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n"
    )
    pair.other.receive(request.encode(), STREAM, pair.now)
    answer, *rest = pair.other.transmits(pair.now)
    assert answer.data.startswith(b"HTTP/1.1 101" if own else b"HTTP/1.1 403")
    assert rest == ([] if own else [Close(STREAM)])


def test_data_by_udp_beside_a_stream_is_no_rebinding():
    pair = Pair(supported=SUPPORTED)
    accept(pair)
    (answer,) = stream_request(pair)
    stream_confirm(pair, answer)
    assert told(pair, PathValidated)
    assert data_from(pair, TRANSLATED) == []
