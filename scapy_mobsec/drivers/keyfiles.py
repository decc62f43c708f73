"""Key files: Wireshark's `esp_sa` tables, read and written.

A row has 8 columns, 10 in newer Wiresharks, all in double quotes: protocol, source and
destination address, SPI, encryption and its key, authentication and its key, sequence number
length, upper half of the extended sequence number. Keys are `0x...` or plain text. Wireshark has no
table for AH, whose ICV it does not check: here a row without encryption, but with an integrity key,
is for ESP and for AH. No error or warning shows what a row holds: it may be a key in the wrong
column.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO, TypeVar

from scapy_mobsec.drivers.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.uat import MAX_SIZE, UatError, quote, read_rows
from scapy_mobsec.drivers.wireshark_names import (
    AUTHENTICATIONS,
    ENCRYPTIONS,
    fold,
    names_of,
    suite_named,
    unknown_to_wireshark,
)
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import Suite

T = TypeVar("T")

MAX_ROWS = 65_536


_FAMILIES = {"ipv4": 4, "ipv6": 6, "any": None}
_COLUMNS = (
    "protocol",
    "source address",
    "destination address",
    "SPI",
    "encryption",
    "encryption key",
    "authentication",
    "authentication key",
    "sequence number length",
    "upper half of the extended sequence number",
)
_OLD_COLUMNS = 8
_SEQUENCE_LENGTHS = {"32-bit": False, "64-bit": True}


class KeyFileError(Exception):
    """A key file cannot be used; the text is `file:line: reason`."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One row: the keys, and the packets they are for. The same row of another file is equal."""

    family: int | None
    """4, 6, or None for both."""
    source: AddressPattern
    destination: AddressPattern
    spi: SpiPattern
    suite: Suite | Integrity
    encryption_key: bytes = field(repr=False)
    integrity_key: bytes | None = field(repr=False)
    esn: bool = False
    esn_high: int = 0
    """Upper half of the extended number that the first packet has, if known."""
    origin: str = field(default="", compare=False)
    """`file:line`."""

    def matches(self, family: int, source: bytes, destination: bytes, spi: int) -> bool:
        """Whether the row is for packets between these packed outer addresses with this SPI."""
        return (
            self.spi.matches(spi)
            and self.family in (None, family)
            and self.source.matches(source)
            and self.destination.matches(destination)
        )

    def parameters(self, spi: int) -> SaParameters | AhParameters:
        """Make the SA for an SPI that matches."""
        esn = self.esn, self.esn_high
        if isinstance(self.suite, Integrity):
            return AhParameters(spi, self.suite, self.integrity_key or b"", *esn)
        return SaParameters(spi, self.suite, self.encryption_key, self.integrity_key, *esn)


class KeyTable:
    """Key rows, compiled for look-up by SPI."""

    def __init__(self, rows: Iterable[KeyRow] = (), warnings: Iterable[str] = ()) -> None:
        self.warnings = list(warnings)
        """Rows that were skipped, and why: `file:line: reason`."""
        self._rows: dict[KeyRow, None] = {}
        self._esp_spis: set[int] = set()
        self._exact: dict[int, list[KeyRow]] = {}
        self._wildcard: list[KeyRow] = []
        for row in rows:
            self._add(row)

    @property
    def rows(self) -> list[KeyRow]:
        """All rows in their order, each once."""
        return list(self._rows)

    def extend(self, other: "KeyTable") -> None:
        """Add the rows and warnings of another table."""
        for row in other.rows:
            self._add(row)
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

    def _add(self, row: KeyRow) -> None:
        if row in self._rows:
            return
        self._rows[row] = None
        if row.spi.exact:
            self._exact.setdefault(row.spi.value, []).append(row)
            if not isinstance(row.suite, Integrity):
                self._esp_spis.add(row.spi.value)
        else:
            self._wildcard.append(row)


def read_keys(stream: TextIO, name: str) -> KeyTable:
    """Read a table; `name` is what errors call it. Raises KeyFileError.

    A row whose algorithms Wireshark knows but that are not decrypted here becomes a warning.
    """
    rows: list[KeyRow] = []
    warnings: list[str] = []
    try:
        for count, (line, fields) in enumerate(read_rows(stream.read(MAX_SIZE + 1)), 1):
            origin = f"{name}:{line}"
            try:
                found = _rows(fields, origin)
            except ValueError as error:
                raise UatError(line, str(error)) from None
            if count > MAX_ROWS:
                raise UatError(line, f"more than {MAX_ROWS} rows")
            if isinstance(found, str):
                warnings.append(f"{origin}: {found}")
            else:
                rows += found
    except UatError as error:
        raise KeyFileError(f"{name}:{error.line}: {error}") from None
    return KeyTable(rows, warnings)


