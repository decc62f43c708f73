"""The capture of each scenario decodes to the story that the terminals' events tell."""

import io
import json
from collections import Counter

import pytest
from stories import result_of

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.keyfiles import read_keys, write_esp_sa
from scapy_mobsec.drivers.scenarios import SCENARIOS
from scapy_mobsec.drops import DropReason
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.terminal.events import (
    BindingMoved,
    FellBack,
    MoveCause,
    Moved,
    PacketDropped,
    PathChosen,
    Registered,
    RegistrationReceived,
)
from scapy_mobsec.ui.cli import main
from scapy_mobsec.ui.demo import write_capture

RAW_IP = 101
ROUND_TRIP_NS = 50_001_000
"""With what rounding takes."""
SHOWN_DROPS = DropReason.REPLAYED, DropReason.BAD_ICV, DropReason.HTTP_REFUSED
"""What a decoder with the keys drops, too."""

each_scenario = pytest.mark.parametrize("name", SCENARIOS)


def decoded(result, tap):
    keys = io.StringIO()
    write_esp_sa(result.sas, keys)
    keys.seek(0)
    tls_keys = KeyLog()
    tls_keys.read(result.tls_keys.splitlines())
    observer = Observer(read_keys(keys, "keys"), tls_keys=tls_keys)
    for time_ns, packet in result.captures[tap]:
        observer.feed(time_ns, packet, RAW_IP)
    return observer.report()


def of(log, *kinds):
    return [event for _, event in log if isinstance(event, kinds)]


def answered(report):
    """Return the registrations with an RREP that accepts."""
    return [entry for entry in report.registrations if entry.reply]


def received(event):
    """Return what Y tells of an RREQ."""
    number, identification = event.attempt, event.identification
    return number, identification, event.sent, event.observed, event.translations


def as_received(entry):
    """Return what Y tells of an RREQ, as the capture shows it."""
    attempt, identification = entry.request.attempt, entry.request.identification
    return attempt.number, identification, entry.request.sent, entry.observed, entry.translations


def without_repetition(paths):
    return [path for before, path in zip([None, *paths], paths, strict=False) if path != before]


def paths_of_x(result):
    """Return the paths that X used, one after the other, as it tells.

    A stream that is yet to be opened has no port, and is in no capture.
    """
    used = [
        event.path if isinstance(event, Registered) else event.new
        for event in of(result.mobile_events, Moved, Registered, PathChosen, FellBack)
    ]
    datagrams = (Encapsulation.NATIVE, Encapsulation.UDP)
    return without_repetition(
        [path for path in used if path.local.port or path.encapsulation in datagrams]
    )


def paths_of_y(result):
    """Return the paths that Y used, one after the other, as it tells; from X to Y."""
    moves = of(result.other_events, BindingMoved)
    return without_repetition(
        [
            Path(each.new.encapsulation, each.new.remote, each.new.local, each.new.ah)
            for each in moves
        ]
    )


def paths_decoded(report, sas):
    """Return where the link was, one after the other, from X to Y. `sas`: to Y, to X in turn."""
    to_other = {sa.spi for sa in sas[::2]}

    def path(outer, spi):
        outer = outer if spi in to_other else outer.reversed()
        ends = outer.source_endpoint, outer.destination_endpoint
        return Path(outer.encapsulation, *ends, outer.ah)

    moves = report.moves
    if moves:
        paths = [path(moves[0].old, moves[0].spis[0])] + [path(m.new, m.spis[0]) for m in moves]
        assert paths[:-1] == [path(each.old, each.spis[0]) for each in moves]
        return paths
    return [path(sa.spans[0].outer, sa.spi) for sa in report.sas if sa.spi in to_other]


@each_scenario
@pytest.mark.parametrize("tap", ["mobile", "other"])
def test_requests_as_y_tells_them(name, tap):
    """At Y all that it accepted; at X those whose RREP came back."""
    result = result_of(name)
    told = [received(event) for event in of(result.other_events, RegistrationReceived)]
    seen = [as_received(entry) for entry in answered(decoded(result, tap))]
    assert seen
    assert seen == (told if tap == "other" else [one for one in told if one in seen])


