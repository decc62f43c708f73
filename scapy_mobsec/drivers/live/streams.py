"""The carriers of streams of a terminal: TCP, TLS on it, and tunnels through a forward proxy.

What a stream becomes is told as the terminal takes it; nothing raises for what a peer, a proxy or
the machine does. A connection that is not established in time ends, and those that others begin are
limited in all and, until then, by source; afterwards the limits of the terminal count (rule 10).
"""

import errno
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial

from scapy_mobsec.drivers.live.connection import (
    Connection,
    endpoint_of,
    family_of,
    reason_of,
)
from scapy_mobsec.drivers.live.faults import CannotOpen, Faults
from scapy_mobsec.drivers.live.loop import Loop, Timer
from scapy_mobsec.drivers.live.tls import ClientTls, ServerTls, TlsClient, TlsServer
from scapy_mobsec.drivers.stream_layers import Stream, StreamUser, ThroughProxy
from scapy_mobsec.drops import Drop
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path, address_text
from scapy_mobsec.terminal.config import MAX_STREAMS
from scapy_mobsec.terminal.driving import (
    Closed,
    Congested,
    Established,
    Input,
    Open,
    Refused,
)

ESTABLISHED_WITHIN = 10.0
"""Seconds for TCP, the tunnel and TLS together."""

MAX_HANDSHAKES, MAX_HANDSHAKES_PER_SOURCE = 256, 16
"""Accepted connections whose TLS is not established, in all (the oldest makes room) and from one
address.
"""

ACCEPTED_A_ROUND = 16
BACKLOG = 128
ACCEPT_AGAIN_AFTER = 1.0
"""Seconds until a listener is used again that could not accept: without descriptors it stays
readable.
"""

_OF_ONE_CONNECTION = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EPERM,
        errno.EPROTO,
    }
)
"""Errors of accept (see its manual) that say nothing about the next connection."""

NewSocket = Callable[[socket.AddressFamily, socket.SocketKind], socket.socket]


