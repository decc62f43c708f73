"""What a value made by hand may be, said once for each field and checked where it is made.

    check_fields(self, lifetime=whole(1, 65535), start=many(a(Encapsulation)))

The ValueError names the field and what it should hold. Of the value it shows numbers only, because
anything else may be a key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import inf
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of values: `wanted` is how a person reads it, `holds` tells whether one is of it."""

    wanted: str
    holds: Callable[[Any], bool]

    def check(self, name: str, value: object) -> None:
        """Raise ValueError, about `name`, unless `value` is of this kind."""
        if not self.holds(value):
            found = value if isinstance(value, int | float) else type(value).__name__
            raise ValueError(f"{name} is not {self.wanted}: {found}")


def check_fields(owner: object, **kinds: Kind) -> None:
    """Raise ValueError unless each of these attributes of `owner` is of its kind."""
    for name, kind in kinds.items():
        kind.check(name, getattr(owner, name))


def a(*classes: type) -> Kind:
    """An object of one of the classes."""
    names = " or ".join(each.__name__ for each in classes)
    return Kind(f"a {names}", lambda value: isinstance(value, classes))


def whole(lowest: int, highest: int) -> Kind:
    """A whole number of a range; True is none."""
    return Kind(
        f"a whole number in {lowest}..{highest}",
        lambda value: (
            isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest
        ),
    )


def number(lowest: float, highest: float = inf) -> Kind:
    """A finite number of a range; True is none."""
    end = f" to {highest:g}" if highest < inf else ""
    return Kind(
        f"a number from {lowest:g}{end}",
        lambda value: (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and lowest <= value <= highest
            and value < inf
        ),
    )


def octets(*lengths: int) -> Kind:
    """Octets in one of these lengths."""
    return Kind(
        f"{' or '.join(map(str, lengths))} octets",
        lambda value: isinstance(value, bytes) and len(value) in lengths,
    )


def text(longest: int) -> Kind:
    """Printable ASCII."""
    return Kind(
        f"printable ASCII of at most {longest} octets",
        lambda value: (
            isinstance(value, str)
            and value.isascii()
            and value.isprintable()
            and len(value) <= longest
        ),
    )


def optional(kind: Kind) -> Kind:
    """None, or of this kind."""
    return Kind(f"{kind.wanted} or None", lambda value: value is None or kind.holds(value))


def many(kind: Kind, *, least: int = 0, most: float = inf, inside: type = tuple) -> Kind:
    """A tuple, or another sequence, whose items are all of this kind."""
    is_inside = a(inside).holds
    size = f" of {least} to {most}" if most < inf else ""
    return Kind(
        f"a {inside.__name__.lower()}{size}, each {kind.wanted}",
        lambda value: (
            is_inside(value)
            and least <= len(value) <= most
            and all(kind.holds(each) for each in value)
        ),
    )


def _is_host(value: Any) -> bool:
    if not isinstance(value, bytes) or len(value) not in (4, 16):
        return False
    address = ip_address(value)
    return not (address.is_multicast or address.is_unspecified)


BOOLEAN = a(bool)
OCTET = whole(0, 255)
PORT = whole(1, 65_535)
HOST_ADDRESS = Kind("the packed address of a host", _is_host)
