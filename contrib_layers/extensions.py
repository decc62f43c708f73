"""Mobile IP extensions: the standard ones and our vendor extensions.

- Type and length are one octet each (RFC 5944 section 1.9), but type 0 is a single octet and the
  types of LONG_EXTENSION_TYPES have a sub-type and a length of two octets (section 1.10).
- Types from 128 are kept even if unknown. From an unknown type below 128 on, and from an extension
  that is cut short, the octets are the message's payload.
- An extension whose value has not the form of its type is kept octet for octet in the next more
  general class: NormalVendorExtension, LongExtension or UnknownExtension.
- Our extensions are Normal Vendor Extensions (RFC 3115 section 2.2). One that is too long for its
  length field is built as several, each directly after the other. Dissection keeps them apart: the
  second and later ones are NormalVendorExtension, for alone they mean nothing. ``joined()`` of the
  message puts them together.
"""

import struct
from ipaddress import ip_address

from scapy.fields import (
    BitField,
    ByteEnumField,
    ByteField,
    Field,
    FieldListField,
    FlagsField,
    IntField,
    MultiEnumField,
    ShortField,
    StrLenField,
    XByteField,
    XIntField,
    XShortField,
)
from scapy.layers.inet6 import IP6Field
from scapy.packet import Packet

from contrib_layers.descriptions import names, next_header, next_item, next_translation
from contrib_layers.numbers import (
    LONG_EXTENSION_TYPES,
    MAX_VENDOR_VALUE,
    VENDOR_ID,
    AttemptFlag,
    ExtensionType,
    VendorType,
)
from contrib_layers.tlv import (
    RANDOM_SIZE,
    BuiltFromFields,
    Element,
    ElementListField,
    value_field,
    value_size,
)

FIRST_SKIPPABLE_TYPE = 128
"""Unknown extensions from this type on are kept and ignored (RFC 5944 section 1.8)."""


class OneBytePadding(BuiltFromFields):
    name = "One-byte padding extension"
    fixed_size = 1
    fields_desc = [ByteEnumField("type", ExtensionType.PADDING, names(ExtensionType))]


class _Extension(Element):
    fields_desc = [
        ByteEnumField("type", 255, names(ExtensionType)),
        ByteField("length", None),
    ]


class UnknownExtension(_Extension):
    name = "Unknown extension"
    fields_desc = [_Extension, value_field("value")]


class Authentication(_Extension):
    value_at = 6
    fields_desc = [
        _Extension,
        XIntField("spi", 0),
        value_field("authenticator"),
    ]


class MobileHomeAuthentication(Authentication):
    name = "Mobile-Home authentication extension"
    type = ExtensionType.MOBILE_HOME_AUTHENTICATION


class MobileForeignAuthentication(Authentication):
    name = "Mobile-Foreign authentication extension"
    type = ExtensionType.MOBILE_FOREIGN_AUTHENTICATION


class ForeignHomeAuthentication(Authentication):
    name = "Foreign-Home authentication extension"
    type = ExtensionType.FOREIGN_HOME_AUTHENTICATION


class UDPTunnelRequest(_Extension):
    """RFC 3519 section 3.1."""

    name = "UDP tunnel request extension"
    type = ExtensionType.UDP_TUNNEL_REQUEST
    value_length = 6
    fields_desc = [
        _Extension,
        ByteField("subtype", 0),
        XByteField("reserved1", 0),
        BitField("F", 0, 1),
        BitField("R", 0, 1),
        BitField("reserved2", 0, 6),
        ByteEnumField("encapsulation", 4, {4: "ip_in_ip", 47: "gre", 55: "minimal"}),
        XShortField("reserved3", 0),
    ]


class UDPTunnelReply(_Extension):
    """RFC 3519 section 3.2."""

    name = "UDP tunnel reply extension"
    type = ExtensionType.UDP_TUNNEL_REPLY
    value_length = 6
    fields_desc = [
        _Extension,
        ByteField("subtype", 0),
        ByteEnumField("code", 0, {0: "will_tunnel", 64: "declined"}),
        BitField("F", 0, 1),
        BitField("reserved", 0, 15),
        ShortField("keepalive", 0),
    ]


class MobileNodeNAI(_Extension):
    """RFC 2794 section 2."""

    name = "Mobile Node NAI extension"
    type = ExtensionType.NAI
    fields_desc = [
        _Extension,
        StrLenField("nai", b"", length_from=value_size, max_length=RANDOM_SIZE),
    ]


