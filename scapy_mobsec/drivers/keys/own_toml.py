"""This program's own key files: TOML that holds everything.

    [[esp]] or [[ah]]: spi, suite, encryption_key, integrity_key, esn, esn_high, family, source,
                       destination, anywhere
    [[ike]]:           initiator_spi, responder_spi, encryption, integrity, prf, sk_ei, sk_er,
                       sk_ai, sk_ar, sk_d

docs/keys.md tells what each means. Only `spi`, `suite` and the keys must be there, of `ike` SPIs,
`encryption`, `sk_ei` and `sk_er`. Octets are hexadecimal digits.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import TypeVar

from scapy_mobsec.drivers.keys.lines import BadLine, numbered_lines, octets_of
from scapy_mobsec.drivers.keys.names import COMBINED
from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.keys.table import ANY_ADDRESS, KeyRow, KeyTable
from scapy_mobsec.drivers.keys.written import Written
from scapy_mobsec.esp.ah import AH_SUITES
from scapy_mobsec.esp.ciphers import CIPHERS
from scapy_mobsec.esp.integrity import INTEGRITY, Integrity
from scapy_mobsec.esp.suites import SUITES, Suite
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.ike.prf import PRFS

T = TypeVar("T")

_KINDS = ("esp", "ah", "ike")
_HEADER = re.compile(r"[ \t]*\[\[[ \t]*(esp|ah|ike)[ \t]*\]\]")
_LINE_OF_FAULT = re.compile(r"\(at line (\d+), ")
_ALGORITHMS = ("encryption", "integrity", "prf")
_SECRETS = ("sk_ei", "sk_er", "sk_ai", "sk_ar", "sk_d")


def recognises(line: str) -> bool:
    """Whether the first line of a file begins a table of this format."""
    return _HEADER.match(line) is not None


def read(text: str, name: str) -> KeyTable:
    """Read a file. Raises BadLine with the line of the table's header."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # The text of the error may show what stands there.
        found = _LINE_OF_FAULT.search(str(error))
        raise BadLine(int(found[1]) if found else 1, "not TOML") from None
    if not document.keys() <= set(_KINDS):
        raise BadLine(1, "other tables than [[esp]], [[ah]] and [[ike]]")
    lines: dict[str, list[int]] = {kind: [] for kind in _KINDS}
    for number, line in numbered_lines(text):
        header = _HEADER.match(line)
        if header:
            lines[header[1]].append(number)
    table = KeyTable()
    for kind in _KINDS:
        entries = document.get(kind, [])
        if not isinstance(entries, list):
            raise BadLine(1, f"{kind}: not [[{kind}]]")
        for entry, place in zip_longest(entries, lines[kind][: len(entries)], fillvalue=1):
            try:
                table.add(_READERS[kind](_Entry(entry), f"{name}:{place}"))
            except ValueError as error:
                raise BadLine(place, str(error)) from None
    return table


class _Entry:
    """A table whose keys are taken one by one. Raises ValueError naming the key."""

    def __init__(self, values: object) -> None:
        if not isinstance(values, dict):
            raise ValueError("not a table")
        self._values = dict(values)

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        value = self._values.pop(key, default)
        if value is None:
            raise ValueError(f"no {key}")
        if type(value) is not kind:
            raise ValueError(f"{key}: not of type {kind.__name__}")
        return value

    def octets(self, key: str) -> bytes | None:
        """Take octets; None if the key is not there."""
        return octets_of(self.take(key, str), key) if key in self._values else None

    def pattern(self, key: str, parse: Callable[[str], T], default: str | None = None) -> T:
        text = self.take(key, str, default)
        try:
            return parse(text)
        except ValueError:
            raise ValueError(f"{key}: not readable") from None

    def choice(self, key: str, choices: Mapping[str, T]) -> T:
        text = self.take(key, str)
        if text not in choices:
            raise ValueError(f"{key}: not a name that is known")
        return choices[text]

    def finish(self) -> None:
        """Refuse what was not taken."""
        if self._values:
            raise ValueError(f"{len(self._values)} keys that this kind of table does not have")


