"""Memory for functions of octets that are asked about the same ones again and again.

`functools.lru_cache` has to hash what it is asked. Of a thousand octets that costs ten times what
the comparison with those of the last time does.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Answer = TypeVar("Answer")


def recent(size: int) -> Callable[[Callable[[bytes], Answer]], Callable[[bytes], Answer]]:
    """Remember `size` answers of a function, and compare with the last question first."""

    def decorate(function: Callable[[bytes], Answer]) -> Callable[[bytes], Answer]:
        remembered = lru_cache(size)(function)
        last: tuple[bytes, Answer] | None = None

        def ask(octets: bytes) -> Answer:
            nonlocal last
            before = last  # one look, so that another thread cannot change half of it
            if before and before[0] == octets:
                return before[1]
            answer = remembered(octets)
            last = octets, answer
            return answer

        return ask

    return decorate
