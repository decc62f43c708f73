"""A gateway and its mobile terminals, made in a folder: files, new keys, state that says unused.

    gateway.toml  gateway.keys.toml  gateway.state     with TLS: gateway.pem, certificate and key
    mobile.toml   mobile.keys.toml   mobile.state      of several: mobile-1.toml, ...

Keys are new for each SA, so the state files begin with no number used. Nothing is replaced: if one
of the files is there, none is written.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID

from contrib_layers.numbers import ITEM_INSIDE_TLS, EncapsulationCode
from scapy_mobsec.drivers.keys import own_toml
from scapy_mobsec.drivers.keys.sa_patterns import SpiPattern
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.drivers.live.carrier_texts import Target, carrier_text
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.esp.ah import AH_SUITES
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.spi_table import FIRST_SPI
from scapy_mobsec.esp.suites import SUITES, Suite
from scapy_mobsec.registration.description import EncapsulationItem

MAX_MOBILES = 1024
"""Each has three files in the folder."""

NEW_SUITES = tuple(sorted(name for name, suite in SUITES.items() if suite.verifiable))

_AH_SUITE = "hmac-sha2-256-128"
_CERTIFICATE_DAYS = 3650
_LONGEST_COMMON_NAME = 64
_OWNER_ALONE = 0o600

_Sas: TypeAlias = tuple[KeyRow, ...]


class NewKeysError(Exception):
    """A pair cannot be made; one line that says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made.

    `gateway`: where mobile terminals dial it. `carriers`: what it takes, and they may use. `home`:
    inner address of the first mobile terminal; others follow it. `signalling`: that of the gateway.
    `mode`: as in settings. `ah`: SAs of AH, too.
    """

    gateway: Target
    carriers: tuple[EncapsulationItem, ...]
    home: IPv4Address | IPv6Address
    signalling: IPv4Address | IPv6Address
    mobiles: int = 1
    suite: str = "aes-gcm-16"
    mode: str = "tunnel"
    ah: bool = False

    @property
    def tls(self) -> bool:
        """Whether a carrier runs in TLS, so that the gateway needs a certificate."""
        return any(
            item.code == EncapsulationCode.TLS or item.flags & ITEM_INSIDE_TLS
            for item in self.carriers
        )

    @property
    def names(self) -> list[str]:
        """Names of the mobile terminals' files, without endings."""
        if self.mobiles == 1:
            return ["mobile"]
        return [f"mobile-{number}" for number in range(1, self.mobiles + 1)]


class _Link(NamedTuple):
    """SAs of a link, those of ESP before those of AH, by the end that they lead to."""

    home: IPv4Address | IPv6Address
    to_gateway: _Sas
    to_mobile: _Sas


def make_new_keys(folder: Path, wanted: Wanted) -> list[Path]:
    """Make all files in a folder, which is made too; return them. Raises NewKeysError, OSError,
    StoreError; then none is there.
    """
    links = _links(wanted)
    texts: dict[str, str] = {}
    tls_verify = ""
    if wanted.tls:
        texts["gateway.pem"], tls_verify = _certificate(wanted.gateway.host)
    texts["gateway.toml"] = _gateway_text(wanted, links)
    texts["gateway.keys.toml"] = _keys_text(
        row for link in links for row in (*link.to_gateway, *link.to_mobile)
    )
    for name, link in zip(wanted.names, links, strict=True):
        texts[f"{name}.toml"] = _mobile_text(wanted, name, link, tls_verify)
        texts[f"{name}.keys.toml"] = _keys_text((*link.to_gateway, *link.to_mobile))
    states = [f"{name}.state" for name in ("gateway", *wanted.names)]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (*texts, *states):
        if os.path.lexists(folder / name):
            raise NewKeysError(f"{folder / name}: is there already, and is not replaced")
    made: list[Path] = []
    try:
        for name, text in texts.items():
            made.append(folder / name)
            _write(folder / name, text)
        for name in states:
            made.append(folder / name)
            Store(folder / name, create=True).close()
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    return made


def _links(wanted: Wanted) -> list[_Link]:
    """Make the SAs of all links. Raises NewKeysError."""
    if not 0 < wanted.mobiles <= MAX_MOBILES:
        raise NewKeysError(f"{wanted.mobiles} mobile terminals: 1 to {MAX_MOBILES} can be made")
    if wanted.home.version != wanted.signalling.version:
        raise NewKeysError("home and signalling address are of different families")
    try:
        homes = [wanted.home + number for number in range(wanted.mobiles)]
    except ValueError:
        raise NewKeysError(f"not so many addresses follow {wanted.home}") from None
    if wanted.signalling in homes:
        raise NewKeysError(f"{wanted.signalling} is home and signalling address")
    suites: list[Suite | Integrity] = [SUITES[wanted.suite]]
    if wanted.ah:
        suites.append(AH_SUITES[_AH_SUITE])
    taken: set[int] = set()
    return [_Link(home, *(_sas(suites, taken) for _ in range(2))) for home in homes]


