"""docs/claims.md: every claim and embodiment has a row, and every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAITING = {"13", "14", "15", "16", "17"}
CLAIMS = ["1a", "1b", "1c", "1d", "1e", *(str(number) for number in range(2, 21))]
FILES = ("test_claims.py", "test_claims_ipsec.py", "test_embodiments.py")


def tables():
    """Rows of the document: name -> last column, one mapping for each of its two tables."""
    text = (ROOT / "docs/claims.md").read_text()
    for part in text.split("## Embodiments and remarks"):
        rows = re.findall(r"^\| (.+?) \| .+ \| (.+?) \|$", part, re.MULTILINE)
        yield dict(rows[2:])


def named(cell):
    return re.findall(r"`([^`]+)`", cell)


def every_test():
    return [test for table in tables() for cell in table.values() for test in named(cell)]


def in_file(path):
    tree = ast.parse(path.read_text())
    names = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return {f"{path.relative_to(ROOT)}::{name}" for name in names if name.startswith("test_")}


def test_every_claim_has_a_row():
    claims, _ = tables()
    assert list(claims) == CLAIMS


def test_claims_of_key_exchange_wait_for_it_and_no_others():
    claims, _ = tables()
    waiting = {claim for claim, cell in claims.items() if cell == "waits for key exchange"}
    assert waiting == WAITING


def test_tests_of_a_claim_bear_its_name():
    claims, _ = tables()
    for claim, cell in claims.items():
        tests = named(cell)
        assert bool(tests) is (claim not in WAITING), claim
        for test in tests:
            assert test.partition("::")[2].startswith(f"test_claim_{claim}_"), test


def test_every_named_test_is_there():
    for test in every_test():
        assert test in in_file(ROOT / test.partition("::")[0]), test


def test_every_test_of_claims_and_embodiments_is_named_once():
    every = every_test()
    assert len(every) == len(set(every))
    assert {test for name in FILES for test in in_file(ROOT / "tests/pairs" / name)} <= set(every)
