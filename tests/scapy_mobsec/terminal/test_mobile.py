"""X: its RREQ, what it does without waiting, what it does with each kind of reply."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from play import UDP, Play, told
from terminals import (
    HOME,
    NEW,
    OLD,
    OTHER,
    PING,
    PONG,
    START,
    SUPPORTED,
    TO_MOBILE,
    TO_OTHER,
    TRANSLATED,
    Pair,
    drops,
    events,
    path_at_mobile,
)

from contrib_layers.numbers import LIFETIME_INFINITE, AttemptFlag, EncapsulationCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem, Ipv6Header
from scapy_mobsec.registration.extensions import TranslationItem
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    build_reply,
    parse_request,
)
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.registration.transitions import LocalProtocolError, MobileState
from scapy_mobsec.terminal.config import LinkParameters, MobileConfiguration
from scapy_mobsec.terminal.events import (
    BindingEnded,
    ChallengeAnswered,
    CountersCorrected,
    Deregistered,
    FailureReason,
    Moved,
    NumbersSkipped,
    Registered,
    RegistrationFailed,
    Renewed,
)
from scapy_mobsec.terminal.mobile import MobileTerminal

UDP_ESP = 20 + 8


@pytest.fixture
def pair():
    return Pair()


@pytest.fixture
def registered(pair):
    pair.register(OLD)
    events(pair.mobile)
    events(pair.other)
    return pair


def requested(pair, transmit):
    return parse_request(pair.read_request(transmit))


def give_reply(pair, request, **changes):
    """Let X have a reply that Y did not write."""
    given = {
        "identification": request.identification,
        "code": 0,
        "lifetime": request.lifetime,
        "home_address": request.home_address,
        "home_agent": request.home_agent,
        "attempt": replace(request.attempt, flags=AttemptFlag.USE),
    }
    message = build_reply(RegistrationReply(**{**given, **changes}))
    pair.to_mobile(pair.as_other.seal_message(message))


def run_timers(pair, seconds):
    """Let X's timers run for a while; return when it sent what."""
    end, sent = pair.now + seconds, []
    while (deadline := pair.mobile.timer()) is not None and deadline <= end:
        pair.now = deadline
        pair.mobile.handle_timer(deadline)
        sent += [(deadline, transmit) for transmit in pair.mobile.transmits(deadline)]
    pair.now = end
    return sent


def test_the_request(pair):
    transmit = pair.move(NEW)
    request = requested(pair, transmit)
    assert transmit.path == pair.mobile.path == path_at_mobile(NEW)
    assert request.identification == ntp_timestamp(START)
    assert (request.lifetime, request.flags) == (3600, 0x20)
    assert (request.home_address, request.home_agent) == (HOME, OTHER.address)
    assert request.care_of_address == NEW.address
    assert request.attempt == Attempt(1, 0, 0, 1)
    assert request.sent == describe(Encapsulation.UDP, NEW, OTHER, TO_OTHER.spi)
    assert request.supported == (EncapsulationItem(EncapsulationCode.UDP),)
    assert 1200 <= len(transmit.data) <= 1232
    assert events(pair.mobile) == [Moved(1, None, path_at_mobile(NEW))]


def test_data_follows_the_request_without_waiting(pair):
    pair.mobile.move([NEW], pair.now)
    pair.mobile.send(PING, pair.now)
    request, data = pair.mobile.transmits(pair.now)
    assert request.path == data.path
    pair.to_other(data.data)
    assert pair.other.received() == [PING]


def test_without_a_path_nothing_is_sent(pair):
    pair.mobile.send(PING, pair.now)
    assert drops(pair.mobile) == [DropReason.NO_PATH]
    assert pair.mobile.timer() is None
    with pytest.raises(LocalProtocolError):
        pair.mobile.deregister(pair.now)


