"""ESP in TCP streams of a capture: what they are told by, where the place was lost, bounds."""

from hashlib import sha256

import ike
import pytest
from frames import GATEWAY, OLD, TO_GATEWAY, TO_MOBILE, Bench, Keys
from http_samples import ID, NAMED, OK, POST, UPGRADE, post_answer, posted
from hypothesis import given
from hypothesis import strategies as st
from tcp_streams import CONNECT, SWITCHING, TUNNEL, InTls, Stream, elsewhere, octet_by_octet
from tls_samples import DATA, HANDSHAKE, answer
from tls_samples import Connection as TlsConnection

from contrib_layers.numbers import STREAM_PREFIX
from scapy_mobsec.drivers.memory.packet import ACK, FIN
from scapy_mobsec.drops import DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.capsule import wrap_capsule
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.tls import plain_record
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.esp.sa import OutboundSa
from scapy_mobsec.observer import streams
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.stream_reader import MAX_FIRST, MAX_SEARCHED, StreamReader
from scapy_mobsec.observer.stream_units import Kind
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.reassembly import Connection
from scapy_mobsec.registration.description import HttpHeader, TlsHeader
from scapy_mobsec.tcp_direction import MAX_WAIT_NS, Piece, Stamp

IKE = ike.clear(37)


def capsule_of(content, message):
    return wrap_capsule(udp.wrap(content, message))


@pytest.mark.parametrize("cut", [lambda octets: [octets], octet_by_octet], ids=["whole", "cut"])
def test_frames_of_both_ends(cut):
    stream = Stream()
    stream.up(*cut(STREAM_PREFIX + stream.frame() + stream.frame()))
    stream.down(*cut(stream.frame(TO_MOBILE)))
    assert stream.summary.verified == 3
    assert {sa.outer.encapsulation for sa in stream.report.sas} == {Encapsulation.TCP}
    assert not stream.report.drops


@pytest.mark.parametrize("cut", [lambda octets: [octets], octet_by_octet], ids=["whole", "cut"])
def test_capsules_of_both_ends(cut):
    stream = Stream()
    stream.up(*cut(UPGRADE)).down(*cut(SWITCHING + stream.capsule(TO_MOBILE)))
    stream.up(*cut(stream.capsule()))
    assert stream.summary.verified == 2
    assert {sa.outer.encapsulation for sa in stream.report.sas} == {Encapsulation.HTTP}
    assert not stream.report.drops


@pytest.mark.parametrize("cut", [lambda octets: [octets], octet_by_octet], ids=["whole", "cut"])
def test_posts_and_their_answers(cut):
    stream = Stream()
    stream.up(*cut(posted(stream.frame() + stream.frame())))
    stream.down(*cut(post_answer(stream.frame(TO_MOBILE))))
    stream.up(*cut(posted(stream.frame(), NAMED))).down(*cut(post_answer(b"")))
    assert stream.summary.verified == 4
    assert {sa.outer.encapsulation for sa in stream.report.sas} == {Encapsulation.HTTP_POST}
    assert not stream.report.drops


def a_channel(bench=None, begun=True):
    """Return the two connections of a channel; nothing was asked on the second one yet."""
    first = Stream(bench, begun=begun)
    second = Stream(first.bench, source=OLD._replace(port=OLD.port + 1), begun=begun)
    if begun:
        first.up(posted(first.frame())).down(post_answer(first.frame(TO_MOBILE)))
    return first, second


def test_what_the_second_connection_brings_is_told_of_the_first():
    _, second = a_channel()
    second.up(posted(b"", NAMED)).down(post_answer(second.frame(TO_MOBILE)))
    assert second.summary.verified == 3
    assert not second.report.moves
    ends = (sa.outer.pair[-1] for sa in second.report.sas)
    assert set(ends) == {frozenset((OLD, GATEWAY))}


def test_a_second_connection_says_nothing_while_the_first_is_not_known():
    first, second = a_channel(begun=False)
    second.up(posted(b"", NAMED)).down(post_answer(second.frame(TO_MOBILE)))
    assert second.summary.esp == 0
    assert first.up(posted(first.frame(), NAMED)).summary.verified == 1
    second.up(posted(b"", NAMED)).down(post_answer(second.frame(TO_MOBILE)))
    assert (second.summary.verified, second.report.moves) == (2, [])


