"""Key files: Wireshark's `esp_sa` tables, read and written.

A row has 8 columns, 10 in newer Wiresharks, all in double quotes: protocol, source and
destination address, SPI, encryption and its key, authentication and its key, sequence number
length, upper half of the extended sequence number. Keys are `0x...` or plain text. Wireshark has no
table for AH, whose ICV it does not check: here a row without encryption is for AH. No error or
warning shows what a row holds: it may be a key in the wrong column.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO, TypeVar

from scapy_mobsec.drivers.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.uat import MAX_SIZE, UatError, quote, read_rows
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters, AhSuite
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES, Suite

T = TypeVar("T")

MAX_ROWS = 65_536


def _folded(name: str) -> str:
    return "".join(name.split()).lower()


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

_NULL = "NULL"
_AES_CBC = "AES-CBC [RFC3602]"
_AES_GCM_16 = "AES-GCM with 16 octet ICV [RFC4106]"
_SHA1_96 = "HMAC-SHA-1-96 [RFC2404]"
_SHA256_128 = "HMAC-SHA-256-128 [RFC4868]"
_ANY_96 = "ANY 96 bit authentication [no checking]"
_ANY_128 = "ANY 128 bit authentication [no checking]"

_SUITES = {
    (_AES_GCM_16, _NULL): "aes-gcm-16",
    (_AES_CBC, _SHA256_128): "aes-cbc-hmac-sha2-256-128",
    (_AES_CBC, _SHA1_96): "aes-cbc-hmac-sha1-96",
}
"""What is opened and verified: Wireshark's two names, our suite."""

_AH_SUITES = {
    (_NULL, _SHA256_128): "hmac-sha2-256-128",
    (_NULL, _SHA1_96): "hmac-sha1-96",
}

_UNKEYED_SUITES = {
    (_AES_CBC, _ANY_128): "aes-cbc-hmac-sha2-256-128",
    (_AES_CBC, _ANY_96): "aes-cbc-hmac-sha1-96",
}
"""Without authentication key: the name only tells the length of the ICV."""

_ENCRYPTIONS = {_folded(name): name for name in (
    _NULL,
    _AES_CBC,
    _AES_GCM_16,
    "TripleDES-CBC [RFC2451]",
    "AES-CTR [RFC3686]",
    "DES-CBC [RFC2405]",
    "CAST5-CBC [RFC2144]",
    "BLOWFISH-CBC [RFC2451]",
    "TWOFISH-CBC",
    "AES-GCM [RFC4106]",
    "AES-GCM with 8 octet ICV [RFC4106]",
    "AES-GCM with 12 octet ICV [RFC4106]",
    "AES-GCM with IIV and 16 octet ICV [RFC4106 & RFC8750]",
    "ChaCha20 with Poly1305 [RFC7634]",
    "ChaCha20 with Poly1305 and IIV [RFC7634 & RFC8750]",
)}  # fmt: skip
_AUTHENTICATIONS = {_folded(name): name for name in (
    _NULL,
    _SHA1_96,
    _SHA256_128,
    _ANY_96,
    _ANY_128,
    "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]",
    "HMAC-SHA-384-192 [RFC4868]",
    "HMAC-SHA-512-256 [RFC4868]",
    "HMAC-MD5-96 [RFC2403]",
    "MAC-RIPEMD-160-96 [RFC2857]",
    "ANY 64 bit authentication [no checking]",
    "ANY 192 bit authentication [no checking]",
    "ANY 256 bit authentication [no checking]",
)}  # fmt: skip


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
    suite: Suite | AhSuite
    encryption_key: bytes = field(repr=False)
    integrity_key: bytes | None = field(repr=False)
    esn: bool = False
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
        if isinstance(self.suite, AhSuite):
            return AhParameters(spi, self.suite, self.integrity_key or b"", self.esn)
        return SaParameters(spi, self.suite, self.encryption_key, self.integrity_key, self.esn)


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
            if not isinstance(row.suite, AhSuite):
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
                row = _row(fields, origin)
            except ValueError as error:
                raise UatError(line, str(error)) from None
            if count > MAX_ROWS:
                raise UatError(line, f"more than {MAX_ROWS} rows")
            if isinstance(row, KeyRow):
                rows.append(row)
            else:
                warnings.append(f"{origin}: {row}")
    except UatError as error:
        raise KeyFileError(f"{name}:{error.line}: {error}") from None
    return KeyTable(rows, warnings)


