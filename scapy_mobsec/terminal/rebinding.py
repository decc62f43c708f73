"""Rule 4: a NAT rebinding, told apart from somebody who copies packets.

The newest data from another address or port, on the same datagram carrier and to the same endpoint
of Y, makes a candidate: Y stays on the current path and challenges both. It moves when the
candidate answers and the current path stays silent one round trip longer (100 ms to 1 s). Both
answer: it stays, and looks into no other candidate for 1 s, doubling to 60 s; the same if the
candidate does not answer. An attacker that relays everything faster is a router (RFC 9000 section
9.3.3), and is not defended against.
"""

from dataclasses import dataclass
from enum import Enum

from scapy_mobsec.packet.path import Path
from scapy_mobsec.terminal.paths import DATAGRAM, PathState

SHORTEST_SILENCE, LONGEST_SILENCE = 0.1, 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Verdict(Enum):
    """How far the procedure is."""

    OPEN = "nothing is decided yet"
    WAIT = "the candidate answered; the current path has a round trip to answer too"
    REBOUND = "only the candidate answered"
    RACE = "both answered"


@dataclass(slots=True)
class _Procedure:
    started: float
    answered: float | None = None
    current_answered: bool = False
    decides: float | None = None


class Rebinding:
    """The procedure of one link, and the pauses between two of them."""

    __slots__ = ("_pause", "_procedure", "_resumes", "candidate")

    def __init__(self) -> None:
        self.candidate: PathState | None = None
        """The path that may be the new one, None if no procedure is under way."""
        self._procedure: _Procedure | None = None
        self._pause = 0.0
        self._resumes = 0.0

    @property
    def decides(self) -> float | None:
        """When the current path has been silent long enough."""
        return self._procedure.decides if self._procedure else None

    @property
    def seconds(self) -> float:
        """How long the candidate took to answer."""
        procedure = self._procedure
        if procedure is None or procedure.answered is None:
            return 0.0
        return procedure.answered - procedure.started

    def may_start(self, path: Path, current: PathState, now: float) -> bool:
        """Tell whether the newest data from `path` looks like a rebinding to look into."""
        at = current.path
        return (
            self._procedure is None
            and now >= self._resumes
            and path.encapsulation is at.encapsulation
            and path.encapsulation in DATAGRAM
            and path.local == at.local
            and path.remote != at.remote
        )

    def start(self, candidate: PathState, now: float) -> None:
        """Both paths are challenged now."""
        self.candidate, self._procedure = candidate, _Procedure(now)

    def answered(self, state: PathState, current: PathState, now: float) -> Verdict:
        """A path answered its challenge."""
        procedure = self._procedure
        if procedure is None:
            return Verdict.OPEN
        if state is current:
            procedure.current_answered = True
        elif state is self.candidate and procedure.answered is None:
            procedure.answered = now
            silence = min(max(now - procedure.started, SHORTEST_SILENCE), LONGEST_SILENCE)
            procedure.decides = now + silence
        if procedure.answered is None:
            return Verdict.OPEN
        return Verdict.RACE if procedure.current_answered else Verdict.WAIT

    def verdict(self, now: float) -> Verdict:
        """Return what the time says."""
        decides = self.decides
        return Verdict.REBOUND if decides is not None and now >= decides else Verdict.OPEN

    def end(self) -> None:
        """The current path changed, or is gone."""
        self.candidate = self._procedure = None

    def pause(self, now: float) -> float:
        """End without a move; return the seconds until another candidate is looked into."""
        self.end()
        longest = self._pause * 2 if now < self._resumes + LONGEST_PAUSE else 0.0
        self._pause = min(max(longest, FIRST_PAUSE), LONGEST_PAUSE)
        self._resumes = now + self._pause
        return self._pause
