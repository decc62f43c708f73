"""Encapsulation descriptions and encapsulation items: values <-> octets.

A description lists the headers around an ESP or AH packet, outermost first, and ends with the ESP
or AH descriptor; an item names one encapsulation with its parameters. Formats: docs/wire-format.md.

Objects built by hand are checked when they are made (ValueError), parsed ones by the parser
(`Drop(POORLY_FORMED)`).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, TypeAlias, TypeGuard

from contrib_layers.numbers import (
    HTTP_VERSION,
    ITEM_INSIDE_TLS,
    EncapsulationCode,
    HeaderType,
)
from scapy_mobsec.kinds import OCTET, check_fields, whole
from scapy_mobsec.registration.border import check_length, check_text, parse_text, poorly_formed
from scapy_mobsec.registration.draft import draft_of

MAX_DESCRIPTORS = 16
"""Headers in one description; a forward proxy with TLS and HTTP needs 6."""

MAX_INTERMEDIARIES = 16
"""Names of intermediary headers in one HTTP descriptor."""

MAX_ITEMS = 16
"""Encapsulation items in one list; there are 6 codes, some with several hosts or ports."""

MAX_REMEMBERED = 1024
"""Lists of either kind that are remembered as parsed: terminals say the same again and again."""

_IPV4 = struct.Struct(">BH4s4s")
_IPV6 = struct.Struct(">BH16s16s")
_PORTS = struct.Struct(">BHHH")
_SPI = struct.Struct(">BHI")
_HEAD = struct.Struct(">BH")
_ITEM = struct.Struct(">BBBHHB")
_UINT16 = whole(0, 0xFFFF)
_ITEM_HEAD = 8  # octets of an item before host and path
_ITEM_REST = 6  # those of them after its length

_two_ports = struct.Struct(">HH").unpack_from
_one_spi = struct.Struct(">I").unpack_from
_length_of = struct.Struct(">H").unpack_from


@dataclass(frozen=True, slots=True)
class Ipv4Header:
    """Packed source and destination address, 4 octets each."""

    type: ClassVar[HeaderType] = HeaderType.IPV4
    source: bytes
    destination: bytes

    def __post_init__(self) -> None:
        check_length(self.source, 4, "IPv4 source")
        check_length(self.destination, 4, "IPv4 destination")

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        return _IPV4.pack(self.type, 8, self.source, self.destination)


@dataclass(frozen=True, slots=True)
class Ipv6Header:
    """Packed source and destination address, 16 octets each."""

    type: ClassVar[HeaderType] = HeaderType.IPV6
    source: bytes
    destination: bytes

    def __post_init__(self) -> None:
        check_length(self.source, 16, "IPv6 source")
        check_length(self.destination, 16, "IPv6 destination")

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        return _IPV6.pack(self.type, 32, self.source, self.destination)


@dataclass(frozen=True, slots=True)
class UdpHeader:
    """UDP ports."""

    type: ClassVar[HeaderType] = HeaderType.UDP
    source_port: int
    destination_port: int

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        return _PORTS.pack(self.type, 4, self.source_port, self.destination_port)


@dataclass(frozen=True, slots=True)
class TcpHeader:
    """TCP ports."""

    type: ClassVar[HeaderType] = HeaderType.TCP
    source_port: int
    destination_port: int

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        return _PORTS.pack(self.type, 4, self.source_port, self.destination_port)


@dataclass(frozen=True, slots=True)
class EspHeader:
    """SPI of the ESP packet that carries the message."""

    type: ClassVar[HeaderType] = HeaderType.ESP
    spi: int

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        return _SPI.pack(self.type, 4, self.spi)


@dataclass(frozen=True, slots=True)
class AhHeader:
    """SPI of the AH packet that carries the message."""

    type: ClassVar[HeaderType] = HeaderType.AH
    spi: int

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        return _SPI.pack(self.type, 4, self.spi)


@dataclass(frozen=True, slots=True)
class TlsHeader:
    """SHA-256 of the server certificate as this side saw or sent it, and the server name."""

    type: ClassVar[HeaderType] = HeaderType.TLS
    certificate_sha256: bytes
    server_name: str

    def __post_init__(self) -> None:
        check_length(self.certificate_sha256, 32, "certificate hash")
        check_text(self.server_name, 255, "server name")

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        name = self.server_name.encode("ascii")
        value = self.certificate_sha256 + bytes((len(name),)) + name
        return _HEAD.pack(self.type, len(value)) + value


@dataclass(frozen=True, slots=True)
class HttpHeader:
    """Request line and Host of an HTTP request, with the names of intermediary headers seen.

    Of an answer (in an RREP): method and authority empty, path = status code.
    """

    type: ClassVar[HeaderType] = HeaderType.HTTP
    method: str
    authority: str
    path: str
    intermediaries: tuple[str, ...] = ()
    version: int = HTTP_VERSION

    def __post_init__(self) -> None:
        for name in ("method", "authority", "path"):
            check_text(getattr(self, name), 0xFFFF, name)
        if len(self.intermediaries) > MAX_INTERMEDIARIES:
            raise ValueError(f"more than {MAX_INTERMEDIARIES} intermediaries")
        for text in self.intermediaries:
            check_text(text, 0xFFFF, "intermediary")

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        value = bytearray((self.version,))
        for text in (self.method, self.authority, self.path, *self.intermediaries):
            value += len(text).to_bytes(2, "big") + text.encode("ascii")
        return _HEAD.pack(self.type, len(value)) + value


@dataclass(frozen=True, slots=True)
class UnknownHeader:
    """A descriptor of a type that is not known here, kept as it came."""

    type: int
    value: bytes

    def build(self) -> bytes:
        """Return the descriptor's octets."""
        return _HEAD.pack(self.type, len(self.value)) + self.value


