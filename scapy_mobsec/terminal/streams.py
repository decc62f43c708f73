"""Data that waits for a stream to open, as plaintext (rule 7).

Packets for a stream are sealed at the moment of writing, so a path change before that loses none:
what waits goes by whatever path is the current one then. A sealed packet is never sealed again.
"""

from collections import deque

from scapy_mobsec.drops import Drop, DropReason

MAX_WAITING = 64


class WaitingData:
    """Inner packets in the order of `send`; the newest is refused where there are too many."""

    def __init__(self) -> None:
        self._packets: deque[bytes] = deque()

    def add(self, packet: bytes) -> None:
        """Let a packet wait. Raises Drop(QUEUE_FULL)."""
        if len(self._packets) >= MAX_WAITING:
            raise Drop(DropReason.QUEUE_FULL, "packets that wait for a stream")
        self._packets.append(packet)

    def take(self) -> list[bytes]:
        """Return all that wait; none does afterwards."""
        packets = list(self._packets)
        self._packets.clear()
        return packets
