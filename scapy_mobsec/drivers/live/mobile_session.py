"""A mobile terminal for shells and scripts: it registers and moves, and sends RREQs of yours."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from os import PathLike
from typing import TypeAlias

from scapy.packet import Packet

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.drivers.live.carrier_texts import parse_carriers, parse_endpoint
from scapy_mobsec.drivers.live.crafting import message_packet
from scapy_mobsec.drivers.live.datagrams import Datagrams
from scapy_mobsec.drivers.live.host import MobileHost
from scapy_mobsec.drivers.live.making import resume_mobile
from scapy_mobsec.drivers.live.opening import RunningMobile
from scapy_mobsec.drivers.live.session_thread import SessionError, result_of
from scapy_mobsec.drivers.live.sessions import TerminalSession
from scapy_mobsec.drivers.live.settings import LinkSettings, MobileSettings, load_mobile
from scapy_mobsec.drivers.live.streams import Streams
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.drops import Drop
from scapy_mobsec.packet.path import Endpoint, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.crafting import CraftingMobile
from scapy_mobsec.terminal.events import (
    Deregistered,
    Event,
    Registered,
    RegistrationFailed,
)

Via: TypeAlias = str | Iterable[str]
"""Carriers as in the file: "udp:4500", ["udp", "tcp:443"]."""

REGISTERED_WITHIN = 10.0
"""Seconds that are waited for, if nothing else is said."""

_WITHOUT = frozenset({MobileState.DETACHED, MobileState.REFUSED, MobileState.DEREGISTERING})
_REGISTERED = frozenset({MobileState.REGISTERED, MobileState.REFRESHING})


class MobileSession(TerminalSession):
    """A mobile terminal, which registers at once. A SuperSocket of inner packets.

    >>> from scapy.all import ICMP, IP
    >>> s = MobileSession("lab.toml", via="udp:4500")
    >>> a = s.sr1(IP(dst="10.10.0.1") / ICMP(), timeout=2, verbose=False)
    >>> a.summary()
    'IP / ICMP 10.10.0.1 > 10.10.1.1 echo-reply 0'
    >>> s.close()
    """

    desc = "inner packets of a mobile terminal"

    _settings: MobileSettings
    _terminal: CraftingMobile
    _running: "_Running"

    def __init__(self, file: str | PathLike[str], via: Via = ()) -> None:
        """`file`: as of `mobsec mobile`. `via`: carriers instead of `allow`.

        Raises SettingsError, StoreError (as where the state file is in use), CannotOpen; ValueError
        for what is no carrier.
        """
        settings = load_mobile(str(file))
        items = parse_carriers(via)
        if items:
            settings = settings.model_copy(update={"allow": items, "start": ()})
        self._registered: Registered | None = None
        self._waiting: list[Future[Registered]] = []
        self._left: Future[bool] | None = None
        super().__init__(settings)

    def register(self, via: Via = (), timeout: float = REGISTERED_WITHIN) -> Registered:
        """Wait until it is registered, and return how. `via`: in a new attempt with these carriers.
        So it is also where it was refused, or has ended.

        Raises SessionError where it is refused or not answered, ValueError for what is no carrier.

        >>> with MobileSession("lab.toml") as s:
        ...     before, after = s.register(), s.register(via="tcp:4500")
        ...     before.encapsulation.value, after.encapsulation.value
        ('udp', 'tcp')
        """
        items = parse_carriers(via)

        def ask() -> Future[Registered]:
            if items or self._terminal.state in _WITHOUT:
                self._go_on_from(self._running.host.endpoints, items)
            return self._registration()

        return result_of(self._thread.call(ask), timeout, "no answer to the registration")

    def move(
        self, address: str | Iterable[str], via: Via = (), timeout: float = REGISTERED_WITHIN
    ) -> Registered:
        """Go on from another local address, or several, the preferred one first; wait until it is
        registered there, and return how. A port may follow an address.

        Raises SessionError, ValueError.

        >>> with MobileSession("lab.toml") as s:
        ...     before, after = s.register(), s.move("127.9.0.7", via=["udp", "tcp:4500"])
        ...     after.attempt - before.attempt, str(after.path.local)
        (1, '127.9.0.7:4500')
        """
        texts = [address] if isinstance(address, str) else list(address)
        endpoints = [parse_endpoint(each, self._settings.port) for each in texts]
        items = parse_carriers(via)

        def ask() -> Future[Registered]:
            self._go_on_from(endpoints, items)
            return self._registration()

        return result_of(self._thread.call(ask), timeout, "no answer to the registration")

    def deregister(self, timeout: float = REGISTERED_WITHIN) -> bool:
        """End the registration; return whether the gateway confirmed it. Raises SessionError.

        >>> with MobileSession("lab.toml") as s:
        ...     _ = s.register()
        ...     s.deregister()
        True
        """
        left = Future[bool]()

        def leave() -> None:
            self._left = left
            if self._running.leave()() and not left.done():
                self._left = None
                raise SessionError("there is no registration")

        self._thread.call(leave)
        return result_of(left, timeout, "no answer to the de-registration")

    @property
    def path(self) -> Path | None:
        """The path that data is sent on.

        >>> with MobileSession("lab.toml") as s:
        ...     s.path.encapsulation.value
        'udp'
        """
        return self._thread.call(lambda: self._terminal.path)

    def craft_rreq(self) -> Packet:
        """Return an RREQ to edit and to send: the inner packet, as the terminal would renew with.

        Attempt and Identification are such that the gateway accepts it; SENT is what the current
        path writes. Waits until it is registered. Raises SessionError.

        >>> from contrib_layers import Observed, Sent
        >>> with MobileSession("lab.toml") as s:
        ...     q = s.craft_rreq()
        ...     q[Sent].headers[1].sport = 31337
        ...     a = s.sr1(q, timeout=2, verbose=False)
        >>> a[Observed].headers[1].sport
        4500
        """
        self.register()

        def craft() -> bytes:
            return self._terminal.write_request(self._thread.loop.now)

        try:
            message = self._thread.call(craft)
        except Drop as drop:
            raise SessionError(f"no RREQ can be sent: {drop}") from None
        link = self._settings.link
        return message_packet(link.home.packed, link.signalling.packed, message)

    def _open(self) -> None:
        running = _Running(self._settings, self._thread.loop, self._tell, use_tun=False)
        self._opened(running)
        terminal, link = running.host.terminal, self._settings.link
        assert isinstance(terminal, CraftingMobile)
        self._terminal = terminal

        def on_message(home: bytes, message: bytes) -> None:
            self._message_arrived(link.signalling.packed, home, message)

        terminal.on_message = on_message

    def _links(self) -> Iterable[LinkSettings]:
        return (self._settings.link,)

    def _source(self, packet: Packet) -> str | None:
        home = self._settings.link.home
        return str(home) if home.version == packet.version else None

    def _send_message(self, packet: bytes) -> None:
        self._terminal.send_request(packet, self._thread.loop.now)

    def _go_on_from(
        self, endpoints: Sequence[Endpoint], items: Sequence[EncapsulationItem]
    ) -> None:
        if any(item.code == EncapsulationCode.NATIVE for item in items):
            self._running.datagrams.open_native()
        self._running.move(endpoints, items)
        if self._terminal.path is None:
            raise SessionError("the gateway cannot be reached from there")

    def _registration(self) -> "Future[Registered]":
        future: Future[Registered] = Future()
        if self._registered and self._terminal.state in _REGISTERED:
            future.set_result(self._registered)
        else:
            self._waiting.append(future)
        return future

    def _tell(self, now: float, event: Event) -> None:
        super()._tell(now, event)
        if isinstance(event, Registered):
            self._registered = event
            for future in self._asked():
                future.set_result(event)
        elif isinstance(event, RegistrationFailed):
            code = f" (code {event.code})" if event.code else ""
            for future in self._asked():
                future.set_exception(SessionError(f"not registered: {event.reason.value}{code}"))
        elif isinstance(event, Deregistered) and self._left:
            if self._left.set_running_or_notify_cancel():
                self._left.set_result(event.confirmed)
            self._left = None

    def _asked(self) -> "list[Future[Registered]]":
        """Return what waits and was not given up, and let nothing wait."""
        asked, self._waiting = self._waiting, []
        return [each for each in asked if each.set_running_or_notify_cancel()]


class _Running(RunningMobile):
    """With a terminal that sends RREQs of others."""

    datagrams: Datagrams

    def _make_host(self, store: Store) -> MobileHost:
        terminal, save = resume_mobile(self.settings, store, kind=CraftingMobile)
        return MobileHost(terminal, self._loop, self._on_event, save)

    def _open_carriers(self, datagrams: Datagrams, streams: Streams) -> None:
        self.datagrams = datagrams
        super()._open_carriers(datagrams, streams)
