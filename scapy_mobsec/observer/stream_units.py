"""Frames (RFC 9329), capsules (RFC 9297) and messages of http-post, read from any octet on.

What is found depends on the octets alone, not on how they were cut: where they do not tell yet,
more are waited for. Where the place in a stream is known, its units follow one another. Where it is
not, as in mid-stream, behind a gap or behind what cannot be read, the next unit is the one that
shows a known SPI, or the head of a message; the octets before it are passed over.
"""

import re
from collections.abc import Callable
from enum import Enum

from contrib_layers.numbers import CAPSULE_DATAGRAM, MAX_CAPSULE, POST_PATH
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.capsule import (
    measure_capsule,
    read_varint,
    unwrap_capsule,
    varint_end,
    write_varint,
)
from scapy_mobsec.encap.carrier import Carried
from scapy_mobsec.encap.http_message import MAX_HEADERS
from scapy_mobsec.encap.http_post import PostMessage
from scapy_mobsec.encap.tcp import measure_frame
from scapy_mobsec.esp.spi_table import FIRST_SPI
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import Description

SHORTEST_UNIT = 16
"""Octets: no ESP packet fits into less, and no SPI lies deeper in a unit."""
MAX_UNCERTAIN = 16 << 10
"""Octets of frames without any head between them, which then are those of a stream."""

_END_OF_LENGTH = 4
_END_OF_SPI = 10
"""Octets of a unit, at most."""
_MAX_SPIS = 64
_IKE = bytes(4)
_SHORTEST_IKE = 28
_KEEPALIVE = 0xFF
_BEGINNINGS = (b"POST ", b"HTTP/1.")
_HEAD = re.compile(b"|".join(map(re.escape, _BEGINNINGS)))
_FIRST_OCTETS = frozenset(beginning[0] for beginning in _BEGINNINGS)
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_OF_CHANNEL = re.compile(
    rb"(?i)(?:POST [^\r\n]{1,1024} HTTP/1\.[01]|HTTP/1\.[01] 200[^\r\n]{0,80})\r?\n"
    rb"(?:[^\r\n]{1,1024}\r?\n){0,40}?Channel: *[0-9a-f]{32}\r?\n"
)
_MESSAGE = re.compile(rb"POST [^\r\n]{1,1024} HTTP/1\.[01]\r?\n|HTTP/1\.[01] [0-9]{3}[ \r\n]")
_POST = re.compile(rb"POST (?:https?://[^/ ]*)?" + POST_PATH.encode("ascii") + rb" ")


class Kind(Enum):
    """What a stream is; what is read inside TLS is one of the others."""

    TCP = Encapsulation.TCP
    HTTP = Encapsulation.HTTP
    POST = Encapsulation.HTTP_POST
    TLS = Encapsulation.TLS
    OTHER = None


def end_of_head(data: bytes, at: int = 0) -> int:
    """Return where the head of an HTTP message ends, 0 while it does not."""
    end = _END_OF_HEAD.search(data, at, at + MAX_HEADERS)
    return end.end() if end else 0


def is_of_channel(head: bytes) -> bool:
    """Whether the head of a message shows by itself that it is of http-post."""
    return bool(_POST.match(head) or _OF_CHANNEL.match(head))