def _sas(suites: Iterable[Suite | Integrity], taken: set[int]) -> _Sas:
    return tuple(_row(suite, taken) for suite in suites)


def _row(suite: Suite | Integrity, taken: set[int]) -> KeyRow:
    """Make an SA with new keys, the longest that the suite has."""
    spi = 0
    while spi < FIRST_SPI or spi in taken:
        spi = int.from_bytes(os.urandom(4))
    taken.add(spi)
    pattern = SpiPattern.of(str(spi))
    if isinstance(suite, Integrity):
        return KeyRow(
            spi=pattern, suite=suite, integrity_key=os.urandom(suite.key_length), esn=True
        )
    integrity = os.urandom(suite.integrity_key_length) if suite.integrity_key_length else None
    encryption = os.urandom(max(suite.key_lengths) + suite.salt_length)
    return KeyRow(
        spi=pattern, suite=suite, encryption_key=encryption, integrity_key=integrity, esn=True
    )


def _keys_text(rows: Iterable[KeyRow]) -> str:
    table = KeyTable()
    for row in rows:
        table.add(row)
    return own_toml.write(table).text


def _gateway_text(wanted: Wanted, links: Sequence[_Link]) -> str:
    pairs: dict[str, object] = {
        "listen": list(dict.fromkeys(_listener(wanted, item) for item in wanted.carriers)),
        "state": "gateway.state",
    }
    if wanted.tls:
        pairs["certificate"] = "gateway.pem"
    if wanted.gateway.is_name:
        pairs["names"] = [wanted.gateway.host.lower()]
    tables = [
        f"\n[[link]]\n{_link_text(wanted, link, 'gateway', link.to_gateway, link.to_mobile)}"
        for link in links
    ]
    return _pairs(pairs) + "".join(tables)


def _mobile_text(wanted: Wanted, name: str, link: _Link, tls_verify: str) -> str:
    host, port = wanted.gateway
    pairs: dict[str, object] = {
        "gateway": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "allow": [carrier_text(item) for item in wanted.carriers],
        "state": f"{name}.state",
    }
    if tls_verify:
        pairs["tls_verify"] = tls_verify
    table = _link_text(wanted, link, name, link.to_mobile, link.to_gateway)
    return f"{_pairs(pairs)}\n[link]\n{table}"


def _link_text(wanted: Wanted, link: _Link, name: str, inbound: _Sas, outbound: _Sas) -> str:
    pairs: dict[str, object] = {
        "home": str(link.home),
        "signalling": str(wanted.signalling),
        "mode": wanted.mode,
        "keys": f"{name}.keys.toml",
        "inbound": [str(inbound[0].spi)],
        "outbound": str(outbound[0].spi),
    }
    if wanted.ah:
        pairs |= {"ah_inbound": [str(inbound[1].spi)], "ah_outbound": str(outbound[1].spi)}
    text = _pairs(pairs)
    if wanted.mode == "l2tp":
        text += f"\n[link.l2tp]\n{_pairs({'tunnel': 1, 'session': 1})}"
    return text


def _listener(wanted: Wanted, item: EncapsulationItem) -> str:
    """Where the gateway listens for a carrier: at all its addresses of one family."""
    if item.code == EncapsulationCode.NATIVE:
        return "native"
    everywhere = "[::]" if ":" in wanted.gateway.host else "0.0.0.0"
    name = carrier_text(EncapsulationItem(item.code, item.flags)).partition(":")[0]
    return f"{name}:{everywhere}:{item.port or wanted.gateway.port}"


def _pairs(pairs: Mapping[str, object]) -> str:
    """Write keys of TOML. Texts are plain and lists of texts, so JSON says the same."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in pairs.items())


def _certificate(host: str) -> tuple[str, str]:
    """Make a certificate signed by itself, with its key (PEM); and its SHA-256 in hexadecimal."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = Name([NameAttribute(NameOID.COMMON_NAME, host[:_LONGEST_COMMON_NAME])])
    begin = datetime.now(UTC)
    certificate = (
        CertificateBuilder(subject, subject, key.public_key(), random_serial_number())
        .not_valid_before(begin - timedelta(days=1))
        .not_valid_after(begin + timedelta(days=_CERTIFICATE_DAYS))
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii"), certificate.fingerprint(SHA256()).hex()


def _write(file: Path, text: str) -> None:
    """Write a new file that its owner alone can read. Raises OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    with open(descriptor, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
