"""Several RREQs at once, challenges, and what X makes of each kind of reply, as charts."""

import pytest
from scripted import NATIVE, PROBE, TCP, TLS, UDP, USE, Script, items
from terminals import HOME, NEW, OLD, PING, TRANSLATED

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Endpoint, Path
from scapy_mobsec.registration.messages import Attempt, RegistrationReply, build_reply
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.driving import Established
from scapy_mobsec.terminal.events import (
    ChallengeAnswered,
    CountersCorrected,
    FailureReason,
    PacketDropped,
    PathChosen,
    Registered,
    RegistrationFailed,
)
from scapy_mobsec.terminal.exchange import MAX_EXCHANGES
from scapy_mobsec.terminal.keeper import MAX_ANSWERED

CHALLENGE = b"\x01" * 8
CONFIRM = int(AttemptFlag.CONFIRM)
ALL = (NATIVE, UDP, TCP, TLS)


def opened(script, wanted, port):
    path = Path(wanted.encapsulation, Endpoint(wanted.local.address, port), wanted.remote)
    script.tell(Established(wanted, ()), path)
    return path


def test_udp_first_the_others_50_ms_apart():
    script = Script(*ALL, start=ALL)
    script.move()
    script.send(PING)
    script.wait(0.4)
    assert script.took() == [
        "0 udp RREQ #1 1/4",
        "0 udp data",
        "50 native RREQ #1 2/4 PROBE",
        "100 tcp open",
        "150 tls open",
    ]


def test_or_together():
    script = Script(*ALL, start=ALL, stagger=0)
    script.move()
    assert script.took() == [
        "0 udp RREQ #1 1/4",
        "0 native RREQ #1 2/4 PROBE",
        "0 tcp open",
        "0 tls open",
    ]


def test_native_alone_moves():
    script = Script(NATIVE, UDP, start=(NATIVE,))
    script.move()
    script.send(PING)
    assert script.took() == ["0 native RREQ #1 1/1", "0 native data"]


def test_data_does_not_go_where_only_a_probe_goes():
    script = Script(NATIVE, TCP)
    script.move()
    script.send(PING)
    script.wait(0.2)
    assert script.took() == ["0 native RREQ #1 1/2 PROBE", "50 tcp open"]


def test_each_is_retransmitted():
    script = Script(*ALL, start=(UDP, NATIVE))
    script.move()
    script.wait(3.4)
    assert script.took() == [
        "0 udp RREQ #1 1/2",
        "50 native RREQ #1 2/2 PROBE",
        "500 udp RREQ #1 1/2",
        "550 native RREQ #1 2/2 PROBE",
        "1500 udp RREQ #1 1/2",
        "1550 native RREQ #1 2/2 PROBE",
    ]


def test_the_first_answer_wins_and_what_is_not_better_is_given_up():
    script = Script(UDP, TCP, TLS, start=(UDP, TCP, TLS))
    script.move()
    script.wait(0.2)
    tcp = opened(script, script.outs[1].path, 50_001)
    script.reply(script.last(TCP))
    assert script.mobile.path == tcp
    assert script.mobile.state is MobileState.REGISTERED
    script.took()
    script.wait(20)
    assert script.took() == [  # udp is better, tls is not
        "500 udp RREQ #1 1/3 PROBE",
        "1500 udp RREQ #1 1/3 PROBE",
        "13500 udp RREQ #1 1/1 PROBE",
        "14000 udp RREQ #1 1/1 PROBE",
        "15000 udp RREQ #1 1/1 PROBE",
    ]


@pytest.mark.parametrize("fixed", [False, True])
def test_what_would_not_be_used_is_not_asked_again(fixed):
    """Behind a NAT native is the last resort, and where the choice is fixed nothing is better."""
    decider = Decider.FIXED if fixed else Decider.OTHER
    script = Script(*ALL, start=ALL, decider=decider)
    script.move()
    script.wait(0.08)
    script.reply(script.last(UDP), seen=None if fixed else TRANSLATED)
    script.took()
    script.wait(40)
    assert script.took() == []


