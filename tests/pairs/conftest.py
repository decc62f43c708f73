"""A pair of terminals with a network between them: in memory, or on real loopback sockets."""

import os
from functools import partial

import pytest
from sockets import SocketHost, bound_socket, run_until
from terminals import MOBILE_LINK, OTHER_LINK

from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    UNTRANSLATED,
    build_topology,
    echo_reply,
)
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
        other_socket, dialed = bound_socket("127.0.0.1")
        sockets = {
            endpoint: udp
            for udp, endpoint in (bound_socket("127.0.0.2"), bound_socket("127.0.0.3"))
        }
        mobile = MobileTerminal(MobileConfiguration(MOBILE_LINK, dialed), random_bytes=os.urandom)
        other = OtherTerminal(OtherConfiguration((OTHER_LINK,)), random_bytes=os.urandom)
        self.mobile = SocketHost(mobile, sockets)
        self.other = SocketHost(other, {dialed: other_socket})
        self.other.on_inner = self._answer
        self.places = tuple(sockets)
        self.move = self.mobile.move
        self.run_until = partial(run_until, (self.mobile, self.other))

    def _answer(self, packet):
        if answer := echo_reply(packet):
            self.other.send(answer)

    def close(self):
        for host in (self.mobile, self.other):
            for udp in host.sockets.values():
                udp.close()


@pytest.fixture(params=["memory", "loopback"])
def pair(request):
    if request.param == "memory":
        yield MemoryPair()
        return
    pair = LoopbackPair()
    yield pair
    pair.close()