def _row(fields: list[bytes], origin: str) -> KeyRow | str:
    """Make a row of its columns, or say why it is skipped. Raises ValueError naming the column."""
    if not _OLD_COLUMNS <= len(fields) <= len(_COLUMNS):
        raise ValueError(f"{len(fields)} columns, not {_OLD_COLUMNS} or {len(_COLUMNS)}")
    columns = dict(zip(_COLUMNS, fields, strict=False))
    family = _choice(columns, "protocol", _FAMILIES)
    source = _address(columns, "source address", family)
    destination = _address(columns, "destination address", family)
    spi = _parse(columns, "SPI", SpiPattern.of, "neither an SPI nor 8 digits with wildcards nor *")
    names = (
        _choice(columns, "encryption", _ENCRYPTIONS),
        _choice(columns, "authentication", _AUTHENTICATIONS),
    )
    encryption_key = _key(columns, "encryption key")
    integrity_key: bytes | None = _key(columns, "authentication key")
    esn = False
    if len(fields) > _OLD_COLUMNS:
        esn = _choice(columns, _COLUMNS[8], _SEQUENCE_LENGTHS)
    if len(fields) == len(_COLUMNS) and _parse(columns, _COLUMNS[9], _hexadecimal, "not a number"):
        return f"skipped, an {_COLUMNS[9]} is not supported"
    suite: Suite | AhSuite
    if names in _AH_SUITES and integrity_key:
        suite = AH_SUITES[_AH_SUITES[names]]
    elif names in _SUITES or names in _UNKEYED_SUITES:
        suite = SUITES[_SUITES.get(names) or _UNKEYED_SUITES[names]]
        if names in _UNKEYED_SUITES or not suite.integrity_key_length or not integrity_key:
            integrity_key = None
    else:
        return f"skipped, {names[0]} with {names[1]} is not decrypted"
    row = KeyRow(
        family, source, destination, spi, suite, encryption_key, integrity_key, esn, origin
    )
    row.parameters(spi.value or 1)  # the one place that knows which keys fit
    return row


def _parse(columns: Mapping[str, bytes], name: str, parse: Callable[[str], T], complaint: str) -> T:
    try:
        return parse(columns[name].decode("ascii").strip())
    except ValueError:
        raise ValueError(f"{name}: {complaint}") from None


def _choice(columns: Mapping[str, bytes], name: str, choices: Mapping[str, T]) -> T:
    """Look up one of Wireshark's names, whatever its case and blanks."""
    folded = _folded(columns[name].decode("latin-1"))
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
    return int(text or "0", 16)


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


def write_esp_sa(sas: Iterable[SaParameters | AhParameters], stream: TextIO) -> None:
    """Write two rows for each SA, IPv4 and IPv6, for any addresses, as Wireshark reads them.

    Rows of SAs with ESN have two columns more, which older Wiresharks discard with a warning.
    Raises ValueError for a suite that Wireshark has no name for.
    """
    for sa in sas:
        encryption, authentication = _names(sa)
        encryption_key = "" if isinstance(sa, AhParameters) else f"0x{sa.encryption_key.hex()}"
        columns = [
            f"0x{sa.spi:08x}",
            encryption,
            encryption_key,
            authentication,
            f"0x{sa.integrity_key.hex()}" if sa.integrity_key else "",
        ]
        if sa.esn:
            columns += ["64-bit", "0"]
        for family in ("IPv4", "IPv6"):
            row = [family, "*", "*", *columns]
            stream.write(",".join(quote(column.encode()) for column in row) + "\n")


def _names(sa: SaParameters | AhParameters) -> tuple[str, str]:
    table = _SUITES if sa.verifiable else _UNKEYED_SUITES
    if isinstance(sa, AhParameters):
        table = _AH_SUITES
    for names, suite in table.items():
        if suite == sa.suite.name:
            return names
    raise ValueError(f"Wireshark has no name for {sa.suite.name}")
