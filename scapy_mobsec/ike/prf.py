"""The pseudorandom functions of IKEv2, and prf+ (RFC 7296 sections 2.13, 3.3.2).

A key is as long as the function prefers: other ones only occur where SKEYSEED is made, which needs
a secret that no capture has.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import (
    MD5,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    HashAlgorithm,
)
from cryptography.hazmat.primitives.hmac import HMAC

Prf: TypeAlias = Callable[[bytes, bytes], bytes]
"""Key, data: octets of the function's length."""

MAX_BLOCKS = 255
_BLOCK = 16


def _hmac(digest: HashAlgorithm, key: bytes, data: bytes) -> bytes:
    mac = HMAC(key, digest)
    mac.update(data)
    return mac.finalize()


def _aes_cmac(key: bytes, data: bytes) -> bytes:
    """RFC 4615, for keys of 16 octets."""
    mac = CMAC(algorithms.AES128(key))
    mac.update(data)
    return mac.finalize()


def _aes_xcbc(key: bytes, data: bytes) -> bytes:
    """RFC 3566 section 4, not truncated (RFC 4434), for keys of 16 octets."""
    derive = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()
    first, whole, padded = (derive.update(bytes([n]) * _BLOCK) for n in (1, 2, 3))
    end = max(len(data) - 1, 0) // _BLOCK * _BLOCK
    last = data[end:]
    mask = whole if len(last) == _BLOCK else padded
    last = last if len(last) == _BLOCK else (last + b"\x80").ljust(_BLOCK, b"\0")
    masked = int.from_bytes(last, "big") ^ int.from_bytes(mask, "big")
    chain = Cipher(algorithms.AES128(first), modes.CBC(bytes(_BLOCK))).encryptor()
    return chain.update(data[:end] + masked.to_bytes(_BLOCK, "big"))[-_BLOCK:]


PRFS: Mapping[str, Prf] = MappingProxyType(
    {
        "hmac-md5": partial(_hmac, MD5()),
        "hmac-sha1": partial(_hmac, SHA1()),
        "hmac-sha2-256": partial(_hmac, SHA256()),
        "hmac-sha2-384": partial(_hmac, SHA384()),
        "hmac-sha2-512": partial(_hmac, SHA512()),
        "aes-xcbc": _aes_xcbc,
        "aes-cmac": _aes_cmac,
    }
)


def prf_plus(prf: Prf, key: bytes, seed: bytes, length: int) -> bytes:
    """Return `length` octets of prf+. Raises ValueError: more than 255 blocks, a wrong key."""
    block = prf(key, seed + b"\x01")
    if length > MAX_BLOCKS * len(block):
        raise ValueError(f"prf+ yields no {length} octets")
    stream = block
    number = 1
    while len(stream) < length:
        number += 1
        block = prf(key, block + seed + bytes([number]))
        stream += block
    return stream[:length]
