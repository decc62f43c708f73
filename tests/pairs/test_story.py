"""A capture of the simulated handover decodes to the story that the terminals' events tell."""

import io

import pytest

from scapy_mobsec.drivers.keyfiles import read_keys, write_esp_sa
from scapy_mobsec.drivers.simulation import run_handover
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.terminal.events import BindingMoved, Moved, Registered, RegistrationReceived

RAW_IP = 101


@pytest.fixture(scope="module", params=[1, 2], ids="seed {}".format)
def result(request):
    return run_handover(seed=request.param)


def told(events, kind):
    return [event for _, event in events if isinstance(event, kind)]


def decoded(result, tap):
    keys = io.StringIO()
    write_esp_sa(result.sas, keys)
    keys.seek(0)
    observer = Observer(read_keys(keys, "keys"))
    for time_ns, packet in result.captures[tap]:
        observer.feed(time_ns, packet, RAW_IP)
    return observer.report()


@pytest.mark.parametrize("tap", ["mobile", "other"])
def test_registrations_and_their_translations(result, tap):
    report = decoded(result, tap)
    registered = told(result.mobile_events, Registered)
    received = told(result.other_events, RegistrationReceived)
    assert len(report.registrations) == len(registered) == len(received) == 3
    for entry, at_mobile, at_other in zip(report.registrations, registered, received, strict=True):
        assert entry.request.attempt.number == at_mobile.attempt == at_other.attempt
        assert entry.request.identification == at_other.identification
        assert entry.request.sent == at_mobile.sent == at_other.sent
        assert entry.observed == at_mobile.observed == at_other.observed
        assert entry.translations == at_other.translations
        assert entry.translations == at_mobile.translations
        assert entry.home_address == at_other.home_address
        assert entry.accepted


def test_each_end_sees_its_own_side_of_the_translator(result):
    at_mobile, at_other = decoded(result, "mobile"), decoded(result, "other")
    registered = told(result.mobile_events, Registered)
    pairs = zip(at_mobile.registrations, at_other.registrations, registered, strict=True)
    for inside, outside, event in pairs:
        assert inside.asked.captured == event.sent
        assert outside.asked.captured == event.observed
        assert inside.reply_translations == event.reply_translations
        assert outside.reply_translations == ()
        assert inside.round_trip_ns / 1e9 == pytest.approx(event.rtt)


def test_moves(result):
    moved = told(result.mobile_events, Moved)
    report = decoded(result, "mobile")
    assert [(move.left, move.reached) for move in report.moves] == [
        (event.old.local, event.new.local) for event in moved[1:]
    ]
    bindings = told(result.other_events, BindingMoved)
    report = decoded(result, "other")
    assert [(move.left, move.reached) for move in report.moves] == [
        (event.old.remote, event.new.remote) for event in bindings[1:]
    ]
    assert all(move.signalled for move in report.moves)


@pytest.mark.parametrize("tap", ["mobile", "other"])
def test_every_packet_is_verified_and_nothing_is_dropped(result, tap):
    report = decoded(result, tap)
    assert report.summary.verified == report.summary.packets == len(result.captures[tap])
    assert report.drops == {}
