"""Retransmission times, padding and Identification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminals import NEW, path_at_mobile

from scapy_mobsec.registration.serial import is_newer_identification, ntp_timestamp
from scapy_mobsec.terminal.exchange import (
    LONGEST_INTERVAL,
    MAX_EXCHANGES,
    PLANS,
    Exchange,
    Exchanges,
    IdentificationSource,
    Purpose,
    RoundTrip,
)


def middle(length):
    """Randomness that makes no jitter."""
    return b"\x7f\xff"[:length]


def transmissions(random_bytes):
    """When an RREQ without reply is sent, and how long its ESP packet is at least."""
    exchange = Exchange(path_at_mobile(NEW), lifetime=60, started=0.0, next_transmission=0.0)
    sent = []
    while exchange.next_transmission < exchange.gives_up:
        assert exchange.deadline == exchange.next_transmission
        now = exchange.next_transmission
        sent.append((now, exchange.padded_length))
        exchange.transmitted(len(sent), now, random_bytes)
    assert exchange.deadline == exchange.gives_up == 32.0
    return sent, exchange


def test_the_interval_doubles_from_half_a_second_to_eight():
    sent, exchange = transmissions(middle)
    assert [round(now, 2) for now, _ in sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5, 31.5]
    assert [length for _, length in sent] == [1200, 1200] + 6 * [500]
    assert list(exchange.outstanding) == list(range(1, 9))


def test_measured_round_trips_are_the_first_guess():
    round_trip, guesses = RoundTrip(), []
    for seconds in (0.05, 0.5, 0.5, 2.0, 20.0):
        guesses.append(round_trip.first_interval)
        round_trip.measured(seconds)
    guesses.append(round_trip.first_interval)
    assert [round(each, 2) for each in guesses] == [0.5, 0.5, 0.63, 0.94, 2.82, 3.0]
    assert round_trip.guess == LONGEST_INTERVAL


def test_the_first_guess_is_longer_than_the_round_trip_with_its_jitter():
    round_trip = RoundTrip()
    for _ in range(100):
        round_trip.measured(0.6)
    assert round_trip.first_interval == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("purpose", "times", "over"),
    [
        (Purpose.REGISTER, [0, 2, 6, 14, 22, 30], 32),
        (Purpose.IMPROVE, [0, 2, 4], 6),
        (Purpose.WATCH, [0, 2], 4),
        (Purpose.KEEPALIVE, [0, 0.5, 1], 3),
    ],
)
def test_no_interval_is_shorter_but_those_of_keepalives(purpose, times, over):
    exchange = Exchange(path_at_mobile(NEW), 60, 0.0, 0.0, purpose, first_interval=2.0)
    for number, now in enumerate(times):
        assert exchange.next_transmission == pytest.approx(now, abs=1e-3)
        exchange.transmitted(number, exchange.next_transmission, middle)
    assert exchange.gives_up == over


@pytest.mark.parametrize(("guess", "over"), [(0.5, 3), (2.5, 3.5), (8.0, 9)])
def test_the_last_keepalive_waits_as_long_as_an_answer_may_take(guess, over):
    exchange = Exchange(path_at_mobile(NEW), 60, 0.0, 0.0, Purpose.KEEPALIVE, guess=guess)
    for number, now in enumerate([0, 0.5, 1]):
        assert exchange.next_transmission == now
        exchange.transmitted(number, now, middle)
    assert exchange.gives_up == over


@pytest.mark.parametrize(("octets", "factor"), [(b"\0\0", 0.9), (b"\xff\xff", 1.1)])
def test_jitter_is_a_tenth(octets, factor):
    sent, exchange = transmissions(lambda length: octets)
    assert sent[1][0] == pytest.approx(0.5 * factor)
    assert sent[5][0] - sent[4][0] == pytest.approx(8 * factor)
    assert len(exchange.outstanding) <= 9


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_identification_rises_whatever_the_clock_does(steps):
    source, now, last = IdentificationSource(), 1.8e9, None
    for step in steps:
        now += step
        value = source.next(now)
        assert last is None or is_newer_identification(value, last)
        assert value == ntp_timestamp(now) or value == (last + 1) % 2**64
        last = value


def test_identification_goes_on_above_what_it_is_told():
    source = IdentificationSource()
    source.skip(ntp_timestamp(3e9))
    assert source.next(1.8e9) == ntp_timestamp(3e9) + 1
    source.skip(5)
    assert source.next(1.8e9) == ntp_timestamp(3e9) + 2


@pytest.mark.parametrize(
    ("purpose", "times", "over"),
    [
        (Purpose.KEEPALIVE, [0, 0.5, 1.0], 3.0),
        (Purpose.WATCH, [0, 0.5], 1.5),
        (Purpose.IMPROVE, [0, 0.5, 1.5], 3.5),
        (Purpose.TRY, [0, 0.5, 1.5], 3.5),
    ],
)
def test_probes_are_few_and_quick(purpose, times, over):
    exchange = Exchange(path_at_mobile(NEW), 60, 0.0, 0.0, purpose)
    sent = []
    while exchange.next_transmission < exchange.gives_up:
        sent.append(exchange.next_transmission)
        exchange.transmitted(len(sent), sent[-1], middle)
    assert (sent, exchange.gives_up) == (times, over)


def test_every_purpose_has_its_plan():
    assert set(PLANS) == set(Purpose)


def test_a_stream_is_opened_again_at_the_times_of_a_retransmission():
    exchange, times = Exchange(path_at_mobile(NEW), 60, 0.0, 0.0), [0.0]
    for _ in range(6):
        exchange.postpone(times[-1])
        times.append(exchange.next_transmission)
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5]


def exchanges_with(*identifications):
    found = Exchanges()
    for identification in identifications:
        exchange = Exchange(path_at_mobile(NEW), 60, 0.0, 0.0)
        exchange.outstanding[identification] = 0.0
        found.add(exchange)
    return found


def test_exchanges_are_found_by_identification():
    found = exchanges_with(0x1_0000_0005, 0x1_0000_0006)
    assert 0x1_0000_0006 in found.find(0x1_0000_0006).outstanding
    assert found.find(6) is None
    assert 0x1_0000_0005 in found.find_low_word(0x9_0000_0005).outstanding
    assert found.find_low_word(7) is None


def test_exchanges_are_bounded_the_oldest_goes():
    found = exchanges_with(*range(MAX_EXCHANGES + 1))
    assert len(list(found)) == MAX_EXCHANGES
    assert found.find(0) is None
    assert found.find(MAX_EXCHANGES)


def test_the_next_deadline():
    found = exchanges_with(1, 2)
    first, second = found
    first.next_transmission, second.next_transmission = 5.0, 3.0
    assert found.deadline == 3.0
    found.remove(second)
    assert found.deadline == 5.0
    found.clear()
    assert found.deadline is None


def test_a_brief_one_is_two_transmissions():
    exchange = Exchange(path_at_mobile(NEW), 60, started=0.0, next_transmission=0.0, brief=True)
    sent = []
    while exchange.next_transmission < exchange.gives_up:
        sent.append(exchange.next_transmission)
        exchange.transmitted(len(sent), sent[-1], middle)
    assert sent == [0.0, 0.5]
    assert exchange.gives_up == 1.5
