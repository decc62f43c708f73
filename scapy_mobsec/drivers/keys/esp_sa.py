"""Wireshark's `esp_sa` tables.

A row has 8 columns, 10 in newer Wiresharks, all in double quotes: protocol, source and
destination address, SPI, encryption and its key, authentication and its key, sequence number
length, upper half of the extended sequence number. Keys are `0x...` or plain text. Wireshark has no
table for AH, whose ICV it does not check: here a row without encryption, but with an integrity key,
is for ESP and for AH.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TextIO, TypeVar

from scapy_mobsec.drivers.keys.lines import BadLine
from scapy_mobsec.drivers.keys.names import NotDecrypted
from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.drivers.keys.uat import quote, read_rows
from scapy_mobsec.drivers.keys.wireshark_names import (
    AUTHENTICATIONS,
    ENCRYPTIONS,
    AlgorithmName,
    fold,
    names_of,
    suite_named,
    unknown_to_wireshark,
)
from scapy_mobsec.drivers.keys.written import Written
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.integrity import GMACS, Integrity
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES, Suite

T = TypeVar("T")

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
_NO_ESN = "Wireshark 4.0 does not know extended sequence numbers, and reports no good ICV"
_SEQUENCE_LENGTHS = {"32-bit": False, "64-bit": True}
_OLD_GCM = "AES-GCM [RFC4106]"
_ICVS_OF_OLD_GCM = {
    "unknown-64": ("aes-gcm-8", "aes-gcm-12"),
    "unknown-96": ("aes-gcm-12",),
    "unknown-128": ("aes-gcm-16",),
}
"""The authentication beside that name tells the ICV; strongSwan's save-keys plugin writes such
rows, and 64 bits for an ICV of 12 octets, too.
"""


def recognises(line: str) -> bool:
    """Whether the first line of a file is a row."""
    return line.lstrip().startswith(('"', ","))


def read(text: str, name: str) -> KeyTable:
    """Read a table. Raises BadLine.

    A row whose algorithms Wireshark knows but that are not decrypted here becomes a warning.
    """
    table = KeyTable()
    for line, fields in read_rows(text):
        origin = f"{name}:{line}"
        try:
            for row in _rows(fields, origin):
                table.add(row)
        except NotDecrypted as reason:
            table.warnings.append(f"{origin}: skipped, {reason}")
        except ValueError as error:
            raise BadLine(line, str(error)) from None
    return table


def _rows(fields: list[bytes], origin: str) -> Iterator[KeyRow]:
    """Make what the columns say: two rows, of ESP and of AH, where they fit both.

    Raises NotDecrypted, and ValueError naming the column.
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
    of_ah = AH_SUITES.get(authentication.ours or "") if encryption.ours == "null" else None
    esp: list[Suite] = []
    if of_ah is None or of_ah.name not in GMACS:
        esp = _esp_suites(encryption, authentication)
        if not esp[0].integrity_key_length:
            integrity_key = None
    if encryption.ours == "null":
        encryption_key = b""
    suites: list[Suite | Integrity] = [*esp]
    if of_ah and (integrity_key or not esp):
        suites.append(of_ah)
    for suite in suites:
        yield KeyRow(
            family=family,
            source=source,
            destination=destination,
            spi=spi,
            suite=suite,
            encryption_key=encryption_key,
            integrity_key=integrity_key,
            esn=esn,
            esn_high=esn_high,
            origin=origin,
        )


def _esp_suites(encryption: AlgorithmName, authentication: AlgorithmName) -> list[Suite]:
    """List what Wireshark's two names may mean. Raises NotDecrypted."""
    suite = suite_named(encryption.ours, authentication.ours)
    if suite is not None:
        return [suite]
    if encryption.written == _OLD_GCM and authentication.ours in _ICVS_OF_OLD_GCM:
        return [SUITES[name] for name in _ICVS_OF_OLD_GCM[authentication.ours]]
    raise NotDecrypted(f"{encryption.written} with {authentication.written} is not decrypted")


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


def write(table: KeyTable) -> Written:
    """Write two rows for each SA, IPv4 and IPv6, for any addresses: so they survive a move.

    What Wireshark cannot read or tell apart is said in a comment above the first such row, and is
    a warning.
    """
    written = Written()
    first: dict[SpiPattern, str] = {}
    for row in table.rows:
        sa = row.parameters(row.spi.value or 1)
        names = names_of(sa)
        rows = _two_rows(str(row.spi), sa, names)
        if first.setdefault(row.spi, rows) != rows:
            _warn(written, f"of several rows with SPI {row.spi} Wireshark takes the first")
        if sa.esn:
            _warn(written, _NO_ESN)
        if warning := unknown_to_wireshark(names):
            _warn(written, warning)
        written.add(row, rows)
    written.leave_out_ike(table)
    return written


def _warn(written: Written, warning: str) -> None:
    if warning not in written.warnings:
        written.warnings.append(warning)
        written.parts[f"# {warning}\n"] = None


def write_esp_sa(sas: Iterable[SaParameters | AhParameters], stream: TextIO) -> list[str]:
    """Write SAs as `write` does, and return its warnings."""
    table = KeyTable()
    for sa in sas:
        encryption_key = b"" if isinstance(sa, AhParameters) else sa.encryption_key
        row = KeyRow(
            spi=SpiPattern(sa.spi, 0xFFFFFFFF),
            suite=sa.suite,
            encryption_key=encryption_key,
            integrity_key=sa.integrity_key,
            esn=sa.esn,
            esn_high=sa.esn_high,
        )
        table.add(row)
    written = write(table)
    stream.write(written.text)
    return written.warnings


def _two_rows(spi: str, sa: SaParameters | AhParameters, names: tuple[str, str]) -> str:
    """Rows with ESN have two columns more, which Wireshark 4.0 discards with a warning."""
    encryption, authentication = names
    encryption_key = b"" if isinstance(sa, AhParameters) else sa.encryption_key
    columns = [spi, encryption, _hexadecimal_key(encryption_key)]
    columns += [authentication, _hexadecimal_key(sa.integrity_key)]
    if sa.esn:
        columns += ["64-bit", f"{sa.esn_high:x}"]
    rows = [[family, "*", "*", *columns] for family in ("IPv4", "IPv6")]
    return "".join(",".join(quote(column.encode()) for column in row) + "\n" for row in rows)


def _hexadecimal_key(key: bytes | None) -> str:
    return f"0x{key.hex()}" if key else ""
