"""ESP suites: which algorithms protect an SA. A suite is a row of the table `SUITES`.

Two forms cover ESP: a combined mode algorithm, and a cipher with an integrity algorithm beside it.
Of the second form the table has every pair, and each cipher with no ICV (`-none`) and with one of
N bits by an unknown algorithm (`-unknown-N`): those are opened unverified and never sealed.
Cipher and key objects are made once for an SA, never for a packet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hmac import compare_digest
from types import MappingProxyType
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ciphers import AES_KEYS, CIPHERS, EspCipher, KeyedCipher
from scapy_mobsec.esp.combined import CombinedMode, Gmac, ShortIcvGcm
from scapy_mobsec.esp.integrity import INTEGRITY, Icv, Integrity

UNKNOWN_ICV_BITS = (64, 96, 128, 192, 256)


class Protection(Protocol):
    """The algorithms of one SA, keyed.

    `header` is SPI and sequence number as sent (8 octets), `high` the unsent high-order half of an
    extended sequence number (4 octets, empty without ESN), `protected` ciphertext and ICV.
    """

    def encrypt(self, header: bytes, high: bytes, iv: bytes, plaintext: bytes) -> bytes:
        """Protect whole blocks; return what follows the IV on the wire."""

    def decrypt(self, header: bytes, high: bytes, iv: bytes, protected: bytes) -> bytes:
        """Undo `encrypt`. Raises Drop(BAD_ICV)."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A row of `SUITES`. Lengths are in octets, `key_lengths` without the salt that comes last."""

    name: str
    key_lengths: frozenset[int]
    iv_length: int
    block_length: int
    icv_length: int
    protection: Callable[[bytes, bytes | None], Protection] = field(repr=False, compare=False)
    """Keys the algorithms: encryption key and integrity key, of which the caller has checked the
    lengths. With None for an integrity key that the suite has, decryption verifies nothing.
    """
    salt_length: int = 0
    integrity_key_length: int = 0
    """0: none, as of combined mode."""
    counter_iv: bool = False
    """The IV only must not repeat: it is the sequence number. False: it must be unpredictable."""
    verifiable: bool = True
    """False: there is no ICV, or nobody knows how it was made."""


class CipherThenIcv:
    """A cipher, then an ICV over all that is sent before it (RFC 4303 section 3.3.2.1).

    The unsent half of an extended number is covered last.
    """

    __slots__ = ("_cipher", "_icv", "_icv_length")

    def __init__(self, cipher: KeyedCipher, icv: Icv | None, icv_length: int) -> None:
        self._cipher = cipher
        self._icv = icv
        self._icv_length = icv_length

    def encrypt(self, header: bytes, high: bytes, iv: bytes, plaintext: bytes) -> bytes:
        if self._icv is None:
            raise ValueError("nothing is sealed without an integrity key")
        ciphertext = self._cipher.encrypt(iv, plaintext)
        return ciphertext + self._icv(header + iv + ciphertext + high)

    def decrypt(self, header: bytes, high: bytes, iv: bytes, protected: bytes) -> bytes:
        end = len(protected) - self._icv_length
        ciphertext = protected[:end]
        if self._icv is not None:
            icv = self._icv(header + iv + ciphertext + high)
            if not compare_digest(icv, protected[end:]):
                raise Drop(DropReason.BAD_ICV)
        return self._cipher.decrypt(iv, ciphertext)


def _combined(
    name: str,
    protection: Callable[[bytes], Protection],
    *,
    salt: int,
    icv: int,
    keys: frozenset[int] = AES_KEYS,
) -> Suite:
    return Suite(
        name,
        key_lengths=keys,
        salt_length=salt,
        iv_length=8,
        counter_iv=True,
        block_length=1,
        icv_length=icv,
        protection=partial(_keyed_combined, protection),
    )


def _keyed_combined(
    protection: Callable[[bytes], Protection], encryption_key: bytes, _: bytes | None
) -> Protection:
    return protection(encryption_key)


def _pair(
    cipher: EspCipher, name: str, icv_length: int, integrity: Integrity | None = None
) -> Suite:
    return Suite(
        f"{cipher.name}-{name}",
        key_lengths=cipher.key_lengths,
        salt_length=cipher.salt_length,
        iv_length=cipher.iv_length,
        counter_iv=cipher.counter_iv,
        block_length=cipher.block_length,
        icv_length=icv_length,
        protection=partial(_keyed_pair, cipher, integrity, icv_length),
        integrity_key_length=integrity.key_length if integrity else 0,
        verifiable=integrity is not None,
    )


def _keyed_pair(
    cipher: EspCipher,
    integrity: Integrity | None,
    icv_length: int,
    encryption_key: bytes,
    integrity_key: bytes | None,
) -> Protection:
    icv = None
    if integrity is not None and integrity_key is not None:
        icv = integrity.keyed(integrity_key)
    return CipherThenIcv(cipher.make(encryption_key), icv, icv_length)


def _gcm(icv: int) -> Suite:
    aead = AESGCM if icv == 16 else partial(ShortIcvGcm, icv)
    return _combined(f"aes-gcm-{icv}", partial(CombinedMode, aead, 4), salt=4, icv=icv)


def _ccm(icv: int) -> Suite:
    aead = partial(AESCCM, tag_length=icv)
    return _combined(f"aes-ccm-{icv}", partial(CombinedMode, aead, 3), salt=3, icv=icv)


_CHACHA20_POLY1305 = _combined(
    "chacha20-poly1305",
    partial(CombinedMode, ChaCha20Poly1305, 4),
    salt=4,
    icv=16,
    keys=frozenset({32}),
)

_ROWS = (
    *(_gcm(icv) for icv in (16, 12, 8)),  # RFC 4106
    *(_ccm(icv) for icv in (16, 12, 8)),  # RFC 4309
    _CHACHA20_POLY1305,  # RFC 7634
    _combined("null-aes-gmac", Gmac, salt=4, icv=16),  # RFC 4543
    *(
        _pair(cipher, each.name, each.icv_length, each)
        for cipher in CIPHERS.values()
        for each in INTEGRITY.values()
    ),
    *(_pair(cipher, "none", 0) for cipher in CIPHERS.values()),
    *(
        _pair(cipher, f"unknown-{bits}", bits // 8)
        for cipher in CIPHERS.values()
        for bits in UNKNOWN_ICV_BITS
    ),
)

SUITES: Mapping[str, Suite] = MappingProxyType({row.name: row for row in _ROWS})
