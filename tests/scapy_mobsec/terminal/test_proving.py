"""Paths that prove themselves: what comes in, what must go out. Y is played against a script."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proving_steps import data_from, later, moves, replies, told
from terminals import (
    ELSEWHERE,
    HOME,
    NEW,
    OLD,
    OTHER,
    OTHER_LINK,
    PING,
    PONG,
    TO_MOBILE,
    TO_OTHER,
    TRANSLATED,
    Pair,
    a_request,
    drops,
    events,
    path_at_other,
    with_attempt,
)

from contrib_layers.numbers import AttemptFlag, EncapsulationCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import (
    EncapsulationItem,
)
from scapy_mobsec.registration.messages import Report, build_request, parse_reply
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.config import OtherConfiguration
from scapy_mobsec.terminal.events import (
    BindingMoved,
    MoveCause,
    PacketDropped,
    PathRejected,
    PathValidated,
    RaceSuspected,
    Rebound,
    Resumed,
    Suspended,
)
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.paths import MAX_ADMITTED
from scapy_mobsec.terminal.proving import MAX_WAITING

PROBE, USE, CONFIRM = AttemptFlag.PROBE, AttemptFlag.USE, AttemptFlag.CONFIRM
PATH = path_at_other(TRANSLATED)
BIG = {"pad": 1000}


@pytest.fixture
def pair():
    """Y has bound the link to TRANSLATED by attempt 5; its first RREP is out, unanswered."""
    pair = Pair()
    (pair.first,) = pair.request(**with_attempt(5), **BIG)
    events(pair.other)
    return pair


@pytest.fixture
def valid(pair):
    """The same, and the path is validated."""
    pair.confirm(pair.first)
    events(pair.other)
    pair.now += 10
    return pair


# the challenge


def test_the_reply_is_repeated_with_one_challenge_and_new_numbers(pair):
    start = pair.now
    sent = [pair.first]
    for at in (0.5, 1.0, 2.0):
        assert later(pair, at - 0.01 - (pair.now - start)) == []
        sent += later(pair, 0.02)
    assert len(sent) == 4
    assert len({transmit.data[4:8] for transmit in sent}) == 4
    messages = replies(pair, sent)
    assert len({message.challenge for message in messages}) == 1
    assert messages[0].challenge is not None
    assert messages[0] == messages[3]
    assert told(pair, PathRejected) == []
    assert later(pair, 0.98) == []
    later(pair, 0.02)
    (rejected,) = told(pair, PathRejected)
    assert (rejected.path, rejected.sent_octets > 0) == (PATH, True)


def test_an_answer_validates_and_ends_the_repetition(pair):
    pair.now += 0.1
    assert pair.confirm(pair.first) == []
    (validated,) = events(pair.other)
    assert validated == PathValidated(HOME, PATH, pytest.approx(0.1, abs=1e-6))
    assert later(pair, 60) == []
    assert pair.other.path(HOME) == PATH


def test_a_challenge_is_constant_until_15_seconds_old(pair):
    first = parse_reply(pair.read_reply(pair.first)).challenge
    for seconds, is_first in ((2.9, True), (0.2, True), (11.8, True), (3.1, False)):
        later(pair, seconds)
        (*_, last) = replies(pair, pair.request(**with_attempt(5), **BIG))
        assert last.challenge is not None
        assert (last.challenge == first) is is_first


@pytest.mark.parametrize(("seconds", "counts"), [(3.5, True), (14.9, True), (15.1, False)])
def test_an_answer_that_is_late_counts(pair, seconds, counts):
    later(pair, seconds)
    assert Suspended(HOME, PATH) in told(pair, Suspended)
    pair.confirm(pair.first)
    assert pair.other.state(HOME) is (OtherState.BOUND if counts else OtherState.SUSPENDED)
    (validated,) = told(pair, PathValidated) or [None]
    assert (validated == PathValidated(HOME, PATH, pytest.approx(seconds))) is counts


@pytest.mark.parametrize(("took", "life"), [(0.1, 3), (2, 4), (4, 8), (14, 15)])
def test_a_challenge_has_twice_the_time_that_the_last_answer_took(pair, took, life):
    later(pair, took)
    pair.confirm(pair.first)
    told(pair)
    pair.now += 1
    pair.request(NEW, **with_attempt(6))
    later(pair, life - 0.1)
    assert told(pair, PathRejected) == []
    later(pair, 0.2)
    (rejected,) = told(pair, PathRejected)
    assert rejected.path.remote == NEW


def test_an_answer_counts_only_on_its_path_once_and_in_its_attempt(pair):
    for changes, source, reason in (
        ({}, ELSEWHERE, DropReason.WRONG_RESPONSE),
        ({"response": bytes(8)}, TRANSLATED, DropReason.WRONG_RESPONSE),
        (with_attempt(4, CONFIRM), TRANSLATED, DropReason.STALE_ATTEMPT),
        (with_attempt(6, CONFIRM), TRANSLATED, DropReason.STALE_ATTEMPT),
    ):
        assert pair.confirm(pair.first, source, **changes) == []
        assert drops(pair.other) == [reason]
    pair.confirm(pair.first)
    assert told(pair, PathValidated)
    pair.confirm(pair.first)  # X answers each repetition; that is no news, and nothing wrong
    assert not [one for one in events(pair.other) if isinstance(one, PathValidated | PacketDropped)]
    pair.confirm(pair.first, response=bytes(8))
    assert drops(pair.other) == [DropReason.WRONG_RESPONSE]


def test_a_probe_is_challenged_too_and_moves_nothing(valid):
    (answer,) = valid.request(ELSEWHERE, **with_attempt(5, PROBE), **BIG)
    (reply,) = replies(valid, [answer])
    assert reply.challenge is not None
    assert reply.attempt.flags == 0
    valid.confirm(answer, ELSEWHERE)
    assert [type(event) for event in told(valid, PathValidated, BindingMoved)] == [PathValidated]
    assert valid.other.path(HOME) == PATH


def test_a_validated_path_is_not_challenged(valid):
    (reply,) = replies(valid, valid.request(**with_attempt(5)))
    assert reply.challenge is None


# the limit


def test_data_waits_for_credit_and_replies_have_a_reserve(pair):
    state = pair.other._homes[HOME].current.traffic
    sent = 0
    while not pair.other._homes[HOME].waiting:
        pair.other.send(PONG, pair.now)
        sent += len(pair.other.transmits(pair.now))
    assert 3 * state.received_octets - 700 - 100 < state.sent_octets
    assert state.sent_octets <= 3 * state.received_octets - 700
    assert len(later(pair, 2.5)) == 3  # replies still go
    assert state.sent_octets <= 3 * state.received_octets
    data_from(pair, TRANSLATED)
    pair.request(**with_attempt(5), **BIG)
    assert not pair.other._homes[HOME].waiting


def test_what_waits_goes_when_the_path_is_validated_and_is_bounded(pair):
    for _ in range(200):
        pair.other.send(PONG, pair.now)
    assert set(drops(pair.other)) == {DropReason.QUEUE_FULL}
    pair.other.transmits(pair.now)
    assert len(pair.other._homes[HOME].waiting) == MAX_WAITING
    assert len(pair.confirm(pair.first)) == MAX_WAITING


def test_a_reply_beyond_the_limit_is_dropped_by_name():
    pair = Pair()
    for number in range(1, 40):
        pair.request(**with_attempt(number))
        later(pair, 2.9)
    state = pair.other._homes[HOME].state_of(PATH).traffic
    assert state.sent_octets <= 3 * state.received_octets
    assert DropReason.NO_CREDIT in drops(pair.other)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.integers(1, 4), st.sampled_from([0, 100, 1000])),
        st.tuples(st.just("probe"), st.integers(1, 4), st.sampled_from([0, 1000])),
        st.tuples(st.just("elsewhere"), st.integers(1, 4), st.sampled_from([0, 1000])),
        st.tuples(st.just("stale"), st.just(0), st.just(0)),
        st.tuples(st.just("data"), st.just(0), st.just(0)),
        st.tuples(st.just("send"), st.integers(1, 90), st.sampled_from([16, 1200])),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([0.3, 1.0, 4.0, 40.0])),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.data())
def test_never_more_than_3_times_what_came_from_a_place_that_never_answered(steps, data):
    alternate = Endpoint(OTHER.address, 4501)
    pair, came, went = configured(alternates=(alternate,)), {}, {}
    places = (TRANSLATED, ELSEWHERE, OLD)
    pair_receive = pair.to_other

    def receive(octets, source):
        came[source] = came.get(source, 0) + len(octets)
        pair_receive(octets, source)

    pair.to_other = receive

    def collect(transmits):
        for each in transmits:
            place = each.path.remote
            went[place] = went.get(place, 0) + len(each.data)
            assert went[place] <= 3 * came.get(place, 0)

    for kind, number, size in steps:
        source = data.draw(st.sampled_from(places))
        pair.now += 0.001
        if kind == "wait":
            collect(later(pair, size))
        elif kind == "data":
            collect(data_from(pair, source))
        elif kind == "send":
            for _ in range(number):
                pair.other.send(PONG[:16] + HOME + bytes(size), pair.now)
            collect(pair.other.transmits(pair.now))
        else:
            flags = {"probe": PROBE, "elsewhere": PROBE | AttemptFlag.OTHER_PORT}.get(kind, 0)
            collect(pair.request(source, **with_attempt(number, flags), pad=size))
        assert len(pair.other._homes[HOME].waiting) <= MAX_WAITING
        assert len(pair.other._homes[HOME].paths) <= MAX_ADMITTED


def test_a_place_that_never_answered_stays_in_debt_over_attempts(pair):
    """It is suspended, probes in one attempt, and asks in another: still one account."""
    later(pair, 3.1)
    link = pair.other._homes[HOME]
    account = link.suspended.traffic
    for number, flags in ((6, PROBE), (7, PROBE)):
        pair.now += 0.1
        pair.request(**with_attempt(number, flags))
        assert link.paths.get(PATH).traffic is account


def test_a_validated_place_owes_nothing_in_the_next_attempt(valid):
    for _ in range(100):
        valid.other.send(PONG, valid.now)
    valid.other.transmits(valid.now)
    (reply,) = replies(valid, valid.request(**with_attempt(6)))
    assert reply.challenge is not None


def test_what_a_validated_place_gets_while_it_is_current_is_not_owed_by_the_next_attempt(valid):
    valid.request(**with_attempt(6, PROBE))
    for _ in range(100):
        valid.other.send(PONG, valid.now)
    assert len(valid.other.transmits(valid.now)) == 100
    valid.now += 0.1
    (reply,) = replies(valid, valid.request(**with_attempt(6)))
    assert reply.challenge is not None


# what becomes of the current path


def test_a_failed_path_falls_back_to_the_last_validated_one_of_the_attempt(valid):
    (probed,) = valid.request(ELSEWHERE, **with_attempt(6, PROBE), **BIG)
    valid.confirm(probed, ELSEWHERE)
    valid.now += 1
    (first,) = valid.request(NEW, **with_attempt(6), **BIG)
    assert moves(valid) == [(NEW, MoveCause.REQUEST)]
    later(valid, 4)
    assert moves(valid) == [(ELSEWHERE, MoveCause.FAILURE)]
    assert first.path.remote == NEW


def test_a_failed_path_without_another_suspends_and_data_waits(pair):
    later(pair, 3.1)
    assert pair.other.state(HOME) is OtherState.SUSPENDED
    assert told(pair, Suspended) == [Suspended(HOME, PATH)]
    assert pair.other.path(HOME) is None
    pair.other.send(PONG, pair.now)
    assert pair.other.transmits(pair.now) == []
    times = []
    while len(times) < 7:
        due = pair.other.timer()
        (answer,) = later(pair, due - pair.now)
        times.append(due)
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == pytest.approx([2, 4, 8, 16, 30, 30])
    assert len(pair.confirm(answer)) == 1  # the data
    assert told(pair, Resumed) == [Resumed(HOME, PATH, 1)]
    assert pair.other.state(HOME) is OtherState.BOUND


def test_what_waits_when_the_binding_expires_is_dropped_by_name(pair):
    pair.now += 1
    pair.request(**with_attempt(6), lifetime=10)
    later(pair, 4)
    assert pair.other.state(HOME) is OtherState.SUSPENDED
    for _ in range(50):
        pair.other.send(PONG, pair.now)
    told(pair)
    later(pair, 10)
    assert pair.other.state(HOME) is OtherState.EXPIRED
    dropped = PacketDropped(DropReason.NO_PATH, f"{len(PONG)} octets that waited", None)
    assert told(pair, PacketDropped) == 50 * [dropped]
    assert pair.other.drops[DropReason.NO_PATH] == 50


@pytest.mark.parametrize("second", [3.5, 4.5, 5.5])
def test_a_suspended_path_that_is_asked_from_again_has_to_prove_itself_in_time(pair, second):
    later(pair, second)  # it is suspended at 3 s, and challenged at 4 s
    told(pair, Suspended)
    start = pair.now
    (asked,) = pair.request(**with_attempt(5), **BIG)
    assert moves(pair) == [(TRANSLATED, MoveCause.REQUEST)]
    challenges = [reply.challenge for reply in replies(pair, [asked, *later(pair, 2.9)])]
    assert challenges == challenges[:1] * 4
    assert pair.other.path(HOME) == PATH
    later(pair, 0.2)
    assert [type(event) for event in told(pair, PathRejected, Suspended)] == [
        PathRejected,
        Suspended,
    ]
    assert pair.now == pytest.approx(start + 3.1)


@pytest.mark.parametrize("late", [0, 0.004])
def test_data_does_not_put_off_that_a_challenge_has_failed(pair, late):
    start, found = pair.now, []
    for number in range(1, 8):
        pair.now = start + number / 2
        if number < 6:  # at 3 s the data comes before the timer
            later(pair, 0)
        pair.now += late
        data_from(pair, TRANSLATED)
        found += told(pair, PathRejected, Suspended)
    assert [type(event) for event in found] == [PathRejected, Suspended]


def test_suspended_the_newest_packet_from_anywhere_is_challenged(pair):
    later(pair, 3.1)
    old = pair.as_mobile.seal_data(PING)
    (challenge,) = data_from(pair, ELSEWHERE)
    (reply,) = replies(pair, [challenge])
    assert (challenge.path.remote, reply.attempt.flags) == (ELSEWHERE, PROBE)
    assert reply.challenge is not None
    assert (reply.sent, reply.observed, reply.code) == (None, None, 0)
    pair.to_other(old, OLD)
    assert pair.other.transmits(pair.now) == []  # not the newest
    pair.confirm(challenge, ELSEWHERE)
    assert moves(pair) == [(ELSEWHERE, MoveCause.RESPONSE)]


def test_validated_beats_not_validated(valid):
    """A copied RREQ that raced the original is undone by the original's answer."""
    request = valid.as_mobile.seal_message(build_request(_request(valid, 6)))
    valid.to_other(request, ELSEWHERE)
    valid.other.transmits(valid.now)
    assert moves(valid) == [(ELSEWHERE, MoveCause.REQUEST)]
    (answer,) = valid.request(NEW, identification=ntp_timestamp(valid.now) + 7, **with_attempt(6))
    valid.confirm(answer, NEW)
    assert moves(valid) == [(NEW, MoveCause.RESPONSE)]