IpHeader: TypeAlias = Ipv4Header | Ipv6Header
HeaderDescriptor: TypeAlias = (
    IpHeader | UdpHeader | TcpHeader | EspHeader | AhHeader | TlsHeader | HttpHeader | UnknownHeader
)
Description: TypeAlias = tuple[HeaderDescriptor, ...]

Usual: TypeAlias = tuple[IpHeader, UdpHeader, EspHeader]
"""The description that nearly all messages have, so it has ways of its own that are short."""

_USUAL_TYPES = frozenset({(ip, UdpHeader, EspHeader) for ip in (Ipv4Header, Ipv6Header)})

_Parser: TypeAlias = Callable[[bytes, int, int], HeaderDescriptor]

_Ipv4Draft, _Ipv6Draft = draft_of(Ipv4Header), draft_of(Ipv6Header)
_UdpDraft, _EspDraft = draft_of(UdpHeader), draft_of(EspHeader)


def ip_udp_esp(
    source: bytes, source_port: int, destination: bytes, destination_port: int, spi: int
) -> Usual:
    """Return a usual description; addresses are packed, both 4 or both 16 octets."""
    ipv4 = len(source) == 4
    ip = _Ipv4Draft() if ipv4 else _Ipv6Draft()
    ip.source, ip.destination = source, destination
    ip.__class__ = Ipv4Header if ipv4 else Ipv6Header
    udp = _UdpDraft()
    udp.source_port, udp.destination_port = source_port, destination_port
    udp.__class__ = UdpHeader
    esp = _EspDraft()
    esp.spi = spi
    esp.__class__ = EspHeader
    return ip, udp, esp


def is_usual(description: Description) -> TypeGuard[Usual]:
    """Tell whether a description is IP, UDP and ESP."""
    return tuple(map(type, description)) in _USUAL_TYPES


def _addresses_parser(cls: type[IpHeader], size: int) -> _Parser:
    draft_class = draft_of(cls)

    def parse(value: bytes, start: int, end: int) -> HeaderDescriptor:
        middle = start + size
        if end - middle != size:
            raise poorly_formed(f"{cls.type.name} descriptor of {end - start} octets")
        draft = draft_class()
        draft.source = value[start:middle]
        draft.destination = value[middle:end]
        draft.__class__ = cls
        sealed: HeaderDescriptor = draft
        return sealed

    return parse


def _ports_parser(cls: type[UdpHeader | TcpHeader]) -> _Parser:
    draft_class = draft_of(cls)

    def parse(value: bytes, start: int, end: int) -> HeaderDescriptor:
        if end - start != 4:
            raise poorly_formed(f"{cls.type.name} descriptor of {end - start} octets")
        draft = draft_class()
        draft.source_port, draft.destination_port = _two_ports(value, start)
        draft.__class__ = cls
        sealed: HeaderDescriptor = draft
        return sealed

    return parse


def _spi_parser(cls: type[EspHeader | AhHeader]) -> _Parser:
    draft_class = draft_of(cls)

    def parse(value: bytes, start: int, end: int) -> HeaderDescriptor:
        if end - start != 4:
            raise poorly_formed(f"{cls.type.name} descriptor of {end - start} octets")
        draft = draft_class()
        (draft.spi,) = _one_spi(value, start)
        draft.__class__ = cls
        sealed: HeaderDescriptor = draft
        return sealed

    return parse


def _parse_tls(value: bytes, start: int, end: int) -> HeaderDescriptor:
    name = start + 33
    if end < name or value[name - 1] != end - name:
        raise poorly_formed("TLS descriptor whose lengths do not fit")
    return TlsHeader(value[start : name - 1], parse_text(value[name:end], "server name"))


def _parse_http(value: bytes, start: int, end: int) -> HeaderDescriptor:
    texts: list[str] = []
    offset = start + 1
    while offset < end:
        if len(texts) == 3 + MAX_INTERMEDIARIES:
            raise poorly_formed(f"more than {MAX_INTERMEDIARIES} intermediaries")
        if end - offset < 2:
            raise poorly_formed("HTTP descriptor truncated")
        (length,) = _length_of(value, offset)
        offset += 2 + length
        if offset > end:
            raise poorly_formed("HTTP descriptor truncated")
        texts.append(parse_text(value[offset - length : offset], "text of an HTTP descriptor"))
    if len(texts) < 3:
        raise poorly_formed("HTTP descriptor without method, authority and path")
    method, authority, path, *intermediaries = texts
    return HttpHeader(method, authority, path, tuple(intermediaries), value[start])


