"""Secrets as `tcpdump -E` takes them: `SPI@ADDRESS ALGORITHM:SECRET`, one a line or with commas.

The address is the destination, and not compared here, as SAs move. `ALGORITHM:SECRET` alone is
for all SAs. An algorithm is a cipher in CBC mode, with `-hmac96` where an ICV of 96 bits follows;
a secret is `0x...` or text. tcpdump checks no ICV, so there are no integrity keys, and all of it
is decrypted unverified.
"""

import re

from scapy_mobsec.drivers.keys.lines import BadLine, numbered_lines, octets_after_0x
from scapy_mobsec.drivers.keys.names import NotDecrypted, parts_of
from scapy_mobsec.drivers.keys.sa_patterns import SpiPattern, single_address
from scapy_mobsec.drivers.keys.table import ANY_ADDRESS, KeyRow, KeyTable
from scapy_mobsec.drivers.keys.written import Written
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.suites import SUITES

_ICVS = {0: "", 12: "-hmac96"}
_CIPHERS = {
    "3des": ("3des-cbc", 24),
    "des-ede3": ("3des-cbc", 24),
    "aes128": ("aes-cbc", 16),
    "aes192": ("aes-cbc", 24),
    "aes256": ("aes-cbc", 32),
    "aes-128": ("aes-cbc", 16),
    "aes-192": ("aes-cbc", 24),
    "aes-256": ("aes-cbc", 32),
}
"""tcpdump's name, which is OpenSSL's, without `-cbc`: ours, and the octets of its key."""

_NOT_DECRYPTED = ("des", "blowfish", "bf", "rc3", "rc2", "cast128", "cast", "cast5", "none")
_WRITTEN = {("3des-cbc", 24): "3des", ("aes-cbc", 16): "aes128", ("aes-cbc", 24): "aes192",
            ("aes-cbc", 32): "aes256"}  # fmt: skip
_FIRST = re.compile(r"\s*(?:[^@\s]+@\S+[ \t]+[^:\s]+:|(?:file|ikev2)[ \t]|[0-9A-Za-z-]+:\S)", re.I)
_ENTRY = re.compile(r"(?:([^@\s]+)@(\S+)\s+)?([^:\s]+):(.+)")
_SPI = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}")


def recognises(line: str) -> bool:
    """Whether the first line of a file is a secret."""
    return _FIRST.match(line) is not None


def read(text: str, name: str) -> KeyTable:
    """Read secrets. Raises BadLine; what is not decrypted becomes a warning."""
    table = KeyTable()
    for number, line in numbered_lines(text):
        origin = f"{name}:{number}"
        for entry in line.split(","):
            try:
                table.add(_row(entry.strip(), origin))
            except NotDecrypted as reason:
                table.warnings.append(f"{origin}: skipped, {reason}")
            except ValueError as error:
                raise BadLine(number, str(error)) from None
    return table


def _row(entry: str, origin: str) -> KeyRow:
    """Make a row. Raises NotDecrypted, and ValueError naming the part."""
    word = entry.split(None, 1)[0].lower() if entry else ""
    if word == "file":
        raise NotDecrypted("another file is named: give that one itself")
    if word == "ikev2":
        raise NotDecrypted("secrets of IKE are not read in this form")
    parts = _ENTRY.fullmatch(entry)
    if parts is None:
        raise ValueError("neither SPI@ADDRESS ALGORITHM:SECRET nor ALGORITHM:SECRET")
    cipher = parts[3].lower().removesuffix("-hmac96")
    name = cipher.removesuffix("-cbc")
    if name in _NOT_DECRYPTED:
        raise NotDecrypted(f"{name} is not decrypted")
    if name not in _CIPHERS:
        raise ValueError("algorithm: not one that tcpdump has")
    ours, length = _CIPHERS[name]
    suite = SUITES[f"{ours}-none" if cipher == parts[3].lower() else f"{ours}-unknown-96"]
    secret = parts[4].strip()
    key = octets_after_0x(secret, "secret") if secret[:2] == "0x" else secret.encode()
    if len(key) != length:
        raise ValueError(f"{ours}: secret of {len(key)} octets, not {length}")
    destination = ANY_ADDRESS if parts[2] is None else single_address(parts[2], "address")
    return KeyRow(
        spi=SpiPattern() if parts[1] is None else _spi(parts[1]),
        suite=suite,
        encryption_key=key,
        family={4: 4, 16: 6}.get(destination.length),
        destination=destination,
        anywhere=True,
        origin=origin,
    )


def _spi(text: str) -> SpiPattern:
    if not _SPI.fullmatch(text):
        raise ValueError("SPI: not a number")
    try:
        return SpiPattern.of(text)
    except ValueError:
        raise ValueError("SPI: not in 1..2^32-1") from None


def write(table: KeyTable) -> Written:
    """Write what tcpdump decrypts, for the destination that is known."""
    written = Written()
    for row in table.rows:
        cipher = None if isinstance(row.suite, Integrity) else parts_of(row.suite)[0]
        name = _WRITTEN.get((cipher or "", len(row.encryption_key)))
        if name is None or row.suite.icv_length not in _ICVS:
            written.leave_out(row, f"tcpdump does not decrypt {row.suite.name}")
            continue
        icv = _ICVS[row.suite.icv_length]
        secret = f"{name}-cbc{icv}:0x{row.encryption_key.hex()}\n"
        if not row.spi.mask:
            written.add(row, secret)
        elif row.spi.exact and row.destination.exact:
            written.add(row, f"{row.spi}@{row.destination} {secret}")
        else:
            written.leave_out(row, "tcpdump wants one SPI and one destination address")
            continue
        if row.integrity_key:
            written.lose(row, "its integrity key")
        if row.esn:
            written.lose(row, "its extended sequence numbers")
    written.leave_out_ike(table)
    return written
