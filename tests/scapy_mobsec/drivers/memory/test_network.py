"""Virtual time, and the way of a packet through segments and chains."""

from itertools import repeat
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wires import CLIENT, EXTERNAL, SERVER, Receiver, a_packet, two_hosts

from scapy_mobsec.drivers.memory import EPOCH, SECOND, Delay, Element, MemoryNetwork, Mtu, Napt
from scapy_mobsec.drivers.memory.network import Direction
from scapy_mobsec.packet.path import Endpoint


def test_time_begins_in_2026_and_passes_only_when_run():
    network, done = MemoryNetwork(), []
    assert network.now == EPOCH == 1_767_225_600
    network.at(EPOCH + 0.3, lambda: done.append("third"))
    network.after(SECOND // 10, lambda: done.append("first"))
    network.after(SECOND // 10, done.append, "second")
    network.run_for(0.2)
    assert done == ["first", "second"]
    assert network.elapsed_ns == SECOND // 5
    assert network.time_ns == EPOCH * SECOND + SECOND // 5
    assert network.run_until(lambda: len(done) == 3)
    assert EPOCH + 0.3 <= network.now < EPOCH + 0.3001
    assert not network.run_until(lambda: False, seconds=1.0)
    assert network.elapsed_ns >= 1.29 * SECOND


@given(st.floats(1e-7, 1e6))
def test_what_is_due_is_not_woken_too_early(offset):
    network, times = MemoryNetwork(), []
    due = network.now + offset
    network.at(due, lambda: times.append(network.now))
    network.run_for(offset + 1)
    assert times[0] >= due


@pytest.mark.parametrize("seconds", [-1, nan, inf, "x", None])
def test_time_does_not_go_back(seconds):
    network = MemoryNetwork()
    for pass_time in (network.run_for, lambda value: network.run_until(lambda: True, value)):
        with pytest.raises(ValueError, match="seconds"):
            pass_time(seconds)
    with pytest.raises(ValueError, match="1 ns ago"):
        network.after(-1, print)
    assert network.elapsed_ns == 0


def test_an_address_is_used_once_in_a_segment():
    network, segment, client, _ = two_hosts()
    with pytest.raises(ValueError, match=r"10\.0\.0\.2 is in use"):
        segment.attach(CLIENT.address, print)
    with pytest.raises(ValueError, match="in use"):
        network.core.segment([], ["203.0.113.77", "203.0.113.2"])
    network.core.segment([], ["203.0.113.77"])  # nothing was left of the first
    for again in (network.core.attach, lambda *given: network.core.segment([], ["203.0.113.77"])):
        with pytest.raises(ValueError, match="in use"):
            again(bytes((203, 0, 113, 77)), print)
    segment.detach(CLIENT.address)
    segment.attach(CLIENT.address, client)
    network.core.release("203.0.113.77", "203.0.113.78")
    network.core.attach(bytes((203, 0, 113, 77)), print)


def test_a_packet_finds_its_way_and_takes_its_time():
    network, segment, client, server = two_hosts(Delay(0.025))
    segment.send(a_packet())
    network.run_for(1)
    assert server.arrived == [(SECOND // 40, a_packet())]
    network.core.send(a_packet(SERVER, CLIENT))
    network.run_for(1)
    assert client.arrived == [(SECOND + SECOND // 40, a_packet(SERVER, CLIENT))]


def test_neighbours_reach_each_other_without_the_chain():
    network, segment, client, _ = two_hosts(Delay(5))
    segment.send(a_packet(Endpoint.of("10.0.0.3", 1), CLIENT))
    network.run_for(0)
    assert len(client.arrived) == 1


def test_what_nobody_has_is_lost():
    network, segment, client, _ = two_hosts()
    segment.send(a_packet(CLIENT, Endpoint.of("203.0.113.9", 1)))
    segment.detach(CLIENT.address)
    network.core.send(a_packet(SERVER, CLIENT))
    network.run_for(1)
    assert (network.core.lost, segment.lost, client.arrived) == (1, 1, [])


def test_double_nat_is_one_segment_behind_another():
    network = MemoryNetwork()
    outer = network.core.segment([Napt(EXTERNAL)], [EXTERNAL])
    inner = outer.segment([Napt("100.64.0.2", [5])], ["100.64.0.2"])
    client, server = Receiver(network, inner, CLIENT), Receiver(network, network.core, SERVER)
    inner.send(a_packet())
    network.run_for(0)
    (arrived,) = server.take()
    assert arrived.source == Endpoint.of(EXTERNAL, 40_000)
    network.core.send(a_packet(SERVER, arrived.source))
    network.run_for(0)
    assert client.arrived == [(0, a_packet(SERVER, CLIENT))]


def test_an_element_may_lose_and_duplicate():
    class Fate(Element):
        def __init__(self, *copies):
            self._copies = iter(copies)

        def forward(self, packet, direction, time_ns):
            return list(repeat((0, packet), next(self._copies)))

    network, segment, _, server = two_hosts(Fate(0, 2, 1))
    for payload in (b"lost", b"twice", b"once"):
        segment.send(a_packet(payload=payload))
    network.run_for(0)
    assert server.payloads == [b"twice", b"twice", b"once"]


def test_an_element_with_a_place_sends_from_there():
    place = Mtu(9000)
    network, _, client, server = two_hosts(Delay(0.001), place, Delay(0.002))
    place.place.emit(a_packet(), Direction.OUT)
    place.place.emit(a_packet(SERVER, CLIENT), Direction.IN, SECOND)
    network.run_for(2)
    assert [at for at, _ in (*server.arrived, *client.arrived)] == [2_000_000, 1_001_000_000]
    with pytest.raises(ValueError, match="one chain only"):
        network.core.segment([place], [])


def test_guests_are_remembered_with_their_times():
    network, segment, _, _ = two_hosts()
    network.run_for(1)
    segment.attach(bytes(4), print, "X")
    network.run_for(1)
    segment.detach(bytes(4))
    assert segment.guests[bytes(4), "X"] == [(SECOND, 2 * SECOND)]


def test_one_seed_decides_all():
    def numbers(seed):
        return MemoryNetwork(seed).new_random().getrandbits(64)

    assert numbers(1) == numbers(1) != numbers(2)
