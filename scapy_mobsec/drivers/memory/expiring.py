"""Entries that live for a time after their last use, as those of NATs and firewalls do."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """All live equally long, so the order of their last uses is that of their ends.

    `ended` is told the value of each that is forgotten. Time does not go back between calls.
    """

    def __init__(self, lifetime_ns: float, ended: Callable[[V], None] = lambda value: None) -> None:
        self._lifetime, self._ended = lifetime_ns, ended
        self._entries: dict[K, tuple[V, float]] = {}  # the next to end first

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V, time_ns: int) -> None:
        """Add an entry, or use one: its time begins anew."""
        self.purge(time_ns)
        self._entries.pop(key, None)
        self._entries[key] = value, time_ns + self._lifetime

    def get(self, key: K, time_ns: int) -> V | None:
        """Return the value of an entry that has not ended."""
        self.purge(time_ns)
        entry = self._entries.get(key)
        return entry[0] if entry else None

    def purge(self, time_ns: int) -> None:
        """Forget what has ended."""
        while self._entries:
            key, (value, end) = next(iter(self._entries.items()))
            if end > time_ns:
                return
            del self._entries[key]
            self._ended(value)
