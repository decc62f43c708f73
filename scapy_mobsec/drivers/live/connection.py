"""One TCP connection that never blocks: opened from a local address, or accepted.

What is written waits in a buffer until the end of the loop's round, so that the packets of a round
leave together. The kernel holds little that is not sent, so what piles up does so here, where it is
seen: above a mark the connection is congested, above a limit it is closed.
"""

import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Protocol

from scapy_mobsec.drivers.live.loop import Loop, Timer
from scapy_mobsec.drivers.stream_layers import StreamUser, ip_tcp_headers
from scapy_mobsec.packet.path import Endpoint, address_text
from scapy_mobsec.registration.description import Description

MAX_READ = 65_536
"""Octets that are read in one round."""

SENT_AT = 65_536
"""Octets that wait for the end of the round no longer."""

HIGH_WATER, LOW_WATER = 131_072, 32_768
"""Octets to write at which a connection is congested, and is no more."""

MAX_BUFFER = 4_194_304
"""Octets to write at which it is closed: more than a terminal writes before it hears of it."""

MAX_NOT_SENT = 65_536
"""Octets that the kernel takes before it can send them."""

DEAD_AFTER = 30.0
"""Seconds after which what was sent and is not acknowledged ends it."""

FLUSHED_WITHIN = 5.0
"""Seconds that a closed one has to get rid of what was written."""

_IP_BIND_ADDRESS_NO_PORT = 24  # of linux/in.h; Python has no name for it before 3.12
_RESET = struct.pack("ii", 1, 0)  # linger for no time at all
_REASONS = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset"}

CLOSED_BY_PEER = "closed by the peer"


class Owner(Protocol):
    """Who made a connection, and is told what does not concern the layers above it."""

    def congested(self, now: bool) -> None:
        """More waits to be written than is good, or no more."""

    def failed(self, doing: str, error: OSError) -> None:
        """The machine or the network refused something."""

    def over(self, connection: "Connection") -> None:
        """Its socket is closed."""


class Connection:
    """A stream for its user, below all layers. No call but `connect` and `begin` raises."""

    def __init__(
        self,
        loop: Loop,
        stream_socket: socket.socket,
        user: StreamUser,
        owner: Owner,
        *,
        accepted: bool,
    ) -> None:
        self.local = self.remote = Endpoint(b"")
        self._loop, self._socket, self._user = loop, stream_socket, user
        self._owner, self._accepted = owner, accepted
        self._congested = False
        self._buffer = bytearray()
        self._is_open = self._ending = self._is_over = False
        self._blocked = self._flush_is_due = False
        self._deadline: Timer | None = None

    @property
    def headers(self) -> Description:
        """IP and TCP as this side wrote them (opened), or as they arrived (accepted)."""
        ends = (self.remote, self.local) if self._accepted else (self.local, self.remote)
        return ip_tcp_headers(*ends)

    def connect(self, local: Endpoint, remote: Endpoint) -> None:
        """Begin to open it; a local port of 0 is any. Raises OSError."""
        self.local, self.remote = local, remote
        self._set_up()
        if not local.port:
            self._socket.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        self._socket.bind((address_text(local.address), local.port))
        found = self._socket.connect_ex((address_text(remote.address), remote.port))
        if found not in (0, errno.EINPROGRESS):
            raise OSError(found, os.strerror(found))
        self._loop.watch(self._socket, None, self._connected)

    def begin(self) -> None:
        """Begin with one that was accepted. Raises OSError."""
        self._set_up()
        self.local = endpoint_of(self._socket.getsockname())
        self.remote = endpoint_of(self._socket.getpeername())
        self._opened()

    def write(self, data: bytes) -> None:
        """Send octets, after all earlier ones; they are lost if it has ended."""
        if self._ending or self._is_over:
            return
        self._buffer += data
        size = len(self._buffer)
        if not self._is_open or self._blocked:
            self._judge()
        elif size >= SENT_AT:
            self._flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self._loop.soon(self._flush)

    def close(self) -> None:
        """Send what was written, and then the end; the user hears no more."""
        if self._ending or self._is_over:
            return
        if not self._is_open:
            self.abort()
            return
        self._ending = True
        self._flush()
        if not self._is_over:
            self._deadline = self._loop.after(FLUSHED_WITHIN, self.abort)

    def abort(self) -> None:
        """End it at once (RST); the user hears no more."""
        if not self._is_over:
            with suppress(OSError):  # it is closed all the same
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._shut()

    def _set_up(self) -> None:
        self._socket.setblocking(False)
        set_option = self._socket.setsockopt
        set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        set_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD_AFTER * 1000))
        set_option(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_NOT_SENT)

    def _connected(self) -> None:
        try:
            found = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.local = endpoint_of(self._socket.getsockname())
        except OSError as error:
            found = error.errno or errno.EIO
        if found:
            self._failed("connect", OSError(found, os.strerror(found)))
        else:
            self._opened()

    def _opened(self) -> None:
        self._is_open = True
        self._watch()
        if self._buffer:
            self._flush()
        if not self._is_over:
            self._user.established(self)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(MAX_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed("read", error)
            return
        if data:
            self._user.received(data)
        else:
            self._end(CLOSED_BY_PEER)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._is_over:
            return
        try:
            sent = self._socket.send(self._buffer) if self._buffer else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._failed("write", error)
            return
        del self._buffer[:sent]
        if self._ending and not self._buffer:
            self._shut()
            return
        if self._blocked is not bool(self._buffer) or self._ending:
            self._blocked = bool(self._buffer)
            self._watch()
        self._judge()

    def _watch(self) -> None:
        readable = None if self._ending else self._readable
        self._loop.watch(self._socket, readable, self._flush if self._buffer else None)

    def _judge(self) -> None:
        """Tell that it is congested, or no more."""
        size = len(self._buffer)
        if size > MAX_BUFFER:
            self._end("too much to write")
            return
        congested = size > (LOW_WATER if self._congested else HIGH_WATER)
        if congested is not self._congested and not self._ending:
            self._congested = congested
            self._owner.congested(congested)

    def _failed(self, doing: str, error: OSError) -> None:
        self._owner.failed(f"tcp {doing}", error)
        self._end(reason_of(error))

    def _end(self, reason: str) -> None:
        told = not self._ending
        self._shut()
        if told:
            self._user.closed(reason)

    def _shut(self) -> None:
        self._is_over = True
        if self._deadline:
            self._deadline.cancel()
        self._loop.unwatch(self._socket)
        self._socket.close()
        self._buffer.clear()
        self._owner.over(self)


def reason_of(error: OSError) -> str:
    """Return what the terminal and people are told of an error."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


def family_of(address: bytes) -> socket.AddressFamily:
    """Return the family of a packed address."""
    return socket.AF_INET if len(address) == 4 else socket.AF_INET6


def endpoint_of(name: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    """Return the endpoint that the kernel names; a zone of IPv6 is left out."""
    return Endpoint.of(name[0].partition("%")[0], name[1])
