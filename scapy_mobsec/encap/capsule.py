"""Capsules (RFC 9297 section 3.2) that carry UDP payloads (RFC 9298 section 5).

    type (varint) | length (varint) | value
    DATAGRAM: type 0, value: context id (varint), 0 = a UDP payload follows

Integers are those of QUIC (RFC 9000 section 16). Unknown types and context ids are skipped. A
capsule longer than any UDP payload needs is refused: RFC 9297 would skip an unknown one of 2^62
octets, which no peer of ours sends.
"""

from contrib_layers.numbers import CAPSULE_DATAGRAM, MAX_CAPSULE, MAX_UDP_PAYLOAD
from scapy_mobsec.drops import Drop, DropReason


def write_varint(value: int) -> bytes:
    """Return the shortest coding of 0 to 2^62 - 1. Raises OverflowError for others."""
    for prefix, size in enumerate((1, 2, 4)):
        if value < 1 << (8 * size - 2):
            return (value | prefix << (8 * size - 2)).to_bytes(size, "big")
    if value >= 1 << 62:
        raise OverflowError(f"{value} needs more than 62 bits")
    return (value | 3 << 62).to_bytes(8, "big")


def varint_end(data: bytes, offset: int) -> int:
    """Return where the integer that begins at `offset` (inside `data`) ends."""
    return offset + (1 << (data[offset] >> 6))


def read_varint(data: bytes, offset: int, end: int) -> int:
    """Return the integer between two offsets, as `varint_end` gives them."""
    size = end - offset
    return int.from_bytes(data[offset:end], "big") & ((1 << (8 * size - 2)) - 1)


def measure_capsule(data: bytes, offset: int) -> int:
    """Return where a capsule ends (see Cutter). Raises Drop(CAPSULE_TOO_LONG)."""
    if offset >= len(data):
        return offset + 2
    length = varint_end(data, offset)
    if length >= len(data):
        return length + 1
    value = varint_end(data, length)
    if value > len(data):
        return value
    octets = read_varint(data, length, value)
    if octets > MAX_CAPSULE:
        raise Drop(DropReason.CAPSULE_TOO_LONG, f"{octets} octets")
    return value + octets


def unwrap_capsule(capsule: bytes) -> bytes | None:
    """Return the UDP payload in a whole capsule, None if it carries none.

    Raises Drop(MALFORMED_CAPSULE) without a context id, Drop(CAPSULE_TOO_LONG) for a payload that
    UDP cannot carry (RFC 9298 section 5: both abort the stream).
    """
    length = varint_end(capsule, 0)
    if read_varint(capsule, 0, length) != CAPSULE_DATAGRAM:
        return None
    context = varint_end(capsule, length)
    if context == len(capsule) or (payload := varint_end(capsule, context)) > len(capsule):
        raise Drop(DropReason.MALFORMED_CAPSULE, "without a context id")
    if read_varint(capsule, context, payload):
        return None
    if len(capsule) - payload > MAX_UDP_PAYLOAD:
        raise Drop(DropReason.CAPSULE_TOO_LONG, f"UDP payload of {len(capsule) - payload} octets")
    return capsule[payload:]


def wrap_capsule(payload: bytes) -> bytes:
    """Make the DATAGRAM capsule of a UDP payload. Raises Drop(MESSAGE_TOO_LONG)."""
    if len(payload) > MAX_UDP_PAYLOAD:
        raise Drop(DropReason.MESSAGE_TOO_LONG, f"{len(payload)} octets in a capsule")
    return b"\0" + write_varint(len(payload) + 1) + b"\0" + payload
