"""What a cable or a radio link does to packets: delay, jitter, loss, reordering, duplication, MTU.

Each is an element of its own; put side by side in a chain they make a link. Every direction is
counted for itself. A delay below 0, a probability above 1 and the like are a ValueError.
"""

from collections.abc import Sequence

from scapy_mobsec.drivers.memory.network import (
    SECOND,
    ChanceElement,
    Direction,
    PlacedElement,
)
from scapy_mobsec.drivers.memory.packet import Packet, TooBig
from scapy_mobsec.kinds import number, optional, whole
from scapy_mobsec.packet.ip import ICMP, ICMPV6
from scapy_mobsec.packet.path import Endpoint

_SECONDS = number(0)
_PROBABILITY = number(0, 1)


class Delay(ChanceElement):
    """A one-way delay in seconds, each packet's longer by up to `jitter`; the order is kept."""

    def __init__(self, seconds: float, jitter: float = 0.0) -> None:
        super().__init__()
        _SECONDS.check("seconds", seconds)
        _SECONDS.check("jitter", jitter)
        self._delay = round(seconds * SECOND)
        self._jitter = round(jitter * SECOND)
        self._latest = dict.fromkeys(Direction, 0)

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        if not self._jitter:
            return [(self._delay, packet)]
        arrives = time_ns + self._delay + self._random.randrange(self._jitter + 1)
        arrives = self._latest[direction] = max(arrives, self._latest[direction])
        return [(arrives - time_ns, packet)]

    def label(self) -> str:
        jitter = f" +0..{self._jitter / 1e6:g} ms" if self._jitter else ""
        return f"{self._delay / 1e6:g} ms{jitter}"


class Loss(ChanceElement):
    """Loses packets with a probability, but never more than `in_a_row` one after another."""

    def __init__(self, probability: float, in_a_row: int | None = None) -> None:
        super().__init__()
        _PROBABILITY.check("probability", probability)
        optional(whole(0, 1 << 31)).check("in_a_row", in_a_row)
        self.probability = probability
        self._in_a_row = in_a_row
        self._lost = dict.fromkeys(Direction, 0)

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        lost = self._random.random() < self.probability
        if lost and (self._in_a_row is None or self._lost[direction] < self._in_a_row):
            self._lost[direction] += 1
            return []
        self._lost[direction] = 0
        return [(0, packet)]

    def label(self) -> str:
        burst = "" if self._in_a_row is None else f", {self._in_a_row} in a row"
        return f"loss {self.probability:.0%}{burst}"


class Reordering(ChanceElement):
    """Holds some packets back for up to `seconds`, so that later ones overtake them."""

    def __init__(self, probability: float, seconds: float = 0.05) -> None:
        super().__init__()
        _PROBABILITY.check("probability", probability)
        _SECONDS.check("seconds", seconds)
        self.probability = probability
        self._seconds = seconds

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        if self._random.random() < self.probability:
            return [(round(self._random.uniform(0, self._seconds) * SECOND), packet)]
        return [(0, packet)]

    def label(self) -> str:
        return f"reordering {self.probability:.0%}"


class Duplication(ChanceElement):
    """Delivers some packets twice."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        _PROBABILITY.check("probability", probability)
        self.probability = probability

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        return [(0, packet)] * (2 if self._random.random() < self.probability else 1)

    def label(self) -> str:
        return f"duplication {self.probability:.0%}"


class Mtu(PlacedElement):
    """Drops IP packets of more octets; with `notify` their senders are told (RFC 1191, RFC 8201).

    The notice comes from the address that the packet was for.
    """

    def __init__(self, octets: int, notify: bool = False) -> None:
        whole(1, 65_535).check("octets", octets)
        self.octets = octets
        self._notify = notify

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        if packet.length <= self.octets:
            return [(0, packet)]
        if self._notify and packet.too_big is None:
            self.place.emit(too_big(packet, self.octets), direction.back)
        return []

    def label(self) -> str:
        return f"MTU {self.octets}{' notified' if self._notify else ''}"


def too_big(packet: Packet, mtu: int) -> Packet:
    """Make the notice to the sender of a packet that did not fit."""
    source, destination = packet.destination.address, packet.source.address
    protocol = ICMP if len(source) == 4 else ICMPV6
    return Packet(
        protocol, Endpoint(source), Endpoint(destination), b"", too_big=TooBig(mtu, packet)
    )
