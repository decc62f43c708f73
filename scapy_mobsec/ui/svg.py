"""`--ladder --svg FILE`: signalling diagrams as one picture, in SVG 1.1 that any browser shows.

The picture scales: it has a viewBox and no size of its own, and its text is text. Nothing in it
refers to anything outside, and what a capture tells is escaped.
"""

from collections.abc import Iterable, Iterator
from textwrap import wrap
from xml.sax.saxutils import escape

from scapy_mobsec.ui.diagram import Diagram, Shape, Step

WIDTH = 1000
_MARGIN, _LEFT, _RIGHT = 10, 140, 940
_MIDDLE = (_LEFT + _RIGHT) // 2
_LINE, _HEAD = 16, 8
_WRAPPED = 100
"""Characters of a label in one line."""

_STYLE = """
text { font: 12px sans-serif; fill: #222 }
.title { font-size: 15px; font-weight: bold }
.time { text-anchor: end; fill: #555 }
.middle { text-anchor: middle }
.end { text-anchor: end }
.move { font-weight: bold }
.note { fill: #8a5a00 }
.loud { fill: #c00000; font-weight: bold }
line, path { stroke: #222; stroke-width: 1.2; fill: none }
path.head { fill: #222 }
line.lane { stroke: #999 }
line.data { stroke: #777; stroke-dasharray: 4 4 }
line.loudly { stroke: #c00000 }
rect.move { fill: #e8eefc; stroke: #6b84c4 }
circle { fill: #fff; stroke: #8a5a00; stroke-width: 1.5 }
"""


def svg_of(drawn: Iterable[Diagram], start_ns: int) -> str:
    """The whole file, diagrams one below the other; times count from `start_ns`."""
    body: list[str] = []
    y = _MARGIN
    for diagram in drawn:
        sheet = _Sheet(diagram, y, start_ns)
        body += sheet.elements()
        y = sheet.y + 2 * _LINE
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 {WIDTH} {y}" '
        f'role="img">\n<title>Signalling diagram</title>\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n'
    )
    return head + "\n".join(body) + "\n</svg>\n"


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(_printable(text))}</text>'


def _printable(text: str) -> str:
    """XML 1.0 has no control characters."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _line(x1: int, y1: int, x2: int, y2: int, kind: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"/>'


class _Sheet:
    """Draws one diagram from `y` on downwards."""

    def __init__(self, diagram: Diagram, y: int, start_ns: int) -> None:
        self.y = y
        self._diagram, self._start = diagram, start_ns

    def elements(self) -> list[str]:
        """Return everything drawn; then `y` is its end."""
        diagram = self._diagram
        self.y += 2 * _LINE
        parts = [_text(_MARGIN, self.y, diagram.title, "title")]
        self.y += 2 * _LINE
        parts.append(_text(_LEFT, self.y, diagram.left, "middle"))
        parts.append(_text(_RIGHT, self.y, diagram.right, "end"))
        lanes = [_LEFT, _RIGHT]
        if diagram.translator:
            parts.append(_text(_MIDDLE, self.y, "translator", "middle note"))
            lanes.append(_MIDDLE)
        top = self.y + _LINE // 2
        steps = [part for step in diagram.steps for part in self._step(step)]
        self.y += _LINE
        parts += [_line(x, top, x, self.y, "lane") for x in lanes]
        return parts + steps

    def _step(self, step: Step) -> Iterator[str]:
        self.y += _LINE // 2
        time = f"{(step.time_ns - self._start) / 1e6:+.3f} ms"
        lines = wrap(step.text, _WRAPPED) or [""]
        if step.shape is Shape.MOVE:
            yield from self._move(lines, time)
            return
        kind = "loud" if step.loud else ""
        x = _LEFT + _HEAD + 4 if step.to_right else _RIGHT - _HEAD - 4
        for line in lines:
            self.y += _LINE
            yield _text(x, self.y, line, kind if step.to_right else f"end {kind}".rstrip())
        self.y += 6
        yield _text(_LEFT - _HEAD, self.y + 4, time, "time")
        yield from self._arrow(step)
        for note in step.notes:
            for line in wrap(note, _WRAPPED):
                self.y += _LINE
                yield _text(_MIDDLE, self.y, line, "middle note")

    def _arrow(self, step: Step) -> Iterator[str]:
        data = "data" if step.shape is Shape.DATA else "message"
        yield _line(_LEFT, self.y, _RIGHT, self.y, f"{data} loudly" if step.loud else data)
        tip, back = (_RIGHT, _RIGHT - _HEAD) if step.to_right else (_LEFT, _LEFT + _HEAD)
        above, below = self.y - _HEAD // 2, self.y + _HEAD // 2
        yield f'<path class="head" d="M{tip} {self.y}L{back} {above}L{back} {below}Z"/>'
        if step.translated:
            yield f'<circle cx="{_MIDDLE}" cy="{self.y}" r="4"/>'

    def _move(self, lines: list[str], time: str) -> Iterator[str]:
        height = _LINE * len(lines) + 6
        yield (
            f'<rect class="move" x="{_LEFT - _HEAD}" y="{self.y + 4}" '
            f'width="{_RIGHT - _LEFT + 2 * _HEAD}" height="{height}" rx="4"/>'
        )
        yield _text(_LEFT - 2 * _HEAD, self.y + _LINE, time, "time")
        for line in lines:
            self.y += _LINE
            yield _text(_MIDDLE, self.y, line, "middle move")
        self.y += _LINE // 2