class _LongExtension(Element):
    length_at = 2
    length_size = 2


class LongExtension(_LongExtension):
    """The long form; of its types only the vendor one is known further."""

    name = "Long extension"
    value_at = 4
    fields_desc = [
        ByteEnumField("type", 36, names(ExtensionType)),
        ByteField("subtype", 0),
        ShortField("length", None),
        value_field("value"),
    ]


class CriticalVendorExtension(_LongExtension):
    """RFC 3115 section 2.1."""

    name = "Critical vendor extension"
    value_at = 10
    fields_desc = [
        ByteEnumField("type", ExtensionType.CRITICAL_VENDOR, names(ExtensionType)),
        XByteField("reserved", 0),
        ShortField("length", None),
        IntField("vendor_id", 0),
        ShortField("vendor_type", 0),
        value_field("value"),
    ]


class VendorExtension(_Extension):
    type = ExtensionType.NORMAL_VENDOR
    value_at = 10
    fields_desc = [
        _Extension,
        XShortField("vendor_reserved", 0),
        IntField("vendor_id", VENDOR_ID),
        MultiEnumField(
            "vendor_type",
            0,
            {VENDOR_ID: names(VendorType)},
            depends_on=lambda pkt: pkt.vendor_id,
            fmt="H",
        ),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        head, value = pkt[: self.value_at], pkt[self.value_at :]
        ours = not isinstance(self, NormalVendorExtension) or self.vendor_id == VENDOR_ID
        if self.length is not None or not ours or len(value) <= MAX_VENDOR_VALUE:
            return super().post_build(pkt, pay)
        parts = [value[at : at + MAX_VENDOR_VALUE] for at in range(0, len(value), MAX_VENDOR_VALUE)]
        build = super().post_build
        return b"".join(build(head + part, b"") for part in parts) + pay

    def value_octets(self) -> bytes:
        """The value, as long as it may be."""
        return self.self_build()[self.value_at :]


class NormalVendorExtension(VendorExtension):
    """Of another vendor, or one of ours that continues the one before or has another form."""

    name = "Normal vendor extension"
    fields_desc = [VendorExtension, value_field("value")]


class Sent(VendorExtension):
    """Header descriptors, outermost first, as the sender of this message wrote them."""

    name = "Sent"
    vendor_type = VendorType.SENT
    fields_desc = [VendorExtension, ElementListField("headers", next_header, value_size)]


class Observed(VendorExtension):
    """RREP: descriptors of the RREQ as it arrived."""

    name = "Observed"
    vendor_type = VendorType.OBSERVED
    fields_desc = [VendorExtension, ElementListField("headers", next_header, value_size)]


class Translations(VendorExtension):
    """RREP: one item for each changed field; empty: none found."""

    name = "Translations"
    vendor_type = VendorType.TRANSLATIONS
    fields_desc = [VendorExtension, ElementListField("items", next_translation, value_size)]


class Supported(VendorExtension):
    """Encapsulation items in order of preference."""

    name = "Supported"
    vendor_type = VendorType.SUPPORTED
    fields_desc = [VendorExtension, ElementListField("items", next_item, value_size)]


class Selected(VendorExtension):
    """RREP: encapsulation items to use, best first."""

    name = "Selected"
    vendor_type = VendorType.SELECTED
    fields_desc = [VendorExtension, ElementListField("items", next_item, value_size)]


class Attempt(VendorExtension):
    """Which attempt, and which of its ``count`` RREQs."""

    name = "Attempt"
    vendor_type = VendorType.ATTEMPT
    value_length = 8
    fields_desc = [
        VendorExtension,
        IntField("number", 1),
        FlagsField("flags", 0, 8, {flag.value: flag.name for flag in AttemptFlag}),
        ByteField("index", 0),
        ByteField("count", 1),
        XByteField("reserved", 0),
    ]


class _Cookie(VendorExtension):
    value_length = 8
    fields_desc = [VendorExtension, value_field("value", bytes(8))]


class Challenge(_Cookie):
    """RREP: eight octets that prove a path when they come back."""

    name = "Challenge"
    vendor_type = VendorType.CHALLENGE


class Response(_Cookie):
    """RREQ: the octets of the challenge."""

    name = "Response"
    vendor_type = VendorType.RESPONSE


class Pad(VendorExtension):
    """Zero octets, to make a message as long as wanted."""

    name = "Pad"
    vendor_type = VendorType.PAD
    fields_desc = [VendorExtension, value_field("value")]


class Report(VendorExtension):
    """Data packets of this path as the sender of this message counted them, modulo 2^32."""

    name = "Report"
    vendor_type = VendorType.REPORT
    value_length = 10
    fields_desc = [
        VendorExtension,
        IntField("received", 0),
        IntField("sent", 0),
        ShortField("largest", 0),
    ]


class _AddressField(Field):
    """An address as text, its family before it; octets that are no such pair stay octets."""

    sizes = {4: 4, 6: 16}

    def addfield(self, pkt: Packet, s: bytes, val: str | bytes) -> bytes:
        if isinstance(val, bytes):
            return s + val
        address = ip_address(val)
        return s + bytes([address.version]) + address.packed

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, str | bytes]:
        end = 1 + self.sizes.get(s[0], len(s))
        if end > len(s):
            return b"", s
        return s[end:], str(ip_address(s[1:end]))


