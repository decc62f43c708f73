"""RREPs as such: acceptances, SELECTED, the bare challenge, and refusals that cannot amplify."""

import pytest
from terminals import (
    HOME,
    NEW,
    OTHER,
    START,
    TRANSLATED,
    Pair,
    a_request,
    with_attempt,
)

from contrib_layers.numbers import AttemptFlag, EncapsulationCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.extensions import build_translations
from scapy_mobsec.registration.flat import build_reply_rest, values_of
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    Report,
    build_reply,
    build_request,
)
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.terminal import answering
from scapy_mobsec.terminal.answering import (
    REFUSALS,
    Acceptances,
    bare_challenge,
    refusal,
    select,
)
from scapy_mobsec.terminal.binding import Binding
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.config import OtherConfiguration
from scapy_mobsec.translation import changes

UDP, NATIVE, OTHER_UDP = (
    EncapsulationItem(EncapsulationCode.UDP, port=4500),
    EncapsulationItem(EncapsulationCode.NATIVE),
    EncapsulationItem(EncapsulationCode.UDP, port=443),
)


def test_a_bare_challenge_names_the_last_request():
    binding, request = Binding(), values_of(a_request(**with_attempt(7)))
    binding.accept(request, binding.check(request))
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


@pytest.mark.parametrize("report", [None, Report(1, 2, 3)])
@pytest.mark.parametrize("challenge", [None, b"8 octets"])
@pytest.mark.parametrize(
    "settings",
    [
        OtherConfiguration(supported=(UDP, NATIVE)),
        OtherConfiguration(
            supported=(UDP, NATIVE), forced=True, addresses=(OTHER.address, bytes(15) + b"\1")
        ),
        OtherConfiguration(decider=Decider.FIXED),
    ],
    ids=["default", "forced", "fixed"],
)
@pytest.mark.parametrize("flags", [0, AttemptFlag.FORCED])
def test_an_acceptance_is_the_reply_with_all_that_it_says(flags, settings, challenge, report):
    sent, observed = (describe(Encapsulation.UDP, each, OTHER, 5) for each in (NEW, TRANSLATED))
    request = a_request(attempt=Attempt(7, int(flags), 1, 2))
    found = changes(sent, observed)
    passed = Encapsulation.UDP, Encapsulation.NATIVE
    forced = settings.forced or bool(flags)
    fixed = settings.decider is Decider.FIXED
    acceptances = Acceptances(settings)
    findings = build_reply_rest(sent=sent, observed=observed)
    findings += acceptances.advice(build_translations(found), passed, int(flags))
    octets = acceptances.write(values_of(request), 60, 8, findings, report, challenge)
    assert octets == build_reply(
        RegistrationReply(
            identification=request.identification,
            code=0,
            lifetime=60,
            home_address=request.home_address,
            home_agent=request.home_agent,
            attempt=Attempt(7, 8, 1, 2),
            sent=sent,
            observed=observed,
            translations=found,
            supported=settings.supported,
            selected=None if fixed else select(settings.supported, True, frozenset(passed), forced),
            challenge=challenge,
            report=report,
            addresses=settings.addresses or None,
        )
    )


def test_remembered_choices_are_bounded(monkeypatch):
    monkeypatch.setattr(answering, "MAX_SELECTIONS", 3)
    asked = []
    monkeypatch.setattr(answering, "select", lambda *question: asked.append(question) or ())
    acceptances = Acceptances(OtherConfiguration())

    def ask(*passed):
        acceptances.advice(b"", passed, 0)

    for passed in (*Encapsulation,) * 2:
        ask(passed)
    assert len(asked) == 2 * len(Encapsulation)
    ask(passed)
    assert len(asked) == 2 * len(Encapsulation)
