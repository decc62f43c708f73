"""IKE messages on octets: the header and the chain of payloads (RFC 7296 sections 3.1 and 3.2).

IKEv1 has the same header and the same generic payload header (RFC 2408 section 3), so both
versions are split here; the numbers in them differ.

    header:  SPIi (8) | SPIr (8) | next payload (1) | version (1) | exchange (1) | flags (1) |
             message id (4) | length (4)
    payload: next payload (1) | critical (1 bit), reserved (7 bits) | length (2), of all | body
"""

from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike.numbers import Flag, PayloadType

HEADER = Struct(">8s8sBBBBII")
GENERIC_LENGTH = 4
MAX_PAYLOADS = 256
CRITICAL = 0x80
VERSIONS = (1, 2)
V1_ENCRYPTION = 0x01
"""A flag of IKEv1: all behind the header is encrypted."""
V1_PADDING = 3

_NEXT_PAYLOAD_AT = 16
_ENCRYPTED = (PayloadType.SK, PayloadType.SKF)


class Header(NamedTuple):
    """The fixed header; version: 0x20 is 2.0."""

    initiator_spi: bytes
    responder_spi: bytes
    next_payload: int
    version: int
    exchange: int
    flags: int
    message_id: int
    length: int

    @property
    def major(self) -> int:
        """1 or 2."""
        return self.version >> 4

    @property
    def from_initiator(self) -> bool:
        """Whether the original initiator of the IKE SA sent it."""
        return bool(self.flags & Flag.INITIATOR)

    @property
    def is_response(self) -> bool:
        return bool(self.flags & Flag.RESPONSE)


class Payload(NamedTuple):
    """One payload. next_type: of the one that follows; of SK the first one inside.

    body_at: where its body begins in the message, or in the decrypted octets.
    """

    type: int
    critical: bool
    body: bytes
    next_type: int
    body_at: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message and its payloads in order. octets: the whole of it, from the header on."""

    header: Header
    payloads: tuple[Payload, ...]
    octets: bytes

    @property
    def encrypted(self) -> Payload | None:
        """The SK or SKF payload, which is the last one."""
        if self.header.major == 2 and self.payloads and self.payloads[-1].type in _ENCRYPTED:
            return self.payloads[-1]
        return None


def parse_header(octets: bytes) -> Header:
    """Read the header of IKE version 1 or 2. Raises Drop(MALFORMED_IKE).

    Octets behind the length that it names are ignored, as by most implementations.
    """
    if len(octets) < HEADER.size:
        raise _malformed(f"{len(octets)} octets are no IKE header")
    header = Header._make(HEADER.unpack_from(octets))
    if header.major not in VERSIONS:
        raise _malformed(f"version {header.major}")
    if not HEADER.size <= header.length <= len(octets):
        raise _malformed(f"length {header.length} of {len(octets)} octets")
    return header


def parse_message(octets: bytes) -> Message:
    """Split a message into payloads; none of an IKEv1 message that is encrypted.

    Messages of IKEv1 may be padded to 4 octets. Raises Drop(MALFORMED_IKE).
    """
    header = parse_header(octets)
    octets = octets[: header.length]
    if header.major == 1 and header.flags & V1_ENCRYPTION:
        return Message(header, (), octets)
    padding = V1_PADDING if header.major == 1 else 0
    payloads = split_payloads(octets, HEADER.size, header.next_payload, padding=padding)
    return Message(header, payloads, octets)


def split_payloads(
    octets: bytes, at: int, next_type: int, *, padding: int = 0
) -> tuple[Payload, ...]:
    """Split the chain that begins at `at` and ends with the octets, or `padding` before.

    An SK or SKF payload ends it: its "next payload" is inside. At most MAX_PAYLOADS. Raises
    Drop(MALFORMED_IKE).
    """
    payloads: list[Payload] = []
    while next_type != PayloadType.NONE:
        if len(payloads) == MAX_PAYLOADS:
            raise _malformed(f"more than {MAX_PAYLOADS} payloads")
        length = int.from_bytes(octets[at + 2 : at + 4], "big")
        if not GENERIC_LENGTH <= length <= len(octets) - at:
            raise _malformed(f"payload {next_type} of length {length}")
        body_at, end = at + GENERIC_LENGTH, at + length
        payload = Payload(
            next_type, bool(octets[at + 1] & CRITICAL), octets[body_at:end], octets[at], body_at
        )
        payloads.append(payload)
        at = end
        if next_type in _ENCRYPTED:
            break
        next_type = payload.next_type
    if len(octets) - at > padding:
        raise _malformed(f"{len(octets) - at} octets behind the last payload")
    return tuple(payloads)


def in_clear(message: Message, plaintext: bytes, first_type: int) -> bytes:
    """Return the message as if it had never been encrypted: payloads in place of SK or SKF.

    `plaintext`: the payloads inside, `first_type`: the type of the first of them. What comes out
    has a right chain and length, and can be given to any dissector.
    """
    encrypted = message.encrypted
    if encrypted is None:
        return message.octets
    at = encrypted.body_at - GENERIC_LENGTH
    octets = bytearray(message.octets[:at] + plaintext)
    before = message.payloads[:-1]
    next_at = before[-1].body_at - GENERIC_LENGTH if before else _NEXT_PAYLOAD_AT
    octets[next_at] = first_type
    octets[HEADER.size - 4 : HEADER.size] = len(octets).to_bytes(4, "big")
    return bytes(octets)


def _malformed(detail: str) -> Drop:
    return Drop(DropReason.MALFORMED_IKE, detail)