def test_of_all_channels_the_latest_are_known(monkeypatch):
    monkeypatch.setattr(streams, "MAX_STREAMS", 2)
    bench = Bench()
    for number in range(4):
        stream = Stream(bench, source=Endpoint(OLD.address, 1000 + number))
        named = b"Channel: %032x\r\n" % number
        stream.up(posted(stream.frame())).down(post_answer(stream.frame(TO_MOBILE), named))
    assert len(bench.observer._streams._firsts) == 2


@pytest.mark.parametrize("line", [b"POST /vpn HTTP/1.1", b"POST http://y.example/vpn HTTP/1.1"])
@pytest.mark.parametrize("fields", [b"", b"cHANNEL:" + ID.hex().encode() + b"\r\n"])
def test_posts_to_another_path(line, fields):
    """They show by the SPI, or by the channel; not without either."""
    stream = Stream()
    body = wrap_frame(Content.IKE, IKE) if fields else stream.frame()
    stream.up(posted(body, fields, line)).up(posted(stream.frame(), b"", line))
    assert stream.summary.verified == 2 - bool(fields)
    other = Stream().up(posted(wrap_frame(Content.IKE, IKE), b"", line))
    assert (other.summary.ike, other.report.drops) == (0, {})


def test_a_refused_post_is_told():
    stream = Stream()
    stream.up(posted(stream.frame())).down(OK.replace(b"200 OK", b"404 No"))
    assert stream.report.drops == {DropReason.HTTP_REFUSED: 1}


def test_in_the_middle_of_a_body_too():
    """The frames in it are found, and then the messages."""
    stream = Stream(begun=False)
    first, second = stream.frame(), stream.frame()
    stream.up(first[7:] + second, posted(stream.frame(), NAMED))
    stream.down(post_answer(stream.frame(TO_MOBILE)))
    stream.up(posted(stream.frame(), NAMED))
    assert stream.summary.verified == 4
    assert not stream.report.drops
    assert stream.report.sas[0].outer.encapsulation is Encapsulation.HTTP_POST


def test_after_a_gap_the_next_message_is_found():
    stream = Stream()
    one, two, three, four = (posted(stream.frame(), NAMED) for _ in range(4))
    stream.up(one, two[:50]).miss(0, len(two) - 50 + 20).up(three[20:] + four)
    assert stream.summary.verified == 3
    assert stream.report.drops == {DropReason.TCP_GAP: 1}


@pytest.mark.parametrize("cut", [lambda octets: [octets], octet_by_octet], ids=["whole", "cut"])
def test_through_a_forward_proxy(cut):
    stream = Stream().up(*cut(CONNECT)).down(*cut(TUNNEL))
    stream.up(*cut(STREAM_PREFIX + stream.frame())).down(*cut(stream.frame(TO_MOBILE)))
    assert stream.summary.verified == 2
    assert not stream.report.drops


def test_what_is_sent_before_the_answer_of_a_proxy_is_read_too():
    stream = Stream()
    stream.up(CONNECT + STREAM_PREFIX + stream.frame()).down(TUNNEL + stream.frame(TO_MOBILE))
    assert stream.summary.verified == 2


def test_the_headers_of_a_tunnel_and_of_http_in_it():
    stream = Stream().up(CONNECT).down(TUNNEL).up(UPGRADE).down(SWITCHING)
    reader = stream.reader()
    up, down = reader._sides
    capsules = stream.capsule(), stream.capsule(TO_MOBILE)
    found = [
        reader.read(end, Piece(octets, Stamp(1, 1), follows=True))[0].headers
        for end, octets in zip((up, down), capsules, strict=True)
    ]
    get = HttpHeader("GET", "y.example", "/.well-known/masque/udp/y/4500/")
    asked = HttpHeader("CONNECT", "203.0.113.2:80", "")
    answered = HttpHeader("", "", "200"), HttpHeader("", "", "101")
    assert found == [(asked, get), answered]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"CONNECT y:80 HTTP/1.1\r\nHost: y\r\n\r\n", b"HTTP/1.1 403 No\r\n\r\n"),
        (b"CONNECT y:80 HTTP/1.1\r\nHost: y\r\n\r\n", b"SSH-2.0-x\r\n\r\n"),
        (b"CONNECT nothing\r\n\r\n", b""),
        (b"CONNECT y:80 HTTP/1.1\r\nX: " + bytes(20_000), b""),
    ],
)
def test_a_tunnel_that_is_not_made_is_let_go_without_a_word(request_, answer):
    stream = Stream().up(request_).down(answer)
    stream.up(STREAM_PREFIX, stream.frame())
    assert (stream.summary.esp, stream.report.drops) == (0, {})


