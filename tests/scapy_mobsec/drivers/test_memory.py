"""The network in memory: time, ways, NAT, taps, hosts."""

from itertools import repeat

import pytest

from scapy_mobsec.drivers.memory import (
    EPOCH,
    SECOND,
    Delay,
    Direction,
    Element,
    MemoryNetwork,
    Napt,
    Packet,
    Tap,
    random_ports,
)
from scapy_mobsec.packet.ip import UDP, parse_ip, parse_udp
from scapy_mobsec.packet.path import Endpoint

A = Endpoint.of("10.0.0.2", 4500)
B = Endpoint.of("203.0.113.2", 4500)
EXTERNAL = "192.0.2.1"


class Receiver:
    """A host that only notes what arrives, and when."""

    def __init__(self, network, segment, endpoint):
        self.arrived, self._network = [], network
        segment.attach(endpoint.address, self._receive)

    def _receive(self, packet):
        self.arrived.append((self._network.elapsed_ns, packet))


def a_packet(source=A, destination=B, payload=b"payload", protocol=UDP):
    return Packet(protocol, source, destination, payload)


def two_hosts(*chain):
    network = MemoryNetwork()
    segment = network.core.segment(chain, ["10.0.0.2", EXTERNAL])
    return network, segment, Receiver(network, segment, A), Receiver(network, network.core, B)


def test_time_begins_in_2026_and_passes_only_when_run():
    network, done = MemoryNetwork(), []
    assert network.now == EPOCH == 1_767_225_600
    network.at(EPOCH + 0.3, lambda: done.append("third"))
    network.after(SECOND // 10, lambda: done.append("first"))
    network.after(SECOND // 10, lambda: done.append("second"))
    network.run_for(0.2)
    assert done == ["first", "second"]
    assert network.elapsed_ns == SECOND // 5
    assert network.time_ns == EPOCH * SECOND + SECOND // 5
    assert network.run_until(lambda: len(done) == 3)
    assert EPOCH + 0.3 <= network.now < EPOCH + 0.3001
    assert not network.run_until(lambda: False, seconds=1.0)
    assert network.elapsed_ns >= 1.29 * SECOND


@pytest.mark.parametrize("offset", [0.1, 0.30000001, 1 / 3, 1e-7, 123456.789])
def test_what_is_due_is_not_woken_too_early(offset):
    network, times = MemoryNetwork(), []
    due = network.now + offset
    network.at(due, lambda: times.append(network.now))
    network.run_for(offset + 1)
    assert times[0] >= due


def test_a_packet_finds_its_way_and_takes_its_time():
    network, segment, a, b = two_hosts(Delay(0.025))
    segment.send(a_packet())
    network.run_for(1)
    assert b.arrived == [(SECOND // 40, a_packet())]
    network.core.send(a_packet(B, A))
    network.run_for(1)
    assert a.arrived == [(SECOND + SECOND // 40, a_packet(B, A))]


def test_neighbours_reach_each_other_without_the_chain():
    network, segment, a, _ = two_hosts(Delay(5))
    segment.send(a_packet(Endpoint.of("10.0.0.3", 1), A))
    network.run_for(0)
    assert len(a.arrived) == 1


def test_what_nobody_has_is_lost():
    network, segment, a, _ = two_hosts()
    segment.send(a_packet(A, Endpoint.of("203.0.113.9", 1)))
    segment.detach(A.address)
    network.core.send(a_packet(B, A))
    network.run_for(1)
    assert (network.core.lost, segment.lost, a.arrived) == (1, 1, [])


def test_napt():
    network, segment, a, b = two_hosts(Napt(EXTERNAL))
    segment.send(a_packet())
    segment.send(a_packet(payload=b"again"))
    segment.send(a_packet(Endpoint(A.address, 4501)))
    network.run_for(0)
    outer, other = Endpoint.of(EXTERNAL, 40_000), Endpoint.of(EXTERNAL, 40_001)
    assert [packet.source for _, packet in b.arrived] == [outer, outer, other]
    network.core.send(a_packet(B, outer))
    network.core.send(a_packet(Endpoint.of("198.51.100.9", 7), outer))  # any source: no filtering
    network.core.send(a_packet(B, Endpoint.of(EXTERNAL, 40_002)))
    network.run_for(0)
    assert [packet.destination for _, packet in a.arrived] == [A, A]


def test_napt_passes_udp_only():
    assert Napt(EXTERNAL).forward(a_packet(protocol=50), Direction.OUT, 0) == []


def test_napt_takes_no_port_twice():
    napt = Napt(EXTERNAL, [7, 7, 7, 8])
    sources = [
        napt.forward(a_packet(Endpoint(A.address, port)), Direction.OUT, 0)[0][1].source.port
        for port in (1, 2)
    ]
    assert sources == [7, 8]


def test_random_ports_are_the_same_for_the_same_seed():
    first, second = random_ports(3), random_ports(3)
    ports = [next(first) for _ in range(100)]
    assert ports == [next(second) for _ in range(100)]
    assert all(1024 <= port < 65536 for port in ports)


def test_double_nat_is_one_segment_behind_another():
    network = MemoryNetwork()
    outer = network.core.segment([Napt(EXTERNAL)], [EXTERNAL])
    inner = outer.segment([Napt("100.64.0.2", [5])], ["100.64.0.2"])
    a, b = Receiver(network, inner, A), Receiver(network, network.core, B)
    inner.send(a_packet())
    network.run_for(0)
    ((_, arrived),) = b.arrived
    assert arrived.source == Endpoint.of(EXTERNAL, 40_000)
    network.core.send(a_packet(B, arrived.source))
    network.run_for(0)
    assert a.arrived == [(0, a_packet(B, A))]


def test_an_element_may_lose_and_duplicate():
    class Fate(Element):
        def __init__(self, *copies):
            self._copies = iter(copies)

        def forward(self, packet, direction, time_ns):
            return list(repeat((0, packet), next(self._copies)))

    network, segment, _, b = two_hosts(Fate(0, 2, 1))
    for payload in (b"lost", b"twice", b"once"):
        segment.send(a_packet(payload=payload))
    network.run_for(0)
    assert [packet.payload for _, packet in b.arrived] == [b"twice", b"twice", b"once"]


def test_a_tap_records_whole_packets_where_it_stands():
    inside, outside = Tap(), Tap()
    network, segment, _, _ = two_hosts(inside, Delay(0.5), Napt(EXTERNAL), outside)
    network.run_for(1)
    segment.send(a_packet())
    network.run_for(1)
    start = EPOCH * SECOND + SECOND
    ((time_ns, octets),) = inside.capture()
    assert (time_ns, parse_ip(octets).source) == (start, A.address)
    ((time_ns, octets),) = outside.capture()
    ip = parse_ip(octets)
    assert (time_ns, ip.source) == (start + SECOND // 2, bytes((192, 0, 2, 1)))
    assert parse_udp(ip, verify=True).payload == b"payload"
