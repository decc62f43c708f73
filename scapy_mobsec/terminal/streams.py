"""Open streams, and data that waits for one to open, as plaintext (rule 7).

Packets for a stream are sealed at the moment of writing, so a path change before that loses none:
what waits goes by whatever path is the current one then. A sealed packet is never sealed again.
What has waited 100 ms for a stream to open is dropped: a burst of old packets is no use to whom
they are for.
"""

from collections import deque
from dataclasses import dataclass

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import StreamCarrier
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.description import Description

MAX_WAITING = 64
LONGEST_WAIT = 0.1
"""Packets that wait, and seconds that each of them does."""


@dataclass(slots=True)
class Stream:
    """An open stream. `opened_path`: as the driver knows it. `headers`: what lies between its TCP
    header and what the carrier adds, from the side that opened it; `answer_headers`: to there.
    """

    opened_path: Path
    carrier: StreamCarrier
    headers: Description
    answer_headers: Description
    opened: float
    received_octets: int = 0
    authentic: bool = False
    """An authentic ESP packet came by it."""
    heard: float = 0.0
    """When the last one did."""
    partner: "Stream | None" = None
    second: bool = False
    """It is the second connection of a channel; `partner` is the other one."""
    congested: bool = False
    """Data is not to be written to it now."""

    @property
    def path(self) -> Path:
        """The path of what it carries: inside TLS, tcp is tls."""
        if self.second and self.partner:
            return self.partner.path
        found = self.carrier.encapsulation
        if found in (None, Encapsulation.TCP):
            return self.opened_path
        return self.opened_path._replace(encapsulation=found)


class WaitingData:
    """Inner packets in the order of `send`; the newest is refused where there are too many."""

    def __init__(self) -> None:
        self._packets: deque[tuple[float, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def due(self) -> float | None:
        """When the oldest has waited too long."""
        return self._packets[0][0] + LONGEST_WAIT if self._packets else None

    def add(self, packet: bytes, now: float) -> None:
        """Let a packet wait. Raises Drop(QUEUE_FULL)."""
        if len(self._packets) >= MAX_WAITING:
            raise Drop(DropReason.QUEUE_FULL, "packets that wait for a stream")
        self._packets.append((now, packet))

    def expired(self, now: float) -> list[bytes]:
        """Return those that have waited too long; they wait no more."""
        packets = []
        while self.due is not None and now >= self.due:
            packets.append(self._packets.popleft()[1])
        return packets

    def take(self) -> list[bytes]:
        """Return all that wait; none does afterwards."""
        packets = [packet for _, packet in self._packets]
        self._packets.clear()
        return packets
