"""When the current path needs a sign of life (rule 9).

Firewalls and NATs forget a flow that is silent, and those that only filter cannot be seen: so every
datagram path gets a packet every 20 s, whatever the comparison showed. Every third one is a PROBE,
which an answer must follow; the others ask for none: 0xFF (RFC 3948 section 2.3) in udp, an ESP
dummy packet (RFC 4303 section 2.6) in native. A stream gets a PROBE every 30 s and nothing else;
after one that died unseen, until the next move, twice as often, for a NAT may have forgotten it.
"""

from enum import Enum

from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.paths import DATAGRAM

INTERVAL = 20.0
PROBE_EVERY = 3
STREAM_INTERVAL = 30.0
SHORTEST_STREAM_INTERVAL = 7.5
SHORTEST_INTERVAL = 1.0


class Sign(Enum):
    """What is sent to keep a path alive."""

    OCTET = "the octet 0xFF"
    DUMMY = "an ESP packet with nothing in it"
    PROBE = "an RREQ that moves nothing"


class Keepalive:
    """The rhythm of one path, from when it became the current one."""

    def __init__(
        self,
        encapsulation: Encapsulation,
        now: float,
        interval: float = INTERVAL,
        stream_interval: float = STREAM_INTERVAL,
    ) -> None:
        """Seconds between signs: `interval` on a datagram path, `stream_interval` on a stream."""
        self._encapsulation = encapsulation
        self._interval = max(interval, SHORTEST_INTERVAL)
        if encapsulation not in DATAGRAM:
            self._interval = stream_interval
        self._count = 0
        self.due = now + self._interval

    def sign(self, now: float) -> Sign:
        """Return what is to be sent at `due`, and set the next time."""
        self._count += 1
        self.due = now + self._interval
        if self._encapsulation not in DATAGRAM or self._count % PROBE_EVERY == 0:
            return Sign.PROBE
        return Sign.OCTET if self._encapsulation is Encapsulation.UDP else Sign.DUMMY
