"""The same story in memory and on real sockets."""

from terminals import HOME, INNER_HOST

from scapy_mobsec.packet.icmp import echo_reply, echo_request
from scapy_mobsec.registration.transitions import MobileState, OtherState
from scapy_mobsec.terminal.events import (
    BindingMoved,
    ChallengeAnswered,
    Deregistered,
    Moved,
    Registered,
)

PINGS = [echo_request(HOME, INNER_HOST, number) for number in range(4)]


def of_type(host, kind):
    return [event for _, event in host.log if isinstance(event, kind)]


def inner(host):
    return [packet for _, packet in host.inner]


def test_handover_there_and_back(pair):
    for number, place in enumerate((*pair.places, pair.places[0])):
        pair.move(place)
        pair.mobile.send(PINGS[number])
        assert pair.run_until(
            lambda count=number + 1: len(of_type(pair.mobile, Registered)) == count
        )
        assert pair.run_until(lambda count=number + 1: len(pair.mobile.inner) == count)
    assert inner(pair.other) == PINGS[:3]
    assert inner(pair.mobile) == [echo_reply(ping) for ping in PINGS[:3]]
    registered = of_type(pair.mobile, Registered)
    there, away = pair.translations
    assert [len(event.translations) for event in registered] == [there, away, there]
    assert [len(event.reply_translations) for event in registered] == [there, away, there]
    assert [event.attempt for event in registered] == [1, 2, 3]
    assert len(of_type(pair.other, BindingMoved)) == 3
    assert len(pair.mobile.log) == len(of_type(pair.mobile, Moved | Registered | ChallengeAnswered))


def test_the_end_of_a_registration(pair):
    pair.move(pair.places[1])
    assert pair.run_until(lambda: pair.mobile.terminal.state is MobileState.REGISTERED)
    assert pair.other.terminal.state(HOME) is OtherState.BOUND
    pair.mobile.terminal.deregister(pair.mobile.log[-1][0] / 1e9)
    pair.mobile.pump()
    assert pair.run_until(lambda: pair.mobile.terminal.state is MobileState.DETACHED)
    assert of_type(pair.mobile, Deregistered)[0].confirmed
    assert pair.other.terminal.path(HOME) is None
