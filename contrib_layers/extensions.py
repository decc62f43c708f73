"""Mobile IP extensions: the standard ones, and which class an extension is of.

- Type and length are one octet each (RFC 5944 section 1.9), but type 0 is a single octet and the
  types of LONG_EXTENSION_TYPES have a sub-type and a length of two octets (section 1.10).
- Types from 128 are kept even if unknown. From an unknown type below 128 on, and from an extension
  that is cut short, the octets are the message's payload.
- An extension whose value has not the form of its type is kept octet for octet in the next more
  general class: NormalVendorExtension, LongExtension or UnknownExtension.
"""

import struct

from scapy.fields import (
    BitField,
    ByteEnumField,
    ByteField,
    IntField,
    ShortField,
    StrLenField,
    XByteField,
    XIntField,
    XShortField,
)
from scapy.packet import Packet

from contrib_layers.descriptions import names
from contrib_layers.numbers import LONG_EXTENSION_TYPES, VENDOR_ID, ExtensionType
from contrib_layers.tlv import RANDOM_SIZE, BuiltFromFields, Element, value_field, value_size
from contrib_layers.vendor_extensions import (
    VENDOR_EXTENSIONS,
    Extension,
    NormalVendorExtension,
    continues,
)

FIRST_SKIPPABLE_TYPE = 128
"""Unknown extensions from this type on are kept and ignored (RFC 5944 section 1.8)."""


class OneBytePadding(BuiltFromFields):
    name = "One-byte padding extension"
    fixed_size = 1
    fields_desc = [ByteEnumField("type", ExtensionType.PADDING, names(ExtensionType))]


class UnknownExtension(Extension):
    name = "Unknown extension"
    fields_desc = [Extension, value_field("value")]


class Authentication(Extension):
    value_at = 6
    fields_desc = [
        Extension,
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


class UDPTunnelRequest(Extension):
    """RFC 3519 section 3.1."""

    name = "UDP tunnel request extension"
    type = ExtensionType.UDP_TUNNEL_REQUEST
    value_length = 6
    fields_desc = [
        Extension,
        ByteField("subtype", 0),
        XByteField("reserved1", 0),
        BitField("F", 0, 1),
        BitField("R", 0, 1),
        BitField("reserved2", 0, 6),
        ByteEnumField("encapsulation", 4, {4: "ip_in_ip", 47: "gre", 55: "minimal"}),
        XShortField("reserved3", 0),
    ]


class UDPTunnelReply(Extension):
    """RFC 3519 section 3.2."""

    name = "UDP tunnel reply extension"
    type = ExtensionType.UDP_TUNNEL_REPLY
    value_length = 6
    fields_desc = [
        Extension,
        ByteField("subtype", 0),
        ByteEnumField("code", 0, {0: "will_tunnel", 64: "declined"}),
        BitField("F", 0, 1),
        BitField("reserved", 0, 15),
        ShortField("keepalive", 0),
    ]


class MobileNodeNAI(Extension):
    """RFC 2794 section 2."""

    name = "Mobile Node NAI extension"
    type = ExtensionType.NAI
    fields_desc = [
        Extension,
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
        if ours and ours.fits(extension) and not continues(vendor_type, before):
            return ours, end
    return known, end
