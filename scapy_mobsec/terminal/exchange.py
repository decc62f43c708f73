"""An RREQ and its retransmissions: why it is sent, when again, and until when (rules 3, 8 and 9).

Where data depends on the answer, the first guess of 0.5 s doubles up to 8 s, with jitter; after
32 s without reply the exchange is over. Probes are few and quick, because another path carries the
data, or is waiting to. Where longer round trips were measured since the last move, they are the
first guess, and no interval is shorter but those between keepalive probes, which are fixed; only
after the last of these as long is waited as an answer may take. A retransmission keeps the attempt
and takes a new Identification.
RREQs are padded, so that on a path that is not validated the answer and a full data packet fit into
3 times their octets: 1200 to 1232 octets of ESP packet in the first and the second transmission, at
least 500 later, for paths with a small MTU. A probe of native is as long as the longest data, and
so are the first two of a keepalive probe and of one that measures.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.serial import is_newer_identification, ntp_timestamp

FIRST_INTERVAL = 0.5
LONGEST_FIRST_INTERVAL = 3.0
LONGEST_INTERVAL = 8.0
GIVE_UP_AFTER = 32.0
JITTER = 0.1
"""An interval is longer or shorter by at most this part of it."""

PADDED_LENGTHS = (1200, 1200, 500)
"""Octets of ESP packet that the transmissions have at least; the last one is for all later ones."""

MAX_EXCHANGES = 20
"""RREQs under way at once: 8 of an attempt, as many paths as Y admits, and those beside them."""


class Purpose(Enum):
    """Why an RREQ is sent; the value is the phrase a person reads."""

    REGISTER = "register from a new place"
    TRY = "see whether native passes, beside the RREQ that moves"
    REFRESH = "renew the lifetime"
    DEREGISTER = "end the registration"
    USE = "make a path the current one"
    IMPROVE = "see whether a better encapsulation passes"
    KEEPALIVE = "see whether the current path is alive"
    WATCH = "see whether data arrives"
    MEASURE = "see how long packets may be"
    SPARE = "keep a stream from another interface"


class Plan(NamedTuple):
    """`intervals`: seconds to wait after each transmission; None: doubling, for 32 s in all."""

    flags: AttemptFlag
    intervals: tuple[float, ...] | None = None


PLANS: Mapping[Purpose, Plan] = {
    Purpose.REGISTER: Plan(AttemptFlag(0)),
    Purpose.TRY: Plan(AttemptFlag.PROBE, (0.5, 1.0, 2.0)),
    Purpose.REFRESH: Plan(AttemptFlag(0)),
    Purpose.DEREGISTER: Plan(AttemptFlag(0)),
    Purpose.USE: Plan(AttemptFlag.USE),
    Purpose.IMPROVE: Plan(AttemptFlag.PROBE, (0.5, 1.0, 2.0)),
    Purpose.KEEPALIVE: Plan(AttemptFlag.PROBE, (0.5, 0.5, 2.0)),
    Purpose.WATCH: Plan(AttemptFlag.PROBE, (0.5, 1.0)),
    Purpose.MEASURE: Plan(AttemptFlag.PROBE, (0.5, 1.0, 2.0)),
    Purpose.SPARE: Plan(AttemptFlag.PROBE, (0.5, 1.0, 2.0)),
}


BRIEF = Plan(AttemptFlag(0), (0.5, 1.0))
"""Of a registration by AH that one by ESP can follow (rule 12): two transmissions."""


class RoundTrip:
    """What was measured from RREQs to their RREPs, smoothed as in RFC 6298 section 2.

    Each transmission has its own Identification, so that every RREP measures. Deviation: the
    margin is at least half the round trip, more than the jitter, instead of a clock's granularity.
    """

    def __init__(self) -> None:
        self._smoothed: float | None = None
        self._variation = 0.0

    def measured(self, seconds: float) -> None:
        """Take one more measurement."""
        if self._smoothed is None:
            self._smoothed, self._variation = seconds, seconds / 2
            return
        difference = seconds - self._smoothed
        self._variation += (abs(difference) - self._variation) / 4
        self._smoothed += difference / 8

    @property
    def guess(self) -> float:
        """Seconds that an answer may take: never fewer than without a measurement."""
        if self._smoothed is None:
            return FIRST_INTERVAL
        guess = self._smoothed + max(4 * self._variation, self._smoothed / 2)
        return min(max(guess, FIRST_INTERVAL), LONGEST_INTERVAL)

    @property
    def first_interval(self) -> float:
        """Seconds to the first retransmission."""
        return min(self.guess, LONGEST_FIRST_INTERVAL)


class IdentificationSource:
    """Gives each RREQ a larger Identification: max(last + 1, NTP time), by serial arithmetic."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last

    def next(self, now: float) -> int:
        """Return the next value."""
        value = ntp_timestamp(now)
        if self.last is not None and not is_newer_identification(value, self.last):
            value = (self.last + 1) % (1 << 64)
        self.last = value
        return value

    def skip(self, identification: int) -> None:
        """Go on above `identification`."""
        if self.last is None or is_newer_identification(identification, self.last):
            self.last = identification


