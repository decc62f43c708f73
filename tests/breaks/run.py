"""Break each rule of the two terminals in turn, and name the test that sees it.

    python tests/breaks/run.py [--rule RULE] [--jobs N] [--output FILE]

Works on copies of the tree, so nothing here is changed. First all tests pass on an intact copy;
then for each break the unit tests of the broken file run, and after them all that ALL_TESTS names.
The table goes to standard output and to FILE; exit status 1 if a break survives, 2 if the intact
copy fails.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("breaks.toml")
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
ALL_TESTS = ("tests/scapy_mobsec/terminal", "tests/pairs", "tests/scapy_mobsec/esp")
PATIENCE = 5
"""A broken terminal that takes so many times as long as the intact one hangs, which is seen too."""

FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)
STARTED = re.compile(r"^(tests/[^\s\[]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Break:
    """`old`, which stands once in `file`, becomes `new`: then `what` is true."""

    rule: str
    what: str
    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> str:
        """Break the file in a tree; return its text before. Raises ValueError."""
        path = tree / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has this {text.count(self.old)} times: {self.old}")
        path.write_text(text.replace(self.old, self.new))
        return text


def read_breaks() -> list[Break]:
    """Return the table."""
    return [Break(**row) for row in tomllib.loads(TABLE.read_text())["break"]]


def first_failure(tree: Path, tests: Sequence[str], seconds: float | None) -> str | None:
    """Return the name of the first test that fails, None if all pass.

    `seconds`: after which the test that runs then is the one, None for never.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-vv", "-n", "0", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "CI": ""}
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        started = STARTED.findall((error.stdout or b"").decode())
        return f"{started[-1] if started else tests[0]} (does not end)"
    if done.returncode == 0:
        return None
    found = FAILED.search(done.stdout)
    return found[1] if found else (done.stdout + done.stderr).strip().splitlines()[-1]


def judge(one: Break, tree: Path, seconds: float) -> str | None:
    """Break the tree, return the name of the test that sees it, and mend the tree again."""
    text = one.apply(tree)
    mirrored = Path("tests", one.file).with_name(f"test_{Path(one.file).name}")
    try:
        found = None
        if (tree / mirrored).exists():
            found = first_failure(tree, [str(mirrored)], seconds)
        return found or first_failure(tree, ALL_TESTS, seconds)
    finally:
        (tree / one.file).write_text(text)


def seconds_of_intact(tree: Path) -> float:
    """Return how long all tests take on an intact tree. Raises ValueError if one fails there."""
    began = time.monotonic()
    if failed := first_failure(tree, ALL_TESTS, None):
        raise ValueError(f"nothing is broken, and {failed} fails")
    return time.monotonic() - began


def run(breaks: list[Break], jobs: int) -> list[tuple[Break, str | None]]:
    """Judge all, on `jobs` copies of the tree. Raises ValueError where the tests fail without."""
    with tempfile.TemporaryDirectory() as scratch:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            tree = Path(scratch, str(number))
            shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
            trees.put(tree)
        seconds = PATIENCE * seconds_of_intact(tree)

        def one_of(each: Break) -> str | None:
            tree = trees.get()
            try:
                seen = judge(each, tree, seconds)
            finally:
                trees.put(tree)
            sys.stderr.write(f"{each.rule:3}  {each.what}: {seen or 'SURVIVES'}\n")
            return seen

        with ThreadPoolExecutor(jobs) as pool:
            return list(zip(breaks, pool.map(one_of, breaks), strict=True))


def table(results: list[tuple[Break, str | None]]) -> str:
    """Return the results as Markdown."""
    survivors = sum(not seen for _, seen in results)
    lines = [
        "# What happens when a rule is broken",
        "",
        "Written by `python tests/breaks/run.py --output docs/evidence/breaks.md`. Each row breaks",
        "one rule in one place of the source; the test named is the first one that fails then.",
        "",
        f"**{len(results)} breaks, {survivors} of them survive.**",
        "",
        "| rule | what is broken | where | the test that sees it |",
        "| --- | --- | --- | --- |",
    ]
    for each, seen in results:
        name = f"`{seen}`" if seen else "**none**"
        lines.append(f"| {each.rule} | {each.what} | `{each.file}` | {name} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Break each rule, and name the test that sees it.")
    parser.add_argument("--rule", help="only the breaks of this rule, as 3 or 2a")
    parser.add_argument("--jobs", type=int, default=2, choices=range(1, 33), metavar="N")
    parser.add_argument("--output", type=Path, help="where the table goes too")
    arguments = parser.parse_args()
    breaks = [each for each in read_breaks() if arguments.rule in (None, each.rule)]
    if not breaks:
        parser.error(f"no break has the rule {arguments.rule}")
    try:
        results = run(breaks, arguments.jobs)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    text = table(results)
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)
    return int(any(not seen for _, seen in results))


if __name__ == "__main__":
    sys.exit(main())