class Addresses(VendorExtension):
    """Other outer addresses of the sender: ``["192.0.2.1", "2001:db8::1"]``."""

    name = "Addresses"
    vendor_type = VendorType.ADDRESSES
    fields_desc = [
        VendorExtension,
        FieldListField(
            "addresses",
            [],
            _AddressField("", "0.0.0.0"),
            length_from=value_size,
            max_count=0x10000,
        ),
    ]


class Home(VendorExtension):
    """IPv6 home address where no inner header shows it."""

    name = "Home"
    vendor_type = VendorType.HOME
    value_length = 16
    fields_desc = [VendorExtension, IP6Field("address", "::")]


EXTENSIONS = {
    layer.type.default: layer
    for layer in (
        MobileHomeAuthentication,
        MobileForeignAuthentication,
        ForeignHomeAuthentication,
        CriticalVendorExtension,
        UDPTunnelReply,
        MobileNodeNAI,
        NormalVendorExtension,
        UDPTunnelRequest,
    )
}
VENDOR_EXTENSIONS = {
    layer.vendor_type.default: layer
    for layer in (
        Sent,
        Observed,
        Translations,
        Supported,
        Selected,
        Attempt,
        Challenge,
        Response,
        Pad,
        Report,
        Addresses,
        Home,
    )
}


def _continues(vendor_type: int, before: list[Packet]) -> bool:
    """Whether one of ours is the rest of the value directly before it. PAD may repeat."""
    return (
        bool(before)
        and isinstance(before[-1], VendorExtension)
        and (before[-1].vendor_id, before[-1].vendor_type) == (VENDOR_ID, vendor_type)
        and vendor_type != VendorType.PAD
    )


def next_extension(octets: bytes, at: int, before: list[Packet]) -> tuple[type[Packet], int] | None:
    """The extension that begins at ``at`` (see :data:`contrib_layers.tlv.Split`)."""
    kind = octets[at]
    if kind == ExtensionType.PADDING:
        return OneBytePadding, at + 1
    general = LongExtension if kind in LONG_EXTENSION_TYPES else UnknownExtension
    known = EXTENSIONS.get(kind, general)
    end = general.end(octets, at)
    if end is None or (known is UnknownExtension and kind < FIRST_SKIPPABLE_TYPE):
        return None
    extension = octets[at:end]
    if not known.fits(extension):
        return general, end
    if known is NormalVendorExtension:
        vendor_id, vendor_type = struct.unpack_from("!IH", extension, 4)
        ours = VENDOR_EXTENSIONS.get(vendor_type) if vendor_id == VENDOR_ID else None
        if ours and ours.fits(extension) and not _continues(vendor_type, before):
            return ours, end
    return known, end


def of_value(layer: type[VendorExtension], value: bytes) -> VendorExtension:
    """The extension of this class with this value, however long it is."""
    if not layer.value_fits(value):
        return NormalVendorExtension(vendor_type=layer.vendor_type.default, value=value)
    extension = layer()
    rest = value
    for field in layer.fields_desc[len(VendorExtension.fields_desc) :]:
        rest, extension.fields[field.name] = field.getfield(extension, rest)
    return extension
