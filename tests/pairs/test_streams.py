"""Streams over time: X moves often, and many mobile terminals share an address."""

from itertools import pairwise

import pytest
from play import HTTP, HTTP_POST, SUPPORTED, TCP, TLS, UDP, Play, nat, told
from terminals import HOME, OTHER, SIGNALLING

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import Delay, Firewall, Host, MemoryNetwork, MobileHost, Napt
from scapy_mobsec.drivers.memory.firewall import NO_UDP, Block
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.config import LinkParameters, MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.events import (
    CountersCorrected,
    Deregistered,
    KeepaliveLost,
    Registered,
    RegistrationFailed,
    StreamLost,
)
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

MANY = 20
"""More than the streams that one source may have open without showing anything."""

SUITE = SUITES["aes-gcm-16"]


def by_stream(encapsulation, **options):
    port = 443 if encapsulation is TLS else NATT_PORT
    item = EncapsulationItem(encapsulation.code, port=port)
    return Play(nat(**options), allow=(encapsulation,), items=(item,))


@pytest.mark.parametrize("encapsulation", [TCP, TLS, HTTP, HTTP_POST])
def test_x_moves_as_often_as_it_likes_behind_one_nat(encapsulation):
    """The streams that it leaves behind never end for Y."""
    play = by_stream(encapsulation)
    for _ in range(MANY):
        play.move().wait(1)
        assert play.mobile.terminal.state is MobileState.REGISTERED
        assert len(play.other.terminal._streams) == (2 if encapsulation is HTTP_POST else 1)
    assert play.ping(1) == 10
    assert not play.other.terminal.drops


@pytest.mark.parametrize("encapsulation", [TCP, TLS, HTTP, HTTP_POST])
def test_x_ends_its_registration_by_the_stream_that_closes_then(encapsulation):
    play = by_stream(encapsulation).move().wait(1)
    play.mobile.terminal.deregister(play.network.now)
    play.mobile.pump()
    play.wait(1)
    assert [event.confirmed for event in told(play.mobile, Deregistered)] == [True]
    assert play.other.terminal._streams == play.mobile.terminal._streams == {}


@pytest.mark.parametrize("encapsulation", [TCP, TLS, HTTP])
@pytest.mark.parametrize(("timeout", "lost"), [(40, 0), (25, 1), (10, 2)])
def test_a_nat_that_soon_forgets_streams_costs_few(encapsulation, timeout, lost):
    play = by_stream(encapsulation, timeout=timeout).move().wait(900)
    assert len(play.told(StreamLost, KeepaliveLost)) == lost
    assert play.mobile.terminal.state is MobileState.REGISTERED


def test_a_stream_that_lives_too_shortly_is_no_busy_loop_and_a_move_forgets_it():
    play = by_stream(TCP, timeout=5).move().wait(100)
    lost = [when for when, event in play.mobile.log if isinstance(event, StreamLost)]
    pauses = [round((last - first) / 1e9, 1) for first, last in pairwise(lost)]
    assert len(pauses) > 5
    assert pauses[0] == pytest.approx(15, abs=1)
    assert pauses[1:] == pytest.approx([7.5] * len(pauses[1:]), abs=1)
    play.move().wait(29)
    assert len(play.told(StreamLost)) == len(lost)


def test_a_stream_that_does_not_answer_its_probe_has_died_too():
    play = by_stream(TCP).move().wait(20)
    play.firewall.blocks = (Block("everything", None),)
    play.wait(14)
    assert len(play.told(KeepaliveLost)) == 1
    play.firewall.blocks = ()
    play.wait(10)
    (when, _) = play.mobile.log[-1]
    assert play.mobile.terminal._keepalive.due == pytest.approx(when / 1e9 + 15, abs=0.1)


@pytest.mark.parametrize("encapsulation", [UDP, TCP])
@pytest.mark.parametrize("round_trip", [3.5, 5])
def test_a_long_round_trip_loses_no_keepalive(encapsulation, round_trip):
    play = Play(allow=(encapsulation,), round_trip=round_trip).move().wait(600)
    assert play.told(KeepaliveLost, RegistrationFailed) == []
    assert len(play.told(Registered)) == 1


@pytest.mark.parametrize("encapsulation", [TCP, TLS, HTTP, HTTP_POST])
def test_a_lost_attempt_number_costs_one_round_trip_and_no_handshake(encapsulation):
    """X goes on with its stream at a move to the same place, and so it does after code 133."""
    play = by_stream(encapsulation).move().wait(1).move().wait(1)
    before = len(play.told(Registered))
    play.mobile.terminal._requests.attempt = 0
    begun = play.move().network.now
    assert play.network.run_until(lambda: len(play.told(Registered)) > before, 1)
    assert play.network.now - begun == pytest.approx(2 * play.round_trip, abs=1e-3)
    play.wait(1)
    assert len(play.told(CountersCorrected)) == 1
    assert len(play.mobile.terminal._streams) == (2 if encapsulation is HTTP_POST else 1)


def test_many_mobile_terminals_register_by_tcp_from_one_address():
    network = MemoryNetwork(1)
    random = network.new_random()
    links = []
    for number in range(MANY):
        home, spi = bytes((*HOME[:3], number + 1)), 0x1000 + 2 * number
        sas = [SaParameters(spi + way, SUITE, random.randbytes(20)) for way in (0, 1)]
        links.append((home, *sas))
    served = tuple(LinkParameters(home, SIGNALLING, (up,), down) for home, up, down in links)
    other = OtherTerminal(
        OtherConfiguration(served, supported=SUPPORTED), random_bytes=random.randbytes
    )
    host = Host(network, other)
    host.listen(OTHER.port)
    host.attach(network.core.segment([], ["203.0.113.2"]), OTHER)
    behind = network.core.segment(
        [Delay(0.025), Firewall(NO_UDP), Napt("192.0.2.1")], ["192.0.2.1"]
    )
    mobiles = []
    for number, (home, up, down) in enumerate(links):
        configuration = MobileConfiguration(
            LinkParameters(home, SIGNALLING, (down,), up),
            OTHER,
            allow=(EncapsulationItem(TCP.code),),
        )
        mobile = MobileTerminal(configuration, random_bytes=random.randbytes)
        MobileHost(network, mobile).move(behind, Endpoint(bytes((10, 0, 0, number + 2)), 4500))
        network.run_for(0.1)
        mobiles.append(mobile)
    network.run_for(1)
    assert {mobile.state for mobile in mobiles} == {MobileState.REGISTERED}
    assert not other.drops
