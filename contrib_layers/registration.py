"""RREQ and RREP: Mobile IPv4 registration messages (RFC 5944 sections 3.3 and 3.4).

Subclasses of Scapy's MobileIPRRQ and MobileIPRRP with a list of extensions, which are raw payload
there. ``match_subclass`` makes ``pkt[MobileIPRRQ]`` find an RREQ, so scripts written for Scapy's
layers go on working.
"""

import struct
from typing import Any

from scapy.fields import ByteEnumField, FlagsField, FlagValue, IPField, LongField, ShortField
from scapy.layers.mobileip import MobileIPRRP, MobileIPRRQ
from scapy.packet import Packet

from contrib_layers.descriptions import describe_path, describe_translations, names
from contrib_layers.extensions import next_extension
from contrib_layers.numbers import VENDOR_ID, ReplyCode
from contrib_layers.tlv import BuiltFromFields, ElementListField
from contrib_layers.vendor_extensions import (
    Attempt,
    Sent,
    Translations,
    VendorExtension,
    of_value,
)


def _low_word(message: Packet) -> bytes:
    """What a reply has in common with its request; with code 133 the high word is the replier's
    own (RFC 5944 section 5.7.1)."""
    return struct.pack("!I", message.id & 0xFFFFFFFF)


class _Flags(FlagValue):
    """Flags that are also what Scapy's own layer has for them: a number."""

    __slots__ = FlagValue.__slots__  # its __setattr__ asks for them

    def __index__(self) -> int:
        return int(self)

    def __format__(self, spec: str) -> str:
        return format(int(self), spec) if spec else str(self)


class _FlagsField(FlagsField):
    def _fixup_val(self, x: Any) -> Any:
        value = super()._fixup_val(x)
        return _Flags(int(value), value.names) if isinstance(value, FlagValue) else value


class _Message(BuiltFromFields):
    match_subclass = True
    stock_name = ""

    def sprintf(self, fmt: str, relax: int = 1) -> str:
        """Scapy compares class names here: the stock one means this layer, too."""
        for before in "%{,":
            fmt = fmt.replace(before + self.stock_name + ".", f"{before}{type(self).__name__}.")
        return super().sprintf(fmt, relax)

    def joined(self, layer: type[VendorExtension]) -> Any:
        """The whole value of one of our extensions as a packet of its own, or None without one.

        ``rreq.joined(Sent)`` puts together what had to be sent as several extensions. A change to
        it changes nothing here. A value that has not the form of ``layer`` is a
        NormalVendorExtension.
        """
        kind = (VENDOR_ID, layer.vendor_type.default)
        values: list[bytes] = []
        for extension in self.extensions:
            if (
                isinstance(extension, VendorExtension)
                and (extension.vendor_id, extension.vendor_type) == kind
            ):
                values.append(extension.value_octets())
            elif values:
                break
        return of_value(layer, b"".join(values)) if values else None

    def hashret(self) -> bytes:
        return _low_word(self)

    def _title(self) -> str:
        """``RREQ #7 PROBE``: the name, the attempt and its flags."""
        attempt = self.joined(Attempt)
        if not isinstance(attempt, Attempt):
            return type(self).__name__
        flags = f" {attempt.flags}" if attempt.flags else ""
        return f"{type(self).__name__} #{attempt.number}{flags}"

    def _path(self) -> str:
        """`` via udp 10.0.0.2:4500 > 192.0.2.1:4500``; empty without a description that says so."""
        sent = self.joined(Sent)
        path = describe_path(sent.headers) if sent else ""
        return f" via {path}" if path else ""


class RREQ(MobileIPRRQ, _Message):
    name = "Mobile IP Registration Request"
    stock_name = "MobileIPRRQ"
    fixed_size = 23
    fields_desc = [
        _FlagsField("flags", "D", 8, "xTrGMDBS"),
        ShortField("lifetime", 180),
        IPField("homeaddr", "0.0.0.0"),
        IPField("haaddr", "0.0.0.0"),
        IPField("coaddr", "0.0.0.0"),
        LongField("id", 0),
        ElementListField("extensions", next_extension),
    ]

    def answers(self, other: Packet) -> int:
        return 0

    def mysummary(self) -> str:
        return self._title() + (self._path() or f" {self.coaddr} > {self.haaddr}")


class RREP(MobileIPRRP, _Message):
    name = "Mobile IP Registration Reply"
    stock_name = "MobileIPRRP"
    fixed_size = 19
    fields_desc = [
        ByteEnumField("code", 0, names(ReplyCode)),
        ShortField("lifetime", 180),
        IPField("homeaddr", "0.0.0.0"),
        IPField("haaddr", "0.0.0.0"),
        LongField("id", 0),
        ElementListField("extensions", next_extension),
    ]

    def answers(self, other: Packet) -> int:
        return isinstance(other, MobileIPRRQ) and _low_word(self) == _low_word(other)

    def mysummary(self) -> str:
        code = self.sprintf("%code%").replace("_", " ")
        translations = self.joined(Translations)
        found = f", {describe_translations(translations.items)}" if translations else ""
        return f"{self._title()} {code}{self._path()}{found}"
