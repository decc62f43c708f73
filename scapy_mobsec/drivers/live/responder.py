"""What lives behind a terminal without a TUN device: it answers pings and UDP echo (RFC 862)."""

from collections import Counter
from collections.abc import Callable, Collection
from enum import Enum

from scapy_mobsec.drops import Drop
from scapy_mobsec.packet.icmp import echo_reply
from scapy_mobsec.packet.ip import UDP, addresses, build_ip, build_udp, parse_ip, parse_udp

ECHO_PORT = 7


class Ignored(Enum):
    """Why a packet has no answer; the value is the sentence a person reads."""

    OTHER_DESTINATION = "for an address that is not here"
    MALFORMED = "not well-formed"
    NO_ECHO = "neither an echo request nor UDP to port 7"


class Responder:
    """A small host at inner addresses; its answers go to `send`. `ignored`: how many have none."""

    def __init__(self, addresses: Collection[bytes], send: Callable[[bytes], None]) -> None:
        """`addresses`: packed."""
        self.ignored: Counter[Ignored] = Counter()
        self._addresses, self._send = frozenset(addresses), send

    def write(self, packet: bytes) -> None:
        """Take an inner IP packet that arrived."""
        try:
            _, destination = addresses(packet)
            answer = echo_reply(packet) or _udp_echo(packet)
        except Drop:
            self.ignored[Ignored.MALFORMED] += 1
            return
        if destination not in self._addresses:
            self.ignored[Ignored.OTHER_DESTINATION] += 1
        elif answer is None:
            self.ignored[Ignored.NO_ECHO] += 1
        else:
            self._send(answer)

    def close(self) -> None:
        """Nothing is open."""


def _udp_echo(packet: bytes) -> bytes | None:
    """Return the answer to a UDP datagram for port 7, unless it comes from there, too.

    Raises Drop as `parse_udp` does.
    """
    ip = parse_ip(packet)
    if ip.protocol != UDP or ip.is_fragment:
        return None
    datagram = parse_udp(ip, verify=True)
    if datagram.destination_port != ECHO_PORT or datagram.source_port == ECHO_PORT:
        return None
    here, there = ip.destination, ip.source
    return build_ip(
        here, there, UDP, build_udp(here, there, ECHO_PORT, datagram.source_port, datagram.payload)
    )
