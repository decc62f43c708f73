"""Networks of scenarios, as they are drawn and configured."""

import pytest

from scapy_mobsec.drivers.memory import Dependence, Firewall, Napt, draw
from scapy_mobsec.drivers.scenarios.building import (
    HTTP,
    PORTS,
    TCP,
    TLS,
    behind_nat,
    items,
    on,
    through,
)
from scapy_mobsec.drivers.simulation import BEHIND_NAT, OTHER_TERMINAL, UNTRANSLATED
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.transitions import MobileState


def test_places_are_made_anew_for_each_network():
    build = on(lambda random: [through(Firewall()), behind_nat(random)])
    first, second = build(1), build(1)
    assert draw(first.network) == draw(second.network)
    for place in (UNTRANSLATED, BEHIND_NAT):
        assert first.segments[place].chain[-1] is not second.segments[place].chain[-1]


@pytest.mark.parametrize("encapsulation", [TCP, TLS, HTTP], ids=str)
def test_y_takes_every_stream(encapsulation):
    topology = on(lambda random: [through()], allow=(encapsulation,))(1)
    topology.move(UNTRANSLATED)
    topology.network.run_for(1)
    assert topology.mobile.terminal.state is MobileState.REGISTERED
    assert topology.mobile.terminal.path.remote.port == PORTS[encapsulation]


def test_configured_as_told():
    second = Endpoint.of("2001:db8::1", 4500)
    build = on(lambda random: [], at_other=(OTHER_TERMINAL, second), forced=True, allow=(TCP,))
    configuration = build(1).configuration
    assert configuration.forced
    assert configuration.other_addresses == (second.address,)
    assert configuration.allow == items(TCP)


def test_a_nat_behind_another():
    outer = Napt("192.0.2.1")
    build = on(
        lambda random: [
            behind_nat(random, outer, external="100.64.0.7", depends=Dependence.ADDRESS)
        ]
    )
    text = draw(build(1).network)
    assert "NAT 192.0.2.1 ── NAT 100.64.0.7 (maps address dependent; filters address" in text
