"""docs/states.md shows the transition tables as they are."""

import re

import pytest
from generated import read_part
from states import PARTS, states_text


@pytest.mark.parametrize("name", PARTS)
def test_the_document_is_what_the_tables_say(name):
    assert read_part("states.md", name) == states_text(*PARTS[name])


@pytest.mark.parametrize("name", PARTS)
def test_the_diagram_has_every_transition_and_no_other(name):
    table, states, events, first = PARTS[name]
    text = read_part("states.md", name)
    arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", text, re.MULTILINE)
    drawn = [
        (states[source], events[event], states[target])
        for source, target, names in arrows
        for event in names.split(", ")
    ]
    written = [(state, event, row[event]) for state, row in table.items() for event in row]
    assert sorted(drawn, key=repr) == sorted(written, key=repr)
    assert f"    [*] --> {first.name}\n" in text
