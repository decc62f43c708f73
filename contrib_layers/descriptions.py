"""Encapsulation descriptions: header descriptors, encapsulation items, translation items.

A descriptor whose value has not the form of its type, or whose type is not known, is an
UnknownHeader: kept octet for octet.
"""

from enum import IntEnum

from scapy.fields import (
    ByteEnumField,
    ByteField,
    FieldListField,
    FlagsField,
    IPField,
    ShortField,
    StrLenField,
    XByteField,
    XIntField,
    XStrLenField,
)
from scapy.layers.inet6 import IP6Field
from scapy.packet import Packet

from contrib_layers.numbers import (
    HTTP_VERSION,
    ITEM_INSIDE_TLS,
    EncapsulationCode,
    FieldCode,
    HeaderType,
    NatureCode,
)
from contrib_layers.tlv import RANDOM_SIZE, BuiltFromFields, CountedStrField, Element, value_field

CERTIFICATE_SIZE = 32
"""Octets of the SHA-256 of a certificate."""

_PLAIN_NATURES = (NatureCode.ADDRESS, NatureCode.PORT, NatureCode.ADDRESS_AND_PORT)
"""Natures that say no more than the field does."""


def names(numbers: type[IntEnum]) -> dict[int, str]:
    """Names of an enumeration for Scapy's enum fields: ``{1: "source_address", ...}``."""
    return {member.value: member.name.lower() for member in numbers}


class _Descriptor(Element):
    length_size = 2
    value_at = 3
    fields_desc = [
        ByteEnumField(
            "type", 0, {kind.value: kind.name.replace("IPV", "IPv") for kind in HeaderType}
        ),
        ShortField("length", None),
    ]


class IPv4Header(_Descriptor):
    name = "IPv4 header descriptor"
    type = HeaderType.IPV4
    value_length = 8
    fields_desc = [_Descriptor, IPField("src", "0.0.0.0"), IPField("dst", "0.0.0.0")]


class IPv6Header(_Descriptor):
    name = "IPv6 header descriptor"
    type = HeaderType.IPV6
    value_length = 32
    fields_desc = [_Descriptor, IP6Field("src", "::"), IP6Field("dst", "::")]


class _Ports(_Descriptor):
    value_length = 4
    fields_desc = [_Descriptor, ShortField("sport", 0), ShortField("dport", 0)]


class UDPHeader(_Ports):
    name = "UDP header descriptor"
    type = HeaderType.UDP


class TCPHeader(_Ports):
    name = "TCP header descriptor"
    type = HeaderType.TCP


class _Spi(_Descriptor):
    value_length = 4
    fields_desc = [_Descriptor, XIntField("spi", 0)]


class ESPHeader(_Spi):
    name = "ESP header descriptor"
    type = HeaderType.ESP


class AHHeader(_Spi):
    name = "AH header descriptor"
    type = HeaderType.AH


class TLSHeader(_Descriptor):
    """SHA-256 of the server certificate, and the server name."""

    name = "TLS header descriptor"
    type = HeaderType.TLS
    fields_desc = [
        _Descriptor,
        XStrLenField(
            "certificate",
            bytes(CERTIFICATE_SIZE),
            length_from=lambda _: CERTIFICATE_SIZE,
            max_length=CERTIFICATE_SIZE,
        ),
        CountedStrField("server_name", b"", fmt="B"),
    ]

    @classmethod
    def value_fits(cls, value: bytes) -> bool:
        name = value[CERTIFICATE_SIZE:]
        return bool(name) and name[0] == len(name) - 1


class HTTPHeader(_Descriptor):
    """Request line (in an RREP ``path`` is the status code) and names of intermediary headers."""

    name = "HTTP header descriptor"
    type = HeaderType.HTTP
    fields_desc = [
        _Descriptor,
        XByteField("version", HTTP_VERSION),
        CountedStrField("method", b"", fmt="H"),
        CountedStrField("authority", b"", fmt="H"),
        CountedStrField("path", b"", fmt="H"),
        FieldListField(
            "intermediaries",
            [],
            CountedStrField("", b"", fmt="H"),
            length_from=lambda pkt: (
                pkt.length - (1 + 3 * 2 + len(pkt.method) + len(pkt.authority) + len(pkt.path))
            ),
            max_count=0x10000,
        ),
    ]

    @classmethod
    def value_fits(cls, value: bytes) -> bool:
        at, strings = 1, 0
        while at + 2 <= len(value):
            at += 2 + int.from_bytes(value[at : at + 2])
            strings += 1
        return at == len(value) and strings >= 3


