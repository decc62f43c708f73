"""The part of X that asks: RREQs under way with their retransmissions, streams, and data out.

When an attempt begins, and what an answer means, is in `mobile`.

- Data goes on the current path at once, without waiting for an RREP; while that is a stream that is
  not open, it waits as plaintext, and not for long. So it does while a POST is not answered.
- A stream is opened when the first RREQ on it is due, again at the times of a retransmission where
  it could not be, and closed when nobody wants it, even before it is open, or when the RREP that it
  still owes has come. An attempt goes on with one that is open.
- Where the certificate of Y is demanded (`tls_verify`), a stream with another one is closed before
  anything is written to it, and its path given up; other paths go on. So they do where a forward
  proxy refuses the tunnel of a stream.
- At the second unanswered retransmission sequence numbers are skipped (`counters`), and so they are
  at the third answer to one challenge.
"""

from abc import abstractmethod
from collections.abc import Callable

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.carrier import StreamCarrier
from scapy_mobsec.encap.stream import client_carrier
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.description import Description, TlsHeader
from scapy_mobsec.registration.serial import is_newer_attempt
from scapy_mobsec.terminal.base import Terminal
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.counters import (
    RESERVED_ATTEMPTS,
    SKIPPED_NUMBERS,
    MobileSnapshot,
    RepeatedChallenge,
    SkipLimit,
)
from scapy_mobsec.terminal.driving import Close, Established, Input, Open, Output, Transmit
from scapy_mobsec.terminal.events import (
    CertificateRefused,
    FailureReason,
    InnerMtuLowered,
    NumbersSkipped,
    ProxyRefused,
)
from scapy_mobsec.terminal.exchange import Exchange, Exchanges, Purpose, RoundTrip
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.mtu import PathMtu
from scapy_mobsec.terminal.paths import DATAGRAM, PathState
from scapy_mobsec.terminal.requests import Requests
from scapy_mobsec.terminal.routes import (
    allowed,
    dialed,
    host_of,
    inside_tls,
    item_of,
    remote_addresses,
    server_name,
    tunnel_target,
    unopened,
)
from scapy_mobsec.terminal.signalling import Inner
from scapy_mobsec.terminal.streams import Stream, WaitingData
from scapy_mobsec.terminal.watch import DataWatch, PathCounters

MAX_COUNTED_PATHS = 32

_BESIDE = frozenset({Purpose.TRY, Purpose.IMPROVE})
"""They ask whether another path passes."""

_MEASURING = frozenset({Purpose.KEEPALIVE, Purpose.MEASURE})
"""They ask whether the longest data passes too."""


