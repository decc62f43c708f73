"""`--ladder`: signalling diagrams in characters, as wide as the terminal.

time in ms      X                     translator                      Y
+1000.000       │── RREQ #2 [udp] ─────────┼─────────────────────────>│
"""

from collections.abc import Iterator
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from scapy_mobsec.ui.diagram import Diagram, Shape, Step

MIN_WIDTH = 48
_ASCII = str.maketrans({"│": "|", "─": "-", "╌": ".", "═": "=", "┼": "+", "├": "|", "┤": "|"})
_LINES = {Shape.MESSAGE: "─", Shape.DATA: "╌"}


def print_ladder(drawn: list[Diagram], start_ns: int, console: Console) -> None:
    """Print diagrams, times counted from `start_ns`. Without UTF-8: in ASCII characters."""
    plain = not console.encoding.lower().replace("-", "").startswith("utf")
    for diagram in drawn:
        for line in ladder_lines(diagram, console.width, start_ns):
            if plain:
                line = Text(line.plain.translate(_ASCII), style=line.style)
            console.print(line, soft_wrap=True)


def ladder_lines(diagram: Diagram, width: int, start_ns: int) -> Iterator[Text]:
    """The lines of one diagram, none wider than `width` (at least 48)."""
    return _Sheet(diagram, max(width, MIN_WIDTH), start_ns).lines()


class _Sheet:
    """Where everything is: a column of times, then two lines with a third between them."""

    def __init__(self, diagram: Diagram, width: int, start_ns: int) -> None:
        self._diagram = diagram
        self._times = [f"{(step.time_ns - start_ns) / 1e6:+.3f}" for step in diagram.steps]
        self._margin = max(map(len, self._times), default=0) + 2
        self._inside = width - self._margin - 2
        """Characters between the outer two lines."""
        self._middle = self._inside // 2 if diagram.translator else None

    def lines(self) -> Iterator[Text]:
        diagram = self._diagram
        yield Text(diagram.title, style="bold")
        yield from self._heads()
        for time, step in zip(self._times, diagram.steps, strict=True):
            for row in self._rows(step):
                yield Text(f"{time:>{self._margin - 2}}  {row}".rstrip(), style=_style(step))
                time = ""

    def _heads(self) -> Iterator[Text]:
        left, right = self._diagram.left, self._diagram.right
        room = self._inside + 2
        middle = "translator" if self._middle is not None else ""
        lines = [f"{left:<{room - len(right)}}{right}"] if len(left + right) < room else [left]
        if len(lines) == 1 and len(left + right) >= room:
            lines.append(f"{right:>{room}}")
        if middle:
            lines.append(f"{middle:^{room}}")
        for number, line in enumerate(lines):
            margin = "ms" if number == len(lines) - 1 else ""
            yield Text(f"{margin:>{self._margin - 2}}  {line}".rstrip(), style="bold")

    def _rows(self, step: Step) -> Iterator[str]:
        if step.shape is Shape.MOVE:
            yield from (f"├{f' {line} ':═^{self._inside}}┤" for line in self._wrapped(step.text))
            return
        *above, label = self._wrapped(step.text)
        if len(label) > self._room(step):
            above, label = [*above, label], ""
        yield from (self._beside(line) for line in above)
        yield self._arrow(step, label)
        for note in step.notes:
            yield from (self._beside(line) for line in self._wrapped(note))

    def _room(self, step: Step) -> int:
        """Characters that a label may have on its arrow, so that head and translator show."""
        if self._middle is None or not step.translated:
            return self._inside - 8
        return (self._middle if step.to_right else self._inside - self._middle - 1) - 5

    def _wrapped(self, text: str) -> list[str]:
        return wrap(text, self._inside - 4) or [""]

    def _beside(self, text: str) -> str:
        return f"│{f'  {text}':<{self._inside}}│"

    def _arrow(self, step: Step, label: str) -> str:
        line = _LINES[step.shape]
        shaft = [line] * self._inside
        if self._middle is not None and step.translated:
            shaft[self._middle] = "┼"
        text = f" {label} " if label else ""
        at = 2 if step.to_right else self._inside - 2 - len(text)
        shaft[at : at + len(text)] = text
        shaft[-1 if step.to_right else 0] = ">" if step.to_right else "<"
        return f"│{''.join(shaft)}│"


def _style(step: Step) -> str:
    if step.loud:
        return "bold red"
    if step.notes:
        return "yellow"
    return {Shape.MOVE: "bold", Shape.DATA: "dim"}.get(step.shape, "")
