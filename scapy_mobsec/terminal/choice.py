"""Which encapsulations to use, best first (rule 5): one pure function for whoever decides.

The cheapest allowed encapsulation that is known to carry data comes first. Native needs a way
without translation (rule 6): with one it is the last resort, because a translator that lets ESP
through tells no two mobile terminals behind it apart. Forced traversal rules it out.
"""

from collections.abc import Collection
from enum import Enum

from scapy_mobsec.packet.path import Encapsulation


class Decider(Enum):
    """Who chooses; the value is the phrase a person reads."""

    OTHER = "the other terminal, by SELECTED"
    MOBILE = "the mobile terminal, by its own comparison"
    FIXED = "fixed beforehand"


def choose(
    translated: bool,
    supported: Collection[Encapsulation],
    passed: Collection[Encapsulation],
    allowed: Collection[Encapsulation],
    *,
    forced: bool = False,
) -> tuple[Encapsulation, ...]:
    """Return the encapsulations to use, best first; () if none is left.

    `translated`: whether either side saw a translation. `supported`: by both sides. `passed`:
    known to carry data in both directions. `allowed`: a floor against downgrade. `forced`: keep the
    traversal even without translation.
    """
    usable = [
        each
        for each in Encapsulation  # cheapest first
        if each in supported and each in passed and each in allowed
    ]
    if Encapsulation.NATIVE in usable and (translated or forced):
        usable.remove(Encapsulation.NATIVE)
        if not forced:
            usable.append(Encapsulation.NATIVE)
    return tuple(usable)
