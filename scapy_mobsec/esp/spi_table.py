"""Inbound SAs by their SPI: the receiver's first look-up for each packet (RFC 4303 section 2.1)."""

from typing import Generic, TypeVar

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ah import InboundAh
from scapy_mobsec.esp.sa import InboundSa

S = TypeVar("S", InboundSa, InboundAh)

FIRST_SPI = 256
"""0 is never on the wire, and 1..255 are reserved (RFC 4303 section 2.1)."""


class DuplicateSpiError(ValueError):
    """The SPI is in the table already."""


class SpiTableFullError(ValueError):
    """The table holds as many SAs as it may."""


class SpiTable(Generic[S]):
    """At most `max_entries` inbound SAs. The time of a look-up does not depend on their number.

    ESP and AH have a table each: the same SPI in both is two SAs (RFC 4301 section 4.1).
    """

    def __init__(self, max_entries: int = 4096) -> None:
        self.max_entries = max_entries
        self._by_spi: dict[int, S] = {}

    def __len__(self) -> int:
        return len(self._by_spi)

    def add(self, sa: S) -> None:
        """Enter an SA under its SPI.

        Raises ValueError for a reserved SPI, DuplicateSpiError and SpiTableFullError.
        """
        spi = sa.parameters.spi
        if spi < FIRST_SPI:
            raise ValueError(f"SPI {spi} is reserved")
        if spi in self._by_spi:
            raise DuplicateSpiError(f"SPI 0x{spi:08x} is in use")
        if len(self._by_spi) >= self.max_entries:
            raise SpiTableFullError(f"SPI table is full with {self.max_entries} SAs")
        self._by_spi[spi] = sa

    def get(self, spi: int) -> S:
        """Return the SA of this SPI. Raises Drop(UNKNOWN_SPI)."""
        try:
            return self._by_spi[spi]
        except KeyError:
            raise Drop(DropReason.UNKNOWN_SPI, f"0x{spi:08x}") from None

    def remove(self, spi: int) -> S:
        """Take the SA of this SPI out of the table and return it. Raises Drop(UNKNOWN_SPI)."""
        sa = self.get(spi)
        del self._by_spi[spi]
        return sa
