"""Terminals on sockets of the machine, with what they said: the look of `Host` in memory."""

from scapy_mobsec.drivers.live.datagrams import Datagrams
from scapy_mobsec.drivers.live.streams import Streams


class Inside(list):
    """What lies behind a terminal: inner packets with their time; it may answer them."""

    def __init__(self, loop):
        super().__init__()
        self.on_packet = lambda packet: None
        self._loop = loop

    def write(self, packet):
        self.append((int(self._loop.now * 1e9), packet))
        self.on_packet(packet)

    def close(self):
        pass


def live_host(kind, terminal, loop):
    """A host of a class for a terminal, without sockets yet; `log` and `inner` as there."""
    log = []
    host = kind(terminal, loop, lambda now, event: log.append((int(now * 1e9), event)))
    host.log, host.inner = log, Inside(loop)
    host.datagrams = Datagrams(loop, host.receive, host.too_big)
    host.streams = Streams(loop, host.receive)
    return host
