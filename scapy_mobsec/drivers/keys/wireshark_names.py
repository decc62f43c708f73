"""What Wireshark's `esp_sa` tables call the algorithms of our suites, both ways.

An algorithm that Wireshark has no name for goes by our own, as `aes-ccm-16` or `aes-cmac-96`.
Tried with Wireshark 4.0: a row with a name unknown to it is an error there, the others count.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.ciphers import CIPHERS
from scapy_mobsec.esp.integrity import GMACS, INTEGRITY
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES, UNKNOWN_ICV_BITS, Suite

NULL = "NULL"
_NEWER = "ChaCha20 with Poly1305 [RFC7634]"

_ENCRYPTIONS: Mapping[str, str | None] = {
    NULL: "null",
    "TripleDES-CBC [RFC2451]": "3des-cbc",
    "AES-CBC [RFC3602]": "aes-cbc",
    "AES-CTR [RFC3686]": "aes-ctr",
    "AES-GCM with 8 octet ICV [RFC4106]": "aes-gcm-8",
    "AES-GCM with 12 octet ICV [RFC4106]": "aes-gcm-12",
    "AES-GCM with 16 octet ICV [RFC4106]": "aes-gcm-16",
    _NEWER: "chacha20-poly1305",
    "DES-CBC [RFC2405]": None,
    "CAST5-CBC [RFC2144]": None,
    "BLOWFISH-CBC [RFC2451]": None,
    "TWOFISH-CBC": None,
    "AES-GCM [RFC4106]": None,
    "AES-GCM with IIV and 16 octet ICV [RFC4106 & RFC8750]": None,
    "ChaCha20 with Poly1305 and IIV [RFC7634 & RFC8750]": None,
}
"""Wireshark's name, and ours of the cipher or the combined mode suite: None if it is not read."""

_AUTHENTICATIONS: Mapping[str, str | None] = {
    NULL: "none",
    "HMAC-MD5-96 [RFC2403]": "hmac-md5-96",
    "HMAC-SHA-1-96 [RFC2404]": "hmac-sha1-96",
    "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]": "hmac-sha2-256-96",
    "HMAC-SHA-256-128 [RFC4868]": "hmac-sha2-256-128",
    "HMAC-SHA-384-192 [RFC4868]": "hmac-sha2-384-192",
    "HMAC-SHA-512-256 [RFC4868]": "hmac-sha2-512-256",
    **{f"ANY {n} bit authentication [no checking]": f"unknown-{n}" for n in UNKNOWN_ICV_BITS},
    "MAC-RIPEMD-160-96 [RFC2857]": None,
}


@dataclass(frozen=True, slots=True)
class AlgorithmName:
    """One name of a table: as it is written there, and ours."""

    written: str
    ours: str | None


def fold(name: str) -> str:
    """Make names equal that differ by case and blanks only."""
    return "".join(name.split()).lower()


def _names(known: Mapping[str, str | None], ours: list[str]) -> dict[str, AlgorithmName]:
    named = {fold(name): AlgorithmName(name, own) for name, own in known.items()}
    return named | {own: AlgorithmName(own, own) for own in ours if own not in known.values()}


_COMBINED = [s.name for s in SUITES.values() if s.verifiable and not s.integrity_key_length]

ENCRYPTIONS = _names(_ENCRYPTIONS, [*CIPHERS, *_COMBINED])
"""By folded name."""
AUTHENTICATIONS = _names(_AUTHENTICATIONS, [*INTEGRITY, *GMACS])


def suite_named(encryption: str | None, authentication: str | None) -> Suite | None:
    """The suite of two names of ours, None if they are not for each other."""
    if encryption in _COMBINED and authentication == "none":
        return SUITES[encryption]
    return SUITES.get(f"{encryption}-{authentication}")


_WRITTEN = {
    suite.name: (encryption.written, authentication.written)
    for encryption in ENCRYPTIONS.values()
    for authentication in AUTHENTICATIONS.values()
    if (suite := suite_named(encryption.ours, authentication.ours))
}


_WRITTEN_AUTHENTICATIONS = {each.ours: each.written for each in AUTHENTICATIONS.values()}


def names_of(sa: SaParameters | AhParameters) -> tuple[str, str]:
    """The names of encryption and authentication in a row for an SA. Raises ValueError if none.

    Without its integrity key an SA gets a name that only tells the length of the ICV.
    """
    if isinstance(sa, AhParameters):
        return NULL, _WRITTEN_AUTHENTICATIONS[sa.suite.name]
    if sa.suite.name not in _WRITTEN:
        raise ValueError(f"no name for {sa.suite.name}")
    encryption, authentication = _WRITTEN[sa.suite.name]
    if not sa.verifiable and sa.suite.icv_length:
        authentication = _WRITTEN[f"null-unknown-{sa.suite.icv_length * 8}"][1]
    return encryption, authentication


def unknown_to_wireshark(names: tuple[str, str]) -> str:
    """Tell which Wiresharks cannot read a row with these names; empty for none."""
    encryption, authentication = names
    if encryption == _NEWER:
        return f"Wireshark 4.0 does not know {encryption}, newer ones do"
    if encryption not in _ENCRYPTIONS:
        return f"Wireshark has no name for {encryption}"
    if authentication not in _AUTHENTICATIONS:
        return f"Wireshark has no name for {authentication}"
    return ""
