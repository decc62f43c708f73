"""What is in the payloads of IKEv2 (RFC 7296 sections 3.3 to 3.16), as frozen values.

`parse_payload` gives the value of a payload, for those that nothing here reads (certificates, key
exchange data, EAP) just their name and length. Everything is checked against the payload's end.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import TypeAlias

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike.message import Payload
from scapy_mobsec.ike.numbers import NotifyType, PayloadType, Protocol, SelectorType, TransformType

MAX_VALUES = 1024
"""Of a message: payloads, and what they hold many of. Larger messages cost time, and tell nobody
anything.
"""
MAX_PROPOSALS = 64
MAX_TRANSFORMS = 512
"""Of all proposals of a payload."""
MAX_TRANSFORM_ATTRIBUTES = 8
"""Of one transform: only its key length is defined (RFC 7296 section 3.3.5)."""
MAX_SPIS = 512
MAX_SELECTORS = 256
MAX_ATTRIBUTES = 256
LENGTH_OF_ESP_SPI = 4

_KEY_LENGTH_ATTRIBUTE = 0x800E
_PROPOSAL = Struct(">BBHBBBB")
_TRANSFORM = Struct(">BBHBBH")
_SELECTOR = Struct(">BBHHH")
_MORE_PROPOSALS, _MORE_TRANSFORMS, _LAST = 2, 3, 0


@dataclass(frozen=True, slots=True)
class Transform:
    """One algorithm; key_length: in bits, None where the algorithm has only one."""

    type: int
    id: int
    key_length: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one proposal offers; of a chosen one there is one transform of a type."""

    number: int
    protocol: int
    spi: bytes
    transforms: tuple[Transform, ...]

    def chosen(self, kind: TransformType) -> Transform | None:
        """The first transform of a type, None if there is none."""
        return next((each for each in self.transforms if each.type == kind), None)


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """SA: proposals, the best first."""

    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class KeyExchangeData:
    """KE: the method, and how many octets of public value."""

    method: int
    length: int


@dataclass(frozen=True, slots=True)
class Identity:
    """IDi or IDr."""

    of_initiator: bool
    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Authentication:
    """AUTH: the method, and the length of the data."""

    method: int
    length: int


