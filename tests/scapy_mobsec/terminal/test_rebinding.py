"""The procedure alone: who may start it, what answers decide, how long it pauses."""

import pytest
from terminals import TRANSLATED, path_at_other

from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.paths import PathState
from scapy_mobsec.terminal.rebinding import Rebinding, Verdict

CURRENT = PathState(path_at_other(TRANSLATED))
CANDIDATE = PathState(path_at_other(Endpoint(TRANSLATED.address, 40000)))


@pytest.fixture
def rebinding():
    rebinding = Rebinding()
    rebinding.start(CANDIDATE, 100.0)
    return rebinding


def test_one_at_a_time_and_never_from_the_current_path():
    rebinding = Rebinding()
    assert rebinding.may_start(CANDIDATE.path, CURRENT, 100.0)
    assert not rebinding.may_start(CURRENT.path, CURRENT, 100.0)
    rebinding.start(CANDIDATE, 100.0)
    assert not rebinding.may_start(CANDIDATE.path, CURRENT, 100.0)
    rebinding.end()
    assert rebinding.candidate is None
    assert rebinding.may_start(CANDIDATE.path, CURRENT, 100.0)


@pytest.mark.parametrize(("rtt", "silence"), [(0.01, 0.1), (0.3, 0.3), (2.5, 1.0)])
def test_the_current_path_has_one_round_trip_within_bounds(rebinding, rtt, silence):
    assert rebinding.answered(CANDIDATE, CURRENT, 100 + rtt) is Verdict.WAIT
    assert rebinding.decides == pytest.approx(100 + rtt + silence)
    assert rebinding.verdict(100 + rtt + silence - 0.001) is Verdict.OPEN
    assert rebinding.verdict(100 + rtt + silence + 0.001) is Verdict.REBOUND
    assert rebinding.seconds == pytest.approx(rtt)


def test_the_current_path_alone_decides_nothing(rebinding):
    assert rebinding.answered(CURRENT, CURRENT, 100.1) is Verdict.OPEN
    assert rebinding.verdict(200.0) is Verdict.OPEN
    assert rebinding.answered(CANDIDATE, CURRENT, 100.2) is Verdict.RACE


def test_pauses_double_up_to_a_minute_and_begin_anew_after_quiet():
    rebinding, now, pauses = Rebinding(), 100.0, []
    for _ in range(8):
        rebinding.start(CANDIDATE, now)
        pauses.append(rebinding.pause(now))
        assert not rebinding.may_start(CANDIDATE.path, CURRENT, now + pauses[-1] - 0.01)
        now += pauses[-1]
        assert rebinding.may_start(CANDIDATE.path, CURRENT, now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert rebinding.pause(now + 61) == 1
