"""A pair of terminals with a network between them: in memory, or on real loopback sockets."""

import os
from functools import partial

import pytest
from live import live_host
from relay import UdpRelay
from terminals import MOBILE_LINK, OTHER_LINK

from scapy_mobsec.drivers.live.host import LiveHost, MobileHost
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    UNTRANSLATED,
    build_topology,
)
from scapy_mobsec.packet.icmp import echo_reply
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal


class MemoryPair:
    """X may be at a place without NAT, or behind one."""

    translations = (0, 2)

    def __init__(self):
        self.topology = build_topology(seed=3)
        self.mobile, self.other = self.topology.mobile, self.topology.other
        self.places = (UNTRANSLATED, BEHIND_NAT)
        self.move = self.topology.move
        self.run_until = self.topology.network.run_until


class LoopbackPair:
    """X may be at two addresses of the loopback network; nothing translates."""

    translations = (0, 0)

    def __init__(self):
        self.loop = Loop()
        other = OtherTerminal(OtherConfiguration((OTHER_LINK,)), random_bytes=os.urandom)
        self.other = live_host(LiveHost, other, self.loop)
        (self.listens,) = self.other.datagrams.listen([Endpoint.of("127.0.0.1")])
        self.other.inner.on_packet = self._answer
        configuration = MobileConfiguration(MOBILE_LINK, self.dialed())
        mobile = MobileTerminal(configuration, random_bytes=os.urandom)
        self.mobile = live_host(MobileHost, mobile, self.loop)
        self.places = Endpoint.of("127.0.0.2"), Endpoint.of("127.0.0.3")
        self.run_until = partial(self.loop.run, seconds=5)

    def dialed(self):
        """Where X reaches Y."""
        return self.listens

    def move(self, place):
        self.mobile.move([place])

    def close(self):
        self.mobile.close()
        self.other.close()
        self.loop.close()

    def _answer(self, packet):
        if answer := echo_reply(packet):
            self.other.send(answer)


class NattedPair(LoopbackPair):
    """The same, and a NAT translates addresses and ports of source and destination."""

    translations = (4, 4)

    def dialed(self):
        self.nat = UdpRelay(self.loop, self.listens)
        return self.nat.dialed

    def close(self):
        self.nat.close()
        super().close()


LIVE = {"loopback": LoopbackPair, "behind-a-nat": NattedPair}


@pytest.fixture
def natted():
    """A pair with a NAT between, on real sockets."""
    pair = NattedPair()
    yield pair
    pair.close()


@pytest.fixture(params=["memory", *LIVE])
def pair(request):
    if request.param == "memory":
        yield MemoryPair()
        return
    pair = LIVE[request.param]()
    yield pair
    pair.close()
