"""Plain lists of keys: sections of `name = digits`, algorithms by strongSwan's names.

    [IKE] alg=AES_CBC_128 integ=HMAC_SHA2_256_128 prf=PRF_HMAC_SHA2_256
    SPIi = 7c2b8a492a2ce89a
    Sk_d = ...
    [ESP 1] alg=AES_GCM_16_256 esn=yes
    mobile->gw spi = 44ef3913
    mobile->gw enc = ...
    gw->mobile spi = ...
    [AH 2] alg=HMAC_SHA1_96
    1->2 spi = ...
    1->2 integ = ...

Where `integ` is not told, the length of the keys tells it. `prf`, `integ` and `esn` are what this
program writes beyond what lists made by hand have; other words of a section's line, and names like
`SKEYSEED`, are passed over. Directions are any two words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scapy_mobsec.drivers.keys.lines import BadLine, numbered_lines, octets_of
from scapy_mobsec.drivers.keys.names import (
    INTEGRITY_OF_KEY_LENGTH,
    NotDecrypted,
    find_suite,
    parts_of,
)
from scapy_mobsec.drivers.keys.sa_patterns import SpiPattern
from scapy_mobsec.drivers.keys.strongswan import (
    cipher_of,
    integrity_of,
    name_of,
    name_of_cipher,
    prf_of,
)
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.drivers.keys.written import Written
from scapy_mobsec.esp.ah import AH_SUITES
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.suites import Suite
from scapy_mobsec.ike.keys import IkeSaKeys

_HEADER = re.compile(r"\[(IKE|ESP|AH)(?: \d+)?\](.*)")
_WORD = re.compile(r"(alg|integ|prf|esn|esn_high)=(\S+)")
_VALUE = re.compile(r"(?:(\S{1,64}->\S{1,64}) )?(\w+) *= *(\S*)")
_SPI = ("SPIi", "SPIr")
_SECRETS = ("Sk_ei", "Sk_er", "Sk_ai", "Sk_ar", "Sk_d")
_ESP_NAMES = {"spi", "enc", "integ"}


@dataclass(slots=True)
class _Section:
    """A section and what its lines say: direction and name (of IKE only the name), octets."""

    line: int
    kind: str
    words: Mapping[str, str] = field(repr=False)
    values: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False)

    @property
    def directions(self) -> list[str]:
        """Each once, in their order."""
        return list(dict.fromkeys(direction for direction, _ in self.values))


def recognises(line: str) -> bool:
    """Whether the first line of a file begins a section."""
    return _HEADER.match(line) is not None


def read(text: str, name: str) -> KeyTable:
    """Read a list. Raises BadLine; algorithms that are not decrypted become a warning."""
    table = KeyTable()
    for section in _sections(text):
        origin = f"{name}:{section.line}"
        try:
            if section.kind == "IKE":
                table.add(_ike(section))
            else:
                for direction in section.directions:
                    table.add(_row(section, direction, origin))
        except NotDecrypted as reason:
            table.warnings.append(f"{origin}: skipped, {reason}")
        except ValueError as error:
            raise BadLine(section.line, str(error)) from None
    return table


def _sections(text: str) -> list[_Section]:
    sections: list[_Section] = []
    for number, line in numbered_lines(text):
        header = _HEADER.match(line)
        if header:
            sections.append(_Section(number, header[1], dict(_WORD.findall(header[2]))))
            continue
        value = _VALUE.fullmatch(line.strip())
        if value is None or not sections:
            raise BadLine(number, "neither a section ([IKE], [ESP], [AH]) nor NAME = DIGITS")
        section = sections[-1]
        known = {*_SPI, *_SECRETS} if section.kind == "IKE" else _ESP_NAMES
        if value[2] not in known:
            continue
        if (section.kind == "IKE") is (value[1] is not None):
            raise BadLine(number, "A->B before the name is for ESP and AH")
        try:
            octets = octets_of(value[3].removeprefix("0x"), value[2])
        except ValueError as error:
            raise BadLine(number, str(error)) from None
        section.values[value[1] or "", value[2]] = octets
    return sections


def _ike(section: _Section) -> IkeSaKeys:
    """Make keys of an IKE SA. Raises NotDecrypted, and ValueError for what is missing."""
    told = {name: octets for (_, name), octets in section.values.items()}
    missing = [name for name in (*_SPI, "Sk_ei", "Sk_er") if told.get(name) is None]
    if missing:
        raise ValueError(f"no {missing[0]} in this section")
    cipher = _cipher(section)
    integrity_key = told.get("Sk_ai")
    return IkeSaKeys(
        told["SPIi"],
        told["SPIr"],
        cipher,
        _integrity(section, integrity_key),
        prf_of(section.words.get("prf", "")),
        *(told.get(name) or b"" for name in ("Sk_ei", "Sk_er")),
        *(told.get(name) or None for name in ("Sk_ai", "Sk_ar", "Sk_d")),
    )


def _row(section: _Section, direction: str, origin: str) -> KeyRow:
    """Make the row of one direction. Raises NotDecrypted, and ValueError for what is missing."""
    spi, key, integrity_key = (
        section.values.get((direction, name)) or None for name in ("spi", "enc", "integ")
    )
    if spi is None:
        raise ValueError("no spi for a direction of this section")
    suite: Suite | Integrity | None
    if section.kind == "AH":
        suite = AH_SUITES.get(integrity_of(section.words.get("alg", "")) or "")
        key = None
    else:
        cipher = _cipher(section)
        suite = find_suite(cipher, _integrity(section, integrity_key))
    if suite is None:
        raise NotDecrypted("its algorithms are not decrypted")
    return KeyRow(
        spi=SpiPattern.of(f"0x{spi.hex()}"),
        suite=suite,
        encryption_key=key or b"",
        integrity_key=integrity_key,
        esn=section.words.get("esn") == "yes",
        esn_high=_number(section.words.get("esn_high", "0")),
        origin=origin,
    )


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text):
        raise ValueError("esn_high: not a number")
    return int(text)


def _cipher(section: _Section) -> str:
    cipher = cipher_of(section.words.get("alg", ""))
    if cipher is None:
        raise NotDecrypted("alg is not told or not known")
    return cipher


def _integrity(section: _Section, key: bytes | None) -> str | None:
    """Return what is told, else what the key tells, else None: combined mode, or not known."""
    told = section.words.get("integ")
    if told is None:
        return INTEGRITY_OF_KEY_LENGTH.get(len(key or b""))
    return integrity_of(told) or "not known"


def write(table: KeyTable) -> Written:
    """Write a section for each IKE SA and each SA."""
    written = Written()
    for keys in table.ike_keys:
        written.add(keys, _ike_section(keys))
    for row in table.rows:
        if not row.spi.exact:
            written.leave_out(row, "a list has no wildcards for SPIs")
        else:
            written.add(row, _section(row))
    return written


def _ike_section(keys: IkeSaKeys) -> str:
    suite = find_suite(keys.encryption, keys.integrity)
    salt = suite.salt_length if suite else 0
    words = [f"alg={name_of_cipher(keys.encryption, len(keys.sk_ei) - salt)}"]
    if keys.integrity:
        words.append(f"integ={name_of(keys.integrity)}")
    if keys.prf:
        words.append(f"prf={name_of(keys.prf, prf=True)}")
    octets = {
        "SPIi": keys.initiator_spi,
        "SPIr": keys.responder_spi,
        "Sk_d": keys.sk_d,
        "Sk_ai": keys.sk_ai,
        "Sk_ar": keys.sk_ar,
        "Sk_ei": keys.sk_ei,
        "Sk_er": keys.sk_er,
    }
    lines = [f"{name} = {value.hex()}" for name, value in octets.items() if value is not None]
    return "\n".join((f"[IKE] {' '.join(words)}", *lines)) + "\n"


def _section(row: KeyRow) -> str:
    words = ["esn=yes"] if row.esn else []
    words += [f"esn_high={row.esn_high}"] if row.esn_high else []
    if isinstance(row.suite, Integrity):
        kind = "AH"
        words = [f"alg={name_of(row.suite.name)}", *words]
    else:
        kind = "ESP"
        cipher, integrity = parts_of(row.suite)
        key_length = len(row.encryption_key) - row.suite.salt_length
        names = [f"alg={name_of_cipher(cipher, key_length)}"]
        if integrity:
            names.append(f"integ={name_of(integrity)}")
        words = [*names, *words]
    lines = [f"[{kind}] {' '.join(words)}", f"a->b spi = {row.spi.value:08x}"]
    if row.encryption_key:
        lines.append(f"a->b enc = {row.encryption_key.hex()}")
    if row.integrity_key:
        lines.append(f"a->b integ = {row.integrity_key.hex()}")
    return "\n".join(lines) + "\n"