def test_the_first_endpoint_of_the_right_family_is_used(pair):
    pair.mobile.move([Endpoint.of("2001:db8::1", 4500), NEW, OLD], pair.now)
    assert pair.mobile.path.local == NEW
    pair.mobile.move([Endpoint.of("2001:db8::1", 4500)], pair.now)
    assert pair.mobile.path is None
    assert pair.mobile.state is MobileState.DETACHED
    assert pair.mobile.timer() is None
    assert events(pair.mobile)[-1] == Moved(1, path_at_mobile(NEW), None)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [None],
        ["10.0.0.2"],
        [("10.0.0.2", 4500)],
        [(NEW.address, 4500)],
        [Endpoint("10.0.0.2", 4500)],
        [NEW, Endpoint(b"abc", 1)],
        [Endpoint(b"", 0)],
        [Endpoint(bytes(4), 4500)],
        [Endpoint(NEW.address, 70_000)],
        [Endpoint(NEW.address, -1)],
        [Endpoint(NEW.address, 1.5)],
    ],
)
def test_a_move_to_what_is_no_endpoint_changes_nothing(pair, wrong):
    pair.register(OLD)
    events(pair.mobile)
    with pytest.raises(ValueError, match="local_endpoints"):
        pair.mobile.move(wrong, pair.now)
    with pytest.raises(ValueError, match="kept"):
        pair.mobile.move([NEW], pair.now, wrong)
    assert (pair.mobile.state, pair.mobile.attempt) == (MobileState.REGISTERED, 1)
    assert pair.mobile.path == path_at_mobile(OLD)
    assert not events(pair.mobile)
    assert not pair.mobile.transmits(pair.now)


def test_ipv6_inside_and_outside():
    inner, signalling = (ip_address(f"2001:db8:1::{n}").packed for n in (1, 2))
    link = LinkParameters(inner, signalling, (), TO_OTHER)
    outside = Endpoint.of("2001:db8:2::1", 4500)
    mobile = MobileTerminal(
        MobileConfiguration(link, Endpoint.of("2001:db8:3::1", 4500)), random_bytes=bytes
    )
    mobile.move([OLD, outside], START)
    pair = Pair()
    pair.as_mobile = None
    (transmit,) = mobile.transmits(START)
    reader = pair._forger(replace(link, inbound=(TO_OTHER,), outbound=TO_MOBILE), at_mobile=False)
    request = parse_request(reader.mode.unwrap(reader.inbound[0].open(transmit.data))[1])
    assert request.home_address == request.home_agent == request.care_of_address == bytes(4)
    assert isinstance(request.sent[0], Ipv6Header)


def test_registered_tells_both_views(pair):
    pair.register(NEW, TRANSLATED)
    registered = events(pair.mobile)[-1]
    assert isinstance(registered, Registered)
    assert registered.rtt == pytest.approx(0.05, abs=1e-6)
    assert (registered.attempt, registered.lifetime) == (1, 3600)
    assert registered.encapsulation is Encapsulation.UDP
    assert registered.sent == describe(Encapsulation.UDP, NEW, OTHER, TO_OTHER.spi)
    assert registered.observed == describe(Encapsulation.UDP, TRANSLATED, OTHER, TO_OTHER.spi)
    assert [(one.sent, one.observed) for one in registered.translations] == [
        ("10.0.0.2", "192.0.2.1"),
        ("4500", "31337"),
    ]
    assert [(one.sent, one.observed) for one in registered.reply_translations] == [
        ("192.0.2.1", "10.0.0.2"),
        ("31337", "4500"),
    ]
    assert registered.selected == registered.supported != ()
    assert pair.mobile.state is MobileState.REGISTERED


def test_x_compares_whatever_y_says(pair):
    request = requested(pair, pair.move(NEW))
    sent = describe(Encapsulation.UDP, OTHER, TRANSLATED, 0x2222)
    give_reply(pair, request, sent=sent, translations=())
    registered = events(pair.mobile)[-1]
    assert registered.translations == ()
    assert len(registered.reply_translations) == 2


def test_nothing_but_attempt_is_required_of_a_reply(pair):
    request = requested(pair, pair.move(NEW))
    give_reply(pair, request, attempt=None)
    assert drops(pair.mobile) == [DropReason.POORLY_FORMED]
    give_reply(pair, request, translations=(TranslationItem(9, 1, 1),))
    assert drops(pair.mobile) == [DropReason.POORLY_FORMED]
    give_reply(pair, request)
    assert pair.mobile.state is MobileState.REGISTERED