def _request(pair, number):
    return a_request(pair.now, **with_attempt(number), **BIG)


def test_use_moves_only_to_what_was_validated_in_this_attempt(valid):
    (probed,) = valid.request(ELSEWHERE, **with_attempt(5, PROBE), **BIG)
    (reply,) = replies(
        valid,
        valid.request(
            ELSEWHERE, identification=ntp_timestamp(valid.now) + 9, **with_attempt(5, USE)
        ),
    )
    assert reply.attempt.flags == 0
    valid.confirm(probed, ELSEWHERE)
    valid.now += 1
    (reply,) = replies(valid, valid.request(ELSEWHERE, **with_attempt(5, USE)))
    assert reply.attempt.flags == USE
    assert moves(valid) == [(ELSEWHERE, MoveCause.USE)]
    # A USE below the last one counts as a PROBE.
    earlier = {"identification": ntp_timestamp(valid.now - 0.5)}
    (reply,) = replies(valid, valid.request(**with_attempt(5, USE), **earlier))
    assert reply.attempt.flags == 0
    assert moves(valid) == []
    (reply,) = replies(valid, valid.request(**with_attempt(6, USE)))
    assert reply.attempt.flags == 0


def test_at_most_8_paths_and_neither_current_nor_validated_makes_room(valid):
    link = valid.other._homes[HOME]
    for port in range(1, 20):
        valid.now += 0.01
        valid.request(Endpoint(ELSEWHERE.address, port), **with_attempt(5, PROBE), **BIG)
    assert len(link.paths) == MAX_ADMITTED
    assert link.paths.get(PATH) is link.current
    assert link.paths.get(path_at_other(Endpoint(ELSEWHERE.address, 1))) is None
    assert link.paths.get(path_at_other(Endpoint(ELSEWHERE.address, 19)))


