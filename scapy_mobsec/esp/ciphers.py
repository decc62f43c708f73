"""Ciphers that protect no integrity: the table `CIPHERS`. Objects are made once for an SA."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, algorithms, modes

AES_KEYS = frozenset({16, 24, 32})
"""Lengths in octets."""


class KeyedCipher(Protocol):
    """A cipher with its key, on whole blocks."""

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes: ...

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class EspCipher:
    """A row of `CIPHERS`. Lengths are in octets, `key_lengths` without the salt that comes last."""

    name: str
    key_lengths: frozenset[int]
    iv_length: int
    block_length: int
    make: Callable[[bytes], KeyedCipher] = field(repr=False)
    salt_length: int = 0
    counter_iv: bool = False
    """As in `Suite`."""


class Cbc:
    """A block cipher in CBC mode, with one context for all packets: a new one costs ten times more.

    A context goes on chaining from the last block it saw, but each packet chains from its own IV.
    Decryption: the IV goes in as a first block, and what comes out for it is thrown away.
    Encryption: the last block is cancelled by XOR and the IV put in its place.
    """

    __slots__ = ("_block", "_decryptor", "_encryptor", "_last")

    def __init__(self, algorithm: Callable[[bytes], BlockCipherAlgorithm], key: bytes) -> None:
        keyed = algorithm(key)
        self._block = keyed.block_size // 8
        cipher = Cipher(keyed, modes.CBC(bytes(self._block)))
        self._encryptor = cipher.encryptor()
        self._decryptor = cipher.decryptor()
        self._last = 0

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        block = self._block
        first = int.from_bytes(plaintext[:block]) ^ int.from_bytes(iv) ^ self._last
        ciphertext = self._encryptor.update(first.to_bytes(block) + plaintext[block:])
        self._last = int.from_bytes(ciphertext[-block:])
        return ciphertext

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        return self._decryptor.update(iv + ciphertext)[self._block :]


class AesCtr:
    """AES in counter mode (RFC 3686 section 4). Counter block: nonce | IV | 1, 2, 3, ...

    What the RFC calls nonce is the salt that ends the key.
    """

    __slots__ = ("_aes", "_salt")

    def __init__(self, key: bytes) -> None:
        self._aes, self._salt = algorithms.AES(key[:-4]), key[-4:]

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        counter = modes.CTR(self._salt + iv + b"\0\0\0\1")
        return Cipher(self._aes, counter).encryptor().update(plaintext)

    decrypt = encrypt


class Null:
    """No encryption (RFC 2410)."""

    __slots__ = ()

    def __init__(self, _: bytes) -> None:
        """Take the empty key."""

    def encrypt(self, _: bytes, plaintext: bytes) -> bytes:
        return plaintext

    decrypt = encrypt


_ROWS = (
    EspCipher("aes-cbc", AES_KEYS, 16, 16, partial(Cbc, algorithms.AES)),  # RFC 3602
    EspCipher("aes-ctr", AES_KEYS, 8, 1, AesCtr, salt_length=4, counter_iv=True),  # RFC 3686
    EspCipher("3des-cbc", frozenset({24}), 8, 8, partial(Cbc, TripleDES)),  # RFC 2451
    EspCipher("null", frozenset({0}), 0, 1, Null),  # RFC 2410
)

CIPHERS: Mapping[str, EspCipher] = MappingProxyType({row.name: row for row in _ROWS})