def test_retransmission_keeps_the_attempt_and_renews_the_identification(pair):
    first = requested(pair, pair.move(NEW))
    sent = run_timers(pair, 31.9)
    requests = [requested(pair, transmit) for _, transmit in sent]
    lengths = [len(transmit.data) for _, transmit in sent]
    assert 7 <= len(sent) <= 8
    assert {request.attempt for request in requests} == {first.attempt}
    identifications = [first.identification, *(one.identification for one in requests)]
    assert identifications == sorted(set(identifications))
    assert 1200 <= lengths[0] <= 1232
    assert all(500 <= length <= 532 for length in lengths[1:])


def test_after_32_seconds_the_attempt_has_failed_and_another_one_follows(pair):
    pair.move(NEW)
    events(pair.mobile)
    sent = run_timers(pair, 32.0)
    skipped, failed = events(pair.mobile)
    assert skipped == NumbersSkipped(131_072)
    assert failed == RegistrationFailed(1, FailureReason.NO_REPLY)
    when, last = sent[-1]
    assert when == START + 32
    assert requested(pair, last).attempt == Attempt(2)
    assert 1200 <= len(last.data) <= 1232
    assert pair.mobile.state is MobileState.REGISTERING


def test_a_reply_to_any_transmission_will_do_with_its_own_round_trip(pair):
    requests = [requested(pair, pair.move(NEW))]
    requests += [requested(pair, transmit) for _, transmit in run_timers(pair, 2.0)]
    give_reply(pair, requests[1])
    registered = events(pair.mobile)[-1]
    assert 1.4 < registered.rtt < 1.6
    give_reply(pair, requests[2])
    assert drops(pair.mobile) == [DropReason.UNSOLICITED_REPLY]


def test_replies_to_nothing(pair):
    request = requested(pair, pair.move(NEW))
    give_reply(pair, request, identification=request.identification + 1)
    give_reply(pair, request, attempt=Attempt(2, AttemptFlag.USE))
    give_reply(pair, request, identification=request.identification ^ 1, code=133)
    assert drops(pair.mobile) == 3 * [DropReason.UNSOLICITED_REPLY]
    pair.mobile.move([OLD], pair.now)
    give_reply(pair, request)
    assert drops(pair.mobile) == [DropReason.UNSOLICITED_REPLY]
    assert pair.mobile.state is MobileState.REGISTERING


def test_a_request_is_no_reply(pair):
    pair.move(NEW)
    pair.to_mobile(pair.as_other.seal_message(bytes((1,)) + bytes(23)))
    assert drops(pair.mobile) == [DropReason.POORLY_FORMED]


@pytest.mark.parametrize(
    ("last_attempt", "attempt_of_y"), [(0, 5000), (2**32 - 2, 3), (41, 7)], ids=str
)
def test_code_133_makes_x_go_on_above_both_counters(last_attempt, attempt_of_y):
    pair = Pair(last_attempt=last_attempt)
    request = requested(pair, pair.move(NEW))
    events(pair.mobile)
    ahead = request.identification + (1000 << 32)
    give_reply(pair, request, identification=ahead, code=133, attempt=Attempt(attempt_of_y))
    (event,) = events(pair.mobile)
    again = requested(pair, pair.from_mobile())
    assert again.identification == ahead + 1
    assert again.attempt.number == (
        max(request.attempt.number, attempt_of_y) + 1 if last_attempt < 2**31 else 4
    )
    assert event == CountersCorrected(again.attempt.number)


def test_code_133_is_acted_on_once_per_attempt(pair):
    request = requested(pair, pair.move(NEW))
    give_reply(pair, request, code=133, attempt=Attempt(9))
    pair.from_mobile()
    events(pair.mobile)
    give_reply(pair, request, code=133, attempt=Attempt(50))
    assert drops(pair.mobile) == [DropReason.UNSOLICITED_REPLY]
    assert pair.mobile.transmits(pair.now) == []
    assert pair.mobile.attempt == 10


def test_a_terminal_that_finds_everything_stale_does_not_set_the_pace(pair):
    """For a second, one code 133 every millisecond."""
    transmit, sent = pair.move(NEW), 0
    for _ in range(1000):
        give_reply(pair, requested(pair, transmit), code=133, attempt=Attempt(pair.mobile.attempt))
        pair.now += 0.001
        pair.mobile.handle_timer(pair.now)
        out = pair.mobile.transmits(pair.now)
        transmit, sent = [transmit, *out][-1], sent + len(out)
    assert 2 <= sent <= 4
    assert DropReason.UNSOLICITED_REPLY in drops(pair.mobile)


