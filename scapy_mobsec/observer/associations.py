"""The SAs that a capture shows: which key opens them, what became of each packet, on which paths.

A key counts as found only after one good ICV. An SA is named by its SPI and the key that opened
it; where no key does, by its SPI and the destination address (RFC 4301 section 4.1).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ah import AhParameters, InboundAh
from scapy_mobsec.esp.sa import InboundSa, Opened, SaParameters
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.observer.sequences import SeenSequences
from scapy_mobsec.packet.ip import IPV4, IPV6, parse_ip

MAX_SAS = 16_384
"""SAs with a key, and as many without one: noise does not push out what can be read."""
MAX_SPANS = 256
ESN_HIGHS = range(256)
"""Upper halves of extended numbers to try where the capture joins an SA late."""
MAX_ESN_TRIES = 4
"""Failed packets of one SPI and destination until that is given up."""
MAX_ESN_TRIES_IN_ALL = 4096
COUNTS = (
    "packets",
    "verified",
    "unverified",
    "icv_failed",
    "no_key",
    "replayed",
    "duplicates",
)
PLAUSIBLE_TRANSPORT_HEADERS = frozenset({1, 6, 17, 58, 59, 115, 132})
"""Next headers believed without an ICV: ICMP, TCP, UDP, ICMPv6, none, L2TP, SCTP."""


class KeySource(Protocol):
    """Where SA keys are looked up."""

    def knows_spi(self, spi: int) -> bool:
        """Whether a key is there for exactly this SPI."""

    def candidates(
        self, family: int, source: bytes, destination: bytes, spi: int
    ) -> Sequence[SaParameters]:
        """Parameters that may fit an ESP packet. family: 4 or 6; addresses packed."""

    def ah_candidates(
        self, family: int, source: bytes, destination: bytes, spi: int
    ) -> Sequence[AhParameters]:
        """Parameters that may fit an AH packet."""


@dataclass(slots=True)
class PathSpan:
    """One stay of an SA on one path. Times in nanoseconds since the Unix epoch."""

    outer: Outer
    first_time: int
    last_time: int
    packets: int = 0


@dataclass(slots=True)
class ObservedSa:
    """One SA, one direction. `outer`: where its newest authentic packet found its link, by number.

    `asks`: RREQs came by it. `forward`: it goes the way of the first SA of its link. `reordered`:
    packets that came after one with a higher number.
    """

    spi: int
    inbound: InboundSa | InboundAh | None = None
    key_found: bool = False
    packets: int = 0
    verified: int = 0
    unverified: int = 0
    icv_failed: int = 0
    no_key: int = 0
    replayed: int = 0
    duplicates: int = 0
    reordered: int = 0
    link: int | None = None
    asks: bool = False
    forward: bool = True
    outer: Outer | None = None
    seen: SeenSequences = field(default_factory=SeenSequences)
    spans: list[PathSpan] = field(default_factory=list)

    @property
    def suite(self) -> str | None:
        """Name of the suite, None where no key opened the SA."""
        return self.inbound.parameters.suite.name if self.inbound else None

    def note_path(self, outer: Outer, time_ns: int, *, newest: bool) -> bool:
        """Count a packet on its path. Returns whether it took the SA to another path.

        Only the newest packet moves an SA: a late one counts for the path that it came by.
        """
        for span in reversed(self.spans) if not newest else self.spans[-1:]:
            if span.outer == outer:
                span.packets += 1
                span.last_time = max(span.last_time, time_ns)
                return False
        if not newest and self.spans:
            return False
        moved = bool(self.spans)
        self.spans.append(PathSpan(outer, time_ns, time_ns, 1))
        if len(self.spans) > MAX_SPANS:
            del self.spans[0]
        return moved


class Associations:
    """All SAs of a capture by ESP or by AH, found by SPI."""

    def __init__(self, keys: KeySource, *, ah: bool = False) -> None:
        self._keys = keys
        self._ah = ah
        self._opened: dict[int, list[ObservedSa]] = {}
        self._open_count = 0
        self._esn_tries = 0
        self._closed: dict[tuple[int, bytes], ObservedSa] = {}
        self.overflow = ObservedSa(0)
        """Counts of the packets of SAs beyond the limit."""

    def __iter__(self) -> Iterator[ObservedSa]:
        for sas in self._opened.values():
            yield from sas
        yield from self._closed.values()

    def __len__(self) -> int:
        return self._open_count + len(self._closed)

    def open(self, spi: int, packet: bytes, outer: Outer) -> tuple[ObservedSa, Opened]:
        """Open an ESP packet, or an IP packet with AH, with the key that fits; count it at its SA.

        Raises Drop: no key, no good ICV, content that cannot be (BAD_PADDING, UNREADABLE), or
        more SAs than are followed at once.
        """
        failure: Drop | None = None
        for sa in self._opened.get(spi, ()):
            try:
                return sa, _try_key(sa, packet)
            except Drop as drop:
                if drop.reason is DropReason.BAD_PADDING:
                    raise
                failure = drop
        counted = self.sa_of(spi, outer)
        may_join_late = counted is None or counted.icv_failed < MAX_ESN_TRIES
        for sa in self._candidates(spi, outer):
            try:
                opened = self._join(sa, packet) if may_join_late else _try_key(sa, packet)
            except Drop as drop:
                failure = drop
                if not sa.key_found:
                    continue
                self._keep(sa, outer)
                raise
            self._keep(sa, outer)
            return sa, opened
        failure = failure or Drop(DropReason.UNKNOWN_SPI, f"0x{spi:08x}")
        self._count_failure(spi, outer, failure)
        raise failure

    def is_open(self, spi: int) -> bool:
        """Whether a key opened an SA with this SPI."""
        return spi in self._opened

    def sa_of(self, spi: int, outer: Outer) -> ObservedSa | None:
        """The SA that a packet with this SPI is counted at when no key opens it."""
        opened = self._opened.get(spi)
        if opened:
            return opened[0]
        return self._closed.get((spi, outer.destination))

    def _join(self, sa: ObservedSa, packet: bytes) -> Opened:
        """Do `_try_key` with one upper half of the extended number after the other.

        First with the one that came with the key, then from 0 up. The ICV tells which is right.
        """
        assert sa.inbound is not None
        parameters, replay = sa.inbound.parameters, sa.inbound.replay
        tried = parameters.esn and self._esn_tries < MAX_ESN_TRIES_IN_ALL
        for high in (parameters.esn_high, *(ESN_HIGHS if tried else ())):
            replay.expect(high)
            try:
                return _try_key(sa, packet)
            except Drop as drop:
                if drop.reason is not DropReason.BAD_ICV:
                    raise
                failure = drop
        self._esn_tries += parameters.esn
        raise failure

    def _candidates(self, spi: int, outer: Outer) -> list[ObservedSa]:
        """Fresh SAs for the keys not in use yet; those that can be verified come first.

        Where a good ICV has shown which key is right, a wrong one is not believed without a check.
        """
        family = 4 if len(outer.source) == 4 else 6
        opened = self._opened.get(spi, ())
        in_use = [sa.inbound.parameters for sa in opened if sa.inbound]
        is_proven = any(sa.key_found for sa in opened)
        look_up = self._keys.ah_candidates if self._ah else self._keys.candidates
        fitting = look_up(family, outer.source, outer.destination, spi)
        parameters = [
            candidate
            for candidate in fitting
            if candidate not in in_use and (candidate.verifiable or not is_proven)
        ]
        parameters.sort(key=lambda candidate: not candidate.verifiable)
        return [ObservedSa(spi, _inbound(candidate)) for candidate in parameters]

    def _keep(self, sa: ObservedSa, outer: Outer) -> None:
        """Hold on to an SA whose key fits, with what failed under its SPI before."""
        earlier = self._closed.pop((sa.spi, outer.destination), None)
        if earlier:
            _add_counts(sa, earlier)
        if self._open_count >= MAX_SAS:
            _add_counts(self.overflow, sa)
            raise Drop(DropReason.SA_LIMIT, f"more than {MAX_SAS}")
        self._opened.setdefault(sa.spi, []).append(sa)
        self._open_count += 1

    def _count_failure(self, spi: int, outer: Outer, failure: Drop) -> None:
        sa = self.sa_of(spi, outer)
        if sa is None:
            sa = self.overflow
            if len(self._closed) < MAX_SAS:
                sa = self._closed[(spi, outer.destination)] = ObservedSa(spi)
        sa.packets += 1
        if failure.reason in (DropReason.UNKNOWN_SPI, DropReason.UNREADABLE):
            sa.no_key += 1
        else:
            sa.icv_failed += 1


def _inbound(parameters: SaParameters | AhParameters) -> InboundSa | InboundAh:
    if isinstance(parameters, AhParameters):
        return InboundAh(parameters, window=0)
    return InboundSa(parameters, window=0)


def _try_key(sa: ObservedSa, packet: bytes) -> Opened:
    """Open a packet with the SA's key and count it if that succeeds or its ICV is good."""
    inbound = sa.inbound
    assert inbound is not None
    try:
        opened = inbound.open(packet)
        if not opened.verified:
            _require_plausible(opened)
    except Drop as drop:
        if drop.reason is DropReason.BAD_PADDING:
            if not inbound.parameters.verifiable:
                raise Drop(DropReason.UNREADABLE, str(drop)) from drop
            sa.key_found = True
            sa.packets += 1
            sa.verified += 1
        raise
    sa.packets += 1
    if opened.verified:
        sa.key_found = True
        sa.verified += 1
    else:
        sa.unverified += 1
    return opened


def _add_counts(to: ObservedSa, other: ObservedSa) -> None:
    for name in COUNTS:
        setattr(to, name, getattr(to, name) + getattr(other, name))


def _require_plausible(opened: Opened) -> None:
    """Without an ICV, only content that makes sense shows that the key was the right one."""
    if opened.next_header in (IPV4, IPV6):
        try:
            parse_ip(opened.payload)
        except Drop as drop:
            raise Drop(DropReason.UNREADABLE, str(drop)) from drop
    elif opened.next_header not in PLAUSIBLE_TRANSPORT_HEADERS:
        raise Drop(DropReason.UNREADABLE, f"next header {opened.next_header}")