def test_after_expiry_an_answer_binds_again(valid):
    valid.other.handle_timer(valid.now + 3700)
    valid.now += 3800
    assert valid.other.state(HOME) is OtherState.EXPIRED
    (answer,) = valid.request(ELSEWHERE, **with_attempt(6, PROBE), **BIG)
    valid.confirm(answer, ELSEWHERE)
    assert moves(valid) == [(ELSEWHERE, MoveCause.RESPONSE)]
    assert valid.other.state(HOME) is OtherState.BOUND
    later(valid, 3700)
    assert valid.other.state(HOME) is OtherState.EXPIRED


# rule 4


def rebinding(pair):
    """The newest data from another port: return the challenges on the candidate and the current."""
    there = Endpoint(TRANSLATED.address, 40000)
    sent = data_from(pair, there)
    assert [each.path.remote for each in sent] == [there, TRANSLATED]
    assert all(message.attempt.flags == PROBE for message in replies(pair, sent))
    return there, *sent


def test_a_rebinding_is_proved_by_answer_and_silence(valid):
    there, candidate, _ = rebinding(valid)
    valid.now += 0.2
    valid.confirm(candidate, there)
    assert valid.other.path(HOME) == PATH
    later(valid, 0.19)
    assert moves(valid) == []
    later(valid, 0.02)
    (rebound, moved) = told(valid, Rebound, BindingMoved)
    assert rebound.new == moved.new == path_at_other(there)
    assert rebound.seconds == pytest.approx(0.2)
    assert moved.cause is MoveCause.REBINDING


