from xml.etree import ElementTree

import pytest
from shown import CAPTURES, shown

from scapy_mobsec.ui.diagram import Diagram, Shape, Step
from scapy_mobsec.ui.svg import svg_of

SVG = "{http://www.w3.org/2000/svg}"


def tree_of(name):
    seen = shown(name)
    return ElementTree.fromstring(svg_of(seen.diagrams, seen.report.first_time))


def box(tree):
    return [float(number) for number in tree.get("viewBox").split()]


@pytest.mark.parametrize("name", [*CAPTURES, "http", "fallback"])
def test_it_is_a_picture_that_scales(name):
    tree = tree_of(name)
    assert tree.tag == f"{SVG}svg"
    assert tree.get("width") is tree.get("height") is None
    _, _, width, height = box(tree)
    for element in tree.iter():
        for key, value in element.attrib.items():
            if key in ("x", "x1", "x2", "cx"):
                assert 0 <= float(value) <= width
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


def test_diagrams_stand_below_each_other():
    step = Step(0, Shape.DATA, "1 x data", to_right=False)
    one = Diagram("one", "a", "b", False, [step])
    first, both = (ElementTree.fromstring(svg_of(drawn, 0)) for drawn in ([one], [one, one]))
    assert box(both)[3] > 1.8 * box(first)[3]
