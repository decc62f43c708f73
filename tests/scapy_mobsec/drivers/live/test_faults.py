"""What is counted of failed calls, and how often it is told."""

import errno
import os

import pytest

from scapy_mobsec.drivers.live.faults import FIRST_PAUSE, LONGEST_PAUSE, CannotOpen, Faults

UNREACHABLE = OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))


class Clock:
    now = 1000.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def faults(clock):
    return Faults(lambda: clock.now)


def test_each_is_counted_by_what_was_done_and_the_name_of_the_error(faults, caplog):
    faults.note("udp send", UNREACHABLE, "somewhere")
    faults.note("udp send", UNREACHABLE, "somewhere")
    faults.note("udp open", OSError("no number"))
    assert faults.counts == {"udp send ENETUNREACH": 2, "udp open OSError": 1}
    assert [record.getMessage() for record in caplog.records] == [
        'fault="udp send" error=ENETUNREACH reason="Network is unreachable" about="somewhere"'
        " count=1",
        'fault="udp open" error=OSError reason="no number" about="" count=1',
    ]


def test_what_goes_on_is_told_less_and_less_often(faults, clock, caplog):
    start, told = clock.now, []
    for _ in range(3000):
        faults.note("udp send", UNREACHABLE)
        if caplog.records:
            told.append(clock.now - start)
            caplog.clear()
        clock.now += 0.125
    assert told == [0, 1, 3, 7, 15, 31, 63, 127, 191, 255, 319]
    assert faults.counts.total() == 3000


def test_after_a_rest_it_is_told_at_once(faults, clock, caplog):
    for _ in range(2):
        faults.note("udp send", UNREACHABLE)
        clock.now += FIRST_PAUSE
    clock.now += LONGEST_PAUSE + FIRST_PAUSE
    caplog.clear()
    faults.note("udp send", UNREACHABLE)
    clock.now += FIRST_PAUSE
    faults.note("udp send", UNREACHABLE)
    assert len(caplog.records) == 2


def test_what_cannot_be_opened_says_so_for_people():
    error = CannotOpen("udp 192.0.2.1:4500", OSError(errno.EADDRINUSE, "Address already in use"))
    assert str(error) == "udp 192.0.2.1:4500: Address already in use"
    assert error.errno == errno.EADDRINUSE
    assert str(CannotOpen("tun0", OSError("no number"))) == "tun0: no number"
