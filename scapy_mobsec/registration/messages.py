"""RREQ and RREP: slotted dataclasses <-> the UDP payload of port 434.

Fixed parts: RFC 5944 sections 3.3 and 3.4; extensions: docs/wire-format.md. Every value is checked
where it enters: a parser raises `Drop(POORLY_FORMED)`, or `UNKNOWN_CRITICAL_VENDOR_EXTENSION`, and
nothing else, whatever the octets; a builder raises ValueError. Values are written with ATTEMPT
first, so that an answer can name the attempt even if what follows is poorly formed; PAD comes last.
Whether a message has what it needs is another question: `missing_required`.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, TypeAlias

from contrib_layers.numbers import AttemptFlag, MessageType, RequestFlag, VendorType
from scapy_mobsec.drops import Drop
from scapy_mobsec.registration.border import check_length, poorly_formed
from scapy_mobsec.registration.description import (
    Description,
    EncapsulationItem,
    build_description,
    build_items,
    parse_description,
    parse_items,
)
from scapy_mobsec.registration.draft import draft_of
from scapy_mobsec.registration.extensions import (
    Attempt,
    Extension,
    Report,
    TranslationItem,
    build_addresses,
    build_attempt,
    build_pad,
    build_report,
    build_translations,
    build_vendor,
    check_pad,
    pad_for,
    parse_addresses,
    parse_attempt,
    parse_challenge,
    parse_home,
    parse_report,
    parse_translations,
    read_extensions,
)

__all__ = [
    "Attempt",
    "EncapsulationItem",
    "Extension",
    "RegistrationReply",
    "RegistrationRequest",
    "Report",
    "TranslationItem",
    "build_reply",
    "build_request",
    "missing_required",
    "pad_request",
    "parse_message",
    "parse_reply",
    "parse_request",
    "salvage_request",
]

_REQUEST = struct.Struct(">BBH4s4s4sQ")
_REPLY = struct.Struct(">BBH4s4sQ")
_RREQ = int(MessageType.RREQ)
_RREP = int(MessageType.RREP)
_CONFIRM = int(AttemptFlag.CONFIRM)


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """RREQ. Addresses packed (IPv4, zeros if there is none), lifetime in seconds.

    `pad`: octets that PAD extensions take in all, 0 or at least 10.
    """

    identification: int
    lifetime: int
    home_address: bytes
    home_agent: bytes
    care_of_address: bytes
    flags: int = int(RequestFlag.D)
    attempt: Attempt | None = None
    sent: Description | None = None
    supported: tuple[EncapsulationItem, ...] | None = None
    challenge: bytes | None = None
    response: bytes | None = None
    report: Report | None = None
    addresses: tuple[bytes, ...] | None = None
    home: bytes | None = None
    pad: int = 0
    others: tuple[Extension, ...] = ()

    def __post_init__(self) -> None:
        check_length(self.care_of_address, 4, "care-of address")
        _check(self)


@dataclass(frozen=True, slots=True)
class RegistrationReply:
    """RREP. Addresses packed (IPv4, zeros if there is none), lifetime in seconds.

    `pad`: octets that PAD extensions take in all, 0 or at least 10.
    """

    identification: int
    code: int
    lifetime: int
    home_address: bytes
    home_agent: bytes
    attempt: Attempt | None = None
    sent: Description | None = None
    observed: Description | None = None
    translations: tuple[TranslationItem, ...] | None = None
    supported: tuple[EncapsulationItem, ...] | None = None
    selected: tuple[EncapsulationItem, ...] | None = None
    challenge: bytes | None = None
    response: bytes | None = None
    report: Report | None = None
    addresses: tuple[bytes, ...] | None = None
    home: bytes | None = None
    pad: int = 0
    others: tuple[Extension, ...] = ()

    def __post_init__(self) -> None:
        _check(self)


RegistrationMessage: TypeAlias = RegistrationRequest | RegistrationReply


def _check(message: RegistrationMessage) -> None:
    check_length(message.home_address, 4, "home address")
    check_length(message.home_agent, 4, "home agent")
    if message.challenge is not None:
        check_length(message.challenge, 8, "challenge")
    if message.response is not None:
        check_length(message.response, 8, "response")
    if message.home is not None:
        check_length(message.home, 16, "home")
    if message.pad:
        check_pad(message.pad)


_Codec: TypeAlias = tuple[str, Callable[[bytes], Any], Callable[[Any], bytes]]

_VALUES: dict[VendorType, _Codec] = {
    VendorType.ATTEMPT: ("attempt", parse_attempt, build_attempt),
    VendorType.SENT: ("sent", parse_description, build_description),
    VendorType.OBSERVED: ("observed", parse_description, build_description),
    VendorType.TRANSLATIONS: ("translations", parse_translations, build_translations),
    VendorType.SUPPORTED: ("supported", parse_items, build_items),
    VendorType.SELECTED: ("selected", parse_items, build_items),
    VendorType.CHALLENGE: ("challenge", parse_challenge, bytes),
    VendorType.RESPONSE: ("response", parse_challenge, bytes),
    VendorType.REPORT: ("report", parse_report, build_report),
    VendorType.ADDRESSES: ("addresses", parse_addresses, build_addresses),
    VendorType.HOME: ("home", parse_home, bytes),
}
"""Field, parser and builder of each value, in the order in which they are written."""

_Parsers: TypeAlias = dict[int, tuple[str, Callable[[bytes], Any]]]


class _Values:
    """The values that one class of messages may carry: how to read and to write them."""

    __slots__ = ("builders", "of", "parsers")

    def __init__(self, cls: type[RegistrationMessage]) -> None:
        carried = {kind: codec for kind, codec in _VALUES.items() if hasattr(cls, codec[0])}
        self.parsers = {int(kind): (name, parse) for kind, (name, parse, _) in carried.items()}
        self.builders = tuple((int(kind), build) for kind, (_, _, build) in carried.items())
        self.of = attrgetter(*(name for name, _, _ in carried.values()))


_REQUEST_VALUES = _Values(RegistrationRequest)
_REPLY_VALUES = _Values(RegistrationReply)
_RequestDraft = draft_of(RegistrationRequest)
_ReplyDraft = draft_of(RegistrationReply)


def parse_request(data: bytes) -> RegistrationRequest:
    """Parse an RREQ. Raises Drop."""
    draft = _request_head(data)
    _parse_extensions(draft, data, _REQUEST.size, _REQUEST_VALUES.parsers)
    draft.__class__ = RegistrationRequest
    sealed: RegistrationRequest = draft
    return sealed


def parse_reply(data: bytes) -> RegistrationReply:
    """Parse an RREP. Raises Drop."""
    if len(data) < _REPLY.size:
        raise poorly_formed("RREP truncated")
    draft = _ReplyDraft()
    (
        kind,
        draft.code,
        draft.lifetime,
        draft.home_address,
        draft.home_agent,
        draft.identification,
    ) = _REPLY.unpack_from(data)
    if kind != _RREP:
        raise poorly_formed(f"message type {kind}, not an RREP")
    draft.attempt = draft.sent = draft.observed = draft.translations = None
    draft.supported = draft.selected = draft.challenge = draft.response = None
    draft.report = draft.addresses = draft.home = None
    _parse_extensions(draft, data, _REPLY.size, _REPLY_VALUES.parsers)
    draft.__class__ = RegistrationReply
    sealed: RegistrationReply = draft
    return sealed


def parse_message(data: bytes) -> RegistrationMessage:
    """Parse an RREQ or an RREP. Raises Drop."""
    return parse_reply(data) if data[:1] == bytes((_RREP,)) else parse_request(data)


def salvage_request(data: bytes) -> RegistrationRequest:
    """Return what an answer to a poorly formed RREQ needs: the fixed part, ATTEMPT if readable.

    Raises Drop if the fixed part is not there.
    """
    draft = _request_head(data)
    draft.pad, draft.others = 0, ()
    values: dict[int, bytes] = {}
    with suppress(Drop):
        read_extensions(data, _REQUEST.size, values, [])
    with suppress(Drop):
        draft.attempt = parse_attempt(values.get(VendorType.ATTEMPT, b""))
    draft.__class__ = RegistrationRequest
    sealed: RegistrationRequest = draft
    return sealed


def _request_head(data: bytes) -> Any:
    if len(data) < _REQUEST.size:
        raise poorly_formed("RREQ truncated")
    draft = _RequestDraft()
    (
        kind,
        draft.flags,
        draft.lifetime,
        draft.home_address,
        draft.home_agent,
        draft.care_of_address,
        draft.identification,
    ) = _REQUEST.unpack_from(data)
    if kind != _RREQ:
        raise poorly_formed(f"message type {kind}, not an RREQ")
    draft.attempt = draft.sent = draft.supported = draft.challenge = None
    draft.response = draft.report = draft.addresses = draft.home = None
    return draft


def _parse_extensions(draft: Any, data: bytes, offset: int, parsers: _Parsers) -> None:
    values: dict[int, bytes] = {}
    others: list[Extension] = []
    draft.pad = read_extensions(data, offset, values, others)
    draft.others = tuple(others)
    for kind, value in values.items():
        codec = parsers.get(kind)
        if codec is None:
            raise poorly_formed(f"{VendorType(kind).name} in the wrong kind of message")
        setattr(draft, codec[0], codec[1](value))


def build_request(request: RegistrationRequest) -> bytes:
    """Write an RREQ. Raises ValueError if a value does not fit into its field."""
    try:
        head = _REQUEST.pack(
            _RREQ,
            request.flags,
            request.lifetime,
            request.home_address,
            request.home_agent,
            request.care_of_address,
            request.identification,
        )
        return _with_extensions(head, request, _REQUEST_VALUES)
    except struct.error as error:
        raise ValueError(f"RREQ field out of range: {error}") from error


def build_reply(reply: RegistrationReply) -> bytes:
    """Write an RREP. Raises ValueError if a value does not fit into its field."""
    try:
        head = _REPLY.pack(
            _RREP,
            reply.code,
            reply.lifetime,
            reply.home_address,
            reply.home_agent,
            reply.identification,
        )
        return _with_extensions(head, reply, _REPLY_VALUES)
    except struct.error as error:
        raise ValueError(f"RREP field out of range: {error}") from error


def _with_extensions(head: bytes, message: RegistrationMessage, values: _Values) -> bytes:
    parts = [head]
    for value, (kind, build) in zip(values.of(message), values.builders, strict=True):
        if value is not None:
            parts.append(build_vendor(kind, build(value)))
    if message.others:
        parts += [extension.octets for extension in message.others]
    if message.pad:
        parts.append(build_pad(message.pad))
    return b"".join(parts)


def pad_request(request: RegistrationRequest, length: int) -> RegistrationRequest:
    """Return the request with the PAD that makes it `length` octets long.

    A request that is longer without PAD stays as long; one that lacks 1 to 9 octets gets 10,
    because PAD costs that much (the room between 1200 and 1232 octets of ESP packet allows it).
    """
    bare = replace(request, pad=0)
    return replace(bare, pad=pad_for(length - len(build_request(bare))))


def missing_required(message: RegistrationMessage) -> str | None:
    """Name the first extension that the message must have and has not, None if it has all.

    ATTEMPT and SENT in an RREQ, RESPONSE too with CONFIRM; ATTEMPT in an RREP.
    """
    if message.attempt is None:
        return VendorType.ATTEMPT.name
    if isinstance(message, RegistrationReply):
        return None
    if message.sent is None:
        return VendorType.SENT.name
    if message.attempt.flags & _CONFIRM and message.response is None:
        return VendorType.RESPONSE.name
    return None
