"""Rule 12: AH where nothing translates, ESP where something does, and nothing without ESP."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from play import NATIVE, UDP, Play, told
from terminals import AH_LINKS, AH_ONLY_LINKS

from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    Attacker,
    Block,
    Delay,
    Direction,
    Firewall,
    Loss,
    Napt,
)
from scapy_mobsec.drivers.memory.attacker import only, race, rewrite
from scapy_mobsec.drivers.simulation import HOME, OTHER_TERMINAL
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.ip import AH
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import AhHeader, Ipv4Header, Ipv6Header
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.events import (
    AhTranslated,
    BindingMoved,
    FailureReason,
    KeepaliveLost,
    Moved,
    PacketDropped,
    PathChosen,
    PathValidated,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
)
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.tunnel import Tunnel

ELSEWHERE = Endpoint.of("198.51.100.66")


def play_by_ah(*elements, links=AH_LINKS, **changes):
    return Play(*elements, links=links, **changes)


def protocols(play):
    return {packet.protocol for _, packet in play.taps["other"].packets}


def is_ah(packet, direction):
    return packet.protocol == AH and direction is Direction.OUT


@pytest.mark.parametrize("links", [AH_LINKS, AH_ONLY_LINKS], ids=["AH and ESP", "AH alone"])
def test_without_a_translator_everything_goes_by_ah(links):
    play = play_by_ah(links=links).move()
    assert play.ping(5) == 50
    assert protocols(play) == {AH}
    assert play.mobile.terminal.path.ah
    assert play.other.terminal.path(HOME).ah
    (registered,) = play.told(Registered)
    assert registered.rtt == pytest.approx(play.round_trip, abs=1e-5)
    assert [type(header) for header in registered.sent] == [Ipv4Header, AhHeader]
    assert registered.sent == registered.observed
    assert registered.translations == registered.reply_translations == ()
    assert len(told(play.other, PathValidated)) == 1
    assert not play.told(PacketDropped, PathChosen) + told(play.other, PacketDropped)


def test_data_does_not_wait():
    play = play_by_ah().move()
    play.ping_once()
    play.wait(play.round_trip / 2 + 0.001)
    assert len(play.other.inner) == 1
    play.wait(play.round_trip / 2)
    assert len(play.mobile.inner) == 1


@pytest.mark.parametrize("mode", [Tunnel(), L2tp(1, 2, mobile_tunnel=3, mobile_session=4)])
def test_every_mode(mode):
    play = play_by_ah(links=[replace(link, mode=mode) for link in AH_LINKS]).move()
    assert play.ping(1) == 10
    assert protocols(play) == {AH}


def test_nothing_is_better_than_ah():
    play = play_by_ah(allow=(UDP,)).move()
    assert play.ping(30, 1) == 30
    assert protocols(play) == {AH}


def test_keepalives_hold_the_path():
    play = play_by_ah().move()
    play.wait(600)
    assert [type(event) for event in play.told(KeepaliveLost, Moved, Registered)] == [
        Moved,
        Registered,
    ]
    assert protocols(play) == {AH}
    assert play.ping(1) == 10


def test_deregistration():
    play = play_by_ah().move()
    play.wait(1)
    play.mobile.terminal.deregister(play.network.now)
    play.mobile.pump()
    play.wait(1)
    assert play.mobile.terminal.state is MobileState.DETACHED
    assert play.other.terminal.path(HOME) is None


@pytest.mark.parametrize("native", [False, True], ids=["drops AH", "translates AH"])
def test_behind_a_nat_by_esp_with_traversal(native):
    play = play_by_ah(Napt("192.0.2.1", native=native)).move()
    play.wait(2)
    (event,) = play.told(AhTranslated)
    assert event.attempt == 1
    assert str(event.path) == "ah 10.0.0.2 > 203.0.113.2"
    (registered,) = play.told(Registered)
    assert registered.attempt == 2
    assert len(registered.translations) == 2  # address and port
    assert play.encapsulation is UDP
    assert play.ping(2) == 20
    assert {event.reason for event in told(play.other, PacketDropped)} == (
        {DropReason.BAD_ICV} if native else set()
    )
    assert {event.attempt for event in told(play.other, BindingMoved)} == {2}


def test_behind_a_nat_without_esp():
    play = play_by_ah(Napt("192.0.2.1", native=True), links=AH_ONLY_LINKS).move()
    play.wait(70)
    assert play.told(RegistrationFailed, Registered, AhTranslated) == [
        RegistrationFailed(attempt, FailureReason.AH_ALONE) for attempt in (1, 2)
    ]
    assert not told(play.other, RegistrationReceived)


def test_to_a_nat_and_back():
    play = play_by_ah().move()
    assert play.ping(1) == 10
    behind = play.place_behind(Napt("192.0.2.1"))
    play.move(behind, Endpoint.of("10.0.0.2", 4500))
    play.wait(2)
    assert play.ping(1) == 10
    assert not play.mobile.terminal.path.ah
    play.move()
    assert play.ping(1) == 10
    assert play.mobile.terminal.path.ah
    assert play.other.terminal.path(HOME).ah


def test_a_filter_that_appears_later():
    play = play_by_ah().move()
    play.ping(1)
    play.firewall.blocks = (NO_NATIVE,)
    play.wait(100)
    assert len(play.told(KeepaliveLost)) == len(play.told(AhTranslated)) == 1
    assert play.encapsulation is UDP
    assert play.ping(1) == 10


def test_forced_traversal_is_by_esp():
    play = play_by_ah(forced=True).move()
    assert play.ping(1) == 10
    assert AH not in protocols(play)


def test_over_ipv6():
    address = "2001:db8:ffff::1"
    play = play_by_ah(other_addresses=(ip_address(address).packed,))
    six = play.network.core.segment([Delay(play.round_trip / 2)], ["2001:db8::2"])
    others = play.network.core.segment([play.taps["other"]], [address])
    play.network.core.release("203.0.113.2")
    four = play.network.core.segment([], ["203.0.113.2"])
    play.other.attach_all([(four, OTHER_TERMINAL), (others, Endpoint.of(address, 4500))])
    play.move(six, Endpoint.of("2001:db8::2", 4500))
    assert play.ping(2) == 20
    assert protocols(play) == {AH}
    (registered,) = play.told(Registered)
    assert [type(header) for header in registered.observed] == [Ipv6Header, AhHeader]


@pytest.mark.parametrize("seed", range(3))
def test_losses(seed):
    loss = Loss(0.3, in_a_row=8)
    play = play_by_ah(loss, seed=seed).move()
    play.ping(20)
    loss.probability = 0.0
    play.wait(100)
    assert play.mobile.terminal.state is MobileState.REGISTERED
    assert play.mobile.terminal.path.ah is play.other.terminal.path(HOME).ah
    assert play.ping(1) == 10


# Attackers


def test_a_tampered_address_is_dropped():
    attacker = Attacker(only(rewrite(source=ELSEWHERE), is_ah))
    play = play_by_ah(attacker, links=AH_ONLY_LINKS).move()
    play.wait(5)
    assert {event.reason for event in told(play.other, PacketDropped)} == {DropReason.BAD_ICV}
    assert play.other.terminal.path(HOME) is None
    attacker.stop()
    play.wait(10)
    assert play.ping(1) == 10


def test_a_faster_copy_from_elsewhere_moves_nothing():
    play = play_by_ah(Attacker(only(race(ELSEWHERE), is_ah))).move()
    assert play.ping(2) == 20
    assert [event.new.remote for event in told(play.other, BindingMoved)] == [
        Endpoint(play.place.address)
    ]
    assert {event.reason for event in told(play.other, PacketDropped)} == {DropReason.BAD_ICV}


@pytest.mark.parametrize("source", [None, ELSEWHERE], ids=["as it was", "from elsewhere"])
def test_a_replayed_rreq_moves_nothing(source):
    attacker = Attacker()
    play = play_by_ah(attacker).move()
    play.wait(1)
    again = play.network.core.segment([Delay(play.round_trip / 2)], ["198.51.100.3"])
    play.move(again, Endpoint.of("198.51.100.3", 4500))
    play.wait(1)
    path, moves = play.other.terminal.path(HOME), len(told(play.other, BindingMoved))
    attacker.replay(source)
    play.wait(5)
    assert play.other.terminal.path(HOME) == path
    assert len(told(play.other, BindingMoved)) == moves == 2
    assert {event.reason for event in told(play.other, PacketDropped)} == {DropReason.REPLAYED}


def test_native_esp_where_only_ah_is_filtered():
    play = play_by_ah(Firewall(Block("no AH", (AH,)))).move()
    play.wait(5)
    assert play.encapsulation is NATIVE
    assert not play.mobile.terminal.path.ah
    assert play.ping(1) == 10
