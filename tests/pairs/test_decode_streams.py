"""ESP in streams: what is decoded from a capture is what X and Y tell."""

import io

import pytest
from play import HTTP, HTTP_POST, SAS, TCP, TLS, UDP, Play, nat

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.keyfiles import read_keys, write_esp_sa
from scapy_mobsec.drivers.memory import NO_UDP, Interceptor, Loss, Rewriting
from scapy_mobsec.drivers.simulation import BEHIND_OTHER_NAT
from scapy_mobsec.drops import DropReason
from scapy_mobsec.encap.key_log import KeyLog, Secrets
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.events import Registered, RegistrationReceived

RAW_IP = 101

IN_CLEAR = [TCP, HTTP, HTTP_POST]
each_carrier = pytest.mark.parametrize("kind", [*IN_CLEAR, TLS], ids=lambda kind: kind.value)
each_in_clear = pytest.mark.parametrize("kind", IN_CLEAR, ids=lambda kind: kind.value)


def items_of(*kinds):
    return tuple(EncapsulationItem(kind.code, port=443 if kind is TLS else 4500) for kind in kinds)


def decoded(play, tap="mobile", skip=lambda frame: False, tls_keys=None):
    keys = io.StringIO()
    write_esp_sa(SAS, keys)
    keys.seek(0)
    tls_keys = play.network.tls_keys if tls_keys is None else tls_keys
    observer = Observer(read_keys(keys, "keys"), tls_keys=tls_keys)
    for number, (time_ns, packet) in enumerate(play.taps[tap].capture()):
        if not skip(number):
            observer.feed(time_ns, packet, RAW_IP)
    observer.finish()
    return observer.report()


def of_attempts(report):
    """The registrations that were no probes."""
    return [
        entry
        for entry in report.registrations
        if not entry.request.attempt.flags & AttemptFlag.PROBE
    ]


def handover(kind, *elements):
    """X registers behind one NAT, and moves behind another; pings before and after."""
    play = Play(nat(), items=items_of(kind)).move()
    play.ping(1)
    other_nat = nat(external="192.0.2.129")
    there = play.place_behind(other_nat, outside="192.0.2.129")
    play.mobile.move(there, BEHIND_OTHER_NAT)
    play.ping(1)
    return play


@each_carrier
def test_a_handover_is_told_as_x_tells_it(kind):
    play = handover(kind)
    report = decoded(play)
    told = play.told(Registered)
    entries = of_attempts(report)
    assert len(told) == len(entries) == 2
    for entry, event in zip(entries, told, strict=True):
        assert entry.asked.captured == entry.request.sent == event.sent
        assert entry.observed == event.observed
        assert entry.translations == event.translations == entry.told
        assert entry.reply_translations == event.reply_translations
        assert entry.round_trip_ns / 1e9 == pytest.approx(event.rtt, abs=1e-6)
    (move,) = report.moves
    assert move.new.encapsulation is kind
    assert (move.old.source_endpoint, move.new.source_endpoint) == tuple(
        event.path.local for event in told
    )
    assert move.signalled
    assert report.summary.verified == report.summary.esp > 40
    assert not report.drops


@each_carrier
def test_at_y_the_other_side_of_the_translator_is_seen(kind):
    play = handover(kind)
    report = decoded(play, "other")
    for entry, event in zip(of_attempts(report), play.told(Registered), strict=True):
        assert entry.asked.captured == entry.observed == event.observed
        assert entry.translations == event.translations
        assert entry.reply_translations == ()
    (move,) = report.moves
    assert (move.old.source, move.new.source) == (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 129]))


@pytest.mark.parametrize("tap", ["mobile", "other"])
def test_what_a_proxy_does_to_http(tap):
    items = (EncapsulationItem(HTTP.code, port=80),)
    play = Play(Interceptor([80], rewriting=Rewriting(via="proxy")), items=items)
    play.other.listen(80)
    play.move().ping(1)
    (entry,) = of_attempts(decoded(play, tap))
    (event,) = play.told(Registered)
    assert entry.translations == event.translations != ()
    captured = event.sent if tap == "mobile" else event.observed
    assert entry.asked.captured == captured
    assert entry.reply_translations == (event.reply_translations if tap == "mobile" else ())


@each_carrier
def test_from_udp_to_a_stream_the_encapsulation_changes(kind):
    play = Play(nat(), items=items_of(UDP, kind)).move()
    play.ping(1)
    play.firewall.blocks = (NO_UDP,)
    play.wait(110)
    assert play.encapsulation is kind
    report = decoded(play)
    (move,) = report.moves
    assert (move.old.encapsulation, move.new.encapsulation) == (UDP, kind)
    observed = [entry.observed for entry in of_attempts(report) if entry.reply]
    assert observed == [event.observed for event in play.told(Registered)]


@each_carrier
@pytest.mark.parametrize("seed", range(2))
def test_losses_and_repetitions_change_nothing(kind, seed):
    loss = Loss(0.2, in_a_row=8)
    play = Play(nat(), loss, items=items_of(kind), seed=seed).move()
    play.ping(20)
    loss.probability = 0.0
    play.wait(20)
    for tap in ("mobile", "other"):
        report = decoded(play, tap)
        assert report.summary.verified == report.summary.esp > 200
        assert not report.drops
        told = [event.observed for event in play.told(Registered)]
        assert {entry.observed for entry in of_attempts(report)} == set(told)


@each_in_clear
def test_a_capture_that_begins_in_mid_stream(kind):
    play = handover(kind)
    whole = decoded(play)
    report = decoded(play, skip=lambda number: number < 15)
    assert whole.summary.esp - report.summary.esp < 10
    assert report.summary.verified == report.summary.esp
    assert not report.drops
    assert report.moves == [] or report.moves[0].new.encapsulation is kind
    assert len(report.moves) == 1


@each_in_clear
def test_frames_that_were_not_captured(kind):
    play = handover(kind)
    whole = decoded(play).summary
    report = decoded(play, skip=lambda number: number in (20, 41))
    assert whole.esp - 6 < report.summary.esp < whole.esp
    assert report.summary.verified == report.summary.esp
    assert set(report.drops) == {DropReason.TCP_GAP}
    assert len(report.moves) == 1


@pytest.mark.parametrize("frame", [5, 20], ids=["in the handshake", "in the data"])
def test_tls_is_not_read_behind_a_gap(frame):
    play = handover(TLS)
    whole = decoded(play).summary
    report = decoded(play, skip=lambda number: number == frame)
    assert (report.summary.tls, whole.tls) == (1, 0)
    assert 0 < report.summary.esp < whole.esp
    assert report.summary.verified == report.summary.esp
    assert set(report.drops) == {DropReason.TCP_GAP}


def test_tls_without_secrets_is_counted_and_not_opened():
    play, other = handover(TLS), KeyLog()
    other.add(bytes(32), Secrets(*(bytes(32) for _ in range(4))))
    for keys in (KeyLog(), other):
        report = decoded(play, tls_keys=keys)
        assert (report.summary.tls, report.summary.esp) == (2, 0)
        assert not report.drops


@each_carrier
def test_what_y_accepted(kind):
    """Probes too."""
    play = handover(kind)
    told = [event for _, event in play.other.log if isinstance(event, RegistrationReceived)]
    assert [(entry.request.sent, entry.translations) for entry in decoded(play).registrations] == [
        (event.sent, event.translations) for event in told
    ]
