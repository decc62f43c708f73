"""X with several interfaces: more paths than one attempt may have."""

import pytest
from play import Play

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import Delay, Firewall
from scapy_mobsec.drivers.memory.firewall import Block
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.events import RegistrationFailed

HTTP_PORT = 8080
ONLY_HTTP = Block("all but one TCP port", None, but_tcp_port=HTTP_PORT)
NOTHING = Block("all", None)
PORTS = {Encapsulation.HTTP: HTTP_PORT, Encapsulation.TLS: 443}


@pytest.mark.parametrize(
    ("blocks", "failures"),
    [
        ((ONLY_HTTP, ONLY_HTTP), 1),
        ((ONLY_HTTP,) * 8, 1),
        ((NOTHING, ONLY_HTTP), 2),
    ],
)
def test_every_encapsulation_is_tried_and_then_what_was_left_out(blocks, failures):
    """The attempt with UDP alone fails, then all encapsulations follow, 8 paths an attempt."""
    every = tuple(Encapsulation)
    items = tuple(EncapsulationItem(each.code, port=PORTS.get(each, NATT_PORT)) for each in every)
    play = Play(allow=every, items=items)
    play.other.listen(HTTP_PORT)
    addresses = [f"198.51.100.{20 + number}" for number in range(len(blocks))]
    places = [
        (play.network.core.segment([Delay(0.025), Firewall(block)], [one]), Endpoint.of(one, 4500))
        for block, one in zip(blocks, addresses, strict=True)
    ]
    play.mobile.move_all(places)
    assert play.network.run_until(
        lambda: play.mobile.terminal.state is MobileState.REGISTERED, 33 * failures
    )
    assert play.encapsulation is Encapsulation.HTTP
    assert len(play.told(RegistrationFailed)) == failures
