"""What an HTTP proxy does to the messages of one connection, on octets alone (h11 both ways).

Heads are rewritten, bodies are passed on as they come; after 101 everything passes untouched.
"""

from dataclasses import dataclass
from enum import Enum

import h11

_HOP_BY_HOP = (b"upgrade", b"connection")


class Upgrade(Enum):
    """What becomes of a request to change the protocol (RFC 9110 section 7.8)."""

    PASS = "passed on"
    STRIP = "taken out of the request"
    REFUSE = "refused"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """host: put in place of Host. via: name for a Via field. forwarded_for: tell the client."""

    host: str = ""
    via: str = ""
    forwarded_for: bool = False
    upgrade: Upgrade = Upgrade.PASS
    refusal: int = 501

    def label(self) -> str:
        """Return what it does, for drawings."""
        words = [f"Host {self.host}"] if self.host else []
        words += [f"Via {self.via}"] if self.via else []
        words += ["X-Forwarded-For"] if self.forwarded_for else []
        if self.upgrade is not Upgrade.PASS:
            words.append(f"Upgrade {self.upgrade.value}")
        return ", ".join(words)


class HttpRelay:
    """The messages of one client, on their way to one server and back.

    Octets wait in `to_client` and `to_server`; `ended`: both connections are to be closed.
    """

    def __init__(self, rewriting: Rewriting, client: str) -> None:
        self.to_client = self.to_server = b""
        self.ended = False
        self._rewriting, self._client = rewriting, client
        self._facing_client = h11.Connection(h11.SERVER)
        self._facing_server = h11.Connection(h11.CLIENT)
        self._switched = False

    def from_client(self, data: bytes) -> None:
        """Take octets of the client."""
        if self._switched:
            self.to_server += data
            return
        try:
            self._facing_client.receive_data(data)
            self._requests()
        except h11.ProtocolError:
            self._answer(400)

    def from_server(self, data: bytes) -> None:
        """Take octets of the server."""
        if self._switched:
            self.to_client += data
            return
        try:
            self._facing_server.receive_data(data)
            self._responses()
        except h11.ProtocolError:
            self._answer(502)

    def server_failed(self) -> None:
        """Tell the client that there is no server."""
        if not self._switched:
            self._answer(502)
        self.ended = True

    def _requests(self) -> None:
        while not self.ended:
            event = self._facing_client.next_event()
            if isinstance(event, h11.Request):
                self._request(event)
            elif isinstance(event, (h11.Data, h11.EndOfMessage)):
                self.to_server += self._facing_server.send(event) or b""
            else:
                return

    def _request(self, request: h11.Request) -> None:
        rewriting = self._rewriting
        headers = list(request.headers.raw_items())
        if any(name.lower() == b"upgrade" for name, _ in headers):
            if rewriting.upgrade is Upgrade.REFUSE:
                self._answer(rewriting.refusal)
                return
            if rewriting.upgrade is Upgrade.STRIP:
                headers = [one for one in headers if one[0].lower() not in _HOP_BY_HOP]
        if rewriting.host:
            headers = [one for one in headers if one[0].lower() != b"host"]
            headers.insert(0, (b"Host", rewriting.host.encode("ascii")))
        if rewriting.via:
            headers.append((b"Via", b"1.1 " + rewriting.via.encode("ascii")))
        if rewriting.forwarded_for:
            headers.append((b"X-Forwarded-For", self._client.encode("ascii")))
        event = h11.Request(method=request.method, target=request.target, headers=headers)
        self.to_server += self._facing_server.send(event) or b""

    def _responses(self) -> None:
        while not self.ended:
            event = self._facing_server.next_event()
            if not isinstance(
                event, (h11.InformationalResponse, h11.Response, h11.Data, h11.EndOfMessage)
            ):
                return
            self.to_client += self._facing_client.send(event) or b""
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                self._switched = True
                self.to_client += self._facing_server.trailing_data[0]
                self.to_server += self._facing_client.trailing_data[0]
                return
            if isinstance(event, h11.EndOfMessage):
                self._next_cycle()

    def _next_cycle(self) -> None:
        sides = (self._facing_client, self._facing_server)
        if all(side.our_state is side.their_state is h11.DONE for side in sides):
            for side in sides:
                side.start_next_cycle()
            self._requests()
        else:
            self.ended = True

    def _answer(self, status: int) -> None:
        """Answer in place of the server, and end."""
        self.ended = True
        self.to_client += (
            f"HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
