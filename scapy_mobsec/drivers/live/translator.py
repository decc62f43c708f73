"""A network on loopback: what comes to one address goes on from another one, later.

To a terminal that sends there instead of to the server (as a route would make it) this is a NAT
for UDP, and for TCP a NAT or an HTTP proxy, with a delay each way. Datagrams lose their source
address and port here, as behind masquerading; streams are two connections that are joined.
"""

import socket
from collections.abc import Callable
from typing import NamedTuple

from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.memory.http_relay import HttpRelay, Rewriting
from scapy_mobsec.packet.path import address_text

MAX_MAPPINGS = 64
MAX_CONNECTIONS = 64
MAX_UNDER_WAY = 1 << 20
"""Octets of one connection; more close it."""

_MAX_DATAGRAM = 65_535


class Translator:
    """Joins ports of the loopback address `inside` with those of `server`, seen from `outside`.

    `delay`: seconds that all takes each way. Addresses are packed. Raises OSError if a port is in
    use. `udp` and `tcp`: the ports that are joined; `http`: what is done to HTTP on them.
    """

    def __init__(
        self,
        loop: Loop,
        inside: bytes,
        outside: bytes,
        server: bytes,
        delay: float,
        udp: tuple[int, ...] = (),
        tcp: tuple[int, ...] = (),
        http: Rewriting | None = None,
    ) -> None:
        self._parts: list[_DatagramPort | _StreamPort] = []
        ends = _Ends(*map(address_text, (inside, outside, server)))
        try:
            for port in udp:
                self._parts.append(_DatagramPort(loop, ends, port, delay))
            for port in tcp:
                self._parts.append(_StreamPort(loop, ends, port, delay, http))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close everything; what is under way is lost."""
        for part in self._parts:
            part.close()


class _Ends(NamedTuple):
    inside: str
    outside: str
    server: str


class _Socket:
    """A socket that is watched, until it is closed."""

    def __init__(self, loop: Loop, made: socket.socket) -> None:
        self.socket, self._loop, self.closed = made, loop, False
        made.setblocking(False)

    def watch(self, readable: Callable[[], None] | None) -> None:
        if not self.closed:
            self._loop.watch(self.socket, readable)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.unwatch(self.socket)
            self.socket.close()


def _bound(kind: socket.SocketKind, address: str, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    try:
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except BaseException:
        made.close()
        raise
    return made


class _DatagramPort:
    """One UDP port inside, and a port outside for each that sends to it."""

    def __init__(self, loop: Loop, ends: _Ends, port: int, delay: float) -> None:
        self._loop, self._outside, self._delay = loop, ends.outside, delay
        self._server = ends.server, port
        self._inside = _Socket(loop, _bound(socket.SOCK_DGRAM, ends.inside, port))
        self._inside.watch(self._from_client)
        self._mappings: dict[tuple[str, int], _Socket] = {}

    def close(self) -> None:
        for each in (self._inside, *self._mappings.values()):
            each.close()

    def _from_client(self) -> None:
        try:
            data, client = self._inside.socket.recvfrom(_MAX_DATAGRAM)
        except OSError:
            return
        mapping = self._mappings.get(client)
        if mapping is None:
            if len(self._mappings) >= MAX_MAPPINGS:
                return
            mapping = _Socket(self._loop, _bound(socket.SOCK_DGRAM, self._outside))
            self._mappings[client] = mapping
            mapping.watch(lambda: self._from_server(mapping, client))
        self._later(mapping, data, self._server)

    def _from_server(self, mapping: _Socket, client: tuple[str, int]) -> None:
        try:
            data, sender = mapping.socket.recvfrom(_MAX_DATAGRAM)
        except OSError:
            return
        if sender == self._server:
            self._later(self._inside, data, client)

    def _later(self, by: _Socket, data: bytes, to: tuple[str, int]) -> None:
        def send() -> None:
            try:
                if not by.closed:
                    by.socket.sendto(data, to)
            except OSError:
                pass  # lost, as on any network

        self._loop.after(self._delay, send)


class _StreamPort:
    """One TCP port inside, whose connections are joined with others to the server."""

    def __init__(
        self, loop: Loop, ends: _Ends, port: int, delay: float, http: Rewriting | None
    ) -> None:
        self._loop, self._outside, self._server = loop, ends.outside, (ends.server, port)
        self._delay, self._http = delay, http
        self._listener = _Socket(loop, _bound(socket.SOCK_STREAM, ends.inside, port))
        self._listener.socket.listen()
        self._listener.watch(self._accept)
        self._joints: set[_Joint] = set()

    def close(self) -> None:
        self._listener.close()
        for joint in list(self._joints):
            joint.close()

    def _accept(self) -> None:
        try:
            client, (address, _) = self._listener.socket.accept()
        except OSError:
            return
        self._joints = {joint for joint in self._joints if not joint.closed}
        if len(self._joints) >= MAX_CONNECTIONS:
            client.close()
            return
        http = HttpRelay(self._http, address) if self._http else None
        server = _bound(socket.SOCK_STREAM, self._outside)
        self._joints.add(_Joint(self._loop, client, server, self._server, self._delay, http))


class _Joint:
    """Two connections that are one.

    The client's side was open at once; what it writes waits as long as a handshake with the server
    takes. Then the SYN has been there and back, and the data goes there.
    """

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        server: socket.socket,
        address: tuple[str, int],
        delay: float,
        http: HttpRelay | None,
    ) -> None:
        self.closed = False
        self._loop, self._delay, self._http = loop, delay, http
        self._client, self._server = _Socket(loop, client), _Socket(loop, server)
        self._not_before = loop.now + 3 * delay
        self._under_way = 0
        self._client.watch(lambda: self._read(self._client))
        self._dialing = loop.after(delay, lambda: self._dial(address))

    def close(self) -> None:
        self.closed = True
        self._dialing.cancel()
        self._client.close()
        self._server.close()

    def _dial(self, address: tuple[str, int]) -> None:
        self._server.socket.setblocking(True)  # loopback answers a connect at once
        try:
            self._server.socket.connect(address)
        except OSError:
            self.close()
            return
        self._server.socket.setblocking(False)
        self._server.watch(lambda: self._read(self._server))

    def _read(self, side: _Socket) -> None:
        try:
            data = side.socket.recv(_MAX_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            side.watch(None)
            self._loop.at(self._arrival(side), self.close)
            return
        self._under_way += len(data)
        if self._under_way > MAX_UNDER_WAY:
            self.close()
            return
        self._loop.at(self._arrival(side), lambda: self._arrive(side, data))

    def _arrival(self, side: _Socket) -> float:
        at = self._loop.now + self._delay
        return max(at, self._not_before) if side is self._client else at

    def _arrive(self, side: _Socket, data: bytes) -> None:
        self._under_way -= len(data)
        http = self._http
        if http is None:
            self._write(self._server if side is self._client else self._client, data)
            return
        (http.from_client if side is self._client else http.from_server)(data)
        to_client, to_server = http.to_client, http.to_server
        http.to_client = http.to_server = b""
        self._write(self._client, to_client)
        self._write(self._server, to_server)
        if http.ended:
            self.close()

    def _write(self, side: _Socket, data: bytes) -> None:
        if not data or side.closed:
            return
        try:
            sent = side.socket.send(data)
        except OSError:
            sent = -1
        if sent < len(data):  # nobody reads there
            self.close()
