"""`--ladder --svg FILE`: signalling diagrams as one picture, in SVG 1.1 that any browser shows.

It has its natural size, so that a long one is scrolled and not shrunk to the window, and a viewBox,
so that it can be scaled where it is embedded. Its text is text. Nothing in it refers to anything
outside, and what a capture tells is escaped.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from textwrap import wrap
from xml.sax.saxutils import escape

from rich.cells import cell_len

from scapy_mobsec.ui.diagram import Diagram, Shape, Step

WIDTH = 1000
_MARGIN, _LEFT, _RIGHT = 16, 140, 910
_MIDDLE = (_LEFT + _RIGHT) // 2
_LINE, _HEAD, _BOX = 16, 8, 22
_LETTER = 7.5
"""Width of a letter, on the safe side: which font there is, is not known."""
_WRAPPED = 88
"""Letters of a label in one line."""
_NAMED_AGAIN = 40
"""Steps after which the ends are named again: a long picture is scrolled."""

_STYLE = """
text { font: 12px sans-serif; fill: #222 }
.title { font-size: 15px; font-weight: bold }
.time { text-anchor: end; fill: #555 }
.middle { text-anchor: middle }
.end { text-anchor: end }
.move { font-weight: bold }
.note { fill: #8a5a00 }
.loud { fill: #c00000; font-weight: bold }
.faint { fill: #555 }
line, path { stroke: #222; stroke-width: 1.2; fill: none }
path.head { fill: #222 }
line.lane { stroke: #999 }
line.data { stroke: #777; stroke-dasharray: 4 4 }
line.loudly, path.loudly { stroke: #c00000 }
path.loudly { fill: #c00000 }
rect.move { fill: #e8eefc; stroke: #6b84c4 }
rect.name { fill: #f4f4f4; stroke: #999 }
rect.gap { fill: #fff }
circle { fill: #fff; stroke: #8a5a00; stroke-width: 1.5 }
"""


def svg_of(drawn: Iterable[Diagram], start_ns: int, summary: str = "") -> str:
    """The whole file, diagrams one below the other, under the line `summary`.

    Times count from `start_ns`, in nanoseconds since the Unix epoch.
    """
    began = datetime.fromtimestamp(start_ns // 10**9, UTC)
    at = f"{began:%Y-%m-%d %H:%M:%S}.{start_ns % 10**9:09} UTC"
    y = _MARGIN
    body = []
    for line in filter(None, (*_wrapped(summary), f"times count from the first frame, {at}")):
        y += _LINE
        body.append(_text(_MARGIN, y, line, "faint"))
    titles = []
    for diagram in drawn:
        sheet = _Sheet(diagram, y + _LINE, start_ns)
        body += sheet.elements()
        y = sheet.y
        titles.append(f"{diagram.title}: {diagram.left} and {diagram.right}")
    y += 2 * _LINE
    body += _legend(y)
    y += _MARGIN
    told = escape(_printable("; ".join([summary, *titles])))
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}" role="graphics-document" aria-labelledby="title told">\n'
        '<title id="title">Signalling diagram</title>\n'
        f'<desc id="told">{told}</desc>\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n'
    )
    return head + "\n".join(body) + "\n</svg>\n"


def _legend(y: int) -> Iterator[str]:
    """What the lines and colours mean, side by side."""
    samples = (
        ("", "a message"),
        ("data", "packets, counted"),
        ("loudly", "not to be trusted"),
        ("", "translated on its way, as far as is known"),
    )
    x = _MARGIN
    for number, (kind, meaning) in enumerate(samples):
        yield _line(x, y, x + 40, y, kind)
        if number == len(samples) - 1:
            yield _circle(x + 20, y)
        yield _text(x + 48, y + 4, meaning, "faint")
        x += 210


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(_printable(text))}</text>'


def _printable(text: str) -> str:
    """XML 1.0 has no control characters."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _wrapped(text: str) -> list[str]:
    """The lines of a label. Letters of double width make them shorter."""
    width = _WRAPPED * len(text) // max(cell_len(text), len(text), 1)
    return wrap(text, width or _WRAPPED) or [""]


def _width(text: str) -> int:
    return int(cell_len(text) * _LETTER)


def _line(x1: int, y1: int, x2: int, y2: int, kind: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"/>'


def _circle(x: int, y: int) -> str:
    return f'<circle cx="{x}" cy="{y}" r="4"/>'


def _rect(x: int, y: int, width: int, height: int, kind: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" class="{kind}"/>'


class _Sheet:
    """Draws one diagram from `y` on downwards."""

    def __init__(self, diagram: Diagram, y: int, start_ns: int) -> None:
        self.y = y
        self._diagram, self._start = diagram, start_ns
        self._names = {_LEFT: diagram.left, _MIDDLE: "translator", _RIGHT: diagram.right}

    def elements(self) -> list[str]:
        """Return everything drawn; then `y` is its end."""
        diagram = self._diagram
        self.y += 2 * _LINE
        parts = [_text(_MARGIN, self.y, diagram.title, "title")]
        self.y += _LINE
        top = self.y
        lanes = [_LEFT, _MIDDLE, _RIGHT] if diagram.translator else [_LEFT, _RIGHT]
        steps = [*self._named(lanes)]
        for number, step in enumerate(diagram.steps):
            if number and not number % _NAMED_AGAIN:
                self.y += _LINE
                steps += self._named(lanes)
            steps += self._step(step)
        self.y += _LINE
        parts += [_line(x, top, x, self.y, "lane") for x in lanes]
        return parts + steps

    def _named(self, lanes: Iterable[int]) -> Iterator[str]:
        """What ends and translator are called, in a row of boxes on their lines."""
        for lane in lanes:
            name = self._names[lane]
            width = _width(name) + 2 * _HEAD
            x = min(max(lane - width // 2, _MARGIN), WIDTH - _MARGIN - width)
            yield _rect(x, self.y, width, _BOX, "name")
            kind = "middle note" if lane == _MIDDLE else "middle"
            yield _text(x + width // 2, self.y + _LINE, name, kind)
        self.y += _BOX

    def _step(self, step: Step) -> Iterator[str]:
        self.y += _LINE // 2
        time = f"{(step.time_ns - self._start) / 1e6:+.3f} ms"
        lines = _wrapped(step.text)
        if step.shape is Shape.MOVE:
            yield from self._move(step, lines, time)
            return
        kind = "loud" if step.loud else ""
        x = _LEFT + _HEAD + 4 if step.to_right else _RIGHT - _HEAD - 4
        for line in lines:
            self.y += _LINE
            if _width(line) > _MIDDLE - _LEFT - 2 * _HEAD:
                yield from self._gap()
            yield _text(x, self.y, line, kind if step.to_right else f"end {kind}".rstrip())
        self.y += 6
        yield _text(_LEFT - _HEAD, self.y + 4, time, "time")
        yield from self._arrow(step)
        for line in (line for note in step.notes for line in _wrapped(note)):
            self.y += _LINE
            yield from self._gap()
            yield _text(_MIDDLE, self.y, line, "middle note")

    def _gap(self) -> Iterator[str]:
        """Interrupt the line of the translator, so that it does not cross out a text."""
        if self._diagram.translator:
            yield _rect(_MIDDLE - 2, self.y - 10, 4, _LINE - 2, "gap")

    def _arrow(self, step: Step) -> Iterator[str]:
        kind = "data" if step.shape is Shape.DATA else "message"
        loudly = " loudly" if step.loud else ""
        yield _line(_LEFT, self.y, _RIGHT, self.y, f"{kind}{loudly}")
        tip, back = (_RIGHT, _RIGHT - _HEAD) if step.to_right else (_LEFT, _LEFT + _HEAD)
        above, below = self.y - _HEAD // 2, self.y + _HEAD // 2
        yield f'<path class="head{loudly}" d="M{tip} {self.y}L{back} {above}L{back} {below}Z"/>'
        if step.translated:
            yield _circle(_MIDDLE, self.y)

    def _move(self, step: Step, lines: list[str], time: str) -> Iterator[str]:
        self.y += 4
        height = _BOX + _LINE * (len(lines) - 1)
        yield _rect(_LEFT - _HEAD, self.y, _RIGHT - _LEFT + 2 * _HEAD, height, "move")
        yield _text(_LEFT - 2 * _HEAD, self.y + _LINE, time, "time")
        kind = "middle loud" if step.loud else "middle move"
        for number, line in enumerate(lines, 1):
            yield _text(_MIDDLE, self.y + number * _LINE, line, kind)
        self.y += height
        now = {_LEFT: step.left, _RIGHT: step.right}
        moved = {lane: name for lane, name in now.items() if name not in ("", self._names[lane])}
        if moved:
            self._names |= moved
            self.y += 4
            yield from self._named(moved)
