"""Integrity algorithms of ESP and AH: the table `INTEGRITY`, and `GMACS` of AH alone.

Key objects are made once for an SA. Only keys as long as the RFC of an algorithm demands are taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Protocol, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC

_BLOCK = 16
_SALT, _GMAC_IV = 4, 8

Icv = Callable[[bytes], bytes]
"""The integrity algorithm of one SA: what it covers goes in, the ICV comes out.

Where it has an IV, that goes in before the rest, and is not in what comes out.
"""


@dataclass(frozen=True, slots=True)
class Integrity:
    """A row of `INTEGRITY` or `GMACS`; lengths in octets."""

    name: str
    key_length: int
    icv_length: int
    make: Callable[[bytes, int], Icv] = field(repr=False, compare=False)
    """Takes the key, and how much of the result is the ICV."""
    iv_length: int = 0
    """How much of the field for the ICV is an IV, which comes first."""

    def keyed(self, key: bytes) -> Icv:
        """Key the algorithm; the caller has checked the length."""
        return self.make(key, self.icv_length - self.iv_length)


class _KeyedContext(Protocol):
    def copy(self) -> Self: ...

    def update(self, data: bytes) -> None: ...

    def finalize(self) -> bytes: ...


class _Mac:
    """HMAC or CMAC: a copy of the keyed context for each packet."""

    __slots__ = ("_keyed", "_length")

    def __init__(self, keyed: _KeyedContext, length: int) -> None:
        self._keyed = keyed
        self._length = length

    def __call__(self, covered: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(covered)
        return mac.finalize()[: self._length]


def _hmac(digest: HashAlgorithm, key: bytes, length: int) -> _Mac:
    return _Mac(HMAC(key, digest), length)


def _cmac(key: bytes, length: int) -> _Mac:
    return _Mac(CMAC(algorithms.AES(key)), length)


class _Gmac:
    """AES-GMAC (RFC 4543 section 4): nonce salt | IV; the salt ends the key."""

    __slots__ = ("_gcm", "_salt")

    def __init__(self, key: bytes, length: int) -> None:
        self._gcm, self._salt = AESGCM(key[:-_SALT]), key[-_SALT:]

    def __call__(self, covered: bytes) -> bytes:
        return self._gcm.encrypt(self._salt + covered[:_GMAC_IV], b"", covered[_GMAC_IV:])


class _AesXcbc:
    """AES-XCBC-MAC (RFC 3566 section 4): CBC-MAC with a mask on the last block."""

    __slots__ = ("_cipher", "_length", "_mask_padded", "_mask_whole")

    def __init__(self, key: bytes, length: int) -> None:
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        own, whole, padded = (encryptor.update(bytes((n,)) * _BLOCK) for n in (1, 2, 3))
        self._cipher = Cipher(algorithms.AES(own), modes.CBC(bytes(_BLOCK)))
        self._mask_whole, self._mask_padded = int.from_bytes(whole), int.from_bytes(padded)
        self._length = length

    def __call__(self, covered: bytes) -> bytes:
        start = max(len(covered) - 1, 0) // _BLOCK * _BLOCK
        last, mask = covered[start:], self._mask_whole
        if len(last) < _BLOCK:
            last, mask = (last + b"\x80").ljust(_BLOCK, b"\0"), self._mask_padded
        last = (int.from_bytes(last) ^ mask).to_bytes(_BLOCK)
        chained = self._cipher.encryptor().update(covered[:start] + last)
        return chained[-_BLOCK:][: self._length]


_ROWS = (
    Integrity("hmac-md5-96", 16, 12, partial(_hmac, MD5())),  # RFC 2403
    Integrity("hmac-sha1-96", 20, 12, partial(_hmac, SHA1())),  # RFC 2404
    # Cut as in draft-ietf-ipsec-ciph-sha-256-00: Linux does so where no other length is asked for.
    Integrity("hmac-sha2-256-96", 32, 12, partial(_hmac, SHA256())),
    Integrity("hmac-sha2-256-128", 32, 16, partial(_hmac, SHA256())),  # RFC 4868
    Integrity("hmac-sha2-384-192", 48, 24, partial(_hmac, SHA384())),  # RFC 4868
    Integrity("hmac-sha2-512-256", 64, 32, partial(_hmac, SHA512())),  # RFC 4868
    Integrity("aes-xcbc-96", 16, 12, _AesXcbc),  # RFC 3566
    Integrity("aes-cmac-96", 16, 12, _cmac),  # RFC 4494
)

INTEGRITY: Mapping[str, Integrity] = MappingProxyType({row.name: row for row in _ROWS})

GMACS: Mapping[str, Integrity] = MappingProxyType(
    {
        f"aes-{bits}-gmac": Integrity(
            f"aes-{bits}-gmac", bits // 8 + _SALT, _GMAC_IV + _BLOCK, _Gmac, _GMAC_IV
        )
        for bits in (128, 192, 256)
    }
)
"""RFC 4543; in ESP it is a combined mode, `null-aes-gmac`."""
