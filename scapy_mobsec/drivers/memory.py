"""A network in memory, in virtual time: segments, delays, a NAPT, taps, and hosts of terminals.

A segment reaches its parent through a chain of elements, written from the inside to the outside;
whatever the internet does to a packet (delay, translation, loss, filtering, recording) is one
element, and double NAT is one segment behind another. Nothing runs but what `run_for` and
`run_until` run, always in the same order, so the same seeds give the same octets.

Time is counted in whole nanoseconds after `EPOCH`; terminals are told seconds as a float.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from heapq import heappop, heappush
from ipaddress import ip_address
from itertools import count
from math import ceil
from random import Random
from typing import Any, Generic, TypeVar

from scapy_mobsec.packet.ip import UDP, build_ip, build_udp
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.base import Terminal
from scapy_mobsec.terminal.events import Event
from scapy_mobsec.terminal.mobile import MobileTerminal

T = TypeVar("T", bound=Terminal[Any])

EPOCH = 1_767_225_600
"""2026-01-01 00:00:00 UTC, when virtual time begins."""

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet between two endpoints; ports are 0 where the protocol has none."""

    protocol: int
    source: Endpoint
    destination: Endpoint
    payload: bytes

    def octets(self) -> bytes:
        """Build the whole IP packet, as a capture shows it."""
        source, destination, payload = self.source, self.destination, self.payload
        if self.protocol == UDP:
            payload = build_udp(
                source.address, destination.address, source.port, destination.port, payload
            )
        return build_ip(source.address, destination.address, self.protocol, payload)


class Direction(Enum):
    """Which way a packet passes an element: to the outside or to the inside of its segment."""

    OUT = "out"
    IN = "in"


class Element:
    """One thing on the way between a segment and its parent."""

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        """Return what comes out, each with its delay in nanoseconds: nothing if it is lost."""
        raise NotImplementedError


class Delay(Element):
    """A link with a constant one-way delay in seconds."""

    def __init__(self, seconds: float) -> None:
        self._delay = round(seconds * SECOND)

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        return [(self._delay, packet)]


class Tap(Element):
    """Records every packet that passes. One tap may stand in several chains."""

    def __init__(self) -> None:
        self.packets: list[tuple[int, Packet]] = []

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        self.packets.append((time_ns, packet))
        return [(0, packet)]

    def capture(self) -> list[tuple[int, bytes]]:
        """Return time in nanoseconds since the Unix epoch, and octets, of each IP packet."""
        return [(time_ns, packet.octets()) for time_ns, packet in self.packets]


class Napt(Element):
    """A NAT that translates source address and port, and drops what it has no mapping for.

    Mapping and filtering are endpoint independent (RFC 4787 sections 4.1 and 5); mappings do not
    time out. Only UDP passes.
    """

    def __init__(self, external: str, ports: Iterable[int] | None = None) -> None:
        self._external = ip_address(external).packed
        self._ports: Iterator[int] = iter(ports if ports is not None else count(40_000))
        self._outer: dict[Endpoint, Endpoint] = {}
        self._inner: dict[Endpoint, Endpoint] = {}

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        if packet.protocol != UDP:
            return []
        if direction is Direction.OUT:
            return [(0, replace(packet, source=self._map(packet.source)))]
        inner = self._inner.get(packet.destination)
        return [(0, replace(packet, destination=inner))] if inner else []

    def _map(self, inner: Endpoint) -> Endpoint:
        outer = self._outer.get(inner)
        if outer is None:
            outer = next(
                candidate
                for port in self._ports
                if (candidate := Endpoint(self._external, port)) not in self._inner
            )
            self._outer[inner], self._inner[outer] = outer, inner
        return outer


def random_ports(seed: int) -> Iterator[int]:
    """Yield the ports that a NAPT chooses at random, the same ones for the same seed."""
    random = Random(seed)
    while True:
        yield random.randrange(1024, 65536)


class Segment:
    """A network whose hosts reach each other directly, and the rest through its chain."""

    def __init__(
        self,
        network: "MemoryNetwork",
        chain: Sequence[Element] = (),
        parent: "Segment | None" = None,
    ) -> None:
        self.lost = 0
        self._network, self._chain, self._parent = network, tuple(chain), parent
        self._ways: dict[bytes, Callable[[Packet], None]] = {}

    def segment(self, chain: Sequence[Element], addresses: Iterable[str]) -> "Segment":
        """Make a segment behind this one, which is reached from here by `addresses`."""
        child = Segment(self._network, chain, self)
        for address in addresses:
            self._ways[ip_address(address).packed] = child._enter
        return child

    def attach(self, address: bytes, receive: Callable[[Packet], None]) -> None:
        """Let a host have `address` here."""
        self._ways[address] = receive

    def detach(self, address: bytes) -> None:
        """Take an address away from its host."""
        self._ways.pop(address, None)

    def send(self, packet: Packet) -> None:
        """Send a packet of a host of this segment, or of a segment behind it, on its way."""
        if packet.destination.address in self._ways or self._parent is None:
            self._deliver(packet)
        else:
            self._network.walk(packet, self._chain, Direction.OUT, self._parent.send)

    def _enter(self, packet: Packet) -> None:
        self._network.walk(packet, self._chain[::-1], Direction.IN, self._deliver)

    def _deliver(self, packet: Packet) -> None:
        way = self._ways.get(packet.destination.address)
        if way is None:
            self.lost += 1
        else:
            way(packet)


