"""A handover from an open network to one behind the kernel's NAT: what is told is what it does."""

import os
import subprocess

import pytest
from sockets import SocketHost, run_until
from terminals import HOME, INNER_HOST, MOBILE_LINK, OTHER_LINK

from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec.drivers.simulation import echo_reply, echo_request
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.events import Registered
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

pytestmark = pytest.mark.netns

PORT = 4500
NAT_ADDRESS = "203.0.113.1"
SOURCE_ADDRESS, SOURCE_PORT = FieldCode.SOURCE_ADDRESS, FieldCode.SOURCE_PORT
ADDRESS, BOTH = NatureCode.ADDRESS, NatureCode.ADDRESS_AND_PORT


@pytest.fixture
def hosts(namespaces):
    other_socket, dialed = namespaces.bound_socket(namespaces.y, "203.0.113.2", PORT)
    sockets = {
        endpoint: udp
        for udp, endpoint in (
            namespaces.bound_socket(namespaces.x, address, PORT)
            for address in ("198.51.100.2", "192.168.77.2")
        )
    }
    mobile = MobileTerminal(MobileConfiguration(MOBILE_LINK, dialed), random_bytes=os.urandom)
    other = OtherTerminal(OtherConfiguration((OTHER_LINK,)), random_bytes=os.urandom)
    other_host = SocketHost(other, {dialed: other_socket})
    other_host.on_inner = lambda packet: other_host.send(echo_reply(packet))
    return SocketHost(mobile, sockets), other_host


def go(hosts, place, number):
    """Move, ping without waiting, and return what X is told."""
    mobile, _ = hosts
    mobile.move(place)
    mobile.send(echo_request(HOME, INNER_HOST, number))
    assert run_until(hosts, lambda: isinstance(mobile.log[-1][1], Registered)), mobile.log
    assert run_until(hosts, lambda: len(mobile.inner) == number + 1)
    return mobile.log[-1][1]


@pytest.mark.parametrize(
    ("namespaces", "ports", "natures"),
    [
        ("masquerade", {PORT}, {SOURCE_ADDRESS: ADDRESS}),
        (
            "masquerade to :40000-40009",
            set(range(40_000, 40_010)),
            {SOURCE_ADDRESS: BOTH, SOURCE_PORT: BOTH},
        ),
        (
            "masquerade random",
            set(range(65_536)) - {PORT},
            {SOURCE_ADDRESS: BOTH, SOURCE_PORT: BOTH},
        ),
    ],
    indirect=["namespaces"],
)
def test_handover_into_the_kernels_nat(hosts, ports, natures):
    open_network, behind_nat = hosts[0].sockets
    registered = go(hosts, open_network, 0)
    assert registered.translations == registered.reply_translations == ()

    registered = go(hosts, behind_nat, 1)
    assert {one.field: one.nature for one in registered.translations} == natures
    seen = {one.field: one.observed for one in registered.translations}
    assert seen[SOURCE_ADDRESS] == NAT_ADDRESS
    assert int(seen.get(SOURCE_PORT, PORT)) in ports
    back = {one.field: (one.sent, one.observed) for one in registered.reply_translations}
    assert back[FieldCode.DESTINATION_ADDRESS] == (NAT_ADDRESS, "192.168.77.2")

    remote = hosts[1].terminal.path(HOME).remote
    assert str(remote) == f"{NAT_ADDRESS}:{seen.get(SOURCE_PORT, PORT)}"
    assert go(hosts, open_network, 2).translations == ()


@pytest.mark.parametrize("namespaces", ["masquerade"], indirect=True)
def test_namespaces_are_deleted(namespaces):
    namespaces.down()
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert namespaces.x not in names.stdout
