"""Which local endpoints reach the other terminal, and when that changes.

A notice of the kernel says only that something changed; then all is read anew, so lost notices do
no harm. What changes together, as a link with its addresses and routes, is taken together.
"""

import socket
from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_address
from typing import NamedTuple, Protocol, TypeAlias

from scapy_mobsec.drivers.live.faults import Faults
from scapy_mobsec.drivers.live.loop import Loop, Timer
from scapy_mobsec.packet.path import Endpoint, address_text

SETTLING = 0.002
"""Seconds from the first notice until all is read."""

AGAIN_AFTER = 1.0
"""Seconds until what could not be read is read again."""

_ANY_PORT = 9


class LocalAddress(NamedTuple):
    """An address of this machine, on a link (its index).

    `since`: another one after the address was given anew, or the link was down.
    """

    address: bytes
    link: int
    since: tuple[int, int] = (0, 0)


class Route(NamedTuple):
    """How the kernel reaches a destination: from an address, over a gateway if there is one.

    `is_local`: the destination is this machine. The lower the metric, the better.
    """

    source: bytes = b""
    gateway: bytes = b""
    metric: int = 0
    is_local: bool = False


class Network(Protocol):
    """What the kernel knows, and a descriptor that is readable when that changed: `Rtnetlink`.

    Each call raises OSError where the kernel does not say.
    """

    def fileno(self) -> int: ...

    def take_notices(self) -> None:
        """Read what made it readable."""

    def addresses(self) -> Sequence[LocalAddress]:
        """Return the addresses that can be used, on all links that are up."""

    def route(self, destination: bytes, local: LocalAddress | None = None) -> Route | None:
        """Return how a destination is reached, from an address and over its link if one is given;
        None where it is not.
        """

    def close(self) -> None: ...


Usable: TypeAlias = dict[Endpoint, object]
"""Endpoints, the preferred first; each with what is equal as long as it is in the same network."""

OnChange: TypeAlias = Callable[[Sequence[Endpoint], Collection[Endpoint]], None]


def usable_endpoints(network: Network, destinations: Sequence[bytes], port: int) -> Usable:
    """Return the endpoints from where one of the destinations is reached.

    To each destination, the first is what the kernel takes by itself; then the metric counts.
    Raises OSError.
    """
    found: list[tuple[tuple[int, bool, int, int], LocalAddress, bytes]] = []
    addresses = network.addresses()
    for rank, destination in enumerate(destinations):
        usual = network.route(destination)
        for local in addresses:
            if len(local.address) != len(destination):
                continue
            if _is_loopback(local.address) != _is_loopback(destination):
                continue
            is_here = usual is not None and usual.is_local
            route = usual if is_here else network.route(destination, local)
            if route:
                is_usual = usual is not None and usual.source == local.address
                order = rank, not is_usual, route.metric, len(found)
                found.append((order, local, route.gateway))
    usable: Usable = {}
    for _, local, gateway in sorted(found):
        usable.setdefault(Endpoint(local.address, port), (local.link, local.since, gateway))
    return usable


class AddressMonitor:
    """Tells `on_change` the usable endpoints and, of these, those that are in the same network as
    before, as `MobileHost.move` takes them.
    """

    def __init__(
        self,
        loop: Loop,
        network: Network,
        destinations: Sequence[bytes],
        port: int,
        on_change: OnChange,
    ) -> None:
        """`destinations`: outer addresses of the other terminal, or of the forward proxy, packed.
        `port`: of all endpoints. Raises OSError.
        """
        self._loop, self._network, self._on_change = loop, network, on_change
        self._destinations, self._port = tuple(destinations), port
        self._faults = Faults(lambda: loop.now)
        self._timer: Timer | None = None
        self._usable = usable_endpoints(network, self._destinations, port)
        loop.watch(network, self._noticed)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The usable local endpoints, the preferred first."""
        return tuple(self._usable)

    def close(self) -> None:
        """Tell no more."""
        if self._timer:
            self._timer.cancel()
        self._loop.unwatch(self._network)
        self._network.close()

    def _noticed(self) -> None:
        try:
            self._network.take_notices()
        except OSError as error:
            self._rest(error)
            return
        if self._timer is None:
            self._timer = self._loop.after(SETTLING, self._look)

    def _rest(self, error: OSError) -> None:
        """Ask no more for a while: what the kernel refused once, it may refuse at once again."""
        self._faults.note("addresses", error)
        self._loop.unwatch(self._network)
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.after(AGAIN_AFTER, self._go_on)

    def _go_on(self) -> None:
        self._loop.watch(self._network, self._noticed)
        self._look()

    def _look(self) -> None:
        self._timer = None
        try:
            usable = usable_endpoints(self._network, self._destinations, self._port)
        except OSError as error:
            self._rest(error)
            return
        before, self._usable = self._usable, usable
        if list(usable.items()) != list(before.items()):
            kept = [each for each in usable if before.get(each) == usable[each]]
            self._on_change(tuple(usable), kept)


def local_addresses_for(destination: bytes) -> Sequence[bytes]:
    """Return what the kernel would send from to a destination, without netlink: one address, or
    none if it is not reached.
    """
    family = socket.AF_INET if len(destination) == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.connect((address_text(destination), _ANY_PORT))
            return (Endpoint.of(udp.getsockname()[0]).address,)
    except OSError:
        return ()


def _is_loopback(address: bytes) -> bool:
    return ip_address(address).is_loopback
