"""The rows of Wireshark's tables (UAT files): quoted fields, commas, comments, escapes.

# comment
"field","another","","with a quote \\x22"
"""

import re
from collections.abc import Iterator

MAX_SIZE = 16 << 20
"""Characters of the longest table that is read."""

_FIELD = re.compile(rb'[ \t]*(?:"((?:[^"\\]|\\.)*)")?[ \t]*(,|$)')
_ESCAPE = re.compile(rb'\\(?:x([0-9a-fA-F]{2})|(["\\])|)')


class UatError(ValueError):
    """A row is not well-formed; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read_rows(text: str) -> Iterator[tuple[int, list[bytes]]]:
    """Give line number and fields of each row. Raises UatError."""
    if len(text) > MAX_SIZE:
        raise UatError(1, f"the file is longer than {MAX_SIZE} characters")
    for number, line in enumerate(text.split("\n"), 1):
        octets = line.encode("utf-8", "surrogateescape").strip(b" \t\r")
        if octets and not octets.startswith(b"#"):
            yield number, _fields(number, octets)


def quote(octets: bytes) -> str:
    """Write a field as Wireshark does."""
    return '"' + "".join(map(_escaped, octets)) + '"'


def _escaped(octet: int) -> str:
    plain = 0x20 <= octet < 0x7F and octet not in b'"\\'
    return chr(octet) if plain else f"\\x{octet:02x}"


def _fields(line: int, octets: bytes) -> list[bytes]:
    fields: list[bytes] = []
    position = 0
    while True:
        match = _FIELD.match(octets, position)
        if match is None:
            quoted = octets[position:].lstrip(b" \t").startswith(b'"')
            reason = "unterminated quote or text behind it" if quoted else "not in double quotes"
            raise UatError(line, f"column {len(fields) + 1}: {reason}")
        fields.append(_ESCAPE.sub(lambda escape: _unescaped(line, escape), match[1] or b""))
        if not match[2]:
            return fields
        position = match.end()


def _unescaped(line: int, escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes.fromhex(escape[1].decode())
    if escape[2]:
        return escape[2]
    raise UatError(line, 'unknown escape (known are \\xHH, \\\\ and \\")')
