"""What both terminals have in common: the way of a packet in and out, and three bounded queues.

In: carrier of the path -> SPI -> ICV and replay window -> mode and policy -> data or registration.
A stream has a carrier of its own from `Established` until it is closed. The driver knows only that
it is TCP or TLS: the path that the terminal goes by is named by what the carrier shows.
AH (rule 12) comes and goes as whole IP packets; its path is what the ICV covers.
Data that came so far is delivered from any path, and moves nothing. Whatever is not accepted is
dropped in one place, with its reason, a counter and an event.
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from typing import ClassVar, Generic, TypeAlias, TypeVar

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.carrier import Carried, StreamCarrier, Violation
from scapy_mobsec.esp.ah import InboundAh, spi_of
from scapy_mobsec.esp.sa import InboundSa, Opened
from scapy_mobsec.esp.spi_table import S, SpiTable
from scapy_mobsec.packet.ip import addresses
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Ends, Path
from scapy_mobsec.registration.description import Description, ip_udp_esp
from scapy_mobsec.registration.outer import describe, describe_ah, is_connect
from scapy_mobsec.terminal.driving import (
    Close,
    Closed,
    Congested,
    Established,
    Input,
    Output,
    Refused,
    Transmit,
)
from scapy_mobsec.terminal.events import Event, PacketDropped
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.paths import DATAGRAM, PathState
from scapy_mobsec.terminal.signalling import Inner
from scapy_mobsec.terminal.streams import Stream

MAX_TRANSMITS = 1024
"""Outputs that the driver has not taken. Where so many wait, streams are not taken and their octets
close them; so there is a Close more for each open stream at most.
"""

MAX_RECEIVED = 1024
MAX_EVENTS = 1024

L = TypeVar("L", bound=Link)

_new_tuple = tuple.__new__  # half the price of calling a named tuple

# Members that each packet needs: a look-up in an Enum is slow.
_UDP, _ESP, _SIGNALLING = Encapsulation.UDP, udp.Content.ESP, Inner.SIGNALLING


Arrival: TypeAlias = tuple[Path, int, int, PathState | None]
"""How a registration message came: path, SPI, octets of the packet that carried it, and what was
known of the path. (A plain tuple: to take a named one apart costs more than to make it.)
"""


class Terminal(ABC, Generic[L]):
    """A sans-IO engine: the driver brings octets and the time, and takes octets away.

    `receive(data, path, now)`, `transmits(now)`, `timer()`, `handle_timer(now)`, `next_event()`;
    `send(packet, now)` and `received()` are the side of the user. `now` is in seconds since the
    Unix epoch. No call raises for what a peer did.

    `snapshot_due` tells a driver that keeps state on disk when to write it.
    """

    asks: ClassVar[bool] = False
    """Whether this end opens streams and sends RREQs, as X does."""

    def __init__(self, max_sas: int) -> None:
        self.drops: Counter[DropReason] = Counter()
        self.events_lost = 0
        self._sas: SpiTable[InboundSa] = SpiTable(max_sas)
        self._ah_sas: SpiTable[InboundAh] = SpiTable(max_sas)
        self._links: dict[int, L] = {}  # by inbound SPI, as the SAs
        self._ah_links: dict[int, L] = {}
        self._streams: dict[Ends, Stream] = {}
        self._transmits: deque[Output] = deque()
        self._received: deque[bytes] = deque()
        self._events: deque[Event] = deque()
        self._unsaved: dict[L, None] = {}
        self._snapshot_due: float | None = None

    @property
    def snapshot_due(self) -> float | None:
        """When a snapshot must be on disk that is taken from now on, None if the last one will do.

        0: before anything leaves that the next `transmits` and `received` return. Otherwise numbers
        could be used twice, or replayed packets be accepted, after a restart.
        """
        return self._snapshot_due

    def receive(self, data: Input, path: Path, now: float) -> None:
        """Take what came on `path` (as seen from here): a datagram's payload, an IP packet with
        AH, octets of a stream in any cutting, or that a stream is open, closed, refused or
        congested.
        """
        self._receive(data, path, now)

    def _receive(self, data: Input, path: Path, now: float) -> None:
        try:
            if not isinstance(data, bytes):
                self._stream_changed(data, path, now)
            elif path.encapsulation is _UDP:
                if (content := udp.classify(data)) is _ESP:
                    self._receive_esp(data, path, now)
                else:
                    self._receive_carried(content, data, path, now)
            elif path.ah:
                self._receive_ah(data, now)
            elif path.encapsulation is Encapsulation.NATIVE:
                self._receive_esp(data, path, now)
            else:
                self._receive_stream(data, path, now)
        except Drop as drop:
            self._dropped(drop, path)

    def _stream_changed(
        self, change: Established | Closed | Refused | Congested, path: Path, now: float
    ) -> None:
        if isinstance(change, Established):
            if path.ends in self._streams:  # the driver, who knows one by its ends, has no other
                self._stream_ended(path, "opened again", now)
            self._established(change, path, now)
        elif isinstance(change, Refused):
            self._stream_refused(path, change.reason, now)
        elif isinstance(change, Congested):
            if stream := self._streams.get(path.ends):
                stream.congested = change.now
        else:
            self._stream_ended(path, change.reason, now)

    def _stream_ended(self, path: Path, reason: str, now: float) -> None:
        stream = self._streams.get(path.ends)
        if stream:
            self._remove_stream(stream, closed=True)
        if stream or self.asks:
            self._stream_closed(stream.path if stream else path, reason, now)

    def transmits(self, now: float) -> list[Output]:
        """Return what is to be sent and done now, in this order."""
        out = list(self._transmits)
        self._transmits.clear()
        return out

    @abstractmethod
    def timer(self) -> float | None:
        """Return when `handle_timer` is to be called; a call too early does no harm."""

    @abstractmethod
    def handle_timer(self, now: float) -> None:
        """Do what is due."""

    def next_event(self) -> Event | None:
        """Return the oldest event that was not returned yet."""
        return self._events.popleft() if self._events else None

    @abstractmethod
    def send(self, packet: bytes, now: float) -> None:
        """Send an inner IP packet over its link; one that cannot be sent is dropped by name."""

    def received(self) -> list[bytes]:
        """Return the inner IP packets that arrived since the last call."""
        packets = list(self._received)
        self._received.clear()
        return packets

    @abstractmethod
    def _receive_message(self, link: L, message: bytes, arrival: Arrival, now: float) -> None:
        """Handle a registration message. Raises Drop."""

    def _new_carrier(self, established: Established, path: Path) -> StreamCarrier:
        """Make the carrier of a stream that is open now. Raises Drop to refuse the stream."""
        raise Drop(DropReason.UNKNOWN_CARRIER, path.encapsulation.value)

    def _stream_opened(self, established: Established, path: Path, now: float) -> None:
        """Go on with a stream that has its carrier."""

    def _forget_stream(self, stream: Stream) -> None:
        """Forget what belongs to a stream that is no longer there."""

    def _stream_closed(self, path: Path, reason: str, now: float) -> None:
        """Go on after a stream that is no longer there, or never was."""

    def _stream_refused(self, path: Path, reason: str, now: float) -> None:
        """Go on without a stream that a forward proxy makes no tunnel for."""

    def _stream_authentic(self, link: L, path: Path, now: float) -> None:
        """Note that a stream shows an authentic ESP packet."""

    def _authentic(
        self, link: L, inner: Inner, opened: Opened, octets: int, path: Path, now: float
    ) -> PathState | None:
        """Note an authentic ESP packet of so many octets, before it is handled; return what is
        known of its path.
        """
        current = link.current
        if current is None or current.path != path:
            return None
        current.received(octets, data=inner is Inner.DATA)
        return current

    def _not_opened(
        self, link: L, sa: InboundSa | InboundAh, drop: Drop, path: Path, now: float
    ) -> None:
        """Note a packet of an SA that did not open; nothing says that its path is what it seems."""

    def _established(self, established: Established, path: Path, now: float) -> None:
        self._check_room()
        try:
            carrier = self._new_carrier(established, path)
        except Drop:
            self._transmits.append(Close(path))
            raise
        headers = established.headers[2:]
        answered = (established.tunnel or each if is_connect(each) else each for each in headers)
        self._streams[path.ends] = Stream(path, carrier, headers, tuple(answered), now)
        if first := carrier.start():
            self._transmits.append(Transmit(first, path))
        self._stream_opened(established, path, now)

    def _close(self, path: Path, reason: str, now: float) -> None:
        """Close a stream; nothing happens if it is not open."""
        if stream := self._streams.get(path.ends):
            self._remove_stream(stream)
            self._stream_closed(stream.path, reason, now)

    def _remove_stream(self, stream: Stream, *, closed: bool = False) -> None:
        """Close a stream, unless it is closed, and its partner."""
        for each in (stream, stream.partner):
            if each and self._streams.pop(each.opened_path.ends, None):
                self._forget_stream(each)
                if not (closed and each is stream):
                    self._transmits.append(Close(each.opened_path))

    def _join(self, first: Stream, second: Stream) -> None:
        """Make a channel of two streams."""
        first.partner, second.partner, second.second = second, first, True
        second.authentic = True

    def _write_held(self, stream: Stream) -> None:
        """Write what was held until what came is handled."""
        self._write(stream.carrier.settle(), stream)

    def _write(self, octets: bytes, stream: Stream) -> None:
        if octets:
            self._transmits.append(Transmit(octets, stream.opened_path))

    def _receive_stream(self, data: bytes, path: Path, now: float) -> None:
        stream = self._streams.get(path.ends)
        if stream is None:
            raise Drop(DropReason.UNKNOWN_STREAM)
        try:
            self._check_room()
        except Drop:  # an answer that is left out would put the rest of the stream out of step
            self._close(path, "too much to send", now)
            raise
        stream.received_octets += len(data)
        violation = None
        try:
            carried = stream.carrier.receive(data)
        except Violation as drop:
            violation, carried = drop, list(drop.carried)
        self._write(stream.carrier.take_output(), stream)
        for each in carried:
            self._receive_unit(each, stream.path, now)
        self._write_held(stream)
        if violation:
            self._close(path, str(violation), now)
            raise violation

    def _receive_unit(self, carried: Carried, path: Path, now: float) -> None:
        try:
            self._receive_carried(carried.content, carried.message, path, now)
        except Drop as drop:  # of one unit, not of the stream
            self._dropped(drop, path)

    def _receive_carried(
        self, content: udp.Content, message: bytes, path: Path, now: float
    ) -> None:
        if content is _ESP:
            self._receive_esp(message, path, now)
        elif content is udp.Content.IKE:
            raise Drop(DropReason.UNEXPECTED_IKE)

    def _receive_esp(self, packet: bytes, path: Path, now: float) -> None:
        spi = int.from_bytes(packet[:4])
        sa = self._sas.get(spi)
        link = self._links[spi]
        try:
            opened = sa.open(packet)
        except Drop as drop:
            self._not_opened(link, sa, drop, path, now)
            raise
        if link.reservation.received(spi, opened.sequence):
            self._unsave(link)
        self._receive_opened(link, opened, spi, len(packet), path, now)

    def _receive_ah(self, packet: bytes, now: float) -> None:
        spi = spi_of(packet)
        sa = self._ah_sas.get(spi)
        link = self._ah_links[spi]
        source, destination = addresses(packet)
        path = Path(Encapsulation.NATIVE, Endpoint(destination), Endpoint(source), ah=True)
        try:
            opened = sa.open(packet)
        except Drop as drop:
            self._not_opened(link, sa, drop, path, now)
            raise
        if link.ah_reservation.received(spi, opened.sequence):
            self._unsave(link)
        self._receive_opened(link, opened, spi, len(packet), path, now)

    def _receive_opened(
        self, link: L, opened: Opened, spi: int, length: int, path: Path, now: float
    ) -> None:
        inner, octets = link.mode.unwrap(opened)
        if path.encapsulation not in DATAGRAM:
            self._stream_authentic(link, path, now)
        state = self._authentic(link, inner, opened, length, path, now)
        if inner is _SIGNALLING:
            self._receive_message(link, octets, (path, spi, length, state), now)
        elif inner is Inner.DATA:
            if len(self._received) >= MAX_RECEIVED:
                raise Drop(DropReason.QUEUE_FULL, "received packets")
            self._received.append(octets)

    def _describe(self, path: Path, spi: int, *, arrived: bool) -> Description:
        """Return the headers of a packet that arrived on a path, or that is written there."""
        ends = (path.remote, path.local) if arrived else (path.local, path.remote)
        if path.encapsulation is Encapsulation.UDP:
            return ip_udp_esp(*ends[0], *ends[1], spi)
        if path.ah:
            return describe_ah(*ends, spi)
        headers = () if path.encapsulation in DATAGRAM else self._headers(path, arrived=arrived)
        return describe(path.encapsulation, *ends, spi, headers)

    def _headers(self, path: Path, *, arrived: bool) -> Description:
        """Return what lies between TCP and ESP of packets on a stream: arrived, or written."""
        stream = self._streams.get(path.ends)
        if stream is None:
            return ()
        carrier = stream.carrier
        if arrived is not self.asks:
            return stream.headers + carrier.headers
        return stream.answer_headers + carrier.answer_headers

    def _add_link(self, link: L) -> None:
        """Raises ValueError if an SPI is in use, or there is no room; then nothing changes."""
        esp = _enter(self._sas, link.inbound)
        try:
            ah = _enter(self._ah_sas, link.inbound_ah)
        except ValueError:
            for spi in esp:
                self._sas.remove(spi)
            raise
        self._links.update(dict.fromkeys(esp, link))
        self._ah_links.update(dict.fromkeys(ah, link))

    def _send_data(self, link: L, packet: bytes) -> None:
        """Seal and send an inner packet on the current path of its link. Raises Drop."""
        if link.path is None:
            raise Drop(DropReason.NO_PATH)
        self._check_writable(link.path)
        if link.path.encapsulation not in DATAGRAM and self._streams[link.path.ends].congested:
            raise Drop(DropReason.CONGESTED, f"{len(packet)} octets")
        self._send_sealed(link, link.seal_data(packet, link.path), link.path, data=True)

    def _send_message(self, link: L, message: bytes, path: Path) -> None:
        """Seal and send a registration message on a path of its link. Raises Drop."""
        self._check_writable(path)
        self._send_sealed(link, link.seal_message(message, path), path)

    def _check_writable(self, path: Path) -> None:
        # Before sealing: a packet that is not sent shall not use up a sequence number.
        self._check_room()
        if path.encapsulation not in DATAGRAM and not self._is_open(path):
            raise Drop(DropReason.UNKNOWN_STREAM, "nothing may be written to it")

    def _check_room(self) -> None:
        if len(self._transmits) >= MAX_TRANSMITS:
            raise Drop(DropReason.QUEUE_FULL, "packets to send")

    def _is_open(self, path: Path) -> bool:
        """Tell whether ESP may be written to a path: to a stream, once its carrier is ready."""
        if path.encapsulation in DATAGRAM:
            return True
        stream = self._streams.get(path.ends)
        return stream is not None and stream.carrier.ready

    def _sent(self, link: L, octets: int, path: Path, *, data: bool) -> None:
        """Count a sealed packet that is sent."""
        if link.current and link.current.path == path:
            link.current.sent(octets, data=data)

    def _send_sealed(self, link: L, packet: bytes, path: Path, *, data: bool = False) -> None:
        if link.sent(path):
            self._unsave(link)
        self._sent(link, len(packet), path, data=data)
        if path.encapsulation not in DATAGRAM:
            stream = self._streams[path.ends]
            self._write(stream.carrier.wrap(udp.Content.ESP, packet), stream)
            if stream.partner:
                self._write_held(stream.partner)
            return
        self._transmits.append(_new_tuple(Transmit, (packet, path)))

    def _unsave(self, link: L, by: float = 0.0) -> None:
        """Let the state of a link be written, until `by` at the latest."""
        self._unsaved[link] = None
        due = self._snapshot_due
        if due is None or by < due:
            self._snapshot_due = by

    def _saved(self) -> list[L]:
        """Return the links whose state is to be written, and take it for done."""
        links = list(self._unsaved)
        self._unsaved.clear()
        self._snapshot_due = None
        return links

    def _dropped(self, drop: Drop, path: Path | None) -> None:
        self.drops[drop.reason] += 1
        self._tell(PacketDropped(drop.reason, drop.detail, path))

    def _tell(self, event: Event) -> None:
        if len(self._events) >= MAX_EVENTS:
            self._events.popleft()
            self.events_lost += 1
        self._events.append(event)


def _enter(table: SpiTable[S], sas: tuple[S, ...]) -> list[int]:
    """Enter all SAs or, with the ValueError of the table, none; return their SPIs."""
    added: list[int] = []
    for sa in sas:
        try:
            table.add(sa)
        except ValueError:
            for spi in added:
                table.remove(spi)
            raise
        added.append(sa.parameters.spi)
    return added