class MemoryNetwork:
    """The clock, everything that is under way, and the segment in the middle."""

    def __init__(self) -> None:
        self.elapsed_ns = 0
        self.core = Segment(self)
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    @property
    def now(self) -> float:
        """Virtual time in seconds since the Unix epoch."""
        return EPOCH + self.elapsed_ns / SECOND

    @property
    def time_ns(self) -> int:
        """Virtual time in nanoseconds since the Unix epoch."""
        return EPOCH * SECOND + self.elapsed_ns

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Do something later; what is due at the same time is done in order of these calls."""
        heappush(self._agenda, (self.elapsed_ns + delay_ns, next(self._order), action))

    def at(self, now: float, action: Callable[[], None]) -> None:
        """Do something when virtual time has reached `now`."""
        self.after(max(0, ceil((now - EPOCH) * SECOND) - self.elapsed_ns), action)

    def walk(
        self,
        packet: Packet,
        chain: Sequence[Element],
        direction: Direction,
        arrive: Callable[[Packet], None],
    ) -> None:
        """Lead a packet through the elements of a chain, and then to `arrive`."""
        if not chain:
            self.after(0, partial(arrive, packet))
            return
        for delay_ns, outcome in chain[0].forward(packet, direction, self.time_ns):
            self.after(delay_ns, partial(self.walk, outcome, chain[1:], direction, arrive))

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.elapsed_ns + round(seconds * SECOND)
        while self._agenda and self._agenda[0][0] <= end:
            self._step()
        self.elapsed_ns = end

    def run_until(self, condition: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Let virtual time pass until the condition holds; False if it did not in that time."""
        end = self.elapsed_ns + round(seconds * SECOND)
        while not condition():
            if not self._agenda or self._agenda[0][0] > end:
                self.elapsed_ns = end
                return False
            self._step()
        return True

    def _step(self) -> None:
        self.elapsed_ns, _, action = heappop(self._agenda)
        action()


class Host(Generic[T]):
    """A place in the network where a terminal runs; what it says is kept with its time.

    `log`: events of the terminal. `inner`: inner packets that arrived. Both with nanoseconds since
    the Unix epoch. `on_inner` is what lives behind the terminal.
    """

    def __init__(
        self,
        network: MemoryNetwork,
        terminal: T,
        on_inner: Callable[[bytes], None] = lambda packet: None,
    ) -> None:
        self.terminal = terminal
        self.on_inner = on_inner
        self.log: list[tuple[int, Event]] = []
        self.inner: list[tuple[int, bytes]] = []
        self._network = network
        self._segments: dict[bytes, Segment] = {}
        self._wakes_at: float | None = None

    def attach(self, segment: Segment, endpoint: Endpoint) -> None:
        """Take an address in a segment, instead of all earlier ones."""
        for address, old in self._segments.items():
            old.detach(address)
        self._segments = {endpoint.address: segment}
        segment.attach(endpoint.address, self._receive)

    def send(self, packet: bytes) -> None:
        """Send an inner packet through the terminal."""
        self.terminal.send(packet, self._network.now)
        self.pump()

    def pump(self) -> None:
        """Take away what the terminal has to send and to say, and wind its timer."""
        network, terminal = self._network, self.terminal
        for transmit in terminal.transmits(network.now):
            path = transmit.path
            segment = self._segments.get(path.local.address)
            if segment:
                segment.send(Packet(UDP, path.local, path.remote, transmit.data))
        while (event := terminal.next_event()) is not None:
            self.log.append((network.time_ns, event))
        for packet in terminal.received():
            self.inner.append((network.time_ns, packet))
            self.on_inner(packet)
        wakes_at = terminal.timer()
        if wakes_at is not None and wakes_at != self._wakes_at:
            network.at(wakes_at, self._wake)
        self._wakes_at = wakes_at

    def _receive(self, packet: Packet) -> None:
        if packet.protocol == UDP:
            path = Path(Encapsulation.UDP, packet.destination, packet.source)
            self.terminal.receive(packet.payload, path, self._network.now)
            self.pump()

    def _wake(self) -> None:
        due = self.terminal.timer()
        if due is not None and due <= self._network.now:
            self._wakes_at = None
            self.terminal.handle_timer(self._network.now)
            self.pump()


class MobileHost(Host[MobileTerminal]):
    """A host that can go to another segment."""

    def move(self, segment: Segment, endpoint: Endpoint) -> None:
        """Leave the old address and go on from another one."""
        self.attach(segment, endpoint)
        self.terminal.move([endpoint], self._network.now)
        self.pump()
