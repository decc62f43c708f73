"""Scapy layers for ESP and AH that a session has looked into: as on the wire, with what is inside.

    Ether / IP / UDP / SeenESP / IP / UDP / MobileIP / RREQ        a datagram
    Ether / IP / TCP / Completed / ...                             a segment, or an IP fragment

Their octets stay those of the wire: what was decrypted is a payload that building leaves out.
"""

from contextlib import suppress
from typing import Any

from scapy.config import conf
from scapy.error import Scapy_Exception
from scapy.fields import Field, PacketListField
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Packet, Raw

from scapy_mobsec.drivers.packets import ObserverKeys, ip_packet, packet_time
from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.observer.inner import is_shown
from scapy_mobsec.observer.seen import PacketType, SeenPacket
from scapy_mobsec.packet.ip import IPV6

_LOUD = {
    DropReason.BAD_ICV: "WRONG ICV",
    DropReason.REPLAYED: "REPLAYED",
}


class _NoOctets(Field[Any, Any]):
    """A field that is told, and takes no octets."""

    def addfield(self, pkt: Packet, s: bytes, val: Any) -> bytes:
        return s

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, Any]:
        return s, self.default

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        return str(x)


_TOLD = [_NoOctets("verified", None), _NoOctets("fault", "")]


class _Told(Packet):
    """What SeenESP and SeenAH share.

    verified: the ICV is good; False: it is wrong, or its key not known; None: nothing opened it.
    fault: why the packet does not count, or not for sure; "" where nothing is wrong.
    """

    match_subclass = True
    keys: ObserverKeys | None = None
    """What the session opened it with, for functions of packets; no pickle has it."""
    trailer = b""
    """Link padding behind the IP packet."""
    covered = b""
    """What AH covers, as on the wire."""

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *args: Any, **kargs: Any) -> type[Packet]:
        return cls

    def copy(self) -> Any:
        return self._with_mine(super().copy())

    def clone_with(self, payload: Any = None, **kargs: Any) -> Any:
        return self._with_mine(super().clone_with(payload, **kargs))

    def _with_mine(self, clone: Any) -> Any:
        vars(clone).update(vars(self))
        return clone

    def do_build(self) -> bytes:
        return self.self_build() + self.covered

    def build_padding(self) -> bytes:
        return self.trailer

    def command(self) -> str:
        """Return what makes the same octets: the header of the wire, without what is only told."""
        wire = self.wire.command()
        return f"{wire}/Padding({self.trailer!r})" if self.trailer else wire

    @property
    def wire(self) -> Packet:
        """The header as Scapy's own layer, in front of what is in clear on the wire."""
        raise NotImplementedError

    def _do_summary(self) -> tuple[int, str, list[Any]]:
        _, inside, needed = self.payload._do_summary()
        mine = str(self._name)
        if not inside:
            mine += f" {self.spi:#010x} #{self.seq}"
        if self.fault:
            mine += f" ({self.fault.partition(':')[0]})"
        return 1, f"{mine} / {inside}" if inside else mine, needed


class SeenESP(_Told, ESP):
    """An ESP packet (RFC 4303) with what it protected as its payload, if that is known."""

    name = "ESP"
    fields_desc = [*ESP.fields_desc, *_TOLD]

    @property
    def wire(self) -> Packet:
        return ESP(spi=self.spi, seq=self.seq, data=self.data)


class SeenAH(_Told, AH):
    """An Authentication Header (RFC 4302) with what it protects as its payload."""

    name = "AH"
    fields_desc = [*AH.fields_desc, *_TOLD]

    @property
    def wire(self) -> Packet:
        own = {
            each.name: self.fields[each.name] for each in AH.fields_desc if each.name in self.fields
        }
        return AH(**own) / Raw(self.covered) if self.covered else AH(**own)


# In formats of sprintf, and in command(), Scapy knows a layer by the name of its class.
SeenESP.__name__, SeenAH.__name__ = "ESP", "AH"


