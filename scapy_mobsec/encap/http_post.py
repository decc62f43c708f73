"""The `http-post` carrier, our own: frames in the bodies of POST and of its answers.

For proxies that refuse Upgrade. Two connections make a channel, named by 128 random bits:

    first   POST {path}  frames          ->  200  Channel: {32 hex digits}  frames, if there are any
    second  POST {path}  Channel: {...}  ->  200  frames: once there are any, or none after 25 s

The frames are those of RFC 9329 section 3, whole in each body. A request follows the answer to the
one before. The channel lasts as long as both connections; of an id there is one second connection.
"""

from collections.abc import Callable
from dataclasses import dataclass

import h11

from contrib_layers.numbers import POST_PATH
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.carrier import Carried, Channel, Cutter, StreamCarrier
from scapy_mobsec.encap.http_message import (
    MAX_DETAIL,
    Fields,
    HttpConnection,
    Message,
    answer_header,
    check_request,
    malformed,
    refused,
    request_header,
)
from scapy_mobsec.encap.tcp import measure_frame, wrap_frame
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import HttpHeader

ID_LENGTH = 16
MAX_BODY = 262_144
ANSWER_WITHIN = 25.0
"""Seconds in which a waiting request is answered."""

_CHANNEL = "Channel"
_OK = 200


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of a terminal that is asked.

    `new_id`: makes the id of one. `find`: returns the one that a second connection asks for, None
    if it must not have it.
    """

    new_id: Callable[[], bytes]
    find: Callable[[bytes], Channel | None]


class _Bodies(StreamCarrier):
    """What both sides do with bodies."""

    encapsulation = Encapsulation.HTTP_POST

    def __init__(self, *, client: bool) -> None:
        self._http = HttpConnection(client=client)
        self._body = bytearray()
        self._asked = False
        """A request is not answered yet."""

    def _add(self, data: bytes) -> None:
        if len(self._body) + len(data) > MAX_BODY:
            raise malformed(f"a body of more than {MAX_BODY} octets")
        self._body += data

    def _take_frames(self, carried: list[Carried], *, alone: bool = True) -> None:
        """Take the body, which is whole; nothing may follow if it is `alone`. Raises Drop."""
        body, frames = bytes(self._body), Cutter(measure_frame)
        self._body.clear()
        for frame in frames.cut(body):
            if len(frame) > 2:
                carried.append(Carried.of(frame[2:]))
        if frames.held:
            raise Drop(DropReason.TRUNCATED, "the last frame of a body")
        if alone and self._http.rest:
            raise malformed("more than one message at once")


class HttpPostClient(_Bodies):
    """The side that asks. `channel`: that the second connection is for."""

    channel: Channel

    def __init__(self, authority: str, path: str, channel: Channel | None = None) -> None:
        """Raises Drop(MALFORMED_HTTP) for what cannot stand in a request."""
        super().__init__(client=True)
        check_request(authority, path)
        self._header = HttpHeader("POST", authority, path)
        self.headers = (self._header,)
        self.channel = channel or Channel()
        self._waiting = channel is not None
        self.ready = not self._waiting

    def start(self) -> bytes:
        """Return the first request of a second connection."""
        return self.settle()

    def wrap(self, content: udp.Content, message: bytes = b"") -> bytes:
        """Let the frame wait for `settle`. Raises Drop(MESSAGE_TOO_LONG, QUEUE_FULL)."""
        self.channel.hold(wrap_frame(content, message))
        return b""

    @property
    def busy(self) -> bool:
        return self._asked

    def settle(self) -> bytes:
        """Return the next request, unless the one before is not answered."""
        if self._asked or self._failure or not (self._waiting or self.channel.held):
            return b""
        self._asked = True
        body = b"" if self._waiting else b"".join(self.channel.take())
        fields = [("Host", self._header.authority), *_fields(body, self.channel)]
        request = h11.Request(method="POST", target=self._header.path, headers=fields)
        return self._http.send(request, h11.Data(data=body), h11.EndOfMessage())

    def _receive(self, data: bytes, carried: list[Carried]) -> None:
        if data and not self._asked:
            raise malformed("an answer to no request")
        for event in self._http.receive(data):
            if isinstance(event, h11.Response):
                self._receive_answer(event)
            elif isinstance(event, h11.Data):
                self._add(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._take_frames(carried)
                if not self._http.next_cycle():
                    raise Drop(DropReason.HTTP_REFUSED, f"{_OK} and the connection closed")
                self._asked = False
                return

    def _receive_answer(self, answer: h11.Response) -> None:
        self.answer_headers = (answer_header(answer),)
        if answer.status_code != _OK:
            raise refused(answer)
        named = _channel_id(answer)
        if not named or named != (self.channel.id or named):
            raise refused(answer, "without its channel")
        self.channel.id = named


class HttpPostServer(_Bodies):
    """The side that is asked."""

    def __init__(self, channels: Channels, path: str = POST_PATH) -> None:
        super().__init__(client=False)
        self._channels, self._path = channels, path
        self._second = False
        self._output = b""

    def wrap(self, content: udp.Content, message: bytes = b"") -> bytes:
        """Let the frame wait for `settle`. Raises Drop(MESSAGE_TOO_LONG, QUEUE_FULL)."""
        if self.channel is None:
            raise Drop(DropReason.UNKNOWN_STREAM, "no channel")
        self.channel.hold(wrap_frame(content, message))
        return b""

    def take_output(self) -> bytes:
        """Return a refusal."""
        output, self._output = self._output, b""
        return output

    def settle(self) -> bytes:
        """Return the answer, unless the request is to wait for frames."""
        if not self._asked or self._failure or self.channel is None:
            return b""
        self.waits = self._second and not self.channel.held
        return b"" if self.waits else self._answer(self.channel)

    def release(self) -> bytes:
        """Return the answer to a request that waits."""
        return self._answer(self.channel) if self.waits and self.channel else b""

    def _answer(self, channel: Channel) -> bytes:
        self.waits = self._asked = False
        body = b"".join(channel.take())
        answer = h11.Response(status_code=_OK, headers=_fields(body, channel))
        octets = self._http.send(answer, h11.Data(data=body), h11.EndOfMessage())
        self._http.next_cycle()
        return octets

    def _receive(self, data: bytes, carried: list[Carried]) -> None:
        if data and self._asked:
            raise Drop(DropReason.HTTP_UNWANTED, "a request before the answer to the last one")
        try:
            for event in self._http.receive(data):
                if isinstance(event, h11.Request):
                    self._receive_request(event)
                elif isinstance(event, h11.Data):
                    self._receive_data(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._take_frames(carried)
                    self._asked = self.ready = True
                    return
        except Drop as drop:
            if drop.reason is not DropReason.HTTP_UNWANTED:
                self._output += self._http.refuse(self._http.error_status)
            raise

    def _receive_data(self, data: bytes) -> None:
        if self._second:
            self._refuse(400, "a body where only answers have one")
        self._add(data)

    def _receive_request(self, request: h11.Request) -> None:
        header = request_header(request)
        self.headers, self.answer_headers = (header,), (HttpHeader("", "", str(_OK)),)
        if header.path != self._path:
            self._refuse(404, header.path)
        elif header.method != "POST":
            self._refuse(405, header.method)
        elif header.version < 0x11:
            self._refuse(505, "HTTP/1.0")
        named = _channel_id(request)
        if self.channel is None:
            self._second = bool(named)
            self.channel = self._channels.find(named) if named else Channel(self._channels.new_id())
        elif named != self.channel.id:
            self._refuse(404, "of another channel")
        if self.channel is None:
            self._refuse(404, "of a channel that is not there")

    def _refuse(self, status: int, detail: str) -> None:
        self._output += self._http.refuse(status)
        raise Drop(DropReason.HTTP_UNWANTED, detail[:MAX_DETAIL])


class PostMessage:
    """Reads one message of a connection that others speak on: it asks and answers nothing.

    The frames come as soon as they are whole. header: of the message, None before its head is.
    channel: the id that it names, b"" if none. fault: why no more of its frames are read.
    """

    def __init__(self, *, from_client: bool) -> None:
        self.header: HttpHeader | None = None
        self.channel = b""
        self.fault: Drop | None = None
        self._frames = Cutter(measure_frame)
        self._http = HttpConnection(client=not from_client)
        if not from_client:
            asked = h11.Request(method="POST", target=POST_PATH, headers=[("Host", "")])
            self._http.send(asked, h11.EndOfMessage())

    @property
    def octets(self) -> int:
        """What is held until a frame is whole."""
        return self._frames.held

    @property
    def rest(self) -> bytes:
        """What came behind the message, or behind what is malformed in it."""
        return self._http.rest

    def receive(self, data: bytes, carried: list[Carried]) -> bool:
        """Append to `carried`; tell whether the message is at its end. Raises Drop.

        Behind both there is nothing more to receive, but `rest`.
        """
        for event in self._http.receive(data):
            if isinstance(event, h11.Request):
                self.header, self.channel = request_header(event), _channel_id(event)
            elif isinstance(event, h11.Response):
                self.header = answer_header(event)
                if event.status_code != _OK:
                    self.fault = refused(event)
                self.channel = _channel_id(event)
            elif isinstance(event, h11.Data) and not self.fault:
                self._read(bytes(event.data), carried)
            elif isinstance(event, h11.EndOfMessage):
                if self._frames.held and not self.fault:
                    self.fault = Drop(DropReason.TRUNCATED, "the last frame of a body")
                return True
        return False

    def _read(self, data: bytes, carried: list[Carried]) -> None:
        try:
            for frame in self._frames.cut(data):
                if len(frame) > 2:
                    carried.append(Carried.of(frame[2:]))
        except Drop as drop:
            self.fault = drop


class HttpPostReader(StreamCarrier):
    """Reads one way of a connection that others speak on, message by message.

    `channel`: names the channel, once a message did.
    """

    encapsulation = Encapsulation.HTTP_POST
    ready = True
    channel: Channel

    def __init__(self, *, from_client: bool) -> None:
        self.channel = Channel()
        self._from_client = from_client
        self._message = PostMessage(from_client=from_client)

    def wrap(self, content: udp.Content, message: bytes = b"") -> bytes:
        """Raises Drop(UNKNOWN_STREAM): who only reads writes nothing."""
        raise Drop(DropReason.UNKNOWN_STREAM, "only read")

    def _receive(self, data: bytes, carried: list[Carried]) -> None:
        while self._receive_message(data, carried):
            data = self._message.rest
            self._message = PostMessage(from_client=self._from_client)

    def _receive_message(self, data: bytes, carried: list[Carried]) -> bool:
        """Read on, to the end of a message at most; tell whether that was reached. Raises Drop."""
        is_whole = self._message.receive(data, carried)
        if (header := self._message.header) is not None:
            self.channel.id = self._message.channel or self.channel.id
            if self._from_client:
                self.headers = (header,)
            else:
                self.answer_headers = (header,)
        if self._message.fault:
            raise self._message.fault
        return is_whole


def _fields(body: bytes, channel: Channel) -> Fields:
    named = [(_CHANNEL, channel.id.hex())] if channel.id else []
    kind = [("Content-Type", "application/octet-stream"), ("Cache-Control", "no-store")]
    return [*kind, *named, ("Content-Length", str(len(body)))]


def _channel_id(message: Message) -> bytes:
    """Return the id that a message names, b"" if none. Raises Drop(MALFORMED_HTTP)."""
    name = _CHANNEL.lower().encode("ascii")
    found = [value for key, value in message.headers if key == name]
    try:
        named = bytes.fromhex(b"".join(found).decode("ascii"))
    except ValueError as error:
        raise malformed("an id of a channel that is not hexadecimal") from error
    if len(named) not in (0, ID_LENGTH):
        raise malformed(f"an id of a channel of {len(named)} octets")
    return named
