"""The carriers of streams: which codec for which encapsulation, and by the first octets.

A terminal takes a carrier for each stream it opens or accepts, and deals with StreamCarrier alone.
What a stream may begin with tells the encapsulation, so that one port serves all of them.
"""

from collections.abc import Callable

from contrib_layers.numbers import NATT_PORT, POST_PATH, STREAM_PREFIX
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.carrier import Carried, Channel, StreamCarrier, Violation
from scapy_mobsec.encap.http import BASE, HttpClient, HttpServer, target_path
from scapy_mobsec.encap.http_message import authority_of
from scapy_mobsec.encap.http_post import (
    Channels,
    HttpPostClient,
    HttpPostReader,
    HttpPostServer,
)
from scapy_mobsec.encap.tcp import TcpCarrier
from scapy_mobsec.packet.path import Encapsulation, Endpoint, address_text

__all__ = [
    "Carried",
    "StreamCarrier",
    "Violation",
    "client_carrier",
    "detect",
    "reading_carrier",
    "server_carrier",
]

_BEGINNINGS = {
    STREAM_PREFIX: Encapsulation.TCP,
    b"GET ": Encapsulation.HTTP,
    b"POST ": Encapsulation.HTTP_POST,
}


def client_carrier(
    encapsulation: Encapsulation,
    remote: Endpoint,
    *,
    host: str = "",
    path: str = "",
    tls: bool = False,
    target_port: int = NATT_PORT,
    channel: Channel | None = None,
) -> StreamCarrier:
    """Return the originator's carrier of a stream to `remote`, as dialed.

    `host` and `path` as in an encapsulation item: the name for Host ("": the address), the path
    before the target ("": the well-known one). `channel`: that a second connection is for.
    Raises Drop(UNKNOWN_CARRIER, MALFORMED_HTTP).
    """
    if encapsulation in (Encapsulation.TCP, Encapsulation.TLS):
        return TcpCarrier(originator=True)
    if encapsulation is Encapsulation.HTTP:
        target = target_path(host or address_text(remote.address), target_port, path or BASE)
        return HttpClient(authority_of(host, remote, tls=tls), target)
    if encapsulation is Encapsulation.HTTP_POST:
        authority = authority_of(host, remote, tls=tls)
        return HttpPostClient(authority, path or POST_PATH, channel)
    raise Drop(DropReason.UNKNOWN_CARRIER, encapsulation.value)


def server_carrier(
    encapsulation: Encapsulation | None = None,
    *,
    is_own: Callable[[str, int], bool],
    channels: Channels | None = None,
    path: str = "",
) -> StreamCarrier:
    """Return the responder's carrier; without encapsulation it shows with the first octets.

    `is_own(host, port)` tells whether an HTTP target is this terminal itself; without `channels`
    there is no http-post. Inside TLS, tcp is tls. Raises Drop(UNKNOWN_CARRIER).
    """
    if encapsulation is None:
        return _Detecting(
            lambda found: server_carrier(found, is_own=is_own, channels=channels, path=path)
        )
    if encapsulation in (Encapsulation.TCP, Encapsulation.TLS):
        return TcpCarrier(originator=False)
    if encapsulation is Encapsulation.HTTP:
        return HttpServer(is_own, path or BASE)
    if encapsulation is Encapsulation.HTTP_POST and channels:
        return HttpPostServer(channels, path or POST_PATH)
    raise Drop(DropReason.UNKNOWN_CARRIER, encapsulation.value)


def reading_carrier(
    encapsulation: Encapsulation | None, *, from_client: bool, path: str = ""
) -> StreamCarrier:
    """Return what reads one way of a stream that others speak on; it writes nothing.

    Without encapsulation it shows with the first octets of the client. `path`: before the target of
    HTTP. Its `headers` are those of the client's way, `answer_headers` those of the other one.
    Raises Drop(UNKNOWN_CARRIER).
    """
    if encapsulation is None:
        return _Detecting(lambda found: reading_carrier(found, from_client=True, path=path))
    if encapsulation in (Encapsulation.TCP, Encapsulation.TLS):
        return TcpCarrier(originator=not from_client)
    if encapsulation is Encapsulation.HTTP_POST:
        return HttpPostReader(from_client=from_client)
    if encapsulation is not Encapsulation.HTTP:
        raise Drop(DropReason.UNKNOWN_CARRIER, encapsulation.value)
    if from_client:
        return HttpServer(lambda host, port: True, path or BASE)
    client = HttpClient("reader", "/")
    client.start()
    return client


def detect(data: bytes) -> Encapsulation | None:
    """Tell the encapsulation from the first octets of a stream, None while they do not show it.

    Raises Drop(WRONG_PREFIX) if they show that it is none.
    """
    for beginning, encapsulation in _BEGINNINGS.items():
        if data.startswith(beginning):
            return encapsulation
    if any(beginning.startswith(data) for beginning in _BEGINNINGS):
        return None
    raise Drop(DropReason.WRONG_PREFIX)


class _Detecting(StreamCarrier):
    """Becomes, in effect, the carrier that the first octets ask for."""

    def __init__(self, make: Callable[[Encapsulation], StreamCarrier]) -> None:
        self._make = make
        self._first = b""
        self._carrier: StreamCarrier | None = None

    def wrap(self, content: udp.Content, message: bytes = b"") -> bytes:
        if self._carrier is None:
            raise Drop(DropReason.UNKNOWN_CARRIER, "the stream has not begun")
        return self._carrier.wrap(content, message)

    def take_output(self) -> bytes:
        return self._carrier.take_output() if self._carrier else b""

    def settle(self) -> bytes:
        octets = self._carrier.settle() if self._carrier else b""
        self._follow()
        return octets

    def release(self) -> bytes:
        octets = self._carrier.release() if self._carrier else b""
        self._follow()
        return octets

    def _receive(self, data: bytes, carried: list[Carried]) -> None:
        if self._carrier is None:
            self._first += data
            self.encapsulation = detect(self._first)
            if self.encapsulation is None:
                return
            self._carrier = self._make(self.encapsulation)
            data, self._first = self._first, b""
        try:
            carried += self._carrier.receive(data)
        except Violation as violation:
            carried += violation.carried
            raise
        finally:
            self._follow()

    def _follow(self) -> None:
        if self._carrier:
            self.ready, self.waits = self._carrier.ready, self._carrier.waits
            self.channel = self._carrier.channel
            self.headers = self._carrier.headers
            self.answer_headers = self._carrier.answer_headers