@pytest.mark.parametrize("current_first", [True, False])
def test_both_answer_stay_and_pause(valid, current_first):
    for pause in (1.0, 2.0, 4.0):
        there, candidate, current = rebinding(valid)
        answers = [(candidate, there), (current, TRANSLATED)]
        for reply, source in reversed(answers) if current_first else answers:
            valid.now += 0.01
            valid.confirm(reply, source)
        (race,) = told(valid, RaceSuspected, Rebound, BindingMoved)
        assert race == RaceSuspected(HOME, PATH, path_at_other(there), pause)
        later(valid, pause - 0.01)
        assert data_from(valid, there) == []
        later(valid, 0.02)


def test_no_rebinding_for_old_data_or_another_carrier(valid):
    old = valid.as_mobile.seal_data(PING)
    data_from(valid, TRANSLATED)
    valid.to_other(old, ELSEWHERE)
    native = Path(Encapsulation.NATIVE, Endpoint(OTHER.address), Endpoint(ELSEWHERE.address))
    valid.other.receive(valid.as_mobile.seal_data(PING), native, valid.now)
    other_endpoint = Path(Encapsulation.UDP, Endpoint(OTHER.address, 4501), ELSEWHERE)
    valid.other.receive(valid.as_mobile.seal_data(PING), other_endpoint, valid.now)
    assert valid.other.transmits(valid.now) == []
    assert len(valid.other.received()) == 4


