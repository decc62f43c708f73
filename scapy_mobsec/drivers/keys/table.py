"""What key files hold: keys of SAs with the packets they are for, and keys of IKE SAs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import Suite
from scapy_mobsec.ike.keys import IkeSaKeys

MAX_ROWS = 65_536
"""Of one file; IKE SAs are counted on their own."""

ANY_ADDRESS = AddressPattern()


class KeyFileError(Exception):
    """A key file cannot be used; the text is `file:line: reason`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """The keys of an SA, and the packets they are for. The same row of another file is equal."""

    spi: SpiPattern
    suite: Suite | Integrity
    encryption_key: bytes = field(default=b"", repr=False)
    integrity_key: bytes | None = field(default=None, repr=False)
    esn: bool = False
    esn_high: int = 0
    """Upper half of the extended number that the first packet has, if known."""
    family: int | None = None
    """4, 6, or None for both."""
    source: AddressPattern = ANY_ADDRESS
    destination: AddressPattern = ANY_ADDRESS
    anywhere: bool = False
    """The addresses are those of one moment, before a move or a translation: any packet fits."""
    origin: str = field(default="", compare=False)
    """`file:line`."""

    def __post_init__(self) -> None:
        """Raises ValueError for keys that do not fit the suite."""
        self.parameters(self.spi.value or 1)

    def __str__(self) -> str:
        return self.origin or f"SPI {self.spi}"

    def matches(self, family: int, source: bytes, destination: bytes, spi: int) -> bool:
        """Whether the row is for packets between these packed outer addresses with this SPI."""
        if not self.spi.matches(spi):
            return False
        return self.anywhere or (
            self.family in (None, family)
            and self.source.matches(source)
            and self.destination.matches(destination)
        )

    def parameters(self, spi: int) -> SaParameters | AhParameters:
        """Make the SA for an SPI that matches."""
        esn = self.esn, self.esn_high
        # Linux takes HMAC keys of any length for SAs set up by hand, against RFC 4868 2.1.1.
        odd = len(self.integrity_key) if self.integrity_key and "hmac" in self.suite.name else None
        if isinstance(self.suite, Integrity):
            integrity = replace(self.suite, key_length=odd) if odd else self.suite
            return AhParameters(spi, integrity, self.integrity_key or b"", *esn)
        suite = replace(self.suite, integrity_key_length=odd) if odd else self.suite
        return SaParameters(spi, suite, self.encryption_key, self.integrity_key, *esn)


class KeyTable:
    """Keys of any number of files; those of ESP and AH compiled for look-up by SPI."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        """What was skipped, and why: `file:line: reason`."""
        self._rows: dict[KeyRow, None] = {}
        self._ike_keys: dict[IkeSaKeys, None] = {}
        self._esp_spis: set[int] = set()
        self._exact: dict[int, list[KeyRow]] = {}
        self._wildcard: list[KeyRow] = []

    def __repr__(self) -> str:
        held = ((len(self._rows), "SA"), (len(self._ike_keys), "IKE SA"))
        told = [f"{count} {name}{'s' * (count > 1)}" for count, name in held if count]
        return f"<KeyTable: {', '.join(told) or 'empty'}>"

    @property
    def rows(self) -> list[KeyRow]:
        """All rows in their order, each once."""
        return list(self._rows)

    @property
    def ike_keys(self) -> list[IkeSaKeys]:
        """All keys of IKE SAs in their order, each once."""
        return list(self._ike_keys)

    def add(self, entry: KeyRow | IkeSaKeys) -> None:
        """Add what was read. Raises ValueError beyond MAX_ROWS."""
        if len(self._ike_keys if isinstance(entry, IkeSaKeys) else self._rows) >= MAX_ROWS:
            raise ValueError(f"more than {MAX_ROWS} rows")
        self._add(entry)

    def extend(self, other: "KeyTable") -> None:
        """Add what another table has, and its warnings."""
        for row in other.rows:
            self._add(row)
        for keys in other.ike_keys:
            self._add(keys)
        self.warnings += other.warnings

    def knows_spi(self, spi: int) -> bool:
        """Whether a row names exactly this SPI (so that it tells ESP on any UDP port)."""
        return spi in self._esp_spis

    def candidates(
        self, family: int, source: bytes, destination: bytes, spi: int
    ) -> list[SaParameters]:
        """List the SAs that an ESP packet may belong to, those of rows with this very SPI first."""
        fitting = self._fitting(family, source, destination, spi)
        return [each for each in fitting if isinstance(each, SaParameters)]

    def ah_candidates(
        self, family: int, source: bytes, destination: bytes, spi: int
    ) -> list[AhParameters]:
        """List the same of an AH packet."""
        fitting = self._fitting(family, source, destination, spi)
        return [each for each in fitting if isinstance(each, AhParameters)]

    def _fitting(
        self, family: int, source: bytes, destination: bytes, spi: int
    ) -> Iterable[SaParameters | AhParameters]:
        rows = [*self._exact.get(spi, ()), *self._wildcard]
        fitting = [row for row in rows if row.matches(family, source, destination, spi)]
        return dict.fromkeys(row.parameters(spi) for row in fitting)

    def _add(self, entry: KeyRow | IkeSaKeys) -> None:
        if isinstance(entry, IkeSaKeys):
            self._ike_keys[entry] = None
            return
        if entry in self._rows:
            return
        self._rows[entry] = None
        if entry.spi.exact:
            self._exact.setdefault(entry.spi.value, []).append(entry)
            if not isinstance(entry.suite, Integrity):
                self._esp_spis.add(entry.spi.value)
        else:
            self._wildcard.append(entry)
