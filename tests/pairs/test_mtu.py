"""Ways that take only short packets, told of it or not: X finds out, and data fits (rule 13)."""

from dataclasses import replace

import pytest
from play import NATIVE, UDP, Play
from terminals import HOME, MOBILE_LINK, OTHER_LINK, SIGNALLING

from scapy_mobsec.drivers.memory import Firewall, Mtu, Napt
from scapy_mobsec.drivers.memory.firewall import NO_NATIVE, NO_UDP
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.terminal.events import InnerMtuLowered, KeepaliveLost, RegistrationFailed
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import Transport
from scapy_mobsec.terminal.modes.tunnel import Tunnel

MODES = [Tunnel(), Transport(), L2tp(1, 2)]


def longest_arrives(play):
    """Send the longest packet that X allows; tell whether it comes to Y."""
    length = play.mobile.terminal.inner_mtu
    before = len(play.other.inner)
    play.mobile.send(build_ip(HOME, SIGNALLING, 1, bytes(length - 20)))
    play.wait(1)
    return len(play.other.inner) == before + 1


def lowered(play):
    return [event for _, event in play.mobile.log if isinstance(event, InnerMtuLowered)]


@pytest.mark.parametrize("mode", MODES, ids=["tunnel", "transport", "l2tp"])
@pytest.mark.parametrize("octets", [1500, 1460, 1300, 1000, 600])
def test_a_way_that_drops_long_packets_silently(octets, mode):
    links = replace(MOBILE_LINK, mode=mode), replace(OTHER_LINK, mode=mode)
    play = Play(Mtu(octets), links=links).move()
    play.wait(20)
    assert longest_arrives(play)
    assert len(lowered(play)) == (octets < 1444)
    assert not play.told(RegistrationFailed)


@pytest.mark.parametrize("elements", [(), (Napt("192.0.2.1"),)], ids=["no NAT", "NAT"])
def test_udp_alone(elements):
    play = Play(Mtu(1300), *elements, allow=(UDP,)).move()
    play.wait(65)  # the first keepalive that is a probe
    assert longest_arrives(play)
    (event,) = lowered(play)
    assert event.old - event.new > 100
    assert not play.told(KeepaliveLost)


def test_what_a_notice_says_is_believed_at_once():
    play = Play(Mtu(1400, notify=True), allow=(UDP,)).move()
    play.wait(1)
    assert not longest_arrives(play)
    assert longest_arrives(play)
    (event,) = lowered(play)
    assert 1300 < event.new < 1380


def test_native_alone_passes_and_only_short_packets():
    play = Play(Firewall(NO_UDP), Mtu(1000), allow=(NATIVE, UDP)).move()
    play.wait(60)  # the first attempt is by UDP
    assert play.encapsulation is NATIVE
    assert longest_arrives(play)
    assert len(play.told(RegistrationFailed)) == 1


def test_a_filter_is_no_small_mtu():
    play = Play(Firewall(NO_NATIVE), allow=(NATIVE, UDP)).move()
    play.wait(200)
    assert play.encapsulation is UDP
    assert lowered(play) == []
    assert longest_arrives(play)
