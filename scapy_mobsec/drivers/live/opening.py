"""Terminals with all their parts, opened from settings: carriers, device, store, control socket.

In this order: files that go on to be used are opened with the rights of `user`; then come the
sockets and the device; then rights are given up. What was opened is closed if the rest cannot be.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Generic, NamedTuple, Self, TypeVar

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.drivers.live.addresses import AddressMonitor
from scapy_mobsec.drivers.live.carrier_texts import parse_carriers, parse_endpoint
from scapy_mobsec.drivers.live.control import Control, ControlError, Message
from scapy_mobsec.drivers.live.datagrams import Datagrams
from scapy_mobsec.drivers.live.host import LiveHost, MobileHost
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.making import resume_gateway, resume_mobile
from scapy_mobsec.drivers.live.responder import Responder
from scapy_mobsec.drivers.live.rights import acting_as, find_user, give_up_rights
from scapy_mobsec.drivers.live.rtnetlink import Rtnetlink
from scapy_mobsec.drivers.live.settings import (
    Fault,
    GatewaySettings,
    MobileSettings,
    TerminalSettings,
)
from scapy_mobsec.drivers.live.status import Journal, StatusTeller
from scapy_mobsec.drivers.live.streams import MAX_HANDSHAKES, Streams
from scapy_mobsec.drivers.live.tls import ClientTls, ServerTls
from scapy_mobsec.drivers.live.tun import Tun
from scapy_mobsec.drivers.live.tun_device import TunDevice
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.transitions import LocalProtocolError, MobileState
from scapy_mobsec.terminal.events import Event, InnerMtuLowered, Moved
from scapy_mobsec.terminal.mtu import DEFAULT_INNER_MTU
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.paths import DATAGRAM

S = TypeVar("S", bound=TerminalSettings)
H = TypeVar("H", bound=LiveHost[Any])


class Inside(NamedTuple):
    """What lies inside, as this end sees it: its own addresses, and what the tunnel leads to.

    `outside`: addresses that the terminal sends outer packets to.
    """

    addresses: tuple[bytes, ...]
    routes: tuple[IPv4Network | IPv6Network, ...]
    outside: tuple[bytes, ...] = ()


class Running(ABC, Generic[S, H]):
    """A terminal that runs on a loop until it is closed. A context manager that closes it.

    Making it raises SettingsError, StoreError, CannotOpen, TunError, RightsError; then nothing is
    open. `tell` is told events with their time; `on_stop` is called for who asks it to stop.
    """

    host: H

    def __init__(
        self,
        settings: S,
        loop: Loop,
        tell: Callable[[float, Event], None] = lambda now, event: None,
        *,
        use_tun: bool = True,
    ) -> None:
        self.settings, self.on_stop = settings, loop.stop
        self._loop, self._tell, self._journal = loop, tell, Journal()
        self._parts = ExitStack()
        try:
            self._open(use_tun=use_tun)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Save what is to be saved, and close all parts."""
        self._parts.close()

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """Return how it stands: a JSON object."""

    @abstractmethod
    def _make_host(self, store: Store) -> H:
        """Make the terminal, and its host."""

    @abstractmethod
    def _open_carriers(self, datagrams: Datagrams, streams: Streams) -> None:
        """Open what is needed from the start."""

    @abstractmethod
    def _inside(self) -> Inside: ...

    def _begin(self) -> None:
        """Do what is first, when all is open."""

    def _on_event(self, now: float, event: Event) -> None:
        self._journal.take(now, event)
        self._tell(now, event)

    def _open(self, *, use_tun: bool) -> None:
        settings, loop, parts = self.settings, self._loop, self._parts
        user = find_user(settings.user)
        with acting_as(user):
            store = parts.enter_context(Store(settings.state))
            parts.enter_context(closing(Control(settings.control_file, loop, self._answer)))
        self.host = host = self._make_host(store)
        parts.callback(host.close)
        host.datagrams = datagrams = Datagrams(loop, host.receive, host.too_big)
        host.streams = streams = Streams(loop, host.receive, tls=self._client_tls())
        faults = datagrams.faults.counts, streams.faults.counts
        self._teller = StatusTeller(self._journal, loop, faults)
        self._open_carriers(datagrams, streams)
        inside = self._inside()
        if use_tun:
            host.inner = self._open_tun(inside)
        else:
            host.inner = Responder(inside.addresses, host.send)
        give_up_rights(user)
        self._begin()

    @property
    def _key_log(self) -> str:
        return str(self.settings.tls_key_log or "")

    def _client_tls(self) -> ClientTls:
        """Raises SettingsError."""
        try:
            return ClientTls(self._key_log)
        except OSError as error:
            reason = f"{self._key_log}: {error.strerror or error}"
            raise self.settings.error(Fault("tls_key_log", reason)) from None

    def _open_tun(self, inside: Inside) -> Tun:
        settings, mtu = self.settings.tun, self._inner_mtu()
        addresses = tuple(each.packed for each in settings.address) or inside.addresses
        networks = (each.network for each in settings.address)
        routes = dict.fromkeys([*inside.routes, *networks, *settings.routes])
        device = TunDevice(settings.name, addresses, tuple(routes), mtu=mtu, outside=inside.outside)
        return Tun(self._loop, device, self.host.send, mtu)

    def _inner_mtu(self) -> int:
        return self.settings.tun.mtu or DEFAULT_INNER_MTU

    def _answer(self, request: Message) -> Message:
        """Answer a request of the control socket. Raises ControlError."""
        wanted = request.get("do")
        if wanted == "status":
            return self.status()
        if wanted == "stop":
            self._loop.soon(self.on_stop)
            return {"stopping": True}
        raise ControlError("what to do is not known here")


