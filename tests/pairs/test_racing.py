"""An attacker on the path whose copies, from another address, come before the originals.

The binding moves to the first that is delivered; validation undoes it within 3 round trips after
the racing stops, or while RREQs alone are raced. Whoever is at that address gets at most 3 times
what came from there.
"""

from random import Random

import pytest
from terminals import ELSEWHERE

from scapy_mobsec.drivers.memory import SECOND, Attacker, Direction, Tap
from scapy_mobsec.drivers.memory.attacker import race
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    HOME,
    INNER_HOST,
    UNTRANSLATED,
    build_topology,
)
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.events import BindingMoved

ROUND_TRIP = 0.05
INTERVAL = 0.02
"""Seconds between two packets of data from X."""

DOWNLOAD = 5
"""Packets of 1020 octets that Y sends for each one of X."""

TRANSLATED = Endpoint.of("192.0.2.1", 0).address
SHORTEST_RREQ = 500


class Race:
    """X moves while an attacker races some of its packets; Y has much to send."""

    def __init__(self, raced, ahead=0.01):
        self.attacker, tap = Attacker(), Tap("attacked")
        self.topology = build_topology(2, ROUND_TRIP, near_other=[tap, self.attacker])
        self.network, self.other = self.topology.network, self.topology.other
        self.tap, self.sent = tap, 0
        self.topology.move(UNTRANSLATED)
        self.traffic(1)
        self.attacker.tactic = lambda attacker, packet, direction: (
            race(ELSEWHERE, ahead)(attacker, packet, direction)
            if direction is Direction.IN and raced(packet)
            else [(0, packet)]
        )
        self.topology.move(BEHIND_NAT)

    @property
    def at_home(self):
        path = self.other.terminal.path(HOME)
        return path is not None and path.remote.address == TRANSLATED

    @property
    def was_led_away(self):
        return any(
            isinstance(event, BindingMoved) and event.new.remote == ELSEWHERE
            for _, event in self.other.log
        )

    def traffic(self, seconds):
        end = self.network.elapsed_ns + round(seconds * SECOND)
        while self.network.elapsed_ns < end:
            self.sent += 1
            self.topology.mobile.send(echo_request(HOME, INNER_HOST, self.sent % 65_536))
            for _ in range(DOWNLOAD):
                self.other.send(build_ip(INNER_HOST, HOME, 17, bytes(1000)))
            self.network.run_for(INTERVAL)
            self.check_amplification()

    def check_amplification(self):
        came = sum(len(p.payload) for _, p in self.tap.packets if p.source == ELSEWHERE)
        went = sum(len(p.payload) for _, p in self.tap.packets if p.destination == ELSEWHERE)
        assert went <= 3 * came

    def stop(self):
        self.attacker.stop()
        self.traffic(3 * ROUND_TRIP)


@pytest.mark.parametrize("seconds", [0.03, 0.06, 0.3, 0.6, 1.2, 2.9, 3.1, 5, 15])
def test_everything_is_raced(seconds):
    race = Race(lambda packet: True)
    race.traffic(seconds)
    assert race.was_led_away
    assert not race.at_home
    race.stop()
    assert race.at_home


@pytest.mark.parametrize("seed", range(20))
def test_packets_are_raced_by_chance(seed):
    random = Random(seed)
    part = random.choice([0.2, 0.5, 0.8])
    race = Race(lambda packet: random.random() < part, random.choice([0.001, 0.01, 0.04]))
    race.traffic(random.uniform(0.03, 3))
    race.stop()
    assert race.at_home
    race.traffic(4)
    assert race.at_home


def test_requests_alone_are_raced():
    race = Race(lambda packet: len(packet.payload) >= SHORTEST_RREQ)
    race.traffic(ROUND_TRIP / 2 + INTERVAL)
    assert race.was_led_away
    race.traffic(3 * ROUND_TRIP)
    assert race.at_home  # data and CONFIRM came through
    race.traffic(10)
    assert race.at_home
