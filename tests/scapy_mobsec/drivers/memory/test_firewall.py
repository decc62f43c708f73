"""What firewalls drop, and for how long they know a flow."""

import pytest
from wires import CLIENT, SERVER, a_packet

from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    NO_NATIVE_IN,
    NO_NATIVE_OUT,
    NO_UDP,
    ONLY_TCP_443,
    Direction,
    Firewall,
)
from scapy_mobsec.drivers.memory.links import too_big
from scapy_mobsec.packet.ip import AH, ESP, TCP, UDP
from scapy_mobsec.packet.path import Endpoint

OUT, IN = Direction
SECOND = 1_000_000_000


def passes(firewall, direction, protocol=UDP, port=4500, at=0.0):
    remote = Endpoint(SERVER.address, port)
    ends = (CLIENT, remote) if direction is OUT else (remote, CLIENT)
    packet = a_packet(*ends, protocol=protocol)
    outcome = firewall.forward(packet, direction, round(at * SECOND))
    assert outcome in ([], [(0, packet)])  # it rewrites nothing
    return bool(outcome)


@pytest.mark.parametrize(
    ("blocks", "given"), [(("x",), {}), ((), {"timeout": -1}), ((), {"timeout": float("nan")})]
)
def test_what_no_firewall_has(blocks, given):
    with pytest.raises(ValueError, match=next(iter(given), "blocks")):
        Firewall(*blocks, **given)


def test_flows_that_have_ended_are_forgotten():
    firewall = Firewall(inbound=False, timeout=5)
    for number in range(200):
        passes(firewall, OUT, port=1 + number, at=3 * number)
    assert len(firewall._flows) == 2


@pytest.mark.parametrize(
    ("block", "dropped"),
    [
        (NO_NATIVE, {(ESP, OUT), (ESP, IN), (AH, OUT), (AH, IN)}),
        (NO_NATIVE_OUT, {(ESP, OUT), (AH, OUT)}),
        (NO_NATIVE_IN, {(ESP, IN), (AH, IN)}),
        (NO_UDP, {(UDP, OUT), (UDP, IN)}),
        (ONLY_TCP_443, {(p, d) for p in (UDP, TCP, ESP, AH) for d in Direction}),
    ],
)
def test_blocks(block, dropped):
    firewall = Firewall(block)
    for protocol in (UDP, TCP, ESP, AH):
        for direction in Direction:
            expected = (protocol, direction) not in dropped
            assert passes(firewall, direction, protocol) is expected
    assert passes(firewall, OUT, TCP, port=443)
    assert passes(firewall, IN, TCP, port=443)
    assert not passes(Firewall(ONLY_TCP_443), OUT, UDP, port=443)


@pytest.mark.parametrize("protocol", [UDP, TCP, ESP])
def test_only_answers_come_in(protocol):
    firewall = Firewall(inbound=False, timeout=30)
    assert not passes(firewall, IN, protocol)
    assert passes(firewall, OUT, protocol)
    assert passes(firewall, IN, protocol, at=29)
    assert passes(firewall, IN, protocol, at=58)  # the answer has prolonged it
    assert not passes(firewall, IN, protocol, port=4501, at=58)
    assert not passes(firewall, IN, protocol, at=88)


def test_notices_pass_for_flows_that_are_known():
    firewall = Firewall(inbound=False)
    notice = too_big(a_packet(), 1400)
    assert not firewall.forward(notice, IN, 0)
    passes(firewall, OUT)
    assert firewall.forward(notice, IN, 0)


def test_label():
    firewall = Firewall(NO_UDP, NO_NATIVE, inbound=False)
    assert firewall.label() == "firewall (no UDP, no native IPsec, nothing unasked)"
