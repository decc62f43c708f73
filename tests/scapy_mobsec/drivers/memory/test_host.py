"""Hosts: what a terminal says goes out, what comes is told, at the right time and address."""

import pytest
from puppet import Puppet
from wires import CLIENT, SERVER, Receiver, a_packet

from scapy_mobsec.drivers.memory import EPOCH, Delay, Host, MemoryNetwork, MobileHost, Mtu
from scapy_mobsec.drivers.memory.links import too_big
from scapy_mobsec.packet.ip import AH, ESP, TCP, UDP, build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.driving import Transmit

SECOND_ADDRESS = Endpoint.of("10.0.0.3", 4500)
UDP_PATH = Path(Encapsulation.UDP, CLIENT, SERVER)


class Play:
    def __init__(self):
        self.network = MemoryNetwork()
        self.segment = self.network.core.segment([Delay(0.01)], ["10.0.0.2", "10.0.0.3"])
        self.host = MobileHost(self.network, Puppet(), name="X")
        self.terminal = self.host.terminal
        self.server = Receiver(self.network, self.network.core, SERVER)

    def say(self, *outputs):
        self.terminal.outputs += outputs
        self.host.pump()
        self.network.run_for(1)


@pytest.fixture
def play():
    play = Play()
    play.host.move(play.segment, CLIENT)
    return play


@pytest.mark.parametrize(
    ("encapsulation", "protocol", "port"),
    [(Encapsulation.UDP, UDP, 4500), (Encapsulation.NATIVE, ESP, 0)],
)
def test_datagrams_both_ways(play, encapsulation, protocol, port):
    play.say(Transmit(b"octets", Path(encapsulation, CLIENT, SERVER)))
    (packet,) = play.server.take()
    ends = Endpoint(CLIENT.address, port), Endpoint(SERVER.address, port)
    assert packet == a_packet(*ends, b"octets", protocol)
    play.network.core.send(a_packet(*reversed(ends), b"answer", protocol))
    play.network.run_for(1)
    assert play.terminal.came == [(b"answer", Path(encapsulation, *ends), EPOCH + 1.01)]


def test_ah_is_handed_over_with_its_ip_header(play):
    ends = Endpoint(CLIENT.address), Endpoint(SERVER.address)
    path = Path(Encapsulation.NATIVE, *ends, ah=True)
    play.say(Transmit(build_ip(CLIENT.address, SERVER.address, AH, b"octets"), path))
    assert play.server.take() == [a_packet(*ends, b"octets", AH)]
    play.network.core.send(a_packet(*reversed(ends), b"answer", AH))
    play.network.run_for(1)
    whole = build_ip(SERVER.address, CLIENT.address, AH, b"answer")
    assert play.terminal.came == [(whole, path, EPOCH + 1.01)]


def test_other_protocols_are_not_for_a_terminal(play):
    play.network.core.send(a_packet(SERVER, CLIENT, protocol=47))
    play.network.run_for(1)
    assert play.terminal.came == []


def test_several_addresses(play):
    places = [(play.segment, SECOND_ADDRESS), (play.segment, CLIENT)]
    play.host.move_all(places)
    assert play.terminal.places[-1] == ([SECOND_ADDRESS, CLIENT], play.network.now, [CLIENT])
    for local in (CLIENT, SECOND_ADDRESS):
        play.say(Transmit(b"octets", Path(Encapsulation.UDP, local, SERVER)))
    assert [packet.source for packet in play.server.take()] == [CLIENT, SECOND_ADDRESS]


def test_what_is_said_on_an_address_that_is_gone_is_lost(play):
    play.host.move(play.segment, SECOND_ADDRESS)
    play.say(Transmit(b"octets", UDP_PATH))
    play.network.core.send(a_packet(SERVER, CLIENT))
    play.network.run_for(1)
    assert (play.server.take(), play.terminal.came) == ([], [])
    assert play.segment.guests[CLIENT.address, "X"] == [(0, 0)]


def test_the_timer_wakes_in_time_and_once_each(play):
    start = play.network.now
    play.terminal.deadlines = [start + 5]
    play.host.pump()
    play.terminal.deadlines.append(start + 2)
    play.host.pump()
    play.network.run_for(10)
    assert play.terminal.woken == [pytest.approx(start + 2), pytest.approx(start + 5)]


def test_a_deadline_that_moves_away_is_not_missed(play):
    start = play.network.now
    play.terminal.deadlines = [start + 2]
    play.host.pump()
    play.terminal.deadlines = [start + 3]
    play.host.pump()
    play.network.run_for(10)
    assert play.terminal.woken == [pytest.approx(start + 3)]


def test_inner_packets_and_who_lives_behind():
    network, behind = MemoryNetwork(), []
    host = Host(network, Puppet(), behind.append)
    network.run_for(1)
    host.send(b"inner")  # the puppet echoes it
    assert host.inner == [(network.time_ns, b"inner")]
    assert behind == [b"inner"]


def test_notices_about_datagrams_are_told_to_the_mobile_terminal(play):
    path = Path(Encapsulation.UDP, CLIENT, SERVER)
    narrow = play.network.core.segment([Mtu(1000, notify=True)], ["203.0.113.9"])
    narrow.attach(bytes((203, 0, 113, 9)), print)
    far = Endpoint.of("203.0.113.9", 4500)
    play.say(Transmit(bytes(1200), path._replace(remote=far)))
    assert play.terminal.mtus == [(1000, path._replace(remote=far), bytes(1200))]
    play.network.core.send(too_big(a_packet(CLIENT, far, protocol=TCP), 900))
    play.network.run_for(1)
    assert len(play.terminal.mtus) == 1  # that one was for TCP
