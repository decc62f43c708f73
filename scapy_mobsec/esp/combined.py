"""Combined mode algorithms of ESP (RFC 4303 section 3.2.3): encryption and integrity in one."""

from collections.abc import Callable
from hmac import compare_digest
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scapy_mobsec.drops import Drop, DropReason


class Aead(Protocol):
    """A combined mode algorithm as `cryptography` has them: the ICV ends the ciphertext."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class CombinedMode:
    """Nonce: salt | IV. Additional data: SPI | whole sequence number.

    RFC 4106 sections 4 and 5 (GCM), RFC 4309 sections 4 and 5 (CCM), RFC 7634 section 2.
    """

    __slots__ = ("_aead", "_salt")

    def __init__(self, aead: Callable[[bytes], Aead], salt_length: int, key: bytes) -> None:
        key_length = len(key) - salt_length
        self._aead = aead(key[:key_length])
        self._salt = key[key_length:]

    def encrypt(self, header: bytes, high: bytes, iv: bytes, plaintext: bytes) -> bytes:
        additional = header[:4] + high + header[4:] if high else header
        return self._aead.encrypt(self._salt + iv, plaintext, additional)

    def decrypt(self, header: bytes, high: bytes, iv: bytes, protected: bytes) -> bytes:
        additional = header[:4] + high + header[4:] if high else header
        try:
            return self._aead.decrypt(self._salt + iv, protected, additional)
        except InvalidTag:
            raise Drop(DropReason.BAD_ICV) from None


class ShortIcvGcm:
    """AES-GCM with an ICV of 8 or 12 octets, which `AESGCM` does not offer."""

    __slots__ = ("_aes", "_icv_length")

    def __init__(self, icv_length: int, key: bytes) -> None:
        self._aes = algorithms.AES(key)
        self._icv_length = icv_length

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        encryptor = Cipher(self._aes, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data or b"")
        ciphertext = encryptor.update(data) + encryptor.finalize()
        return ciphertext + encryptor.tag[: self._icv_length]

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        end = len(data) - self._icv_length
        mode = modes.GCM(nonce, data[end:], min_tag_length=self._icv_length)
        decryptor = Cipher(self._aes, mode).decryptor()
        decryptor.authenticate_additional_data(associated_data or b"")
        return decryptor.update(data[:end]) + decryptor.finalize()


class Gmac:
    """No encryption, integrity by AES-GMAC (RFC 4543). All that is sent is additional data."""

    __slots__ = ("_gcm", "_salt")

    def __init__(self, key: bytes) -> None:
        self._gcm, self._salt = AESGCM(key[:-4]), key[-4:]

    def encrypt(self, header: bytes, high: bytes, iv: bytes, plaintext: bytes) -> bytes:
        return plaintext + self._icv(header, high, iv, plaintext)

    def decrypt(self, header: bytes, high: bytes, iv: bytes, protected: bytes) -> bytes:
        plaintext, icv = protected[:-16], protected[-16:]
        if not compare_digest(icv, self._icv(header, high, iv, plaintext)):
            raise Drop(DropReason.BAD_ICV)
        return plaintext

    def _icv(self, header: bytes, high: bytes, iv: bytes, plaintext: bytes) -> bytes:
        covered = b"".join((header[:4], high, header[4:], iv, plaintext))
        return self._gcm.encrypt(self._salt + iv, b"", covered)
