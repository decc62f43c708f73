"""Type-length-value elements: what descriptors, encapsulation items and extensions have in common.

The rules for all of them, and for RREQ and RREP:

- Dissection never raises. Octets that are not a whole element of the class asked for are a Raw:
  ``RREQ(b"short")`` is a Raw, as Scapy's dispatch hooks may decide.
- A layer is built from its fields, also after dissection. Scapy's cache of the dissected octets
  does not notice a change two packets further down (``q[Sent].headers[1].sport = 31337``).
- A length of None is computed. Any other value is built as set, and so is a ``RawVal`` (for the
  lengths inside a value: ``TLSHeader(server_name=RawVal(b"\\xffshort"))``).
- Scapy learns of a class at ``install()``, not at import: ``conf.layers`` stays as it was.
"""

import struct
from collections.abc import Callable
from typing import Any

from scapy.base_classes import Packet_metaclass
from scapy.config import conf
from scapy.fields import PacketListField, StrField, XStrLenField
from scapy.packet import Packet
from scapy.volatile import RandBin, RandNum

ALL_THE_REST = 0xFFFF
"""Longer than any value: UDP carries less."""

RANDOM_SIZE = 100
"""Octets of a string that ``fuzz()`` makes up, at most: two fit into one element."""


def _dispatch(cls: Any, _pkt: bytes = b"", *_args: Any, **_fields: Any) -> type[Packet]:
    return cls if not _pkt or cls.fits(bytes(_pkt)) else conf.raw_layer


class LayerMeta(Packet_metaclass):
    """Gives each class the dispatch hook and keeps those of this package out of conf.layers."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        # Scapy looks for the hook in the class itself, not in its bases.
        namespace.setdefault("dispatch_hook", classmethod(_dispatch))
        layer = super().__new__(mcs, name, bases, namespace)
        if layer.__module__.startswith("contrib_layers.") and layer in conf.layers:
            conf.layers.remove(layer)
            conf.layers.ldict.pop(layer.__module__, None)
        return layer


class BuiltFromFields(Packet, metaclass=LayerMeta):
    """A layer that keeps no cache of the octets it was dissected from."""

    fixed_size = 0
    """Octets of the fields that are always there."""

    @classmethod
    def fits(cls, octets: bytes) -> bool:
        """Whether the octets begin with a whole layer of this class."""
        return len(octets) >= cls.fixed_size

    def do_dissect(self, s: bytes) -> bytes:
        rest = super().do_dissect(s)
        self.raw_packet_cache = None
        self.raw_packet_cache_fields = None
        return rest


class Element(BuiltFromFields):
    """One element. The class attributes say where its parts are, in octets from its start."""

    length_at = 1
    length_size = 1
    value_at = 2
    """Where the value begins, after the fields that every element of this class has."""
    value_length: int | None = None
    """Of the value; None: any."""

    @classmethod
    def end(cls, octets: bytes, at: int = 0) -> int | None:
        """Where the element that begins at ``at`` ends; None if it is cut short."""
        counted_from = at + cls.length_at + cls.length_size
        if counted_from > len(octets):
            return None
        end = counted_from + int.from_bytes(octets[at + cls.length_at : counted_from])
        return end if end <= len(octets) else None

    @classmethod
    def fits(cls, octets: bytes) -> bool:
        end = cls.end(octets) or 0
        return end >= cls.value_at and cls.value_fits(octets[cls.value_at : end])

    @classmethod
    def value_fits(cls, value: bytes) -> bool:
        """Whether the value has the form that the fields of this class describe."""
        return cls.value_length in (None, len(value))

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        if self.length is None:
            start, end = self.length_at, self.length_at + self.length_size
            length = len(pkt) - end
            if length >= 1 << 8 * self.length_size:
                raise ValueError(f"{length} octets are too many for the length field: set length")
            pkt = pkt[:start] + length.to_bytes(self.length_size) + pkt[end:]
        return pkt + pay


def value_size(element: Element) -> int:
    """Octets of value by the length field: ``length_from`` of a field that takes them."""
    if element.length is None:
        return ALL_THE_REST
    return element.length - (element.value_at - element.length_at - element.length_size)


def value_field(name: str, default: bytes = b"") -> XStrLenField:
    """A field for all the octets of the value."""
    return XStrLenField(name, default, length_from=value_size, max_length=RANDOM_SIZE)


class CountedStrField(StrField):
    """A string with its own length before it (``fmt``), not shown as a field."""

    __slots__ = ["count"]

    def __init__(self, name: str, default: bytes, fmt: str) -> None:
        super().__init__(name, default)
        self.count = struct.Struct("!" + fmt)

    def addfield(self, pkt: Packet, s: bytes, val: Any) -> bytes:
        text = self.i2m(pkt, val)
        return s + self.count.pack(len(text)) + text

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, Any]:
        start = self.count.size
        end = start + self.count.unpack_from(s)[0]
        return s[end:], self.m2i(pkt, s[start:end])

    def randval(self) -> RandBin:
        return RandBin(RandNum(0, RANDOM_SIZE))


Split = Callable[[bytes, int, list[Packet]], tuple[type[Packet], int] | None]
"""(octets, at, the elements before) -> class of the element that begins there and where it ends,
or None when no whole and known element begins there."""


class ElementListField(PacketListField):
    """A list of elements, as long as they come whole, without a limit to their number.

    What is left over stays as it is: in the list, as a Raw at its end, where ``length_from`` says
    that the octets are the list's; otherwise it is the payload.
    """

    __slots__ = ["split"]

    def __init__(
        self, name: str, split: Split, length_from: Callable[[Packet], int] | None = None
    ) -> None:
        super().__init__(name, [], length_from=length_from)
        self.split = split

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, list[Packet]]:
        size = self.length_from(pkt) if self.length_from else len(s)
        octets, rest = s[:size], s[size:]
        elements: list[Packet] = []
        at = 0
        while at < len(octets) and (found := self.split(octets, at, elements)):
            layer, end = found
            elements.append(layer(octets[at:end], _internal=1, _parent=pkt))
            at = end
        if self.length_from and at < len(octets):
            elements.append(conf.raw_layer(octets[at:], _internal=1, _parent=pkt))
            at = len(octets)
        return octets[at:] + rest, elements
