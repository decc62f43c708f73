"""The capture of each scenario decodes to the story that the terminals' events tell."""

import io

import pytest
from stories import result_of, told

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.keyfiles import read_keys, write_esp_sa
from scapy_mobsec.drivers.scenarios import CAPTURED_AT, SCENARIOS
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.packet.path import Path
from scapy_mobsec.terminal.events import (
    BindingMoved,
    FellBack,
    Moved,
    PathChosen,
    Registered,
    RegistrationReceived,
)

RAW_IP = 101

each_scenario = pytest.mark.parametrize("name", SCENARIOS)


def decoded(result, tap=CAPTURED_AT):
    keys = io.StringIO()
    write_esp_sa(result.sas, keys)
    keys.seek(0)
    observer = Observer(read_keys(keys, "keys"))
    for time_ns, packet in result.captures[tap]:
        observer.feed(time_ns, packet, RAW_IP)
    return observer.report()


def of(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


def answered(report):
    """Return the registrations with an RREP that accepts."""
    return [entry for entry in report.registrations if entry.reply]


def as_received(entry):
    """Return what Y tells of an RREQ, as the capture shows it."""
    request = entry.request
    number, identification = request.attempt.number, request.identification
    return number, identification, request.sent, entry.observed, entry.translations


def without_repetition(paths):
    return [path for before, path in zip([None, *paths], paths, strict=False) if path != before]


def paths_told(events):
    """Return the paths that X used, one after the other."""
    used = [
        event.path if isinstance(event, Registered) else event.new
        for event in of(events, Moved, Registered, PathChosen, FellBack)
    ]
    return without_repetition([path for path in used if path])


def paths_decoded(report, to_other):
    """Return where the link was, one after the other, from X to Y."""

    def path(outer, spi):
        outer = outer if spi == to_other.spi else outer.reversed()
        return Path(outer.encapsulation, outer.source_endpoint, outer.destination_endpoint)

    moves = report.moves
    if moves:
        return [path(moves[0].old, moves[0].spis[0])] + [path(m.new, m.spis[0]) for m in moves]
    return [path(sa.spans[0].outer, sa.spi) for sa in report.sas if sa.spi == to_other.spi]


@each_scenario
def test_what_was_registered(name):
    """Y tells of each RREQ that it accepted; what X had an answer to is among them."""
    result, _, other = told(name)
    received = [
        (event.attempt, event.identification, event.sent, event.observed, event.translations)
        for event in of(other, RegistrationReceived)
    ]
    seen = [as_received(entry) for entry in answered(decoded(result))]
    assert seen
    assert [one for one in received if one in seen] == sorted(seen, key=received.index)


@each_scenario
def test_attempts_and_translations_as_x_tells_them(name):
    result, mobile, _ = told(name)
    entries = answered(decoded(result))
    for event in of(mobile, Registered):
        (entry,) = [
            entry
            for entry in entries
            if entry.request.attempt.number == event.attempt
            and entry.request.sent == event.sent
            and not entry.request.attempt.flags & AttemptFlag.PROBE
            and entry.round_trip_ns / 1e9 == pytest.approx(event.rtt)
        ]
        assert entry.observed == event.observed
        assert entry.translations == event.translations
        assert entry.reply_translations == event.reply_translations
        assert entry.asked.captured == event.sent
    assert {entry.request.attempt.number for entry in entries} == {
        event.attempt for event in of(mobile, Registered)
    }


@each_scenario
def test_paths_and_moves(name):
    result, mobile, _ = told(name)
    assert paths_decoded(decoded(result), result.sas[0]) == paths_told(mobile)


@each_scenario
def test_every_packet_is_read(name):
    report = decoded(result_of(name))
    assert report.summary.packets == len(result_of(name).captures[CAPTURED_AT])
    assert report.summary.verified == report.summary.esp
    assert not report.drops


def test_at_y_the_other_side_of_the_translator_is_seen():
    result, mobile, other = told("handover")
    report = decoded(result, "other")
    for entry, event in zip(report.registrations, of(mobile, Registered), strict=True):
        assert entry.asked.captured == event.observed
        assert entry.translations == event.translations
        assert entry.reply_translations == ()
    bindings = of(other, BindingMoved)
    assert [(move.left, move.reached) for move in report.moves] == [
        (event.old.remote, event.new.remote) for event in bindings[1:]
    ]
    assert all(move.signalled for move in report.moves)
