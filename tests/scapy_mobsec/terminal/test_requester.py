"""How X asks: streams, data without waiting, data that waits, reports."""

import pytest
from scripted import HTTP, HTTP_POST, NATIVE, PROBE, TCP, TLS, UDP, Script, items
from terminals import NEW, OLD, OTHER, PING, PONG, TO_OTHER, Pair

from contrib_layers.numbers import ITEM_INSIDE_TLS
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Endpoint, Path
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    TcpHeader,
    TlsHeader,
)
from scapy_mobsec.registration.messages import Report
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.driving import Close, Closed, Established, Open, Refused
from scapy_mobsec.terminal.events import (
    CertificateRefused,
    FailureReason,
    PacketDropped,
    ProxyRefused,
    Registered,
    RegistrationFailed,
    StreamLost,
)
from scapy_mobsec.terminal.requester import MAX_COUNTED_PATHS
from scapy_mobsec.terminal.streams import MAX_WAITING

UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n"
)


def real(wanted, port=50_000):
    return Path(wanted.encapsulation, Endpoint(wanted.local.address, port), wanted.remote)


def opened(script, port=50_000):
    """The stream that X asked for last is open; return its path."""
    wanted = next(out.path for out in reversed((*script.open, *script.outs)) if out.what == "open")
    path = real(wanted, port)
    script.tell(Established(wanted, ()), path)
    return path


def test_a_stream_is_opened_then_registered_on():
    script = Script(TCP)
    script.move()
    script.send(PING)
    assert script.took() == ["0 tcp open"]
    script.now += 0.05
    path = opened(script)
    assert script.took() == ["50 tcp prefix", "50 tcp RREQ #1 1/1", "50 tcp data"]
    assert script.last().path == path
    assert script.last().request.sent[1] == TcpHeader(50_000, 4500)
    script.reply(script.last())
    (event,) = script.events(Registered)
    assert (event.path, event.rtt) == (path, pytest.approx(0))


def test_rreqs_on_streams_are_not_padded():
    script = Script(TCP)
    script.move()
    opened(script)
    assert len(script.last().data) < 400


def test_data_that_waits_is_sealed_when_written_and_goes_by_the_path_of_then():
    script = Script(UDP, TCP, start=(TCP,))
    script.move()
    script.send(PING)
    before = script.mobile._link.outbound.next_sequence
    assert before == 1  # nothing is sealed for a stream that is not open
    script.move(OLD)
    script.took()
    opened(script)
    assert script.took()[1:] == ["0 tcp RREQ #2 1/1", "0 tcp data"]


def test_data_that_waited_for_a_stream_goes_by_the_datagram_path_of_the_next_attempt():
    script = Script(UDP, TCP, start=(TCP,))
    script.move()
    script.wait(31.95)
    script.send(PING)
    script.took()
    script.wait(0.05)
    assert script.took() == ["32000 tcp close", "32000 udp RREQ #2 1/2", "32000 udp data"]


def test_waiting_data_is_bounded():
    script = Script(TCP)
    script.move()
    for _ in range(MAX_WAITING + 1):
        script.send(PING)
    assert [event.reason for event in script.events(PacketDropped)] == [DropReason.QUEUE_FULL]
    opened(script)
    assert [out.what for out in script.outs].count("data") == MAX_WAITING


def test_what_waits_when_the_network_is_lost_is_dropped_by_name():
    script = Script(TCP)
    script.move()
    script.send(PING)
    script.send(PING)
    script.mobile.move([], script.now)
    dropped = PacketDropped(DropReason.NO_PATH, f"{len(PING)} octets that waited", None)
    assert script.events(PacketDropped) == 2 * [dropped]
    assert script.mobile.drops == {DropReason.NO_PATH: 2}


def test_what_has_waited_100_ms_is_dropped_by_name():
    script = Script(TCP)
    script.move()
    for _ in range(3):
        script.send(PING)
        script.wait(0.04)
    assert script.events(PacketDropped) == [
        PacketDropped(DropReason.WAITED_TOO_LONG, f"{len(PING)} octets", None)
    ]
    opened(script)
    assert [out.what for out in script.outs].count("data") == 2


