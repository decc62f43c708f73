"""When something is due for which key: the timers of many links, one per key."""

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from math import inf
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Agenda(Generic[Key]):
    """One time per key. Never holds more than about twice as many entries as keys."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []  # may hold times that are no longer true
        self._order = count()
        self.earliest = inf
        """Nothing is due before: a look at it is cheaper than one at `next`."""

    def set(self, key: Key, time: float) -> None:
        """Let `key` be due at `time`, instead of when it was due before."""
        before = self._times.get(key)
        self._times[key] = time
        if before is not None and before <= time:
            return  # its entry comes up too early, and then is put right
        heappush(self._heap, (time, next(self._order), key))
        if time < self.earliest:
            self.earliest = time
        if len(self._heap) > 2 * len(self._times) + 16:
            self._heap = [(when, next(self._order), which) for which, when in self._times.items()]
            heapify(self._heap)

    def advance(self, key: Key, time: float) -> None:
        """Let `key` be due at `time`, unless it is due before."""
        before = self._times.get(key)
        if before is None or time < before:
            self.set(key, time)

    def remove(self, key: Key) -> None:
        """Let `key` never be due."""
        self._times.pop(key, None)

    def next(self) -> float | None:
        """Return when the first key is due."""
        heap = self._heap
        while heap:
            when, _, key = heap[0]
            time = self._times.get(key)
            if time == when:
                self.earliest = when
                return when
            if time is None or time < when:
                heappop(heap)
            else:
                heapreplace(heap, (time, next(self._order), key))
        self.earliest = inf
        return None

    def due(self, now: float) -> Iterator[Key]:
        """Yield the keys that are due, the earliest first, and take each off."""
        while (time := self.next()) is not None and time <= now:
            key = heappop(self._heap)[2]
            del self._times[key]
            yield key
