"""Scenarios run: timing, translations told, and the same octets for the same seed."""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from contrib_layers.numbers import NatureCode
from scapy_mobsec.drivers.memory import EPOCH, SECOND
from scapy_mobsec.drivers.scenarios import SCENARIOS, run
from scapy_mobsec.drivers.scenarios.scenario import Pings
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    HOME,
    INNER_HOST,
    UNTRANSLATED,
    build_topology,
)
from scapy_mobsec.packet.ip import internet_checksum, parse_ip, parse_udp
from scapy_mobsec.terminal.events import (
    BindingMoved,
    ChallengeAnswered,
    Moved,
    PathValidated,
    Registered,
    RegistrationReceived,
)

HANDOVER = SCENARIOS["handover"]


@pytest.fixture(scope="module")
def result():
    return run(HANDOVER, 7)


def of_type(events, kind):
    return [(time_ns, event) for time_ns, event in events if isinstance(event, kind)]


def test_same_seed_same_octets(result):
    again = run(HANDOVER, 7)
    assert again == result
    assert run(HANDOVER, 8).captures != result.captures


def test_the_story_at_x(result):
    kinds = {type(event) for _, event in result.mobile_events}
    assert kinds == {Moved, Registered, ChallengeAnswered}
    assert [event.new.local for _, event in of_type(result.mobile_events, Moved)] == [
        UNTRANSLATED,
        BEHIND_NAT,
        BEHIND_OTHER_NAT,
    ]
    for _, event in of_type(result.mobile_events, Registered):
        assert event.rtt == pytest.approx(0.05, abs=1e-6)


def test_the_story_at_y(result):
    kinds = {type(event) for _, event in result.other_events}
    assert kinds == {RegistrationReceived, BindingMoved, PathValidated}
    moved = of_type(result.other_events, BindingMoved)
    assert [str(event.new.remote).partition(":")[0] for _, event in moved] == [
        "198.51.100.2",
        "192.0.2.1",
        "192.0.2.129",
    ]
    assert [time_ns for time_ns, _ in moved] == [at + SECOND // 40 for at in result.moves]


def test_translations_are_told_and_found_at_both_ends(result):
    registered = [event for _, event in of_type(result.mobile_events, Registered)]
    received = [event for _, event in of_type(result.other_events, RegistrationReceived)]
    assert [len(event.translations) for event in registered] == [0, 2, 2]
    for at_mobile, at_other in zip(registered, received, strict=True):
        assert at_mobile.translations == at_other.translations
        assert at_mobile.observed == at_other.observed
        assert len(at_mobile.reply_translations) == len(at_mobile.translations)
        natures = {one.nature for one in (*at_mobile.translations, *at_mobile.reply_translations)}
        assert natures <= {NatureCode.ADDRESS_AND_PORT}


def test_first_data_half_a_round_trip_and_one_round_trip_after_the_move(result):
    for moved in result.moves:
        assert next(at - moved for at, _ in result.inner_other if at > moved) == SECOND // 40
        assert next(at - moved for at, _ in result.inner_mobile if at > moved) == SECOND // 20


@pytest.mark.parametrize("round_trip", [0.1, 0.5])
def test_the_same_at_longer_round_trips(round_trip):
    longer = replace(HANDOVER, build=partial(build_topology, round_trip=round_trip))
    result = run(longer)
    whole = round(round_trip * SECOND)
    for moved in result.moves:
        assert any(at == moved + whole // 2 for at, _ in result.inner_other)
        assert any(at == moved + whole for at, _ in result.inner_mobile)


def test_every_ping_is_answered(result):
    assert len(result.inner_other) == len(result.inner_mobile) == result.pings
    for number, (_, packet) in enumerate(result.inner_mobile):
        ip = parse_ip(packet)
        assert (ip.source, ip.destination) == (INNER_HOST, HOME)
        assert internet_checksum(ip.payload) == 0
        assert (ip.payload[0], int.from_bytes(ip.payload[6:8], "big")) == (0, number)


def test_the_captures(result):
    assert set(result.captures) == {"mobile", "other"}
    for capture in result.captures.values():
        times = [time_ns for time_ns, _ in capture]
        assert times == sorted(times)
        assert times[0] >= EPOCH * SECOND
        for _, octets in capture:
            ip = parse_ip(octets)
            assert internet_checksum(octets[:20]) == 0
            assert parse_udp(ip, verify=True).payload
    # of each ping both ways; of each move RREQ, RREP and CONFIRM
    passed = 2 * result.pings + 3 * len(result.moves)
    assert len(result.captures["mobile"]) == len(result.captures["other"]) == passed


def test_no_sequence_number_twice(result):
    for capture in result.captures.values():
        payloads = [parse_udp(parse_ip(octets)).payload for _, octets in capture]
        assert set(Counter(payload[:8] for payload in payloads).values()) == {1}
        assert {payload[:4] for payload in payloads} == {
            sa.spi.to_bytes(4, "big") for sa in result.sas
        }


def test_the_picture_shows_who_was_where(result):
    assert "X 10.0.0.2 (from 1 s until 2 s)" in result.picture
    assert "Y 203.0.113.2" in result.picture


def test_the_ladder_shows_what_the_tap_saw(result):
    assert len(result.ladder) == len(result.captures["mobile"])
    assert result.ladder[0] == "0 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1"


def test_where_x_is_in_the_end(result):
    assert result.path.local == BEHIND_OTHER_NAT
    too_short = replace(HANDOVER, duration=1.04)  # the RREP is under way
    assert run(too_short).path is None


def test_pings_end_when_told():
    result = run(replace(HANDOVER, pings=Pings(every=0.5, until=1.0)))
    assert result.pings == len(result.inner_mobile) == 2
