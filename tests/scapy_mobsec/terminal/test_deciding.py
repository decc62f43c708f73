"""What X knows of an attempt, and what it makes of it."""

from dataclasses import replace

import pytest
from scripted import HTTP, NATIVE, TCP, TLS, UDP, items
from terminals import MOBILE_LINK, NEW, OTHER

from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import RegistrationReply
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.deciding import BackOff, Findings

FOUND = ("a translation",)
PATHS = {each: Path(each, NEW, OTHER) for each in Encapsulation}


def findings(*allow, **changes):
    allow = items(*(allow or Encapsulation))
    return Findings(MobileConfiguration(MOBILE_LINK, OTHER, allow=allow, **changes))


def reply(*selected, supported=tuple(Encapsulation)):
    return RegistrationReply(
        identification=1,
        code=0,
        lifetime=60,
        home_address=bytes(4),
        home_agent=bytes(4),
        supported=items(*supported),
        selected=items(*selected),
    )


def test_nothing_is_chosen_before_anything_passed():
    assert findings().choice() is None


@pytest.mark.parametrize(
    ("decider", "chosen"), [(Decider.OTHER, UDP), (Decider.MOBILE, NATIVE), (Decider.FIXED, None)]
)
def test_deciders(decider, chosen):
    known = findings(decider=decider)
    known.learn(reply(UDP, NATIVE), PATHS[UDP], (), 1)
    known.learn(reply(UDP, NATIVE), PATHS[NATIVE], (), 2)
    assert known.choice() == PATHS.get(chosen)


def test_the_newest_selection_counts():
    known = findings()
    known.learn(reply(UDP), PATHS[UDP], (), 9)
    known.learn(reply(TCP), PATHS[TCP], (), 8)
    assert known.choice() == PATHS[UDP]
    known.learn(reply(TCP), PATHS[TCP], (), 10)
    assert known.choice() == PATHS[TCP]


def test_a_floor_that_no_selection_breaks():
    known = findings(TLS, HTTP)
    known.learn(reply(UDP, TCP), PATHS[HTTP], (), 1)
    assert known.choice() is None
    assert known.better(HTTP) == (TLS,)
    known.learn(reply(UDP, TCP), PATHS[TLS], (), 2)
    assert known.better(HTTP) == ()  # it passed, and is not selected


def test_a_translation_of_either_view_keeps_traversal():
    known = findings(decider=Decider.MOBILE)
    known.learn(reply(), PATHS[UDP], FOUND, 1)
    known.learn(reply(), PATHS[NATIVE], (), 2)
    assert known.choice() == PATHS[UDP]
    assert known.better(UDP) == ()


def test_native_is_not_selected_by_a_y_that_knows_of_nothing_else():
    known = findings()
    known.learn(reply(UDP), PATHS[UDP], FOUND, 1)
    known.learn(reply(NATIVE), PATHS[NATIVE], FOUND, 2)
    assert known.choice() is None  # UDP may stay
    known.forget(PATHS[UDP])
    assert known.choice() == PATHS[NATIVE]


def test_what_a_proxy_translates_says_nothing_of_datagrams():
    known = findings(decider=Decider.MOBILE)
    known.learn(reply(), PATHS[HTTP], FOUND, 1)
    assert known.better(HTTP) == (UDP, TCP, TLS)
    known.learn(reply(), PATHS[UDP], (), 2)
    assert known.better(UDP) == (NATIVE,)


def test_several_interfaces_do_not_take_turns():
    known = findings(decider=Decider.MOBILE)
    known.learn(reply(), PATHS[UDP], (), 1)
    known.learn(reply(), Path(UDP, Endpoint.of("10.9.9.9", 4500), OTHER), (), 2)
    assert known.choice() == PATHS[UDP]


def test_a_forgotten_path_must_pass_again():
    known = findings()
    known.learn(reply(NATIVE, UDP), PATHS[UDP], (), 1)
    known.learn(reply(NATIVE, UDP), PATHS[NATIVE], (), 2)
    known.forget(PATHS[NATIVE])
    assert known.choice() == PATHS[UDP]
    assert known.better(UDP) == (NATIVE,)


def test_codes_that_nobody_knows_are_passed_over():
    known = findings()
    unknown = (EncapsulationItem(77), *items(UDP, UDP))
    message = RegistrationReply(1, 0, 60, bytes(4), bytes(4), supported=unknown, selected=unknown)
    known.learn(message, PATHS[UDP], (), 1)
    assert known.choice() == PATHS[UDP]


def test_back_off():
    back_off, pauses, now = BackOff(0.0), [], 0.0
    assert back_off.due == 10
    for _ in range(9):
        back_off.failed(now)
        pauses.append(back_off.due - now)
        now = back_off.due
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    back_off.postpone(now)
    assert back_off.due == now + 600


@pytest.mark.parametrize(
    ("selected", "supported", "seconds"),
    [(7, 9, 7), (0, 9, 20), (None, 9, 9), (60, 60, 20), (None, 0, 20), (None, None, 20)],
)
def test_the_keepalive_is_the_smaller_of_both(selected, supported, seconds):
    known = findings()
    lists = (
        None if each is None else (EncapsulationItem(1, keepalive=each),)
        for each in (selected, supported)
    )
    said = dict(zip(("selected", "supported"), lists, strict=True))
    known.learn(replace(reply(), **said), PATHS[UDP], (), 5)
    known.learn(replace(reply(), selected=(EncapsulationItem(1, keepalive=1),)), PATHS[UDP], (), 4)
    assert known.keepalive(UDP, 20.0) == seconds
    assert known.keepalive(NATIVE, 20.0) == 20.0
    assert known.keepalive(UDP, 0) == 0