class UnknownHeader(_Descriptor):
    name = "Unknown header descriptor"
    type = 255
    fields_desc = [
        _Descriptor,
        value_field("value"),
    ]


HEADERS = {
    layer.type.default: layer
    for layer in (
        IPv4Header,
        IPv6Header,
        UDPHeader,
        TCPHeader,
        ESPHeader,
        AHHeader,
        TLSHeader,
        HTTPHeader,
    )
}


def next_header(octets: bytes, at: int, _before: list[Packet]) -> tuple[type[Packet], int] | None:
    """The descriptor that begins at ``at`` (see :data:`contrib_layers.tlv.Split`)."""
    end = UnknownHeader.end(octets, at)
    if end is None:
        return None
    layer = HEADERS.get(octets[at])
    return (layer if layer and layer.fits(octets[at:end]) else UnknownHeader), end


class EncapsulationItem(Element):
    """One way to carry ESP that a terminal supports or selects."""

    name = "Encapsulation item"
    fields_desc = [
        ByteEnumField(
            "code",
            EncapsulationCode.UDP,
            {code.value: code.name.lower().replace("_", "-") for code in EncapsulationCode},
        ),
        ByteField("length", None),
        FlagsField("flags", 0, 8, {ITEM_INSIDE_TLS: "inside_tls"}),
        ShortField("port", 0),
        ShortField("keepalive", 0),
        CountedStrField("host", b"", fmt="B"),
        StrLenField(
            "path",
            b"",
            length_from=lambda pkt: pkt.length - 6 - len(pkt.host),
            max_length=RANDOM_SIZE,
        ),
    ]

    @classmethod
    def value_fits(cls, value: bytes) -> bool:
        return len(value) >= 6 and value[5] <= len(value) - 6


def next_item(octets: bytes, at: int, _before: list[Packet]) -> tuple[type[Packet], int] | None:
    """The encapsulation item that begins at ``at``; none that has no room for its own fields."""
    end = EncapsulationItem.end(octets, at)
    if end is None or not EncapsulationItem.fits(octets[at:end]):
        return None
    return EncapsulationItem, end


class Translation(BuiltFromFields):
    """One field that was changed on the way; ``index`` counts the descriptors of SENT."""

    name = "Translation"
    fixed_size = 3
    fields_desc = [
        ByteField("index", 0),
        ByteEnumField("field", 0, names(FieldCode)),
        ByteEnumField("nature", 0, names(NatureCode)),
    ]


def next_translation(
    octets: bytes, at: int, _before: list[Packet]
) -> tuple[type[Packet], int] | None:
    """The translation item that begins at ``at``."""
    return (Translation, at + 3) if at + 3 <= len(octets) else None


def describe_path(headers: list[Packet]) -> str:
    """``udp 10.0.0.2:4500 > 192.0.2.1:4500``; empty if no header says where the packet goes.

    The innermost header before ESP names the encapsulation, the outermost addresses and ports are
    the endpoints.
    """
    ip = next((header for header in headers if isinstance(header, IPv4Header | IPv6Header)), None)
    if ip is None:
        return ""
    encapsulation = "native"
    source, destination = ip.src, ip.dst
    ports = None
    for header in headers:
        if isinstance(header, _Ports) and ports is None:
            ports = header
        if isinstance(header, HTTPHeader) and header.method == b"POST":
            encapsulation = "http-post"
        elif isinstance(header, UDPHeader | TCPHeader | TLSHeader | HTTPHeader):
            encapsulation = type(header).__name__.removesuffix("Header").lower()
    if ports:
        if isinstance(ip, IPv6Header):
            source, destination = f"[{source}]", f"[{destination}]"
        source, destination = f"{source}:{ports.sport}", f"{destination}:{ports.dport}"
    return f"{encapsulation} {source} > {destination}"


def describe_translations(items: list[Packet]) -> str:
    """``translated: source address, source port``, in the order of the items."""
    changes = []
    for item in items:
        if not isinstance(item, Translation):
            continue
        field = item.sprintf("%field%")
        if item.nature in _PLAIN_NATURES:
            changes.append(field)
        else:
            changes.append(f"{field} ({item.sprintf('%nature%')})")
    return f"translated: {', '.join(changes)}".replace("_", " ") if changes else "no translation"