def test_lost_counters_cost_one_round_trip():
    pair = Pair()
    pair.request(source=OLD, attempt=Attempt(77), identification=ntp_timestamp(START + 500))
    events(pair.other)
    pair.to_other(pair.move(NEW).data)
    pair.to_mobile(pair.from_other().data)
    pair.to_other(pair.from_mobile().data)
    pair.to_mobile(pair.from_other().data)
    assert [type(event) for event in events(pair.mobile)] == [
        Moved,
        CountersCorrected,
        ChallengeAnswered,
        Registered,
    ]
    assert drops(pair.other) == [DropReason.STALE_ATTEMPT]
    assert pair.other.path(HOME).remote == TRANSLATED


def test_a_refusal_waits_before_the_next_attempt(pair):
    request = requested(pair, pair.move(NEW))
    events(pair.mobile)
    give_reply(pair, request, code=130)
    assert events(pair.mobile) == [RegistrationFailed(1, FailureReason.REFUSED, 130)]
    assert pair.mobile.state is MobileState.REFUSED
    pair.mobile.send(PING, pair.now)
    assert len(pair.mobile.transmits(pair.now)) == 1
    ((when, transmit),) = run_timers(pair, 32.0)
    assert when == START + 32
    assert requested(pair, transmit).attempt == Attempt(2)


def test_renewal_at_half_of_the_lifetime(registered):
    pair = registered
    ((when, transmit),) = run_timers(pair, 1800.1)
    request = requested(pair, transmit)
    assert when == pytest.approx(START + 1800, abs=1e-3)  # since its RREQ, not since the RREP
    assert (request.attempt, request.lifetime) == (Attempt(1), 3600)
    assert pair.mobile.state is MobileState.REFRESHING
    pair.to_other(transmit.data, OLD)
    pair.to_mobile(pair.from_other().data)
    (renewed,) = events(pair.mobile)
    assert isinstance(renewed, Renewed)
    assert pair.mobile.state is MobileState.REGISTERED
    assert pair.mobile.timer() == pytest.approx(when + 1800, abs=1e-3)


@pytest.mark.parametrize("round_trip", [0.05, 0.6, 1.2, 1.9])
def test_no_lifetime_of_more_than_a_round_trip_expires(round_trip):
    play = Play(allow=(UDP,), lifetime=2, round_trip=round_trip, keepalive=0).move().wait(60)
    assert not told(play.other, BindingEnded)
    assert len(play.told(Renewed)) <= 60


def test_a_renewal_that_came_through_another_mapping_starts_an_attempt(registered):
    pair = registered
    ((_, transmit),) = run_timers(pair, 1800.1)
    pair.to_other(transmit.data, TRANSLATED)
    pair.to_mobile(pair.from_other().data)
    _, again = pair.mobile.transmits(pair.now)  # after its CONFIRM
    assert requested(pair, again).attempt == Attempt(2)
    pair.to_other(again.data, TRANSLATED)
    pair.to_mobile(pair.from_other().data)
    assert pair.mobile.state is MobileState.REGISTERED
    assert pair.other.path(HOME).remote == TRANSLATED


def test_a_granted_lifetime_of_nothing_is_no_busy_loop(pair):
    request = requested(pair, pair.move(NEW))
    give_reply(pair, request, lifetime=0)
    assert pair.mobile.timer() == pair.now + 0.5


def test_no_renewal_of_an_infinite_lifetime():
    pair = Pair(lifetime=LIFETIME_INFINITE, max_lifetime=LIFETIME_INFINITE)
    pair.register()
    assert pair.mobile.timer() is None


def test_deregistration(registered):
    pair = registered
    pair.mobile.deregister(pair.now)
    transmit = pair.from_mobile()
    request = requested(pair, transmit)
    assert (request.lifetime, request.attempt) == (0, Attempt(1))
    pair.to_other(transmit.data, OLD)
    pair.to_mobile(pair.from_other().data)
    assert events(pair.mobile) == [Deregistered(1, confirmed=True)]
    assert (pair.mobile.state, pair.mobile.path) == (MobileState.DETACHED, None)
    assert pair.mobile.timer() is None
    assert pair.other.path(HOME) is None


