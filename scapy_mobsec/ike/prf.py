"""The pseudorandom functions of IKEv2, and prf+ (RFC 7296 sections 2.13, 3.3.2).

Each is the algorithm of an ICV, not cut short: HMAC, AES-XCBC (RFC 4434), AES-CMAC (RFC 4615). A
key is as long as the function prefers: other ones only occur where SKEYSEED is made, which needs
a secret that no capture has.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from scapy_mobsec.esp.integrity import INTEGRITY

Prf: TypeAlias = Callable[[bytes, bytes], bytes]
"""Key, data: octets of the function's length. Raises ValueError for a key of another length."""

MAX_BLOCKS = 255


def _whole(name: str, key: bytes, data: bytes) -> bytes:
    row = INTEGRITY[name]
    if len(key) != row.key_length:
        raise ValueError(f"prf key of {len(key)} octets, not {row.key_length}")
    return row.make(key, row.key_length)(data)  # these keys are as long as the result


PRFS: Mapping[str, Prf] = MappingProxyType(
    {
        "hmac-md5": partial(_whole, "hmac-md5-96"),
        "hmac-sha1": partial(_whole, "hmac-sha1-96"),
        "hmac-sha2-256": partial(_whole, "hmac-sha2-256-128"),
        "hmac-sha2-384": partial(_whole, "hmac-sha2-384-192"),
        "hmac-sha2-512": partial(_whole, "hmac-sha2-512-256"),
        "aes-xcbc": partial(_whole, "aes-xcbc-96"),
        "aes-cmac": partial(_whole, "aes-cmac-96"),
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
