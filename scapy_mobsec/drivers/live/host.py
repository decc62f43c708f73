"""Where a terminal runs: between carriers outside and a device inside, on one loop.

What is to be saved is on disk before anything that depends on it leaves (rule 14). Where it cannot
be saved, everything waits in the terminal's queues, which are bounded, and it is tried again.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

from scapy_mobsec.drivers.live.loop import Loop, Timer
from scapy_mobsec.drivers.store import StoreError
from scapy_mobsec.packet.path import Endpoint, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.base import Terminal
from scapy_mobsec.terminal.driving import Close, Closed, Input, Open, Output, Transmit
from scapy_mobsec.terminal.events import Event
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.paths import DATAGRAM

T = TypeVar("T", bound=Terminal[Any])

SAVED_AGAIN_AFTER = 1.0
"""Seconds after a snapshot that could not be written; doubling."""
LONGEST_PAUSE = 30.0

log = logging.getLogger("mobsec")


class Datagrams(Protocol):
    """The carriers of datagrams. No call raises for what the network does."""

    def send(self, transmit: Transmit) -> None:
        """Send a datagram, or lose it."""

    def use(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        """Go on from these local endpoints, and no others; return them with their real ports."""

    def close(self) -> None: ...


class Streams(Protocol):
    """The carriers of streams, which tell `LiveHost.receive` what becomes of them."""

    def open(self, wanted: Open) -> None:
        """Begin a stream."""

    def write(self, path: Path, data: bytes) -> None:
        """Write to a stream, as named by Established; what is for one that ended is lost."""

    def end(self, path: Path) -> None:
        """Close a stream, or give up opening it, and tell no more of it."""

    def use(self, addresses: Sequence[bytes]) -> None:
        """Forget the streams from other local addresses, without telling of them."""

    def close(self) -> None: ...


class InnerDevice(Protocol):
    """What lies behind a terminal; it gives packets to `LiveHost.send`."""

    def write(self, packet: bytes) -> None:
        """Take an inner IP packet that arrived."""

    def close(self) -> None: ...


class Tap(Protocol):
    """Somebody who looks on."""

    def __call__(self, now: float, path: Path, data: Input | Output) -> None:
        """See what comes (Input) and what goes (Output)."""


class LiveHost(Generic[T]):
    """A terminal that runs on a loop. The carriers are set after it is made, for they call it.

    `on_event` is told events with their time, in seconds since the Unix epoch; `save` writes the
    terminal's snapshot, None where nothing is kept: it is called again after a StoreError, and
    keeps until then what it could not write; `tap` sees all octets outside.
    """

    def __init__(
        self,
        terminal: T,
        loop: Loop,
        on_event: Callable[[float, Event], None] = lambda now, event: None,
        save: Callable[[], None] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.terminal, self.loop = terminal, loop
        self.datagrams: Datagrams | None = None
        self.streams: Streams | None = None
        self.inner: InnerDevice | None = None
        self.on_event, self.tap = on_event, tap
        self._save, self._save_pause, self._save_again = save, 0.0, 0.0
        self._timer: Timer | None = None
        self._pumping = self._closed = False

    def receive(self, data: Input, path: Path) -> None:
        """Take what came by a carrier. What it leads to is done at the end of the loop's round."""
        if self.tap:
            self.tap(self.loop.now, path, data)
        self.terminal.receive(data, path, self.loop.now)
        self.pump_soon()

    def send(self, packet: bytes) -> None:
        """Send an inner IP packet through the terminal, at the end of the loop's round."""
        self.terminal.send(packet, self.loop.now)
        self.pump_soon()

    def too_big(self, mtu: int, path: Path, payload: bytes) -> None:
        """Take a notice of the network about a datagram; Y has no use for it."""

    def pump_soon(self) -> None:
        """Pump once at the end of the loop's round."""
        if not self._pumping:
            self._pumping = True
            self.loop.soon(self.pump)

    def pump(self) -> None:
        """Take away what the terminal has to send and to say, and wind its timer."""
        self._pumping = False
        if self._closed:
            return
        while (event := self.terminal.next_event()) is not None:
            self.on_event(self.loop.now, event)
        if self._save_what_is_due():
            for output in self.terminal.transmits(self.loop.now):
                if self.tap:
                    self.tap(self.loop.now, output.path, output)
                self._do(output)
            for packet in self.terminal.received():
                if self.inner is not None:
                    self.inner.write(packet)
        self._wind()

    def close(self) -> None:
        """Save what is to be saved, and close the device and all carriers. It is over then."""
        self.pump()
        self._closed = True
        if self._timer:
            self._timer.cancel()
        for part in (self.inner, self.datagrams, self.streams):
            if part is not None:
                part.close()

    def _do(self, output: Output) -> None:
        path, streams = output.path, self.streams
        if isinstance(output, Transmit) and path.encapsulation in DATAGRAM:
            if self.datagrams:
                self.datagrams.send(output)
        elif streams is None:
            if isinstance(output, Open):
                self.loop.soon(lambda: self.receive(Closed("no streams here"), path))
        elif isinstance(output, Open):
            streams.open(output)
        elif isinstance(output, Close):
            streams.end(path)
        else:
            streams.write(path, output.data)

    def _save_what_is_due(self) -> bool:
        """Return whether what depends on a snapshot may leave."""
        due, now = self.terminal.snapshot_due, self.loop.now
        unsaved = self._save_pause > 0  # the terminal takes a snapshot for written once it is taken
        if self._save is None or not (unsaved or (due is not None and due <= now)):
            return True
        if now < self._save_again:
            return False
        try:
            self._save()
        except StoreError as error:
            self._save_pause = min(2 * self._save_pause or SAVED_AGAIN_AFTER, LONGEST_PAUSE)
            self._save_again = now + self._save_pause
            log.error('state=unsaved reason="%s" again_after=%g', error, self._save_pause)
            return False
        if self._save_pause:
            log.warning("state=saved")
        self._save_pause = 0.0
        return True

    def _wind(self) -> None:
        dues = [self.terminal.timer(), self.terminal.snapshot_due if self._save else None]
        if self._save_pause:
            dues.append(self._save_again)
        due = min((each for each in dues if each is not None), default=None)
        if due is None:
            return
        due = max(due, self._save_again)
        if self._timer is None or self._timer.callback is None or due < self._timer.time:
            if self._timer:
                self._timer.cancel()
            self._timer = self.loop.at(due, self._wake)

    def _wake(self) -> None:
        due, now = self.terminal.timer(), self.loop.now
        if due is not None and due <= now:
            self.terminal.handle_timer(now)
        self.pump()


class MobileHost(LiveHost[MobileTerminal]):
    """Where a mobile terminal runs: it can move."""

    endpoints: Sequence[Endpoint] = ()
    """The local endpoints in use, the preferred one first."""

    def move(
        self,
        endpoints: Sequence[Endpoint],
        kept: Collection[Endpoint] | None = None,
        allow: Sequence[EncapsulationItem] = (),
    ) -> None:
        """Leave the old endpoints and go on from others, the preferred one first.

        A port of 0 may be any. `kept`: those that are in the same network as before; None: all that
        were in use. `allow`: the encapsulations from now on, (): as before.
        """
        before = self.endpoints
        self.endpoints = tuple(self.datagrams.use(endpoints) if self.datagrams else endpoints)
        stay = [
            used
            for asked, used in zip(endpoints, self.endpoints, strict=True)
            if (used in before if kept is None else asked in kept)
        ]
        if self.streams:
            self.streams.use([each.address for each in stay])
        self.terminal.move(self.endpoints, self.loop.now, stay, allow)
        self.pump()

    def too_big(self, mtu: int, path: Path, payload: bytes) -> None:
        """Take a notice of the network about a datagram."""
        self.terminal.packet_too_big(mtu, path, payload)
        self.pump_soon()
