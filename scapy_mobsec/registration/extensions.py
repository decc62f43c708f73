"""Extensions of a registration message: the walk over them, and the values of our smaller ones.

Ours are RFC 3115 Normal Vendor Extensions. A value longer than one of them continues in directly
following extensions of the same vendor type; else there is one value per vendor type. All others
are kept octet for octet, except the types below 128 that nobody knows here: RFC 5944 section 1.8
has the message dropped. No critical vendor extension (RFC 3115 section 2.1) is known here.
"""

import struct
from dataclasses import dataclass

from contrib_layers.numbers import (
    LONG_EXTENSION_TYPES,
    MAX_VENDOR_VALUE,
    VENDOR_ID,
    ExtensionType,
    FieldCode,
    NatureCode,
    VendorType,
)
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.border import check_length, poorly_formed
from scapy_mobsec.registration.draft import draft_of

MAX_EXTENSIONS = 64
"""Extensions in one message; a request padded to 1232 octets has about 10."""

MAX_VALUE = 16 * MAX_VENDOR_VALUE
"""Octets of one value, over all extensions that it continues in."""

MAX_TRANSLATIONS = 64
"""Items of TRANSLATIONS; two lists of 16 headers differ in fewer."""

MAX_ADDRESSES = 16
"""Addresses in ADDRESSES."""

_VENDOR = struct.Struct(">BBHIH")
_VENDOR_HEAD = 10  # octets of a normal vendor extension before its value
_VENDOR_REST = 8  # those of them after its length
_CRITICAL_HEAD = 10  # octets of a critical one, which has the long form, before its value
_PAD_FULL = _VENDOR_HEAD + MAX_VENDOR_VALUE
_ZEROS = bytes(MAX_VENDOR_VALUE)

_NORMAL_VENDOR = int(ExtensionType.NORMAL_VENDOR)
_PAD = int(VendorType.PAD)
_VENDOR_TYPES = frozenset(map(int, VendorType))
_KNOWN_TYPES = frozenset(map(int, ExtensionType))
_vendor_head = struct.Struct(">xBxxIH").unpack_from
_critical_head = struct.Struct(">4xIH").unpack_from


