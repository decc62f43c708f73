"""A loop, and one whom its sockets work for."""

import pytest

from scapy_mobsec.drivers.live.datagram_socket import Owner
from scapy_mobsec.drivers.live.faults import Faults
from scapy_mobsec.drivers.live.loop import Loop


class Heard:
    """What the owner of sockets is told."""

    def __init__(self, loop):
        self.loop, self.came, self.too_big = loop, [], []
        self.faults = Faults(lambda: loop.now)
        self.owner = Owner(
            loop,
            lambda data, path: self.came.append((data, path)),
            lambda *notice: self.too_big.append(notice),
            self.faults,
        )

    def wait_for(self, count):
        """Go on until so many datagrams came."""
        assert self.loop.run(lambda: len(self.came) >= count, seconds=5), self.faults.counts


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def heard(loop):
    return Heard(loop)
