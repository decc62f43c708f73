"""What one path may get, and which paths are kept."""

import pytest
from terminals import ELSEWHERE, TRANSLATED, path_at_other

from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.paths import (
    CHALLENGE_LENGTH,
    MAX_ADMITTED,
    AdmittedPaths,
    Challenge,
    PathState,
    Traffic,
    unknown_path,
)

PATH = path_at_other(TRANSLATED)
STREAM = Path(Encapsulation.TCP, PATH.local, PATH.remote)


def test_three_times_what_came_and_not_one_octet_more():
    state = PathState(PATH)
    state.received(100, data=False)
    state.sent(200, data=True)
    assert state.allows(100)
    assert not state.allows(101)
    assert not state.allows(100, reserve=1)
    state.validated = True
    assert state.allows(10**9)
    assert PathState(STREAM).allows(10**9)


@pytest.mark.parametrize("validated", [False, True])
def test_debts_in_a_new_attempt(validated):
    state = PathState(PATH, validated=validated)
    state.received(100, data=True)
    state.sent(300, data=True)
    new = state.in_new_attempt()
    assert not new.validated
    assert new.report() == state.report()
    new.received(10, data=False)
    assert new.allows(30)
    assert not new.allows(31)


def test_a_report_counts_data_modulo_2_32():
    state = PathState(PATH)
    assert state.report() is None
    state.received(70_000, data=True)
    state.traffic.received_data += 2**32
    report = state.report()
    assert (report.received, report.sent, report.largest_received) == (1, 0, 0xFFFF)


def test_the_youngest_validated_path_is_the_one_to_fall_back_to():
    paths, states = AdmittedPaths(), []
    for port in range(1, MAX_ADMITTED + 1):
        states.append(PathState(path_at_other(Endpoint(ELSEWHERE.address, port))))
        assert paths.add(states[-1], None) is None
    for state in (states[3], states[1]):
        state.validated = True
        paths.validated(state)
    assert paths.last_validated(but=states[0]) is states[1]
    assert paths.last_validated(but=states[1]) is states[3]
    assert paths.passed == (Encapsulation.UDP,) * 2
    assert paths.add(PathState(PATH), states[0]) is states[2]
    paths.remove(states[3].path)
    assert paths.passed == (Encapsulation.UDP,)
    paths.clear()
    assert (len(paths), paths.passed) == (0, ())


def test_a_validated_path_that_makes_room_is_not_known_to_pass_any_more():
    paths = AdmittedPaths()
    for port in range(1, MAX_ADMITTED + 2):
        path = path_at_other(Endpoint(ELSEWHERE.address, port))
        paths.add(PathState(path, validated=True), None)
        assert len(paths.passed) == min(port, MAX_ADMITTED)


def test_an_unknown_path_has_what_the_constructor_gives_it():
    assert unknown_path(PATH, 70) == PathState(PATH, Traffic(70))
    challenge, _ = PathState(PATH).challenged(5.0, bytes, 4.0)
    assert challenge == Challenge(bytes(CHALLENGE_LENGTH), 5.0, 5.0, 5.0, 4.0)