def _rows(fields: list[bytes], origin: str) -> list[KeyRow] | str:
    """Make what the columns say, or say why it is skipped. Raises ValueError naming the column.

    It is two rows, of ESP and of AH, where the columns fit both.
    """
    if not _OLD_COLUMNS <= len(fields) <= len(_COLUMNS):
        raise ValueError(f"{len(fields)} columns, not {_OLD_COLUMNS} or {len(_COLUMNS)}")
    columns = dict(zip(_COLUMNS, fields, strict=False))
    family = _choice(columns, "protocol", _FAMILIES)
    source = _address(columns, "source address", family)
    destination = _address(columns, "destination address", family)
    spi = _parse(columns, "SPI", SpiPattern.of, "neither an SPI nor 8 digits with wildcards nor *")
    encryption = _choice(columns, "encryption", ENCRYPTIONS)
    authentication = _choice(columns, "authentication", AUTHENTICATIONS)
    encryption_key = _key(columns, "encryption key")
    integrity_key = _key(columns, "authentication key") or None
    esn, esn_high = _sequence_numbers(columns)
    esp = suite_named(encryption.ours, authentication.ours)
    if esp is None:
        return f"skipped, {encryption.written} with {authentication.written} is not decrypted"
    if not esp.integrity_key_length:
        integrity_key = None
    if not max(esp.key_lengths):
        encryption_key = b""
    suites: list[Suite | Integrity] = [esp]
    if encryption.ours == "null" and integrity_key:
        suites.append(AH_SUITES[authentication.ours or ""])
    keys = encryption_key, integrity_key
    rows = [
        KeyRow(family, source, destination, spi, suite, *keys, esn, esn_high, origin)
        for suite in suites
    ]
    for row in rows:
        row.parameters(spi.value or 1)  # the one place that knows which keys fit
    return rows


def _sequence_numbers(columns: Mapping[str, bytes]) -> tuple[bool, int]:
    """Whether they are extended, and their upper half."""
    length, upper_half = _COLUMNS[_OLD_COLUMNS:]
    esn = length in columns and _choice(columns, length, _SEQUENCE_LENGTHS)
    high = 0
    if upper_half in columns:
        high = _parse(columns, upper_half, _hexadecimal, "not a number of 32 bits")
    return esn, high if esn else 0


def _parse(columns: Mapping[str, bytes], name: str, parse: Callable[[str], T], complaint: str) -> T:
    try:
        return parse(columns[name].decode("ascii").strip())
    except ValueError:
        raise ValueError(f"{name}: {complaint}") from None


def _choice(columns: Mapping[str, bytes], name: str, choices: Mapping[str, T]) -> T:
    """Look up one of Wireshark's names, whatever its case and blanks."""
    folded = fold(columns[name].decode("latin-1"))
    if folded not in choices:
        raise ValueError(f"{name}: not a name that Wireshark knows")
    return choices[folded]


def _address(columns: Mapping[str, bytes], name: str, family: int | None) -> AddressPattern:
    pattern = _parse(columns, name, AddressPattern.of, "not an address, a prefix or a pattern")
    if family and pattern.length not in (0, 4 if family == 4 else 16):
        raise ValueError(f"{name}: not an IPv{family} address")
    return pattern


def _key(columns: Mapping[str, bytes], name: str) -> bytes:
    """Read a key: `0x` and hexadecimal digits (if odd, 0 comes first, as in Wireshark), or text."""
    octets = columns[name]
    if octets[:2] not in (b"0x", b"0X"):
        return octets
    digits = octets[2:].decode("latin-1")
    if not re.fullmatch("[0-9a-fA-F]*", digits):
        raise ValueError(f"{name}: not hexadecimal digits after 0x")
    return bytes.fromhex("0" * (len(digits) % 2) + digits)


def _hexadecimal(text: str) -> int:
    number = int(text or "0", 16)
    if not 0 <= number < 2**32:
        raise ValueError("too large")
    return number


def wireshark_key_files() -> list[Path]:
    """List the user's own `esp_sa` table, where Wireshark would look for it; empty if none.

    That is in WIRESHARK_CONFIG_DIR, else $XDG_CONFIG_HOME/wireshark, else ~/.wireshark.
    """
    configured = os.environ.get("WIRESHARK_CONFIG_DIR")
    if configured:
        folders = [Path(configured)]
    else:
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        folders = [Path(config, "wireshark"), Path.home() / ".wireshark"]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return [folder / "esp_sa"] if folder and (folder / "esp_sa").is_file() else []


def write_esp_sa(sas: Iterable[SaParameters | AhParameters], stream: TextIO) -> list[str]:
    """Write two rows for each SA, IPv4 and IPv6, for any addresses, as Wireshark reads them.

    Rows of SAs with ESN have two columns more, which older Wiresharks discard with a warning. What
    Wireshark has no name for is said in a comment above the first such row, and to the caller.
    Raises ValueError for a suite that has no name.
    """
    warnings: dict[str, None] = {}
    lines: dict[str, None] = {}
    for sa in sas:
        names = names_of(sa)
        warning = unknown_to_wireshark(names)
        if warning:
            warnings[warning] = None
            lines[f"# {warning}"] = None
        for family in ("IPv4", "IPv6"):
            row = [family, "*", "*", *_sa_columns(sa, *names)]
            lines[",".join(quote(column.encode()) for column in row)] = None
    stream.writelines(f"{line}\n" for line in lines)
    return list(warnings)


def _sa_columns(
    sa: SaParameters | AhParameters, encryption: str, authentication: str
) -> Iterable[str]:
    encryption_key = b"" if isinstance(sa, AhParameters) else sa.encryption_key
    yield f"0x{sa.spi:08x}"
    yield encryption
    yield _hexadecimal_key(encryption_key)
    yield authentication
    yield _hexadecimal_key(sa.integrity_key)
    if sa.esn:
        yield "64-bit"
        yield f"{sa.esn_high:x}"


def _hexadecimal_key(key: bytes | None) -> str:
    return f"0x{key.hex()}" if key else ""
