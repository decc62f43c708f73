"""Which TCP segments are read: all of some ports, of others the beginnings of connections.

A connection on another port is followed from its SYN on, or from a segment that begins with the
stream prefix, until its first octets show that nothing of ours is in it.
"""

from contrib_layers.numbers import NATT_PORT, STREAM_PREFIX
from scapy_mobsec.packet.tcp import TcpFlag

STREAM_PORTS = frozenset({NATT_PORT, 443, 80, 8080})
"""Read whatever is asked for."""

_SYN = int(TcpFlag.SYN)
_FLAGS_END = 14


def ports_of(segment: bytes) -> tuple[int, int]:
    """Return source and destination port of a TCP segment, 0 where it is cut short."""
    return int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big")


def begins_stream(segment: bytes) -> bool:
    """Whether a connection begins with a TCP segment, or what it carries with the prefix."""
    if len(segment) < _FLAGS_END:
        return False
    return bool(segment[13] & _SYN) or segment.startswith(STREAM_PREFIX, (segment[12] >> 4) * 4)