def _row(entry: _Entry, suite: Suite | Integrity, origin: str) -> KeyRow:
    """Make a row of what is left when the suite was taken. Raises ValueError."""
    family = entry.take("family", int, 0) or None
    if family not in (None, 4, 6):
        raise ValueError("family: neither 4 nor 6")
    row = KeyRow(
        spi=entry.pattern("spi", SpiPattern.of),
        suite=suite,
        encryption_key=entry.octets("encryption_key") or b"",
        integrity_key=entry.octets("integrity_key"),
        esn=entry.take("esn", bool, False),
        esn_high=entry.take("esn_high", int, 0),
        family=family,
        source=entry.pattern("source", AddressPattern.of, "*"),
        destination=entry.pattern("destination", AddressPattern.of, "*"),
        anywhere=entry.take("anywhere", bool, False),
        origin=origin,
    )
    entry.finish()
    return row


def _esp(entry: _Entry, origin: str) -> KeyRow:
    return _row(entry, entry.choice("suite", SUITES), origin)


def _ah(entry: _Entry, origin: str) -> KeyRow:
    return _row(entry, entry.choice("suite", AH_SUITES), origin)


def _ike(entry: _Entry, _: str) -> IkeSaKeys:
    """Make keys of an IKE SA. Raises ValueError."""
    initiator_spi, responder_spi = entry.octets("initiator_spi"), entry.octets("responder_spi")
    encryption, integrity, prf = (entry.take(key, str, "") for key in _ALGORITHMS)
    if encryption not in COMBINED and encryption not in CIPHERS:
        raise ValueError("encryption: not a name that is known")
    if integrity and (encryption in COMBINED or integrity not in INTEGRITY):
        raise ValueError("integrity: not a name that is known with this encryption")
    if prf and prf not in PRFS:
        raise ValueError("prf: not a name that is known")
    sk_ei, sk_er, *others = (entry.octets(key) for key in _SECRETS)
    if initiator_spi is None or responder_spi is None or sk_ei is None or sk_er is None:
        raise ValueError("no SPI, sk_ei or sk_er")
    entry.finish()
    return IkeSaKeys(
        initiator_spi,
        responder_spi,
        encryption,
        integrity or None,
        prf or None,
        sk_ei,
        sk_er,
        *others,
    )


_READERS: Mapping[str, Callable[[_Entry, str], KeyRow | IkeSaKeys]] = {
    "esp": _esp,
    "ah": _ah,
    "ike": _ike,
}


def write(table: KeyTable) -> Written:
    """Write everything: ESP, AH, IKE."""
    written = Written()
    for row in sorted(table.rows, key=lambda row: isinstance(row.suite, Integrity)):
        kind = "ah" if isinstance(row.suite, Integrity) else "esp"
        pairs = {
            "spi": str(row.spi),
            "suite": row.suite.name,
            "encryption_key": row.encryption_key.hex() or None,
            "integrity_key": None if row.integrity_key is None else row.integrity_key.hex(),
            "esn": row.esn,
            "esn_high": row.esn_high,
            "family": row.family,
            "source": None if row.source == ANY_ADDRESS else str(row.source),
            "destination": None if row.destination == ANY_ADDRESS else str(row.destination),
            "anywhere": row.anywhere,
        }
        written.add(row, _table(kind, pairs))
    for keys in table.ike_keys:
        octets = {key: getattr(keys, key) for key in _SECRETS}
        pairs = {
            "initiator_spi": keys.initiator_spi.hex(),
            "responder_spi": keys.responder_spi.hex(),
            **{key: getattr(keys, key) for key in _ALGORITHMS},
            **{key: None if value is None else value.hex() for key, value in octets.items()},
        }
        written.add(keys, _table("ike", pairs))
    return written


def _table(kind: str, pairs: Mapping[str, str | int | bool | None]) -> str:
    """Write a table; what is None, false or 0 is its default. All texts are plain."""
    lines = [f"[[{kind}]]"]
    for key, value in pairs.items():
        if value is True:
            lines.append(f"{key} = true")
        elif isinstance(value, int) and value:
            lines.append(f"{key} = {value}")
        elif isinstance(value, str):
            lines.append(f'{key} = "{value}"')
    return "\n".join(lines) + "\n\n"
