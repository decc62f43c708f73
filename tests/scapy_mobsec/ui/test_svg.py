from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from shown import CAPTURES, Shown, shown

from scapy_mobsec.ui.diagram import Diagram, Shape, Step
from scapy_mobsec.ui.svg import svg_of

SVG = "{http://www.w3.org/2000/svg}"


def tree_of(name):
    seen = shown(name)
    return ElementTree.fromstring(svg_of(seen.diagrams, seen.report.first_time))


def box(tree):
    return [float(number) for number in tree.get("viewBox").split()]


@pytest.mark.parametrize("name", [*CAPTURES, "http", "fallback"])
def test_it_has_its_own_size_and_scales(name):
    tree = tree_of(name)
    assert tree.tag == f"{SVG}svg"
    _, _, width, height = box(tree)
    assert (float(tree.get("width")), float(tree.get("height"))) == (width, height)
    for element in tree.iter():
        for key, value in element.attrib.items():
            if key in ("x", "x1", "x2", "cx"):
                assert 0 <= float(value) + float(element.get("width", 0)) * (key == "x") <= width
            if key in ("y", "y1", "y2", "cy"):
                assert 0 <= float(value) <= height


def test_it_says_what_the_ladder_says_and_refers_to_nothing_outside():
    tree = tree_of("nat64")
    texts = [element.text for element in tree.iter(f"{SVG}text")]
    for text in ("Link 1", "translator", "RREQ #2 [udp]", "+1000.000 ms"):
        assert text in texts
    assert len(list(tree.iter(f"{SVG}path"))) == sum(
        step.shape is not Shape.MOVE for each in shown("nat64").diagrams for step in each.steps
    )
    whole = svg_of(shown("nat64").diagrams, 0)
    assert "href" not in whole
    assert whole.count("http") == 1


def test_nothing_from_a_capture_is_markup():
    bad = '<script>&"\x00\x1b\ud800'
    step = Step(0, Shape.MESSAGE, bad, notes=(bad,), translated=True, loud=True)
    tree = ElementTree.fromstring(svg_of([Diagram(bad, bad, bad, True, [step])], 0).encode())
    texts = [element.text for element in tree.iter(f"{SVG}text")]
    assert sum("<script>" in text for text in texts) == 5
    assert "script" not in {element.tag for element in tree.iter()}


def test_the_ends_have_their_names_anew_where_they_moved():
    texts = [element.text for element in tree_of("handover-nat").iter(f"{SVG}text")]
    for end in ("198.51.100.2:4500", "10.0.0.2:4500", "192.168.1.2:4500", "203.0.113.2:4500"):
        assert texts.count(end) == 1


def test_in_a_long_picture_the_ends_are_named_again():
    step = Step(0, Shape.DATA, "1 x data")
    tree = ElementTree.fromstring(svg_of([Diagram("x", "a", "b", True, [step] * 81)], 0))
    texts = [element.text for element in tree.iter(f"{SVG}text")]
    assert texts.count("a") == texts.count("b") == texts.count("translator") == 3


@pytest.mark.parametrize("letter", ["W", "\u6f22"])
@pytest.mark.parametrize("to_right", [True, False])
def test_no_label_is_wider_than_the_picture(letter, to_right):
    step = Step(0, Shape.MESSAGE, letter * 300, to_right, notes=(letter * 300,))
    whole = svg_of([Diagram("x", "a", "b", False, [step])], 0, letter * 300)
    texts = [element.text for element in ElementTree.fromstring(whole).iter(f"{SVG}text")]
    assert max(map(cell_len, texts)) <= 88
    assert sum(text.count(letter) for text in texts) == 900


def test_the_line_of_the_translator_crosses_out_no_text():
    step = Step(0, Shape.MESSAGE, "short", notes=("note",), translated=True)
    wide = Step(0, Shape.MESSAGE, "x" * 80)
    for translator, gaps in ((True, 2), (False, 0)):
        drawn = [Diagram("x", "a", "b", translator, [step, wide])]
        tree = ElementTree.fromstring(svg_of(drawn, 0))
        found = [each for each in tree.iter(f"{SVG}rect") if each.get("class") == "gap"]
        assert len(found) == gaps


def test_it_tells_what_it_shows_in_words_and_when_it_began():
    step = Step(0, Shape.MESSAGE, "x")
    whole = svg_of([Diagram("Link 1", "a", "b<", False, [step])], 1_500_000_000, "1 packet & more")
    tree = ElementTree.fromstring(whole)
    assert tree.find(f"{SVG}desc").text == "1 packet & more; Link 1: a and b<"
    texts = [element.text for element in tree.iter(f"{SVG}text")]
    assert texts[0] == "1 packet & more"
    assert texts[1].endswith("1970-01-01 00:00:01.500000000 UTC")
    assert "not to be trusted" in texts


def test_a_long_summary_goes_on_in_the_next_line():
    tree = ElementTree.fromstring(svg_of([], 0, "word " * 40))
    lines = [element for element in tree.iter(f"{SVG}text") if element.text.startswith("word")]
    assert len({element.get("y") for element in lines}) == len(lines) == 3


def test_diagrams_stand_below_each_other():
    step = Step(0, Shape.DATA, "1 x data", to_right=False)
    one = Diagram("one", "a", "b", False, [step])
    first, both = (ElementTree.fromstring(svg_of(drawn, 0)) for drawn in ([one], [one, one]))
    assert box(both)[3] > box(first)[3] + 100


def test_a_move_that_is_not_verified_is_loud(unverified):
    seen = Shown(unverified.report, unverified.packets)
    loud = [
        each.text
        for each in ElementTree.fromstring(svg_of(seen.diagrams, 0)).iter(f"{SVG}text")
        if each.text.startswith("moved") and "loud" in each.get("class")
    ]
    assert len(loud) == 1