def test_udp_that_answers_later_is_used():
    script = Script(UDP, TCP, start=(UDP, TCP))
    script.move()
    script.wait(0.1)
    tcp = opened(script, script.outs[1].path, 50_001)
    script.reply(script.last(TCP))
    script.reply(script.last(UDP), flags=0, challenge=CHALLENGE)
    assert script.took()[-2:] == ["100 udp RREQ #1 1/1 CONFIRM", "100 udp RREQ #1 1/1 USE"]
    script.reply(script.last(UDP, USE))
    (event,) = script.events(PathChosen)
    assert (event.old, event.new.encapsulation) == (tcp, UDP)
    assert script.events(Registered) == []


def test_where_only_native_is_answered_it_is_registered_2_s_later():
    script = Script(NATIVE, UDP, start=(NATIVE, UDP))
    script.move()
    script.wait(0.1)
    script.reply(script.last(NATIVE), flags=0, challenge=CHALLENGE)
    script.took()
    script.wait(2.1)
    assert [line for line in script.took() if "native" in line] == ["2100 native RREQ #1 1/1"]
    script.reply(script.last(NATIVE, 0))
    assert script.mobile.path.encapsulation is NATIVE
    assert script.mobile.state is MobileState.REGISTERED


def test_but_not_if_another_was_answered_too():
    script = Script(NATIVE, UDP, start=(NATIVE, UDP), forced=True)
    script.move()
    script.wait(0.1)
    script.reply(script.last(NATIVE), flags=0, challenge=CHALLENGE)
    script.reply(script.last(UDP))
    script.took()
    script.wait(5)
    assert script.took() == []


def test_without_any_answer_the_next_attempt_has_all_that_is_allowed():
    script = Script(*ALL, start=(UDP,))
    script.move()
    script.wait(32.2)
    assert script.events(RegistrationFailed) == [RegistrationFailed(1, FailureReason.NO_REPLY)]
    assert [line for line in script.took() if "#2" in line or "open" in line] == [
        "32000 udp RREQ #2 1/4",
        "32050 native RREQ #2 2/4 PROBE",
        "32100 tcp open",
        "32150 tls open",
    ]


def test_several_interfaces():
    script = Script(UDP)
    script.mobile.move([OLD, NEW], script.now)
    script.collect()
    first, second = script.outs
    assert [out.path.local for out in (first, second)] == [OLD, NEW]
    script.reply(second)
    assert script.mobile.path.local == NEW
    script.took()
    script.wait(5)
    assert script.took() == []
    script.reply(first, flags=0, challenge=CHALLENGE)  # admitted, but nothing better
    assert script.took() == ["5000 udp RREQ #1 1/1 CONFIRM"]


def test_exchanges_are_bounded():
    script = Script(UDP)
    script.mobile.move([Endpoint.of(f"10.0.0.{n}", 4500) for n in range(1, 200)], script.now)
    for _ in range(50):
        script.mobile._use(script.mobile.path, script.now)
    assert len(list(script.mobile._exchanges)) <= MAX_EXCHANGES


def test_answered_requests_are_bounded():
    script = Script(UDP, keepalive=1)
    script.move()
    script.reply(script.last())
    script.wait(0.1)
    for _ in range(3 * MAX_ANSWERED):
        script.wait(3)
        script.reply(script.last())
    assert script.mobile.attempt == 1
    assert len(script.mobile._answered) == MAX_ANSWERED


# challenges


def test_a_challenge_is_answered_on_the_path_it_came_by():
    script = Script(UDP)
    script.move()
    elsewhere = Path(UDP, NEW, Endpoint.of("203.0.113.9", 4500))
    script.reply(script.last(), challenge=CHALLENGE, path=elsewhere)
    confirm = script.last(flags=CONFIRM)
    assert (confirm.path, confirm.request.response) == (elsewhere, CHALLENGE)
    assert script.events(ChallengeAnswered) == [ChallengeAnswered(1, elsewhere, True)]


def test_a_repeated_reply_is_confirmed_again():
    script = Script(UDP)
    script.move()
    request = script.last()
    for _ in range(4):
        script.reply(request, challenge=CHALLENGE)
    assert script.took() == ["0 udp RREQ #1 1/1"] + 4 * ["0 udp RREQ #1 1/1 CONFIRM"]
    assert len(script.events(Registered)) == 1


