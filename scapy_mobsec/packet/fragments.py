"""Reassembly of IP fragments (RFC 791 section 3.2, RFC 8200 section 4.5), bounded.

Fragments that overlap are refused together with their whole datagram, for IPv4 too (RFC 5722
section 4 asks it of IPv6 only); exact repetitions are ignored. Datagrams that are not complete
after the timeout are forgotten; when room is needed, the oldest ones are. Both count in `drops`.
"""

from bisect import bisect
from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import MAX_LENGTH, IpPacket, upper_layer

_OVERHEAD = 256
"""What a fragment counts beyond its payload, so that tiny ones are bounded too."""


@dataclass(slots=True)
class _Datagram:
    started: float
    fragments: list[IpPacket] = field(default_factory=list)
    """In the order of their offsets, without overlaps."""
    received: int = 0
    total: int | None = None
    """Octets of the whole payload; known with the last fragment."""
    cost: int = 0
    refused: bool = False

    def add(self, fragment: IpPacket) -> bool:
        """Take in a fragment; False if it is a repetition. Raises Drop(FRAGMENT_OVERLAP)."""
        start = fragment.fragment_offset
        end = start + len(fragment.payload)
        at = bisect(self.fragments, start, key=lambda known: known.fragment_offset)
        before = self.fragments[at - 1] if at else None
        if before and _same_part(before, fragment):
            return False
        after = self.fragments[at] if at < len(self.fragments) else None
        total = self.total if fragment.more_fragments else end
        if (
            (before and before.fragment_offset + len(before.payload) > start)
            or (after and end > after.fragment_offset)
            or (total is not None and max(end, self._end()) > total)
            or (self.total is not None and self.total != total)
        ):
            raise Drop(DropReason.FRAGMENT_OVERLAP, f"at octet {start}")
        self.fragments.insert(at, fragment)
        self.total = total
        self.received += end - start
        self.cost += _cost(fragment)
        return True

    def _end(self) -> int:
        last = self.fragments[-1] if self.fragments else None
        return last.fragment_offset + len(last.payload) if last else 0

    def hashes(self) -> frozenset[int]:
        """Return what tells each fragment from others."""
        parts = self.fragments
        return frozenset(hash((p.fragment_offset, p.more_fragments, p.payload)) for p in parts)

    def whole(self) -> IpPacket:
        """Join the fragments. Raises Drop(MALFORMED_IP) on bad IPv6 extension headers."""
        first = self.fragments[0]
        protocol, payload = first.protocol, b"".join(part.payload for part in self.fragments)
        if len(first.source) == 16:
            protocol, payload = upper_layer(protocol, payload)
        return first._replace(protocol=protocol, payload=payload, more_fragments=False)


class Reassembler:
    """Puts IP fragments together again, up to `max_datagrams` and `max_octets` at a time."""

    def __init__(
        self, max_datagrams: int = 1024, max_octets: int = 4 << 20, timeout: float = 30.0
    ) -> None:
        self._max_datagrams = max_datagrams
        self._max_octets = max_octets
        self._timeout = timeout
        self._datagrams: OrderedDict[Hashable, _Datagram] = OrderedDict()
        self._octets = 0
        self._completed: OrderedDict[Hashable, frozenset[int]] = OrderedDict()
        """Hashes of the fragments of the newest whole datagrams, to know repetitions."""
        self.drops: Counter[DropReason] = Counter()
        """Datagrams given up: FRAGMENT_LIMIT for room, FRAGMENT_MISSING as others did not come."""

    def __len__(self) -> int:
        return len(self._datagrams)

    def add(self, ip: IpPacket, now: float) -> IpPacket | None:
        """Return the whole packet (`ip` itself if it is no fragment), None while parts are missing.

        Raises Drop: MALFORMED_IP, FRAGMENT_OVERLAP, FRAGMENT_LIMIT.
        """
        if not ip.is_fragment:
            return ip
        _check(ip)
        self._expire(now)
        key = _key(ip)
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._datagrams[key] = _Datagram(started=now)
        if datagram.refused:
            raise Drop(DropReason.FRAGMENT_OVERLAP, "datagram already refused")
        try:
            if not datagram.add(ip):
                return None
        except Drop:
            self._octets -= datagram.cost
            self._datagrams[key] = _Datagram(datagram.started, refused=True)
            raise
        self._octets += _cost(ip)
        if datagram.received == datagram.total:
            self._forget(key)
            self._note_completed(key, datagram)
            return datagram.whole()
        self._make_room(key)
        return None

    def finish(self) -> None:
        """Give up all datagrams that wait: no more fragments come."""
        while self._datagrams:
            self._give_up(next(iter(self._datagrams)), DropReason.FRAGMENT_MISSING)

    def _expire(self, now: float) -> None:
        while self._datagrams:
            key, oldest = next(iter(self._datagrams.items()))
            if now - oldest.started < self._timeout:
                return
            self._give_up(key, DropReason.FRAGMENT_MISSING)

    def _make_room(self, newest: Hashable) -> None:
        while len(self) > self._max_datagrams or self._octets > self._max_octets:
            key = next(iter(self._datagrams))
            if key == newest:
                self._forget(key)
                raise Drop(DropReason.FRAGMENT_LIMIT, f"{len(self)} datagrams wait")
            self._give_up(key, DropReason.FRAGMENT_LIMIT)

    def _give_up(self, key: Hashable, reason: DropReason) -> None:
        """Forget a datagram, and count it but for a repetition or what was refused before."""
        datagram = self._datagrams[key]
        is_repetition = datagram.hashes() <= self._completed.get(key, frozenset())
        if not (datagram.refused or is_repetition):
            self.drops[reason] += 1
        self._forget(key)

    def _note_completed(self, key: Hashable, datagram: _Datagram) -> None:
        self._completed[key] = datagram.hashes()
        self._completed.move_to_end(key)
        if len(self._completed) > self._max_datagrams:
            self._completed.popitem(last=False)

    def _forget(self, key: Hashable) -> None:
        self._octets -= self._datagrams.pop(key).cost


def _key(ip: IpPacket) -> Hashable:
    protocol = ip.protocol if len(ip.source) == 4 else None
    return ip.source, ip.destination, protocol, ip.identification


def _cost(fragment: IpPacket) -> int:
    return len(fragment.payload) + _OVERHEAD


def _same_part(one: IpPacket, other: IpPacket) -> bool:
    return (one.fragment_offset, one.more_fragments, one.payload) == (
        other.fragment_offset,
        other.more_fragments,
        other.payload,
    )


def _check(fragment: IpPacket) -> None:
    length = len(fragment.payload)
    limit = MAX_LENGTH - 20 if len(fragment.source) == 4 else MAX_LENGTH
    if not length or (fragment.more_fragments and length % 8):
        raise Drop(DropReason.MALFORMED_IP, f"fragment of {length} octets")
    if fragment.fragment_offset + length > limit:
        raise Drop(DropReason.MALFORMED_IP, "fragment beyond the longest packet")
