"""The rows of Wireshark's tables (UAT files): quoted fields, commas, comments, escapes.

# comment
"field","another","","with a quote \\x22"
"""

import re
from collections.abc import Iterator

from scapy_mobsec.drivers.keys.lines import BadLine, numbered_lines

_FIELD = re.compile(rb'[ \t]*(?:"((?:[^"\\]|\\.)*)"|((?:[0-9a-fA-F]{2})+))?[ \t]*(,|$)')
_ESCAPE = re.compile(rb'\\(?:x([0-9a-fA-F]{2})|(["\\])|)')


def read_rows(text: str, *, bare_hex: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Give line number and fields of each row. Raises BadLine.

    With `bare_hex` a field without quotes is octets in hexadecimal digits, as Wireshark writes keys
    in the tables that hold nothing else than octets in such columns.
    """
    for number, line in numbered_lines(text):
        octets = line.encode("utf-8", "surrogateescape").strip(b" \t")
        yield number, _fields(number, octets, bare_hex)


def quote(octets: bytes) -> str:
    """Write a field as Wireshark does."""
    return '"' + "".join(map(_escaped, octets)) + '"'


def _escaped(octet: int) -> str:
    plain = 0x20 <= octet < 0x7F and octet not in b'"\\'
    return chr(octet) if plain else f"\\x{octet:02x}"


def _fields(line: int, octets: bytes, bare_hex: bool) -> list[bytes]:
    fields: list[bytes] = []
    position = 0
    while True:
        match = _FIELD.match(octets, position)
        if match is None or (match[2] and not bare_hex):
            quoted = octets[position:].lstrip(b" \t").startswith(b'"')
            reason = "unterminated quote or text behind it" if quoted else "not in double quotes"
            raise BadLine(line, f"column {len(fields) + 1}: {reason}")
        if match[2]:
            fields.append(bytes.fromhex(match[2].decode()))
        else:
            fields.append(_ESCAPE.sub(lambda escape: _unescaped(line, escape), match[1] or b""))
        if not match[3]:
            return fields
        position = match.end()


def _unescaped(line: int, escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes.fromhex(escape[1].decode())
    if escape[2]:
        return escape[2]
    raise BadLine(line, 'unknown escape (known are \\xHH, \\\\ and \\")')