def challenge_alone(script, number=1, identification=77):
    reply = RegistrationReply(
        identification=identification,
        code=0,
        lifetime=0,
        home_address=HOME,
        home_agent=bytes(4),
        attempt=Attempt(number, int(PROBE)),
        challenge=CHALLENGE,
    )
    script.give(build_reply(reply), script.mobile.path or script.open[0].path)


def test_a_challenge_that_nobody_asked_for_is_answered_at_any_time():
    script = Script(UDP)
    script.move()
    challenge_alone(script, identification=script.last().request.identification)
    assert script.mobile.state is MobileState.REGISTERING  # it is no answer
    script.reply(script.last(flags=0))
    challenge_alone(script)
    assert script.took()[1:] == 2 * ["0 udp RREQ #1 1/1 CONFIRM"]
    assert [event.solicited for event in script.events(ChallengeAnswered)] == [True, False]


def test_a_challenge_of_an_older_attempt_is_answered_in_its_name():
    """Y does not know the present attempt: no RREQ of it has arrived."""
    script = Script(UDP)
    script.move()
    script.move()
    script.wait(1)
    for _ in range(2):
        challenge_alone(script, number=1)
    answered = script.events(ChallengeAnswered)
    assert [(event.attempt, event.solicited) for event in answered] == 2 * [(1, False)]
    assert script.mobile.state is MobileState.REGISTERING
    sent = [out.request for out in script.outs]
    first, second = (one.identification for one in sent if one.attempt == Attempt(1, CONFIRM))
    present = [one.identification for one in sent if one.attempt.number == 2]
    assert first < second < min(present)  # so that Y finds none of these stale
    script.reply(script.last(flags=0))
    assert script.mobile.state is MobileState.REGISTERED


def test_an_rrep_of_an_older_attempt_is_nothing_but_its_challenge():
    script = Script(UDP)
    script.move()
    earlier = script.last()
    script.move()
    script.took()
    script.reply(earlier, challenge=CHALLENGE)
    assert script.took() == ["0 udp RREQ #1 1/1 CONFIRM"]
    assert script.mobile.state is MobileState.REGISTERING


def test_no_challenge_of_a_newer_attempt_or_without_registration():
    script = Script(UDP)
    script.move()
    script.took()
    challenge_alone(script, number=2)
    script.mobile.move([], script.now)
    challenge_alone(script, number=1)
    assert script.took() == []
    dropped = script.events(PacketDropped)
    assert [event.reason for event in dropped] == 2 * [DropReason.UNSOLICITED_REPLY]


def test_a_copy_that_was_faster_is_undone():
    """Y knows another path by this attempt; X proves its own and takes it (rule 2b, 2c)."""
    script = Script(UDP)
    script.move()
    script.reply(script.last(), flags=0, challenge=CHALLENGE)
    assert script.took()[1:] == ["0 udp RREQ #1 1/1 CONFIRM", "0 udp RREQ #1 1/1 USE"]
    script.reply(script.last(flags=USE))
    assert script.mobile.state is MobileState.REGISTERED
    assert len(script.events(Registered)) == 1


def test_a_proven_path_that_y_never_takes_ends_the_attempt():
    script = Script(UDP)
    script.mobile.move([OLD, NEW], script.now)
    script.collect()
    for out in script.outs[:2]:
        script.reply(out, flags=0, challenge=CHALLENGE)
    assert script.mobile.path.local == OLD
    assert script.last(flags=USE).path.local == NEW
    script.wait(32)
    assert len(script.events(RegistrationFailed)) == 1
    assert script.mobile.attempt == 2


def test_a_y_that_always_uses_another_path_does_not_set_the_pace():
    script = Script(UDP, lifetime=2)
    script.move()
    script.reply(script.last())
    script.wait(1)
    for _ in range(120):  # the refresh, and every RREQ of the attempts that follow
        script.reply(script.last(), flags=0)
        script.wait(0.01)
    assert [str(out) for out in script.outs] == [
        "0 udp RREQ #1 1/1",
        "1000 udp RREQ #1 1/1",
        "1000 udp RREQ #2 1/1",
        "1500 udp RREQ #3 1/1",
        "2000 udp RREQ #4 1/1",
    ]