# more of rules 2 to 4


def test_a_validated_path_is_evicted_last_and_the_current_one_never(pair):
    link = pair.other._homes[HOME]
    first = Endpoint(ELSEWHERE.address, 1)
    pair.now += 0.01
    (probed,) = pair.request(first, **with_attempt(5, PROBE), **BIG)
    pair.confirm(probed, first)  # moves there, because the current path is not validated
    pair.now += 0.01
    (again,) = pair.request(NEW, **with_attempt(5, PROBE), **BIG)
    pair.confirm(again, NEW)
    for port in range(2, 20):
        pair.now += 0.01
        pair.request(Endpoint(ELSEWHERE.address, port), **with_attempt(5, PROBE), **BIG)
    assert link.paths.get(path_at_other(first)) is link.current
    assert link.paths.get(path_at_other(NEW)).validated


def test_the_current_path_stays_even_if_it_is_not_validated(pair):
    link = pair.other._homes[HOME]
    for port in range(1, 20):
        pair.now += 0.01
        pair.request(Endpoint(ELSEWHERE.address, port), **with_attempt(5, PROBE), **BIG)
    assert link.paths.get(PATH) is link.current
    assert not link.current.validated


def test_a_response_sets_the_attempt_of_the_current_path(pair):
    pair.now += 0.01
    (probed,) = pair.request(ELSEWHERE, **with_attempt(6, PROBE), **BIG)
    pair.confirm(probed, ELSEWHERE)
    assert moves(pair) == [(ELSEWHERE, MoveCause.RESPONSE)]
    pair.now += 1
    pair.request(NEW, **with_attempt(6), **BIG)
    assert moves(pair) == []
    assert pair.other.path(HOME).remote == ELSEWHERE


