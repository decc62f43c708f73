"""ESP and IKE in TCP: frames (RFC 9329), capsules (RFC 9297, 9298), bodies of POST.

    StreamFrames: "IKETCP" once, then StreamFrame: length (2, counts itself) | what UDP would carry
    Capsules: Capsule: type (varint) | length (varint) | context id (varint) | what UDP would carry
    PostBody: StreamFrames without the prefix, whole, in HTTP with a Channel or to our path

A segment of TCP begins with a unit only by chance. Scapy's ``TCPSession`` calls ``tcp_reassemble``,
which gives all units that are whole; what TCPStream learns there (that an Upgrade was granted) it
keeps in the session. Scapy puts zeros where segments are missing, and waits for none.
"""

import importlib
import struct
from typing import Any

from scapy.config import conf
from scapy.fields import ConditionalField, Field, ShortField, StrField
from scapy.layers.inet import TCP
from scapy.layers.ipsec import ESP, NAT_KEEPALIVE, NON_ESP
from scapy.packet import Packet
from scapy.volatile import RandNum

from contrib_layers.numbers import (
    CAPSULE_DATAGRAM,
    MAX_CAPSULE,
    NATT_PORT,
    POST_PATH,
    STREAM_PREFIX,
)
from contrib_layers.tlv import BuiltFromFields, ElementListField

_MAX_HEAD = 16384
"""Octets of HTTP that wait for the end of its head."""
_END_OF_HEAD = b"\r\n\r\n"
_HTTP_BEGINNINGS = (b"GET ", b"POST ", b"HTTP/1.")
_UPGRADED = "mobsec_upgraded"


_IKE_HEADER = 28
"""Octets of the shortest IKE message (RFC 7296 section 3.1); Scapy fails on shorter ones."""


def _carried(octets: bytes) -> type[Packet]:
    """The layer of what UDP would carry (RFC 3948 section 2)."""
    if octets == b"\xff":
        return NAT_KEEPALIVE
    if octets.startswith(bytes(4)):
        return NON_ESP if len(octets) >= 4 + _IKE_HEADER else conf.raw_layer
    return ESP if len(octets) >= 8 else conf.raw_layer


class _Unit(BuiltFromFields):
    """A frame or a capsule."""

    @classmethod
    def end(cls, octets: bytes, at: int = 0) -> int | None:
        """Where the unit that begins at ``at`` ends: behind the octets, if it is not whole.

        None if none begins there.
        """
        raise NotImplementedError

    @classmethod
    def fits(cls, octets: bytes) -> bool:
        end = cls.end(octets)
        return end is not None and end <= len(octets)

    @classmethod
    def split(cls, octets: bytes, at: int, before: list[Packet]) -> tuple[type[Packet], int] | None:
        end = cls.end(octets, at)
        return (cls, end) if end is not None and end <= len(octets) else None


class StreamFrame(_Unit):
    name = "RFC 9329 frame"
    fields_desc = [ShortField("length", None)]

    @classmethod
    def end(cls, octets: bytes, at: int = 0) -> int | None:
        if at + 2 > len(octets):
            return at + 2
        length = int.from_bytes(octets[at : at + 2])
        return at + length if length >= 2 else None

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return s[: self.length - 2], s[self.length - 2 :]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return _carried(payload)

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        if self.length is None:
            length = 2 + len(pay)
            if length > 0xFFFF:
                raise ValueError(f"{length} octets are too many for a frame: set length")
            pkt = length.to_bytes(2)
        return pkt + pay


class Varint(int):
    """An integer of QUIC (RFC 9000 section 16) that remembers in how many octets it was coded."""

    size: int

    @classmethod
    def read(cls, octets: bytes, at: int = 0) -> "Varint | None":
        """Return the integer that begins at ``at``, None if it is cut short."""
        size = 1 << (octets[at] >> 6) if at < len(octets) else 1
        if at + size > len(octets):
            return None
        value = cls(int.from_bytes(octets[at : at + size]) & ((1 << (8 * size - 2)) - 1))
        value.size = size
        return value


def varint_octets(value: int) -> bytes:
    """Code an integer: a Varint as it was, others in the fewest octets."""
    for power in range(4):
        size = 1 << power
        if size >= getattr(value, "size", 1) and value < 1 << (8 * size - 2):
            return (value | power << (8 * size - 2)).to_bytes(size)
    raise ValueError(f"{value} needs more than 62 bits")


class VarintField(Field):
    """An integer of QUIC; None takes no octets."""

    def __init__(self, name: str, default: int | None) -> None:
        super().__init__(name, default, "B")

    def addfield(self, pkt: Packet, s: bytes, val: int | None) -> bytes:
        return s if val is None else s + varint_octets(val)

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, Varint]:
        value = Varint.read(s)
        if value is None:
            raise struct.error("no whole integer")
        return s[value.size :], value

    def randval(self) -> RandNum:
        return RandNum(0, (1 << 62) - 1)


class Capsule(_Unit):
    name = "RFC 9297 capsule"
    fields_desc = [
        VarintField("type", CAPSULE_DATAGRAM),
        VarintField("length", None),
        ConditionalField(VarintField("context_id", 0), lambda pkt: pkt.type == CAPSULE_DATAGRAM),
    ]

    @classmethod
    def end(cls, octets: bytes, at: int = 0) -> int | None:
        kind = Varint.read(octets, at)
        length = Varint.read(octets, at + kind.size) if kind is not None else None
        if kind is None or length is None:
            return len(octets) + 1
        start = at + kind.size + length.size
        if length > MAX_CAPSULE:
            return None
        if kind == CAPSULE_DATAGRAM and start + length <= len(octets):
            context = Varint.read(octets[start : start + min(length, 8)])
            if context is None:
                return None
        return start + length

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        context = self.context_id
        size = self.length - (context.size if context is not None else 0)
        return s[:size], s[size:]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        is_udp = self.type == CAPSULE_DATAGRAM and self.context_id == 0
        return _carried(payload) if is_udp else conf.raw_layer

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        if self.length is None:
            kind = len(varint_octets(self.type))
            pkt = pkt[:kind] + varint_octets(len(pkt) - kind + len(pay)) + pkt[kind:]
        return pkt + pay


