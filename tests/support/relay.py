"""A NAT without rights: UDP datagrams that come to it go on from another port, and back.

Who is to be reached is dialed at the NAT's own address, so destinations are translated, too.
"""

import socket

from scapy_mobsec.packet.path import Endpoint

OUTSIDE = "127.0.0.20"


class UdpRelay:
    """One, on a loop. `dialed`: where it is asked; each asker gets a port of its own outside."""

    def __init__(self, loop, remote, address="127.0.0.10"):
        self._loop, self._remote, self._outside = loop, _pair(remote), {}
        self._inside = self._open(address, self._out)
        self.dialed = Endpoint.of(*self._inside.getsockname())

    def outside_of(self, asker):
        """Where packets of an endpoint inside come from."""
        return Endpoint.of(*self._outside[_pair(asker)].getsockname())

    def reboot(self):
        """Forget who has which port."""
        while self._outside:
            self._close(self._outside.popitem()[1])

    def close(self):
        self.reboot()
        self._close(self._inside)

    def _out(self):
        data, asker = self._inside.recvfrom(65_535)
        if asker not in self._outside:
            self._outside[asker] = self._open(OUTSIDE, lambda: self._in(asker))
        self._outside[asker].sendto(data, self._remote)

    def _in(self, asker):
        data, remote = self._outside[asker].recvfrom(65_535)
        if remote == self._remote:  # address and port dependent filtering
            self._inside.sendto(data, asker)

    def _open(self, address, readable):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((address, 0))
        self._loop.watch(opened, readable)
        return opened

    def _close(self, opened):
        self._loop.unwatch(opened)
        opened.close()


def _pair(endpoint):
    return str(Endpoint(endpoint.address)), endpoint.port
