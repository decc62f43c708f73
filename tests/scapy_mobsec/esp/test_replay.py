"""The replay window: a numbered truth table, a set as slow oracle, RFC 4303 Appendix A2."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.replay import ReplayWindow

OK = None
ZERO, OLD, SEEN = DropReason.SEQUENCE_ZERO, DropReason.TOO_OLD, DropReason.REPLAYED
W = 1024
MAX64 = 2**64 - 1


def receive(window: ReplayWindow, sequence: int) -> DropReason | None:
    """Check and, where it passes, update; tell the reason where it does not."""
    try:
        window.check(sequence)
    except Drop as drop:
        return drop.reason
    window.update(sequence)
    return OK


TABLE = [
    # number, verdict: in this order, on one window
    (0, ZERO),
    (1, OK),
    (1, SEEN),
    (0, ZERO),
    (9, OK),
    (8, OK),
    (7, OK),
    (7, SEEN),
    (W, OK),
    (2, OK),
    (2, SEEN),
    (W - 1, OK),
    (W - 1, SEEN),
    (W, SEEN),
    (W + 1, OK),
    (1, OLD),  # left the window when W + 1 entered
    (3, OK),
    (2, SEEN),  # the left edge itself
    (W + 2, OK),
    (2, OLD),
    (3, SEEN),
    (W + 16, OK),
    (W + 16, SEEN),
    (16, OLD),
    (17, OK),
    (W + 14, OK),
    (4 * W, OK),  # a jump of more than the whole window empties it
    (3 * W, OLD),
    (3 * W + 1, OK),
    (3 * W + 1, SEEN),
    (4 * W - 1, OK),
    (2**32 - 1, OK),
    (2**32 - 1, SEEN),
    (2**32 - W, OK),
    (2**32 - W - 1, OLD),
    (2**32, OK),  # beyond 32 bits: extended numbers
    (2**32 - W + 1, OK),
    (2**32 - W, OLD),
    (2**63, OK),
    (2**63 - W + 1, OK),
    (MAX64, OK),
    (MAX64, SEEN),
    (MAX64 - W + 1, OK),
    (MAX64 - W, OLD),
    (1, OLD),
    (0, ZERO),
]


def test_truth_table():
    window = ReplayWindow(W)
    for number, (sequence, verdict) in enumerate(TABLE, 1):
        assert receive(window, sequence) is verdict, f"row {number}: {sequence}"


def test_default_width_is_1024():
    assert ReplayWindow().size == 1024


def test_check_alone_changes_nothing():
    window = ReplayWindow(8)
    for sequence in (5, 5, 2**32 - 1, 5):
        window.check(sequence)
    assert window.highest == 0


def test_without_a_window_only_zero_is_refused():
    window = ReplayWindow(0)
    verdicts = [receive(window, n) for n in (5000, 5000, 1, 1, 0)]
    assert verdicts == [OK, OK, OK, OK, ZERO]
    assert window.highest == 5000


def test_at_or_below_the_ceiling_all_is_refused():
    window = ReplayWindow(64, ceiling=1000)
    verdicts = [receive(window, n) for n in (1, 990, 1000, 1001, 999, 1001, 1063, 1000, 1002)]
    assert verdicts == [OLD, OLD, OLD, OK, OLD, SEEN, OK, OLD, OK]


def test_memory_is_bounded():
    """Two bits a packet of the window, however many packets and however far they jump."""
    window = ReplayWindow(64)
    for sequence in (*range(1, 1000), 2**40, *range(2**40 + 1, 2**40 + 1000, 7), MAX64):
        assert receive(window, sequence) is OK
        assert window._seen.bit_length() <= 2 * 64


@pytest.mark.parametrize("size", [-1, 2**31 + 1])
def test_impossible_width(size):
    with pytest.raises(ValueError, match="window"):
        ReplayWindow(size)


@pytest.mark.parametrize("ceiling", [0, 1000])
def test_unused_until_something_is_accepted(ceiling):
    window = ReplayWindow(64, ceiling=ceiling)
    assert window.is_unused
    window.update(ceiling + 1)
    assert not window.is_unused


@pytest.mark.parametrize("ceiling", [-1, 2**64])
def test_impossible_ceiling(ceiling):
    with pytest.raises(ValueError, match="ceiling"):
        ReplayWindow(64, ceiling)


class Oracle:
    """The definition: a set of all numbers seen, and the highest of them."""

    def __init__(self, size, ceiling):
        self.size, self.ceiling, self.seen = size, ceiling, {ceiling}

    def receive(self, sequence):
        if sequence == 0:
            return ZERO
        if sequence <= self.ceiling or max(self.seen) - sequence >= self.size:
            return OLD
        if sequence in self.seen:
            return SEEN
        self.seen.add(sequence)
        return OK


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([1, 2, 3, 7, 32, 64, 65]),
    st.sampled_from([0, 5, 2**32 - 40, 2**64 - 200]),
    st.lists(st.integers(-70, 70), max_size=150),
)
def test_agrees_with_a_set(size, ceiling, steps):
    window, oracle = ReplayWindow(size, ceiling), Oracle(size, ceiling)
    sequence = ceiling
    for step in steps:
        sequence = min(max(sequence + step, 0), MAX64)
        assert receive(window, sequence) is oracle.receive(sequence)
        assert window.highest == max(oracle.seen)


def appendix_a2(highest: int, low: int, size: int) -> int:
    """The two cases of RFC 4303 Appendix A2.2, in its variables; Th - 1 stays at 0 for Th = 0."""
    th, tl = divmod(highest, 2**32)
    if tl >= size - 1:  # the window is within one subspace
        seqh = th if low >= tl - size + 1 else th + 1
    else:  # the window spans two
        seqh = max(th - 1, 0) if low >= (tl - size + 1) % 2**32 else th
    return seqh << 32 | low


NEAR_WRAP = st.one_of(st.integers(0, 3000), st.integers(2**32 - 3000, 2**32 - 1))
LOW = NEAR_WRAP | st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**32 - 2), LOW, LOW, st.sampled_from([1, 64, 1024, 2**31]))
def test_inference_is_appendix_a2(high, low_highest, low, size):
    highest = high << 32 | low_highest
    assert ReplayWindow(min(size, W), highest).infer(low) == appendix_a2(highest, low, min(size, W))


@settings(deadline=None, max_examples=300)
@given(st.integers(0, MAX64), st.integers(-(W - 1), 2**32 - W))
def test_inference_finds_what_was_sent(highest, distance):
    """It is right from the left edge of the window up to 2^32 - W ahead."""
    sequence = highest + distance
    if 0 <= sequence <= MAX64:
        assert ReplayWindow(W, highest).infer(sequence % 2**32) == sequence


def test_inference_at_both_ends_of_the_number_space():
    first, last = ReplayWindow(W), ReplayWindow(W, MAX64 - 5)
    assert first.infer(2**32 - 1) == 2**32 - 1  # there is no subspace before the first
    assert last.infer(3) == 2**64 - 2**32 + 3  # nor one after the last
    assert receive(last, last.infer(3)) is OLD


def test_without_a_window_inference_takes_the_nearest():
    window = ReplayWindow(0)
    for sequence in (2**31, 2**32 - 1, 2**32 + 5, 2**32 - 2000, 2**32 + 6):
        assert window.infer(sequence % 2**32) == sequence
        window.update(sequence)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1), st.integers(-W, W))
@example(3, 2**32 - 1, 1)
@example(3, 1, -2)
@example(0, 1, 0)
def test_who_joins_late_takes_every_number_for_one_with_the_expected_upper_half(high, low, near):
    window = ReplayWindow(0)
    window.expect(high)
    first = (high << 32) + low
    assert window.infer(low) == first
    window.check(first)
    window.update(first)
    # From then on the numbers around the first one are the likely ones, of whatever upper half.
    following = min(max(first + near, 1), MAX64)
    assert window.infer(following % 2**32) == following
