"""Stateful firewalls by protocol. They rewrite nothing, so no comparison of headers shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from scapy_mobsec.drivers.memory.expiring import Expiring
from scapy_mobsec.drivers.memory.network import SECOND, Direction, Element
from scapy_mobsec.drivers.memory.packet import NATIVE, Packet
from scapy_mobsec.kinds import a, many, number, optional
from scapy_mobsec.packet.ip import TCP, UDP
from scapy_mobsec.packet.path import Endpoint


@dataclass(frozen=True, slots=True)
class Block:
    """What is dropped: packets of these protocols (None: of all) in this direction (None: both).

    but_tcp_port: TCP with this port at either end passes.
    """

    name: str
    protocols: tuple[int, ...] | None
    direction: Direction | None = None
    but_tcp_port: int | None = None

    def matches(self, packet: Packet, direction: Direction) -> bool:
        """Tell whether a packet is to be dropped."""
        if self.direction not in (None, direction):
            return False
        if packet.protocol == TCP and self.but_tcp_port in (
            packet.source.port,
            packet.destination.port,
        ):
            return False
        return self.protocols is None or packet.protocol in self.protocols


NO_NATIVE = Block("no native IPsec", NATIVE)
NO_NATIVE_OUT = Block("no native IPsec to the outside", NATIVE, Direction.OUT)
NO_NATIVE_IN = Block("no native IPsec to the inside", NATIVE, Direction.IN)
NO_UDP = Block("no UDP", (UDP,))
ONLY_TCP_443 = Block("only TCP 443", None, but_tcp_port=443)


class Firewall(Element):
    """Drops what `blocks` say; without `inbound` also what comes in and answers nothing.

    timeout: seconds without a packet after which a flow is forgotten, None for never.
    """

    def __init__(self, *blocks: Block, inbound: bool = True, timeout: float | None = None) -> None:
        """Raises ValueError for blocks or a timeout of another kind."""
        many(a(Block)).check("blocks", blocks)
        optional(number(0)).check("timeout", timeout)
        self.blocks = blocks
        self.inbound = inbound
        lifetime = float("inf") if timeout is None else timeout * SECOND
        self._flows: Expiring[tuple[int, Endpoint, Endpoint], bool] = Expiring(lifetime)

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        if packet.too_big:
            original = packet.too_big.original
            passes = self._knows(original, direction.back, time_ns)
        elif any(block.matches(packet, direction) for block in self.blocks):
            passes = False
        else:
            passes = direction is Direction.OUT or self._knows(packet, direction, time_ns)
            if passes and not self.inbound:
                self._flows.put(_flow(packet, direction), True, time_ns)
        return [(0, packet)] if passes else []

    def label(self) -> str:
        words = [block.name for block in self.blocks]
        if not self.inbound:
            words.append("nothing unasked")
        return f"firewall ({', '.join(words)})"

    def _knows(self, packet: Packet, direction: Direction, time_ns: int) -> bool:
        return self.inbound or bool(self._flows.get(_flow(packet, direction), time_ns))


def _flow(packet: Packet, direction: Direction) -> tuple[int, Endpoint, Endpoint]:
    """Return protocol, inner and outer endpoint."""
    if direction is Direction.OUT:
        return packet.protocol, packet.source, packet.destination
    return packet.protocol, packet.destination, packet.source
