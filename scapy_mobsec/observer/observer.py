"""Passive tracking of mobile IPsec in captures: frames in, a report out.

TCP is put together again, and the packets in it count with the frame that completed them.

Counting rules (see docs/decode.md): esp + ah = verified + unverified + icv_failed + no_key;
replayed and duplicates are among them. A move or a registration is told only from packets that
a key opens, and never from a replayed one.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.esp.ah import spi_of
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.ike.numbers import Protocol
from scapy_mobsec.observer.associations import (
    COUNTS,
    Associations,
    KeySource,
    ObservedSa,
)
from scapy_mobsec.observer.ike import IkeTracker, Update
from scapy_mobsec.observer.ike_messages import Reading, SeenMessage
from scapy_mobsec.observer.inner import inner_addresses
from scapy_mobsec.observer.learnt_keys import LearntKeys
from scapy_mobsec.observer.links import Links, Move
from scapy_mobsec.observer.outer import (
    ESP_HEADER_LENGTH,
    Carried,
    Outer,
    OuterPair,
    carried_by_ah,
    classify,
    esp_behind_ah,
    outer_of,
)
from scapy_mobsec.observer.recent_frames import RecentFrames
from scapy_mobsec.observer.registrations import (
    Message,
    Registrations,
    Sighting,
    registration_in,
)
from scapy_mobsec.observer.report import MALFORMED, Report, Summary
from scapy_mobsec.observer.seen import PacketType, SeenPacket, type_of
from scapy_mobsec.observer.signs import Sign, sign_of
from scapy_mobsec.observer.statistics import Statistics
from scapy_mobsec.observer.stream_ports import STREAM_PORTS, begins_stream, ports_of
from scapy_mobsec.observer.stream_reader import InStream
from scapy_mobsec.observer.streams import Streams
from scapy_mobsec.packet.fragments import Reassembler
from scapy_mobsec.packet.ip import AH, ESP, TCP, IpPacket, parse_ip
from scapy_mobsec.packet.link import ip_of_frame
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.packet.tcp import parse_tcp
from scapy_mobsec.reassembly import Connection, Found, TcpStreams
from scapy_mobsec.tcp_direction import Stamp

ESP_COUNTS = tuple(name for name in COUNTS if name != "packets")
MAX_FLOWS = 65_536

_ESP, _IN_UDP = Content.ESP, Encapsulation.UDP  # a look-up in an Enum is slow
_DATA, _DUMMY = PacketType.DATA, PacketType.DUMMY
_OF_PATH = (Sign.DATA, Sign.ASKS, Sign.USES)


class _Frame(NamedTuple):
    """The frame at hand; digest: a hash of its octets."""

    number: int
    time_ns: int
    digest: int = 0


class Observer:
    """Follows the SAs of any number of links through captured frames.

    >>> from scapy_mobsec import Observer, load_keys
    >>> from scapy_mobsec.drivers.capture import open_capture, read_records
    >>> observer = Observer(load_keys("pcaps/handover-nat.esp_sa"))
    >>> with open_capture("pcaps/handover-nat.pcap") as stream:
    ...     for record in read_records(stream):
    ...         observer.feed(record.time_ns, record.data, record.link_type)
    >>> observer.finish()
    >>> [str(move.reached) for move in observer.report().moves]
    ['10.0.0.2:4500', '192.168.1.2:4500']
    """

    def __init__(
        self,
        keys: KeySource,
        ike_keys: Iterable[IkeSaKeys] = (),
        *,
        tls_keys: KeyLog | None = None,
        tcp_ports: Collection[int] = (),
        on_ike: Callable[[SeenMessage, bytes], None] | None = None,
        on_packet: Callable[[SeenPacket], None] | None = None,
    ) -> None:
        """tls_keys: what opens TLS; secrets may be added at any time, before what they open.

        tcp_ports: where streams are read whatever they begin with, beside STREAM_PORTS.
        on_ike gets each IKEv2 message that can be read, as if never encrypted. on_packet gets every
        packet of mobile IPsec, as soon as it was observed.
        """
        self._on_packet = on_packet
        self._statistics = Statistics()
        self._keys = LearntKeys(keys)
        self._ike = IkeTracker(
            ike_keys, learn=self._keys.learn, on_update=self._move_all, on_clear=on_ike
        )
        self._summary = Summary()
        self._first_time: int | None = None
        self._sas = Associations(self._keys)
        self._ah_sas = Associations(self._keys, ah=True)
        self._links = Links()
        self._registrations = Registrations()
        self._drops: Counter[DropReason] = Counter()
        self._reassembler = Reassembler()
        self._tcp = TcpStreams()
        self._tcp_ports = STREAM_PORTS.union(tcp_ports)
        self._streams = Streams(
            self._marks_esp, self._count, KeyLog() if tls_keys is None else tls_keys
        )
        self._flows: OrderedDict[OuterPair, None] = OrderedDict()
        self._recent = RecentFrames()

    @property
    def packets(self) -> int:
        """Frames fed so far."""
        return self._summary.packets

    @property
    def keys(self) -> KeySource:
        """All keys that it opens packets with, those that it has learnt from IKE too."""
        return self._keys

    def feed(
        self, time_ns: int, octets: bytes, link_type: int, original_length: int | None = None
    ) -> None:
        """Take one frame. time_ns: since the Unix epoch; link_type: LINKTYPE_ number of pcap.

        original_length: octets on the wire, where the capture cut the frame short. Never raises
        for what a frame holds.
        """
        summary = self._summary
        summary.packets += 1
        if self._first_time is None:
            self._first_time = time_ns
        frame = _Frame(summary.packets, time_ns, hash(octets))
        if time_ns > self._tcp.due:
            self._read_streams(self._tcp.expire(time_ns))
        if time_ns > self._streams.due:
            self._observe_all(self._streams.expire(time_ns))
        try:
            self._observe(octets, link_type, frame)
        except Drop as drop:
            cut_short = original_length is not None and original_length > len(octets)
            if cut_short and drop.reason in MALFORMED:
                drop = Drop(DropReason.CUT_BY_CAPTURE)
                summary.cut_by_capture += 1
            self._count(drop)

    def finish(self) -> None:
        """Read what waits in TCP for octets that were not captured: no more frames come."""
        self._read_streams(self._tcp.finish())
        self._observe_all(self._streams.finish())
        self._reassembler.finish()

    def report(self) -> Report:
        """Everything seen so far. The lists are the observer's own: read, do not change."""
        accepted = [entry for entry in self._registrations.kept if entry.accepted]
        refused = [entry for entry in self._registrations.kept if not entry.accepted]
        summary = self._summary
        sas = [*self._sas, *self._ah_sas]
        counted = [*sas, self._sas.overflow, self._ah_sas.overflow]
        for name in ESP_COUNTS:
            setattr(summary, name, sum(getattr(sa, name) for sa in counted))
        summary.tls = self._streams.tls
        summary.registrations = len(accepted) + self._registrations.not_kept
        summary.moves = len(self._links.moves) + self._links.moves_not_kept
        not_kept = self._registrations.not_kept + self._links.moves_not_kept + self._ike.not_kept
        return Report(
            summary,
            self._first_time or 0,
            sas,
            accepted,
            refused,
            self._links.moves,
            self._ike.sas,
            self._statistics,
            dict(self._drops + self._tcp.drops + self._reassembler.drops),
            not_kept,
            self._registrations.replies_without_request,
        )

    def _observe(self, octets: bytes, link_type: int, frame: _Frame) -> None:
        ip_octets = ip_of_frame(octets, link_type)
        if ip_octets is None:
            return
        ip = parse_ip(ip_octets)
        if ip.more_fragments or ip.fragment_offset:
            whole = self._reassembler.add(ip, frame.time_ns / 1e9)
            if whole is None:
                return
            ip, ip_octets = whole, None
        if ip.protocol == TCP:
            self._observe_tcp(ip, frame)
            return
        if ip.protocol == AH:
            self._observe_ah(carried_by_ah(ip, ip_octets), frame)
            return
        carried = classify(ip, self._keys.knows_spi, self._knows_flow)
        if carried is not None:
            duplicate = carried.content is _ESP and self._recent.repeats(
                frame.digest, frame.time_ns
            )
            self._observe_carried(carried, frame, duplicate)

    def _observe_ah(self, carried: Carried, frame: _Frame) -> None:
        """Observe AH, and ESP right behind it, unless the ICV of AH shows that nobody sent it."""
        duplicate = self._recent.repeats(frame.digest, frame.time_ns)
        try:
            self._observe_esp(carried, frame, duplicate)
        except Drop as drop:
            if drop.reason is not DropReason.UNKNOWN_SPI:
                raise
            self._count(drop)
        esp = esp_behind_ah(carried)
        if esp is not None:
            self._observe_esp(esp, frame, duplicate)

    def _observe_tcp(self, ip: IpPacket, frame: _Frame) -> None:
        source_port, destination_port = ports_of(ip.payload)
        tentative = not (source_port in self._tcp_ports or destination_port in self._tcp_ports)
        if tentative and not begins_stream(ip.payload):
            ends = (ip.source, source_port), (ip.destination, destination_port)
            if not self._tcp.knows(*ends):
                return
        segment, stamp = parse_tcp(ip), Stamp(frame.number, frame.time_ns)
        found = self._tcp.add(ip.source, ip.destination, segment, stamp, tentative=tentative)
        self._read_streams(found)

    def _read_streams(self, found: Iterable[Found]) -> None:
        ignored: set[Connection] = set()
        for connection, sender, piece in found:
            if connection in ignored:
                continue
            for one in self._streams.read(connection, sender, piece):
                self._observe_in_stream(one)
                if not connection.wanted:
                    self._tcp.keep(connection)
            while (given_up := self._streams.give_up()) is not None:
                self._tcp.ignore(given_up)
                ignored.add(given_up)
        for connection in self._tcp.take_over():
            self._observe_all(self._streams.end(connection))

    def _observe_all(self, found: Iterable[InStream]) -> None:
        for one in found:
            self._observe_in_stream(one)
        while (given_up := self._streams.give_up()) is not None:
            self._tcp.ignore(given_up)

    def _observe_in_stream(self, one: InStream) -> None:
        outer = outer_of(one.encapsulation, *one.sender, *one.receiver)
        carried = Carried(one.carried.content, one.carried.message, outer, one.headers)
        try:
            self._observe_carried(carried.checked(), _Frame(*one.stamp), duplicate=False)
        except Drop as drop:
            self._count(drop)

    def _count(self, drop: Drop) -> None:
        self._drops[drop.reason] += 1
        self._summary.malformed += drop.reason in MALFORMED

    def _observe_carried(self, carried: Carried, frame: _Frame, duplicate: bool) -> None:
        if carried.content is _ESP:
            self._observe_esp(carried, frame, duplicate)
            return
        is_ike = carried.content is Content.IKE
        kind = PacketType.IKE if is_ike else PacketType.KEEPALIVE
        octets = carried.octets
        seen = SeenPacket(*frame[:2], kind, carried.outer, len(octets), octets=octets)
        if not is_ike:
            self._summary.keepalives += 1
            self._statistics.note_keepalive(carried.outer, frame.time_ns)
            self._tell(seen)
            return
        self._summary.ike += 1
        before = self._links.newest_move
        try:
            sa = self._ike.observe(carried.octets, carried.outer, *frame[:2])
        except Drop as drop:
            self._tell(seen, drop.reason)
            raise
        move = self._links.newest_move
        self._tell(seen._replace(ike=sa, move=None if move is before else move))

    def _tell(self, seen: SeenPacket, dropped: DropReason | None = None) -> None:
        if self._on_packet is not None:
            self._on_packet(seen._replace(dropped=dropped) if dropped else seen)

    def _observe_esp(self, carried: Carried, frame: _Frame, duplicate: bool) -> None:
        packet, outer = carried.octets, carried.outer
        if outer.ah:
            spi, sas = spi_of(packet), self._ah_sas
            self._summary.ah += 1
        else:
            if len(packet) < ESP_HEADER_LENGTH:
                raise Drop(DropReason.ESP_TOO_SHORT, f"{len(packet)} octets")
            spi, sas = int.from_bytes(packet[:4], "big"), self._sas
            self._summary.esp += 1
        try:
            sa, opened = sas.open(spi, packet, outer)
        except Drop as drop:
            failed = sas.sa_of(spi, outer)
            (failed or sas.overflow).duplicates += duplicate
            if failed is not None and not failed.key_found and not failed.unverified:
                failed.note_path(outer, frame.time_ns, newest=True)
            seen = SeenPacket(*frame[:2], PacketType.ENCRYPTED, outer, len(packet), spi, sa=failed)
            self._tell(seen._replace(octets=packet), drop.reason)
            raise
        self._learn_flow(outer)
        newest = opened.sequence > sa.seen.highest
        if sa.seen.add(opened.sequence):
            sa.reordered += not newest
            self._observe_content(sa, opened, carried, frame, newest)
            return
        kind, length = PacketType.REPEATED, len(packet)
        seen = SeenPacket(*frame[:2], kind, outer, length, spi, opened.sequence, sa, opened)
        seen = seen._replace(octets=packet)
        if duplicate:
            sa.duplicates += 1
            self._tell(seen)
            return
        forgotten = sa.seen.has_forgotten(opened.sequence)
        sa.replayed += not forgotten
        reason = DropReason.SEQUENCE_FORGOTTEN if forgotten else DropReason.REPLAYED
        self._tell(seen, reason)
        raise Drop(reason, f"SPI 0x{sa.spi:08x} sequence {opened.sequence}")

    def _observe_content(
        self, sa: ObservedSa, opened: Opened, carried: Carried, frame: _Frame, newest: bool
    ) -> None:
        outer = carried.outer
        message: Message | None = None
        move: Move | None = None
        inner: tuple[bytes, bytes] | None = None
        malformed: Drop | None = None
        try:
            inner = inner_addresses(opened)
            message, malformed = registration_in(opened)
        except Drop as drop:
            malformed = drop
        if message is None or sign_of(message) in _OF_PATH:
            sa.note_path(outer, frame.time_ns, newest=newest)
        spi_inside = int.from_bytes(opened.payload[:4], "big") if opened.next_header == ESP else 0
        around_esp = outer.ah and self._marks_esp(spi_inside)
        if newest and not around_esp:
            move = self._links.follow(
                sa, outer, inner, message, frame.time_ns, frame.number, verified=opened.verified
            )
            if move is not None:
                self._statistics.note_move(move, forward=sa.forward)
                if message is None:
                    self._registrations.note_move(move)
        kind = type_of(opened, message)
        if kind is _DATA and not around_esp:
            octets, verified = len(opened.payload), opened.verified
            self._statistics.note_data(
                sa, outer, frame.time_ns, opened.sequence, octets, newest=newest, verified=verified
            )
        elif kind is _DUMMY:
            self._statistics.note_keepalive(outer, frame.time_ns)
        registration = None
        if message is not None:
            sighting = Sighting(
                frame.number,
                frame.time_ns,
                sa.spi,
                outer.description(sa.spi, carried.headers),
                opened.verified,
                inner[0] if inner else None,
            )
            registration = self._registrations.note(message, sighting, move)
        if self._on_packet is not None:
            seen = SeenPacket(
                frame.number,
                frame.time_ns,
                kind,
                outer,
                len(carried.octets),
                sa.spi,
                opened.sequence,
                sa,
                opened,
                inner,
                message,
                registration,
                move,
                octets=carried.octets,
            )
            self._tell(seen, malformed.reason if malformed else None)
        if malformed is not None:
            raise malformed

    def _move_all(self, update: Update) -> Move | None:
        """Take the SAs of an IKE SA where UPDATE_SA_ADDRESSES says; without UDP if they were."""
        old, new, link = update.old, update.new, None
        for protocol, spi in update.sa.child_spis:
            sas = self._ah_sas if protocol == Protocol.AH else self._sas
            sa = sas.sa_of(spi, new)
            if sa is None or sa.link is None or sa.outer is None:
                continue
            link = sa.link
            if sa.outer.encapsulation is Encapsulation.NATIVE and not update.seen.translations:
                old, new = (each.native(ah=sa.outer.ah) for each in (update.old, update.new))
        seen = update.seen
        verified = seen.reading is Reading.VERIFIED
        move = self._links.signal(link, old, new, seen.time_ns, seen.frame, verified=verified)
        if move is not None:
            self._statistics.note_move(move, forward=self._links.is_forward(move))
        return move

    def _marks_esp(self, spi: int) -> bool:
        return self._keys.knows_spi(spi) or self._sas.is_open(spi)

    def _knows_flow(self, outer: Outer) -> bool:
        return bool(self._flows) and outer.pair in self._flows

    def _learn_flow(self, outer: Outer) -> None:
        """Remember where authentic ESP was carried, to know unknown SPIs and IKE there."""
        if outer.encapsulation is _IN_UDP and outer.pair not in self._flows:
            self._flows[outer.pair] = None
            if len(self._flows) > MAX_FLOWS:
                self._flows.popitem(last=False)
