"""The link survives attackers, losses, hasty moves and forgetful terminals."""

import pytest
from stories import count, first, told

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.scenarios.troubles import ATTACKER, DEAD, ELSEWHERE, FLAPS
from scapy_mobsec.drivers.simulation import BEHIND_OTHER_NAT, UNTRANSLATED
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.events import (
    BindingMoved,
    CountersCorrected,
    Deregistered,
    Moved,
    PacketDropped,
    Registered,
)


@pytest.mark.parametrize(
    ("name", "ends_at", "moves"),
    [
        ("race", ELSEWHERE, 2),
        ("replay", ELSEWHERE, 2),
        ("loss", ELSEWHERE, 4),
        ("flapping", BEHIND_OTHER_NAT, FLAPS),
        ("deregister", Endpoint(ELSEWHERE.address), 2),
        ("stale", BEHIND_OTHER_NAT, 3),
        ("twointerfaces", UNTRANSLATED, 1),
    ],
)
def test_where_x_is_registered_in_the_end(name, ends_at, moves):
    result, mobile, _ = told(name)
    assert result.path.local == ends_at
    assert count(mobile, Moved) == moves
    assert first(reversed(result.mobile_events), Registered).path.local.address == ends_at.address


def bindings(name):
    return [event.new.remote for event in told(name)[2] if isinstance(event, BindingMoved)]


def drops(name):
    return [event.reason for event in told(name)[2] if isinstance(event, PacketDropped)]


def test_a_raced_request_moves_the_binding_and_validation_moves_it_back():
    assert bindings("race") == [UNTRANSLATED, ATTACKER, ELSEWHERE]
    assert drops("race") == [DropReason.REPLAYED]


def test_a_replayed_request_moves_nothing():
    assert bindings("replay") == [UNTRANSLATED, ELSEWHERE]
    assert drops("replay") == [DropReason.REPLAYED]


def test_losses_are_made_good():
    result, _, _ = told("loss")
    requests = [line for line in result.ladder if "RREQ" in line and "CONFIRM" not in line]
    assert len(requests) > len(result.moves)
    assert result.pings // 3 < len(result.inner_mobile) < result.pings


def test_the_end_is_confirmed():
    result, _, _ = told("deregister")
    assert first(result.mobile_events, Deregistered).confirmed


def test_lost_counters_cost_a_round_trip():
    result, _, _ = told("stale")
    assert first(result.mobile_events, CountersCorrected).attempt == 3
    assert DropReason.STALE_ATTEMPT in drops("stale")
    registered = [time for time, event in result.mobile_events if isinstance(event, Registered)]
    assert registered[-1] - result.moves[-1] == pytest.approx(100_000_000, abs=1000)


def test_the_dead_interface_is_tried_first():
    result, _, _ = told("twointerfaces")
    assert first(result.mobile_events, Moved).new.local == DEAD == Endpoint(DEAD.address, NATT_PORT)