def test_what_waits_is_gone_without_any_path():
    script = Script(TCP)
    script.move()
    script.send(PING)
    script.mobile.move([], script.now)
    script.move()
    opened(script)
    assert "data" not in [out.what for out in script.outs]


def test_a_stream_that_cannot_be_opened_is_tried_again():
    script = Script(TCP)
    script.move()
    for _ in range(3):
        wanted = script.outs[-1].path
        script.tell(Closed("refused"), wanted)
        script.wait(0.5 * 2 ** (len(script.outs) - 1))
    assert script.took() == [f"{at} tcp open" for at in (0, 500, 1500, 3500)]
    script.wait(28.5)
    assert [event.attempt for event in script.events(RegistrationFailed)] == [1]
    assert script.took() == ["32000 tcp close", "32000 tcp open"]


def test_a_stream_that_ended_before_the_reply_is_opened_again_and_asked_again():
    script = Script(TCP)
    script.move()
    path = opened(script)
    script.tell(Closed("reset"), path)
    script.wait(0.5)
    opened(script, 50_001)
    assert script.took()[3:] == ["500 tcp open", "500 tcp prefix", "500 tcp RREQ #1 1/1"]


def test_a_stream_that_ended_is_opened_again_to_deregister_from_any_port():
    script = Script(TCP)
    script.move()
    path = opened(script)
    script.tell(Closed("reset"), path)
    script.mobile.deregister(script.now)
    script.collect()
    opens = [out.path for out in script.outs if out.what == "open"]
    assert opens[0] == opens[1]


def test_where_the_proxy_is_not_reached_an_attempt_begins_with_what_is_left():
    script = Script(UDP, TCP, start=(TCP,), proxy=Endpoint.of("2001:db8::9", 3128))
    script.move()
    assert script.took() == ["0 udp RREQ #1 1/1"]


def test_a_stream_that_is_never_open_is_given_up_with_its_attempt():
    script = Script(TCP)
    script.move()
    script.wait(32)
    assert script.took() == ["0 tcp open", "32000 tcp close", "32000 tcp open"]
    assert script.mobile.state is MobileState.REGISTERING


def test_a_stream_that_is_not_open_when_another_path_is_registered_is_given_up():
    script = Script(UDP, TCP, start=(UDP, TCP))
    script.move()
    script.wait(0.05)
    script.reply(script.last())
    assert script.took()[1:] == ["50 tcp open", "50 tcp close"]
    assert not script.mobile._opening


def test_a_stream_nobody_wants_is_closed():
    script = Script(TCP)
    script.move()
    wanted = script.outs[-1].path
    script.mobile.move([], script.now)
    script.tell(Established(wanted, ()), real(wanted))
    assert script.took() == ["0 tcp open", "0 tcp close", "0 tcp prefix", "0 tcp close"]
    assert not script.mobile._streams


def test_the_end_of_the_current_stream_starts_an_attempt():
    script = Script(TCP)
    script.move()
    path = opened(script)
    script.reply(script.last())
    script.took()
    script.tell(Closed("reset"), path)
    assert script.events(StreamLost) == [StreamLost(1, path, "reset")]
    assert script.took() == ["0 tcp open"]
    assert script.mobile.attempt == 2


def test_streams_that_end_again_and_again_do_not_set_the_pace_of_attempts():
    script = Script(TCP)
    script.move()
    for _ in range(4):
        path = opened(script)
        script.reply(script.last())
        script.tell(Closed("reset"), path)
        while script.outs[-1].what != "open":
            script.wait(0.01)
    opens = [str(out) for out in script.outs if out.what == "open"]
    assert opens == [f"{each} tcp open" for each in (0, 0, 500, 1000, 1500)]


def test_a_move_closes_the_streams_of_before():
    script = Script(TCP)
    script.move()
    opened(script)
    script.took()
    script.move(OLD)
    assert script.took() == ["0 tcp close", "0 tcp open"]


def test_reports_count_data_alone():
    script = Script(NATIVE, UDP)
    script.move()
    script.send(PING)
    script.give_data(PONG, script.mobile.path)
    assert script.last().request.report is None
    script.reply(script.last(), supported=items(UDP))
    script.wait(1800)
    report = script.last().request.report
    assert (report.received, report.sent) == (1, 1)
    assert report.largest_received > len(PONG)