@each_scenario
def test_registrations_as_x_tells_them(name):
    result = result_of(name)
    entries = answered(decoded(result, "mobile"))
    for time_ns, event in result.mobile_events:
        if not isinstance(event, Registered):
            continue
        (entry,) = [
            entry
            for entry in entries
            if entry.answered.time_ns == time_ns and entry.reply.attempt.flags & AttemptFlag.USE
        ]
        assert entry.request.attempt.number == event.attempt
        assert entry.request.sent == entry.asked.captured == event.sent
        assert entry.observed == event.observed
        assert entry.translations == event.translations
        assert entry.reply_translations == event.reply_translations
        assert entry.round_trip_ns / 1e9 == pytest.approx(event.rtt, abs=1e-6)


@each_scenario
def test_paths_and_moves_at_x(name):
    result = result_of(name)
    assert paths_decoded(decoded(result, "mobile"), result.sas) == paths_of_x(result)


@each_scenario
def test_paths_and_moves_at_y(name):
    result = result_of(name)
    assert paths_decoded(decoded(result, "other"), result.sas) == paths_of_y(result)


@each_scenario
@pytest.mark.parametrize("tap", ["mobile", "other"])
def test_every_packet_is_read_and_dropped_as_they_do(name, tap):
    result = result_of(name)
    report = decoded(result, tap)
    assert report.summary.packets == len(result.captures[tap])
    log = result.other_events if tap == "other" else result.mobile_events
    told = Counter(event.reason for event in of(log, PacketDropped))
    drops = {reason: told[reason] for reason in SHOWN_DROPS if told[reason]}
    assert report.drops == drops
    opened = report.summary.verified + told[DropReason.BAD_ICV]
    assert opened == report.summary.esp + report.summary.ah


@each_scenario
def test_refused_requests(name):
    result = result_of(name)
    drops = of(result.other_events, PacketDropped)
    stale = [event for event in drops if event.reason is DropReason.STALE_ATTEMPT]
    requests = [event for event in stale if not event.detail.startswith("CONFIRM")]
    assert len(decoded(result, "other").refused) == len(requests)


CAUSES = {
    MoveCause.REQUEST: "registration",
    MoveCause.RESPONSE: "validation",
    MoveCause.USE: "registration",
    MoveCause.REBINDING: "data",
    MoveCause.FAILURE: "data",
}


def carrier(path):
    return "ah" if path.ah else path.encapsulation.value


def moves_told(result):
    """Return when and to which carrier the link moved, and why: as Y tells, and X of itself.

    What X begins is a move at X, also where its RREQs are lost.
    """
    told = [
        (time_ns, carrier(event.new), CAUSES[event.cause])
        for time_ns, event in result.other_events
        if isinstance(event, BindingMoved)
    ]
    if result.shown == "mobile":
        told += [
            (time_ns, carrier(event.new), "registration")
            for time_ns, event in result.mobile_events
            if isinstance(event, Moved)
        ]
    return told


def moves_of_file(result, folder, capsys):
    """Return the same as `mobsec decode` reads it in the file that the demo writes."""
    keys, _ = write_capture(result, folder / "x.pcapng")
    with pytest.raises(SystemExit) as stopped:
        main(["decode", "-T", "json", str(folder / "x.pcapng"), "-k", str(keys)])
    assert stopped.value.code == 0
    moves = json.loads(capsys.readouterr().out)["moves"]
    assert not any(move["refused"] for move in moves)
    return [
        (round(move["time"] * 1e9), move["new"]["encapsulation"], cause_of(move)) for move in moves
    ]


def cause_of(move):
    """Data may have come before the RREQ that belongs to the move."""
    overtook = move["evidence"] == "data" and move["signalled"]
    return "registration" if overtook else move["evidence"]


def agree(one, other):
    return abs(one[0] - other[0]) <= ROUND_TRIP_NS and one[1:] == other[1:]


@each_scenario
def test_the_file_that_is_written_tells_when_and_why_the_link_moved(name, tmp_path, capsys):
    result = result_of(name)
    told, found = moves_told(result), moves_of_file(result, tmp_path, capsys)
    assert [move for move in found if not any(agree(move, one) for one in told)] == []
    if result.shown == "other":
        moved = [one for one in told[1:] if not any(agree(one, move) for move in found)]
        assert moved == []