class Completed(Packet):
    """The ESP and AH packets that became whole with a segment or fragment, and none of its octets.

    Behind it is the segment as Scapy dissects it. `time` of a unit: when it was whole, which may be
    before, where missing octets were waited for.
    """

    fields_desc = [PacketListField("units", [])]

    def self_build(self) -> bytes:
        return b""

    def build_padding(self) -> bytes:
        return self.payload.build_padding()

    def command(self) -> str:
        """Return what makes the same octets: the segment alone."""
        return str(self.payload.command())

    def sprintf(self, fmt: str, relax: int = 1) -> str:
        """Return, of the first unit that has it or of the rest, the one value Scapy asks for."""
        for unit in self.units:
            with suppress(Scapy_Exception):
                return str(unit.sprintf(fmt, 0))
        return str(super().sprintf(fmt, relax))

    def _do_summary(self) -> tuple[int, str, list[Any]]:
        _, text, _ = self.payload._do_summary()
        mine = f"[{', '.join(unit.summary() for unit in self.units)}]"
        return 1, f"{mine} / {text}" if text else mine, []


def layer_of(seen: SeenPacket, keys: ObserverKeys) -> "SeenESP | SeenAH | None":
    """Return the layer for an ESP or AH packet, with what is in it if that is shown.

    Shown is what counts: no replay, nothing with a wrong ICV (see docs/decode.md). None for what
    Scapy does not take for AH. keys: what the layer is to remember.
    """
    layer = _ah(seen) if seen.outer.ah else _esp(seen)
    if layer is None:
        return None
    layer.explicit = 1
    layer.verified, layer.fault = _judged(seen)
    layer.time = packet_time(seen.time_ns)
    vars(layer)["keys"] = keys
    if seen.opened is not None and is_shown(seen):
        layer.remove_payload()
        layer.add_payload(_dissected(seen.opened))
        layer.payload.time = layer.time
    return layer


def keys_of(packet: Packet) -> ObserverKeys | None:
    """Return what the session had that a packet came from; None: it shows no ESP and no AH."""
    layer = packet.getlayer(SeenESP) or packet.getlayer(SeenAH)
    return layer.keys if layer else None


def unread_layer(header: Packet, keys: ObserverKeys) -> "SeenESP | SeenAH":
    """Return the layer for an ESP or AH that the observer did not take for a packet."""
    layer = _like_ah(header) if isinstance(header, AH) else SeenESP(**header.fields)
    layer.explicit = 1
    layer.fault = "not read: too short, a repetition, or part of something longer"
    vars(layer)["keys"] = keys
    return layer


def _esp(seen: SeenPacket) -> SeenESP:
    octets = seen.octets
    spi, sequence = int.from_bytes(octets[:4], "big"), int.from_bytes(octets[4:8], "big")
    return SeenESP(spi=spi, seq=sequence, data=octets[8:])


def _ah(seen: SeenPacket) -> SeenAH | None:
    header = ip_packet(seen.octets).getlayer(AH)
    return _like_ah(header) if header else None


def _like_ah(header: Packet) -> SeenAH:
    """Return the same header; what it covers as Scapy dissected it, for that is in clear."""
    layer = SeenAH(**header.fields)
    vars(layer)["covered"] = header.original[len(header.raw_packet_cache or b"") :]
    if header.payload:
        layer.add_payload(header.payload)
    return layer


def _judged(seen: SeenPacket) -> tuple[bool | None, str]:
    """Whether a packet is verified, and what is wrong with it."""
    dropped, opened = seen.dropped, seen.opened
    faults = []
    if opened is not None and not opened.verified:
        faults.append("NOT VERIFIED: no integrity key, so anybody may have written it")
    if dropped is not None:
        loud = _LOUD.get(dropped)
        faults.append(f"{loud}: {dropped.value}" if loud else dropped.value)
    elif seen.type is PacketType.REPEATED:
        faults.append("captured twice")
    if opened is None:
        return False if dropped is DropReason.BAD_ICV else None, "; ".join(faults)
    return opened.verified, "; ".join(faults)


def _dissected(opened: Opened) -> Packet:
    """What was protected, as the layers that Scapy has for its protocol, else Raw."""
    if opened.next_header == IPV6:
        kind: type[Packet] = IPv6
    else:
        kind = IP(proto=opened.next_header).guess_payload_class(opened.payload)
    try:
        return kind(opened.payload)
    except Exception:  # as Scapy itself does with any payload
        if conf.debug_dissector:
            raise
        return Raw(opened.payload)