def test_a_probe_carries_the_report_of_its_own_path():
    script = Script(NATIVE, UDP)
    script.move()
    script.send(PING)
    script.reply(script.last())
    assert script.last(NATIVE, PROBE).request.report == Report(0, 0, 0)


def test_counted_paths_are_bounded():
    script = Script()
    script.move()
    for port in range(1, 200):
        path = Path(UDP, NEW, Endpoint(NEW.address, port))
        script.mobile._begin(script.mobile._exchanges.of.__self__._exchanges[0].purpose, path, 0.0)
    assert len(script.mobile._counters) == MAX_COUNTED_PATHS


def test_a_stream_is_counted_while_it_is_open():
    script = Script(TCP)
    script.move()
    counted = set()
    for port in range(50_000, 50_050):
        path = opened(script, port)
        counted.add(len(script.mobile._counters))
        script.tell(Closed("reset"), path)
        script.wait(0.5)
    assert counted == {2}  # with the one that was asked for


def test_nothing_but_the_request_is_written_to_http_before_the_101():
    script = Script(HTTP)
    script.move()
    wanted = script.outs[-1].path
    path = real(wanted)

    def told(data):
        script.mobile.receive(data, path, script.now)
        return script.mobile.transmits(script.now)

    (request,) = told(Established(wanted, ()))
    assert request.data.startswith(b"GET ")
    script.send(PING)
    for octet in UPGRADED[:-1]:
        assert told(bytes((octet,))) == []
    assert len(script.outs) == 1
    assert script.mobile._link.outbound.next_sequence == 1
    capsules = [transmit.data[:1] for transmit in told(UPGRADED[-1:])]
    assert capsules == [b"\0", b"\0"]  # RREQ and data


EXPECTED, INTERCEPTED = b"E" * 32, b"I" * 32


def inside_tls(script, certificate):
    """The TLS stream that X asked for last is open; return its path."""
    wanted = [out.path for out in script.outs if out.what == "open"][-1]
    headers = Ipv4Header(NEW.address, OTHER.address), TcpHeader(50_000, 4500)
    path = real(wanted)
    script.tell(Established(wanted, (*headers, TlsHeader(certificate, ""))), path)
    return path


def failures(script):
    found = script.events(CertificateRefused, RegistrationFailed)
    return [getattr(each, "reason", None) or each.sha256 for each in found]


def test_the_certificate_that_is_demanded_is_taken():
    script = Script(TLS, tls_verify=EXPECTED)
    script.move()
    inside_tls(script, EXPECTED)
    assert script.took() == ["0 tls open", "0 tls prefix", "0 tls RREQ #1 1/1"]


def test_another_certificate_ends_an_attempt_without_other_ways_and_nothing_is_written():
    script = Script(TLS, tls_verify=EXPECTED)
    script.move()
    script.send(PING)
    path = inside_tls(script, INTERCEPTED)
    assert script.events(CertificateRefused, RegistrationFailed) == [
        CertificateRefused(1, path, INTERCEPTED),
        RegistrationFailed(1, FailureReason.CERTIFICATE),
    ]
    assert script.mobile.state is MobileState.REFUSED
    script.wait(40)
    assert script.took() == ["0 tls open", "0 tls close", "32000 tls open"]


def test_another_certificate_leaves_the_other_ways():
    script = Script(TCP, TLS, tls_verify=EXPECTED)
    script.move()
    script.wait(0.1)
    inside_tls(script, INTERCEPTED)
    assert failures(script) == [INTERCEPTED]
    assert script.took() == ["0 tcp open", "50 tls open", "100 tls close"]
    script.tell(Established(script.open[0].path, ()), real(script.open[0].path))
    assert script.took() == ["100 tcp prefix", "100 tcp RREQ #1 1/2"]


def test_another_certificate_is_no_reason_to_wait_where_more_is_allowed():
    script = Script(UDP, TLS, start=(TLS,), tls_verify=EXPECTED)
    script.move()
    inside_tls(script, INTERCEPTED)
    assert failures(script) == [INTERCEPTED, FailureReason.CERTIFICATE]
    assert script.took() == ["0 tls open", "0 tls close", "0 udp RREQ #2 1/2"]


