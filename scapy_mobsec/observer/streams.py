"""ESP and IKE in TCP: RFC 9329 frames, HTTP Upgrade, POST; told apart by content, as in captures.

The first octets of a stream tell what it is. TLS is opened with the secrets of a key log, and what
is in it told by its own first octets; TLS that cannot be read, or not on, is counted, anything else
is let go. Where the beginning is not there, or octets are missing, the next packet is found by an
SPI that is known; not in a tentative connection, which its first octets alone can make ours. What
the handshake of HTTP said is not known then: such packets have no HTTP header in their description.
Of http-post the next message is found. What its second connection carries is told as if it came by
the first, as terminals do. A stream may go through a forward proxy: what asks for the tunnel, and
the answer, come first then.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from contrib_layers.numbers import POST_PATH, STREAM_PREFIX
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import Carried, Violation
from scapy_mobsec.encap.connect import ConnectClient, ConnectServer
from scapy_mobsec.encap.http_post import HttpPostReader
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.encap.stream import StreamCarrier, detect, reading_carrier
from scapy_mobsec.encap.tls import TlsReader
from scapy_mobsec.observer.stream_units import SHORTEST_UNIT, Kind, UnitReader, find_unit
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.places import Places
from scapy_mobsec.reassembly import Connection, End
from scapy_mobsec.registration.description import Description, HttpHeader, TlsHeader
from scapy_mobsec.tcp_direction import Piece, Stamp

MAX_STREAMS = 1024
"""Streams that are read at once; each direction holds one packet that is not yet whole at most,
and in TLS the little that TlsReader holds."""
MAX_BEGINNING = 4096
"""Octets by which a stream must have shown what it is."""
MAX_SEARCHED = 128 << 10
"""Octets of a direction in which an SPI is looked for: two of the longest frames."""

_TLS_BEGINNING = re.compile(rb"\x16\x03")
_CLIENT_HELLO = b"\x01"
_TLS_RECORD = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")
_CONNECT_UDP = re.compile(rb"GET (?:https?://[^/ ]*)?([^ ?#]*)/[^/ ]+/[0-9]+/ HTTP/1\.1")
_POST = re.compile(rb"POST (?:https?://[^/ ]*)?" + POST_PATH.encode("ascii") + rb" ")
_OF_CHANNEL = re.compile(
    rb"(?i)(POST [^\r\n]{1,1024} )?HTTP/1\.[01](?(1)| 200[^\r\n]{0,80})\r\n"
    rb"(?:[^\r\n]{1,1024}\r\n){0,40}?Channel: *[0-9a-f]{32}\r\n"
)
_CARRYING = {kind: Encapsulation(kind.value) for kind in (Kind.TCP, Kind.HTTP, Kind.POST)}
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_SPI = 6
"""Octets of a frame."""
_ANSWER = b"HTTP/1."
_CONNECT = b"CONNECT "


class InStream(NamedTuple):
    """What was carried, from whom to whom, and what stands between TCP and ESP."""

    carried: Carried
    encapsulation: Encapsulation
    sender: End
    receiver: End
    stamp: Stamp
    headers: Description


class _Side:
    """What one end sent. lost: the place in it is not known; searched: octets, in vain so far.

    tunnel: reads what comes first with a forward proxy, None without one.
    """

    def __init__(self) -> None:
        self.tunnel: ConnectServer | ConnectClient | None = None
        self.decoder: StreamCarrier | UnitReader | None = None
        self.held = b""
        self.stamp = Stamp(0, 0)
        self.headers: Description = ()
        self.lost = False
        self.searched = 0

    def lose(self) -> None:
        """Forget the place."""
        self.decoder, self.held, self.lost, self.searched = None, b"", True, 0


class StreamReader:
    """Reads both directions of one connection. kind: None while it does not show.

    client: who opened it, None while that does not show. channel: of http-post, its id, b"" while
    it is not known. is_first: the client has sent something, as no second connection of one does.
    `knows_spi` tells which SPIs mark a packet; `on_drop` gets what could not be taken.
    """

    def __init__(
        self,
        connection: Connection,
        knows_spi: Callable[[int], bool],
        on_drop: Callable[[Drop], None],
        tls_keys: KeyLog,
    ) -> None:
        self.kind: Kind | None = None
        self.connection = connection
        self._sides = {end: _Side() for end in connection.directions}
        self._other = dict(zip(self._sides, reversed(self._sides), strict=True))
        self.client: End | None = None
        self.channel = b""
        self.is_first = False
        self._base = ""
        self._knows_spi = knows_spi
        self._on_drop = on_drop
        self._tls_keys = tls_keys
        self._tls: TlsReader | None = None
        self._tls_client: End | None = None

    def read(self, sender: End, piece: Piece) -> Iterator[InStream]:
        """Take a piece; yield what is whole with it. To be exhausted."""
        side = self._sides[sender]
        if not piece.follows:
            side.lose()
            if self._tls:
                self.kind = Kind.TLS
                return
        side.stamp = piece.stamp
        if self._tls:
            self._open(self._tls, sender, piece.octets)
        else:
            side.held += piece.octets
        ends: Iterable[End] = (sender,)
        if self.kind is None or self._tls:
            ends = self._sides
            self._detect()
            self.connection.tentative &= self.kind not in _CARRYING
        for end in ends:
            if self.kind in _CARRYING and self._has_more(end, self._sides[end]):
                yield from self._read(end)

    def _open(self, tls: TlsReader, sender: End, octets: bytes) -> None:
        """Let TLS read what one end sent, and what of the other's has waited for it."""
        try:
            for end, side in self._sides.items():
                more = octets if end == sender else b""
                side.held += tls.receive(more, from_client=end == self._tls_client)
        except Drop as drop:
            self.kind = Kind.TLS
            if drop.reason is not DropReason.NO_TLS_SECRET:
                self._on_drop(drop)

    # what it is

    def _detect(self) -> None:
        """Tell the kind, if it shows now."""
        for end, side in self._sides.items():
            if self.kind is None and self._has_more(end, side):
                self._detect_in(end, side)

    def _has_more(self, end: End, side: _Side) -> bool:
        """Take off what makes a tunnel through a forward proxy; tell whether there is more."""
        if side.lost or not side.held:
            return bool(side.held)
        beginning = self.kind is None and side.tunnel is None and self._tls is None
        if beginning and _begins(side.held, _CONNECT):
            for each, other in self._sides.items():
                other.tunnel = _tunnel_reader(is_client=each == end)
        if side.tunnel and not side.tunnel.ready:
            octets, side.held = side.held, b""
            try:
                side.held = side.tunnel.receive(octets)
            except Drop:  # a tunnel for somebody else, or none
                self.kind = Kind.OTHER
        return bool(side.held)

    def _detect_in(self, end: End, side: _Side) -> None:
        """Tell the kind by the first octets of one end, or by the SPIs in them."""
        first = side.held
        if not self._tls and (_TLS_RECORD if side.lost else _TLS_BEGINNING).match(first):
            self._begin_tls(end, side)
            return
        try:
            encapsulation = None if _begins(first, _ANSWER) else detect(first)
        except Drop:
            # Not lost, it may be the responder of a stream whose prefix the capture does not have,
            # or only later.
            may_be = len(first) < _END_OF_SPI or self._search(end) or side.lost
            if self.connection.tentative or not may_be:
                self.kind = Kind.OTHER
            return
        if encapsulation is Encapsulation.HTTP and b"\r\n" in first:
            request = _CONNECT_UDP.match(first)
            if request is None:
                self.kind = Kind.OTHER
                return
            self._base = request[1].decode("latin-1")
        elif encapsulation is Encapsulation.HTTP_POST and _END_OF_HEAD in first:
            if not self._is_of_channel(first):
                self.kind = Kind.OTHER
                return
        elif encapsulation is not Encapsulation.TCP:
            if len(first) > MAX_BEGINNING:
                self.kind = Kind.OTHER
            return
        self.kind = Kind(encapsulation)
        self.client = end
        side.lost = False

    def _begin_tls(self, end: End, side: _Side) -> None:
        is_hello = side.held[5:6] in (b"", _CLIENT_HELLO)
        if not (self._tls_keys and is_hello) or any(each.lost for each in self._sides.values()):
            self.kind = Kind.TLS
            return
        self._tls, self._tls_client = TlsReader(self._tls_keys), end
        octets, side.held = side.held, b""
        self._open(self._tls, end, octets)

    def _is_of_channel(self, first: bytes) -> bool:
        """Tell by the beginning whether a POST is of http-post, and not of something else."""
        spi = first.partition(_END_OF_HEAD)[2][2:6]
        is_known = len(spi) == 4 and self._knows_spi(int.from_bytes(spi, "big"))
        return is_known or bool(_POST.match(first) or _OF_CHANNEL.match(first))

    # what it carries

    def _read(self, end: End) -> Iterator[InStream]:
        side = self._sides[end]
        if isinstance(side.decoder, UnitReader) and _OF_CHANNEL.match(side.held):
            side.lost = True  # what was taken for frames of a stream was the end of a body
        if side.lost and not self._search(end):
            return
        assert self.kind is not None
        if side.decoder is None and self.client is None and _begins(side.held, STREAM_PREFIX):
            self.client = end  # which showed late: the other end was read by its SPIs
        encapsulation, is_client = _CARRYING[self.kind], end == self.client
        if side.decoder is None:
            side.decoder = reading_carrier(encapsulation, from_client=is_client, path=self._base)
        decoder, octets, side.held = side.decoder, side.held, b""
        violation: Violation | None = None
        try:
            carried = decoder.receive(octets)
        except Violation as caught:
            violation, carried = caught, list(caught.carried)
        if isinstance(decoder, StreamCarrier):
            side.headers = decoder.headers if is_client else decoder.answer_headers
        if isinstance(decoder, HttpPostReader):
            self.channel = decoder.channel.id or self.channel
        self.is_first = self.is_first or (is_client and bool(carried))
        headers = side.headers
        if side.tunnel or self._tls:
            headers = (*self._outside(side), *headers)
        if self._tls and encapsulation is Encapsulation.TCP:
            encapsulation = Encapsulation.TLS
        for one in carried:
            yield InStream(one, encapsulation, end, self._other[end], side.stamp, headers)
        if violation is not None:
            self._end(side, violation, in_handshake=not decoder.ready)

    def _outside(self, side: _Side) -> Iterator[HttpHeader | TlsHeader]:
        """Yield what describes the tunnel and TLS, as far as the capture shows it."""
        if side.tunnel and side.tunnel.seen:
            yield side.tunnel.seen
        if self._tls and self._tls.certificate:
            yield TlsHeader(sha256(self._tls.certificate).digest(), self._tls.server_name)

    def _end(self, side: _Side, violation: Violation, *, in_handshake: bool) -> None:
        """Tell of a fault. In a handshake it ends the stream; HTTP for something else is none."""
        if not (in_handshake and violation.reason is DropReason.HTTP_UNWANTED):
            self._on_drop(violation)
        if in_handshake:
            self.kind = Kind.OTHER
        else:
            side.lose()

    # where it goes on

    def _search(self, end: End) -> bool:
        """Find the next packet by its SPI, or message of http-post; let go what is before it."""
        side = self._sides[end]
        if side.searched > MAX_SEARCHED:
            side.held = b""
            return False
        if self.kind is not Kind.HTTP and (message := _OF_CHANNEL.search(side.held)):
            self.kind = Kind.POST
            self.client = end if message[1] else self._other[end]
            side.held, side.decoder, side.lost = side.held[message.start() :], None, False
            return True
        kinds = (Kind.HTTP, Kind.TCP) if self.kind is None else (self.kind,)
        found = find_unit(side.held, kinds, self._knows_spi)
        if found is None:
            kept = side.held[-SHORTEST_UNIT:]
            side.searched += len(side.held) - len(kept)
            side.held = kept
            if side.searched > MAX_SEARCHED and self.kind is None:
                self.kind = Kind.OTHER
            return False
        self.kind, start = found
        side.held = side.held[start:]
        side.decoder, side.lost = UnitReader(self.kind), False
        return True


