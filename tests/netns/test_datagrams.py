"""UDP, native ESP and AH on sockets of the kernel, over a way that takes only short packets."""

from itertools import product
from socket import AF_INET6, IPPROTO_IPV6, IPV6_DSTOPTS, IPV6_HOPOPTS, SOCK_RAW, socket

import pytest
from terminals import AH_LINKS, AH_TO_OTHER, HOME, INNER_HOST, MOBILE_LINK, OTHER_LINK, SIGNALLING

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.esp.ah import OutboundAh, spi_of
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.ip import AH, build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.messages import EncapsulationItem
from scapy_mobsec.terminal.events import InnerMtuLowered, Registered

pytestmark = pytest.mark.netns

PORT = 4500
OUTER_MTU = 1300
X = {"IPv4": "198.51.100.2", "IPv6": "2001:db8:1::2"}
Y = {"IPv4": "203.0.113.2", "IPv6": "2001:db8:2::2"}
ROUTER = {"IPv4": "198.51.100.1", "IPv6": "2001:db8:1::1"}
FAMILIES = list(X)
PING = echo_request(HOME, INNER_HOST, 1)
NATIVE_ONLY = (EncapsulationItem(EncapsulationCode.NATIVE),)
LINKS = MOBILE_LINK, OTHER_LINK

CARRIERS = {
    "udp": {"links": LINKS},
    "esp": {"links": LINKS, "native": (False,), "allow": NATIVE_ONLY},
    "ah": {"links": AH_LINKS, "native": (True,)},
}

NOTICED = [each for each in product(CARRIERS, FAMILIES) if each != ("ah", "IPv6")]
"""Of AH over IPv6, Linux does not tell what a router says."""


@pytest.fixture
def ends(routed, carrier, family):
    """Registered, by a carrier and a family."""
    routed.open(Endpoint.of(Y[family], PORT), **CARRIERS[carrier])
    routed.move(X[family])
    routed.wait_for(Registered)
    return routed


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_is_sent_is_what_arrives(ends, carrier, family):
    registered = ends.wait_for(Registered)
    assert registered.translations == registered.reply_translations == ()
    assert ends.ping(PING, 1), ends.faults
    path = ends.mobile.terminal.path
    assert path.ah is (carrier == "ah")
    assert path.encapsulation is (Encapsulation.UDP if carrier == "udp" else Encapsulation.NATIVE)
    assert (str(Endpoint(path.local.address)), str(Endpoint(path.remote.address))) == (
        X[family],
        Y[family],
    )
    back = ends.other.terminal.path(HOME)
    assert (back.local, back.remote, back.ah) == (path.remote, path.local, path.ah)
    assert ends.mobile.terminal.drops.total() == ends.other.terminal.drops.total() == 0


@pytest.mark.parametrize(("carrier", "family"), NOTICED)
def test_what_the_router_says_is_too_long_becomes_shorter(ends, carrier):
    before = ends.mobile.terminal.inner_mtu
    ends.mobile.send(build_ip(HOME, SIGNALLING, 1, bytes(before - 20)))
    lowered = ends.wait_for(InnerMtuLowered)
    assert OUTER_MTU - 150 < lowered.new < OUTER_MTU
    assert ends.mobile.datagrams.faults.counts[f"{carrier} notice EMSGSIZE"] >= 1
    ends.mobile.send(build_ip(HOME, SIGNALLING, 1, bytes(lowered.new - 20)))
    assert ends.loop.run(lambda: bool(ends.other.inner), seconds=5)
    assert len(ends.other.inner[0][1]) == lowered.new


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_the_own_link_does_not_take_becomes_shorter(ends, carrier):
    ends.lab.ip("x", "link set m0 mtu 1280")
    before = ends.mobile.terminal.inner_mtu
    ends.mobile.send(build_ip(HOME, SIGNALLING, 1, bytes(before - 20)))
    assert ends.wait_for(InnerMtuLowered).new < 1280
    assert ends.mobile.datagrams.faults.counts[f"{carrier} send EMSGSIZE"] >= 1


@pytest.mark.parametrize(("carrier", "family"), [("udp", "IPv4"), ("udp", "IPv6"), ("esp", "IPv6")])
def test_an_address_that_goes_and_comes_again(ends, carrier, family):
    address = f"{X[family]}/{24 if family == 'IPv4' else 64} dev m0"
    ends.lab.ip("x", f"address del {address}")
    ends.mobile.send(PING)
    ends.loop.run(seconds=0.02)
    name = "ENETUNREACH" if family == "IPv4" else "EADDRNOTAVAIL"
    assert ends.mobile.datagrams.faults.counts[f"{carrier} send {name}"] == 1
    assert not ends.mobile.inner

    ends.lab.ip("x", f"address add {address} {'nodad' if family == 'IPv6' else ''}")
    ends.lab.ip("x", f"route replace default via {ROUTER[family]}")
    assert ends.ping(PING, 1), ends.faults


@pytest.mark.parametrize(("carrier", "family"), [("udp", "IPv4"), ("esp", "IPv6")])
def test_an_address_that_is_left_for_another(ends, carrier, family):
    # Another prefix: with the first address of one, Linux takes the others away.
    old, new = {
        "IPv4": ("198.51.100.2/24", "198.51.100.77/25"),
        "IPv6": ("2001:db8:1::2/64", "2001:db8:1::77/64 nodad"),
    }[family]
    other = new.partition("/")[0]
    ends.lab.ip("x", f"address add dev m0 {new}")
    ends.move(other)
    ends.lab.ip("x", f"address del dev m0 {old}")
    assert ends.ping(PING, 1), ends.faults
    assert str(Endpoint(ends.other.terminal.path(HOME).remote.address)) == other


def test_ah_behind_extension_headers_is_made_again(routed):
    routed.open(Endpoint.of(Y["IPv6"], PORT), **CARRIERS["ah"])
    came = []
    routed.other.terminal.receive = lambda data, path, now: came.append(data)
    option = bytes((0x1E, 4, 1, 2, 3, 4))  # for experiments, to be skipped where it is not known
    ah = OutboundAh(AH_TO_OTHER).seal(
        b"payload", 59, Endpoint.of(X["IPv6"]).address, Endpoint.of(Y["IPv6"]).address
    )[40:]
    with routed.lab.inside("x"), socket(AF_INET6, SOCK_RAW, AH) as raw:
        raw.setsockopt(IPPROTO_IPV6, IPV6_HOPOPTS, bytes((0, 0)) + option)
        raw.setsockopt(IPPROTO_IPV6, IPV6_DSTOPTS, bytes((0, 0)) + option)
        raw.sendto(ah, (Y["IPv6"], 0))
        assert routed.loop.run(lambda: bool(came), seconds=5)
    (packet,) = came
    headers = bytes((60, 0)) + option + bytes((AH, 0)) + option
    assert packet[6] == 0
    assert packet[40:] == headers + ah
    assert spi_of(packet) == AH_TO_OTHER.spi