def test_what_an_older_attempt_validated_is_not_moved_to(valid):
    (probed,) = valid.request(ELSEWHERE, **with_attempt(5, PROBE), **BIG)
    valid.confirm(probed, ELSEWHERE)
    for flags, source in ((PROBE, NEW), (USE, ELSEWHERE)):
        valid.now += 1
        valid.request(source, **with_attempt(6, flags), **BIG)
    assert moves(valid) == []
    assert valid.other.path(HOME) == PATH


def test_old_data_from_an_admitted_path_is_no_rebinding(valid):
    valid.request(ELSEWHERE, **with_attempt(5, PROBE), **BIG)
    later(valid, 4)
    old = valid.as_mobile.seal_data(PING)
    data_from(valid, TRANSLATED)
    valid.to_other(old, ELSEWHERE)
    assert valid.other.transmits(valid.now) == []


def test_nobody_answers_nothing_changes(valid):
    rebinding(valid)
    later(valid, 3.1)
    rejected = told(valid, PathRejected, Suspended, BindingMoved)
    assert [event.path.remote.port for event in rejected] == [40000]
    assert valid.other.path(HOME) == PATH


# what an RREP says besides


def test_counters_of_the_path_are_reported(valid):
    data_from(valid, TRANSLATED)
    data_from(valid, TRANSLATED)
    valid.other.send(PONG, valid.now)
    valid.other.transmits(valid.now)
    (reply,) = replies(valid, valid.request(**with_attempt(5)))
    assert (reply.report.received, reply.report.sent) == (2, 1)
    assert reply.report.largest_received == len(valid.as_mobile.seal_data(PING))


