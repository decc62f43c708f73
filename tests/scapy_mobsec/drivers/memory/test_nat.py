"""NATs: who gets which outer endpoint, who is let in, for how long; NAT64; port forwarding."""

import pytest
from wires import CLIENT, EXTERNAL, SERVER, Receiver, a_packet, two_hosts

from scapy_mobsec.drivers.memory import (
    Dependence,
    Direction,
    MemoryNetwork,
    Napt,
    Nat64,
    Packet,
    Ports,
    nat64_address,
    port_forwarding,
    random_ports,
)
from scapy_mobsec.drivers.memory import nat as nat_module
from scapy_mobsec.drivers.memory.links import too_big
from scapy_mobsec.packet.ip import AH, ESP, ICMP, ICMPV6, TCP, UDP
from scapy_mobsec.packet.path import Endpoint

OTHER_PORT = Endpoint(SERVER.address, 4501)
ELSEWHERE = Endpoint.of("198.51.100.9", 4500)
INDEPENDENT, ADDRESS, BOTH = Dependence
OUT, IN = Direction
SECOND = 1_000_000_000


def out(nat, remote=SERVER, inner=CLIENT, at=0.0, protocol=UDP):
    """The outer endpoint of a packet that leaves, None if it does not."""
    packet = Packet(protocol, inner, remote, b"")
    outcome = nat.forward(packet, OUT, round(at * SECOND))
    return outcome[0][1].source if outcome else None


def back(nat, outer, remote=SERVER, at=0.0, protocol=UDP):
    """The inner endpoint of a packet that comes, None if it does not."""
    outcome = nat.forward(Packet(protocol, remote, outer, b""), IN, round(at * SECOND))
    return outcome[0][1].destination if outcome else None


@pytest.mark.parametrize("protocol", [UDP, TCP])
@pytest.mark.parametrize(
    ("mapping", "same_for_port", "same_for_address"),
    [(INDEPENDENT, True, True), (ADDRESS, True, False), (BOTH, False, False)],
)
def test_mapping(mapping, same_for_port, same_for_address, protocol):
    nat = Napt(EXTERNAL, mapping=mapping)
    first = out(nat, protocol=protocol)
    assert out(nat, protocol=protocol) == first == Endpoint.of(EXTERNAL, 40_000)
    assert (out(nat, OTHER_PORT, protocol=protocol) == first) is same_for_port
    assert (out(nat, ELSEWHERE, protocol=protocol) == first) is same_for_address
    assert out(nat, inner=Endpoint(CLIENT.address, 4501), protocol=protocol) != first


@pytest.mark.parametrize(
    ("filtering", "from_port", "from_elsewhere"),
    [(INDEPENDENT, True, True), (ADDRESS, True, False), (BOTH, False, False)],
)
def test_filtering(filtering, from_port, from_elsewhere):
    nat = Napt(EXTERNAL, filtering=filtering)
    outer = out(nat)
    assert back(nat, outer) == CLIENT
    assert (back(nat, outer, OTHER_PORT) == CLIENT) is from_port
    assert (back(nat, outer, ELSEWHERE) == CLIENT) is from_elsewhere
    out(nat, ELSEWHERE)
    assert back(nat, outer, ELSEWHERE) == CLIENT
    assert back(nat, Endpoint.of(EXTERNAL, 50_000)) is None
    assert back(nat, outer, protocol=TCP) is None


def test_ports_are_kept_where_they_are_free():
    nat = Napt(EXTERNAL, Ports.PRESERVED)
    assert out(nat).port == 4500
    assert out(nat, inner=Endpoint.of("10.0.0.3", 4500)).port == 40_000
    assert out(nat, inner=Endpoint.of("10.0.0.3", 4500), protocol=TCP).port == 4500


def test_random_ports_come_from_the_seed_of_the_network():
    def ports(seed):
        nat = Napt(EXTERNAL, Ports.RANDOM)
        two_hosts(nat, seed=seed)
        return [out(nat, inner=Endpoint(CLIENT.address, port)).port for port in range(1, 9)]

    assert ports(1) == ports(1) != ports(2)
    assert ports(1) != sorted(ports(1))


def test_no_port_twice():
    nat = Napt(EXTERNAL, [7, 7, 7, 8])
    assert [out(nat, inner=Endpoint(CLIENT.address, port)).port for port in (1, 2)] == [7, 8]


@pytest.mark.parametrize(
    ("ports", "room"),
    [(Ports.SEQUENTIAL, 100), (Ports.PRESERVED, 101), (Ports.RANDOM, 200), ([7, 8], 2)],
)
def test_a_full_nat_drops_and_goes_on_when_a_mapping_ends(monkeypatch, ports, room):
    monkeypatch.setattr(nat_module, "_FIRST_PORT", 65_436)
    monkeypatch.setattr(nat_module, "_LOWEST_PORT", 65_336)
    nat = Napt(EXTERNAL, ports, timeout=30)
    inside = [Endpoint(bytes((10, 0, 1, number)), 4500) for number in range(room + 2)]
    taken = [out(nat, inner=inner) for inner in inside]
    assert len(set(taken[:room])) == room
    assert (taken[room:], nat.exhausted) == ([None, None], 2)
    assert nat.label().endswith("(packets without a port: 2)")
    if isinstance(ports, Ports):
        assert out(nat, inner=inside[-1], protocol=TCP)
        assert out(nat, inner=inside[-1], at=30)


