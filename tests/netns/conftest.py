"""Networks of the kernel between X and Y, and terminals on their sockets. Needs root."""

import os
from functools import partial
from socket import socket

import pytest
from live import live_host

from scapy_mobsec.drivers.lab.namespaces import Lab, masquerade
from scapy_mobsec.drivers.live.host import LiveHost, MobileHost
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.streams import Streams
from scapy_mobsec.packet.icmp import echo_reply
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal


class Ends:
    """Both terminals, each in its namespace of a lab, on one loop. Y answers pings."""

    def __init__(self, lab):
        self.lab, self.loop = lab, Loop()

    def open(self, dialed, links, native=(), names=(), **choices):
        """Open Y everywhere on the port that X dials, and X.

        `native`: whether each of the raw sockets that are open is for AH; `names`: of Y;
        `choices`: of X.
        """
        supported = {"supported": choices["allow"]} if "allow" in choices else {}
        other = OtherConfiguration((links[1],), names=names, **supported)
        mobile = MobileConfiguration(links[0], dialed, **choices)
        self.other = live_host(LiveHost, OtherTerminal(other, random_bytes=os.urandom), self.loop)
        self.mobile = live_host(
            MobileHost, MobileTerminal(mobile, random_bytes=os.urandom), self.loop
        )
        for name, host in (("x", self.mobile), ("y", self.other)):
            new_socket = partial(self._socket, name)
            host.streams = Streams(self.loop, host.receive, new_socket=new_socket)
            with self.lab.inside(name):
                for ah in native:
                    host.datagrams.open_native(ah=ah)
        with self.lab.inside("y"):
            self.other.datagrams.listen([Endpoint(bytes(len(dialed.address)), dialed.port)])
        self.other.inner.on_packet = self._answer

    def _socket(self, name, *kind):
        with self.lab.inside(name):
            return socket(*kind)

    def move(self, *addresses, port=4500):
        """Let X go on from addresses."""
        with self.lab.inside("x"):
            self.mobile.move([Endpoint.of(each, port) for each in addresses])

    def wait_for(self, kind, count=1):
        """Go on until X told so many events of a kind; return the last."""
        found = []

        def there():
            found[:] = [event for _, event in self.mobile.log if isinstance(event, kind)]
            return len(found) >= count

        assert self.loop.run(there, seconds=10), (self.mobile.log, self.faults)
        return found[-1]

    @property
    def faults(self):
        """What the machine refused, of X and of Y."""
        return [
            dict(carriers.faults.counts)
            for each in (self.mobile, self.other)
            for carriers in (each.datagrams, each.streams)
        ]

    def ping(self, packet, count):
        """Send an inner packet; tell whether as many came back as there should be by now."""
        self.mobile.send(packet)
        return self.loop.run(lambda: len(self.mobile.inner) >= count, seconds=5)

    def close(self):
        self.mobile.close()
        self.other.close()
        self.loop.close()

    def _answer(self, packet):
        if answer := echo_reply(packet):
            self.other.send(answer)


@pytest.fixture
def natted(request):
    """X at two places: one behind a NAT with the rule that the test is parametrised with.

    X  m0 192.168.77.2 ---- 192.168.77.1 in0  NAT  ex0 203.0.113.1 ---- 203.0.113.2 g0  Y
    X  d0 198.51.100.2 ----------------------------------------------- 198.51.100.1 d0  Y
    """
    with Lab() as lab:
        lab.namespace("x")
        lab.namespace("nat", forwards=True)
        lab.namespace("y")
        lab.cable("x", "m0", "nat", "in0")
        lab.cable("nat", "ex0", "y", "g0")
        lab.cable("x", "d0", "y", "d0")
        lab.ip(
            "x",
            "address add 192.168.77.2/24 dev m0",
            "address add 198.51.100.2/24 dev d0",
            "route add default via 198.51.100.1",
            "rule add from 192.168.77.2 lookup 77",
            "route add default via 192.168.77.1 table 77",
        )
        lab.ip("nat", "address add 192.168.77.1/24 dev in0", "address add 203.0.113.1/24 dev ex0")
        lab.ip("y", "address add 203.0.113.2/24 dev g0", "address add 198.51.100.1/24 dev d0")
        lab.nft("nat", masquerade("ex0", f"ip protocol udp {request.param}"))
        ends = Ends(lab)
        yield ends
        ends.close()


@pytest.fixture
def routed():
    """A router, and a way on that takes packets of 1300 octets.

    X  m0 198.51.100.2, 2001:db8:1::2 ---- in0  router  ex0 ---- 203.0.113.2, 2001:db8:2::2  Y
    """
    with Lab() as lab:
        lab.namespace("x")
        lab.namespace("router", forwards=True)
        lab.namespace("y")
        lab.cable("x", "m0", "router", "in0")
        lab.cable("router", "ex0", "y", "g0")
        for name, link, ipv4, ipv6 in (
            ("x", "m0", "198.51.100.2/24", "2001:db8:1::2/64"),
            ("router", "in0", "198.51.100.1/24", "2001:db8:1::1/64"),
            ("router", "ex0", "203.0.113.1/24", "2001:db8:2::1/64"),
            ("y", "g0", "203.0.113.2/24", "2001:db8:2::2/64"),
        ):
            lab.ip(name, f"address add {ipv4} dev {link}", f"address add {ipv6} dev {link} nodad")
        for name, number, octets in (("x", 1, "198.51.100"), ("y", 2, "203.0.113")):
            lab.ip(name, f"route add default via {octets}.1")
            lab.ip(name, f"route add ::/0 via 2001:db8:{number}::1")
        lab.ip("router", "link set ex0 mtu 1300")
        lab.ip("y", "link set g0 mtu 1300")
        ends = Ends(lab)
        yield ends
        ends.close()


@pytest.fixture
def proxied():
    """A host between X and Y that forwards nothing: what passes, a proxy there passes on.

    X  m0 198.51.100.2 ---- 198.51.100.1 in0  proxy  ex0 203.0.113.1 ---- 203.0.113.2 g0  Y
    """
    with Lab() as lab:
        for name in ("x", "proxy", "y"):
            lab.namespace(name)
        lab.cable("x", "m0", "proxy", "in0")
        lab.cable("proxy", "ex0", "y", "g0")
        lab.ip("x", "address add 198.51.100.2/24 dev m0")
        lab.ip("proxy", "address add 198.51.100.1/24 dev in0", "address add 203.0.113.1/24 dev ex0")
        lab.ip("y", "address add 203.0.113.2/24 dev g0")
        ends = Ends(lab)
        yield ends
        ends.close()
