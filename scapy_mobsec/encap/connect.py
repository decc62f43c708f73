"""A tunnel through a forward proxy: CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6), before any TLS.

    CONNECT {host}:{port}   ->   any 2xx   ->   octets both ways

This is no carrier: what goes through the tunnel is a stream like any other. Any other answer is a
refusal, after which the connection is to be closed; no credentials are offered, so 407 is one too.
A length in the answer of 2xx is ignored, as the section demands.
"""

import h11

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.http_message import (
    MAX_DETAIL,
    MAX_HEADERS,
    HttpConnection,
    answer_header,
    check_request,
    connect_header,
    malformed,
    refused,
)
from scapy_mobsec.registration.description import HttpHeader


class _Tunnel:
    """One end of a connection with a proxy.

    ready: the other end has done its part, and what it writes now is for the tunnel. seen: its
    request or answer, None before that.
    """

    ready = False
    seen: HttpHeader | None = None

    def __init__(self, *, client: bool) -> None:
        self._http = HttpConnection(client=client)
        self._octets = 0

    def receive(self, data: bytes) -> bytes:
        """Return what came through the tunnel, b"" until then. Raises Drop."""
        if self.ready:
            return data
        self._octets += len(data)
        for event in self._http.receive(data):
            self._take(event)
        if self.ready:
            return self._http.rest
        if self._octets > MAX_HEADERS:
            raise malformed("no end of what comes before a tunnel")
        return b""

    def _take(self, event: h11.Event) -> None:
        """Take an event of h11. Raises Drop."""
        raise NotImplementedError


class ConnectClient(_Tunnel):
    """The side that asks for a tunnel. `header`: the request, as written."""

    def __init__(self, authority: str) -> None:
        """`authority`: host and port. Raises Drop(MALFORMED_HTTP) if they cannot stand in it."""
        super().__init__(client=True)
        check_request(authority, authority)
        self.header = HttpHeader("CONNECT", authority, "")

    def start(self) -> bytes:
        """Return the request."""
        target = self.header.authority
        request = h11.Request(method="CONNECT", target=target, headers=[("Host", target)])
        return self._http.send(request, h11.EndOfMessage())

    def _take(self, event: h11.Event) -> None:
        if isinstance(event, h11.Response):
            self.seen = answer_header(event)
            if not 200 <= event.status_code < 300:
                raise refused(event)
            self.ready = True


class ConnectServer(_Tunnel):
    """The side of the proxy, up to the tunnel. `ready`: it has to `accept` or `refuse` now."""

    def __init__(self) -> None:
        super().__init__(client=False)

    def accept(self) -> bytes:
        """Return the answer that makes the tunnel."""
        return self._http.send(h11.Response(status_code=200, headers=[]))

    def refuse(self, status: int) -> bytes:
        """Return the answer that refuses it; the connection is to be closed then."""
        return self._http.refuse(status)

    def _take(self, event: h11.Event) -> None:
        if isinstance(event, h11.Request):
            if event.method != b"CONNECT":
                method = event.method.decode("ascii")
                raise Drop(DropReason.HTTP_UNWANTED, method[:MAX_DETAIL])
            self.seen = connect_header(event)
            self.ready = True
