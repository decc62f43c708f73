import pytest
from shown import CAPTURES, EXPECTED, printed, shown

from scapy_mobsec.ui.diagram import Diagram, Shape, Step
from scapy_mobsec.ui.ladder import ladder_lines, print_ladder


@pytest.mark.parametrize("name", CAPTURES)
def test_whole_captures(name):
    seen = shown(name)
    text = printed(print_ladder, seen.diagrams, seen.report.first_time)
    assert text == (EXPECTED / f"{name}.ladder.txt").read_text()


@pytest.mark.parametrize("width", [48, 80, 200])
@pytest.mark.parametrize("name", [*CAPTURES, "race", "fallback", "stale"])
def test_every_line_keeps_to_the_width(name, width):
    seen = shown(name)
    text = printed(print_ladder, seen.diagrams, seen.report.first_time, width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line[-1] in "│┤" for line in lines if "│" in line or "├" in line)


def test_ascii_where_the_output_cannot_take_lines():
    seen = shown("nat64")
    text = printed(print_ladder, seen.diagrams, seen.report.first_time, encoding="latin-1")
    assert text.isascii()
    assert "|-- RREQ #2 [udp] ----" in text


def lines(width, *steps, left="192.0.2.1:4500", right="203.0.113.2:4500"):
    diagram = Diagram("Link 1", left, right, any(step.translated for step in steps), list(steps))
    return [line.plain for line in ladder_lines(diagram, width, 0)]


def test_a_label_that_does_not_fit_stands_above_its_arrow():
    text = "one two three four five six seven eight nine"
    to_left = Step(0, Shape.MESSAGE, text, to_right=False)
    to_right = Step(0, Shape.MESSAGE, text[:33])
    assert lines(48, to_left, to_right)[2:] == [
        "+0.000  │  one two three four five six seven   │",
        "        │<─────────────────────── eight nine ──│",
        "+0.000  │  one two three four five six seven   │",
        "        │─────────────────────────────────────>│",
    ]


@pytest.mark.parametrize("to_right", [True, False])
def test_a_label_does_not_hide_the_translator(to_right):
    for length in range(1, 38):
        step = Step(0, Shape.MESSAGE, "x" * length, to_right, translated=True)
        rows = lines(48, step)[3:]
        assert rows[-1][28] == "┼"
        assert sum(row.count("x") for row in rows) == length
        assert len(rows) == 1 if length < 13 else len(rows) <= 2


def test_ends_that_do_not_fit_stand_on_two_lines():
    end = "[2001:db8:0:1:2:3:4:5]:49152"
    step = Step(0, Shape.MESSAGE, "x")
    assert lines(60, step, left=end, right=end)[1:3] == [
        f"        {end}",
        f"    ms  {end:>52}",
    ]


def test_styles_tell_what_is_loud():
    diagram = Diagram("x", "a", "b", False, [Step(0, Shape.DATA, "1 x WRONG ICV", loud=True)])
    *_, line = ladder_lines(diagram, 80, 0)
    assert "red" in str(line.style)
