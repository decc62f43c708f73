"""Vendor extensions: ours, and those of others.

- Ours are Normal Vendor Extensions (RFC 3115 section 2.2). One that is too long for its length
  field is built as several, each directly after the other. Dissection keeps them apart: the second
  and later ones are NormalVendorExtension, for alone they mean nothing. ``joined()`` of the message
  puts them together.
- One of ours whose value has not the form of its vendor type is a NormalVendorExtension, octet for
  octet.
"""

from ipaddress import ip_address

from scapy.fields import (
    ByteEnumField,
    ByteField,
    Field,
    FieldListField,
    FlagsField,
    IntField,
    MultiEnumField,
    ShortField,
    XByteField,
    XShortField,
)
from scapy.layers.inet6 import IP6Field
from scapy.packet import Packet

from contrib_layers.descriptions import names, next_header, next_item, next_translation
from contrib_layers.numbers import (
    MAX_VENDOR_VALUE,
    VENDOR_ID,
    AttemptFlag,
    ExtensionType,
    VendorType,
)
from contrib_layers.tlv import Element, ElementListField, value_field, value_size


class Extension(Element):
    """The short form: type and length are one octet each."""

    fields_desc = [
        ByteEnumField("type", 255, names(ExtensionType)),
        ByteField("length", None),
    ]


class VendorExtension(Extension):
    type = ExtensionType.NORMAL_VENDOR
    value_at = 10
    fields_desc = [
        Extension,
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


def continues(vendor_type: int, before: list[Packet]) -> bool:
    """Whether one of ours is the rest of the value directly before it. PAD may repeat."""
    return (
        bool(before)
        and isinstance(before[-1], VendorExtension)
        and (before[-1].vendor_id, before[-1].vendor_type) == (VENDOR_ID, vendor_type)
        and vendor_type != VendorType.PAD
    )


def of_value(layer: type[VendorExtension], value: bytes) -> VendorExtension:
    """The extension of this class with this value, however long it is."""
    if not layer.value_fits(value):
        return NormalVendorExtension(vendor_type=layer.vendor_type.default, value=value)
    extension = layer()
    rest = value
    for field in layer.fields_desc[len(VendorExtension.fields_desc) :]:
        rest, extension.fields[field.name] = field.getfield(extension, rest)
    return extension
