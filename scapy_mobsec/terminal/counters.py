"""Numbers that must never be used twice, over a restart of either end too (rule 14).

What may be used before the next snapshot is reserved in blocks: sequence numbers and attempts to be
sent, and inbound numbers up to a ceiling at or below which a restarted terminal refuses everything.

A restarted end refuses so much that the other one has to leave out 131,072 numbers: X at its
second unanswered retransmission or later, Y before its third RREP of an attempt without RESPONSE or
later. Once until it is sure to be heard (X: by an RREP that answers it, Y: by a RESPONSE), else
after 30 s, doubling to an hour: the other end may restart after numbers were left out in vain. Data
that comes proves nothing: the end that refuses may send all the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from scapy_mobsec.esp.replay import MAX_EXTENDED_SEQUENCE

SKIPPED_NUMBERS = 131_072
SKIPS_AGAIN_AFTER = 30.0
LONGEST_SKIP_PAUSE = 3600.0
UNANSWERED_TRANSMISSIONS = 3
"""The RREQ and two retransmissions; RREPs of one attempt."""

REPEATED_AFTER = 0.5
"""Seconds: RREPs that follow each other sooner answer parallel RREQs, and repeat nothing."""

CEILING_AHEAD = 65_536
RESERVED_NUMBERS = 65_536
RENEWED_BEFORE = 16_384
"""Numbers that are left of a reservation when it is renewed."""

RESERVED_ATTEMPTS = 16

COMMITTED_WITHIN = 0.1
"""Seconds in which Y's driver is to write a change of a binding, together with others."""


@dataclass(frozen=True, slots=True)
class AhNumbers:
    """Of the AH SAs of a link what a snapshot has of those of ESP: they count apart."""

    next_sequence: int
    ceilings: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class MobileSnapshot:
    """Where X's counters go on after a restart, above all that were used since.

    `attempt`: highest one that may have been used. `identification`: last one that was, None if
    none was. `next_sequence`: of the outbound SA. `ceilings`: inbound SPI -> number at or below
    which everything is refused. `ah`: numbers of the AH SAs, None if there are none.
    """

    attempt: int
    identification: int | None
    next_sequence: int
    ceilings: tuple[tuple[int, int], ...]
    ah: AhNumbers | None = None


class Reservation:
    """The sequence numbers of one link that a snapshot covers."""

    __slots__ = ("_ceilings", "next_sequence")

    def __init__(self, next_sequence: int, ceilings: Iterable[tuple[int, int]]) -> None:
        """`next_sequence`: first number to be sent that is not covered."""
        self.next_sequence = next_sequence
        self._ceilings = dict(ceilings)

    @property
    def ceilings(self) -> tuple[tuple[int, int], ...]:
        """Inbound SPI -> highest number that is covered."""
        return tuple(self._ceilings.items())

    def sent(self, next_sequence: int) -> bool:
        """Note which number is next; True where that needs another snapshot."""
        if next_sequence + RENEWED_BEFORE <= self.next_sequence:
            return False
        self.next_sequence = next_sequence + RESERVED_NUMBERS
        return True

    def received(self, spi: int, sequence: int) -> bool:
        """Note a number that was accepted; True where that needs another snapshot."""
        if sequence + RENEWED_BEFORE <= self._ceilings[spi]:
            return False
        self._ceilings[spi] = min(sequence + CEILING_AHEAD, MAX_EXTENDED_SEQUENCE)
        return True


class SkipLimit:
    """Whether numbers may be skipped now."""

    def __init__(self) -> None:
        self._heard = -inf
        self._not_before = -inf
        self._pause = SKIPS_AGAIN_AFTER

    def hear(self, now: float) -> None:
        """The other end is sure to accept our numbers."""
        self._heard, self._not_before = now, -inf
        self._pause = SKIPS_AGAIN_AFTER

    def may_skip(self, transmissions: int, started: float, now: float) -> bool:
        """Tell it of a message that was first sent at `started`; True at most once a pause."""
        silent = self._heard < started and now >= self._not_before
        if transmissions < UNANSWERED_TRANSMISSIONS or not silent:
            return False
        self._not_before = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_SKIP_PAUSE)
        return True


class RepeatedChallenge:
    """The challenge that X answered last: if it comes again, Y may not have taken the answer."""

    def __init__(self) -> None:
        self._octets, self._answers, self._started = b"", 0, -inf

    def answered(self, octets: bytes, now: float) -> tuple[int, float]:
        """Note an answer; return how many there were to this challenge, and since when."""
        if octets != self._octets:
            self._octets, self._answers, self._started = octets, 0, now
        self._answers += 1
        return self._answers, self._started


class UnansweredReplies:
    """The RREPs of one attempt that no RESPONSE followed yet."""

    def __init__(self) -> None:
        self._limit = SkipLimit()
        self.begin()

    def begin(self) -> None:
        """Another attempt begins."""
        self._count, self._first, self._heard = 0, -inf, False

    def hear(self, now: float) -> None:
        """A RESPONSE came: this attempt is not one without."""
        self._limit.hear(now)
        self.begin()
        self._heard = True

    def may_skip(self, now: float, *, refuses: bool = False) -> bool:
        """Tell it of an RREP that is about to be sent; one that refuses is of another attempt."""
        if self._heard and not refuses:
            return False
        if not self._count:
            self._first = now
        if self._count == UNANSWERED_TRANSMISSIONS - 1 and now - self._first < REPEATED_AFTER:
            return False
        self._count += 1
        return self._limit.may_skip(self._count, self._first, now)
