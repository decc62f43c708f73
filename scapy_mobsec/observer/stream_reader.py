"""One TCP connection of a capture: what it is, and the ESP and IKE in it.

The first octets of the end that opened it tell what it is; what the other end says waits for them.
TLS is opened with the secrets of a key log, and what is in it told by its own first octets. Where
the beginning is not there, or octets are missing, `stream_units` finds the place again; not in a
tentative connection, which its first octets alone can make ours. What the handshake of HTTP said is
not known then: such packets have no HTTP header in their description. Frames found so may be of a
stream or of http-post: they are told when that shows, or later (`tell_anyway`) as of a stream. A
stream may go through a forward proxy: what asks for the tunnel, and the answer, come first then.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from contrib_layers.numbers import STREAM_PREFIX
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import Carried
from scapy_mobsec.encap.connect import ConnectClient, ConnectServer
from scapy_mobsec.encap.http import HttpClient, HttpServer
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.encap.tls import TlsReader
from scapy_mobsec.observer.stream_beginnings import (
    ANSWER,
    CLIENT,
    CONNECT,
    END_OF_HELLO,
    GET,
    SERVER,
    TLS_BEGINNING,
    base_of,
    begins,
    is_hello,
    is_tls_record,
    kind_of_client,
)
from scapy_mobsec.observer.stream_units import Kind, UnitReader, end_of_head, is_of_channel
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.reassembly import Connection, End
from scapy_mobsec.registration.description import Description, HttpHeader, TlsHeader
from scapy_mobsec.tcp_direction import Piece, Stamp

MAX_FIRST = 64 << 10
"""Octets of the other end that wait for that."""
MAX_SEARCHED = 128 << 10
"""Octets in which an SPI is looked for while nothing shows: two of the longest frames."""

_NOT_READ = (Kind.TLS, Kind.OTHER)
_CARRYING = {kind: Encapsulation(kind.value) for kind in (Kind.TCP, Kind.HTTP, Kind.POST)}
_SHORTEST = 10
"""Octets by which a side without its beginning shows whether it is something else."""


class InStream(NamedTuple):
    """What was carried, from whom to whom, and what stands between TCP and ESP."""

    carried: Carried
    encapsulation: Encapsulation
    sender: End
    receiver: End
    stamp: Stamp
    headers: Description


class _Side:
    """What one end sent. raw: as TCP carries it. held: inside tunnel and TLS, until it shows more.

    begun: something of it was there. lost: its beginning is not there, or octets behind that.
    tunnel: reads what comes first with a forward proxy, None without one. handshake: the same of
    HTTP Upgrade. waits: for the other end, as it begins with nothing that a client says. is_plain:
    there are units alone in it now.
    """

    def __init__(self) -> None:
        self.tunnel: ConnectServer | ConnectClient | None = None
        self.handshake: HttpServer | HttpClient | None = None
        self.units: UnitReader | None = None
        self.headers: Description = ()
        self.raw = b""
        self.held = b""
        self.stamp = Stamp(0, 0)
        self.begun = False
        self.lost = False
        self.waits = False
        self.is_plain = False

    def lose(self) -> None:
        """Forget the place: octets are missing."""
        self.lost, self.raw, self.held = True, b"", b""
        self.handshake, self.headers = None, ()
        if self.units:
            self.units.lose()


class _Untold(NamedTuple):
    """A packet that waits until the kind of its stream shows."""

    sender: End
    carried: Carried
    stamp: Stamp
    headers: Description


class StreamReader:
    """Reads both directions of one connection. kind: None while it does not show.

    client: who opened it, None while that does not show. channel: of http-post, its id, b"" while
    it is not known. is_first: the client has sent something, as no second connection of one does.
    waits_since: when the first octets came that wait until more shows, None if none do. octets:
    what is held until more comes.
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
        self.client: End | None = None
        self.channel = b""
        self.is_first = False
        self.waits_since: int | None = None
        self.octets = 0
        self._sides = {end: _Side() for end in connection.directions}
        self._other = dict(zip(self._sides, reversed(self._sides), strict=True))
        self._knows_spi = knows_spi
        self._on_drop = on_drop
        self._tls_keys = tls_keys
        self._tls: TlsReader | None = None
        self._tls_client: End | None = None
        self._tls_failed = False
        self._untold: list[_Untold] = []

    @property
    def is_waiting_tls(self) -> bool:
        """Whether a server speaks TLS here, and its client was not there yet."""
        sides = self._sides.values()
        return self.kind is None and any(s.waits and is_hello(s.held, SERVER) for s in sides)

    def read(self, sender: End, piece: Piece) -> list[InStream]:
        """Take a piece; return what is whole with it."""
        side = self._sides[sender]
        if piece.follows and side.is_plain and self.kind is not None:
            side.stamp = piece.stamp
            self._read_units(sender, side, piece.octets)
            return self._tell(self.kind)
        if not piece.follows:
            if self._tls is None:
                side.lose()
            elif side.begun or not is_hello(piece.octets, SERVER):
                self.kind = Kind.TLS
                return []
        side.begun, side.stamp = True, piece.stamp
        side.raw += piece.octets
        self._unwrap(sender, side)
        found = self._go_on()
        self._note_waiting(piece.stamp.time_ns)
        return found

    def tell_anyway(self) -> list[InStream]:
        """Return what waits until more shows: it was long enough. It is taken for a stream then."""
        self.waits_since = None
        found: list[InStream] = []
        if self.kind is None and not self.connection.tentative:
            for side in self._sides.values():
                if side.waits and side.units is None and not is_hello(side.held, SERVER):
                    side.lost, side.units = True, self._units(is_place=True)
            found = self._go_on()
        return found + self._tell(self.kind or Kind.TCP)

    def _go_on(self) -> list[InStream]:
        if self.kind is None:
            self._detect()
        for end, side in self._sides.items():
            if side.held and self.kind not in _NOT_READ:
                self._read(end, side)
        found: list[InStream] = []
        if self.kind in _CARRYING:
            self.connection.tentative = False
            found = self._tell(self.kind)
        if self._tls_failed:
            self.kind = Kind.TLS
        return found

    def _note_waiting(self, now_ns: int) -> None:
        """Note since when something waits, and how much is held."""
        sides = self._sides.values()
        if self.kind is not None or self.connection.tentative:
            self.waits_since = None
        elif self._untold or any(each.waits and each.held for each in sides):
            self.waits_since = self.waits_since or now_ns
        self.octets = sum(len(each.carried.message) for each in self._untold)
        for side in sides:
            self.octets += len(side.held) + (side.units.octets if side.units else 0)

    def _unwrap(self, end: End, side: _Side) -> None:
        """Take off the head of a tunnel and TLS."""
        octets, side.raw = side.raw, b""
        if side.tunnel and not side.tunnel.ready:
            try:
                octets = side.tunnel.receive(octets)
            except Drop:  # a tunnel for somebody else, or none
                self.kind = Kind.OTHER
        if self._tls:
            self._open(self._tls, end, octets)
        else:
            side.held += octets

    def _open(self, tls: TlsReader, sender: End, octets: bytes) -> None:
        """Let TLS read what one end sent, and what of either has waited for the other."""
        client = self._tls_client
        assert client is not None
        try:
            self._sides[sender].held += tls.receive(octets, from_client=sender == client)
            for end in (client, self._other[client], client):
                self._sides[end].held += tls.receive(b"", from_client=end == client)
        except Drop as drop:
            self._tls_failed = True
            if drop.reason is not DropReason.NO_TLS_SECRET:
                self._on_drop(drop)

    # what it is

    def _detect(self) -> None:
        """Tell the kind, if it shows now."""
        for end, side in self._sides.items():
            if self.kind is None and side.held and side.units is None:
                self._detect_in(end, side)

    def _detect_in(self, end: End, side: _Side) -> None:
        """Tell the kind by the first octets of one end."""
        first = side.held
        if side.lost and len(first) < _SHORTEST:
            return
        if not self._tls and begins(first, TLS_BEGINNING):
            self._detect_tls(end, side)
        elif not self._tls and side.lost and is_tls_record(first):
            self.kind = Kind.TLS
        elif side.lost and not first.startswith((STREAM_PREFIX, GET)):
            self._detect_in_middle(end, side)
        elif not (self._tls or side.tunnel or side.lost) and begins(first, CONNECT):
            if len(first) >= len(CONNECT):
                self._begin_tunnel(end)
        elif begins(first, ANSWER):
            self._detect_server(end, side)
        else:
            try:
                self.kind = kind_of_client(first, self._knows_spi)
            except Drop:
                self._detect_in_middle(end, side)
                return
            if self.kind is not None:
                self.client, side.lost = end, False

    def _detect_server(self, end: End, side: _Side) -> None:
        """An answer of HTTP: the client tells what it is, unless a channel is named."""
        side.waits = True
        head = side.held[: end_of_head(side.held)]
        if head and is_of_channel(head):
            self.kind, self.client = Kind.POST, self._other[end]
        elif self._opener == end or len(side.held) > MAX_FIRST:
            self.kind = Kind.OTHER

    def _detect_in_middle(self, end: End, side: _Side) -> None:
        """Tell the kind where a side does not begin with anything that a client says.

        It may be the server of a stream whose prefix comes later, or is not in the capture.
        """
        if side.lost and not self.connection.tentative:
            side.units = self._units()
            return
        side.waits = True
        if (
            side.lost
            or self._opener == end
            or len(side.held) > MAX_FIRST
            or all(each.waits for each in self._sides.values())
        ):
            self.kind = Kind.OTHER

    @property
    def _opener(self) -> End | None:
        return self._tls_client or self.connection.opener

    def _begin_tunnel(self, client: End) -> None:
        for end, side in self._sides.items():
            if not side.lost:
                side.tunnel = _tunnel_reader(is_client=end == client)
        self._unwrap_again(client)

    def _unwrap_again(self, client: End) -> None:
        """Take what is held for what is on the wire; it is something else inside."""
        for side in self._sides.values():
            side.raw, side.held, side.waits = side.held, b"", False
        for end in (client, self._other[client]):
            self._unwrap(end, self._sides[end])
        if self.kind is None:
            self._detect()

    def _detect_tls(self, end: End, side: _Side) -> None:
        """Tell TLS that can be read from other TLS, by the hellos."""
        first, other = side.held, self._sides[self._other[end]]
        if len(first) < (END_OF_HELLO if self._tls_keys else len(TLS_BEGINNING)):
            return
        is_whole = not other.lost or is_hello(other.held, SERVER)
        if self._tls_keys and is_whole and self._opener in (None, end) and is_hello(first, CLIENT):
            self._tls, self._tls_client = TlsReader(self._tls_keys), end
            side.lost = other.lost = False
            self._unwrap_again(end)
        elif self._tls_keys and self._opener != end and is_hello(first, SERVER):
            side.waits = True
            is_other = other.waits or (other.lost and not is_hello(other.held, CLIENT))
            if is_other or len(first) > MAX_FIRST:
                self.kind = Kind.TLS
        else:
            self.kind = Kind.TLS

    # what it carries

    def _units(self, kind: Kind | None = None, *, is_place: bool = False) -> UnitReader:
        return UnitReader(kind, self._knows_spi, self._on_drop, is_place=is_place)

    def _read(self, end: End, side: _Side) -> None:
        """Read what is held of one end, if it can be read now."""
        units = side.units = side.units or self._begin(end, side)
        if units is None:
            return
        if self.kind is not None and not units.certain:
            units.is_told(self.kind)
        octets, side.held = side.held, b""
        if side.handshake:
            octets = self._shake_hands(side.handshake, side, octets, is_client=end == self.client)
        self._read_units(end, side, octets)
        side.is_plain = not (side.handshake or side.tunnel or self._tls)
        if self.kind is None and units.certain:
            self._learn_kind(end, units)
        elif self.kind is None and units.kind is None and units.searched > MAX_SEARCHED:
            self.kind = Kind.OTHER
            self._on_drop(Drop(DropReason.NO_PLACE, f"in {MAX_SEARCHED} octets"))

    def _read_units(self, end: End, side: _Side, octets: bytes) -> None:
        units, stamp = side.units, side.stamp
        assert units is not None
        self.octets -= units.octets
        carried = units.receive(octets)
        self.octets += units.octets
        if carried:
            headers = side.headers or units.headers
            self._untold += [_Untold(end, one, stamp, headers) for one in carried]
        self.channel = units.channel or self.channel

    def _learn_kind(self, end: End, units: UnitReader) -> None:
        self.kind, self.client = units.kind, self.client or self._opener
        if self.kind is Kind.POST:
            self.client = end if units.from_client else self._other[end]

    def _begin(self, end: End, side: _Side) -> UnitReader | None:
        """Begin with one end, if its kind is known; None where it is not, or more is to come."""
        if self.kind is None:
            return None
        if side.lost:
            return self._units(self.kind)
        if self.kind is Kind.TCP and self.client in (None, end):
            if begins(side.held, STREAM_PREFIX):
                if len(side.held) < len(STREAM_PREFIX):
                    return None
                self.client, side.held = end, side.held[len(STREAM_PREFIX) :]
        elif self.kind is Kind.HTTP and (self.client or end) == end and begins(side.held, GET):
            if b"\n" not in side.held:
                return None
            self.client = end
            side.handshake = HttpServer(lambda host, port: True, base_of(side.held))
        elif self.kind is Kind.HTTP:
            side.handshake = HttpClient("capture", "/")
            side.handshake.start()
        return self._units(self.kind, is_place=True)

    def _shake_hands(
        self, handshake: HttpServer | HttpClient, side: _Side, octets: bytes, *, is_client: bool
    ) -> bytes:
        """Return what comes behind the handshake. A fault ends the stream."""
        try:
            octets = handshake.handshake(octets)
        except Drop as drop:
            self.kind = Kind.OTHER
            if drop.reason is not DropReason.HTTP_UNWANTED:  # HTTP for something else is no fault
                self._on_drop(drop)
            return b""
        side.headers = handshake.headers if is_client else handshake.answer_headers
        if handshake.ready:
            side.handshake = None
        return octets

    def _tell(self, kind: Kind) -> list[InStream]:
        """Return what was read, as something of a kind."""
        if not self._untold or kind in _NOT_READ:
            return []
        encapsulation, untold, self._untold = _CARRYING[kind], self._untold, []
        if encapsulation is Encapsulation.TCP and self._tls:
            encapsulation = Encapsulation.TLS
        found = []
        for sender, carried, stamp, headers in untold:
            side = self._sides[sender]
            if side.tunnel or self._tls:
                headers = (*self._outside(side), *headers)
            self.is_first |= sender == self.client
            receiver = self._other[sender]
            found.append(InStream(carried, encapsulation, sender, receiver, stamp, headers))
        return found

    def _outside(self, side: _Side) -> Iterator[HttpHeader | TlsHeader]:
        """Yield what describes the tunnel and TLS, as far as the capture shows it."""
        if side.tunnel and side.tunnel.seen:
            yield side.tunnel.seen
        if self._tls and self._tls.certificate:
            yield TlsHeader(sha256(self._tls.certificate).digest(), self._tls.server_name)


def _tunnel_reader(*, is_client: bool) -> ConnectServer | ConnectClient:
    """Return what the other end would read with what comes before a tunnel."""
    if is_client:
        return ConnectServer()
    client = ConnectClient("capture")
    client.start()
    return client