@pytest.mark.parametrize("filtering", Dependence)
def test_what_has_ended_is_forgotten(filtering):
    nat = Napt(EXTERNAL, mapping=BOTH, filtering=filtering, timeout=30)
    for number in range(200):
        out(nat, Endpoint(SERVER.address, 1 + number), at=20 * number)
    assert len(nat._by_key) == len(nat._by_outer) == 2
    nat = Napt(EXTERNAL, filtering=filtering, timeout=30)
    for number in range(200):
        outer = out(nat, Endpoint(SERVER.address, 1 + number), at=20 * number)
    assert len(nat._by_outer[UDP, outer].admitted) <= 2


def test_a_forwarded_port_stays_and_its_notices_pass():
    nat = Napt(EXTERNAL, mapping=BOTH, timeout=1, forwards={(UDP, 4500): CLIENT})
    outer = out(nat)
    assert back(nat, outer, at=10) == CLIENT
    notice = too_big(Packet(UDP, SERVER, CLIENT, bytes(2000)), 1400)
    assert nat.forward(notice, OUT, 10 * SECOND)


@pytest.mark.parametrize(
    ("external", "given"),
    [
        ([], {}),
        ("", {}),
        (None, {}),
        ("nowhere", {}),
        (EXTERNAL, {"ports": []}),
        (EXTERNAL, {"ports": [70_000]}),
        (EXTERNAL, {"ports": "preserved"}),
        (EXTERNAL, {"ports": None}),
        (EXTERNAL, {"mapping": "x"}),
        (EXTERNAL, {"filtering": None}),
        (EXTERNAL, {"timeout": -1}),
        (EXTERNAL, {"timeout": float("nan")}),
        (EXTERNAL, {"forwards": {(UDP, 70_000): CLIENT}}),
    ],
)
def test_what_no_nat_has(external, given):
    with pytest.raises(ValueError, match=next(iter(given), "external|address")):
        Napt(external, **given)


def test_a_mapping_lives_as_long_as_the_inside_speaks():
    nat = Napt(EXTERNAL, timeout=30)
    outer = out(nat, at=0)
    assert out(nat, at=29) == outer
    assert back(nat, outer, at=58.9) == CLIENT
    assert back(nat, outer, at=59) is None  # what comes in does not prolong it
    assert out(nat, at=60) != outer


def test_admission_ends_with_its_own_time():
    nat = Napt(EXTERNAL, filtering=ADDRESS, timeout=30)
    outer = out(nat, ELSEWHERE, at=0)
    out(nat, at=20)
    assert back(nat, outer, at=40) == CLIENT
    assert back(nat, outer, ELSEWHERE, at=40) is None


def test_reboot():
    nat = Napt(EXTERNAL)
    outer = out(nat)
    nat.reboot()
    assert back(nat, outer) is None
    assert out(nat) == Endpoint.of(EXTERNAL, 40_001)


def test_a_pool_gives_each_inner_address_its_own():
    nat = Napt([EXTERNAL, "192.0.2.2"])
    inner = [Endpoint.of(f"10.0.0.{number}", port) for port in (1, 2) for number in (2, 3, 4)]
    assert [out(nat, inner=one).address[3] for one in inner] == [1, 2, 1, 1, 2, 1]


@pytest.mark.parametrize("protocol", [ESP, AH])
def test_native_through_a_nat_has_one_inner_host_for_each_remote(protocol):
    nat = Napt(EXTERNAL, native=True)
    first, second = Endpoint(CLIENT.address), Endpoint.of("10.0.0.3")
    server, elsewhere = Endpoint(SERVER.address), Endpoint(ELSEWHERE.address)
    outer = out(nat, server, first, protocol=protocol)
    assert outer == Endpoint.of(EXTERNAL)
    assert out(nat, server, second, protocol=protocol) is None
    assert out(nat, elsewhere, second, protocol=protocol) == outer
    assert back(nat, outer, server, protocol=protocol) == first
    assert back(nat, outer, elsewhere, protocol=protocol) == second
    assert out(Napt(EXTERNAL), server, first, protocol=protocol) is None


def test_other_protocols_do_not_pass():
    assert Napt(EXTERNAL, native=True).forward(a_packet(protocol=47), OUT, 0) == []