PROXY = Endpoint.of("192.0.2.80", 8080)


def test_a_stream_inside_tls_is_opened_so_with_the_name_of_y():
    for kind, flags in ((TLS, 0), (HTTP, ITEM_INSIDE_TLS)):
        item = EncapsulationItem(kind.code, flags, port=443, host="y.example")
        script = Script(kind, allow=(item,))
        script.mobile.move([NEW], script.now)
        (opening,) = script.mobile.transmits(script.now)
        assert (opening.tls, opening.server_name) == (True, "y.example")
    item = EncapsulationItem(TCP.code, host="y.example")
    script = Script(TCP, allow=(item,))
    script.mobile.move([NEW], script.now)
    (opening,) = script.mobile.transmits(script.now)
    assert (opening.tls, opening.server_name) == (False, "")


def test_a_stream_through_a_proxy_is_opened_to_that_and_says_so():
    script = Script(TCP, proxy=PROXY)
    script.mobile.move([NEW], script.now)
    wanted = Path(TCP, Endpoint(NEW.address), PROXY)
    assert script.mobile.transmits(script.now) == [Open(wanted, "203.0.113.2:4500")]
    asked, answered = HttpHeader("CONNECT", "203.0.113.2:4500", ""), HttpHeader("", "", "200")
    headers = Ipv4Header(NEW.address, PROXY.address), TcpHeader(50_000, 8080), asked
    path = real(wanted)
    script.tell(Established(wanted, headers, answered), path)
    request = script.last().request
    assert request.sent == (*headers, EspHeader(TO_OTHER.spi))
    assert request.home_agent == OTHER.address
    assert script.mobile._headers(path, arrived=True) == (answered,)


def refuse(script, *, status="403"):
    """The proxy refuses the tunnel of the stream that X asked for last."""
    wanted = [out.path for out in (*script.open, *script.outs) if out.what == "open"][-1]
    script.tell(Refused(status), wanted)
    return wanted


def test_a_refusing_proxy_leaves_the_other_ways():
    script = Script(TCP, TLS, proxy=PROXY)
    script.move()
    path = refuse(script)
    assert script.events(ProxyRefused) == [ProxyRefused(1, path, "403")]
    script.wait(0.05)
    opened(script)
    assert script.took() == ["0 tcp open", "50 tls open", "50 tls prefix", "50 tls RREQ #1 2/2"]


def test_a_refusing_proxy_is_no_reason_to_wait_where_more_is_allowed():
    script = Script(UDP, TCP, start=(TCP,), proxy=PROXY)
    script.move()
    refuse(script, status="407")
    (failed,) = script.events(RegistrationFailed)
    assert failed.reason is FailureReason.PROXY
    assert script.took() == ["0 tcp open", "0 udp RREQ #2 1/2"]


def test_a_proxy_that_refuses_everything_is_asked_again_later():
    script = Script(TCP, proxy=PROXY)
    script.move()
    refuse(script)
    assert script.mobile.state is MobileState.REFUSED
    script.wait(40)
    assert script.took() == ["0 tcp open", "32000 tcp open"]


ANSWERED = b"HTTP/1.1 200 OK\r\nChannel: " + b"0f" * 16 + b"\r\nContent-Length: 0\r\n\r\n"


def posting(pair):
    """X asks for a channel on the first connection and has its answer; return its path."""
    wanted = pair.from_mobile().path
    path = real(wanted)
    pair.mobile.receive(Established(wanted, ()), path, pair.now)
    assert pair.from_mobile().data.startswith(b"POST ")
    pair.mobile.receive(ANSWERED, path, pair.now)
    assert pair.mobile.transmits(pair.now) == [Open(wanted)]
    return path, wanted


@pytest.fixture
def poster():
    pair = Pair()
    pair.mobile = Script(HTTP_POST).mobile
    pair.mobile.move([NEW], pair.now)
    return pair


