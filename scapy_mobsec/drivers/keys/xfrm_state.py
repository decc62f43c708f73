"""What `ip xfrm state` of iproute2 prints, plain, with `-s` or `-o`.

    src 192.0.2.1 dst 203.0.113.2
        proto esp spi 0xc88b7652 reqid 1 mode tunnel
        replay-window 0 flag af-unspec esn
        aead rfc4106(gcm(aes)) 0x... 128
        encap type espinudp sport 4500 dport 4500 addr 0.0.0.0

Read are addresses, protocol, SPI, keys and the flag `esn`; the rest says nothing about keys.
Addresses are not compared: a translator may stand between the host and the capture, and SAs move.
"""

import re
from dataclasses import dataclass, field

from scapy_mobsec.drivers.keys.lines import BadLine, numbered_lines, octets_after_0x
from scapy_mobsec.drivers.keys.names import NotDecrypted, find_suite, parts_of
from scapy_mobsec.drivers.keys.sa_patterns import SpiPattern, single_address
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.drivers.keys.written import Written
from scapy_mobsec.esp.ah import AH_SUITES
from scapy_mobsec.esp.integrity import Integrity
from scapy_mobsec.esp.suites import Suite

AEADS = {
    ("rfc4106(gcm(aes))", 64): "aes-gcm-8",
    ("rfc4106(gcm(aes))", 96): "aes-gcm-12",
    ("rfc4106(gcm(aes))", 128): "aes-gcm-16",
    ("rfc4309(ccm(aes))", 64): "aes-ccm-8",
    ("rfc4309(ccm(aes))", 96): "aes-ccm-12",
    ("rfc4309(ccm(aes))", 128): "aes-ccm-16",
    ("rfc7539esp(chacha20,poly1305)", 128): "chacha20-poly1305",
    ("rfc4543(gcm(aes))", 128): "null-aes-gmac",
}
"""The kernel's name and bits of the ICV: our suite."""

CIPHERS = {
    "cbc(aes)": "aes-cbc",
    "rfc3686(ctr(aes))": "aes-ctr",
    "cbc(des3_ede)": "3des-cbc",
    "ecb(cipher_null)": "null",
}
_OLD_CIPHERS = {"aes": "aes-cbc", "des3_ede": "3des-cbc", "cipher_null": "null"}
HASHES = {
    ("hmac(md5)", 96): "hmac-md5-96",
    ("hmac(sha1)", 96): "hmac-sha1-96",
    ("hmac(sha256)", 96): "hmac-sha2-256-96",
    ("hmac(sha256)", 128): "hmac-sha2-256-128",
    ("hmac(sha384)", 192): "hmac-sha2-384-192",
    ("hmac(sha512)", 256): "hmac-sha2-512-256",
    ("cmac(aes)", 96): "aes-cmac-96",
    ("xcbc(aes)", 96): "aes-xcbc-96",
}
_NO_INTEGRITY = "digest_null"
_DEFAULT_ICV_BITS = {"hmac(sha384)": 192, "hmac(sha512)": 256}
"""Of `auth`, where no number follows the key; 96 for all others, `hmac(sha256)` among them."""

_FLAG_ESN = ("esn", "80")
"""The flag; older versions print its bit."""


@dataclass(frozen=True, slots=True)
class _Algorithm:
    name: str
    key: bytes = field(repr=False)
    icv_bits: int | None


@dataclass(slots=True)
class _State:
    """One state, line by line."""

    line: int
    source: str
    destination: str
    protocol: str = ""
    spi: int = 0
    esn: bool = False
    esn_high: int = 0
    hidden: bool = False
    algorithms: dict[str, _Algorithm] = field(default_factory=dict, repr=False)


def recognises(line: str) -> bool:
    """Whether the first line of a file begins a state."""
    return _begins_state(line.split())


def _begins_state(words: list[str]) -> bool:
    return len(words) >= 4 and words[0] == "src" and words[2] == "dst"


def read(text: str, name: str) -> KeyTable:
    """Read states; what has no keys or is not decrypted becomes a warning. Raises BadLine."""
    table = KeyTable()
    for state in _states(text):
        try:
            row = _row(state, f"{name}:{state.line}")
            if row is not None:
                table.add(row)
        except NotDecrypted as reason:
            table.warnings.append(f"{name}:{state.line}: skipped, {reason}")
        except ValueError as error:
            raise BadLine(state.line, str(error)) from None
    return table


def _states(text: str) -> list[_State]:
    """Go through the lines; prefixes instead of addresses begin a policy. Raises BadLine."""
    states: list[_State] = []
    inside = False
    for number, line in numbered_lines(text):
        for part in line.split("\\"):
            words = part.split()
            if _begins_state(words):
                inside = "/" not in words[1]
                if inside:
                    states.append(_State(number, words[1], words[3]))
            elif inside and words:
                try:
                    _note(states[-1], words)
                except ValueError as error:
                    raise BadLine(number, str(error)) from None
    return states


def _note(state: _State, words: list[str]) -> None:
    """Take one line of a state. Raises ValueError naming the word."""
    if words[0] == "proto":
        told = dict(zip(words[::2], words[1::2], strict=False))
        state.protocol = told["proto"] if len(words) > 1 else ""
        state.spi = _number(told.get("spi", "0").partition("(")[0], "spi")
    elif words[0] in ("replay-window", "flag"):
        flags = words[words.index("flag") + 1 :] if "flag" in words else []
        state.esn |= any(flag in flags for flag in _FLAG_ESN)
    elif words[:2] == ["anti-replay", "esn"]:
        state.esn = True
    elif words[0] in ("seq-hi", "oseq-hi"):
        told = dict(zip(words[::2], words[1::2], strict=False))
        highs = [_number(told.get(key, "0").rstrip(","), key) for key in ("seq-hi", "oseq-hi")]
        state.esn_high = max(highs)
    elif words[0] in ("aead", "enc", "auth", "auth-trunc"):
        if len(words) < 3:
            raise ValueError(f"{words[0]}: no name and key")
        if words[2].startswith("<<"):
            state.hidden = True
            return
        rest = [word for word in words[3:] if word.isdecimal()]
        icv_bits = _number(rest[-1], words[0]) if rest else None
        key = octets_after_0x(words[2], f"{words[0]} key")
        state.algorithms[words[0]] = _Algorithm(words[1].strip("'\""), key, icv_bits)