# refusals and corrections


@pytest.mark.parametrize("code", [128, 130, 131, 134, 140])
def test_a_refusal_ends_all_parallel_requests(code):
    script = Script(UDP, NATIVE, start=(UDP, NATIVE))
    script.move()
    script.wait(0.1)
    script.reply(script.last(UDP), flags=0, code=code)
    script.took()
    script.wait(31.9)
    assert script.took() == []
    script.wait(0.1)
    assert script.took()[0] == "32100 udp RREQ #2 1/2"


def prohibit(script, *outs):
    for out in outs:
        script.reply(out, flags=0, code=129)


def test_what_y_does_not_support_leaves_the_others():
    script = Script(UDP, TCP, start=(UDP, TCP))
    script.move()
    script.wait(0.06)
    stream = opened(script, script.outs[-1].path, 1234)
    prohibit(script, script.last(UDP))
    assert script.mobile.state is MobileState.REGISTERING
    script.reply(script.last(TCP))
    assert script.mobile.state is MobileState.REGISTERED
    assert script.mobile.path == stream


def test_native_registers_where_nothing_beside_it_is_supported():
    script = Script(NATIVE, UDP, start=(NATIVE, UDP))
    script.move()
    script.wait(0.06)
    script.took()
    prohibit(script, script.last(UDP))
    assert script.took() == ["60 native RREQ #1 2/2"]


def test_what_y_does_not_support_is_followed_by_all_that_is_allowed_once():
    script = Script(NATIVE, UDP)
    script.move()
    prohibit(script, script.last(UDP))
    script.wait(0.06)
    assert script.took() == [
        "0 udp RREQ #1 1/1",
        "0 udp RREQ #2 1/2",
        "50 native RREQ #2 2/2 PROBE",
    ]
    prohibit(script, script.last(NATIVE), script.last(UDP))
    assert script.mobile.state is MobileState.REFUSED
    assert [event.reason for event in script.events(RegistrationFailed)] == [
        FailureReason.UNSUPPORTED
    ] * 2
    script.wait(31)
    assert script.took() == []


def test_a_refused_probe_is_one_that_did_not_pass():
    script = Script(NATIVE, UDP)
    script.move()
    script.reply(script.last(UDP))
    script.reply(script.last(NATIVE), flags=0, code=129)
    assert script.mobile.state is MobileState.REGISTERED
    script.took()
    script.wait(10)
    assert script.took() == ["10000 native RREQ #1 1/1 PROBE"]


def test_code_133_restarts_all_paths_of_the_attempt():
    script = Script(NATIVE, UDP, start=(NATIVE, UDP))
    script.move()
    script.wait(0.1)
    native, udp = script.last(NATIVE), script.last(UDP)
    for request in (native, udp):
        script.reply(request, flags=0, code=133, attempt=Attempt(40))
    script.took()
    assert script.events(CountersCorrected) == [CountersCorrected(41)]
    assert [out.request.attempt.number for out in script.open[2:]] == [41]
    script.wait(0.1)
    assert script.took() == ["150 native RREQ #41 2/2 PROBE"]


def test_code_133_to_a_probe_of_a_registered_terminal():
    script = Script(UDP, keepalive=20)
    script.move()
    script.reply(script.last())
    script.wait(60.1)
    script.reply(script.last(), flags=0, code=133, attempt=Attempt(9))
    assert script.mobile.state is MobileState.REGISTERING
    assert script.took()[-1] == "60100 udp RREQ #10 1/1"


def test_flapping_ends_where_it_stops():
    script = Script(NATIVE, UDP)
    requests = []
    for place in (NEW, OLD, NEW, OLD):
        script.move(place)
        requests.append(script.last())
    for request in requests[:-1]:
        script.reply(request, seen=TRANSLATED)
    assert script.mobile.state is MobileState.REGISTERING
    script.reply(requests[-1], supported=items(UDP))
    assert script.mobile.path.local == OLD
    assert [event.attempt for event in script.events(Registered)] == [4]
