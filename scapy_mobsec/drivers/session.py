"""`sniff(session=MobsecSession(keys))`: packets as Scapy dissects them, and what ESP and AH hold.

One packet for each frame, in their order. The observer is that of `mobsec decode`, so what counts,
and what is shown, is the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from weakref import WeakSet, WeakValueDictionary

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Packet
from scapy.sessions import DefaultSession
from scapy.supersocket import SuperSocket

import contrib_layers
from scapy_mobsec.drivers.packets import Keys, ObserverKeys, Paths, feed
from scapy_mobsec.drivers.seen_layers import Completed, SeenAH, SeenESP, layer_of, unread_layer
from scapy_mobsec.observer.seen import PacketType, SeenPacket
from scapy_mobsec.packet.path import Encapsulation

_OTHER = frozenset({PacketType.IKE, PacketType.KEEPALIVE})
UDP_HEADER_LENGTH = 8


class MobsecSession(DefaultSession):
    """Decrypts ESP and checks AH in what `sniff` reads, live or from captures.

    Each frame stays one packet, and its octets those of the wire, also for `wrpcap`. Where Scapy
    has an ESP layer, it becomes one with two fields more: `verified` (True: the ICV is good; False:
    it is wrong, or its key not known; None: nothing opened it) and `fault`, why it does not count.
    Behind it comes what it protected, unless that has a wrong ICV or is a replay. A TCP segment or
    IP fragment with which packets become whole has a layer `Completed`, with all of them.

    Keys of IKE SAs open the CHILD_SAs that are agreed on while the session listens.

    >>> from scapy.layers.ipsec import ESP
    >>> from scapy.sendrecv import sniff
    >>> from contrib_layers import RREQ
    >>> from scapy_mobsec import MobsecSession, load_keys
    >>> keys = load_keys("pcaps/handover-nat.esp_sa")
    >>> packets = sniff(offline="pcaps/handover-nat.pcap", session=MobsecSession(keys), quiet=True)
    >>> packets[RREQ][0].summary()
    'IP / UDP / ESP / IP / UDP / MobileIP / RREQ #1 via udp 198.51.100.2:4500 > 203.0.113.2:4500'
    >>> packets[RREQ][0][ESP].verified
    True
    """

    def __init__(
        self,
        keys: Keys,
        *,
        tls_keys: Paths | None = None,
        tcp_ports: Iterable[int] = (),
    ) -> None:
        """keys: of load_keys, or names of files. tls_keys: of files with TLS key logs, or pcapng.

        tcp_ports: where streams are read whatever they begin with, beside 4500, 443, 80 and 8080.
        Installs the layers of this project. Raises KeyFileError, OSError, TypeError, ValueError.
        """
        if keys is None:
            raise TypeError("a session needs keys; () for none")
        super().__init__()
        contrib_layers.install()
        given = ObserverKeys.of(keys, tls_keys, tcp_ports)
        self._seen: list[SeenPacket] = []
        self.observer = given.observer(self._take)
        """Knows all that passed: `session.observer.report()`."""
        self._keys = replace(given, source=self.observer.keys)
        self._segments: WeakValueDictionary[int, Packet] = WeakValueDictionary()
        self._sources: WeakSet[SuperSocket] = WeakSet()

    def process(self, pkt: Packet) -> Packet:
        """Observe a packet, and add what is in it."""
        feed(self.observer, pkt, pkt.original or None)
        if TCP in pkt:
            self._segments[self.observer.packets] = pkt
        for seen in self._drained():
            _add(pkt, seen, self._keys)
        _mark_unread(pkt, self._keys)
        return pkt

    def recv(self, sock: SuperSocket) -> Iterator[Packet]:
        """Yield the packet that comes next.

        Raises EOFError at the end of a capture, and finishes where it is the last that is read.
        """
        self._sources.add(sock)
        try:
            yield from super().recv(sock)
        except EOFError:
            self._sources.discard(sock)
            if not self._sources:
                self.finish()
            raise

    def finish(self) -> None:
        """Add what waited in TCP for octets that never came to the packets where it was whole.

        `sniff` does it at the end of the last capture. Packets that nobody has kept get nothing.
        """
        self.observer.finish()
        for seen in self._drained():
            segment = self._segments.get(seen.frame)
            if segment is not None:
                _add(segment, seen, self._keys)

    def _take(self, seen: SeenPacket) -> None:
        if seen.type not in _OTHER:
            self._seen.append(seen)

    def _drained(self) -> list[SeenPacket]:
        seen, self._seen[:] = list(self._seen), []
        return seen


def _add(packet: Packet, seen: SeenPacket, keys: ObserverKeys) -> None:
    """Put what was seen in a packet to its layers."""
    layer = layer_of(seen, keys)
    if layer is None:
        return
    under = _carrier(packet, seen)
    if under is not None:
        _replace_payload(under, layer)
        return
    completed = packet.getlayer(Completed)
    if completed is None:
        completed = Completed()
        completed.explicit = 1
        under = packet.getlayer(TCP) or _outer_ip(packet)
        inside = under.payload
        under.remove_payload()
        under.add_payload(completed)
        completed.add_payload(inside)
    completed.units.append(layer)


def _carrier(packet: Packet, seen: SeenPacket) -> Packet | None:
    """The layer right below an ESP or AH packet; None if that is not just this packet's own."""
    octets = seen.octets
    if seen.outer.ah:
        header = packet.getlayer(AH)
        whole = _outer_ip(packet).original.startswith(octets)
        return header.underlayer if header and whole else None
    if seen.outer.encapsulation is Encapsulation.NATIVE:
        esp = packet.getlayer(ESP)
        return esp.underlayer if esp and esp.original == octets else None
    if seen.outer.encapsulation is Encapsulation.UDP:
        udp = packet.getlayer(UDP)
        end = UDP_HEADER_LENGTH + len(octets)
        return udp if udp and udp.original[UDP_HEADER_LENGTH:end] == octets else None
    return None


def _outer_ip(packet: Packet) -> Packet:
    layer = packet
    while layer and not isinstance(layer, IP | IPv6):
        layer = layer.payload
    return layer


def _replace_payload(under: Packet, layer: SeenESP | SeenAH) -> None:
    vars(layer)["trailer"] = under.payload.build_padding()
    under.remove_payload()
    under.add_payload(layer)


def _mark_unread(packet: Packet, keys: ObserverKeys) -> None:
    """Give ESP and AH that were not observed the same fields: what is cut, or said again in TCP.

    Of a segment that completes packets these are what counts, wherever else they show.
    """
    if TCP in packet and Completed in packet:
        return
    for kind in (ESP, AH):
        number = 1
        while (layer := packet.getlayer(kind, number)) is not None:
            if type(layer) is kind and layer.underlayer is not None:
                _replace_payload(layer.underlayer, unread_layer(layer, keys))
            number += 1