def _number(text: str, what: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|[0-9]{1,10}", text):
        raise ValueError(f"{what}: not a number")
    return int(text, 0 if text.startswith("0x") else 10)


def _row(state: _State, origin: str) -> KeyRow | None:
    """Make a row, None of other protocols than ESP and AH. Raises NotDecrypted, ValueError."""
    if state.protocol not in ("esp", "ah"):
        return None
    if state.hidden:
        raise NotDecrypted("its keys are hidden")
    if not state.algorithms or not state.spi:
        raise NotDecrypted("it has no keys yet")
    source = single_address(state.source, "src")
    destination = single_address(state.destination, "dst")
    suite: Suite | Integrity | None
    hashed = state.algorithms.get("auth-trunc") or state.algorithms.get("auth")
    if hashed and hashed.name == _NO_INTEGRITY:
        hashed = None
    integrity = _integrity(hashed)
    key = b""
    if state.protocol == "ah":
        suite = AH_SUITES.get(integrity)
    elif "aead" in state.algorithms:
        aead = state.algorithms["aead"]
        suite = find_suite(AEADS.get((aead.name, aead.icv_bits or 128), ""))
        key, hashed = aead.key, None
    else:
        cipher = state.algorithms.get("enc", _Algorithm("cipher_null", b"", None))
        known = {**CIPHERS, **_OLD_CIPHERS}.get(cipher.name, "")
        suite = find_suite(known, integrity)
        key = cipher.key
    if suite is None:
        raise NotDecrypted("its algorithms are not decrypted")
    return KeyRow(
        spi=SpiPattern(state.spi, 0xFFFFFFFF),
        suite=suite,
        encryption_key=key,
        integrity_key=hashed.key if hashed else None,
        esn=state.esn,
        esn_high=state.esn_high if state.esn else 0,
        family={4: 4, 16: 6}.get(source.length or destination.length),
        source=source,
        destination=destination,
        anywhere=True,
        origin=origin,
    )


def _integrity(hashed: _Algorithm | None) -> str:
    if hashed is None:
        return "none"
    bits = hashed.icv_bits or _DEFAULT_ICV_BITS.get(hashed.name, 96)
    return HASHES.get((hashed.name, bits), "not known")


_AEAD_NAMES = {ours: theirs for theirs, ours in AEADS.items()}
_CIPHER_NAMES = {ours: theirs for theirs, ours in CIPHERS.items()}
_HASH_NAMES = {ours: theirs for theirs, ours in HASHES.items()}


def write(table: KeyTable) -> Written:
    """Write a state for each SA: no mode, encapsulation or selector is kept with keys."""
    written = Written()
    for row in table.rows:
        algorithms = _algorithms(row)
        if not row.spi.exact:
            written.leave_out(row, "a state has one SPI")
        elif algorithms is None:
            written.leave_out(row, f"{row.suite.name} has no name there, or a key is not known")
        else:
            source, destination = _written_addresses(row)
            protocol = "ah" if isinstance(row.suite, Integrity) else "esp"
            lines = (
                f"src {source} dst {destination}",
                f"\tproto {protocol} spi {row.spi} reqid 0 mode tunnel",
                "\treplay-window 0" + (" flag esn" if row.esn else ""),
                *(f"\t{algorithm}" for algorithm in algorithms),
                *_esn_context(row),
            )
            written.add(row, "\n".join(lines) + "\n")
    written.leave_out_ike(table)
    return written


def _algorithms(row: KeyRow) -> list[str] | None:
    """Return the lines with the keys, None if they cannot be written."""
    key = f"0x{row.encryption_key.hex()}"
    cipher: str | None = None
    integrity: str | None = row.suite.name
    if not isinstance(row.suite, Integrity):
        cipher, integrity = parts_of(row.suite)
        if cipher in _AEAD_NAMES:
            name, bits = _AEAD_NAMES[cipher]
            return [f"aead {name} {key} {bits}"]
    lines = [] if cipher is None else [f"enc {_CIPHER_NAMES[cipher]} {key}"]
    if integrity == "none":
        return lines
    if integrity not in _HASH_NAMES or row.integrity_key is None:
        return None
    name, bits = _HASH_NAMES[integrity]
    return [f"auth-trunc {name} 0x{row.integrity_key.hex()} {bits}", *lines]


def _esn_context(row: KeyRow) -> list[str]:
    if not row.esn:
        return []
    high = f"0x{row.esn_high:x}"
    return [
        "\tanti-replay esn context:",
        f"\t seq-hi {high}, seq 0x0, oseq-hi {high}, oseq 0x0",
        "\t replay_window 0, bitmap-length 0",
    ]


def _written_addresses(row: KeyRow) -> tuple[str, str]:
    """Return source and destination, unspecified ones where it is not a single address."""
    lengths = {each.length for each in (row.source, row.destination) if each.exact}
    anything = "::" if lengths == {16} else "0.0.0.0"
    source, destination = (
        str(each) if each.exact else anything for each in (row.source, row.destination)
    )
    return source, destination