def test_who_reports_is_told_that_nothing_came(valid):
    later(valid, 1)
    (reply,) = replies(valid, valid.request(**with_attempt(5), report=Report(0, 12, 0)))
    assert reply.report == Report(0, 0, 0)


def configured(**changes):
    pair = Pair()
    native = EncapsulationItem(EncapsulationCode.NATIVE)
    udp = EncapsulationItem(EncapsulationCode.UDP, port=4500)
    configuration = OtherConfiguration((OTHER_LINK,), **{"supported": (native, udp), **changes})
    pair.other = OtherTerminal(configuration, random_bytes=pair.random.randbytes)
    return pair


@pytest.mark.parametrize(
    ("changes", "flags", "codes"),
    [
        ({}, 0, [0]),
        ({}, AttemptFlag.FORCED, []),
        ({"forced": True}, 0, []),
        ({"decider": Decider.FIXED}, 0, None),
        ({"decider": Decider.MOBILE}, 0, [0]),
    ],
)
def test_selected_by_decider_and_force(changes, flags, codes):
    pair = configured(**changes)
    native = Path(Encapsulation.NATIVE, Endpoint(OTHER.address), Endpoint(NEW.address))
    sent = describe(Encapsulation.NATIVE, native.remote, native.local, TO_OTHER.spi)
    message = build_request(a_request(pair.now, sent=sent, **with_attempt(1, flags)))
    pair.other.receive(pair.as_mobile.seal_message(message), native, pair.now)
    (reply,) = replies(pair, pair.other.transmits(pair.now))
    assert codes == (None if reply.selected is None else [item.code for item in reply.selected])


def test_y_says_that_it_insists_on_traversal():
    pair = configured(forced=True)
    first = replies(pair, pair.request(**BIG))
    again = replies(pair, later(pair, 0.6))
    flags = [reply.attempt.flags for reply in (*first, *again)]
    assert flags == [AttemptFlag.USE | AttemptFlag.FORCED] * 2


def test_other_addresses_are_told():
    (reply,) = replies(*(lambda p: (p, p.request()))(configured(addresses=(OLD.address,))))
    assert reply.addresses == (OLD.address,)


@pytest.mark.parametrize(
    ("flag", "source"),
    [
        (AttemptFlag.OTHER_PORT, Endpoint(OTHER.address, 4501)),
        (AttemptFlag.OTHER_ADDRESS, Endpoint(OLD.address, 4500)),
        (0, OTHER),
    ],
)
def test_answers_from_another_port_or_address(flag, source):
    alternates = (Endpoint(OTHER.address, 4501), Endpoint(OLD.address, 4500))
    pair = configured(alternates=alternates)
    (answer,) = pair.request(**with_attempt(1, PROBE | flag), **BIG)
    assert (answer.path.local, answer.path.remote) == (source, TRANSLATED)
    (reply,) = replies(pair, [answer])
    assert reply.sent == describe(Encapsulation.UDP, source, TRANSLATED, TO_MOBILE.spi)
    traffic = pair.other._homes[HOME].state_of(PATH).traffic
    assert traffic.sent_octets == len(answer.data)  # rule 3 applies


def test_the_challenge_that_is_due_first_is_repeated_first(pair):
    """One timer serves all paths of a link."""
    pair.request(**with_attempt(5), **BIG)
    pair.now += 0.3
    pair.request(ELSEWHERE, **with_attempt(5, PROBE), **BIG)
    began = pair.now - 0.3
    for seconds, remote in [(0.5, TRANSLATED), (0.8, ELSEWHERE), (1.0, TRANSLATED)]:
        pair.now = pair.other.timer()
        assert pair.now - began == pytest.approx(seconds, abs=1e-3)
        pair.other.handle_timer(pair.now)
        (repeated,) = pair.other.transmits(pair.now)
        assert repeated.path.remote == remote
