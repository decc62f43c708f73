"""The `http` carrier: HTTP/1.1 Upgrade to connect-udp (RFC 9298), then capsules (RFC 9297).

    GET {base}/{host}/{port}/   Upgrade: connect-udp   ->   101   ->   capsules both ways

The other terminal is the proxy of RFC 9298 and its only target: whoever asks for another gets 403.
Whatever else an answer says, the client takes it as a refusal and tells the status.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import quote, unquote

import h11

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.capsule import measure_capsule, unwrap_capsule, wrap_capsule
from scapy_mobsec.encap.carrier import Carried, Cutter, StreamCarrier
from scapy_mobsec.encap.http_message import (
    MAX_DETAIL,
    HttpConnection,
    answer_header,
    check_request,
    refused,
    request_header,
    tokens,
)
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import HttpHeader

BASE = "/.well-known/masque/udp"
"""Path before host and port (RFC 9298 section 3.1)."""

PROTOCOL = "connect-udp"
_UPGRADE = [("Connection", "Upgrade"), ("Upgrade", PROTOCOL), ("Capsule-Protocol", "?1")]
_SWITCHING = 101


def target_path(host: str, port: int, base: str = BASE) -> str:
    """Return the path that names a target; the colons of IPv6 are percent-encoded."""
    return f"{base}/{quote(host, safe='')}/{port}/"


def parse_target(path: str, base: str = BASE) -> tuple[str, int] | None:
    """Return host (an address in its usual text form, or a name in lower case) and port."""
    match = re.fullmatch(re.escape(base) + r"/([^/?#]+)/([0-9]{1,5})/", path)
    if not match or not 0 < int(match[2]) < 0x10000:
        return None
    host = unquote(match[1])
    try:
        return str(ip_address(host)), int(match[2])
    except ValueError:
        return host.lower(), int(match[2])


class _Capsules(StreamCarrier):
    """What both sides do after the 101; `ready` tells that it was there."""

    encapsulation = Encapsulation.HTTP

    def __init__(self, *, client: bool) -> None:
        self._http = HttpConnection(client=client)
        self._capsules = Cutter(measure_capsule)

    def wrap(self, content: udp.Content, message: bytes = b"") -> bytes:
        """Return the capsule. Raises Drop(MESSAGE_TOO_LONG)."""
        return wrap_capsule(udp.wrap(content, message))

    def _receive(self, data: bytes, carried: list[Carried]) -> None:
        if not self.ready:
            data = self.handshake(data)
        for capsule in self._capsules.cut(data):
            payload = unwrap_capsule(capsule)
            if payload is not None:
                carried.append(Carried.of(payload))

    def handshake(self, data: bytes) -> bytes:
        """Return what followed the handshake, if that is done (`ready`). Raises Drop."""
        raise NotImplementedError


class HttpClient(_Capsules):
    """The side that asks. `authority`: what stands in Host."""

    def __init__(self, authority: str, path: str) -> None:
        """Raises Drop(MALFORMED_HTTP) for what cannot stand in a request."""
        super().__init__(client=True)
        check_request(authority, path)
        self.headers = (HttpHeader("GET", authority, path),)

    def start(self) -> bytes:
        """Return the request."""
        (header,) = self.headers
        assert isinstance(header, HttpHeader)
        headers = [("Host", header.authority), *_UPGRADE]
        request = h11.Request(method="GET", target=header.path, headers=headers)
        return self._http.send(request, h11.EndOfMessage())

    def handshake(self, data: bytes) -> bytes:
        for event in self._http.receive(data):
            if not isinstance(event, h11.InformationalResponse | h11.Response):
                continue
            self.answer_headers = (answer_header(event),)
            if event.status_code == _SWITCHING:
                if tokens(event, b"upgrade") != {PROTOCOL}:
                    raise refused(event, "to another protocol")
                self.ready = True
            elif event.status_code >= 200:
                raise refused(event)
        return self._http.rest if self.ready else b""


class HttpServer(_Capsules):
    """The side that is asked. `is_own(host, port)`: is this target the other terminal itself?"""

    def __init__(self, is_own: Callable[[str, int], bool], base: str = BASE) -> None:
        super().__init__(client=False)
        self._is_own = is_own
        self._base = base
        self._output = b""

    def take_output(self) -> bytes:
        """Return the 101, or the refusal."""
        output, self._output = self._output, b""
        return output

    def handshake(self, data: bytes) -> bytes:
        try:
            for event in self._http.receive(data):
                if isinstance(event, h11.Request):
                    self._receive_request(event)
                elif isinstance(event, h11.EndOfMessage):
                    self._switch()
                elif isinstance(event, h11.Data):
                    self._refuse(400, DropReason.HTTP_UNWANTED, "a body")
        except Drop as drop:
            if drop.reason is DropReason.MALFORMED_HTTP:
                self._output += self._http.refuse(self._http.error_status)
            raise
        return self._http.rest if self.ready else b""

    def _receive_request(self, request: h11.Request) -> None:
        header = request_header(request)
        self.headers = (header,)
        target = parse_target(header.path, self._base)
        if target is None:
            self._refuse(404, DropReason.HTTP_UNWANTED, header.path)
        elif header.method != "GET":
            self._refuse(405, DropReason.HTTP_UNWANTED, header.method)
        elif (
            header.version < 0x11
            or "upgrade" not in tokens(request, b"connection")
            or PROTOCOL not in tokens(request, b"upgrade")
        ):
            self._refuse(426, DropReason.HTTP_UNWANTED, "without Upgrade: connect-udp")
        elif not self._is_own(*target):
            self._refuse(403, DropReason.HTTP_FOREIGN_TARGET, f"{target[0]!r} port {target[1]}")

    def _switch(self) -> None:
        answer = h11.InformationalResponse(status_code=_SWITCHING, headers=_UPGRADE)
        self._output += self._http.send(answer)
        self.answer_headers = (HttpHeader("", "", str(_SWITCHING)),)
        self.ready = True

    def _refuse(self, status: int, reason: DropReason, detail: str) -> None:
        fields = [("Upgrade", PROTOCOL)] if status == 426 else []
        self._output += self._http.refuse(status, fields)
        raise Drop(reason, detail[:MAX_DETAIL])
