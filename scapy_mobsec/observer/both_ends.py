"""Two captures of one run, at two places on its path: what was lost and changed in between.

A packet is known again by its SA and sequence number, and an SA by the keys that open it: its
addresses differ where a translator is in between, and an SPI is only one receiver's. The two clocks
may differ by any amount: what one direction alone tells of times has that difference in it, and is
named so.

    first capture ---- translators, losses, delay ---- second capture
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from typing import NamedTuple, TypeAlias

from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.observer.associations import MAX_SAS
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.observer.seen import SeenPacket
from scapy_mobsec.observer.sequences import SeenSequences
from scapy_mobsec.translation import Translation, compare

MAX_WAITING = 65_536
"""Packets of one end whose like at the other end is still to come."""
MAX_CHANGES = 256
"""Of one SA: pairs of outer headers."""


Parameters: TypeAlias = SaParameters | AhParameters


class Place(IntEnum):
    """Which of the two captures."""

    FIRST = 0
    SECOND = 1


class Change(NamedTuple):
    """Outer headers of the same packets in the first and in the second capture."""

    first: Outer
    second: Outer


@dataclass(slots=True)
class SaAtBothEnds:
    """One SA. parameters: its SPI and keys. link: number in the first capture, None if not there.

    forward: there, it goes the way of its link's first SA. changes: packets by pairs of outer
    headers. least_ns, most_ns: time in the second capture minus time in the first, with the
    difference of the clocks in it. matched: of how many packets. unverified: packets, in either
    capture, that were decrypted without an integrity key.
    """

    parameters: Parameters = field(repr=False)
    link: int | None = None
    forward: bool = True
    changes: Counter[Change] = field(default_factory=Counter)
    matched: int = 0
    least_ns: int = 0
    most_ns: int = 0
    unverified: int = 0
    seen: tuple[SeenSequences, SeenSequences] = field(
        default_factory=lambda: (SeenSequences(), SeenSequences())
    )

    @property
    def spi(self) -> int:
        """Its SPI."""
        return self.parameters.spi

    @property
    def only_at(self) -> tuple[int, int]:
        """How many packets are in the first capture alone, and in the second alone.

        Of those between the first and the last number that both have: what one capture saw before
        or after the other ran is not lost.
        """
        first, second = self.seen
        return first.not_in(second), second.not_in(first)

    def note(self, first: tuple[int, Outer], second: tuple[int, Outer]) -> None:
        """Take a packet that both captures have: time in nanoseconds, and outer headers."""
        took = second[0] - first[0]
        self.least_ns = min(self.least_ns, took) if self.matched else took
        self.most_ns = max(self.most_ns, took) if self.matched else took
        self.matched += 1
        change = Change(first[1], second[1])
        if change in self.changes or len(self.changes) < MAX_CHANGES:
            self.changes[change] += 1


@dataclass(frozen=True, slots=True)
class LinkAtBothEnds:
    """The SAs of a link by direction; `unknown` where nothing tells which capture comes first.

    round_trip_ns: the least time there and back, in which the difference of the clocks cancels out.
    clock_difference_ns: second clock minus first, if the least times there and back are equal.
    Both None unless packets of both directions are in both captures.
    """

    link: int | None
    to_second: list[SaAtBothEnds]
    to_first: list[SaAtBothEnds]
    unknown: list[SaAtBothEnds]
    round_trip_ns: int | None = None
    clock_difference_ns: int | None = None


class BothEnds:
    """Puts the packets of two observers beside each other."""

    def __init__(self) -> None:
        self._sas: dict[int, list[SaAtBothEnds]] = {}
        """By SPI."""
        self._count = 0
        self._waiting: tuple[_Waiting, _Waiting] = OrderedDict(), OrderedDict()

    def take(self, place: Place, seen: SeenPacket) -> None:
        """Take a packet; counts if a key opens it and its number is new there."""
        if seen.sequence is None or seen.sa is None or seen.sa.inbound is None:
            return
        sa = self._sa_of(seen.sa.inbound.parameters)
        if sa is None or not sa.seen[place].add(seen.sequence):
            return
        sa.unverified += seen.opened is not None and not seen.opened.verified
        if place is Place.FIRST:
            sa.link, sa.forward = seen.sa.link, seen.sa.forward
        key = id(sa), seen.sequence
        here = seen.time_ns, seen.outer
        there = self._waiting[1 - place].pop(key, None)
        if there is not None:
            sa.note(*((here, there) if place is Place.FIRST else (there, here)))
            return
        waiting = self._waiting[place]
        waiting[key] = here
        if len(waiting) > MAX_WAITING:
            waiting.popitem(last=False)

    def _sa_of(self, parameters: Parameters) -> SaAtBothEnds | None:
        """Return the SA with these keys, None for a new one where there is no room."""
        of_spi = self._sas.get(parameters.spi, ())
        sa = next((each for each in of_spi if each.parameters == parameters), None)
        if sa is None and self._count < MAX_SAS:
            sa = SaAtBothEnds(parameters)
            self._sas.setdefault(parameters.spi, []).append(sa)
            self._count += 1
        return sa

    def links(self) -> Iterator[LinkAtBothEnds]:
        """Yield the links with what both captures have of them, and at last SAs of none."""
        of_link: dict[int | None, list[SaAtBothEnds]] = {}
        for sa in chain.from_iterable(self._sas.values()):
            of_link.setdefault(sa.link, []).append(sa)
        for link in sorted(of_link, key=lambda number: (number is None, number or 0)):
            yield _by_direction(link, of_link[link])


_Waiting = OrderedDict[tuple[int, int], tuple[int, Outer]]
"""By identity of the SA and sequence number: time in nanoseconds, and outer headers."""


def translations(change: Change, spi: int, *, to_second: bool) -> tuple[Translation, ...]:
    """Return what became of the outer headers, in the direction that the packets went."""
    first, second = (each.description(spi) for each in change)
    return compare(first, second) if to_second else compare(second, first)


def _by_direction(link: int | None, sas: list[SaAtBothEnds]) -> LinkAtBothEnds:
    """Tell which of a link's directions leads to the second capture, whatever the clocks.

    Where both captures have both directions, the times tell: packets to the second capture have the
    larger differences, for the sum of the least times there and back is above 0. Otherwise losses
    do: no packet can be at the other end alone.
    """
    ways = [sa for sa in sas if sa.forward], [sa for sa in sas if not sa.forward]
    if link is None:
        return LinkAtBothEnds(link, [], [], sas)
    for to_second, to_first in (ways, ways[::-1]):
        there = min((sa.least_ns for sa in to_second if sa.matched), default=None)
        back = max((sa.most_ns for sa in to_first if sa.matched), default=None)
        if there is None or back is None:
            break
        if there > back:
            clocks = (there + back) // 2
            return LinkAtBothEnds(link, to_second, to_first, [], there - back, clocks)
    else:
        return LinkAtBothEnds(link, [], [], sas)
    for to_second, to_first in (ways, ways[::-1]):
        leaving, arriving = _alone(to_second), _alone(to_first)
        at_sender = leaving[Place.FIRST] + arriving[Place.SECOND]
        if at_sender and not leaving[Place.SECOND] + arriving[Place.FIRST]:
            return LinkAtBothEnds(link, to_second, to_first, [])
    return LinkAtBothEnds(link, [], [], sas)


def _alone(sas: Iterable[SaAtBothEnds]) -> tuple[int, int]:
    """How many packets are in the first capture alone, and in the second alone."""
    alone = [sa.only_at for sa in sas]
    return sum(first for first, _ in alone), sum(second for _, second in alone)