def _tunnel_reader(*, is_client: bool) -> ConnectServer | ConnectClient:
    """Return what the other end would read with what comes before a tunnel."""
    if is_client:
        return ConnectServer()
    client = ConnectClient("capture")
    client.start()
    return client


def _begins(data: bytes, beginning: bytes) -> bool:
    return data.startswith(beginning[: len(data)])


class Streams:
    """The readers of all connections, the latest MAX_STREAMS. tls: those that could not be read."""

    def __init__(
        self,
        knows_spi: Callable[[int], bool],
        on_drop: Callable[[Drop], None],
        tls_keys: KeyLog,
    ) -> None:
        self.tls = 0
        self._tls_keys = tls_keys
        self._knows_spi = knows_spi
        self._on_drop = on_drop
        self._given_up: list[Connection] = []
        self._readers: Places[Connection, StreamReader] = Places(MAX_STREAMS)
        self._firsts: OrderedDict[tuple[bytes, End, bytes], End] = OrderedDict()
        """Client of the first connection, by channel, server, and the client's address."""

    def __len__(self) -> int:
        return len(self._readers)

    def read(self, connection: Connection, sender: End, piece: Piece) -> Iterator[InStream]:
        """Yield what a piece completes. To be exhausted; `give_up` after it."""
        reader = self._readers.get(connection)
        if reader is None:
            reader = StreamReader(connection, self._knows_spi, self._on_drop, self._tls_keys)
        for one in reader.read(sender, piece):
            if told := self._at_first(reader, one) if reader.channel else one:
                yield told
        if reader.kind in (Kind.TLS, Kind.OTHER):
            self.tls += reader.kind is Kind.TLS and not connection.tentative
            self._readers.pop(connection)
            self._given_up.append(connection)
            return
        gone = self._readers.put(connection, reader, wanted=reader.kind is not None)
        if gone is not None:
            self._on_drop(Drop(DropReason.STREAM_LIMIT, f"more than {MAX_STREAMS}"))
            self._given_up.append(gone.connection)

    def end(self, connection: Connection) -> None:
        """Let go what is over."""
        self._readers.pop(connection)

    def _at_first(self, reader: StreamReader, one: InStream) -> InStream | None:
        """Return it as if it came by the first connection of its channel.

        None where that is not known, as at the beginning of a capture: it would look like a move.
        """
        server, client = one.sender, one.receiver
        if one.sender == reader.client:
            server, client = client, server
        channel = reader.channel, server, client[0]
        if reader.is_first:
            self._firsts[channel] = client
            self._firsts.move_to_end(channel)
            if len(self._firsts) > MAX_STREAMS:
                self._firsts.popitem(last=False)
            return one
        first = self._firsts.get(channel)
        return one._replace(receiver=first) if first else None

    def give_up(self) -> Connection | None:
        """Return a connection of which nothing more is wanted, None if there is no such one."""
        return self._given_up.pop() if self._given_up else None
