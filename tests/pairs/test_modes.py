"""The same handover in every mode: register, move behind a NAT, and data both ways at once."""

import pytest
from terminals import HOME, INNER_HOST, SIGNALLING

from scapy_mobsec.drivers.simulation import BEHIND_NAT, UNTRANSLATED, build_topology
from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.packet.icmp import echo_reply, echo_request
from scapy_mobsec.terminal.events import PacketDropped, Registered
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import Transport
from scapy_mobsec.terminal.modes.tunnel import Tunnel

L2TP = L2tp(1, 2, mobile_tunnel=3, mobile_session=4)


def told(host, kind):
    return [event for _, event in host.log if isinstance(event, kind)]


def carried(topology):
    """Next headers of the ESP packets that came to Y."""
    sa = InboundSa(topology.sas[0], window=0)
    spi = sa.parameters.spi.to_bytes(4)
    seen = [packet.payload for _, packet in topology.taps["other"].packets]
    return {sa.open(packet).next_header for packet in seen if packet[:4] == spi}


@pytest.mark.parametrize(
    ("mode", "peer", "next_headers"),
    [
        (Tunnel(), INNER_HOST, {4}),
        (Transport(), SIGNALLING, {1, 17}),  # ICMP and registrations
        (L2TP, INNER_HOST, {17}),  # a host behind the other terminal
        (L2TP, SIGNALLING, {17}),
    ],
    ids=["tunnel", "transport", "L2TP", "L2TP to the other terminal"],
)
def test_handover(mode, peer, next_headers):
    topology = build_topology(seed=7, mode=mode)
    network, mobile, other = topology.network, topology.mobile, topology.other
    pings = [echo_request(HOME, peer, number) for number in range(2)]
    for ping, place in zip(pings, (UNTRANSLATED, BEHIND_NAT), strict=True):
        topology.move(place)
        moved = network.time_ns
        mobile.send(ping)
        network.run_for(0.2)
        assert mobile.inner[-1] == (moved + 50_000_000, echo_reply(ping))  # one round trip
    assert [packet for _, packet in other.inner] == pings
    first, second = told(mobile, Registered)[0], told(mobile, Registered)[-1]
    assert not first.translations
    assert len(second.translations) == 2  # address and port
    assert carried(topology) >= next_headers
    assert not told(mobile, PacketDropped) + told(other, PacketDropped)


def test_transport_mode_ends_at_the_other_terminal():
    topology = build_topology(seed=7, mode=Transport())
    topology.move(UNTRANSLATED)
    topology.mobile.send(echo_request(HOME, INNER_HOST, 0))
    topology.network.run_for(0.2)
    (dropped,) = told(topology.mobile, PacketDropped)
    assert dropped.reason is DropReason.OUTSIDE_POLICY
    assert not topology.other.inner
