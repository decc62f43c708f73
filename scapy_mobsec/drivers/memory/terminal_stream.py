"""Streams of a terminal: what `Open`, `Close` and `Transmit` mean on the network in memory."""

from collections.abc import Callable

from scapy_mobsec.drivers.memory.network import MemoryNetwork
from scapy_mobsec.drivers.memory.tcp_stack import TcpStack
from scapy_mobsec.drivers.memory.tls import TlsClient, TlsServer
from scapy_mobsec.drivers.stream_layers import Stream, StreamUser, ThroughProxy
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.driving import Closed, Established, Input, Open, Refused

Receive = Callable[[Input, Path], None]


class TerminalStreams:
    """All streams of one terminal; `receive` is told what happens on them."""

    def __init__(self, network: MemoryNetwork, receive: Receive) -> None:
        self.open: dict[Path, Stream] = {}
        self.pending: dict[Path, Stream] = {}
        self._network, self._receive = network, receive
        self._certificates: dict[int, bytes] = {}

    def listen(self, port: int, certificate: bytes = b"") -> None:
        """Accept streams on a port, inside TLS if there is a certificate."""
        self._certificates[port] = certificate

    def accept(self, local: Endpoint, remote: Endpoint) -> StreamUser | None:
        """Return the user of a connection that somebody begins, None if no port is open."""
        certificate = self._certificates.get(local.port)
        if certificate is None:
            return None
        encapsulation = Encapsulation.TLS if certificate else Encapsulation.TCP
        user = _User(self, self._receive, Path(encapsulation, local, remote))
        return TlsServer(user, self._network, certificate) if certificate else user

    def connect(self, wanted: Open, tcp: TcpStack) -> None:
        """Begin a stream. Raises ValueError if the local endpoint is in use."""
        path = wanted.path
        terminal = _User(self, self._receive, path, wanted=path)
        user: StreamUser = terminal
        if wanted.tls:
            user = TlsClient(user, self._network, wanted.server_name)
        if wanted.target:
            user = terminal.tunnel = ThroughProxy(user, wanted.target)
        self.pending[path] = tcp.connect(path.local, path.remote, user)

    def write(self, path: Path, data: bytes) -> None:
        """Write to a stream; what is for one that has ended is lost."""
        stream = self.open.get(path)
        if stream:
            stream.write(data)

    def close(self, path: Path) -> None:
        """Close a stream, or give up opening it; the terminal hears no more of it."""
        stream = self.open.pop(path, None)
        if stream:
            stream.close()
        elif path in self.pending:
            self.pending.pop(path).abort()

    def forget(self, address: bytes) -> None:
        """Forget the streams of an address that is gone."""
        for streams in (self.open, self.pending):
            for path in [path for path in streams if path.local.address == address]:
                del streams[path]


class _User:
    """One stream of a terminal."""

    def __init__(
        self, streams: TerminalStreams, receive: Receive, path: Path, wanted: Path | None = None
    ) -> None:
        self._streams, self._receive = streams, receive
        self._path, self._wanted = path, wanted
        self.tunnel: ThroughProxy | None = None

    def established(self, stream: Stream) -> None:
        self._path = self._path._replace(local=stream.local)
        if self._wanted:
            self._streams.pending.pop(self._wanted, None)
        self._streams.open[self._path] = stream
        answer = self.tunnel.answer if self.tunnel else None
        self._receive(Established(self._wanted, stream.headers, answer), self._path)

    def received(self, data: bytes) -> None:
        if self._path in self._streams.open:
            self._receive(data, self._path)

    def closed(self, reason: str) -> None:
        if self._streams.open.pop(self._path, None):
            self._receive(Closed(reason), self._path)
        elif self._wanted and self._streams.pending.pop(self._wanted, None):
            refused = self.tunnel and self.tunnel.refused
            self._receive(Refused(reason) if refused else Closed(reason), self._wanted)
