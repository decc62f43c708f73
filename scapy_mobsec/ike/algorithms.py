"""Which algorithms a proposal names: transforms to the names of suites and pseudorandom functions.

An SK payload is protected as ESP is (RFC 5282; RFC 7296 section 3.14): what `esp.suites` has for
ESP serves IKE too. Only the additional data differ.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from scapy_mobsec.esp.suites import SUITES, Suite
from scapy_mobsec.ike.numbers import Encryption, Integrity, PseudoRandom, TransformType
from scapy_mobsec.ike.payloads import Proposal

ENCRYPTIONS = {
    Encryption.TRIPLE_DES: "3des-cbc",
    Encryption.NULL: "null",
    Encryption.AES_CBC: "aes-cbc",
    Encryption.AES_CTR: "aes-ctr",
    Encryption.AES_CCM_8: "aes-ccm-8",
    Encryption.AES_CCM_12: "aes-ccm-12",
    Encryption.AES_CCM_16: "aes-ccm-16",
    Encryption.AES_GCM_8: "aes-gcm-8",
    Encryption.AES_GCM_12: "aes-gcm-12",
    Encryption.AES_GCM_16: "aes-gcm-16",
    Encryption.NULL_AES_GMAC: "null-aes-gmac",
    Encryption.CHACHA20_POLY1305: "chacha20-poly1305",
}


class UnsupportedAlgorithm(ValueError):
    """An algorithm that is not known here, or not told; the text names it."""


class Suited(NamedTuple):
    """What a proposal chose. key_length: of the encryption key in octets, with its salt."""

    suite: Suite
    key_length: int


def suite_named(encryption: str, integrity: str | None) -> Suite:
    """Return the suite of two names. Raises UnsupportedAlgorithm."""
    name = encryption if integrity is None else f"{encryption}-{integrity}"
    if name not in SUITES:
        raise UnsupportedAlgorithm(f"{name} is not decrypted")
    return SUITES[name]


def names_of(proposal: Proposal) -> tuple[str, str | None]:
    """Return encryption and integrity of a chosen proposal. Raises UnsupportedAlgorithm."""
    chosen = proposal.chosen(TransformType.ENCR)
    if chosen is None:
        raise UnsupportedAlgorithm("no encryption algorithm")
    number = chosen.id
    if number not in ENCRYPTIONS:
        raise UnsupportedAlgorithm(f"{name_of(Encryption, number)} is not decrypted")
    return ENCRYPTIONS[Encryption(number)], integrity_of(proposal)


def integrity_of(proposal: Proposal) -> str | None:
    """Return the name of its integrity algorithm, None for none or NONE."""
    chosen = proposal.chosen(TransformType.INTEG)
    return None if chosen is None or not chosen.id else name_of(Integrity, chosen.id)


def prf_of(proposal: Proposal) -> str | None:
    """Return the name of its pseudorandom function, None for none."""
    chosen = proposal.chosen(TransformType.PRF)
    return None if chosen is None else name_of(PseudoRandom, chosen.id)


def suite_of(proposal: Proposal) -> Suited:
    """Return what a chosen proposal protects with. Raises UnsupportedAlgorithm."""
    encryption, integrity = names_of(proposal)
    if integrity is None and encryption not in SUITES:
        integrity = "none"
    suite = suite_named(encryption, integrity)
    chosen = proposal.chosen(TransformType.ENCR)
    bits = chosen.key_length if chosen else None
    if bits is None:
        if len(suite.key_lengths) != 1:
            raise UnsupportedAlgorithm(f"{suite.name} without a key length")
        (octets,) = suite.key_lengths
    else:
        octets = bits // 8
    if octets not in suite.key_lengths or (bits or 0) % 8:
        raise UnsupportedAlgorithm(f"{suite.name} with keys of {bits} bits")
    return Suited(suite, octets + suite.salt_length)


def name_of(numbers: type[IntEnum], number: int) -> str:
    """Return the name of a number in lower case with hyphens; the number where it has none."""
    known: Mapping[int, IntEnum] = numbers._value2member_map_  # type: ignore[assignment]
    return known[number].name.lower().replace("_", "-") if number in known else str(number)
