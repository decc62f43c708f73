"""What the formats of key files share: lines that count, faults with their line, hexadecimal keys.

No text of a fault shows what a file holds: it may be a key in the wrong place.
"""

import re
from collections.abc import Iterator

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")


class BadLine(ValueError):
    """A line that cannot be used; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give number and text of each line that is neither blank nor a comment (`#`)."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, line.rstrip("\r")


def octets_of(digits: str, what: str) -> bytes:
    """Read hexadecimal digits, two for each octet. Raises ValueError naming `what`."""
    if not _HEX.fullmatch(digits):
        raise ValueError(f"{what}: not pairs of hexadecimal digits")
    return bytes.fromhex(digits)


def octets_after_0x(text: str, what: str) -> bytes:
    """Read `0x` and hexadecimal digits. Raises ValueError naming `what`."""
    if text[:2] not in ("0x", "0X"):
        raise ValueError(f"{what}: no 0x and hexadecimal digits")
    return octets_of(text[2:], what)
