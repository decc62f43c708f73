"""Memory for functions of octets that are asked about the same ones again and again.

`functools.lru_cache` has to hash what it is asked. Of a thousand octets that costs ten times what
the comparison with those of the last time does, and to cut them off takes longer than both.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Answer = TypeVar("Answer")


def recent(size: int) -> Callable[[Callable[[bytes], Answer]], Callable[[bytes, int], Answer]]:
    """Remember `size` answers of a function, and compare with the last question first.

    It is asked about the octets from a place on: `ask(octets, start)`, 0 <= start <= len(octets).
    """

    def decorate(function: Callable[[bytes], Answer]) -> Callable[[bytes, int], Answer]:
        remembered = lru_cache(size)(function)
        last: tuple[bytes, int, Answer] | None = None

        def ask(octets: bytes, start: int) -> Answer:
            nonlocal last
            before = last  # one look, so that another thread cannot change half of it
            if before and len(octets) - start == before[1] and octets.endswith(before[0]):
                return before[2]
            rest = octets[start:]
            answer = remembered(rest)
            last = rest, len(rest), answer
            return answer

        return ask

    return decorate
