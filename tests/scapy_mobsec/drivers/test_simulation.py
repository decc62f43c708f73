"""The network with both terminals on it, and the pings."""

from scapy_mobsec.drivers.memory import Firewall
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    HOME,
    INNER_HOST,
    OTHER_TERMINAL,
    SIGNALLING,
    UNTRANSLATED,
    Place,
    Site,
    assemble,
    build_topology,
)
from scapy_mobsec.packet.icmp import echo_reply, echo_request
from scapy_mobsec.packet.path import Endpoint


def test_topology_moves_by_hand():
    topology = build_topology()
    topology.move(BEHIND_NAT)
    topology.network.run_for(1)
    assert topology.other.terminal.path(HOME).remote.address == bytes((192, 0, 2, 1))


def test_the_usual_places():
    assert list(build_topology().segments) == [UNTRANSLATED, BEHIND_NAT, BEHIND_OTHER_NAT]


def test_assembled_as_told():
    firewall = Firewall()
    second = Endpoint.of("2001:db8::1", 4500)
    topology = assemble(
        1,
        lambda random: [Place(UNTRANSLATED, (firewall,)), Place(BEHIND_NAT)],
        round_trip=0.2,
        at_other=(OTHER_TERMINAL, second),
        mobile={"lifetime": 300},
        other={"max_lifetime": 200},
    )
    assert topology.segments[UNTRANSLATED].chain[-1] is firewall
    assert topology.configuration.lifetime == 300
    topology.move(UNTRANSLATED, BEHIND_NAT)
    topology.mobile.send(echo_request(HOME, INNER_HOST, 1))
    assert topology.network.run_until(lambda: bool(topology.mobile.inner))
    assert topology.network.elapsed_ns == 200_000_000
    _, packet = topology.mobile.inner[0]
    assert packet == echo_reply(echo_request(HOME, INNER_HOST, 1))


def test_only_pings_are_answered():
    assert echo_reply(echo_reply(echo_request(HOME, INNER_HOST, 3))) is None


def test_behind_y_a_host_gets_what_is_for_it_and_others_are_not_there():
    topology = build_topology()
    topology.move(UNTRANSLATED)
    site = Site(topology.other)
    topology.other.on_inner = site.receive
    for host in (INNER_HOST, SIGNALLING, bytes((10, 10, 2, 9))):
        topology.mobile.send(echo_request(HOME, host, 1))
    topology.network.run_for(0.1)
    assert site.came == [echo_request(HOME, INNER_HOST, 1)]
    assert [packet[12:16] for _, packet in topology.mobile.inner] == [INNER_HOST, SIGNALLING]