@dataclass(slots=True, eq=False)
class Exchange:
    """One RREQ on one path, waiting for its RREP. `outstanding`: Identification -> when sent.

    `lengths`: Identification -> least octets of the sealed packet, on a datagram path.
    `index` of `count` RREQs of one attempt. `openings`: of its stream, that failed. `waits`: it is
    due once its stream is open. `brief`: by the plan of that name. `skipped`: numbers were, so that
    Y may have refused what came before, of any length. `first_interval`: seconds to the first
    retransmission. `guess`: seconds that an answer may take. `last`: its RREP is the last that is
    awaited on its stream.
    """

    path: Path
    lifetime: int
    started: float
    next_transmission: float
    purpose: Purpose = Purpose.REGISTER
    index: int = 0
    count: int = 1
    transmissions: int = 0
    openings: int = 0
    waits: bool = False
    brief: bool = False
    skipped: bool = False
    last: bool = False
    first_interval: float = FIRST_INTERVAL
    guess: float = FIRST_INTERVAL
    outstanding: dict[int, float] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """What its purpose asks for."""
        return BRIEF if self.brief else PLANS[self.purpose]

    @property
    def gives_up(self) -> float:
        """When no reply is waited for any longer."""
        intervals = self.plan.intervals
        if intervals is None:
            return self.started + GIVE_UP_AFTER
        answered_by = self.started + GIVE_UP_AFTER  # if the stream does not open
        return self.next_transmission if self.transmissions >= len(intervals) else answered_by

    @property
    def deadline(self) -> float:
        """When something is to be done."""
        return min(self.next_transmission, self.gives_up)

    def postpone(self, now: float) -> None:
        """Its stream could not be opened: that is tried again at the times of a retransmission."""
        interval = min(FIRST_INTERVAL * 2**self.openings, LONGEST_INTERVAL)
        self.openings += 1
        self.next_transmission = now + interval

    @property
    def padded_length(self) -> int:
        """Least octets of the ESP packet of the next transmission."""
        return PADDED_LENGTHS[min(self.transmissions, len(PADDED_LENGTHS) - 1)]

    def transmitted(
        self, identification: int, now: float, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Note a transmission and set the time of the next one."""
        self.waits = False
        self.outstanding[identification] = now
        intervals = self.plan.intervals
        if intervals is not None:
            interval = intervals[min(self.transmissions, len(intervals) - 1)]
            if self.purpose is not Purpose.KEEPALIVE:
                interval = max(interval, self.first_interval)
            elif self.transmissions + 1 == len(intervals):
                interval = max(interval, self.guess)
            self.next_transmission = now + interval
        else:
            interval = min(self.first_interval * 2**self.transmissions, LONGEST_INTERVAL)
            chance = int.from_bytes(random_bytes(2), "big") / 0xFFFF
            self.next_transmission = now + interval * (1 + JITTER * (2 * chance - 1))
        self.transmissions += 1


class Exchanges:
    """All RREQs that wait for their RREP, the oldest first."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._exchanges))

    def __contains__(self, exchange: object) -> bool:
        return exchange in self._exchanges

    def add(self, exchange: Exchange) -> None:
        """Take one more; the oldest goes where there are too many."""
        if len(self._exchanges) >= MAX_EXCHANGES:
            del self._exchanges[0]
        self._exchanges.append(exchange)

    def remove(self, exchange: Exchange) -> None:
        """Wait for it no longer."""
        if exchange in self._exchanges:
            self._exchanges.remove(exchange)

    def clear(self) -> None:
        """Wait for none."""
        self._exchanges.clear()

    def of(self, *purposes: Purpose) -> list[Exchange]:
        """Return those with one of the purposes."""
        return [one for one in self._exchanges if one.purpose in purposes]

    def find(self, identification: int) -> Exchange | None:
        """Return the one that sent an RREQ with this Identification."""
        return next((one for one in self._exchanges if identification in one.outstanding), None)

    def find_low_word(self, identification: int) -> Exchange | None:
        """Return one whose Identification ends so: all that code 133 copies of it."""
        for one in self._exchanges:
            if not all((identification ^ ours) & 0xFFFF_FFFF for ours in one.outstanding):
                return one
        return None

    @property
    def deadline(self) -> float | None:
        """When something is to be done."""
        return min((one.deadline for one in self._exchanges), default=None)
