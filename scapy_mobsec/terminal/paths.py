"""Paths as Y sees them: rule 3, what may be sent on one, and how one proves itself.

- A datagram path that is not validated gets at most 3 times the octets of the ESP packets received
  from it (RFC 9000 section 8.1); 700 octets of that are kept for RREPs. A stream's handshake lifts
  the limit, not the challenge.
- A challenge is one per path and random. It failed after 3 s without answer, or later where one
  took longer on this link; its octets stay the same, and a late answer counts, for 15 s.
- At most 8 admitted paths per attempt: when full, the oldest that is neither validated nor current
  makes room; what is validated is given up only if there is nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import Any

from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.messages import Report

AMPLIFICATION = 3
"""Octets that may be sent for each one received while a path is not validated."""

REPLY_RESERVE = 700
"""Octets of that credit that data leaves for RREPs."""

MAX_ADMITTED = 8
"""Paths that Y keeps of one attempt."""

CHALLENGE_LENGTH = 8
REPEAT_AT = (0.5, 1.0, 2.0)
"""Seconds after the first RREP with a challenge when it is repeated."""

CHALLENGED_AGAIN_AFTER = 0.05
"""Seconds after which new data from a path that is not the current one repeats its challenge."""

CHALLENGE_LIFE = 3.0
"""Seconds after which a challenge without answer has failed, if no answer took longer."""

LONGEST_CHALLENGE_LIFE = 15.0
"""Seconds after which it has failed in any case, and is no longer answered."""

DATAGRAM = frozenset({Encapsulation.NATIVE, Encapsulation.UDP})

_MASK = (1 << 32) - 1

_new = object.__new__  # a third of the price of an __init__; who uses it sets every slot


@dataclass(slots=True)
class Challenge:
    """A challenge, and the RREP that carries it, once that is written.

    `asked`: when these octets were sent first. `life`: seconds from `started` on.
    """

    octets: bytes
    asked: float
    started: float
    sent: float
    life: float = CHALLENGE_LIFE
    message: bytes = b""
    repeated: int = 0

    def due(self) -> float:
        """When it is to be repeated, or has failed."""
        if self.repeated < len(REPEAT_AT):
            return self.started + REPEAT_AT[self.repeated]
        return self.started + self.life

    def is_answered(self, response: bytes, now: float) -> bool:
        """Tell whether this is its answer, and not too late."""
        in_time = now < self.asked + LONGEST_CHALLENGE_LIFE
        return in_time and compare_digest(self.octets, response)


@dataclass(slots=True)
class Traffic:
    """What passed a path: octets of ESP packets, and data packets."""

    received_octets: int = 0
    sent_octets: int = 0
    received_data: int = 0
    sent_data: int = 0
    largest_data: int = 0


@dataclass(slots=True)
class PathState:
    """What is known of a path in one attempt."""

    path: Path
    traffic: Traffic = field(default_factory=Traffic)
    validated: bool = False
    challenge: Challenge | None = None
    failed: Challenge | None = None
    """The challenge that was not answered in time; it may still be."""
    answered: bytes | None = None
    """The challenge that was answered last: X answers each RREP with it."""
    found: tuple[tuple[Any, ...], tuple[bytes, bytes, bytes]] | None = None
    """What the last RREQ of a datagram path was compared with, and what came of it."""

    def in_new_attempt(self) -> "PathState":
        """Return the state of this path in another attempt, which has to validate it anew.

        What it owes while it never answered stays owed: both states count on the same traffic. A
        place that did answer owes nothing for that time, nor for what it gets while it stays the
        current one.
        """
        traffic = replace(self.traffic, received_octets=0, sent_octets=0)
        return PathState(self.path, traffic if self.validated else self.traffic)

    def allows(self, octets: int, *, reserve: int = 0) -> bool:
        """Tell whether an ESP packet of so many octets may be sent now, and `reserve` more."""
        if self.validated or self.path.encapsulation not in DATAGRAM:
            return True
        traffic = self.traffic
        return traffic.sent_octets + octets + reserve <= AMPLIFICATION * traffic.received_octets

    def received(self, octets: int, *, data: bool) -> None:
        """Count an authentic ESP packet."""
        traffic = self.traffic
        traffic.received_octets += octets
        if data:
            traffic.received_data += 1
            traffic.largest_data = max(traffic.largest_data, octets)

    def sent(self, octets: int, *, data: bool) -> None:
        """Count an ESP packet that is sent."""
        self.traffic.sent_octets += octets
        if data:
            self.traffic.sent_data += 1

    def report(self, asked: bool = False) -> Report | None:
        """Return the counters as REPORT has them; None if no data passed, unless it is `asked` for:
        that none passed is what an end wants to know whose data is lost.
        """
        traffic = self.traffic
        if not (asked or traffic.received_data or traffic.sent_data):
            return None
        largest = min(traffic.largest_data, 0xFFFF)
        return Report(traffic.received_data & _MASK, traffic.sent_data & _MASK, largest)

    def challenged(
        self, now: float, random_bytes: Callable[[int], bytes], life: float
    ) -> tuple[Challenge, bool]:
        """Return the challenge that an RREP is to carry, and whether it is a new one."""
        challenge = self.challenge
        if challenge and now < challenge.started + challenge.life:
            return challenge, False
        before = challenge or self.failed
        if before and now < before.asked + LONGEST_CHALLENGE_LIFE:
            octets, asked = before.octets, before.asked
        else:
            octets, asked = random_bytes(CHALLENGE_LENGTH), now
        self.challenge = challenge = _new(Challenge)
        self.failed = None
        challenge.octets, challenge.asked, challenge.life = octets, asked, life
        challenge.started = challenge.sent = now
        challenge.message, challenge.repeated = b"", 0
        return challenge, True


def unknown_path(path: Path, octets: int) -> PathState:
    """Return the state of a path by which so many octets came, and nothing before.

    It has what `PathState(path, Traffic(octets))` has, at a third of the price.
    """
    state, traffic = _new(PathState), _new(Traffic)
    traffic.received_octets = octets
    traffic.sent_octets = traffic.received_data = traffic.sent_data = traffic.largest_data = 0
    state.path, state.traffic, state.validated = path, traffic, False
    state.challenge = state.failed = state.answered = state.found = None
    return state


class AdmittedPaths:
    """The paths of one attempt, the oldest first."""

    __slots__ = ("_states", "get", "passed")

    def __init__(self) -> None:
        self._states: dict[Path, PathState] = {}
        self.get = self._states.get
        """`get(path)` returns the state of a path, None if it was not admitted."""
        self.passed: tuple[Encapsulation, ...] = ()
        """The encapsulations that are known to pass in both directions."""

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[PathState]:
        return iter(self._states.values())

    def clear(self) -> None:
        """Forget all: another attempt begins."""
        self._states.clear()
        self.passed = ()

    def add(self, state: PathState, current: PathState | None) -> PathState | None:
        """Admit a path; return the one that made room."""
        evicted = None
        if len(self._states) >= MAX_ADMITTED:
            others = [each for each in self._states.values() if each is not current]
            evicted = next((each for each in others if not each.validated), others[0])
            del self._states[evicted.path]
        self._states[state.path] = state
        if state.validated or evicted:
            self._note_passed()
        return evicted

    def last_validated(self, but: PathState) -> PathState | None:
        """Return the path that was validated last, other than `but`."""
        states = [each for each in self._states.values() if each.validated and each is not but]
        return states[-1] if states else None

    def validated(self, state: PathState) -> None:
        """Note that a path answered its challenge; it is the youngest now."""
        if self._states.pop(state.path, None):
            self._states[state.path] = state
            self._note_passed()

    def remove(self, path: Path) -> PathState | None:
        """Forget one path, and return what was known of it."""
        state = self._states.pop(path, None)
        self._note_passed()
        return state

    def _note_passed(self) -> None:
        states = self._states.values()
        self.passed = tuple(each.path.encapsulation for each in states if each.validated)
