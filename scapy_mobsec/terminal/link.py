"""A link: the SAs that both terminals share, the mode of its inner packets, its current path.

The path says whether a packet is sealed by ESP or AH. AH must know it, because its ICV covers the
addresses: what it makes is the whole IP packet, and lengths are those of that.
"""

from collections.abc import Callable

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ah import InboundAh, OutboundAh
from scapy_mobsec.esp.sa import InboundSa, OutboundSa
from scapy_mobsec.packet.ip import MAX_LENGTH, build_ip
from scapy_mobsec.packet.path import Path
from scapy_mobsec.terminal.config import LinkParameters
from scapy_mobsec.terminal.counters import AhNumbers, Reservation
from scapy_mobsec.terminal.paths import PathState
from scapy_mobsec.terminal.signalling import Mode

__all__ = ["Link", "PathState"]

_ANY_PROTOCOL = 253
"""For experiments (RFC 3692); such a packet never leaves."""

_LATELY = 65_536
"""Packets; more are not under way at once."""


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
        self.inbound = tuple(InboundSa(sa) for sa in parameters.inbound)
        esp, ah = parameters.outbound, parameters.ah
        self.outbound = OutboundSa(esp, random_bytes=random_bytes) if esp else None
        self.inbound_ah = tuple(InboundAh(sa) for sa in ah.inbound) if ah else ()
        self.outbound_ah = OutboundAh(ah.outbound) if ah else None
        self.reservation = Reservation(1, ((sa.parameters.spi, 0) for sa in self.inbound))
        self.ah_reservation = Reservation(1, ((sa.parameters.spi, 0) for sa in self.inbound_ah))
        self.mode: Mode = parameters.mode.make(
            parameters.home_address, parameters.signalling_address, at_mobile=at_mobile
        )
        hidden = len(self.home_address) == 16 and not self.mode.shows_home
        self.told_home = self.home_address if hidden else None
        """HOME of an RREQ, which neither its fixed part nor an inner header identifies."""
        self.message_overhead = len(self.mode.wrap_message(b"")[0])
        """Octets that the mode puts around a registration message, of any length."""
        ends = parameters.home_address, parameters.signalling_address
        smallest = build_ip(*(ends if at_mobile else ends[::-1]), _ANY_PROTOCOL, b"")
        self._data_overhead = len(self.mode.wrap_data(smallest)[0]) - len(smallest)
        self.current: PathState | None = None

    def resume(
        self,
        next_sequence: int,
        ceilings: tuple[tuple[int, int], ...],
        ah: AhNumbers | None = None,
    ) -> None:
        """Go on above the numbers of a snapshot, before anything is sent or received.

        Raises ValueError where no number is left, or an inbound SA has no ceiling.
        """
        found = _ceilings(self.inbound, ceilings)
        ah = ah or AhNumbers(1, ())
        found_ah = _ceilings(self.inbound_ah, ah.ceilings)
        _go_on(self.outbound, next_sequence)
        _go_on(self.outbound_ah, ah.next_sequence)
        self.inbound = tuple(
            InboundSa(sa.parameters, ceiling=found[sa.parameters.spi]) for sa in self.inbound
        )
        self.inbound_ah = tuple(
            InboundAh(sa.parameters, ceiling=found_ah[sa.parameters.spi]) for sa in self.inbound_ah
        )
        self.reservation = Reservation(next_sequence, found.items())
        self.ah_reservation = Reservation(ah.next_sequence, found_ah.items())

    @property
    def ah_numbers(self) -> AhNumbers | None:
        """What a snapshot keeps of the AH SAs."""
        if self.outbound_ah is None:
            return None
        return AhNumbers(self.ah_reservation.next_sequence, self.ah_reservation.ceilings)

    def sent(self, path: Path) -> bool:
        """Note that a packet was sealed for a path; True where that needs another snapshot."""
        if path.ah:
            return self.ah_reservation.sent(self._ah().next_sequence)
        return self.reservation.sent((self.outbound or self._esp()).next_sequence)

    def has_sent(self, header: bytes, path: Path) -> bool:
        """Tell whether a header of ESP or AH, whole or not, is that of a packet sent lately."""
        sa = self.outbound_ah if path.ah else self.outbound
        at = 4 if path.ah else 0
        spi, number = header[at : at + 4], header[at + 4 : at + 8]
        if sa is None or len(number) < 4 or spi != sa.parameters.spi.to_bytes(4):
            return False
        ago = (sa.next_sequence - int.from_bytes(number)) % (1 << 32)
        return 0 < ago < min(sa.next_sequence, _LATELY)

    def skip(self, count: int) -> bool:
        """Leave out the next `count` numbers of each SA; False where none can."""
        skipped = {sa.skip(count) for sa in (self.outbound, self.outbound_ah) if sa}
        return True in skipped

    @property
    def path(self) -> Path | None:
        """The path that data is sent on."""
        return self.current.path if self.current else None

    def outbound_spi(self, path: Path | None = None) -> int:
        """Return the SPI of the packets that this end sends. Raises Drop."""
        sa = self._ah() if path and path.ah else self.outbound or self._esp()
        return sa.parameters.spi

    def seal(self, payload: bytes, next_header: int, path: Path | None = None) -> bytes:
        """Make an ESP packet, or the IP packet with AH that goes by `path`. Raises Drop."""
        if not (path and path.ah):
            return (self.outbound or self._esp()).seal(payload, next_header)
        if self._length(len(payload), path) > MAX_LENGTH:
            raise Drop(DropReason.MESSAGE_TOO_LONG, f"{len(payload)} octets by AH")
        return self._ah().seal(payload, next_header, path.local.address, path.remote.address)

    def seal_message(self, message: bytes, path: Path | None = None) -> bytes:
        """Make the packet that carries a registration message. Raises Drop."""
        payload, next_header = self.mode.wrap_message(message)
        return self.seal(payload, next_header, path)

    def seal_data(self, packet: bytes, path: Path | None = None) -> bytes:
        """Make the packet that carries an inner IP packet. Raises Drop."""
        return self.seal(*self.mode.wrap_data(packet), path)

    def data_length(self, packet: bytes, path: Path | None = None) -> int:
        """Return the octets of the packet for an inner IP packet. Raises Drop."""
        return self._length(len(self.mode.wrap_data(packet)[0]), path)

    def sealed_length(self, packet_length: int, path: Path | None = None) -> int:
        """Return the octets of the packet for an inner IP packet of so many."""
        return self._length(max(0, packet_length + self._data_overhead), path)

    def message_length(self, length: int, path: Path | None = None) -> int:
        """Return how long a registration message must be for a packet of `length` octets.

        Where the suite's blocks do not allow just that, the packet is the next longer one.
        """
        overhead = self.message_overhead
        message = max(0, length - self._length(overhead, path))
        while self._length(overhead + message, path) < length:
            message += 1
        return message

    def _length(self, length: int, path: Path | None) -> int:
        """Return the octets of the packet that a payload becomes. Raises Drop."""
        if not (path and path.ah):
            return (self.outbound or self._esp()).sealed_length(length)
        return self._ah().sealed_length(length, len(path.remote.address))

    def _esp(self) -> OutboundSa:
        if self.outbound is None:  # each packet is spared this call where there is one
            raise Drop(DropReason.NO_PATH, "no ESP SA")
        return self.outbound

    def _ah(self) -> OutboundAh:
        if self.outbound_ah is None:
            raise Drop(DropReason.NO_PATH, "no AH SA")
        return self.outbound_ah


def _ceilings(
    sas: tuple[InboundSa, ...] | tuple[InboundAh, ...], ceilings: tuple[tuple[int, int], ...]
) -> dict[int, int]:
    """Return SPI -> ceiling of these SAs. Raises ValueError where there is none."""
    found = dict(ceilings)
    spis = [sa.parameters.spi for sa in sas]
    if any(spi not in found for spi in spis):
        raise ValueError("no ceiling for an inbound SA")
    return {spi: found[spi] for spi in spis}


def _go_on(sa: OutboundSa | OutboundAh | None, next_sequence: int) -> None:
    if sa is None:
        return
    skipped = next_sequence - sa.next_sequence
    if skipped < 0 or not sa.skip(skipped):
        raise ValueError(f"no sequence number left at {next_sequence}")
