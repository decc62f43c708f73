"""What TCP, TLS and the tunnel through a forward proxy have in common: streams in layers.

A stream tells its user when it is there, what came, and when it has ended; it is written to from
the beginning (what is written early waits). A layer is the user of the stream below it and a stream
for the user above.
"""

from typing import Protocol

from scapy_mobsec.drops import Drop
from scapy_mobsec.encap.connect import ConnectClient
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import (
    Description,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
)


class Stream(Protocol):
    """An ordered connection; `headers` describes it as this side wrote it, or as it arrived."""

    @property
    def local(self) -> Endpoint: ...

    @property
    def remote(self) -> Endpoint: ...

    @property
    def headers(self) -> Description: ...

    def write(self, data: bytes) -> None:
        """Send octets, after all earlier ones."""

    def close(self) -> None:
        """Send what was written, and then the end."""

    def abort(self) -> None:
        """End it at once (RST)."""


class StreamUser(Protocol):
    """Who uses a stream."""

    def established(self, stream: Stream) -> None:
        """The stream can be used: its handshakes are done."""

    def received(self, data: bytes) -> None:
        """The next octets."""

    def closed(self, reason: str) -> None:
        """The stream has ended; called once, also for one that was never established."""


class Layer:
    """One protocol between a stream and its user; as it is here it changes nothing."""

    def __init__(self, above: StreamUser) -> None:
        self._above = above
        self._early: list[bytes] = []
        self.below: Stream | None = None
        self.is_open = False

    @property
    def local(self) -> Endpoint:
        return self._lower.local

    @property
    def remote(self) -> Endpoint:
        return self._lower.remote

    @property
    def headers(self) -> Description:
        return self._lower.headers

    # the stream for the user above

    def write(self, data: bytes) -> None:
        if self.is_open:
            self._lower.write(self.encode(data))
        else:
            self._early.append(data)

    def close(self) -> None:
        if self.below:
            self.below.close()

    def abort(self) -> None:
        if self.below:
            self.below.abort()

    # the user of the stream below

    def established(self, stream: Stream) -> None:
        self.below = stream
        self.open()

    def received(self, data: bytes) -> None:
        self._above.received(data)

    def closed(self, reason: str) -> None:
        self._above.closed(reason)

    # for the protocols

    def encode(self, data: bytes) -> bytes:
        """Return the octets that carry what the user wrote."""
        return data

    def open(self) -> None:
        """Let the user know that the stream is there, and send what waited for that."""
        self.is_open = True
        early, self._early = self._early, []
        for data in early:
            self.write(data)
        self._above.established(self)

    def fail(self, reason: str) -> None:
        """End the stream because the other side does not speak this protocol."""
        self._lower.abort()
        self._above.closed(reason)

    @property
    def _lower(self) -> Stream:
        if self.below is None:
            raise RuntimeError("the stream is not established")
        return self.below


class ThroughProxy(Layer):
    """A client's tunnel through a forward proxy; one HTTP descriptor of its own describes it.

    `refused`: the proxy makes none. `answer`: what it said, None before that.
    """

    def __init__(self, above: StreamUser, target: str) -> None:
        """`target`: host and port. Raises Drop if it cannot stand in a request."""
        super().__init__(above)
        self.refused = False
        self._http = ConnectClient(target)

    @property
    def headers(self) -> Description:
        return (*self._lower.headers, self._http.header)

    @property
    def answer(self) -> HttpHeader | None:
        return self._http.seen

    def open(self) -> None:
        self._lower.write(self._http.start())

    def received(self, data: bytes) -> None:
        if self.is_open:
            super().received(data)
            return
        try:
            behind = self._http.receive(data)
        except Drop as drop:
            self.refused = True
            self.fail(str(drop))
            return
        if self._http.ready:
            super().open()
            if behind:
                super().received(behind)


def ip_tcp_headers(source: Endpoint, destination: Endpoint) -> Description:
    """Describe IP and TCP header of a segment."""
    ip = Ipv4Header if len(source.address) == 4 else Ipv6Header
    ports = TcpHeader(source.port, destination.port)
    return (ip(source.address, destination.address), ports)
