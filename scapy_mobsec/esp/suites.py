"""ESP suites: which algorithms protect an SA. A suite is a row of the table `SUITES`.

A row names the lengths that go on the wire and says how its algorithms are made from the keys.
Two forms cover ESP: a combined mode algorithm (RFC 4303 section 3.2.3), and a cipher followed by an
HMAC. Cipher and key objects are made once for an SA, never for a packet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hmac import compare_digest
from types import MappingProxyType
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC

from scapy_mobsec.drops import Drop, DropReason


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
    make: Callable[["Suite", bytes, bytes | None], Protection] = field(repr=False)
    salt_length: int = 0
    integrity_key_length: int = 0
    """0: combined mode, which has no integrity key of its own."""
    counter_iv: bool = False
    """The IV only must not repeat: it is the sequence number. False: it must be unpredictable."""

    def protection(self, encryption_key: bytes, integrity_key: bytes | None) -> Protection:
        """Key the algorithms; the caller has checked the lengths.

        With None for an integrity key that the suite has, decryption verifies nothing.
        """
        return self.make(self, encryption_key, integrity_key)


class Aead(Protocol):
    """A combined mode algorithm as `cryptography` has them: the ICV ends the ciphertext."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class CombinedMode:
    """Nonce: salt | IV. Additional data: SPI | whole sequence number (RFC 4106 sections 4, 5)."""

    __slots__ = ("_aead", "_salt")

    def __init__(
        self, aead: Callable[[bytes], Aead], suite: Suite, encryption_key: bytes, _: bytes | None
    ) -> None:
        key_length = len(encryption_key) - suite.salt_length
        self._aead = aead(encryption_key[:key_length])
        self._salt = encryption_key[key_length:]

    def encrypt(self, header: bytes, high: bytes, iv: bytes, plaintext: bytes) -> bytes:
        additional = header[:4] + high + header[4:] if high else header
        return self._aead.encrypt(self._salt + iv, plaintext, additional)

    def decrypt(self, header: bytes, high: bytes, iv: bytes, protected: bytes) -> bytes:
        additional = header[:4] + high + header[4:] if high else header
        try:
            return self._aead.decrypt(self._salt + iv, protected, additional)
        except InvalidTag:
            raise Drop(DropReason.BAD_ICV) from None


class Encryption(Protocol):
    """A cipher that protects no integrity, on whole blocks."""

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes: ...

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes: ...


class CipherThenHmac:
    """A cipher, then an HMAC cut to the length of the ICV (RFC 4303 section 3.3.2.1).

    The HMAC covers all that is sent before it, then the unsent half of an extended number.
    """

    __slots__ = ("_cipher", "_icv_length", "_keyed")

    def __init__(
        self,
        cipher: Callable[[bytes], Encryption],
        digest: HashAlgorithm,
        suite: Suite,
        encryption_key: bytes,
        integrity_key: bytes | None,
    ) -> None:
        self._cipher = cipher(encryption_key)
        self._keyed = None if integrity_key is None else HMAC(integrity_key, digest)
        self._icv_length = suite.icv_length

    def encrypt(self, header: bytes, high: bytes, iv: bytes, plaintext: bytes) -> bytes:
        if self._keyed is None:
            raise ValueError("nothing is sealed without an integrity key")
        ciphertext = self._cipher.encrypt(iv, plaintext)
        return ciphertext + self._icv(self._keyed, header + iv + ciphertext + high)

    def decrypt(self, header: bytes, high: bytes, iv: bytes, protected: bytes) -> bytes:
        end = len(protected) - self._icv_length
        ciphertext = protected[:end]
        if self._keyed is not None:
            icv = self._icv(self._keyed, header + iv + ciphertext + high)
            if not compare_digest(icv, protected[end:]):
                raise Drop(DropReason.BAD_ICV)
        return self._cipher.decrypt(iv, ciphertext)

    def _icv(self, keyed: HMAC, data: bytes) -> bytes:
        mac = keyed.copy()
        mac.update(data)
        return mac.finalize()[: self._icv_length]


class AesCbc:
    """AES in CBC mode (RFC 3602), with one context for all packets: a new one costs ten times more.

    A context goes on chaining from the last block it saw, but each packet chains from its own IV.
    Decryption: the IV goes in as a first block, and what comes out for it is thrown away.
    Encryption: the last block is cancelled by XOR and the IV put in its place.
    """

    __slots__ = ("_decryptor", "_encryptor", "_last")

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16)))
        self._encryptor = cipher.encryptor()
        self._decryptor = cipher.decryptor()
        self._last = 0

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        first = int.from_bytes(plaintext[:16]) ^ int.from_bytes(iv) ^ self._last
        ciphertext = self._encryptor.update(first.to_bytes(16) + plaintext[16:])
        self._last = int.from_bytes(ciphertext[-16:])
        return ciphertext

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        return self._decryptor.update(iv + ciphertext)[16:]


_AES_KEYS = frozenset({16, 24, 32})

_ROWS = (
    Suite(  # RFC 4106
        "aes-gcm-16",
        key_lengths=_AES_KEYS,
        salt_length=4,
        iv_length=8,
        counter_iv=True,
        block_length=1,
        icv_length=16,
        make=partial(CombinedMode, AESGCM),
    ),
    Suite(  # RFC 3602, RFC 4868
        "aes-cbc-hmac-sha2-256-128",
        key_lengths=_AES_KEYS,
        iv_length=16,
        block_length=16,
        icv_length=16,
        integrity_key_length=32,
        make=partial(CipherThenHmac, AesCbc, SHA256()),
    ),
    Suite(  # RFC 3602, RFC 2404
        "aes-cbc-hmac-sha1-96",
        key_lengths=_AES_KEYS,
        iv_length=16,
        block_length=16,
        icv_length=12,
        integrity_key_length=20,
        make=partial(CipherThenHmac, AesCbc, SHA1()),
    ),
)

SUITES: Mapping[str, Suite] = MappingProxyType({row.name: row for row in _ROWS})
