"""What both terminals have in common: the way of a packet in and out, and three bounded queues.

In: carrier (RFC 3948) -> SPI -> ICV and replay window -> mode and policy -> data or registration.
Data that came so far is delivered from any path, and moves nothing. Whatever is not accepted is
dropped in one place, with its reason, a counter and an event.
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.esp.spi_table import SpiTable
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.description import Description
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.terminal.events import Event, PacketDropped
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.signalling import Inner

MAX_TRANSMITS = 1024
MAX_RECEIVED = 1024
MAX_EVENTS = 1024

L = TypeVar("L", bound=Link)


@dataclass(frozen=True, slots=True)
class Transmit:
    """What the driver shall send: a UDP payload from `path.local` to `path.remote`."""

    data: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a registration message came; `observed` describes its headers."""

    path: Path
    observed: Description


class Terminal(ABC, Generic[L]):
    """A sans-IO engine: the driver brings octets and the time, and takes octets away.

    `receive(data, path, now)`, `transmits(now)`, `timer()`, `handle_timer(now)`, `next_event()`;
    `send(packet, now)` and `received()` are the side of the user. `now` is in seconds since the
    Unix epoch. No call raises for what a peer did.
    """

    def __init__(self, max_sas: int) -> None:
        self.drops: Counter[DropReason] = Counter()
        self.events_lost = 0
        self._sas = SpiTable(max_sas)
        self._links: dict[int, L] = {}  # by inbound SPI, as the SAs
        self._transmits: deque[Transmit] = deque()
        self._received: deque[bytes] = deque()
        self._events: deque[Event] = deque()

    def receive(self, data: bytes, path: Path, now: float) -> None:
        """Take a datagram's payload that came on `path` (as seen from here)."""
        try:
            if path.encapsulation is not Encapsulation.UDP:
                raise Drop(DropReason.UNKNOWN_CARRIER, path.encapsulation.value)
            content, packet = udp.unwrap(data)
            if content is udp.Content.IKE:
                raise Drop(DropReason.UNEXPECTED_IKE)
            if content is udp.Content.ESP:
                self._receive_esp(packet, path, now)
        except Drop as drop:
            self._dropped(drop, path)

    def transmits(self, now: float) -> list[Transmit]:
        """Return what is to be sent now, in this order."""
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

    def _receive_esp(self, packet: bytes, path: Path, now: float) -> None:
        spi = int.from_bytes(packet[:4], "big")
        opened = self._sas.get(spi).open(packet)
        link = self._links[spi]
        inner, octets = link.mode.unwrap(opened)
        if link.current and link.current.path == path:
            link.current.received_octets += len(packet)
        if inner is Inner.SIGNALLING:
            observed = describe(path.encapsulation, path.remote, path.local, spi)
            self._receive_message(link, octets, Arrival(path, observed), now)
        elif inner is Inner.DATA:
            if len(self._received) >= MAX_RECEIVED:
                raise Drop(DropReason.QUEUE_FULL, "received packets")
            self._received.append(octets)

    def _add_link(self, link: L) -> None:
        """Raises ValueError if an SPI is in use, or there is no room for it."""
        for sa in link.inbound:
            self._sas.add(sa)
            self._links[sa.parameters.spi] = link

    def _send_data(self, link: L, packet: bytes) -> None:
        """Seal and send an inner packet on the current path of its link. Raises Drop."""
        if link.path is None:
            raise Drop(DropReason.NO_PATH)
        self._check_room()
        self._send_esp(link, link.seal_data(packet), link.path)

    def _send_message(self, link: L, message: bytes, path: Path) -> None:
        """Seal and send a registration message on a path of its link. Raises Drop."""
        self._check_room()
        self._send_esp(link, link.seal_message(message), path)

    def _check_room(self) -> None:
        # Before sealing: a packet that is not sent shall not use up a sequence number.
        if len(self._transmits) >= MAX_TRANSMITS:
            raise Drop(DropReason.QUEUE_FULL, "packets to send")

    def _send_esp(self, link: L, packet: bytes, path: Path) -> None:
        if link.current and link.current.path == path:
            link.current.sent_octets += len(packet)
        self._transmits.append(Transmit(udp.wrap(udp.Content.ESP, packet), path))

    def _dropped(self, drop: Drop, path: Path | None) -> None:
        self.drops[drop.reason] += 1
        self._tell(PacketDropped(drop.reason, drop.detail, path))

    def _tell(self, event: Event) -> None:
        if len(self._events) >= MAX_EVENTS:
            self._events.popleft()
            self.events_lost += 1
        self._events.append(event)
