"""The table of breaks stays true of the source: each can be applied, and no rule is missing."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BREAKS = tomllib.loads((ROOT / "tests/breaks/breaks.toml").read_text())["break"]


@pytest.mark.parametrize("row", BREAKS, ids=lambda row: row["what"])
def test_what_is_broken_stands_once_in_its_file(row):
    assert (ROOT / row["file"]).read_text().count(row["old"]) == 1


def test_every_rule_is_broken_and_no_break_stands_twice():
    assert {int(row["rule"].rstrip("abc")) for row in BREAKS} == set(range(1, 16))
    assert max(Counter(row["what"] for row in BREAKS).values()) == 1
