"""What the machine refused: counted by name, and told by the log less and less often."""

import logging
from collections import Counter
from collections.abc import Callable
from errno import errorcode
from math import inf

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 64.0
"""Seconds until a fault of the same name is told again; doubling. After a longer rest: at once."""

_log = logging.getLogger("mobsec")


class CannotOpen(OSError):
    """A socket or device that is needed cannot be had; its text is for people."""

    def __init__(self, what: str, error: OSError) -> None:
        super().__init__(error.errno, f"{what}: {error.strerror or error}")

    def __str__(self) -> str:
        return str(self.strerror)


class Pauses:
    """What was told lately, and when each such thing may be told again."""

    def __init__(self) -> None:
        self._pauses: dict[str, tuple[float, float]] = {}  # when it ends, how long it is

    def may_tell(self, what: str, now: float) -> bool:
        """Return whether it is time to tell of it; then it is told."""
        ends, pause = self._pauses.get(what, (-inf, 0.0))
        if now < ends:
            return False
        pause = FIRST_PAUSE if now >= ends + LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
        self._pauses[what] = now + pause, pause
        return True


class Faults:
    """Outcomes of calls that failed. `counts`: by what was done and the error's name, such as
    "udp send ENETUNREACH"; there are so few of both that this needs no other bound.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """`now`: seconds of a clock."""
        self.counts: Counter[str] = Counter()
        self._now = now
        self._pauses = Pauses()

    def note(self, doing: str, error: OSError, about: object = "") -> None:
        """Count a call that failed, and write it to the log unless it was lately."""
        name = errorcode.get(error.errno or 0, type(error).__name__)
        self.tell(doing, name, error.strerror or error, about)

    def tell(self, doing: str, name: str, reason: object, about: object = "") -> None:
        """As `note`, of something that is named otherwise than by an error number."""
        outcome = f"{doing} {name}"
        self.counts[outcome] += 1
        if not self._pauses.may_tell(outcome, self._now()):
            return
        _log.warning(
            'fault="%s" error=%s reason="%s" about="%s" count=%d',
            doing,
            name,
            reason,
            about,
            self.counts[outcome],
        )
