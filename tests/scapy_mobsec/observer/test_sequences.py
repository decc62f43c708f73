from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.observer.sequences import SeenSequences


@given(st.lists(st.integers(1, 40)))
def test_it_is_a_set(numbers):
    seen, oracle = SeenSequences(), set()
    for number in numbers:
        assert seen.add(number) == (number not in oracle)
        oracle.add(number)
        assert seen.highest == max(oracle)


def test_neighbouring_runs_join():
    seen = SeenSequences()
    for number in (1, 3, 5, 4, 2):
        assert seen.add(number)
    assert len(seen) == 1


def test_memory_is_bounded_and_the_lowest_run_is_forgotten():
    seen = SeenSequences(max_runs=3)
    for number in (1, 3, 5, 7):
        seen.add(number)
    assert len(seen) == 3
    assert not seen.add(3)
    assert [number for number in range(8) if seen.has_forgotten(number)] == [0, 1, 2]
    assert not seen.add(1)
    assert not seen.add(2)
    assert seen.missing() == 3
    assert seen.missing_between(1, 5) is None
    assert seen.missing_between(2, 5) == 1
    assert seen.add(4)
    assert seen.missing() == 2


@given(st.lists(st.integers(1, 40)), st.integers(0, 41), st.integers(0, 41))
def test_what_is_missing(numbers, after, before):
    seen = SeenSequences()
    for number in numbers:
        seen.add(number)
    there = set(numbers)
    assert seen.missing() == (max(there) - min(there) + 1 - len(there) if there else 0)
    if there:
        assert seen.missing_between(after, before) == len(set(range(after + 1, before)) - there)


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
def test_what_another_set_has_not(numbers, others):
    seen, other = SeenSequences(), SeenSequences()
    for number in numbers:
        seen.add(number)
    for number in others:
        other.add(number)
    both = numbers & others
    between = range(min(both), max(both)) if both else ()
    assert seen.not_in(other) == len(numbers.intersection(between) - others)


class Counting(list):
    """Tells how many elements were looked at one after the other."""

    looked_at = 0

    def __getitem__(self, place):
        found = super().__getitem__(place)
        Counting.looked_at += len(found) if isinstance(place, slice) else 1
        return found

    def __iter__(self):
        Counting.looked_at += len(self)
        return super().__iter__()


def test_what_is_missing_costs_what_lies_in_between():
    seen = SeenSequences()
    for number in range(1, 10_000, 2):
        seen.add(number)
    seen._starts, seen._ends = Counting(seen._starts), Counting(seen._ends)
    Counting.looked_at = 0
    assert seen.missing_between(5_001, 5_005) == 2
    assert Counting.looked_at < 100
