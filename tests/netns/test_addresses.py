"""Addresses, links and routes of the kernel come and go, and the monitor tells within 10 ms.

X  m0 192.0.2.2, 2001:db8::2 ------ router      metric 100
X  w0 198.51.100.2 ---------------- router      metric 600
X  s0 192.168.77.2 ---------------- router      only what is from there
"""

import socket
import sys
from ipaddress import ip_network
from statistics import median

import pytest

from scapy_mobsec.drivers.lab.namespaces import Lab
from scapy_mobsec.drivers.live.addresses import AddressMonitor
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.rtnetlink import Rtnetlink
from scapy_mobsec.drivers.live.tun_device import TunDevice
from scapy_mobsec.packet.path import Endpoint

pytestmark = pytest.mark.netns

Y, Y6 = (Endpoint.of(each).address for each in ("203.0.113.2", "2001:db8:9::2"))
PORT = 4500


class Watched:
    """A namespace with a monitor in it; what it tells, with the time of that."""

    def __init__(self, lab):
        self.lab, self.loop, self.told, self.times = lab, Loop(), [], []
        with lab.inside("x"):
            network = Rtnetlink(besides=["mobsec0"])
        self.network = network
        self.monitor = AddressMonitor(self.loop, network, [Y, Y6], PORT, self.tell)

    def tell(self, endpoints, kept):
        self.times.append(self.loop.now)
        self.told.append((addresses(endpoints), addresses(kept)))

    def after(self, *commands):
        """Do something in the namespace; return what is told, and in how many seconds."""
        self.told.clear()
        self.lab.ip("x", *commands)
        done = self.loop.now
        assert self.loop.run(lambda: bool(self.told), seconds=5)
        return self.told[-1], self.times[-1] - done

    def settle(self):
        """Take all that is on its way, and return the addresses."""
        self.loop.run(seconds=0.05)
        return addresses(self.monitor.endpoints)

    def close(self):
        self.monitor.close()
        self.loop.close()


def addresses(endpoints):
    assert all(each.port == PORT for each in endpoints)
    return [str(Endpoint(each.address)) for each in endpoints]


@pytest.fixture
def lab():
    with Lab() as lab:
        lab.namespace("x")
        lab.namespace("router")
        for link in "m0", "w0", "s0":
            lab.cable("x", link, "router", f"to-{link}")
            lab.ip("router", f"link set to-{link} up")
        lab.ip(
            "x",
            "address add 192.0.2.2/24 dev m0",
            "address add 2001:db8::2/64 dev m0 nodad",
            "route add default via 192.0.2.1 metric 100",
            "route add default via 2001:db8::1",
            "address add 198.51.100.2/24 dev w0",
            "route add default via 198.51.100.1 metric 600",
            "address add 192.168.77.2/24 dev s0",
        )
        yield lab


@pytest.fixture
def watched(lab):
    watched = Watched(lab)
    yield watched
    watched.close()


BOTH = ["192.0.2.2", "198.51.100.2", "2001:db8::2"]


def test_from_where_it_is_reached(watched):
    assert addresses(watched.monitor.endpoints) == BOTH
    told, _ = watched.after(
        "route add default via 192.168.77.1 table 77", "rule add from 192.168.77.2 lookup 77"
    )
    assert told[0] == ["192.0.2.2", "192.168.77.2", "198.51.100.2", "2001:db8::2"]


def test_the_preferred_route_changes(watched):
    told, _ = watched.after("route add default via 198.51.100.1 metric 50")
    assert told[0] == ["198.51.100.2", "192.0.2.2", "2001:db8::2"]
    assert told[0] == told[1]


def test_what_is_not_usable_is_left_out(watched, lab):
    lab.ip(
        "x",
        "address add 169.254.1.1/16 dev m0 scope link",
        "address add fe80::7/64 dev m0 nodad",
        "address add 2001:db8::3/64 dev m0 preferred_lft 0 nodad",
        "address add 127.0.0.9/8 dev lo",
    )
    lab.sysctl("x", {"net/ipv6/conf/m0/accept_dad": "1", "net/ipv6/conf/m0/dad_transmits": "50"})
    lab.ip("x", "address add 2001:db8::4/64 dev m0")  # tentative
    assert watched.settle() == BOTH


def test_the_tunnel_is_left_out(watched, lab):
    with lab.inside("x"):
        tun = TunDevice(
            "mobsec0", [bytes([10, 10, 1, 1])], [ip_network("0.0.0.0/0")], mtu=1380, outside=[Y]
        )
    assert watched.settle() == BOTH
    tun.close()
    assert watched.settle() == BOTH
    assert not watched.told


def test_a_link_that_is_down(watched):
    told, _ = watched.after("link set m0 down")
    assert told == (["198.51.100.2"], ["198.51.100.2"])


def test_a_link_whose_other_end_is_down(watched, lab):
    def told(first):  # the kernel takes its time to say that a carrier is lost
        return lambda: bool(watched.told) and watched.told[-1][0][0] == first

    lab.ip("router", "link set to-m0 down")
    assert watched.loop.run(told("198.51.100.2"), seconds=5)
    lab.ip("router", "link set to-m0 up")
    assert watched.loop.run(told("192.0.2.2"), seconds=5)
    endpoints, kept = watched.told[-1]
    assert endpoints[:2] == ["192.0.2.2", "198.51.100.2"]
    assert kept == ["198.51.100.2"]  # the other one may be in another network


def test_the_same_address_given_anew_is_another(watched):
    watched.loop.run(seconds=0.02)  # the kernel counts hundredths of a second
    told, _ = watched.after(
        "address del 192.0.2.2/24 dev m0",
        "address add 192.0.2.2/24 dev m0",
        "route add default via 192.0.2.1 metric 100",
    )
    assert told == (BOTH, BOTH[1:])


def test_all_is_read_again_after_notices_were_lost(watched, lab):
    watched.network._notices.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    many = [f"192.0.2.{number}/32 dev m0" for number in range(3, 103)]
    lab.ip("x", *(f"address {change} {one}" for one in many for change in ("add", "del")))
    lab.ip("x", "address add 192.0.2.200/24 dev m0")
    assert "192.0.2.200" in watched.settle()


def test_within_10_ms(watched, capsys):
    times = []
    for _ in range(10):
        for change in ("del", "add"):
            _, seconds = watched.after(f"address {change} 2001:db8::2/64 dev m0 nodad")
            times.append(seconds)
            watched.settle()
    with capsys.disabled():
        sys.stdout.write(f" [a change is told in {1000 * median(times):.1f} ms, median of 20] ")
    assert median(times) < 0.010