class Streams:
    """All streams of one terminal; `receive` is told what happens on them.

    `tls`: for those that are opened inside TLS. `limit`: connections in all; more than the terminal
    has streams, so that it chooses which one makes room. `new_socket`: as `socket.socket`.
    `faults` has the counts of all that failed.
    """

    def __init__(
        self,
        loop: Loop,
        receive: Callable[[Input, Path], None],
        *,
        tls: ClientTls | None = None,
        limit: int = MAX_STREAMS + MAX_HANDSHAKES,
        new_socket: NewSocket = socket.socket,
    ) -> None:
        self.faults = Faults(lambda: loop.now)
        self.loop, self.receive = loop, receive
        self.established: dict[Path, Stream] = {}
        self.pending: dict[Path, _User] = {}  # by what was wanted
        self.connections: set[Connection] = set()
        self.handshakes: dict[_User, bytes] = {}  # accepted, with the address where each comes from
        self.limit = limit
        self._tls, self._new_socket = tls or ClientTls(), new_socket
        self._listeners: list[_Listener] = []

    def listen(self, endpoint: Endpoint, tls: ServerTls | None = None) -> Endpoint:
        """Accept streams, inside TLS if it is given; the unspecified address is for all of its
        family. Return the endpoint with the port that 0 became. Raises CannotOpen.
        """
        try:
            listener = _Listener(self, self._listening(endpoint), tls)
        except OSError as error:
            raise CannotOpen(f"tcp {endpoint}", error) from error
        self._listeners.append(listener)
        return endpoint._replace(port=listener.port)

    def open(self, wanted: Open) -> None:
        """Begin a stream."""
        path = wanted.path
        user = self.pending[path] = _User(self, path, wanted=path)
        try:
            top = self._layers(wanted, user)
            family = family_of(path.remote.address)
            opened = self._new_socket(family, socket.SOCK_STREAM)
            connection = self._connection(opened, top, user)
            connection.connect(path.local, path.remote)
        except OSError as error:
            user.failed("tcp open", error)
            user.abort()
            self._give_up(user, reason_of(error))
        except (Drop, ValueError) as error:
            self._give_up(user, str(error))

    def write(self, path: Path, data: bytes) -> None:
        """Write to a stream; what is for one that has ended is lost."""
        if stream := self.established.get(path):
            stream.write(data)

    def end(self, path: Path) -> None:
        """Close a stream, or give up opening it, and tell no more of it."""
        if stream := self.established.pop(path, None):
            stream.close()
        elif user := self.pending.pop(path, None):
            user.abort()

    def use(self, addresses: Sequence[bytes]) -> None:
        """Forget the streams from other local addresses, without telling of them."""
        for path in [path for path in self.pending if path.local.address not in addresses]:
            self.end(path)
        for path in [path for path in self.established if path.local.address not in addresses]:
            del self.established[path]
        for connection in list(self.connections):
            if connection.local.address not in addresses:
                connection.abort()

    def close(self) -> None:
        """Close all, after one attempt to send what was written."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for path in [*self.pending, *self.established]:
            self.end(path)
        for connection in list(self.connections):
            connection.abort()

    def accept(self, accepted: socket.socket, source: Endpoint, tls: ServerTls | None) -> None:
        """Take a connection that a peer began."""
        kind = Encapsulation.TLS if tls else Encapsulation.TCP
        user = _User(self, Path(kind, source, source))
        top = TlsServer(user, tls) if tls else user
        connection = self._connection(accepted, top, user, accepted=True)
        if tls:
            self.handshakes[user] = source.address
        try:
            self._check_room(source.address)
            connection.begin()
        except OSError as error:
            user.failed("tcp accept", error)
            connection.abort()

    def _check_room(self, source: bytes) -> None:
        """Let the oldest handshake make room for a new one. Raises OSError where there is none."""
        of_source = sum(each == source for each in self.handshakes.values())
        if len(self.connections) > self.limit or of_source > MAX_HANDSHAKES_PER_SOURCE:
            raise OSError(errno.EUSERS, os.strerror(errno.EUSERS))
        if len(self.handshakes) > MAX_HANDSHAKES:
            next(iter(self.handshakes)).abort()

    def _layers(self, wanted: Open, user: "_User") -> StreamUser:
        """Return what is right above TCP. Raises Drop, ValueError."""
        top: StreamUser = user
        if wanted.tls:
            server = wanted.target or str(wanted.path.remote), wanted.server_name
            top = TlsClient(top, self._tls, server)
        if wanted.target:
            top = user.tunnel = ThroughProxy(top, wanted.target)
        return top

    def _connection(
        self, opened: socket.socket, top: StreamUser, user: "_User", *, accepted: bool = False
    ) -> Connection:
        connection = Connection(self.loop, opened, top, user, accepted=accepted)
        self.connections.add(connection)
        user.begin(connection)
        return connection

    def _give_up(self, user: "_User", reason: str) -> None:
        """Tell, after this call, that a stream cannot be opened."""
        self.loop.soon(partial(user.closed, reason))

    def _listening(self, endpoint: Endpoint) -> socket.socket:
        """Raises OSError."""
        family = family_of(endpoint.address)
        opened = self._new_socket(family, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind((address_text(endpoint.address), endpoint.port))
            opened.listen(BACKLOG)
        except OSError:
            opened.close()
            raise
        return opened


class _User:
    """One stream of a terminal, above all layers; what its connection has to say, too."""

    def __init__(self, streams: Streams, path: Path, wanted: Path | None = None) -> None:
        self.tunnel: ThroughProxy | None = None
        self._streams, self._path, self._wanted = streams, path, wanted
        self._stream: Stream | None = None
        self._connection: Connection | None = None
        self._deadline: Timer | None = None

    def begin(self, connection: Connection) -> None:
        """Give it the connection, and the time to be established."""
        self._connection = connection
        self._deadline = self._streams.loop.after(ESTABLISHED_WITHIN, self._late)

    def abort(self) -> None:
        """End it without a word to the terminal."""
        if self._connection:
            self._connection.abort()

    def established(self, stream: Stream) -> None:
        streams = self._streams
        self._settle()
        self._stream = stream
        self._path = self._path._replace(local=stream.local, remote=stream.remote)
        streams.established[self._path] = stream
        answer = self.tunnel.answer if self.tunnel else None
        streams.receive(Established(self._wanted, stream.headers, answer), self._path)

    def received(self, data: bytes) -> None:
        if self._is_told_of:
            self._streams.receive(data, self._path)

    def closed(self, reason: str) -> None:
        streams, wanted = self._streams, self._wanted
        if self._is_told_of:
            del streams.established[self._path]
            streams.receive(Closed(reason), self._path)
        elif wanted and streams.pending.get(wanted) is self:
            self._settle()
            refused = self.tunnel and self.tunnel.refused
            streams.receive(Refused(reason) if refused else Closed(reason), wanted)
        elif self in streams.handshakes:
            self._settle()
            streams.faults.tell("tls accept", "FAILED", reason, self._path.remote)

    def congested(self, now: bool) -> None:
        if self._is_told_of:
            self._streams.receive(Congested(now), self._path)

    def failed(self, doing: str, error: OSError) -> None:
        self._streams.faults.note(doing, error, self._path)

    def over(self, connection: Connection) -> None:
        self._streams.connections.discard(connection)
        self._streams.handshakes.pop(self, None)
        if self._deadline:
            self._deadline.cancel()

    @property
    def _is_told_of(self) -> bool:
        stream = self._stream
        return stream is not None and self._streams.established.get(self._path) is stream

    def _settle(self) -> None:
        """It is established, or will never be."""
        if self._deadline:
            self._deadline.cancel()
        if self._wanted and self._streams.pending.get(self._wanted) is self:
            del self._streams.pending[self._wanted]
        self._streams.handshakes.pop(self, None)

    def _late(self) -> None:
        reason = f"not established within {ESTABLISHED_WITHIN:g} s"
        self.closed(reason)
        self.abort()


class _Listener:
    """A socket that accepts; `port`: where."""

    def __init__(self, streams: Streams, opened: socket.socket, tls: ServerTls | None) -> None:
        self.port: int = opened.getsockname()[1]
        self._streams, self._socket, self._tls = streams, opened, tls
        self._pause: Timer | None = None
        self._watch()

    def close(self) -> None:
        if self._pause:
            self._pause.cancel()
        self._streams.loop.unwatch(self._socket)
        self._socket.close()

    def _watch(self) -> None:
        self._streams.loop.watch(self._socket, self._accept)

    def _accept(self) -> None:
        failures = 0
        for _ in range(ACCEPTED_A_ROUND):
            try:
                accepted, name = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._streams.faults.note("tcp accept", error, f"port {self.port}")
                failures += 1
                if error.errno not in _OF_ONE_CONNECTION or failures == ACCEPTED_A_ROUND:
                    self._streams.loop.unwatch(self._socket)
                    self._pause = self._streams.loop.after(ACCEPT_AGAIN_AFTER, self._watch)
                    return
            else:
                self._streams.accept(accepted, endpoint_of(name), self._tls)
