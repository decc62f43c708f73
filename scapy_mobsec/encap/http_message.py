"""What both HTTP carriers need of HTTP/1.1 (RFC 9112): h11 with named drops, and descriptors.

Syntax is h11's. Here is what a description tells of a request or an answer: an absolute target
(RFC 9112 section 3.2.2) is taken apart, and the headers that only intermediaries write are named.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

import h11

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.path import Endpoint, address_text
from scapy_mobsec.registration.description import MAX_INTERMEDIARIES, HttpHeader

MAX_HEADERS = 16384
"""Octets of a start line and its headers."""

MAX_AUTHORITY = 255
MAX_TARGET = 1024
MAX_DETAIL = 80

_INTERMEDIARIES = {
    name.lower().encode("ascii"): name
    for name in (
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "X-Proxy-ID",
        "X-Cache",
    )
}
_VISIBLE = re.compile(r"[!-~]+")

Answer: TypeAlias = h11.Response | h11.InformationalResponse
Message: TypeAlias = h11.Request | Answer
Fields: TypeAlias = list[tuple[str, str]]


class HttpConnection:
    """One side of an HTTP/1.1 connection: h11, bounded, its errors as drops.

    error_status: what a server answers to what is malformed.
    """

    error_status = 400

    def __init__(self, *, client: bool) -> None:
        role = h11.CLIENT if client else h11.SERVER
        self._h11 = h11.Connection(role, max_incomplete_event_size=MAX_HEADERS)

    def receive(self, data: bytes) -> Iterator[h11.Event]:
        """Yield what is whole now. Raises Drop(MALFORMED_HTTP)."""
        if data:
            self._h11.receive_data(data)
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self.error_status = error.error_status_hint
                raise malformed(str(error)) from error
            if not isinstance(event, h11.Event):
                return
            if isinstance(event, Message) and _size(event) > MAX_HEADERS:
                self.error_status = 431
                raise malformed("headers too long")
            yield event

    def send(self, *events: h11.Event) -> bytes:
        """Return the octets of messages written by this side."""
        return b"".join(self._h11.send(event) or b"" for event in events)

    @property
    def rest(self) -> bytes:
        """What came behind the message that was received last."""
        return self._h11.trailing_data[0]

    def next_cycle(self) -> bool:
        """Go on with the next request and answer; False if the connection must close."""
        try:
            self._h11.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return True

    def refuse(self, status: int, fields: Fields | None = None) -> bytes:
        """Return a server's refusal, which ends the connection; b"" if it already answers."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        headers = [*(fields or ()), ("Content-Length", "0"), ("Connection", "close")]
        return self.send(h11.Response(status_code=status, headers=headers), h11.EndOfMessage())


def malformed(detail: str) -> Drop:
    """Return the Drop of HTTP that is not as it should be."""
    return Drop(DropReason.MALFORMED_HTTP, detail[:MAX_DETAIL])


def refused(message: Answer, why: str = "") -> Drop:
    """Return the Drop of an answer that is none of ours; the detail begins with its status."""
    return Drop(DropReason.HTTP_REFUSED, f"{message.status_code} {why}".rstrip())


def tokens(message: Message, name: bytes) -> set[str]:
    """Return the elements of a comma-separated header, in lower case."""
    values = b",".join(value for key, value in message.headers if key == name)
    return {each.strip().lower() for each in values.decode("latin-1").split(",")} - {""}


def request_header(request: h11.Request) -> HttpHeader:
    """Return the descriptor of a request as it arrived. Raises Drop(MALFORMED_HTTP)."""
    target = request.target.decode("ascii")
    authority = b"".join(value for key, value in request.headers if key == b"host")
    host = authority.decode("latin-1")
    if match := re.fullmatch(r"(?i:https?)://([^/]*)(/.*)", target):
        host, target = match.groups()
    method = request.method.decode("ascii")
    check_request(host, target)
    return HttpHeader(method, host, target, _intermediaries(request), _version(request))


def connect_header(request: h11.Request) -> HttpHeader:
    """Return the descriptor of a CONNECT as it arrived. Raises Drop(MALFORMED_HTTP)."""
    authority = request.target.decode("ascii")
    check_request(authority, authority)
    return HttpHeader("CONNECT", authority, "", _intermediaries(request), _version(request))


def answer_header(answer: Answer) -> HttpHeader:
    """Return the descriptor of an answer as it arrived."""
    path, names = str(answer.status_code), _intermediaries(answer)
    return HttpHeader("", "", path, names, _version(answer))


def check_request(authority: str, target: str) -> None:
    """Raise Drop(MALFORMED_HTTP) for what cannot stand in a request or in its descriptor."""
    for text, limit in ((authority, MAX_AUTHORITY), (target, MAX_TARGET)):
        if not _VISIBLE.fullmatch(text) or len(text) > limit:
            raise malformed(f"authority or target of {len(text)} octets: {text!r}")


def authority_of(host: str, remote: Endpoint, *, tls: bool) -> str:
    """Return what a client names in Host: a name, else the address as dialed, and the port."""
    authority = connect_authority(host, remote)
    name, _, port = authority.rpartition(":")
    return name if int(port) == (443 if tls else 80) else authority


def connect_authority(host: str, remote: Endpoint) -> str:
    """Return where a tunnel is to lead: a name, else the address, and always the port."""
    name = host or address_text(remote.address)
    return f"[{name}]:{remote.port}" if ":" in name else f"{name}:{remote.port}"


def _size(message: Message) -> int:
    # h11 limits only what is not yet whole.
    line = len(message.method) + len(message.target) if isinstance(message, h11.Request) else 0
    return line + sum(len(key) + len(value) + 4 for key, value in message.headers)


def _version(message: Message) -> int:
    major, _, minor = message.http_version.partition(b".")
    return int(major) << 4 | int(minor)


def _intermediaries(message: Message) -> tuple[str, ...]:
    names = [_INTERMEDIARIES[key] for key, _ in message.headers if key in _INTERMEDIARIES]
    return tuple(dict.fromkeys(names))[:MAX_INTERMEDIARIES]
