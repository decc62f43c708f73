"""The agenda against a slow oracle, and its bound."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.terminal.agenda import Agenda

KEYS = st.integers(0, 7)
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers(0, 50)),
    st.tuples(st.just("remove"), KEYS),
    st.tuples(st.just("due"), st.integers(0, 50)),
)


@given(st.lists(STEPS, max_size=60))
def test_like_a_dictionary_of_times(steps):
    agenda, oracle = Agenda(), {}
    for step in steps:
        match step:
            case ("set", key, time):
                agenda.set(key, time)
                oracle[key] = time
            case ("remove", key):
                agenda.remove(key)
                oracle.pop(key, None)
            case ("due", now):
                due = list(agenda.due(now))
                assert sorted(due) == sorted(key for key, time in oracle.items() if time <= now)
                assert [oracle[key] for key in due] == sorted(oracle[key] for key in due)
                oracle = {key: time for key, time in oracle.items() if time > now}
        assert agenda.next() == min(oracle.values(), default=None)


def test_setting_again_and_again_does_not_fill_it():
    agenda = Agenda()
    for time in range(10_000, 0, -1):
        agenda.set("link", time)
    assert len(agenda._heap) <= 2 * 1 + 16
    assert list(agenda.due(1)) == ["link"]


def test_what_is_due_before_stays():
    agenda = Agenda()
    for time, expected in [(5.0, 5.0), (7.0, 5.0), (3.0, 3.0), (4.0, 3.0)]:
        agenda.advance("a", time)
        assert agenda.next() == expected


def test_nothing_is_due_before_the_earliest():
    agenda = Agenda()
    assert agenda.earliest == inf
    agenda.set("a", 5.0)
    assert agenda.earliest == 5.0
    agenda.set("b", 6.0)
    agenda.set("a", 7.0)
    assert list(agenda.due(5.5)) == []
    assert agenda.earliest == 6.0
    assert list(agenda.due(7.5)) == ["b", "a"]
    assert agenda.earliest == inf
