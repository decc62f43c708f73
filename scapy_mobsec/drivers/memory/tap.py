"""A tap: the record of what passed one place of the network."""

from collections.abc import Sequence

from scapy_mobsec.drivers.memory.network import Direction, Element
from scapy_mobsec.drivers.memory.packet import Packet


class Tap(Element):
    """Records every packet that passes. One tap may stand in several chains."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.packets: list[tuple[int, Packet]] = []

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        self.packets.append((time_ns, packet))
        return [(0, packet)]

    def capture(self) -> list[tuple[int, bytes]]:
        """Return time in nanoseconds since the Unix epoch, and octets, of each IP packet."""
        return [(time_ns, packet.octets()) for time_ns, packet in self.packets]

    def label(self) -> str:
        return f"tap {self.name}".rstrip()
