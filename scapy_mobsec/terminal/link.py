"""A link: the SAs that both terminals share, the mode of its inner packets, its current path."""

from collections.abc import Callable

from scapy_mobsec.esp.sa import InboundSa, OutboundSa
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Path
from scapy_mobsec.terminal.config import LinkParameters
from scapy_mobsec.terminal.counters import Reservation
from scapy_mobsec.terminal.paths import PathState
from scapy_mobsec.terminal.signalling import Mode

__all__ = ["Link", "PathState"]

_ANY_PROTOCOL = 253
"""For experiments (RFC 3692); such a packet never leaves."""


class Link:
    """One end of a link."""

    def __init__(
        self,
        parameters: LinkParameters,
        *,
        at_mobile: bool,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.home_address = parameters.home_address
        self._signalling_address = parameters.signalling_address
        self.inbound = tuple(InboundSa(sa) for sa in parameters.inbound)
        self.outbound = OutboundSa(parameters.outbound, random_bytes=random_bytes)
        self.reservation = Reservation(1, ((sa.parameters.spi, 0) for sa in self.inbound))
        self.mode: Mode = parameters.mode.make(
            parameters.home_address, parameters.signalling_address, at_mobile=at_mobile
        )
        self.message_overhead = len(self.mode.wrap_message(b"")[0])
        """Octets that the mode puts around a registration message, of any length."""
        self.current: PathState | None = None

    def resume(self, next_sequence: int, ceilings: tuple[tuple[int, int], ...]) -> None:
        """Go on above the numbers of a snapshot, before anything is sent or received.

        Raises ValueError where no number is left, or an inbound SA has no ceiling.
        """
        found = dict(ceilings)
        if any(sa.parameters.spi not in found for sa in self.inbound):
            raise ValueError("no ceiling for an inbound SA")
        skipped = next_sequence - self.outbound.next_sequence
        if skipped < 0 or not self.outbound.skip(skipped):
            raise ValueError(f"no sequence number left at {next_sequence}")
        self.inbound = tuple(
            InboundSa(sa.parameters, ceiling=found[sa.parameters.spi]) for sa in self.inbound
        )
        self.reservation = Reservation(
            next_sequence, ((sa.parameters.spi, found[sa.parameters.spi]) for sa in self.inbound)
        )

    @property
    def outbound_spi(self) -> int:
        """SPI of the packets that this end sends."""
        return self.outbound.parameters.spi

    @property
    def path(self) -> Path | None:
        """The path that data is sent on."""
        return self.current.path if self.current else None

    def seal_message(self, message: bytes) -> bytes:
        """Make the ESP packet that carries a registration message. Raises Drop."""
        return self.outbound.seal(*self.mode.wrap_message(message))

    def seal_data(self, packet: bytes) -> bytes:
        """Make the ESP packet that carries an inner IP packet. Raises Drop."""
        return self.outbound.seal(*self.mode.wrap_data(packet))

    def data_length(self, packet: bytes) -> int:
        """Return the octets of the ESP packet for an inner IP packet. Raises Drop."""
        return self.outbound.sealed_length(len(self.mode.wrap_data(packet)[0]))

    def sealed_length(self, packet_length: int) -> int:
        """Return the octets of the ESP packet for an inner IP packet of so many, from X's side."""
        smallest = build_ip(self.home_address, self._signalling_address, _ANY_PROTOCOL, b"")
        added = len(self.mode.wrap_data(smallest)[0]) - len(smallest)
        return self.outbound.sealed_length(max(0, packet_length + added))

    def message_length(self, esp_length: int) -> int:
        """Return how long a registration message must be for an ESP packet of `esp_length` octets.

        Where the suite's blocks do not allow just that, the packet is the next longer one.
        """
        overhead = self.message_overhead
        length = max(0, esp_length - self.outbound.sealed_length(overhead))
        while self.outbound.sealed_length(overhead + length) < esp_length:
            length += 1
        return length
