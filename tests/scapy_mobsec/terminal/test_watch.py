"""When data goes one way, and what reports show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.registration.messages import Report
from scapy_mobsec.terminal.watch import MAX_REPORTS, DataWatch, PathCounters


def proven():
    """A watch of a path that data has come on."""
    watch = DataWatch(0.0)
    watch.data_received()
    return watch


def test_due_a_second_after_the_first_unanswered_data():
    watch = proven()
    assert watch.due is None
    watch.data_sent(10.0)
    watch.data_sent(10.9)
    assert watch.due == 11.0
    watch.data_received()
    assert watch.due is None


def test_probes_become_rarer_while_data_goes_one_way():
    watch, pauses = proven(), []
    for _ in range(8):
        watch.data_sent(0.0)
        pauses.append(watch.due)
        watch.probed(0.0)
    assert pauses == [1, 2, 4, 8, 16, 32, 32, 32]
    watch.data_received()
    watch.data_sent(0.0)
    assert watch.due == 1


def test_until_the_first_data_comes_it_is_due_without_any_for_half_a_minute():
    watch, times = DataWatch(100.0), []
    while watch.due is not None:
        times.append(watch.due)
        watch.probed(watch.due)
    assert times == [101, 103, 107, 115, 131]
    watch.data_sent(200.0)
    assert watch.due == 232


@pytest.mark.parametrize(
    ("went", "came", "lost"), [(9, 0, False), (10, 4, True), (10, 5, False), (100, 49, True)]
)
@pytest.mark.parametrize("outward", [True, False])
def test_judgement(went, came, lost, outward):
    counters = PathCounters()
    counters.sent, counters.received = 2**32 - 3, 2**32 - 5  # the differences wrap
    counters.report(1)
    assert not counters.shows_loss(1, Report(2**32 - 3, 2**32 - 5, 0))
    if outward:
        counters.sent += went
        theirs = Report((2**32 - 3 + came) % 2**32, 2**32 - 5, 0)
    else:
        counters.received += came
        theirs = Report(2**32 - 3, (2**32 - 5 + went) % 2**32, 0)
    counters.report(2)
    assert counters.shows_loss(2, theirs) is lost


def test_few_packets_are_counted_until_they_are_enough():
    counters = PathCounters()
    verdicts = []
    for number in range(12):
        counters.report(number)
        verdicts.append(counters.shows_loss(number, Report(0, number, 0)))
    assert verdicts == 10 * [False] + [True, False]


def test_who_never_reports_has_lost_nothing():
    counters = PathCounters()
    for number in range(3):
        counters.sent += 100
        counters.report(number)
        assert not counters.shows_loss(number, None)


def test_a_report_to_no_request_shows_nothing():
    assert not PathCounters().shows_loss(5, Report(0, 1000, 0))


def test_remembered_reports_are_bounded():
    counters = PathCounters()
    for number in range(1000):
        counters.report(number)
    assert len(counters._asked) == MAX_REPORTS


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=8))
def test_no_report_raises(reports):
    counters = PathCounters()
    for number, (received, sent) in enumerate(reports):
        counters.report(number)
        counters.shows_loss(number, Report(received, sent, 0))