def test_the_second_connection_of_a_channel_asks_at_once(poster):
    path, wanted = posting(poster)
    second = real(wanted, 50_001)
    poster.mobile.receive(Established(wanted, ()), second, poster.now)
    transmit = poster.from_mobile()
    assert transmit.path == second
    assert (b"Channel: " + b"0f" * 16) in transmit.data
    poster.mobile.receive(ANSWERED, second, poster.now)
    assert poster.from_mobile() == transmit
    poster.mobile.receive(Closed("reset"), second, poster.now)
    assert poster.mobile.transmits(poster.now) == [Close(path)]
    assert not poster.mobile._streams


def test_data_waits_unsealed_for_the_answer_to_a_post_then_all_goes_in_one(poster):
    path, _ = posting(poster)
    mobile, number = poster.mobile, poster.mobile._link.outbound
    mobile.send(PING, poster.now)
    mobile.send(PING, poster.now)
    assert poster.from_mobile().data.startswith(b"POST ")
    sealed = number.next_sequence
    for _ in range(3):
        mobile.send(PING, poster.now)
    poster.now += 0.4  # longer than for a stream that is not open
    mobile.handle_timer(poster.now)
    assert number.next_sequence == sealed
    assert mobile.transmits(poster.now) == []
    mobile.receive(ANSWERED, path, poster.now)
    (posted,) = mobile.transmits(poster.now)
    assert number.next_sequence == sealed + 3
    assert len(posted.data) > 3 * len(PING)
    mobile.send(PING, poster.now)
    mobile.move([], poster.now)
    assert mobile.drops == {DropReason.NO_PATH: 1}


def test_what_waits_for_the_answer_to_a_post_goes_another_way_after_a_move(poster):
    posting(poster)
    poster.mobile.send(PING, poster.now)
    poster.mobile.transmits(poster.now)
    for _ in range(MAX_WAITING + 1):
        poster.mobile.send(PING, poster.now)
    assert poster.mobile.drops == {DropReason.QUEUE_FULL: 1}
    poster.mobile.move([NEW], poster.now)
    *_, opening = poster.mobile.transmits(poster.now)
    path = real(opening.path, 50_009)
    poster.mobile.receive(Established(opening.path, ()), path, poster.now + 0.09)
    (posted,) = poster.mobile.transmits(poster.now)
    assert len(posted.data) > MAX_WAITING * len(PING)
    assert poster.mobile.drops == {DropReason.QUEUE_FULL: 1}


def test_a_channel_without_its_second_connection_is_closed(poster):
    path, wanted = posting(poster)
    poster.mobile.receive(Closed("refused"), wanted, poster.now)
    assert poster.mobile.transmits(poster.now) == [Close(path)]
    assert not poster.mobile._seconds
    poster.mobile.handle_timer(poster.now + 0.5)
    assert poster.mobile.transmits(poster.now) == [Open(wanted)]
    poster.mobile.receive(Established(wanted, ()), path, poster.now)
    assert b"Channel" not in poster.from_mobile().data


def test_a_channel_whose_second_connection_a_proxy_refuses_is_closed():
    pair = Pair()
    pair.mobile = Script(HTTP_POST, proxy=PROXY).mobile
    pair.mobile.move([NEW], pair.now)
    wanted = pair.from_mobile().path
    path = real(wanted)
    pair.mobile.receive(Established(wanted, ()), path, pair.now)
    pair.mobile.transmits(pair.now)
    pair.mobile.receive(ANSWERED, path, pair.now)
    assert pair.mobile.transmits(pair.now) == [Open(wanted, "203.0.113.2:4500")]
    pair.mobile.receive(Refused("403"), wanted, pair.now)
    assert pair.mobile.transmits(pair.now) == [Close(path)]
    assert not pair.mobile._seconds


def test_the_second_connection_too_has_the_certificate_that_is_demanded():
    pair = Pair()
    pair.mobile = Script(HTTP_POST, tls_verify=EXPECTED).mobile
    pair.mobile.move([NEW], pair.now)
    path, wanted = posting(pair)
    headers = Ipv4Header(NEW.address, OTHER.address), TcpHeader(1, 443), TlsHeader(INTERCEPTED, "")
    pair.mobile.receive(Established(wanted, headers), real(wanted, 50_001), pair.now)
    assert pair.mobile.transmits(pair.now) == [Close(real(wanted, 50_001)), Close(path)]
