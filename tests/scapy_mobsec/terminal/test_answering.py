"""RREPs that stand alone: the bare challenge, SELECTED, and refusals that cannot amplify."""

import pytest
from terminals import HOME, START, Pair, a_request, with_attempt

from contrib_layers.numbers import AttemptFlag, EncapsulationCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import Attempt, build_request
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.terminal.answering import REFUSALS, bare_challenge, refusal, select
from scapy_mobsec.terminal.binding import Binding

UDP, NATIVE, OTHER_UDP = (
    EncapsulationItem(EncapsulationCode.UDP, port=4500),
    EncapsulationItem(EncapsulationCode.NATIVE),
    EncapsulationItem(EncapsulationCode.UDP, port=443),
)


def test_a_bare_challenge_names_the_last_request():
    binding, request = Binding(), a_request(**with_attempt(7))
    binding.accept(request, request.attempt, binding.check(request, request.attempt))
    reply = bare_challenge(binding, HOME, bytes(8))
    assert reply.attempt == Attempt(7, AttemptFlag.PROBE)
    assert (reply.identification, reply.code, reply.sent) == (ntp_timestamp(START), 0, None)
    assert reply.challenge == bytes(8)


def test_selected_are_the_items_of_what_is_chosen():
    supported = (UDP, NATIVE, OTHER_UDP)
    both = frozenset({Encapsulation.UDP, Encapsulation.NATIVE})
    assert select(supported, False, both, False) == (NATIVE, UDP, OTHER_UDP)
    assert select(supported, False, both, True) == (UDP, OTHER_UDP)
    assert select(supported, False, frozenset({Encapsulation.TCP}), False) == ()


def test_what_has_no_code_gets_no_answer():
    message = build_request(a_request())
    assert refusal(message, DropReason.WRONG_IDENTITY, Binding(), START) is None
    confirm = build_request(a_request(attempt=Attempt(1, AttemptFlag.CONFIRM)))
    assert refusal(confirm, DropReason.POORLY_FORMED, Binding(), START) is None


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refusal_is_never_3_times_as_long_as_the_shortest_message_it_answers(reason):
    pair = Pair()
    shortest = build_request(a_request())[:24]
    reply = refusal(shortest, reason, Binding(), START)
    assert reply.code == REFUSALS[reason]
    pair.give_message(shortest)
    (answer,) = pair.other.transmits(pair.now)
    assert len(answer.data) <= 3 * len(pair.as_mobile.seal_message(shortest))