def test_tls_in_a_tunnel_is_counted():
    assert Stream().up(CONNECT).down(TUNNEL).up(b"\x16\x03\x01\0\5").summary.tls == 1


def test_another_path_before_the_target():
    request = UPGRADE.replace(b"/.well-known/masque/udp", b"http://y.example/vpn")
    stream = Stream().up(request)
    assert stream.up(stream.capsule()).summary.verified == 1


@pytest.mark.parametrize("wrap", [wrap_frame, capsule_of])
def test_ike_in_a_stream_gives_the_keys_of_esp(wrap):
    messages, learnt = ike.agreed()
    stream = Stream(Bench(Keys(), [ike.keys()]))
    if wrap is wrap_frame:
        stream.up(STREAM_PREFIX)
    else:
        stream.up(UPGRADE).down(SWITCHING)
    for octets in messages:
        send = stream.up if octets[19] & 0x08 else stream.down
        send(wrap(Content.IKE, octets))
    esp = OutboundSa(learnt[0], random_bytes=bytes).seal(b"", 59)
    stream.up(wrap(Content.ESP, esp))
    assert (stream.summary.ike, stream.summary.verified) == (4, 1)
    (sa,) = stream.report.ike
    assert sa.outer.encapsulation is (
        Encapsulation.TCP if wrap is wrap_frame else Encapsulation.HTTP
    )


def test_ike_and_keepalives():
    stream = Stream().up(STREAM_PREFIX, wrap_frame(Content.IKE, IKE))
    stream.up(wrap_frame(Content.KEEPALIVE), wrap_frame(Content.IKE, b"short"))
    assert (stream.summary.ike, stream.summary.keepalives) == (1, 1)
    assert stream.report.drops == {DropReason.MALFORMED_IKE: 1}
    assert stream.summary.malformed == 1


def test_a_replay_in_a_stream_is_one_and_a_repeated_segment_is_none():
    stream = Stream()
    frame = stream.frame()
    stream.up(STREAM_PREFIX, frame)
    stream.put(0, ACK, stream.next[0] - len(frame), frame)
    assert (stream.summary.esp, stream.summary.replayed) == (1, 0)
    stream.up(frame)
    assert (stream.summary.esp, stream.summary.replayed, stream.summary.duplicates) == (2, 1, 0)


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.1\r\nHost: y\r\n\r\n", b"SSH-2.0-x\r\n", bytes(2000), b"POST /p HT", POST],
)
def test_what_is_something_else_is_let_go_without_a_word(octets):
    stream = Stream().up(octets).down(OK)
    stream.up(stream.frame(), STREAM_PREFIX, stream.frame())
    assert (stream.summary.esp, stream.summary.tls) == (0, 0)
    assert not stream.report.drops
    assert stream.bench.observer._tcp.octets == 0


def test_a_request_without_upgrade_is_something_else():
    stream = Stream().up(UPGRADE.replace(b"Upgrade: connect-udp\r\n", b""))
    assert stream.down(OK).report.drops == {}


def test_a_refused_upgrade_is_told():
    stream = Stream().up(UPGRADE).down(OK)
    assert stream.report.drops == {DropReason.HTTP_REFUSED: 1}


@pytest.mark.parametrize(
    ("begun", "first"), [(True, b"\x16\x03\x01\0\5"), (False, b"\x17\x03\x03\0\5")]
)
def test_tls_is_counted_once(begun, first):
    stream = Stream(begun=begun).up(first + b"hello").down(b"\x16\x03\x03\0\5hello")
    assert (stream.summary.tls, stream.summary.esp) == (1, 0)


def test_tls_out_of_order_is_one_connection_too():
    stream = Stream()
    stream.put(0, ACK, 105, b"\x16\x03\x03\0\0")
    stream.put(0, ACK, 100, b"\x16\x03\x01\0\0")
    assert stream.summary.tls == 1