def test_port_forwarding():
    gateway = Endpoint.of("10.0.0.9", 4500)
    nat = port_forwarding(EXTERNAL, "10.0.0.9", udp=[4500], tcp=[443], native=True)
    outer = Endpoint.of(EXTERNAL, 4500)
    assert back(nat, outer, ELSEWHERE) == gateway
    assert out(nat, ELSEWHERE, gateway) == outer
    assert back(nat, outer, ELSEWHERE, protocol=TCP) is None
    assert back(nat, Endpoint.of(EXTERNAL, 443), protocol=TCP) == Endpoint.of("10.0.0.9", 443)
    native = Endpoint(ELSEWHERE.address)
    assert back(nat, Endpoint.of(EXTERNAL), native, protocol=ESP) == Endpoint.of("10.0.0.9")
    assert out(nat, native, Endpoint.of("10.0.0.9"), protocol=ESP) == Endpoint.of(EXTERNAL)
    nat.reboot()
    assert back(nat, outer, at=1e6) == gateway


def test_notices_are_translated_in_both_directions():
    nat = Napt(EXTERNAL)
    outer = out(nat)
    notice = too_big(Packet(UDP, outer, SERVER, bytes(2000)), 1400)
    ((_, inside),) = nat.forward(notice, IN, 0)
    assert inside.destination.address == CLIENT.address
    assert inside.too_big.original.source == CLIENT
    notice = too_big(Packet(UDP, SERVER, CLIENT, bytes(2000)), 1400)
    ((_, outside),) = nat.forward(notice, OUT, 0)
    assert outside.source.address == outer.address
    assert outside.too_big.original.destination == outer
    assert nat.forward(too_big(Packet(UDP, ELSEWHERE, SERVER, b""), 9), IN, 0) == []


def test_random_ports_are_the_same_for_the_same_seed():
    first, second = random_ports(3), random_ports(3)
    ports = [next(first) for _ in range(100)]
    assert ports == [next(second) for _ in range(100)]
    assert all(1024 <= port < 65536 for port in ports)


class SixToFour:
    """A host with IPv6 only, behind NAT64, and a server with IPv4 only."""

    def __init__(self):
        self.inner = Endpoint.of("2001:db8::2", 4500)
        self.nat = Nat64(EXTERNAL)
        self.network = MemoryNetwork()
        addresses = [EXTERNAL, "2001:db8::2"]
        self.segment = self.network.core.segment([self.nat], addresses)
        self.client = Receiver(self.network, self.segment, self.inner)
        self.server = Receiver(self.network, self.network.core, SERVER)
        self.dialed = Endpoint.of(nat64_address("203.0.113.2"), 4500)

    def send(self, **changes):
        self.segment.send(a_packet(self.inner, self.dialed)._replace(**changes))
        self.network.run_for(0)
        return self.server.take()

    def answer(self, packet):
        self.network.core.send(packet)
        self.network.run_for(0)
        return self.client.take()


def test_nat64_both_ways():
    play = SixToFour()
    assert str(play.dialed) == "[64:ff9b::cb00:7102]:4500"
    (packet,) = play.send()
    assert (packet.source, packet.destination) == (Endpoint.of(EXTERNAL, 40_000), SERVER)
    (answer,) = play.answer(a_packet(SERVER, packet.source))
    assert (answer.source, answer.destination) == (play.dialed, play.inner)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [({"checksum": False}, 0), ({"protocol": ESP}, 0), ({"protocol": TCP}, 1), ({}, 1)],
)
def test_what_nat64_passes(changes, passes):
    assert len(SixToFour().send(**changes)) == passes


def test_nat64_passes_ipv6_as_it_is():
    play = SixToFour()
    remote = Endpoint.of("2001:db8:1::1", 4500)
    receiver = Receiver(play.network, play.network.core, remote)
    play.segment.send(a_packet(play.inner, remote, protocol=ESP))
    play.network.run_for(0)
    assert receiver.take() == [a_packet(play.inner, remote, protocol=ESP)]
    assert len(play.answer(a_packet(remote, play.inner, protocol=ESP))) == 1


def test_nat64_translates_notices():
    play = SixToFour()
    (packet,) = play.send()
    (notice,) = play.answer(too_big(packet, 1400))
    assert (notice.protocol, notice.too_big.mtu) == (ICMPV6, 1420)
    assert notice.too_big.original.source == play.inner
    assert notice.too_big.original.destination == play.dialed
    back_notice = too_big(a_packet(play.dialed, play.inner), 1280)
    play.segment.send(back_notice)
    play.network.run_for(0)
    (notice,) = play.server.take()
    assert (notice.protocol, notice.too_big.mtu) == (ICMP, 1260)
    assert notice.too_big.original.source == SERVER


@pytest.mark.parametrize(
    ("nat", "label"),
    [
        (Napt(EXTERNAL), "NAT 192.0.2.1"),
        (Nat64([EXTERNAL, "192.0.2.2"]), "NAT64 192.0.2.1, 192.0.2.2"),
        (
            Napt(EXTERNAL, mapping=BOTH, filtering=ADDRESS),
            "NAT 192.0.2.1 (maps address and port dependent; filters address dependent)",
        ),
        (
            port_forwarding(EXTERNAL, "10.0.0.9", udp=[4500]),
            "NAT 192.0.2.1 (17/4500 to 10.0.0.9:4500)",
        ),
    ],
)
def test_labels(nat, label):
    assert nat.label() == label
