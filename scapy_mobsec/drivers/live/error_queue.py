"""What the network and the machine say of datagrams that were sent: the error queue of a socket.

A socket with IP_RECVERR or IPV6_RECVERR keeps there what ICMP says of its datagrams; it is readable
with an error until all is taken. Message = what is quoted of the datagram; with it comes

    errno (4) | origin (1) | type (1) | code (1) | 0 (1) | info (4): the MTU | data (4) | ...
"""

import socket
from collections.abc import Iterator
from struct import Struct
from typing import Any, NamedTuple

IP_RECVERR, IPV6_RECVERR = 11, 25
"""Options of Linux (linux/in.h, linux/in6.h) that `socket` does not name."""

ORIGIN_LOCAL, ORIGIN_ICMP, ORIGIN_ICMP6 = 1, 2, 3
"""Who tells of an error (linux/errqueue.h)."""

MAX_NOTICES = 64
"""Notices that are taken at once."""

MAX_QUOTED = 2048
ANCILLARY_SPACE = 512

_EXTENDED_ERROR = Struct("=IBBBxI4x")
_ERRORS = {(socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)}

Ancillary = list[tuple[int, int, bytes]]


class Notice(NamedTuple):
    """One error of a datagram. `remote`: its destination, as the socket module has addresses.

    `ancillary`: what the socket tells of the notice, such as the address that it came to.
    """

    error: int
    origin: int
    mtu: int
    remote: Any
    quoted: bytes
    ancillary: Ancillary

    @property
    def is_local(self) -> bool:
        """Whether this machine refused the datagram when it was sent."""
        return self.origin == ORIGIN_LOCAL

    @property
    def is_remote(self) -> bool:
        """Whether the network tells of an earlier datagram."""
        return self.origin in (ORIGIN_ICMP, ORIGIN_ICMP6)


def notices(opened: socket.socket) -> Iterator[Notice]:
    """Take what the error queue of a nonblocking socket has. Raises OSError as `recvmsg` does."""
    for _ in range(MAX_NOTICES):
        try:
            quoted, ancillary, _, remote = opened.recvmsg(
                MAX_QUOTED, ANCILLARY_SPACE, socket.MSG_ERRQUEUE
            )
        except BlockingIOError:
            return
        for level, kind, value in ancillary:
            if (level, kind) in _ERRORS and len(value) >= _EXTENDED_ERROR.size:
                error, origin, _, _, info = _EXTENDED_ERROR.unpack_from(value)
                yield Notice(error, origin, info, remote, quoted, ancillary)
