"""A bounded number of places: who is wanted keeps one longer than who only might be."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Places(Generic[Key, Value]):
    """At most `most` values, by key.

    Where there are more, the one that was put longest ago goes: of those that are not wanted, until
    these have an eighth of the places, else of all that are.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._others: OrderedDict[Key, Value] = OrderedDict()
        self._wanted: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._others) + len(self._wanted)

    def __contains__(self, key: Key) -> bool:
        return key in self._wanted or key in self._others

    def __iter__(self) -> Iterator[Key]:
        yield from self._wanted
        yield from self._others

    def get(self, key: Key) -> Value | None:
        """Return a value, None if it has no place."""
        return self._wanted.get(key) or self._others.get(key)

    def put(self, key: Key, value: Value, *, wanted: bool) -> Value | None:
        """Give a place, or keep it; return the value that had to go for it, None if none had."""
        place, other = self._wanted, self._others
        if not wanted:
            place, other = other, place
        is_new = key not in place
        place[key] = value
        place.move_to_end(key)
        if is_new:
            other.pop(key, None)
        if not is_new or len(self) <= self._most:
            return None
        return self.pop_first()

    def pop_first(self) -> Value | None:
        """Take the place of the one that has to go first; return it, None without any."""
        full = len(self._others) > max(1, self._most // 8) or not self._wanted
        place = self._others if full else self._wanted
        return place.popitem(last=False)[1] if place else None

    def pop(self, key: Key) -> Value | None:
        """Take a place away; return the value, None if it had none."""
        return self._wanted.pop(key, None) or self._others.pop(key, None)
