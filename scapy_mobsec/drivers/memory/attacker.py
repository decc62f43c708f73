"""An attacker on the path: sees every packet, and does with it what its tactics say.

A tactic is a function of the attacker, a packet and its direction to what comes out; `only` limits
it to some packets. Without a tactic, and after `stop`, everything passes untouched; what was held
back or is to be replayed later still comes.
"""

from collections import deque
from collections.abc import Callable, Sequence

from scapy_mobsec.drivers.memory.network import SECOND, Direction, PlacedElement
from scapy_mobsec.drivers.memory.packet import Packet
from scapy_mobsec.packet.path import Endpoint

MAX_RECORDED = 10_000

Outcome = Sequence[tuple[int, Packet]]
Tactic = Callable[["Attacker", Packet, Direction], Outcome]
Condition = Callable[[Packet, Direction], bool]


class Attacker(PlacedElement):
    """`recorded`: direction and packet of what passed (the last 10,000). `held`: what is kept."""

    def __init__(self, tactic: Tactic | None = None) -> None:
        self.tactic = tactic
        self.recorded: deque[tuple[Direction, Packet]] = deque(maxlen=MAX_RECORDED)
        self.held: list[tuple[Direction, Packet]] = []

    def forward(self, packet: Packet, direction: Direction, time_ns: int) -> Outcome:
        self.recorded.append((direction, packet))
        if self.tactic is None:
            return [(0, packet)]
        return self.tactic(self, packet, direction)

    def label(self) -> str:
        return "attacker"

    def stop(self) -> None:
        """Attack no more, and give up what is held."""
        self.tactic = None
        self.held.clear()

    def inject(self, packet: Packet, direction: Direction) -> None:
        """Send a packet that nobody sent."""
        self.place.emit(packet, direction)

    def replay(self, source: Endpoint | None = None) -> None:
        """Send all that was recorded again; `source`: as if it came from there."""
        for direction, packet in list(self.recorded):
            self.inject(_from(packet, source), direction)

    def release(self) -> None:
        """Let go what was held back."""
        held, self.held = self.held, []
        for direction, packet in held:
            self.inject(packet, direction)


def only(tactic: Tactic, condition: Condition) -> Tactic:
    """Limit a tactic to the packets that fulfil a condition."""
    return lambda attacker, packet, direction: (
        tactic(attacker, packet, direction) if condition(packet, direction) else [(0, packet)]
    )


def drop(attacker: Attacker, packet: Packet, direction: Direction) -> Outcome:
    """Let nothing pass."""
    return []


def hold(attacker: Attacker, packet: Packet, direction: Direction) -> Outcome:
    """Keep it until `release`."""
    attacker.held.append((direction, packet))
    return []


def copy_to(victim: Endpoint) -> Tactic:
    """Send a copy to another host too."""
    return lambda attacker, packet, direction: [
        (0, packet),
        (0, packet._replace(destination=victim)),
    ]


def race(source: Endpoint, ahead: float = 0.01) -> Tactic:
    """Let a copy with another source come first, and the original `ahead` seconds later."""
    return lambda attacker, packet, direction: [
        (0, packet._replace(source=source)),
        (round(ahead * SECOND), packet),
    ]


def replay_after(seconds: float, source: Endpoint | None = None) -> Tactic:
    """Let it pass, and come again later, from another source if one is given."""
    return lambda attacker, packet, direction: [
        (0, packet),
        (round(seconds * SECOND), _from(packet, source)),
    ]


def rewrite(source: Endpoint | None = None, destination: Endpoint | None = None) -> Tactic:
    """Change the outer headers."""
    return lambda attacker, packet, direction: [
        (0, _from(packet, source)._replace(destination=destination or packet.destination))
    ]


def _from(packet: Packet, source: Endpoint | None) -> Packet:
    return packet._replace(source=source or packet.source)