def test_deregistration_without_answer(registered):
    pair = registered
    pair.mobile.deregister(pair.now)
    sent = run_timers(pair, 33)
    assert {requested(pair, transmit).lifetime for _, transmit in sent} == {0}
    assert events(pair.mobile) == [Deregistered(1, confirmed=False)]
    assert pair.mobile.path is None


@pytest.mark.parametrize("code", [129, 133])
def test_deregistration_refused(registered, code):
    pair = registered
    pair.mobile.deregister(pair.now)
    request = requested(pair, pair.from_mobile())
    give_reply(pair, request, code=code)
    if code == 133:
        again = requested(pair, pair.from_mobile())
        assert (again.lifetime, again.attempt.number) == (0, 2)
    else:
        assert events(pair.mobile) == [Deregistered(1, confirmed=False)]
        assert pair.mobile.state is MobileState.DETACHED


def test_moves_while_an_attempt_is_under_way(pair):
    first = pair.move(OLD)
    second = pair.move(NEW)
    pair.to_other(second.data)
    pair.to_other(first.data, OLD)
    assert drops(pair.other) == [DropReason.STALE_ATTEMPT]
    assert pair.other.path(HOME).remote == TRANSLATED


def test_data_from_y_is_delivered_from_any_path(registered):
    pair = registered
    path = path_at_mobile(NEW)._replace(remote=TRANSLATED)
    pair.mobile.receive(pair.as_other.seal_data(PONG), path, pair.now)
    assert pair.mobile.received() == [PONG]
    assert pair.mobile.path == path_at_mobile(OLD)


def test_exhausted_numbers_are_a_named_drop(registered):
    registered.mobile._link.outbound.next_sequence = 2**32
    registered.mobile.send(PING, registered.now)
    registered.mobile.move([NEW], registered.now)
    assert drops(registered.mobile) == 2 * [DropReason.SEQUENCE_EXHAUSTED]


def test_more_lifetime_than_was_asked_for_is_not_taken():
    pair = Pair(lifetime=600)
    give_reply(pair, requested(pair, pair.move(NEW)), lifetime=65535)
    (registered,) = [event for event in events(pair.mobile) if isinstance(event, Registered)]
    assert registered.lifetime == 600


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"home_address": bytes(4)}, DropReason.WRONG_IDENTITY),
        ({"home": bytes(15) + b"1"}, DropReason.WRONG_IDENTITY),
        ({"attempt": Attempt(1, AttemptFlag.USE, index=9)}, DropReason.UNSOLICITED_REPLY),
    ],
    ids=["home address", "HOME", "index"],
)
def test_a_reply_that_copies_wrongly_is_dropped(pair, changes, reason):
    request = requested(pair, pair.move(NEW))
    give_reply(pair, request, **changes)
    assert drops(pair.mobile) == [reason]
    assert pair.mobile.state is MobileState.REGISTERING


def test_a_move_may_change_the_encapsulations(registered):
    registered.mobile.move([NEW], registered.now, allow=SUPPORTED[:3])
    sent = registered.mobile.transmits(registered.now)
    (request,) = [each for each in sent if each.path.encapsulation is Encapsulation.UDP]
    assert requested(registered, request).supported == tuple(
        EncapsulationItem(code) for code in sorted(item.code for item in SUPPORTED[:3])
    )
    told = registered.mobile.status().path.encapsulation
    assert told is Encapsulation.UDP
    registered.mobile.move([NEW], registered.now)
    assert registered.mobile._encapsulations == (  # the next move begins with the same
        Encapsulation.NATIVE,
        Encapsulation.UDP,
        Encapsulation.TCP,
    )


def test_an_encapsulation_named_twice_is_refused_and_nothing_changes(registered):
    path = registered.mobile.path
    with pytest.raises(ValueError, match="twice"):
        registered.mobile.move([NEW], registered.now, allow=SUPPORTED[:1] * 2)
    assert registered.mobile.path == path
    assert not registered.mobile.transmits(registered.now)