@dataclass(frozen=True, slots=True)
class Nonce:
    """Ni or Nr."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notify:
    """A notification; protocol and spi of the SA it concerns, 0 and empty without one."""

    kind: int
    protocol: int
    spi: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """SAs that the sender does not receive on any more; no SPIs: the IKE SA itself."""

    protocol: int
    spis: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class VendorId:
    """The octets of a vendor id."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Selector:
    """Addresses (packed, inclusive) and ports; protocol 0: any. No addresses: of unknown kind."""

    kind: int
    protocol: int
    first_port: int
    last_port: int
    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class TrafficSelectors:
    """TSi or TSr."""

    of_initiator: bool
    selectors: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class ConfigurationAttribute:
    """One attribute of a CP payload."""

    kind: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Configuration:
    """CP."""

    kind: int
    attributes: tuple[ConfigurationAttribute, ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """A payload of which only type and length are told."""

    type: int
    length: int
    critical: bool = False


Content: TypeAlias = (
    SecurityAssociation
    | KeyExchangeData
    | Identity
    | Authentication
    | Nonce
    | Notify
    | Delete
    | VendorId
    | TrafficSelectors
    | Configuration
    | Opaque
)


def parse_payloads(payloads: Iterable[Payload]) -> tuple[Content, ...]:
    """Read those of one message, with at most MAX_VALUES in them. Raises Drop(MALFORMED_IKE)."""
    contents: list[Content] = []
    values = 0
    for payload in payloads:
        content = parse_payload(payload)
        contents.append(content)
        values += count_values(content)
        _require(values <= MAX_VALUES, f"more than {MAX_VALUES} values")
    return tuple(contents)


def parse_payload(payload: Payload) -> Content:
    """Read the body of a payload. Raises Drop(MALFORMED_IKE)."""
    parse = _PARSERS.get(payload.type)
    if parse is None:
        return Opaque(payload.type, len(payload.body), payload.critical)
    return parse(payload)


def count_values(content: object) -> int:
    """How many values a payload became: itself, and those of which it may have many."""
    match content:
        case SecurityAssociation(proposals):
            return 1 + sum(1 + len(each.transforms) for each in proposals)
        case Delete(spis=many) | TrafficSelectors(selectors=many) | Configuration(attributes=many):
            return 1 + len(many)
    return 1


def _security_association(payload: Payload) -> SecurityAssociation:
    """RFC 7296 section 3.3.1."""
    body, at, more = payload.body, 0, True
    transforms_left = MAX_TRANSFORMS
    proposals: list[Proposal] = []
    while more:
        _require(len(proposals) < MAX_PROPOSALS, f"more than {MAX_PROPOSALS} proposals")
        _require(len(body) - at >= _PROPOSAL.size, "proposal")
        last, _, length, number, protocol, spi_length, count = _PROPOSAL.unpack_from(body, at)
        _require(last in (_LAST, _MORE_PROPOSALS), f"{last} where 0 or 2 tells of more proposals")
        _require(_PROPOSAL.size + spi_length <= length <= len(body) - at, "proposal")
        spi_at = at + _PROPOSAL.size
        spi = body[spi_at : spi_at + spi_length]
        transforms_left -= count
        _require(transforms_left >= 0, f"more than {MAX_TRANSFORMS} transforms")
        transforms = _transforms(body[spi_at + spi_length : at + length], count)
        proposals.append(Proposal(number, protocol, spi, transforms))
        at += length
        more = last == _MORE_PROPOSALS
    _require(at == len(body), "octets behind the last proposal")
    return SecurityAssociation(tuple(proposals))


def _transforms(body: bytes, count: int) -> tuple[Transform, ...]:
    """RFC 7296 section 3.3.2."""
    at = 0
    transforms: list[Transform] = []
    for _ in range(count):
        _require(len(body) - at >= _TRANSFORM.size, "transform")
        last, _, length, kind, _, number = _TRANSFORM.unpack_from(body, at)
        _require(last in (_LAST, _MORE_TRANSFORMS), f"{last} where 0 or 3 tells of more transforms")
        _require(_TRANSFORM.size <= length <= len(body) - at, "transform")
        key_length = _key_length(body[at + _TRANSFORM.size : at + length])
        transforms.append(Transform(kind, number, key_length))
        at += length
    _require(at == len(body), "octets behind the last transform")
    return tuple(transforms)


def _key_length(attributes: bytes) -> int | None:
    """Return the Key Length attribute (RFC 7296 section 3.3.5), None if there is none."""
    at, count, found = 0, 0, None
    while at < len(attributes):
        count += 1
        _require(count <= MAX_TRANSFORM_ATTRIBUTES, "too many attributes of a transform")
        _require(len(attributes) - at >= 4, "transform attribute")
        kind = int.from_bytes(attributes[at : at + 2], "big")
        value = int.from_bytes(attributes[at + 2 : at + 4], "big")
        if kind == _KEY_LENGTH_ATTRIBUTE:
            found = value
        at += 4 if kind & 0x8000 else 4 + value
    _require(at == len(attributes), "transform attribute")
    return found


def _key_exchange(payload: Payload) -> KeyExchangeData:
    _require(len(payload.body) >= 4, "KE")
    return KeyExchangeData(int.from_bytes(payload.body[:2], "big"), len(payload.body) - 4)


def _identity(payload: Payload) -> Identity:
    _require(len(payload.body) >= 4, "identity")
    return Identity(payload.type == PayloadType.IDI, payload.body[0], payload.body[4:])


def _authentication(payload: Payload) -> Authentication:
    _require(len(payload.body) >= 4, "AUTH")
    return Authentication(payload.body[0], len(payload.body) - 4)


def _nonce(payload: Payload) -> Nonce:
    """16 to 256 octets (RFC 7296 section 3.9)."""
    _require(16 <= len(payload.body) <= 256, f"nonce of {len(payload.body)} octets")
    return Nonce(payload.body)


def _notify(payload: Payload) -> Notify:
    body = payload.body
    _require(len(body) >= 4 and len(body) >= 4 + body[1], "notification")
    spi_end = 4 + body[1]
    kind = int.from_bytes(body[2:4], "big")
    _require(len(body) - spi_end in _NOTIFY_LENGTHS.get(kind, (len(body) - spi_end,)), f"N({kind})")
    return Notify(kind, body[0], body[4:spi_end], body[spi_end:])


_NOTIFY_LENGTHS: Mapping[int, tuple[int, ...]] = {
    NotifyType.NAT_DETECTION_SOURCE_IP: (20,),
    NotifyType.NAT_DETECTION_DESTINATION_IP: (20,),
    NotifyType.ADDITIONAL_IP4_ADDRESS: (4,),
    NotifyType.ADDITIONAL_IP6_ADDRESS: (16,),
    NotifyType.COOKIE2: tuple(range(8, 65)),
    NotifyType.NO_NATS_ALLOWED: (12, 36),
}
"""Octets of data (RFC 7296 section 2.23, RFC 4555 section 4.2)."""


def _delete(payload: Payload) -> Delete:
    body = payload.body
    _require(len(body) >= 4, "delete")
    protocol, size, count = body[0], body[1], int.from_bytes(body[2:4], "big")
    _require(count <= MAX_SPIS and len(body) == 4 + size * count, "delete")
    _require(size > 0 or count == 0, "delete")
    wanted = 0 if protocol == Protocol.IKE else LENGTH_OF_ESP_SPI
    _require(size == wanted or protocol not in Protocol.__members__.values(), "delete")
    return Delete(protocol, tuple(body[4 + size * n : 4 + size * n + size] for n in range(count)))


def _vendor_id(payload: Payload) -> VendorId:
    return VendorId(payload.body)


def _traffic_selectors(payload: Payload) -> TrafficSelectors:
    body, at = payload.body, 4
    _require(len(body) >= 4 and body[0] <= MAX_SELECTORS, "traffic selectors")
    selectors: list[Selector] = []
    for _ in range(body[0]):
        _require(len(body) - at >= _SELECTOR.size, "traffic selector")
        kind, protocol, length, first_port, last_port = _SELECTOR.unpack_from(body, at)
        _require(_SELECTOR.size <= length <= len(body) - at, "traffic selector")
        size = _ADDRESS_LENGTHS.get(kind, 0)
        _require(not size or length == _SELECTOR.size + 2 * size, "traffic selector")
        first = body[at + _SELECTOR.size : at + _SELECTOR.size + size]
        last = body[at + _SELECTOR.size + size : at + _SELECTOR.size + 2 * size]
        selectors.append(Selector(kind, protocol, first_port, last_port, first, last))
        at += length
    _require(at == len(body), "octets behind the last traffic selector")
    return TrafficSelectors(payload.type == PayloadType.TSI, tuple(selectors))


_ADDRESS_LENGTHS: Mapping[int, int] = {
    SelectorType.IPV4_ADDR_RANGE: 4,
    SelectorType.IPV6_ADDR_RANGE: 16,
}


def _configuration(payload: Payload) -> Configuration:
    body, at = payload.body, 4
    _require(len(body) >= 4, "CP")
    attributes: list[ConfigurationAttribute] = []
    while at < len(body):
        _require(len(attributes) < MAX_ATTRIBUTES, f"more than {MAX_ATTRIBUTES} attributes")
        _require(len(body) - at >= 4, "CP attribute")
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        _require(length <= len(body) - at - 4, "CP attribute")
        kind = int.from_bytes(body[at : at + 2], "big") & 0x7FFF
        attributes.append(ConfigurationAttribute(kind, body[at + 4 : at + 4 + length]))
        at += 4 + length
    return Configuration(body[0], tuple(attributes))


_PARSERS: Mapping[int, Callable[[Payload], Content]] = {
    PayloadType.SA: _security_association,
    PayloadType.KE: _key_exchange,
    PayloadType.IDI: _identity,
    PayloadType.IDR: _identity,
    PayloadType.AUTH: _authentication,
    PayloadType.NONCE: _nonce,
    PayloadType.NOTIFY: _notify,
    PayloadType.DELETE: _delete,
    PayloadType.VENDOR_ID: _vendor_id,
    PayloadType.TSI: _traffic_selectors,
    PayloadType.TSR: _traffic_selectors,
    PayloadType.CP: _configuration,
}


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Drop(DropReason.MALFORMED_IKE, what)
