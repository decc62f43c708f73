"""When data goes one way, and what reports show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.registration.messages import Report
from scapy_mobsec.terminal.watch import MAX_REPORTS, DataWatch, PathCounters


def test_due_a_second_after_the_first_unanswered_data():
    watch = DataWatch()
    assert watch.due is None
    watch.data_sent(10.0)
    watch.data_sent(10.9)
    assert watch.due == 11.0
    watch.data_received()
    assert watch.due is None


def test_probes_become_rarer_while_data_goes_one_way():
    watch, pauses = DataWatch(), []
    for _ in range(8):
        watch.data_sent(0.0)
        pauses.append(watch.due)
        watch.probed()
    assert pauses == [1, 2, 4, 8, 16, 32, 32, 32]
    watch.data_received()
    watch.data_sent(0.0)
    assert watch.due == 1


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