class Requester(Terminal[Link]):
    """Sends RREQs and data on the paths that it is told."""

    asks = True

    def __init__(
        self,
        configuration: MobileConfiguration,
        *,
        random_bytes: Callable[[int], bytes],
        snapshot: MobileSnapshot | None = None,
    ) -> None:
        """`random_bytes` has the shape and strength of os.urandom. `snapshot`: of an earlier
        terminal with the same SAs, to go on above its counters.
        """
        link = Link(configuration.link, at_mobile=True, random_bytes=random_bytes)
        super().__init__(max_sas=max(len(link.inbound), len(link.inbound_ah)))
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._link = link
        last = snapshot.identification if snapshot else None
        self._requests = Requests(configuration, self._link, self._describe_sent, last)
        if snapshot:
            self._resume(snapshot)
        self._attempts_end = self.attempt
        self._add_link(self._link)
        self._exchanges = Exchanges()
        self._round_trip = RoundTrip()
        self._counters: dict[Path, PathCounters] = {}
        self._watch: DataWatch | None = None
        self._waiting = WaitingData()
        self._seconds: dict[Path, Stream] = {}  # wanted path -> first connection of its channel
        self._opening: dict[Path, None] = {}
        self._skips = SkipLimit()
        self._challenges = RepeatedChallenge()
        self._sequence = 0
        self._mtu = PathMtu(allowed(configuration))

    @property
    def attempt(self) -> int:
        """Number of the present attempt."""
        return self._requests.attempt

    @property
    def path(self) -> Path | None:
        """The path that data is sent on."""
        return self._link.path

    @property
    def remote_addresses(self) -> tuple[bytes, ...]:
        """All addresses that outer packets may go to, as far as is known."""
        return remote_addresses(self._configuration)

    @property
    def inner_mtu(self) -> int:
        """Octets of the longest inner packet that no way allowed fragments."""
        return self._mtu.inner_mtu(self._link)

    def packet_too_big(self, outer_mtu: int, path: Path, quoted: bytes) -> None:
        """The network said that an outer packet must not be longer: never raised in an attempt.

        `quoted`: what the notice quotes of that packet, from the header of ESP or AH on. It is
        believed only if it shows a packet of this attempt (RFC 8899 section 4.6.1), because anybody
        can write one. A router that quotes 8 octets of UDP is not: lost padding must tell instead.
        """
        if path not in self._counters or not self._link.has_sent(quoted, path):
            self._dropped(Drop(DropReason.UNSENT_PACKET, f"{outer_mtu} octets"), path)
            return
        self._lower_mtu(lambda: self._mtu.too_big(outer_mtu))

    def _lower_mtu(self, lower: Callable[[], None]) -> None:
        old = self.inner_mtu
        lower()
        if self.inner_mtu < old:
            self._tell(InnerMtuLowered(self.attempt, old, self.inner_mtu))

    def snapshot(self) -> MobileSnapshot:
        """Return the counters, for a terminal that goes on after this one; see `snapshot_due`."""
        self._saved()
        reservation = self._link.reservation
        return MobileSnapshot(
            self._attempts_end,
            self._requests.identifications.last,
            reservation.next_sequence,
            reservation.ceilings,
            self._link.ah_numbers,
        )

    def _resume(self, snapshot: MobileSnapshot) -> None:
        self._requests.attempt = snapshot.attempt
        self._link.resume(snapshot.next_sequence, snapshot.ceilings, snapshot.ah)

    def _reserve_attempts(self) -> None:
        if is_newer_attempt(self.attempt, self._attempts_end):
            self._attempts_end = (self.attempt + RESERVED_ATTEMPTS) % (1 << 32)
            self._unsave(self._link)

    @abstractmethod
    def _gave_up(self, exchange: Exchange, now: float) -> None:
        """Go on after an RREQ had no answer."""

    @abstractmethod
    def _refused_path(self, exchange: Exchange, reason: FailureReason, now: float) -> None:
        """Go on without the path of an RREQ that is not to be sent."""

    # data

    def send(self, packet: bytes, now: float) -> None:
        try:
            path = self._link.path
            if path and not self._takes_data(path):
                self._waiting.add(packet, now)
                return
            self._send_data(self._link, packet)
            if path in self._counters:
                self._counters[path].sent += 1
            if self._watch:
                self._watch.data_sent(now)
        except Drop as drop:
            self._dropped(drop, None)

    def _send_waiting(self, now: float) -> None:
        if self._link.path and self._takes_data(self._link.path):
            for packet in self._waiting.take():
                self.send(packet, now)

    def _takes_data(self, path: Path) -> bool:
        """Tell whether what is sealed for a path now leaves now (rule 7)."""
        stream = self._streams.get(path.ends)
        return self._is_open(path) and not (stream and stream.carrier.busy)

    def _waiting_due(self) -> float | None:
        """When something has waited too long for a stream to open."""
        path = self._link.path
        return None if path and self._is_open(path) else self._waiting.due

    def _drop_waiting(self, now: float) -> None:
        if self._waiting_due() is None:
            return
        for packet in self._waiting.expired(now):
            self._dropped(Drop(DropReason.WAITED_TOO_LONG, f"{len(packet)} octets"), None)

    def _authentic(
        self, link: Link, inner: Inner, opened: Opened, octets: int, path: Path, now: float
    ) -> PathState | None:
        state = super()._authentic(link, inner, opened, octets, path, now)
        self._sequence = opened.sequence
        if inner is not Inner.DATA:
            return state
        if counters := self._counters.get(path):
            counters.received += 1
            counters.largest_received = max(counters.largest_received, octets)
        if self._watch and path == self._link.path:
            self._watch.data_received()
        return state

    # RREQs

    def _begin(
        self,
        purpose: Purpose,
        path: Path,
        now: float,
        *,
        at: float | None = None,
        index: int = 0,
        count: int = 1,
    ) -> None:
        """Begin an exchange, and send its first RREQ unless it is for later."""
        start = now if at is None else at
        lifetime = 0 if purpose is Purpose.DEREGISTER else self._configuration.lifetime
        exchange = Exchange(path, lifetime, start, start, purpose, index, count)
        exchange.first_interval = self._round_trip.first_interval
        exchange.guess = self._round_trip.guess
        # ESP can do what AH cannot, so it need not wait long.
        exchange.brief = path.ah and purpose is Purpose.REGISTER and self._link.outbound is not None
        self._exchanges.add(exchange)
        self._count(path)
        if start <= now:
            self._transmit(exchange, now)

    def _count(self, path: Path) -> None:
        if path not in self._counters and len(self._counters) < MAX_COUNTED_PATHS:
            self._counters[path] = PathCounters()

    def _run_exchanges(self, now: float) -> None:
        for exchange in self._exchanges:
            if exchange not in self._exchanges:  # an earlier one has begun another attempt
                continue
            if now >= exchange.gives_up:
                self._exchanges.remove(exchange)
                self._gave_up(exchange, now)
            elif now >= exchange.next_transmission:
                self._transmit(exchange, now)

    def _transmit(self, exchange: Exchange, now: float) -> None:
        path = exchange.path
        if not self._is_open(path):
            exchange.waits, exchange.next_transmission = True, exchange.gives_up
            if path.ends not in self._streams:
                exchange.path = unopened(path)
                self._open(exchange.path)
            return
        self._reserve_attempts()
        identification = self._requests.identifications.next(now)
        counters = self._counters.get(path)
        report = None
        if counters and exchange.purpose is not Purpose.REGISTER:
            report = counters.report(identification)
        length = self._padded_length(exchange)
        exchange.transmitted(identification, now, self._random_bytes)
        if length:
            exchange.lengths[identification] = length
        # The PROBEs of a keepalive may be sent before any of them can be answered.
        overdue = now >= exchange.started + exchange.first_interval
        if overdue and exchange.purpose not in _BESIDE | {Purpose.MEASURE}:
            self._skip_numbers(exchange.transmissions, exchange.started, now)
        self._say(self._requests.write(exchange, identification, report, length), path)

    def _skip_numbers(self, transmissions: int, started: float, now: float) -> bool:
        """Skip numbers if Y seems to refuse ours; tell whether that was done."""
        may_skip = self._skips.may_skip(transmissions, started, now)
        if not (may_skip and self._link.skip(SKIPPED_NUMBERS)):
            return False
        for exchange in self._exchanges:
            exchange.skipped = True
        self._tell(NumbersSkipped(SKIPPED_NUMBERS))
        return True

    def _padded_length(self, exchange: Exchange) -> int:
        encapsulation, purpose = exchange.path.encapsulation, exchange.purpose
        if encapsulation not in DATAGRAM:
            return 0
        of_native = encapsulation is Encapsulation.NATIVE and purpose in _BESIDE
        if of_native or (purpose in _MEASURING and exchange.transmissions < 2):
            return self._link.sealed_length(self.inner_mtu, exchange.path)
        room = self._mtu.outer if exchange.path.ah else self._mtu.esp_room
        return exchange.padded_length if room is None else min(exchange.padded_length, room)

    def _say(self, message: bytes, path: Path) -> None:
        try:
            self._send_message(self._link, message, path)
        except Drop as drop:
            self._dropped(drop, None)

    def _describe_sent(self, path: Path) -> Description:
        return self._describe(path, self._link.outbound_spi(path), arrived=False)

    # streams

    def transmits(self, now: float) -> list[Output]:
        for stream in self._streams.values():
            self._write(stream.carrier.settle(), stream)
        return super().transmits(now)

    def _write_held(self, stream: Stream) -> None:
        """What is held leaves with all that can be sent at the same time, in `transmits`."""

    def receive(self, data: Input, path: Path, now: float) -> None:
        if not isinstance(data, bytes):
            wanted = data.wanted if isinstance(data, Established) else path
            self._opening.pop(wanted or path, None)
        super().receive(data, path, now)

    def _established(self, established: Established, path: Path, now: float) -> None:
        found = _certificate(established.headers)
        expected = self._configuration.tls_verify
        if expected and found is not None and found != expected:
            self._transmits.append(Close(path))
            self._tell(CertificateRefused(self.attempt, path, found))
            if established.wanted:
                self._give_up_stream(established.wanted, FailureReason.CERTIFICATE, now)
            if established.wanted and (first := self._seconds.get(established.wanted)):
                self._close(first.opened_path, "another certificate", now)
            return
        super()._established(established, path, now)

    def _stream_refused(self, path: Path, reason: str, now: float) -> None:
        self._tell(ProxyRefused(self.attempt, path, reason))
        self._give_up_stream(path, FailureReason.PROXY, now)
        if first := self._seconds.get(path):
            self._close(first.opened_path, reason, now)

    def _give_up_stream(self, path: Path, reason: FailureReason, now: float) -> None:
        """Give up a path whose stream is not to be used; other paths go on."""
        for exchange in self._exchanges:
            if exchange.path == path and exchange in self._exchanges:
                self._exchanges.remove(exchange)
                self._refused_path(exchange, reason, now)

    def _new_carrier(self, established: Established, path: Path) -> StreamCarrier:
        item = item_of(self._configuration, path.encapsulation)
        first = self._seconds.get(established.wanted) if established.wanted else None
        return client_carrier(
            path.encapsulation,
            dialed(self._configuration, path),
            host=host_of(self._configuration, path),
            path=item.path,
            tls=inside_tls(self._configuration, path),
            target_port=self._configuration.other_terminal.port,
            channel=first.carrier.channel if first else None,
        )

    def _stream_opened(self, established: Established, path: Path, now: float) -> None:
        if established.wanted and established.wanted in self._seconds:
            self._join(self._seconds.pop(established.wanted), self._streams[path.ends])
            return
        wanted = [one for one in self._exchanges if one.path == established.wanted]
        if not wanted:
            self._close_stream(path)
            return
        for exchange in wanted:
            exchange.path = path
            self._count(path)
        if self._link.path == established.wanted:
            self._link.current = PathState(path)
        self._stream_ready(path, now)

    def _receive_stream(self, data: bytes, path: Path, now: float) -> None:
        super()._receive_stream(data, path, now)
        stream = self._streams.get(path.ends)
        if stream and stream.carrier.channel and stream.carrier.channel.id and not stream.partner:
            self._open_second(stream)
        self._stream_ready(path, now)

    def _open(self, path: Path) -> None:
        self._opening[path] = None
        settings = self._configuration
        tls = inside_tls(settings, path)
        name = server_name(settings, path) if tls else ""
        self._transmits.append(Open(path, tunnel_target(settings, path), tls, name))

    def _open_second(self, stream: Stream) -> None:
        wanted = unopened(stream.path)
        if wanted not in self._seconds:
            self._seconds[wanted] = stream
            self._open(wanted)

    def _forget_stream(self, stream: Stream) -> None:
        self._counters.pop(stream.opened_path, None)
        if self._seconds.get(unopened(stream.path)) is stream:
            del self._seconds[unopened(stream.path)]

    def _stream_ready(self, path: Path, now: float) -> None:
        if not self._is_open(path):
            return
        for exchange in self._exchanges:
            if exchange.path == path and exchange.waits:
                self._transmit(exchange, now)
        if self._link.path == path:
            self._send_waiting(now)

    def _open_later(self, exchange: Exchange, now: float) -> None:
        """Open the stream of an exchange again: it could not be, or was closed before its use."""
        exchange.path = unopened(exchange.path)
        exchange.postpone(now)

    def _close_stream(self, path: Path) -> None:
        """Close a stream that nobody wants, or is yet to be opened."""
        if path in self._opening:
            del self._opening[path]
            self._transmits.append(Close(path))
        if stream := self._streams.get(path.ends):
            self._remove_stream(stream)

    def _opened(self, path: Path) -> Path:
        """Return the path of an open stream in place of one that is yet to be opened."""
        found = (each.path for each in self._streams.values())
        ready = (each for each in found if unopened(each) == path and self._is_open(each))
        return path if path.encapsulation in DATAGRAM else next(ready, path)

    def _send_octets(self, octets: bytes, path: Path) -> None:
        self._transmits.append(Transmit(octets, path))


def _certificate(headers: Description) -> bytes | None:
    """Return the SHA-256 of the certificate in the TLS of a stream, None without TLS."""
    found = (each.certificate_sha256 for each in headers if isinstance(each, TlsHeader))
    return next(found, None)