def _begins_with_udp(octets: bytes) -> bool:
    """Whether the first capsule, which is whole, carries UDP."""
    capsule = Capsule(octets)
    return capsule.type == CAPSULE_DATAGRAM and capsule.context_id == 0


class _PrefixField(StrField):
    """The stream prefix where it is, else nothing."""

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, bytes]:
        end = len(STREAM_PREFIX) if s.startswith(STREAM_PREFIX) else 0
        return s[end:], s[:end]


class _Units(BuiltFromFields):
    """A list of units; what is behind them, not whole, is the payload."""

    unit: type[_Unit]
    prefix_octets = b""
    overload_fields = {TCP: {"sport": NATT_PORT, "dport": NATT_PORT}}

    @classmethod
    def whole(cls, octets: bytes) -> tuple[int, bool]:
        """Where the last whole unit ends, and whether one may follow that is not yet whole."""
        at = len(cls.prefix_octets) if octets.startswith(cls.prefix_octets) else 0
        while at < len(octets):
            end = cls.unit.end(octets, at)
            if end is None or end > len(octets):
                return at, end is not None
            at = end
        return at, True

    @classmethod
    def fits(cls, octets: bytes) -> bool:
        return cls.whole(octets)[0] > 0

    @classmethod
    def tcp_reassemble(
        cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]
    ) -> Packet | None:
        end, goes_on = cls.whole(data)
        if metadata.get("tcp_end") or not goes_on:
            return cls(data)
        if not end or cls.prefix_octets.startswith(data):
            return None
        return _with_padding(cls(data[:end]), data[end:])

    def mysummary(self) -> tuple[str, list[type[Packet]]]:
        number = len(self.getfieldval(self.fields_desc[-1].name))
        return f"{self.name} ({number})", [TCP]


class StreamFrames(_Units):
    name = "RFC 9329 stream"
    unit = StreamFrame
    prefix_octets = STREAM_PREFIX
    fields_desc = [_PrefixField("prefix", b""), ElementListField("frames", StreamFrame.split)]


class Capsules(_Units):
    name = "RFC 9297 capsules"
    unit = Capsule
    fields_desc = [ElementListField("capsules", Capsule.split)]


class PostBody(BuiltFromFields):
    name = "Frames in HTTP"
    fields_desc = [ElementListField("frames", StreamFrame.split)]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes = b"", *_args: Any, **fields: Any) -> type[Packet]:
        message = fields.get("_underlayer")
        if not _pkt or message is None:
            return cls
        names = getattr(message, "Unknown_Headers", None) or {}
        has_channel = any(name.lower() == b"channel" for name in names)
        path = getattr(message, "Path", None) or b""
        is_whole = StreamFrames.whole(bytes(_pkt)) == (len(_pkt), True)
        is_ours = has_channel or path.endswith(POST_PATH.encode())
        return cls if is_ours and is_whole else conf.raw_layer


class TCPStream(BuiltFromFields):
    """What a port carries that all encapsulations in TCP share: told by what it begins with."""

    name = "ESP and IKE in TCP"

    @classmethod
    def dispatch_hook(cls, _pkt: bytes = b"", *_args: Any, **_fields: Any) -> type[Packet]:
        octets = bytes(_pkt)
        if not octets:
            return cls
        if octets.startswith(_HTTP_BEGINNINGS):
            return _http().HTTP
        frames, capsules = StreamFrames.whole(octets)[0], Capsules.whole(octets)[0]
        if capsules > frames and _begins_with_udp(octets):
            return Capsules
        return StreamFrames if frames else conf.raw_layer

    @classmethod
    def tcp_reassemble(
        cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]
    ) -> Packet | None:
        if session.get(_UPGRADED):
            return Capsules.tcp_reassemble(data, metadata, session)
        if data.startswith(_HTTP_BEGINNINGS):
            return cls._reassemble_http(data, metadata, session)
        is_cut = any(beginning.startswith(data) for beginning in _HTTP_BEGINNINGS)
        if is_cut and not metadata.get("tcp_end"):
            return None
        return StreamFrames.tcp_reassemble(data, metadata, session)

    @classmethod
    def _reassemble_http(
        cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]
    ) -> Packet | None:
        """Scapy takes what follows an Upgrade for HTTP/2, and needs the whole head at once."""
        http = _http().HTTP
        head, end_of_head, rest = data.partition(_END_OF_HEAD)
        if not end_of_head:
            gives_up = len(data) > _MAX_HEAD or metadata.get("tcp_end")
            return http(data) if gives_up else None
        packet = http(head + end_of_head)
        if b"upgrade" not in (getattr(packet, "Connection", None) or b"").lower():
            return http.tcp_reassemble(data, metadata, session)
        if getattr(packet, "Status_Code", None) == b"101":
            session[_UPGRADED] = True
            end, _ = Capsules.whole(rest)
            if end:
                packet, rest = packet / Capsules(rest[:end]), rest[end:]
        return _with_padding(packet, rest)


def _http() -> Any:
    return importlib.import_module("scapy.layers.http")


def _with_padding(packet: Packet, rest: bytes) -> Packet:
    """``TCPSession`` keeps what is padding until there is more."""
    return packet / conf.padding_layer(rest) if rest else packet