@dataclass(frozen=True, slots=True)
class Extension:
    """Any other extension: its type, and all its octets from the type on."""

    type: int
    octets: bytes

    def __post_init__(self) -> None:
        try:
            whole = self.octets[0] == self.type and _end(self.octets, 0) == len(self.octets)
        except (IndexError, Drop):
            whole = False
        if not whole:
            raise ValueError(f"not the octets of one extension of type {self.type}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """ATTEMPT: number of the attempt, AttemptFlag bits, index of this RREQ, number of RREQs."""

    number: int
    flags: int = 0
    index: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """REPORT: data packets of this path modulo 2^32, and the octets of the largest received."""

    received: int
    sent: int
    largest_received: int


@dataclass(frozen=True, slots=True)
class TranslationItem:
    """One item of TRANSLATIONS; `index` in the SENT list, or NOT_IN_SENT."""

    index: int
    field: FieldCode
    nature: NatureCode


def read_extensions(
    data: bytes, offset: int, values: dict[int, bytes], others: list[Extension]
) -> int:
    """Walk the extensions of `data` from `offset`; return the octets that PAD took.

    Fills `values` (vendor type -> joined value) and `others` as far as it comes. Raises Drop.
    """
    end = len(data)
    pad = 0
    previous = -1
    for _ in range(MAX_EXTENSIONS):
        if offset == end:
            return pad
        kind = data[offset]
        if kind == _NORMAL_VENDOR:
            if end - offset < _VENDOR_HEAD:
                raise poorly_formed("vendor extension truncated")
            length, vendor, vendor_type = _vendor_head(data, offset)
            following = offset + 2 + length
            if length < _VENDOR_REST or following > end:
                raise poorly_formed("vendor extension whose length does not fit")
            if vendor != VENDOR_ID or vendor_type not in _VENDOR_TYPES:
                vendor_type = -1
            value = data[offset + _VENDOR_HEAD : following]
        else:
            following = _end(data, offset)
            _refuse_unknown(kind, data, offset, following)
            vendor_type = -1
        if vendor_type == -1:
            others.append(Extension(kind, data[offset:following]))
        elif vendor_type == _PAD:
            if value != _ZEROS[: len(value)]:
                raise poorly_formed("PAD is not zero")
            pad += following - offset
        elif vendor_type == previous:
            values[vendor_type] += value
            if len(values[vendor_type]) > MAX_VALUE:
                raise poorly_formed(f"{VendorType(vendor_type).name} longer than {MAX_VALUE}")
        elif vendor_type in values:
            raise poorly_formed(f"{VendorType(vendor_type).name} twice")
        else:
            values[vendor_type] = value
        previous = vendor_type
        offset = following
    if offset < end:
        raise poorly_formed(f"more than {MAX_EXTENSIONS} extensions")
    return pad


def _end(data: bytes, offset: int) -> int:
    """Return where the extension at `offset` ends. Raises Drop if that is beyond the data."""
    kind = data[offset]
    if kind == ExtensionType.PADDING:
        return offset + 1
    long = kind in LONG_EXTENSION_TYPES
    head = 4 if long else 2
    start = offset + head
    length = int.from_bytes(data[offset + 2 : start] if long else data[offset + 1 : start], "big")
    if start + length > len(data):
        raise poorly_formed(f"extension of type {kind} truncated")
    return start + length


def _refuse_unknown(kind: int, data: bytes, offset: int, end: int) -> None:
    if kind >= 128:
        return
    if kind not in _KNOWN_TYPES:
        raise poorly_formed(f"unknown extension type {kind}, which may not be ignored")
    if kind == ExtensionType.CRITICAL_VENDOR:
        if end - offset < _CRITICAL_HEAD:
            raise poorly_formed("critical vendor extension whose length does not fit")
        vendor, vendor_type = _critical_head(data, offset)
        raise Drop(
            DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION, f"vendor {vendor}, type {vendor_type}"
        )


def build_vendor(vendor_type: int, value: bytes) -> bytes:
    """Write a value of ours, in as many extensions as it needs. ValueError beyond MAX_VALUE."""
    length = len(value)
    if length <= MAX_VENDOR_VALUE:
        return (
            _VENDOR.pack(_NORMAL_VENDOR, _VENDOR_REST + length, 0, VENDOR_ID, vendor_type) + value
        )
    if length > MAX_VALUE:
        raise ValueError(f"value of {length} octets, more than {MAX_VALUE}")
    return b"".join(
        build_vendor(vendor_type, value[start : start + MAX_VENDOR_VALUE])
        for start in range(0, length, MAX_VENDOR_VALUE)
    )


def pad_for(missing: int) -> int:
    """Return the octets of PAD that fill `missing`: never less, and 10 (an empty PAD) at least."""
    return max(missing, _VENDOR_HEAD) if missing > 0 else 0


def check_pad(octets: int) -> None:
    """Raise ValueError if PAD extensions cannot take exactly so many octets in all."""
    if octets != pad_for(octets):
        raise ValueError(f"PAD cannot take {octets} octets")


def build_pad(octets: int) -> bytes:
    """Write PAD extensions that take `octets` in all, as few as possible."""
    parts = []
    while octets:
        size = min(octets, _PAD_FULL)
        if 0 < octets - size < _VENDOR_HEAD:  # leave room for the head of the last one
            size = octets - _VENDOR_HEAD
        parts.append(build_vendor(_PAD, _ZEROS[: size - _VENDOR_HEAD]))
        octets -= size
    return b"".join(parts)


_ATTEMPT = struct.Struct(">IBBBx")
_REPORT = struct.Struct(">IIH")
_FIELDS = {int(code): code for code in FieldCode}
_NATURES = {int(code): code for code in NatureCode}
_AttemptDraft = draft_of(Attempt)
_ADDRESS_LENGTHS = {4: 4, 6: 16}
_FAMILIES = {length: bytes((family,)) for family, length in _ADDRESS_LENGTHS.items()}


def _fixed(value: bytes, length: int, name: str) -> bytes:
    if len(value) != length:
        raise poorly_formed(f"{name} of {len(value)} octets")
    return value


def parse_attempt(value: bytes) -> Attempt:
    """Parse the value of ATTEMPT; the reserved octet is ignored. Raises Drop."""
    draft = _AttemptDraft()
    draft.number, draft.flags, draft.index, draft.count = _ATTEMPT.unpack(
        _fixed(value, _ATTEMPT.size, "ATTEMPT")
    )
    draft.__class__ = Attempt
    sealed: Attempt = draft
    return sealed


def build_attempt(attempt: Attempt) -> bytes:
    """Write the value of ATTEMPT."""
    return _ATTEMPT.pack(attempt.number, attempt.flags, attempt.index, attempt.count)


def parse_report(value: bytes) -> Report:
    """Parse the value of REPORT. Raises Drop."""
    return Report(*_REPORT.unpack(_fixed(value, _REPORT.size, "REPORT")))


def build_report(report: Report) -> bytes:
    """Write the value of REPORT."""
    return _REPORT.pack(report.received, report.sent, report.largest_received)


def parse_challenge(value: bytes) -> bytes:
    """Parse the value of CHALLENGE or RESPONSE. Raises Drop."""
    return _fixed(value, 8, "CHALLENGE or RESPONSE")


def parse_home(value: bytes) -> bytes:
    """Parse the value of HOME. Raises Drop."""
    return _fixed(value, 16, "HOME")


def parse_translations(value: bytes) -> tuple[TranslationItem, ...]:
    """Parse the value of TRANSLATIONS. Raises Drop."""
    if len(value) % 3 or len(value) > 3 * MAX_TRANSLATIONS:
        raise poorly_formed(f"TRANSLATIONS of {len(value)} octets")
    items = []
    for start in range(0, len(value), 3):
        field = _FIELDS.get(value[start + 1])
        nature = _NATURES.get(value[start + 2])
        if field is None or nature is None:
            raise poorly_formed("TRANSLATIONS with an unknown field or nature")
        items.append(TranslationItem(value[start], field, nature))
    return tuple(items)


def build_translations(items: tuple[TranslationItem, ...]) -> bytes:
    """Write the value of TRANSLATIONS. Raises ValueError if there are too many."""
    if len(items) > MAX_TRANSLATIONS:
        raise ValueError(f"more than {MAX_TRANSLATIONS} translations")
    return b"".join([bytes((item.index, item.field, item.nature)) for item in items])


def parse_addresses(value: bytes) -> tuple[bytes, ...]:
    """Parse the value of ADDRESSES: packed addresses of 4 or 16 octets. Raises Drop."""
    addresses = []
    offset = 0
    while offset < len(value):
        length = _ADDRESS_LENGTHS.get(value[offset], 0)
        offset += 1 + length
        if not length or offset > len(value):
            raise poorly_formed("ADDRESSES with a wrong family or length")
        addresses.append(value[offset - length : offset])
        if len(addresses) > MAX_ADDRESSES:
            raise poorly_formed(f"more than {MAX_ADDRESSES} addresses")
    return tuple(addresses)


def build_addresses(addresses: tuple[bytes, ...]) -> bytes:
    """Write the value of ADDRESSES. Raises ValueError for too many or a wrong length."""
    if len(addresses) > MAX_ADDRESSES:
        raise ValueError(f"more than {MAX_ADDRESSES} addresses")
    for address in addresses:
        check_length(address, 4 if len(address) == 4 else 16, "address")
    return b"".join(_FAMILIES[len(address)] + address for address in addresses)