_PARSERS: dict[int, _Parser] = {
    HeaderType.IPV4: _addresses_parser(Ipv4Header, 4),
    HeaderType.IPV6: _addresses_parser(Ipv6Header, 16),
    HeaderType.UDP: _ports_parser(UdpHeader),
    HeaderType.TCP: _ports_parser(TcpHeader),
    HeaderType.ESP: _spi_parser(EspHeader),
    HeaderType.AH: _spi_parser(AhHeader),
    HeaderType.TLS: _parse_tls,
    HeaderType.HTTP: _parse_http,
}
_LAST = (int(HeaderType.ESP), int(HeaderType.AH))


@lru_cache(MAX_REMEMBERED)
def parse_description(value: bytes) -> Description:
    """Parse a list of header descriptors (the value of SENT or OBSERVED). Raises Drop."""
    headers: list[HeaderDescriptor] = []
    offset, end = 0, len(value)
    kind = 0
    while offset < end:
        if end - offset < 3:
            raise poorly_formed("header descriptor truncated")
        kind, length = _HEAD.unpack_from(value, offset)
        start = offset + 3
        offset = start + length
        if offset > end:
            raise poorly_formed("header descriptor truncated")
        parse = _PARSERS.get(kind)
        if parse:
            headers.append(parse(value, start, offset))
        else:
            headers.append(UnknownHeader(kind, value[start:offset]))
    if len(headers) > MAX_DESCRIPTORS:
        raise poorly_formed(f"more than {MAX_DESCRIPTORS} header descriptors")
    if kind not in _LAST:
        raise poorly_formed("description does not end with ESP or AH")
    return tuple(headers)


def build_description(description: Description) -> bytes:
    """Write a description.

    Raises ValueError if it is too long or does not end with ESP or AH, struct.error if a number
    does not fit into its field.
    """
    if len(description) > MAX_DESCRIPTORS:
        raise ValueError(f"more than {MAX_DESCRIPTORS} header descriptors")
    if not description or description[-1].type not in _LAST:
        raise ValueError("description does not end with ESP or AH")
    return b"".join([header.build() for header in description])


@dataclass(frozen=True, slots=True)
class EncapsulationItem:
    """One encapsulation of SUPPORTED or SELECTED; unknown codes are kept.

    `port` is 0 in the mobile terminal's items; `keepalive` in seconds, 0 = none.
    """

    code: int
    flags: int = 0
    port: int = 0
    keepalive: int = 0
    host: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what an item cannot say."""
        check_fields(self, code=OCTET, flags=OCTET, port=_UINT16, keepalive=_UINT16)
        check_text(self.host, 255 - _ITEM_REST, "host")
        check_text(self.path, 255 - _ITEM_REST - len(self.host), "path")
        if _misplaced_tls(self.code, self.flags):
            raise ValueError(f"flag inside TLS with encapsulation code {self.code}")


def _misplaced_tls(code: int, flags: int) -> bool:
    return bool(flags & ITEM_INSIDE_TLS) and code < EncapsulationCode.HTTP


_ItemDraft = draft_of(EncapsulationItem)
_item_head = _ITEM.unpack_from


@lru_cache(MAX_REMEMBERED)
def parse_items(value: bytes) -> tuple[EncapsulationItem, ...]:
    """Parse a list of encapsulation items (the value of SUPPORTED or SELECTED). Raises Drop."""
    items: list[EncapsulationItem] = []
    offset, end = 0, len(value)
    while offset < end:
        if end - offset < _ITEM_HEAD:
            raise poorly_formed("encapsulation item truncated")
        item = _ItemDraft()
        item.code, length, flags, item.port, item.keepalive, host_length = _item_head(value, offset)
        following = offset + 2 + length
        if following > end or host_length + _ITEM_REST > length:
            raise poorly_formed("encapsulation item whose lengths do not fit")
        if flags and _misplaced_tls(item.code, flags):
            raise poorly_formed(f"flag inside TLS with encapsulation code {item.code}")
        item.flags = flags
        if length == _ITEM_REST:
            item.host = item.path = ""
        else:
            path = offset + _ITEM_HEAD + host_length
            item.host = parse_text(value[offset + _ITEM_HEAD : path], "host")
            item.path = parse_text(value[path:following], "path")
        offset = following
        item.__class__ = EncapsulationItem
        items.append(item)
    if len(items) > MAX_ITEMS:
        raise poorly_formed(f"more than {MAX_ITEMS} encapsulation items")
    return tuple(items)


def build_items(items: tuple[EncapsulationItem, ...]) -> bytes:
    """Write a list of items. Raises ValueError if it is too long."""
    if len(items) > MAX_ITEMS:
        raise ValueError(f"more than {MAX_ITEMS} encapsulation items")
    parts = []
    for item in items:
        host, path = item.host, item.path
        length = _ITEM_REST + len(host) + len(path)
        parts.append(
            _ITEM.pack(item.code, length, item.flags, item.port, item.keepalive, len(host))
        )
        if length > _ITEM_REST:
            parts.append((host + path).encode("ascii"))
    return b"".join(parts)
