"""Frozen slotted dataclasses at the price of plain objects: for the parsers, and for the events of
each registration.

The generated `__init__` of a frozen dataclass goes through `object.__setattr__` once a field,
which for a message with its headers costs more than all the rest of the parsing. A draft is a
plain class with the same slots: fill every slot, then seal it with `draft.__class__ = cls`, which
Python allows because the layouts are equal. What is handed on is the frozen class itself.
A sealed object has not passed `__post_init__`: its maker must have checked the values.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any


def draft_of(cls: type) -> Callable[[], Any]:
    """Return the class of drafts for `cls`, a frozen slotted dataclass without a base."""
    names = tuple(field.name for field in fields(cls))
    return type(f"{cls.__name__}Draft", (), {"__slots__": names})
