"""Each tactic as a chart of what arrives at the server."""

import pytest
from wires import CLIENT, SERVER, Receiver, a_packet, two_hosts

from scapy_mobsec.drivers.memory import Direction
from scapy_mobsec.drivers.memory.attacker import (
    Attacker,
    copy_to,
    drop,
    hold,
    only,
    race,
    replay_after,
    rewrite,
)
from scapy_mobsec.packet.path import Endpoint

EVIL = Endpoint.of("198.51.100.66", 666)
ELSEWHERE = Endpoint(SERVER.address, 4501)


def to_the_second_port(packet, direction):
    return packet.destination == ELSEWHERE


@pytest.mark.parametrize(
    ("tactic", "chart"),
    [
        (None, [(0, CLIENT)]),
        (drop, []),
        (hold, []),
        (race(EVIL, ahead=0.02), [(0, EVIL), (20, CLIENT)]),
        (replay_after(1.5), [(0, CLIENT), (1500, CLIENT)]),
        (replay_after(1.5, EVIL), [(0, CLIENT), (1500, EVIL)]),
        (rewrite(source=EVIL), [(0, EVIL)]),
        (rewrite(destination=EVIL), []),
        (copy_to(EVIL), [(0, CLIENT)]),
        (only(drop, to_the_second_port), [(0, CLIENT)]),
    ],
)
def test_tactics(tactic, chart):
    attacker = Attacker(tactic)
    network, segment, _, server = two_hosts(attacker)
    victim = Receiver(network, network.core, EVIL)
    segment.send(a_packet())
    network.run_for(5)
    assert [(at // 1_000_000, packet.source) for at, packet in server.arrived] == chart
    diverted = tactic is not None and not chart and tactic not in (drop, hold)
    copied = len(chart) == 1 and chart == [(0, CLIENT)] and bool(victim.arrived)
    assert len(victim.arrived) == (diverted or copied)
    attacker.stop()
    segment.send(a_packet())
    network.run_for(5)
    assert server.take()[-1] == a_packet()


def test_a_copy_reaches_the_victim():
    network, segment, _, server = two_hosts(Attacker(copy_to(EVIL)))
    victim = Receiver(network, network.core, EVIL)
    segment.send(a_packet())
    network.run_for(1)
    assert (victim.take(), server.take()) == ([a_packet(destination=EVIL)], [a_packet()])


def test_only_some_packets():
    network, segment, _, server = two_hosts(Attacker(only(drop, to_the_second_port)))
    for remote in (SERVER, ELSEWHERE):
        segment.send(a_packet(destination=remote))
    network.run_for(1)
    assert server.take() == [a_packet()]


def test_held_packets_are_released_or_given_up():
    attacker = Attacker(hold)
    network, segment, client, server = two_hosts(attacker)
    segment.send(a_packet())
    network.core.send(a_packet(SERVER, CLIENT))
    network.run_for(1)
    attacker.release()
    network.run_for(1)
    assert (len(server.take()), len(client.take())) == (1, 1)
    segment.send(a_packet())
    attacker.stop()
    attacker.release()
    network.run_for(1)
    assert server.take() == []


def test_inject_and_replay():
    attacker = Attacker()
    network, segment, client, server = two_hosts(attacker)
    attacker.inject(a_packet(EVIL), Direction.OUT)
    attacker.inject(a_packet(EVIL, CLIENT), Direction.IN)
    segment.send(a_packet())
    network.run_for(1)
    assert [packet.source for packet in server.take()] == [CLIENT, EVIL]
    assert [packet.source for packet in client.take()] == [EVIL]
    attacker.replay(EVIL)
    network.run_for(1)
    assert [packet.source for packet in server.take()] == [EVIL]