class UnitReader:
    """Reads what one end sends. Give a `kind` where it is known, and `is_place` where one begins.

    kind: of what was found, None before that. certain: it is; else it is frames, which may be of
    http-post as well. headers: of the last message, or as set. channel: that a message named, b""
    before. searched: octets in vain since the last unit. octets: what is held until more comes.
    `on_drop` gets what could not be taken.
    """

    def __init__(
        self,
        kind: Kind | None,
        knows_spi: Callable[[int], bool],
        on_drop: Callable[[Drop], None],
        *,
        from_client: bool | None = None,
        is_place: bool = False,
    ) -> None:
        self.kind = kind
        self.certain = kind is not None
        self.from_client = from_client
        self.headers: Description = ()
        self.channel = b""
        self.searched = 0
        self.octets = 0
        self._knows_given_spi = knows_spi
        self._on_drop = on_drop
        self._spis: set[bytes] = set()
        """Read where the place was known: they show it later."""
        self._message: PostMessage | None = None
        self._is_head = kind is Kind.POST and is_place
        """Where the place is known, the head of a message is there."""
        self._is_place = is_place
        self._start = 0 if is_place else _END_OF_LENGTH
        """Octets in which the end of a length may be taken for a whole one."""
        self._uncertain = 0
        self._held = bytearray()
        self._wanted = 0

    def lose(self) -> None:
        """Forget the place: octets are missing."""
        self._held.clear()
        self.octets = 0
        self._message, self._wanted, self.headers = None, 0, ()
        self._is_place, self._is_head, self._start = False, False, _END_OF_LENGTH

    def is_told(self, kind: Kind) -> None:
        """Learn from the other end what this is."""
        self.kind, self.certain = kind, True

    def receive(self, data: bytes) -> list[Carried]:
        """Return what is whole, cut anywhere."""
        carried: list[Carried] = []
        if self._message is None and self._held:
            self._held += data
            if len(self._held) < self._wanted:
                self.octets = len(self._held)
                return carried
            data = bytes(self._held)
        at = 0
        while self._message is not None or at < len(data):
            if self._message is not None:
                data, at = self._read_message(self._message, data[at:], carried), 0
                if self._message is not None:
                    break
                continue
            if self._is_head:
                step = self._read_head(data, at)
            elif self._is_place and self.certain and self.kind is not Kind.POST:
                at, step = self._read_on(data, at, carried)
            else:
                at = self._pass(data, at)
                step = self._look(data, at, carried)
            if step > len(data):
                self._wanted = step - at
                break
            at = step
        self._held = bytearray(data[at:])
        self.octets = self._message.octets if self._message else len(self._held)
        return carried

    # where the place is known

    def _read_on(self, data: bytes, at: int, carried: list[Carried]) -> tuple[int, int]:
        """Read units up to the last whole one; return its end, and that of the next one."""
        is_http, spis, end = self.kind is Kind.HTTP, self._spis, at
        measure = measure_capsule if is_http else measure_frame
        try:
            while (end := measure(data, at)) <= len(data):
                payload = unwrap_capsule(data[at:end]) if is_http else data[at + 2 : end]
                if payload:  # an empty one is allowed (RFC 9298 section 5, RFC 9329 section 3)
                    carried.append(Carried.of(payload))
                    if payload[:4] not in spis:
                        self._note_spi(payload[:4])
                at = end
        except Drop as drop:
            self._on_drop(drop)
            if end > at:  # it is known where the next one begins
                return end, end
            self._leave()
            return at, at + 1
        return at, end

    def _read_head(self, data: bytes, at: int) -> int:
        """Begin with the message whose head is here; return where that ends, or what is wanted."""
        if data.startswith(b"\r\n", at):  # RFC 9112 section 2.2
            return at + 2
        if end := end_of_head(data, at):
            return self._begin_message(data, at, end)
        if len(data) - at < MAX_HEADERS:
            return len(data) + 1
        self._on_drop(Drop(DropReason.MALFORMED_HTTP, "no end of a head"))
        self._leave()
        return at + 1

    def _begin_message(self, data: bytes, at: int, end: int) -> int:
        """Read the head between two places; return its end, or, if it is none, the next octet."""
        self.from_client = not data.startswith(b"HTTP/", at)
        self.is_told(Kind.POST)
        self.searched = 0
        self._message = PostMessage(from_client=self.from_client)
        self._read_message(self._message, data[at:end], [])
        if self._message is None and not self._is_place:
            return at + 1
        return end

    def _read_message(self, message: PostMessage, data: bytes, carried: list[Carried]) -> bytes:
        """Read on in a message; return what comes behind it, b"" while it is not at its end."""
        fault, known = message.fault, len(carried)
        try:
            is_whole = message.receive(data, carried)
        except Drop as drop:
            self._on_drop(drop)
            self._message = None
            self._leave()
            return message.rest
        if message.fault is not fault and message.fault is not None:
            self._on_drop(message.fault)
        for one in carried[known:]:
            self._note_spi(one.message[:4])
        if message.header is not None:
            self.headers = (message.header,)
            self.channel = message.channel or self.channel
        if not is_whole:
            return b""
        self._message, self._is_place, self._is_head = None, True, True
        return message.rest

    def _note_spi(self, spi: bytes) -> None:
        if len(self._spis) >= _MAX_SPIS:
            self._spis.clear()
        self._spis.add(spi)

    def _leave(self) -> None:
        """Forget the place, where no octets are missing."""
        self._is_place, self._is_head, self._start = False, False, 0

    # where it is not, or not for certain

    def _look(self, data: bytes, at: int, carried: list[Carried]) -> int:
        """Take what shows itself here, or pass an octet; return what is next, or what is wanted."""
        kind, payload, end = self._unit(data, at)
        if end > len(data):
            return end
        if kind:
            if end > payload:
                carried.append(Carried.of(data[payload:end]))
            self._find(kind, end - at)
            return end
        if self._may_have_heads and data[at] in _FIRST_OCTETS:
            end = self._head(data, at)
            if end > len(data):
                return end
            if end:
                return self._begin_message(data, at, end)
        self._let_go(1)
        return at + 1

    @property
    def _may_have_heads(self) -> bool:
        return self.kind in (None, Kind.POST) or not self.certain

    def _find(self, kind: Kind, octets: int) -> None:
        self.kind = self.kind or kind
        self.searched, self._is_place, self._start = 0, True, 0
        if not self.certain:
            self._uncertain += octets
            self.certain = kind is Kind.HTTP or self._uncertain > MAX_UNCERTAIN

    def _pass(self, data: bytes, at: int) -> int:
        """Return where what begins in `data` at or behind `at` may begin first; for speed alone."""
        if self._is_place or self._start:
            return at
        head = _HEAD.search(data, at) if self._may_have_heads else None
        last = max(at, min(len(data) - _END_OF_SPI, head.start() if head else len(data)))
        knows_spi = self._knows_spi
        for spi in range(at + 2, last + _END_OF_SPI - 3):
            if knows_spi(data[spi : spi + 4]):
                last = max(at, min(last, spi - _END_OF_SPI + 4))
                break
        self._let_go(last - at)
        return last

    def _let_go(self, count: int) -> None:
        if count:
            self.searched += count
            self._start, self._is_place = max(0, self._start - count), False

    def _unit(self, data: bytes, at: int) -> tuple[Kind | None, int, int]:
        """Return what unit begins here, where its payload begins, and where it ends.

        Not of any kind: 0 as its end, or, if it may become one, behind the end of `data`.
        """
        end = 0
        for kind, measure in ((Kind.HTTP, _capsule), (Kind.TCP, _frame)):
            told = Kind.TCP if self.kind is Kind.POST else self.kind
            if told not in (None, kind):
                continue
            payload, stop = measure(data, at)
            if payload and payload + min(4, stop - payload) > len(data):
                payload, stop = 0, payload + min(4, stop - payload)
            if not payload:
                end = end or stop
                continue
            # the end of the length of a capsule looks like the length of a frame
            is_end = self._start and kind is Kind.TCP and self.kind is None and not data[at + 1]
            if not (end or is_end) and self._shows(data, payload, stop):
                return kind, payload, stop
        return None, 0, end if end > len(data) else 0

    def _shows(self, data: bytes, payload: int, end: int) -> bool:
        length = end - payload
        if self._is_place:
            if length == 0 or (length == 1 and data[payload] == _KEEPALIVE):
                return True
            if length >= 4 + _SHORTEST_IKE and data[payload : payload + 4] == _IKE:
                return True
        return length >= SHORTEST_UNIT - 2 and self._knows_spi(data[payload : payload + 4])

    def _knows_spi(self, octets: bytes) -> bool:
        spi = int.from_bytes(octets, "big")
        return spi >= FIRST_SPI and (octets in self._spis or self._knows_given_spi(spi))

    def _head(self, data: bytes, at: int) -> int:
        """Return where the head of a message ends that begins here, 0 if none does."""
        for beginning in _BEGINNINGS:
            part = data[at : at + len(beginning)]
            if not beginning.startswith(part):
                continue
            end = end_of_head(data, at)
            if not end:
                return len(data) + 1 if len(data) - at < MAX_HEADERS else 0
            head = data[at:end]
            is_ours = _MESSAGE.match(head) if self.kind is Kind.POST else is_of_channel(head)
            return end if is_ours else 0
        return 0


def _frame(data: bytes, at: int) -> tuple[int, int]:
    """Return where the payload of a frame begins and ends; (0, 0) if this is none.

    (0, behind the end of `data`) if that does not show yet.
    """
    if at + 2 > len(data):
        return 0, at + 2
    length = data[at] << 8 | data[at + 1]
    if length < 2:
        return 0, 0
    return at + 2, at + length


def _capsule(data: bytes, at: int) -> tuple[int, int]:
    """Return the same of the UDP payload in a capsule."""
    if data[at] != CAPSULE_DATAGRAM:
        return 0, 0
    if at + 1 >= len(data):
        return 0, at + 2
    value = varint_end(data, at + 1)
    if value >= len(data):
        return 0, value + 1
    octets = read_varint(data, at + 1, value)
    if not 0 < octets <= MAX_CAPSULE or write_varint(octets) != data[at + 1 : value] or data[value]:
        return 0, 0
    return value + 1, value + octets