def test_an_spi_that_was_opened_before_is_known_too(monkeypatch):
    monkeypatch.setattr(Keys, "knows_spi", lambda keys, spi: False)
    bench = Bench()
    bench.see(bench.up())
    stream = Stream(bench, begun=False)
    assert stream.up(b"xyz", stream.frame()).summary.verified == 2


@pytest.mark.parametrize("cut", [lambda octets: [octets], octet_by_octet], ids=["whole", "cut"])
@pytest.mark.parametrize(
    ("before", "answer", "unit"),
    [
        (STREAM_PREFIX, b"", "frame"),
        (UPGRADE, SWITCHING, "capsule"),
        (CONNECT + STREAM_PREFIX, TUNNEL, "frame"),
    ],
)
def test_on_any_port_a_connection_is_told_by_its_beginning(cut, before, answer, unit):
    stream = elsewhere().up(*cut(before)).down(*cut(answer))
    stream.up(*cut(getattr(stream, unit)())).down(*cut(getattr(stream, unit)(TO_MOBILE)))
    assert (stream.summary.verified, stream.report.drops) == (2, {})


@pytest.mark.parametrize("first", [b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\1\0\5\1"])
@pytest.mark.parametrize("down", [False, True])
def test_on_other_ports_what_is_something_else_is_forgotten(first, down):
    stream = elsewhere()
    (stream.down if down else stream.up)(first)
    stream.up(stream.frame(), STREAM_PREFIX[:3], stream.frame())
    assert (stream.summary.esp, stream.summary.tls, stream.report.drops) == (0, 0, {})
    assert len(stream.bench.observer._tcp) == len(stream.bench.observer._streams) == 0


def test_on_other_ports_no_place_is_looked_for():
    stream = elsewhere(begun=False)
    stream.up(stream.frame(), stream.frame())
    assert (stream.summary.esp, len(stream.bench.observer._tcp)) == (0, 0)
    stream = elsewhere().miss(0, 6)
    stream.up(stream.frame())
    assert (stream.summary.esp, stream.report.drops) == (0, {})


def test_on_other_ports_a_stream_goes_on_behind_a_gap():
    stream = elsewhere().up(STREAM_PREFIX)
    stream.up(stream.frame()).miss(0, 10).up(stream.frame(), stream.frame())
    assert (stream.summary.verified, stream.report.drops) == (3, {DropReason.TCP_GAP: 1})


def test_the_prefix_alone_begins_a_stream():
    stream = elsewhere(begun=False)
    stream.up(STREAM_PREFIX + stream.frame()).down(stream.frame(TO_MOBILE))
    assert stream.summary.verified == 2


def test_ports_that_are_asked_for_are_read_from_anywhere():
    bench = Bench()
    bench.observer = Observer(bench.keys, tcp_ports=(22,))
    stream = elsewhere(bench, begun=False)
    assert stream.up(b"xyz", stream.frame()).summary.verified == 1


@pytest.mark.parametrize("kind", ["frame", "capsule"])
def test_in_mid_stream_the_place_is_found_by_the_spi(kind):
    stream = Stream(begun=False)
    units = [getattr(stream, kind)() for _ in range(4)]
    octets = b"".join(units)
    stream.up(*[octets[at : at + 7] for at in range(20, len(octets), 7)])
    assert stream.summary.verified == 3
    assert not stream.report.drops


@pytest.mark.parametrize("kind", ["frame", "capsule"])
def test_after_a_gap_too(kind):
    stream = Stream()
    stream.up(STREAM_PREFIX if kind == "frame" else UPGRADE)
    first, second, third = (getattr(stream, kind)() for _ in range(3))
    stream.up(first, second[:9]).miss(0, 10).up(second[19:] + third)
    assert stream.summary.verified == 2
    assert stream.report.drops == {DropReason.TCP_GAP: 1}


def test_where_the_prefix_was_not_captured_the_responder_is_read():
    stream = Stream().miss(0, 6)
    stream.down(stream.frame(TO_MOBILE))
    assert stream.up(stream.frame(), stream.frame()).summary.verified == 3


def test_a_bad_frame_is_told_and_the_place_found_again():
    stream = Stream().up(STREAM_PREFIX)
    stream.up(stream.frame() + b"\0\1\0\0", stream.frame())
    assert stream.summary.verified == 2
    assert stream.report.drops == {DropReason.BAD_FRAME_LENGTH: 1}


def test_the_headers_of_http_as_they_arrived():
    stream = Stream().up(UPGRADE)
    stream.down(SWITCHING)
    reader = stream.reader()
    up, down = reader._sides.values()
    assert up.headers == (HttpHeader("GET", "y.example", "/.well-known/masque/udp/y/4500/"),)
    assert down.headers == (HttpHeader("", "", "101"),)


def test_the_search_ends():
    stream = Stream(begun=False)
    for _ in range(MAX_SEARCHED // 1024 + 2):
        stream.up(bytes(1024))
    assert len(stream.bench.observer._streams) == 0
    assert stream.up(stream.frame()).summary.esp == 0
    assert stream.report.drops == {DropReason.NO_PLACE: 1}


def test_what_is_known_to_be_a_stream_is_searched_to_its_end():
    stream = Stream().up(STREAM_PREFIX + b"\0\1")
    for _ in range(MAX_SEARCHED // 1024 + 2):
        stream.up(bytes(1024))
    stream.up(stream.frame()).down(stream.frame(TO_MOBILE))
    assert (stream.summary.esp, stream.report.drops) == (2, {DropReason.BAD_FRAME_LENGTH: 1})


@pytest.mark.parametrize("first", [b"GET /", b"HTTP/1.1 "])
def test_what_never_shows_what_it_is_is_let_go(first):
    stream = Stream().up(first)
    for _ in range(MAX_FIRST // 1000 + 1):
        stream.up(b"x" * 1000)
    assert len(stream.bench.observer._streams) == 0


def test_streams_are_bounded(monkeypatch):
    monkeypatch.setattr(streams, "MAX_STREAMS", 5)
    bench = Bench()
    for port in range(1000, 1008):
        stream = Stream(bench, source=Endpoint(OLD.address, port)).up(STREAM_PREFIX)
    assert len(bench.observer._streams) == 5
    assert stream.up(stream.frame()).report.drops == {DropReason.STREAM_LIMIT: 3}
    assert stream.summary.verified == 1


def test_streams_of_something_else_take_no_place_of_one_that_is_read(monkeypatch):
    monkeypatch.setattr(streams, "MAX_STREAMS", 5)
    read = Stream().up(STREAM_PREFIX, b"")
    for port in range(1000, 1020):
        Stream(read.bench, source=Endpoint(OLD.address, port)).up(b"GE")
    assert read.up(read.frame()).summary.verified == 1


def test_streams_that_are_over_have_no_place(monkeypatch):
    monkeypatch.setattr(streams, "MAX_STREAMS", 5)
    bench = Bench()
    for port in range(1000, 1020):
        stream = Stream(bench, source=Endpoint(OLD.address, port)).up(STREAM_PREFIX)
        stream.up(stream.frame())
        for end in (0, 1):
            stream.put(end, FIN | ACK, stream.next[end])
    assert (stream.summary.verified, stream.report.drops, len(bench.observer._streams)) == (
        20,
        {},
        0,
    )


def test_behind_a_gap_it_goes_on_though_that_end_is_silent():
    stream = Stream().up(STREAM_PREFIX).miss(0, 10)
    stream.up(stream.frame())
    stream.bench.time_ns += MAX_WAIT_NS
    stream.down(stream.frame(TO_MOBILE))
    assert [seen.spi for seen in stream.bench.packets] == [TO_GATEWAY, TO_MOBILE]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.binary(max_size=60)), max_size=12))
def test_nothing_makes_it_fall(parts):
    stream = Stream()
    beginnings = [STREAM_PREFIX, UPGRADE, SWITCHING, b"\xff\xff", stream.frame(), stream.capsule()]
    beginnings += [posted(stream.frame()), post_answer(stream.frame(TO_MOBILE))]
    for back, number, octets in parts:
        chosen = beginnings[number] if number < len(beginnings) else octets
        (stream.down if back else stream.up)(chosen)
        stream.miss(back, number == 40)
    assert stream.summary.packets > 0


TLS_HEADER = TlsHeader(sha256(b"DER").digest(), "vpn.example")


@pytest.mark.parametrize("cut", [lambda octets: [octets], octet_by_octet], ids=["whole", "cut"])
def test_frames_in_tls(cut):
    stream = InTls()
    stream.up(*cut(STREAM_PREFIX + stream.frame())).down(*cut(stream.frame(TO_MOBILE)))
    assert (stream.summary.verified, stream.summary.tls, stream.report.drops) == (2, 0, {})
    assert {sa.outer.encapsulation for sa in stream.report.sas} == {Encapsulation.TLS}
    assert stream.headers(stream.frame()) == (Encapsulation.TLS, (TLS_HEADER,))


def test_http_in_tls_and_tls_in_a_tunnel():
    stream = InTls(CONNECT, TUNNEL).up(UPGRADE).down(SWITCHING)
    asked = HttpHeader("CONNECT", "203.0.113.2:80", "")
    get = HttpHeader("GET", "y.example", "/.well-known/masque/udp/y/4500/")
    assert stream.headers(stream.capsule()) == (Encapsulation.HTTP, (asked, TLS_HEADER, get))


def test_something_else_in_tls_is_let_go():
    stream = InTls().up(b"GET / HTTP/1.1\r\nHost: y\r\n\r\n").down(OK)
    assert (stream.summary.tls, stream.report.drops) == (0, {})


def test_tls_with_other_secrets_is_counted():
    stream = InTls(known=False)
    stream.up(STREAM_PREFIX, stream.frame())
    assert (stream.summary.tls, stream.summary.esp, stream.report.drops) == (1, 0, {})


def test_a_server_alone_is_counted():
    stream = Stream(Bench(tls_keys=TlsConnection().keys))
    assert stream.down(plain_record(HANDSHAKE, answer())).summary.tls == 1
    assert stream.report.drops == {}


def test_a_record_that_is_not_sealed_so_ends_it():
    stream = InTls().up(STREAM_PREFIX)
    Stream.up(stream, plain_record(DATA, bytes(40)))
    stream.up(stream.frame())
    assert stream.report.drops == {DropReason.BAD_TLS_RECORD: 1}
    assert (stream.summary.tls, stream.summary.malformed, stream.summary.esp) == (1, 0, 0)


@pytest.mark.parametrize("bad", [plain_record(DATA, bytes(40)), b"no record"])
def test_what_comes_before_a_bad_record_in_a_segment_is_read(bad):
    stream = InTls().up(STREAM_PREFIX)
    Stream.up(stream, stream.tls.client.seal(DATA, stream.frame()) + bad)
    assert (stream.summary.verified, stream.summary.tls) == (1, 1)
    assert sum(stream.report.drops.values()) == 1


def test_what_is_no_tls_behind_its_beginning():
    stream = InTls()
    Stream.up(stream, b"no record")
    assert stream.report.drops == {DropReason.MALFORMED_TLS: 1}
    assert (stream.summary.tls, stream.summary.malformed) == (1, 1)


def test_behind_a_gap_tls_is_not_read():
    stream = InTls().up(STREAM_PREFIX).miss(0, 100)
    stream.up(stream.frame())
    assert stream.report.drops == {DropReason.TCP_GAP: 1}
    assert (stream.summary.tls, stream.summary.esp) == (1, 0)


def test_in_tls_too_the_next_packet_is_found_behind_a_bad_frame():
    stream = InTls()
    stream.up(STREAM_PREFIX, stream.frame(), b"\0\1", bytes(20) + stream.frame())
    assert stream.summary.verified == 2
    assert (stream.summary.tls, stream.report.drops) == (0, {DropReason.BAD_FRAME_LENGTH: 1})


@pytest.mark.parametrize("gap", [b"\x17\x03\x03", bytes(40)], ids=["record", "in a record"])
def test_tls_of_which_one_side_is_not_from_the_beginning_is_counted(gap):
    tls, drops = TlsConnection(), []
    reader = StreamReader(Connection(OLD, GATEWAY), lambda spi: False, drops.append, tls.keys)
    (_, hello), *_ = tls.handshake()
    for end, octets, follows in ((GATEWAY, gap, False), (OLD, hello, True)):
        assert reader.read(end, Piece(octets, Stamp(1, 1), follows)) == []
    assert (reader.kind, drops) == (Kind.TLS, [])
