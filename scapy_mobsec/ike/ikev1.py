"""IKEv1 (RFC 2408, RFC 2409) and its NAT traversal (RFC 3947): names, and what is in clear.

Only messages that are not encrypted are looked into: their payloads by name, NAT-D hashes, NAT-OA
addresses and vendor ids. The rest tells its exchange and its length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import md5

from scapy_mobsec.ike.message import V1_ENCRYPTION, Header, Payload
from scapy_mobsec.ike.numbers import IdType
from scapy_mobsec.ike.payloads import Opaque, VendorId


@dataclass(frozen=True, slots=True)
class NatHash:
    """NAT-D: the hash of an endpoint, of the message's destination first, then of its source."""

    data: bytes


@dataclass(frozen=True, slots=True)
class OriginalAddress:
    """NAT-OA: an address as its end sees it, packed (RFC 3947 section 5.2)."""

    address: bytes


class Exchange(IntEnum):
    """Exchange types, by the names that people use: IDENTITY_PROTECTION is main mode."""

    BASE = 1
    MAIN_MODE = 2
    AUTHENTICATION_ONLY = 3
    AGGRESSIVE_MODE = 4
    INFORMATIONAL = 5
    TRANSACTION = 6
    QUICK_MODE = 32
    NEW_GROUP_MODE = 33


class PayloadType(IntEnum):
    """Payloads. The drafts of RFC 3947 had other numbers for NAT_D and NAT_OA."""

    NONE = 0
    SA = 1
    PROPOSAL = 2
    TRANSFORM = 3
    KE = 4
    ID = 5
    CERT = 6
    CERTREQ = 7
    HASH = 8
    SIG = 9
    NONCE = 10
    NOTIFY = 11
    DELETE = 12
    VENDOR_ID = 13
    ATTRIBUTES = 14
    NAT_D_DRAFT = 15
    NAT_OA_DRAFT = 16
    NAT_D = 20
    NAT_OA = 21
    NAT_D_OLD_DRAFT = 130
    NAT_OA_OLD_DRAFT = 131


NAT_D_TYPES = frozenset({PayloadType.NAT_D, PayloadType.NAT_D_DRAFT, PayloadType.NAT_D_OLD_DRAFT})
NAT_OA_TYPES = frozenset(
    {PayloadType.NAT_OA, PayloadType.NAT_OA_DRAFT, PayloadType.NAT_OA_OLD_DRAFT}
)

_ADDRESS_LENGTHS: Mapping[int, int] = {IdType.IPV4_ADDR: 4, IdType.IPV6_ADDR: 16}
_NAMED_BY_HASH = (
    "RFC 3947",
    "draft-ietf-ipsec-nat-t-ike-00",
    "draft-ietf-ipsec-nat-t-ike-02",
    "draft-ietf-ipsec-nat-t-ike-02\n",
    "draft-ietf-ipsec-nat-t-ike-03",
    "FRAGMENTATION",
)
VENDOR_IDS = {
    **{md5(name.encode(), usedforsecurity=False).digest(): name.strip() for name in _NAMED_BY_HASH},
    bytes.fromhex("afcad71368a1f1c96b8696fc77570100"): "Dead Peer Detection (RFC 3706)",
    bytes.fromhex("09002689dfd6b712"): "XAUTH",
    bytes.fromhex("12f5f28c457168a9702d9fe274cc0100"): "Cisco Unity",
}
"""What a vendor id names: those of NAT traversal are MD5 of the text (RFC 3947 section 3.1)."""


def is_encrypted(header: Header) -> bool:
    """Whether the payloads are encrypted, as all are from the end of phase 1 on."""
    return bool(header.flags & V1_ENCRYPTION)


def parse_payload(payload: Payload) -> VendorId | OriginalAddress | NatHash | Opaque:
    """Read what is told of a payload; of most, only type and length."""
    if payload.type == PayloadType.VENDOR_ID:
        return VendorId(payload.body)
    if payload.type in NAT_D_TYPES:
        return NatHash(payload.body)
    length = _ADDRESS_LENGTHS.get(payload.body[0]) if payload.body else None
    if payload.type in NAT_OA_TYPES and length and len(payload.body) == 4 + length:
        return OriginalAddress(payload.body[4:])
    return Opaque(payload.type, len(payload.body))


def vendor_name(vendor_id: bytes) -> str | None:
    """Return what a vendor id names, None where it is not known. It may have a version behind."""
    return next((name for known, name in VENDOR_IDS.items() if vendor_id.startswith(known)), None)
