"""docs/rules.md: fifteen rules, files that are there, and the limits that the code has."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/rules.md").read_text()
LIMITS = [
    (constant, value)
    for value, constants in re.findall(
        r"^\| [\d, ]+ \| .+ \| (.+?) \| (`.+?) \|$", TEXT, re.MULTILINE
    )
    for constant in re.findall(r"`(.+?)`", constants)
]


def test_every_rule_is_there_once():
    numbers = re.findall(r"^\*\*(\d+)\. ", TEXT, re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 16))


@pytest.mark.parametrize(("constant", "value"), LIMITS)
def test_a_limit_is_what_the_code_says(constant, value):
    module, _, name = constant.rpartition(".")
    found = getattr(import_module(f"scapy_mobsec.{module}"), name)
    values = found if isinstance(found, tuple) else (found,)
    assert ", ".join(f"{each:,g}" if each % 1 else f"{each:,.0f}" for each in values) == value


def test_every_limit_of_the_terminals_is_in_the_table():
    named = {constant for constant, _ in LIMITS}
    limits = {
        f"terminal.{path.stem}.{name}"
        for path in (ROOT / "scapy_mobsec/terminal").glob("*.py")
        for name in re.findall(r"^(MAX_[A-Z_]+) = ", path.read_text(), re.MULTILINE)
    }
    assert limits <= named


def test_files_that_it_names_are_there():
    for name in re.findall(r"`([\w/]+\.py|[a-z]+/)`", TEXT):
        roots = (ROOT / "scapy_mobsec/terminal", ROOT / "scapy_mobsec")
        assert any((root / name).exists() for root in roots), name
