"""Lines no wider than a terminal: broken between words, what follows is indented.

Never broken: an address, a number and its unit, an arrow and what it points at. A long word, such
as a fingerprint, is less indented; one that is longer than a line makes that line wider.
"""

import re
from textwrap import wrap

_GLUE = "\N{NO-BREAK SPACE}"
_TOGETHER = re.compile(r"(?<=\d) (?=[a-z])|(?<=\bof) (?=\d)|(?<=>) |(?<=──) ")
"""Spaces at which no line ends."""
_STEM = re.compile(r"(?:│  |   )*(?:├─ |└─ )?")
_DASH = " ── "


def wrapped(text: str, width: int, hang: str = "  ") -> list[str]:
    """Return a text without line feeds as lines; all but the first begin with `hang`."""
    glued = _TOGETHER.sub(_GLUE, text)
    longest = max(map(len, glued.split(" ")))
    lines = wrap(
        glued,
        width,
        subsequent_indent=hang[: max(width - longest, 0)],
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_GLUE, " ") for line in lines] or [""]


def wrapped_picture(picture: str, width: int) -> list[str]:
    """Return the drawing of a network as lines; its stems go on, ways break between elements."""
    return [row for line in picture.splitlines() for row in _wrapped_way(line, width)]


def _wrapped_way(line: str, width: int) -> list[str]:
    way = _STEM.sub("", line, count=1)
    stem = line[: len(line) - len(way)]
    hang = stem.replace("├─", "│ ").replace("└─", "  ") + "  "
    room = width - len(hang + "── ")
    elements = way.split(_DASH)
    whole = [one.replace(" ", _GLUE) if len(one) <= room else one for one in elements]
    return wrapped(stem.replace(" ", _GLUE) + _DASH.join(whole), width, hang)


def wrapped_packet(line: str, width: int, hang: str) -> list[str]:
    """Return a line of a packet chart as lines; what a packet is goes to a line of its own."""
    way, _, content = line.rpartition("  ")
    if len(line) <= width or " > " not in way:
        return wrapped(line, width, hang)
    return [*wrapped(way, width, hang), *wrapped(hang + content, width, hang)]