class RunningGateway(Running[GatewaySettings, LiveHost[OtherTerminal]]):
    """A gateway."""

    def status(self) -> dict[str, Any]:
        return self._teller.gateway(self.host)

    def _make_host(self, store: Store) -> LiveHost[OtherTerminal]:
        terminal, save = resume_gateway(self.settings, store)
        return LiveHost(terminal, self._loop, self._on_event, save)

    def _open_carriers(self, datagrams: Datagrams, streams: Streams) -> None:
        settings, of_streams = self.settings, dict[Endpoint, bool]()
        for listener in settings.listen:
            if listener.endpoint is None:
                datagrams.open_native()
            elif listener.encapsulation in DATAGRAM:
                datagrams.listen([listener.endpoint])
            elif of_streams.setdefault(listener.endpoint, listener.needs_certificate) is not (
                listener.needs_certificate
            ):
                reason = f"{listener.endpoint}: streams with and without TLS at one endpoint"
                raise settings.error(Fault("listen", reason))
        datagrams.listen(settings.alternates)
        if any(link.ah_outbound for link in settings.links):
            datagrams.open_native(ah=True)
        streams.limit = settings.max_streams + MAX_HANDSHAKES
        tls = self._server_tls() if True in of_streams.values() else None
        for endpoint, inside_tls in of_streams.items():
            streams.listen(endpoint, tls if inside_tls else None)

    def _server_tls(self) -> ServerTls:
        """Raises SettingsError."""
        settings = self.settings
        certificate = settings.certificate
        if certificate is None:
            raise settings.error(Fault("certificate", "is not there, but TLS is listened for"))
        try:
            return ServerTls(
                str(certificate), str(settings.certificate_key or certificate), self._key_log
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise settings.error(Fault("certificate", f"{certificate}: {reason}")) from None

    def _inside(self) -> Inside:
        links = self.settings.links
        signalling = dict.fromkeys(link.signalling.packed for link in links)
        homes = () if self.settings.tun.address else (ip_network(link.home) for link in links)
        return Inside(tuple(signalling), tuple(homes))


class RunningMobile(Running[MobileSettings, MobileHost]):
    """A mobile terminal."""

    def status(self) -> dict[str, Any]:
        return self._teller.mobile(self.host)

    def move(self, endpoints: Sequence[Endpoint], allow: Sequence[EncapsulationItem] = ()) -> None:
        """Go on from other local endpoints, in a network that is new. Raises ValueError."""
        self.host.move(endpoints, (), allow)

    def leave(self) -> Callable[[], bool]:
        """De-register, and return what tells whether that is over."""
        terminal = self.host.terminal
        with suppress(LocalProtocolError):  # there is no registration
            terminal.deregister(self._loop.now)
            self.host.pump()
        return lambda: terminal.state is not MobileState.DEREGISTERING

    def _make_host(self, store: Store) -> MobileHost:
        terminal, save = resume_mobile(self.settings, store)
        return MobileHost(terminal, self._loop, self._on_event, save)

    def _open_carriers(self, datagrams: Datagrams, streams: Streams) -> None:
        if any(item.code == EncapsulationCode.NATIVE for item in self.settings.allow):
            datagrams.open_native()
        if self.settings.link.ah_outbound:
            datagrams.open_native(ah=True)

    def _inside(self) -> Inside:
        link = self.settings.link
        routes = (ip_network(link.signalling),)
        return Inside((link.home.packed,), routes, self.host.terminal.remote_addresses)

    def _inner_mtu(self) -> int:
        allowed = self.settings.tun.mtu or DEFAULT_INNER_MTU
        return min(allowed, self.host.terminal.inner_mtu)

    def _on_event(self, now: float, event: Event) -> None:
        super()._on_event(now, event)
        inner = self.host.inner
        if isinstance(event, InnerMtuLowered | Moved) and isinstance(inner, Tun):
            inner.mtu = self._inner_mtu()

    def _begin(self) -> None:
        settings, remotes = self.settings, self.host.terminal.remote_addresses
        if settings.local:
            self.move([Endpoint(each.packed, settings.port) for each in settings.local])
            return
        network = Rtnetlink(besides=[settings.tun.name])
        monitor = AddressMonitor(self._loop, network, remotes, settings.port, self.host.move)
        self._parts.callback(monitor.close)
        self.move(monitor.endpoints)

    def _answer(self, request: Message) -> Message:
        if request.get("do") != "move":
            return super()._answer(request)
        try:
            port = self.settings.port
            endpoints = [parse_endpoint(each, port) for each in _texts(request, "addresses")]
            self.move(endpoints, parse_carriers(_texts(request, "via")))
        except ValueError as error:
            raise ControlError(str(error)) from None
        path = self.host.terminal.path
        return {"attempt": self.host.terminal.attempt, "path": path and str(path)}


def _texts(request: Message, key: str) -> list[str]:
    found = request.get(key, [])
    if not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        raise ValueError(f"{key} is no list of texts")
    return found
