"""Which sequence numbers of one SA a capture has shown, in bounded memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

MAX_RUNS = 65_536


class SeenSequences:
    """A set of sequence numbers, kept as sorted runs without gaps.

    At most `max_runs` runs are kept. Beyond that the lowest run is forgotten, and whether a number
    below the next one is new cannot be told any more.
    """

    __slots__ = ("_ends", "_forgotten_missing", "_is_forgetful", "_max_runs", "_starts")

    def __init__(self, max_runs: int = MAX_RUNS) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []  # inclusive
        self._max_runs = max_runs
        self._is_forgetful = False
        self._forgotten_missing = 0

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def highest(self) -> int:
        """The highest number seen, 0 if none."""
        return self._ends[-1] if self._ends else 0

    def has_forgotten(self, number: int) -> bool:
        """Whether a number is too low to tell if it was seen."""
        return self._is_forgetful and number < self._starts[0]

    def missing(self) -> int:
        """How many numbers between the lowest and the highest were not seen."""
        if not self._starts:
            return 0
        return self._forgotten_missing + self._missing(self._starts[0], self._ends[-1])

    def missing_between(self, after: int, before: int) -> int | None:
        """How many numbers between two are not there, None where that is forgotten."""
        return None if self.has_forgotten(after + 1) else self._missing(after + 1, before - 1)

    def _missing(self, low: int, high: int) -> int:
        between = slice(bisect_left(self._ends, low), bisect_right(self._starts, high))
        there = sum(
            max(min(end, high) - max(start, low) + 1, 0)
            for start, end in zip(self._starts[between], self._ends[between], strict=True)
        )
        return max(high - low + 1, 0) - there

    def not_in(self, other: "SeenSequences") -> int:
        """How many of these are not in `other`, from the first to the last that both have."""
        common = list(self._overlaps(other))
        if not common:
            return 0
        first, last = common[0][0], common[-1][1]
        there = sum(high - low + 1 for low, high in common)
        return last - first + 1 - self._missing(first, last) - there

    def _overlaps(self, other: "SeenSequences") -> Iterator[tuple[int, int]]:
        """Yield the runs of numbers that are in both, in order."""
        mine, others = 0, 0
        while mine < len(self._starts) and others < len(other._starts):
            low = max(self._starts[mine], other._starts[others])
            high = min(self._ends[mine], other._ends[others])
            if low <= high:
                yield low, high
            if self._ends[mine] < other._ends[others]:
                mine += 1
            else:
                others += 1

    def add(self, number: int) -> bool:
        """Note a number. Returns whether it is new; of what is forgotten, False."""
        starts, ends = self._starts, self._ends
        if ends and number == ends[-1] + 1:
            ends[-1] = number
            return True
        after = bisect_right(starts, number)
        if number <= ends[after - 1] if after else self._is_forgetful:
            return False
        joins_left = after > 0 and ends[after - 1] + 1 == number
        joins_right = after < len(starts) and starts[after] == number + 1
        if joins_left and joins_right:
            ends[after - 1] = ends.pop(after)
            del starts[after]
        elif joins_left:
            ends[after - 1] = number
        elif joins_right:
            starts[after] = number
        else:
            starts.insert(after, number)
            ends.insert(after, number)
            if len(starts) > self._max_runs:
                self._is_forgetful = True
                self._forgotten_missing += starts[1] - ends[0] - 1
                del starts[0], ends[0]
        return True
