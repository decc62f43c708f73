"""Tables for people: how they look, and how long they get."""

from collections.abc import Sequence
from typing import TypeVar

from rich.table import Table
from rich.text import Text

T = TypeVar("T")

MAX_ROWS = 500
"""Entries of one table; people do not read more, and JSON has many more."""


def at_text(time_ns: int, start_ns: int) -> str:
    """A time as seconds since the first frame."""
    return f"+{(time_ns - start_ns) / 1e9:.6f} s"


def table_of(title: str, *columns: str) -> Table:
    """An empty table that folds long cells and never cuts them."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def shown(table: Table, entries: Sequence[T]) -> Sequence[T]:
    """The entries that have room in a table; its caption tells of the others."""
    if len(entries) > MAX_ROWS:
        table.caption = f"and {len(entries) - MAX_ROWS} more: -T json shows up to 20,000"
        table.caption_justify = "left"
    return entries[:MAX_ROWS]


def add_row(table: Table, *cells: Text | str) -> None:
    """Add a row as it is: brackets, as of IPv6 endpoints, are no markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
