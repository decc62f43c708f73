"""strongSwan's names of algorithms, as in its log: `AES_GCM_16_256`, `HMAC_SHA2_256_128`."""

import re

from scapy_mobsec.esp.suites import UNKNOWN_ICV_BITS

_KEY_LENGTH = re.compile(r"(AES_(?:CBC|CTR|[GC]CM_\d+)|NULL_AES_GMAC|CHACHA20_POLY1305)_\d+")
_CIPHERS = {
    **{
        f"AES_{mode}_{icv}": f"aes-{mode.lower()}-{icv}"
        for mode in ("GCM", "CCM")
        for icv in (8, 12, 16)
    },
    "CHACHA20_POLY1305": "chacha20-poly1305",
    "NULL_AES_GMAC": "null-aes-gmac",
    "AES_CBC": "aes-cbc",
    "AES_CTR": "aes-ctr",
    "3DES_CBC": "3des-cbc",
    "NULL": "null",
}
_INTEGRITIES = {
    name: name.lower().replace("_", "-")
    for name in (
        "HMAC_MD5_96",
        "HMAC_MD5_128",
        "HMAC_SHA1_96",
        "HMAC_SHA1_160",
        "HMAC_SHA2_256_96",
        "HMAC_SHA2_256_128",
        "HMAC_SHA2_384_192",
        "HMAC_SHA2_512_256",
        "AES_CMAC_96",
        "AES_XCBC_96",
        "AES_128_GMAC",
        "AES_192_GMAC",
        "AES_256_GMAC",
    )
} | {
    "NONE": "none",
    **{f"UNKNOWN_{bits}": f"unknown-{bits}" for bits in UNKNOWN_ICV_BITS},
}
"""The last ones are ours alone."""
_PRFS = {
    "PRF_HMAC_MD5": "hmac-md5",
    "PRF_HMAC_SHA1": "hmac-sha1",
    "PRF_HMAC_SHA2_256": "hmac-sha2-256",
    "PRF_HMAC_SHA2_384": "hmac-sha2-384",
    "PRF_HMAC_SHA2_512": "hmac-sha2-512",
    "PRF_AES128_XCBC": "aes-xcbc",
    "PRF_AES128_CMAC": "aes-cmac",
}


def cipher_of(name: str) -> str | None:
    """Return our name of an encryption algorithm with or without key length; None if unknown."""
    told = _KEY_LENGTH.fullmatch(name)
    return _CIPHERS.get(told[1] if told else name)


def integrity_of(name: str) -> str | None:
    """Return our name of an integrity algorithm; None if unknown."""
    return _INTEGRITIES.get(name)


def prf_of(name: str) -> str | None:
    """Return our name of a pseudorandom function; None if unknown."""
    return _PRFS.get(name)


def name_of_cipher(cipher: str, key_length: int) -> str:
    """Write our name as strongSwan does. key_length: octets, salt left out."""
    name = _THEIR_NAMES[cipher]
    return name if name in ("3DES_CBC", "NULL") else f"{name}_{8 * key_length}"


def name_of(ours: str, *, prf: bool = False) -> str:
    """Write our name of an integrity algorithm, or a pseudorandom function, as strongSwan does."""
    return (_THEIR_PRFS if prf else _THEIR_NAMES)[ours]


_THEIR_NAMES = {
    ours: theirs for names in (_CIPHERS, _INTEGRITIES) for theirs, ours in names.items()
}
_THEIR_PRFS = {ours: theirs for theirs, ours in _PRFS.items()}
