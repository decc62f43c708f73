"""Freshness as a numbered truth table, and against a slow oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminals import START, a_request

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.flat import values_of
from scapy_mobsec.registration.messages import Attempt
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.registration.transitions import OtherEvent, OtherState
from scapy_mobsec.terminal.binding import Binding, IdentificationWindow

MOVE, RENEW, DEREGISTER = OtherEvent.MOVE, OtherEvent.RENEW, OtherEvent.DEREGISTER
STALE_ATTEMPT, STALE = DropReason.STALE_ATTEMPT, DropReason.STALE_IDENTIFICATION
UNEXPECTED = DropReason.UNEXPECTED_MESSAGE
PROBE, USE = AttemptFlag.PROBE, AttemptFlag.USE
TOP = 2**64


def outcome(binding, number, identification, lifetime=60, flags=0):
    """What a request does: an event, None, or the reason of its drop."""
    attempt = Attempt(number, flags)
    request = values_of(
        a_request(identification=identification, lifetime=lifetime, attempt=attempt)
    )
    try:
        event = binding.check(request)
    except Drop as drop:
        return drop.reason
    binding.accept(request, event)
    return event


@pytest.mark.parametrize(
    "steps",
    [
        # attempt, Identification, [lifetime, [flags]] -> outcome
        [(1, 100, MOVE), (1, 101, RENEW), (2, 102, MOVE), (1, 103, STALE_ATTEMPT)],
        [(1, 100, MOVE), (1, 100, STALE), (1, 99, RENEW), (1, 99, STALE)],
        [(1, 100, MOVE), (2, 100, STALE), (2, 99, STALE), (2, 101, MOVE), (2, 100, STALE)],
        [(1, 100, MOVE), (1, 50, RENEW), (2, 60, STALE), (2, 101, MOVE), (2, 60, STALE)],
        [(7, TOP - 1, MOVE), (8, 1, MOVE), (8, TOP - 1, STALE), (8, 0, RENEW)],
        [(2**32 - 1, 1, MOVE), (0, 2, MOVE), (2**32 - 1, 3, STALE_ATTEMPT)],
        [(1, 100, MOVE), (1, 101, 0, DEREGISTER), (1, 102, UNEXPECTED), (2, 103, MOVE)],
        [(1, 100, MOVE), (2, 101, 0, DEREGISTER), (2, 102, UNEXPECTED), (3, 103, MOVE)],
        [(1, 100, MOVE), (1, 101, 0, DEREGISTER), (1, 102, 0, DEREGISTER)],
        [(1, 100, 60, PROBE, None), (1, 101, MOVE)],
        [(1, 100, MOVE), (2, 101, 60, PROBE, None), (1, 102, STALE_ATTEMPT), (2, 102, MOVE)],
        [(1, 100, MOVE), (2, 101, 60, USE, None), (2, 102, MOVE), (2, 103, RENEW)],
        [(1, 100, MOVE), (1, 101, 0, PROBE, None), (1, 102, RENEW)],
    ],
)
def test_truth_table(steps):
    binding = Binding()
    for number, identification, *rest, expected in steps:
        assert outcome(binding, number, identification, *rest) is expected


def test_a_refused_request_changes_nothing():
    binding = Binding()
    outcome(binding, 5, 100)
    for number, identification in ((4, 200), (5, 100), (6, 100)):
        assert isinstance(outcome(binding, number, identification), DropReason)
    assert binding.last_attempt == 5
    assert outcome(binding, 6, 101) is MOVE


def test_after_expiry_the_same_attempt_suffices():
    binding = Binding()
    outcome(binding, 1, 100)
    binding.expire()
    assert binding.state is OtherState.EXPIRED
    assert outcome(binding, 1, 101) is MOVE
    assert binding.state is OtherState.BOUND


def test_64_values_are_kept_and_below_all_of_them_is_stale():
    window = IdentificationWindow()
    window.add(1000, new_attempt=True)
    for value in range(900, 963):
        window.check(value, new_attempt=False)
        window.add(value, new_attempt=False)
    window.check(899, new_attempt=False)
    assert len(window._seen) == 64
    window.add(1001, new_attempt=False)
    assert len(window._seen) == 64
    for stale in (899, 900, 901, 1001):
        with pytest.raises(Drop) as caught:
            window.check(stale, new_attempt=False)
        assert caught.value.reason is DropReason.STALE_IDENTIFICATION
    window.check(963, new_attempt=False)


def test_a_full_window_lets_nothing_of_the_attempt_before_in_again():
    window = IdentificationWindow()
    for value in range(0, 100, 2):
        window.add(value, new_attempt=value == 0)
    for value in range(200, 230):
        window.add(value, new_attempt=value == 200)
    with pytest.raises(Drop):
        window.check(97, new_attempt=False)
    window.check(99, new_attempt=False)


@given(
    st.integers(0, TOP - 1),
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0, 0, 0, 0, 1])), max_size=200),
)
def test_window_against_an_oracle_without_bound(base, steps):
    """Whatever was accepted before is never accepted again; a new value above all always is."""
    window, accepted, highest, attempt_floor = IdentificationWindow(), set(), None, None
    for offset, new in steps:
        value, new_attempt = (base + offset) % TOP, bool(new) or highest is None
        try:
            window.check(value, new_attempt=new_attempt)
        except Drop:
            assert highest is not None
            assert offset <= highest
            if not new_attempt and offset not in accepted:
                assert (attempt_floor is not None and offset <= attempt_floor) or len(
                    [seen for seen in accepted if seen > offset]
                ) >= 64
            continue
        assert offset not in accepted
        if new_attempt:
            assert highest is None or offset > highest
            attempt_floor = highest
        window.add(value, new_attempt=new_attempt)
        accepted.add(offset)
        highest = offset if highest is None else max(highest, offset)
        assert len(window._seen) <= 64
        assert window.highest == (base + highest) % TOP


def test_corrected_identification():
    """RFC 5944 section 5.7.1: low word copied, high word the later of clock and highest + 1."""
    binding, now = Binding(), ntp_timestamp(START)
    low = 0x1234_5678
    assert binding.corrected_identification(low, START) == (now >> 32) << 32 | low
    ahead = now + (1000 << 32)
    outcome(binding, 1, ahead)
    assert binding.corrected_identification(low, START) == ((ahead >> 32) + 1) << 32 | low
    outcome(binding, 2, ahead + (1 << 32))
    assert binding.corrected_identification(low, START + 5000) == (now >> 32) + 5000 << 32 | low
