"""Proxies: they end a connection and make another. As hosts (forward, reverse), and on the way.

`ForwardProxy` is dialed and told where to go (CONNECT). `ReverseProxy` stands for a server.
`Interceptor` stands in a chain, where nobody has asked for it: for HTTP, or for TLS with a
certificate of its own.
"""

from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_address

from scapy_mobsec.drivers.memory.http_relay import HttpRelay, Rewriting
from scapy_mobsec.drivers.memory.network import Direction, MemoryNetwork, PlacedElement, Segment
from scapy_mobsec.drivers.memory.packet import Packet
from scapy_mobsec.drivers.memory.tcp_stack import TcpStack
from scapy_mobsec.drivers.memory.tls import TlsClient, TlsServer
from scapy_mobsec.drivers.stream_layers import Layer, Stream, StreamUser
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.connect import ConnectServer
from scapy_mobsec.packet.ip import TCP
from scapy_mobsec.packet.path import Endpoint, address_text

Dial = Callable[[StreamUser, Stream], Stream]


class Relay:
    """Joins two streams: `client_side` is the user of the one that came, the other is dialed.

    dial(user, client) begins the stream to the server when the client's is established.
    """

    def __init__(self, dial: Dial, http: HttpRelay | None = None) -> None:
        self.client_side, self._server_side = _Side(self), _Side(self)
        self._dial, self._http = dial, http

    def established(self, side: "_Side") -> None:
        """One of the streams can be used."""
        if side is self.client_side and side.stream:
            self._server_side.early = self._dial(self._server_side, side.stream)

    def received(self, side: "_Side", data: bytes) -> None:
        """Octets of one stream go to the other."""
        from_client = side is self.client_side
        if self._http is None:
            (self._server_side if from_client else self.client_side).write(data)
            return
        (self._http.from_client if from_client else self._http.from_server)(data)
        self._flush(self._http)

    def closed(self, side: "_Side", reason: str) -> None:
        """One stream ended; so does the other."""
        other = self._server_side if side is self.client_side else self.client_side
        if self._http and other is self.client_side and side.stream is None:
            self._http.server_failed()
            self._flush(self._http)
        elif reason.startswith("closed"):
            other.close()
        else:
            other.abort()

    def _flush(self, http: HttpRelay) -> None:
        to_client, to_server = http.to_client, http.to_server
        http.to_client = http.to_server = b""
        if to_client:
            self.client_side.write(to_client)
        if to_server:
            self._server_side.write(to_server)
        if http.ended:
            self.client_side.close()
            self._server_side.close()


class _Side:
    """The user of one of the two streams; `early` is to be written to before it is established."""

    def __init__(self, relay: Relay) -> None:
        self.stream: Stream | None = None
        self.early: Stream | None = None
        self._relay = relay
        self._closing = False

    def write(self, data: bytes) -> None:
        stream = self.stream or self.early
        if stream:
            stream.write(data)

    def close(self) -> None:
        self._closing = True
        if self.stream:
            self.stream.close()

    def abort(self) -> None:
        self._closing = True
        if self.stream:
            self.stream.abort()

    def established(self, stream: Stream) -> None:
        self.stream = stream
        if self._closing:
            stream.close()
        else:
            self._relay.established(self)

    def received(self, data: bytes) -> None:
        if not self._closing:
            self._relay.received(self, data)

    def closed(self, reason: str) -> None:
        if not self._closing:
            self._closing = True
            self._relay.closed(self, reason)


class ReverseProxy:
    """A host that stands for a server: ends TLS if it has a certificate, rewrites HTTP if told."""

    def __init__(
        self,
        network: MemoryNetwork,
        segment: Segment,
        endpoint: Endpoint,
        backend: Endpoint,
        *,
        certificate: bytes = b"",
        backend_tls: bool = False,
        rewriting: Rewriting | None = None,
        name: str = "reverse proxy",
    ) -> None:
        self._endpoint, self._backend = endpoint, backend
        self._certificate, self._backend_tls = certificate, backend_tls
        self._rewriting = rewriting
        self._tcp = TcpStack(network, segment.send, self._accept)
        segment.attach(endpoint.address, self._tcp.receive, name)

    def _accept(self, local: Endpoint, remote: Endpoint) -> StreamUser | None:
        if local != self._endpoint:
            return None
        relay = Relay(self._dial, _http(self._rewriting, remote))
        side = relay.client_side
        if not self._certificate:
            return side
        return TlsServer(side, self._tcp.network, self._certificate)

    def _dial(self, user: StreamUser, client: Stream) -> Stream:
        local = Endpoint(self._endpoint.address)
        tls = TlsClient(user, self._tcp.network) if self._backend_tls else None
        connection = self._tcp.connect(local, self._backend, tls or user)
        return tls or connection


