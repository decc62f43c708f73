"""An RREQ and its retransmissions, and the Identification that each of them gets.

The first guess of 0.5 s doubles up to 8 s, with jitter; a retransmission keeps the attempt and
takes a new Identification. After 32 s without reply the exchange is over.
RREQs are padded, so that on a path that is not validated the answer and a full data packet fit into
3 times their octets: 1200 to 1232 octets of ESP packet in the first and the second transmission, at
least 500 later, for paths with a small MTU.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.serial import is_newer_identification, ntp_timestamp

FIRST_INTERVAL = 0.5
LONGEST_INTERVAL = 8.0
GIVE_UP_AFTER = 32.0
JITTER = 0.1
"""An interval is longer or shorter by at most this part of it."""

PADDED_LENGTHS = (1200, 1200, 500)
"""Octets of ESP packet that the transmissions have at least; the last one is for all later ones."""


class IdentificationSource:
    """Gives each RREQ a larger Identification: max(last + 1, NTP time), by serial arithmetic."""

    def __init__(self) -> None:
        self._last: int | None = None

    def next(self, now: float) -> int:
        """Return the next value."""
        value = ntp_timestamp(now)
        if self._last is not None and not is_newer_identification(value, self._last):
            value = (self._last + 1) % (1 << 64)
        self._last = value
        return value

    def skip(self, identification: int) -> None:
        """Go on above `identification`."""
        if self._last is None or is_newer_identification(identification, self._last):
            self._last = identification


@dataclass(slots=True)
class Exchange:
    """One RREQ on one path, waiting for its RREP. `outstanding`: Identification -> when sent."""

    path: Path
    lifetime: int
    started: float
    next_transmission: float
    transmissions: int = 0
    outstanding: dict[int, float] = field(default_factory=dict)

    @property
    def gives_up(self) -> float:
        """When no reply is waited for any longer."""
        return self.started + GIVE_UP_AFTER

    @property
    def deadline(self) -> float:
        """When something is to be done."""
        return min(self.next_transmission, self.gives_up)

    @property
    def padded_length(self) -> int:
        """Least octets of the ESP packet of the next transmission."""
        return PADDED_LENGTHS[min(self.transmissions, len(PADDED_LENGTHS) - 1)]

    def transmitted(
        self, identification: int, now: float, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Note a transmission and set the time of the next one."""
        self.outstanding[identification] = now
        interval = min(FIRST_INTERVAL * 2**self.transmissions, LONGEST_INTERVAL)
        chance = int.from_bytes(random_bytes(2), "big") / 0xFFFF
        self.transmissions += 1
        self.next_transmission = now + interval * (1 + JITTER * (2 * chance - 1))
