"""The clock, the segments and the way of a packet: the skeleton of the network in memory.

A segment reaches its parent through a chain of elements, written from the inside to the outside;
whatever the internet does to a packet (delay, translation, loss, filtering, recording) is one
element, and double NAT is one segment behind another. Nothing runs but what `run_for` and
`run_until` run, always in the same order, so the same seed gives the same octets.

Time is counted in whole nanoseconds after `EPOCH`; terminals are told seconds as a float.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from ipaddress import ip_address
from math import ceil
from random import Random
from typing import Any

from scapy_mobsec.drivers.memory.packet import Packet
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.kinds import number
from scapy_mobsec.packet.path import address_text

EPOCH = 1_767_225_600
"""2026-01-01 00:00:00 UTC, when virtual time begins."""

SECOND = 1_000_000_000


class Direction(Enum):
    """Which way a packet passes an element: to the outside or to the inside of its segment."""

    OUT = "out"
    IN = "in"

    @property
    def back(self) -> "Direction":
        """The other way."""
        return Direction.IN if self is Direction.OUT else Direction.OUT


class Element:
    """One thing on the way between a segment and its parent."""

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        """Return what comes out, each with its delay in nanoseconds: nothing if it is lost."""
        raise NotImplementedError

    def placed(self, place: "Place") -> None:
        """Learn where it stands. An element may stand in several chains if it need not know."""

    def label(self) -> str:
        """What a drawing of the network calls it; an empty text is not drawn."""
        return type(self).__name__


@dataclass(frozen=True, slots=True)
class Place:
    """Where an element stands in the chain of a segment."""

    network: "MemoryNetwork"
    segment: "Segment"
    index: int

    def emit(self, packet: Packet, direction: Direction, delay_ns: int = 0) -> None:
        """Let a packet go on from here, as if the element had forwarded it."""
        step = 1 if direction is Direction.OUT else -1
        self.network.after(delay_ns, self.segment.walk, packet, self.index + step, direction)


class PlacedElement(Element):
    """An element that sends packets of its own, and so stands in one chain only."""

    place: Place

    def placed(self, place: Place) -> None:
        """Raises ValueError if it stands elsewhere already."""
        if hasattr(self, "place"):
            raise ValueError(f"{type(self).__name__} can stand in one chain only")
        self.place = place


class ChanceElement(Element):
    """An element that decides by chance, from the seed of the network that it stands in."""

    def __init__(self) -> None:
        self._random = Random(0)
        self._seeded = False

    def placed(self, place: Place) -> None:
        if not self._seeded:
            self._random, self._seeded = place.network.new_random(), True


class Segment:
    """A network whose hosts reach each other directly, and the rest through its chain.

    `lost`: packets for addresses that nobody has. `guests`: the stays of all hosts that were ever
    here, by address and name: begin and end in nanoseconds of virtual time, None if still there.
    """

    def __init__(
        self,
        network: "MemoryNetwork",
        chain: Sequence[Element] = (),
        parent: "Segment | None" = None,
        name: str = "",
    ) -> None:
        self.lost = 0
        self.name = name
        self.chain = tuple(chain)
        self.children: list[Segment] = []
        self.guests: dict[tuple[bytes, str], list[tuple[int, int | None]]] = {}
        self._names: dict[bytes, str] = {}
        self._network, self._parent = network, parent
        self._hosts: dict[bytes, Callable[[Packet], None]] = {}
        self._ways: dict[bytes, Segment] = {}
        for index, element in enumerate(self.chain):
            element.placed(Place(network, self, index))

    def segment(
        self, chain: Sequence[Element], addresses: Iterable[str], name: str = ""
    ) -> "Segment":
        """Make a segment behind this one, which is reached from here by `addresses`.

        Raises ValueError if one of them is in use here.
        """
        packed = [ip_address(address).packed for address in addresses]
        for each in packed:
            self._check_free(each)
        child = Segment(self._network, chain, self, name)
        self.children.append(child)
        self._ways.update(dict.fromkeys(packed, child))
        return child

    def release(self, *addresses: str) -> None:
        """Free addresses by which segments behind this one were reached; nothing reaches them."""
        for address in addresses:
            self._ways.pop(ip_address(address).packed, None)

    def attach(self, address: bytes, receive: Callable[[Packet], None], name: str = "") -> None:
        """Let a host have `address` here; `name` is for drawings.

        Raises ValueError if it is in use here.
        """
        self._check_free(address)
        self.detach(address)
        self._hosts[address], self._names[address] = receive, name
        self.guests.setdefault((address, name), []).append((self._network.elapsed_ns, None))

    def _check_free(self, address: bytes) -> None:
        if address in self._hosts or address in self._ways:
            raise ValueError(f"{address_text(address)} is in use")

    def detach(self, address: bytes) -> None:
        """Take an address away from its host."""
        if self._hosts.pop(address, None):
            stays = self.guests[address, self._names.pop(address)]
            stays[-1] = (stays[-1][0], self._network.elapsed_ns)

    def send(self, packet: Packet) -> None:
        """Send a packet of a host of this segment, or of a segment behind it, on its way."""
        address = packet.destination.address
        if self._parent is None or address in self._hosts or address in self._ways:
            self._deliver(packet)
        else:
            self.walk(packet, 0, Direction.OUT)

    def walk(self, packet: Packet, index: int, direction: Direction) -> None:
        """Lead a packet through the chain, from the element with this index on."""
        chain, network = self.chain, self._network
        step = 1 if direction is Direction.OUT else -1
        while 0 <= index < len(chain):
            outcomes = chain[index].forward(packet, direction, network.time_ns)
            index += step
            if len(outcomes) == 1 and not outcomes[0][0]:
                packet = outcomes[0][1]
                continue
            for delay_ns, outcome in outcomes:
                if delay_ns:
                    network.after(delay_ns, self.walk, outcome, index, direction)
                else:
                    self.walk(outcome, index, direction)
            return
        if direction is Direction.IN:
            self._deliver(packet)
        elif self._parent:
            self._parent.send(packet)

    def _deliver(self, packet: Packet) -> None:
        address = packet.destination.address
        receive = self._hosts.get(address)
        if receive:
            self._network.after(0, receive, packet)
        elif address in self._ways:
            child = self._ways[address]
            child.walk(packet, len(child.chain) - 1, Direction.IN)
        else:
            self.lost += 1


class MemoryNetwork:
    """The clock, everything that is under way, and the segment in the middle.

    `seed` decides all that happens by chance. `tls_keys`: the secrets of all TLS on it.
    """

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.tls_keys = KeyLog()
        self.elapsed_ns = 0
        self.events = 0
        self.core = Segment(self, name="internet")
        self._random = Random(seed)
        self._agenda: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = 0

    @property
    def now(self) -> float:
        """Virtual time in seconds since the Unix epoch."""
        return EPOCH + self.elapsed_ns / SECOND

    @property
    def time_ns(self) -> int:
        """Virtual time in nanoseconds since the Unix epoch."""
        return EPOCH * SECOND + self.elapsed_ns

    def new_random(self) -> Random:
        """Return a source of chance of its own for one part of the network."""
        return Random(self._random.getrandbits(64))

    def after(self, delay_ns: int, action: Callable[..., object], *arguments: Any) -> None:
        """Do something later; what is due at the same time is done in order of these calls.

        Raises ValueError for what should have been done before.
        """
        if delay_ns < 0:
            raise ValueError(f"{-delay_ns} ns ago is over")
        self._order = order = self._order + 1
        heappush(self._agenda, (self.elapsed_ns + delay_ns, order, action, arguments))

    def at(self, now: float, action: Callable[[], object]) -> None:
        """Do something when virtual time has reached `now`."""
        self.after(max(0, ceil((now - EPOCH) * SECOND) - self.elapsed_ns), action)

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass. Raises ValueError for a time below 0, or without end."""
        number(0).check("seconds", seconds)
        end = self.elapsed_ns + round(seconds * SECOND)
        agenda = self._agenda
        while agenda and agenda[0][0] <= end:
            self._step()
        self.elapsed_ns = end

    def run_until(self, condition: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Let virtual time pass until the condition holds; False if it did not in that time.

        Raises ValueError as `run_for` does.
        """
        number(0).check("seconds", seconds)
        end = self.elapsed_ns + round(seconds * SECOND)
        while not condition():
            if not self._agenda or self._agenda[0][0] > end:
                self.elapsed_ns = end
                return False
            self._step()
        return True

    def _step(self) -> None:
        self.elapsed_ns, _, action, arguments = heappop(self._agenda)
        self.events += 1
        action(*arguments)
