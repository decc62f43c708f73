"""Captures and key files, damaged in one to three ways that follow from a seed."""

import gzip
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

MARKED_LENGTHS = (0, 1, 2, 3, 7, 8, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF)
RECORD_HEADER = 16
"""Octets: all of a classic one, the first fields of one in pcapng."""
ENHANCED_PACKET = 6
LONG = 24
"""Packets; longer captures are mostly mutated in a part of so many, which is decoded faster."""


@dataclass(frozen=True)
class Sample:
    """A capture, and its key files, each with the option of `mobsec decode` that it is for.

    of_keys: it is the key files that are mutated.
    """

    name: str
    capture: bytes
    keys: tuple[tuple[str, bytes], ...] = ()
    of_keys: bool = False

    def mutated(self, seed: int) -> "Sample":
        """Return it with its packets, its file or (one of eight) a key file damaged."""
        random = Random(f"{self.name} {seed}")
        if self.of_keys or (self.keys and random.random() < 1 / 8):
            at = random.randrange(len(self.keys))
            option, text = self.keys[at]
            damaged = (option, _damaged(text, random, TEXT_FAULTS))
            return replace(self, keys=(*self.keys[:at], damaged, *self.keys[at + 1 :]))
        if random.random() < 1 / 4:
            octets = self.capture
            if random.random() < 1 / 8:
                octets = gzip.compress(octets, mtime=0)
            return replace(self, capture=_damaged(octets, random, FILE_FAULTS))
        return replace(self, capture=_with_faulty_packets(self.capture, random))


def _damaged(octets: bytes, random: Random, faults: Sequence["Fault"]) -> bytes:
    damaged = bytearray(octets)
    for _ in range(random.randint(1, 3)):
        random.choice(faults)(damaged, random)
    return bytes(damaged)


Fault = Callable[[bytearray, Random], None]


def _place(octets: bytearray, random: Random) -> int:
    """A place, more often near the beginning, where the headers are."""
    end = len(octets) + 1
    return random.randrange(min(end, 64) if random.random() < 0.5 else end)


def flip(octets: bytearray, random: Random) -> None:
    """Change single bits or whole octets."""
    for _ in range(random.choice((1, 1, 2, 8))):
        if octets:
            at = min(_place(octets, random), len(octets) - 1)
            octets[at] = random.choice(
                (octets[at] ^ 1 << random.randrange(8), random.getrandbits(8))
            )


def insert(octets: bytearray, random: Random) -> None:
    """Put octets in between: made up, or copied from elsewhere."""
    at, count = _place(octets, random), random.choice((1, 2, 4, 16, 100))
    start = _place(octets, random)
    piece = random.choice((random.randbytes(count), bytes(count), octets[start : start + count]))
    octets[at:at] = piece


def delete(octets: bytearray, random: Random) -> None:
    """Leave octets out."""
    at = _place(octets, random)
    del octets[at : at + random.choice((1, 1, 2, 4, 16, 100))]


def truncate(octets: bytearray, random: Random) -> None:
    """Leave out the rest."""
    del octets[_place(octets, random) :]


def rewrite_length(octets: bytearray, random: Random) -> None:
    """Write what could be taken as a length, of 8, 16 or 32 bits, at any place."""
    size = random.choice((1, 2, 2, 4))
    at = _place(octets, random)
    value = random.choice((*MARKED_LENGTHS, len(octets), len(octets) - at, random.getrandbits(16)))
    value = max(value + random.randint(-1, 1), 0) % (1 << 8 * size)
    if at + size <= len(octets):
        octets[at : at + size] = value.to_bytes(size, random.choice(("big", "little")))


PACKET_FAULTS = (flip, flip, insert, delete, truncate, rewrite_length, rewrite_length)
FILE_FAULTS = (flip, insert, delete, truncate, rewrite_length)


def _lines(change: Callable[[list[bytes], Random], None]) -> Fault:
    def fault(text: bytearray, random: Random) -> None:
        lines = text.splitlines(keepends=True)
        if lines:
            change(lines, random)
        text[:] = b"".join(lines)

    return fault


def _repeat(lines: list, random: Random) -> None:
    lines.insert(random.randrange(len(lines) + 1), random.choice(lines))


def _swap(lines: list, random: Random) -> None:
    at, other = (random.randrange(len(lines)) for _ in range(2))
    lines[at], lines[other] = lines[other], lines[at]


def _leave_out(lines: list, random: Random) -> None:
    at = random.randrange(len(lines))
    del lines[at : at + random.choice((1, 1, 2, 5))]


TEXT_FAULTS = (*FILE_FAULTS, _lines(_repeat), _lines(_swap), _lines(_leave_out))


def _with_faulty_packets(capture: bytes, random: Random) -> bytes:
    """Damage, repeat, reorder and leave out packets, and now and then the header of a record."""
    start, records, frame = split(capture)
    if len(records) > LONG and random.random() < 0.75:
        at = random.choice((0, random.randrange(len(records) - LONG)))
        records = records[at : at + LONG]
    damaged_header = False
    for _ in range(random.randint(1, 3)):
        fault = random.randrange(10)
        if not records:
            break
        if fault < 6:
            at = random.randrange(len(records))
            damaged = bytearray(records[at][1])
            random.choice(PACKET_FAULTS)(damaged, random)
            records[at] = (records[at][0], bytes(damaged))
        elif fault == 6:
            damaged_header = True
        else:
            (_repeat, _swap, _leave_out)[fault - 7](records, random)
    framed = [frame(prefix, data) for prefix, data in records]
    if damaged_header and framed:
        at = random.randrange(len(framed))
        header = bytearray(framed[at][:RECORD_HEADER])
        random.choice((flip, rewrite_length))(header, random)
        framed[at] = bytes(header) + framed[at][RECORD_HEADER:]
    return start + b"".join(framed)


Record = tuple[bytes, bytes]
"""What stands before the lengths of a packet, and its octets."""


def split(capture: bytes) -> tuple[bytes, list[Record], Callable[[bytes, bytes], bytes]]:
    """Return what is before the first record, the records, and what puts one together again.

    Of a pcapng file in little endian, as is written here, options behind packets are left out.
    """
    if capture[:4] == b"\x0a\x0d\x0d\x0a":
        return _split_blocks(capture)
    order = "<" if capture[0] in b"\x4d\xd4" else ">"
    records, at = [], 24
    while at + 16 <= len(capture):
        (length,) = struct.unpack_from(order + "I", capture, at + 8)
        records.append((capture[at : at + 8], capture[at + 16 : at + 16 + length]))
        at += 16 + length
    return (
        capture[:24],
        records,
        lambda prefix, data: prefix + struct.pack(order + "II", len(data), len(data)) + data,
    )


def _split_blocks(capture: bytes) -> tuple[bytes, list[Record], Callable[[bytes, bytes], bytes]]:
    records, start, at = [], None, 0
    while at < len(capture):
        kind, length = struct.unpack_from("<II", capture, at)
        if kind == ENHANCED_PACKET:
            start = at if start is None else start
            (captured,) = struct.unpack_from("<I", capture, at + 20)
            records.append((capture[at + 8 : at + 20], capture[at + 28 : at + 28 + captured]))
        at += length
    return capture[:start], records, _block


def _block(prefix: bytes, data: bytes) -> bytes:
    padding = bytes(-len(data) % 4)
    length = struct.pack("<I", 32 + len(data) + len(padding))
    kind, lengths = struct.pack("<I", ENHANCED_PACKET), struct.pack("<II", len(data), len(data))
    return b"".join((kind, length, prefix, lengths, data, padding, length))