class ForwardProxy:
    """A host that makes tunnels to where its clients say (CONNECT, RFC 9110 section 9.3.6).

    ports: to which it does; others are refused, with the status `refusal`. Only addresses are
    understood, no names.
    """

    def __init__(
        self,
        network: MemoryNetwork,
        segment: Segment,
        endpoint: Endpoint,
        *,
        ports: Collection[int] = (443,),
        refusal: int = 403,
        name: str = "forward proxy",
    ) -> None:
        self._endpoint, self._ports, self._refusal = endpoint, ports, refusal
        self._tcp = TcpStack(network, segment.send, self._accept)
        segment.attach(endpoint.address, self._tcp.receive, name)

    def _accept(self, local: Endpoint, remote: Endpoint) -> StreamUser | None:
        return _Tunnel(self._connect) if local == self._endpoint else None

    def _connect(self, authority: str, user: StreamUser) -> int:
        """Begin the connection; return the status of a refusal, or 0."""
        host, _, port = authority.rpartition(":")
        try:
            target = Endpoint.of(host.strip("[]"), int(port))
        except ValueError:
            return 502
        if target.port not in self._ports:
            return self._refusal
        self._tcp.connect(Endpoint(self._endpoint.address), target, user)
        return 0


class _Tunnel(Layer):
    """The stream of one client of a forward proxy: first its request, then a tunnel."""

    def __init__(self, connect: Callable[[str, StreamUser], int]) -> None:
        self._relay = Relay(self._dial)
        super().__init__(self._relay.client_side)
        self._connect = connect
        self._http = ConnectServer()
        self._behind = b""

    def open(self) -> None:
        """Wait for the request."""

    def received(self, data: bytes) -> None:
        if self.is_open:
            super().received(data)
            return
        asked = self._http.ready
        try:
            self._behind += self._http.receive(data)
        except Drop as drop:
            self._refuse(405 if drop.reason is DropReason.HTTP_UNWANTED else 400)
            return
        if self._http.seen and not asked:
            status = self._connect(self._http.seen.authority, _Target(self))
            if status:
                self._refuse(status)

    def _dial(self, user: StreamUser, client: Stream) -> Stream:
        target = self._target
        target.user = user
        user.established(target.stream)
        return target.stream

    def reached(self, target: "_Target") -> None:
        """The connection to the target is there."""
        self._target = target
        self._lower.write(self._http.accept())
        super().open()
        if self._behind:
            super().received(self._behind)

    def failed(self) -> None:
        """There is no connection to the target."""
        self._refuse(502)

    def _refuse(self, status: int) -> None:
        self._lower.write(self._http.refuse(status))
        self._lower.close()


class _Target:
    """The user of the connection to the target of a tunnel, until the tunnel is there."""

    def __init__(self, tunnel: _Tunnel) -> None:
        self.user: StreamUser | None = None
        self.stream: Stream
        self._tunnel = tunnel

    def established(self, stream: Stream) -> None:
        self.stream = stream
        self._tunnel.reached(self)

    def received(self, data: bytes) -> None:
        if self.user:
            self.user.received(data)

    def closed(self, reason: str) -> None:
        if self.user:
            self.user.closed(reason)
        else:
            self._tunnel.failed()


class Interceptor(PlacedElement):
    """Ends the connections that go out to some ports and makes its own ones to the same servers.

    certificate: TLS, with this one to the clients. rewriting: HTTP (inside that TLS).
    address: of its own connections; without it they come from the client's endpoint.
    """

    def __init__(
        self,
        ports: Collection[int],
        *,
        certificate: bytes = b"",
        rewriting: Rewriting | None = None,
        address: str = "",
    ) -> None:
        self._ports, self._certificate, self._rewriting = ports, certificate, rewriting
        self._address = ip_address(address).packed if address else None
        self._inside: TcpStack | None = None
        self._outside: TcpStack | None = None

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        inside, outside = self._stacks()
        if packet.protocol != TCP:
            return [(0, packet)]
        if direction is Direction.OUT and packet.destination.port in self._ports:
            inside.receive(packet)
            return []
        if direction is Direction.IN and packet.source.port in self._ports:
            outside.receive(packet)
            return []
        return [(0, packet)]

    def label(self) -> str:
        what = "TLS interceptor" if self._certificate else "intercepting proxy"
        detail = self._rewriting.label() if self._rewriting else ""
        return f"{what} ({detail})" if detail else what

    def _stacks(self) -> tuple[TcpStack, TcpStack]:
        if self._inside is None or self._outside is None:
            emit, network = self.place.emit, self.place.network
            self._inside = TcpStack(network, lambda one: emit(one, Direction.IN), self._accept)
            self._outside = TcpStack(network, lambda one: emit(one, Direction.OUT))
        return self._inside, self._outside

    def _accept(self, local: Endpoint, remote: Endpoint) -> StreamUser:
        relay = Relay(self._dial, _http(self._rewriting, remote))
        side = relay.client_side
        if not self._certificate:
            return side
        return TlsServer(side, self.place.network, self._certificate)

    def _dial(self, user: StreamUser, client: Stream) -> Stream:
        _, outside = self._stacks()
        local = Endpoint(self._address) if self._address else client.remote
        tls = None
        if isinstance(client, TlsServer):
            tls = TlsClient(user, self.place.network, client.server_name)
        connection = outside.connect(local, client.local, tls or user)
        return tls or connection


def _http(rewriting: Rewriting | None, client: Endpoint) -> HttpRelay | None:
    return HttpRelay(rewriting, address_text(client.address)) if rewriting else None
