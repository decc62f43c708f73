"""Numbers that must never be used twice, over a restart of X too (rule 14).

X skips 131,072 sequence numbers at the second unanswered retransmission: a restarted Y refuses all
that is below a ceiling which it is sure of. Once until X hears Y, else hourly.
"""

from dataclasses import dataclass
from math import inf

SKIPPED_NUMBERS = 131_072
SKIPS_AGAIN_AFTER = 3600.0
UNANSWERED_TRANSMISSIONS = 3
"""The RREQ and two retransmissions."""

CEILING_AHEAD = 65_536


@dataclass(frozen=True, slots=True)
class MobileSnapshot:
    """Where X's counters stand. `identification`: last one used, None if none was.

    `next_sequence`: of the outbound SA. `ceilings`: inbound SPI -> number at or below which a
    resumed X refuses everything; 65,536 above the highest that was received.
    """

    attempt: int
    identification: int | None
    next_sequence: int
    ceilings: tuple[tuple[int, int], ...]


class SkipLimit:
    """Whether numbers may be skipped now."""

    def __init__(self) -> None:
        self._heard = -inf
        self._not_before = -inf

    def hear(self, now: float) -> None:
        """Y sent something authentic."""
        self._heard, self._not_before = now, -inf

    def may_skip(self, transmissions: int, started: float, now: float) -> bool:
        """Tell it of an RREQ that was first sent at `started`; True at most once an hour."""
        silent = self._heard < started and now >= self._not_before
        if transmissions != UNANSWERED_TRANSMISSIONS or not silent:
            return False
        self._not_before = now + SKIPS_AGAIN_AFTER
        return True
