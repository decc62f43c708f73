"""Break each rule of the two terminals in turn, and name the test that sees it.

    python tests/breaks/run.py [--rule RULE] [--jobs N] [--output FILE]

Works on a copy of the tree, so nothing here is changed. First the unit tests of the broken file
run, then the pair tests, then all tests of the core and its drivers. The table goes to standard
output and to FILE; exit status 1 if a break survives.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("breaks.toml")
COPIED = ("contrib_layers", "scapy_mobsec", "tests", "pcaps", "setup.cfg", "pyproject.toml")
ALL_TESTS = ("tests/scapy_mobsec/terminal", "tests/pairs", "tests/scapy_mobsec/esp")
SECONDS = 150
"""After which a broken terminal counts as one that hangs, which is seen too."""

FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)


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


def first_failure(tree: Path, tests: list[str]) -> str | None:
    """Return the name of the first test that fails, None if all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "CI": ""}
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{tests[0]} (does not end)"
    if done.returncode == 0:
        return None
    found = FAILED.search(done.stdout)
    return found[1] if found else (done.stdout + done.stderr).strip().splitlines()[-1]


def judge(one: Break, tree: Path) -> str | None:
    """Break the tree, return the name of the test that sees it, and mend the tree again."""
    text = one.apply(tree)
    mirrored = Path("tests", one.file).with_name(f"test_{Path(one.file).name}")
    try:
        found = first_failure(tree, [str(mirrored)]) if (tree / mirrored).exists() else None
        return found or first_failure(tree, list(ALL_TESTS))
    finally:
        (tree / one.file).write_text(text)


def run(breaks: list[Break], jobs: int) -> list[tuple[Break, str | None]]:
    """Judge all, on `jobs` copies of the tree."""
    with tempfile.TemporaryDirectory() as scratch:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            tree = Path(scratch, str(number))
            tree.mkdir()
            for name in COPIED:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, tree / name)
            trees.put(tree)

        def one_of(each: Break) -> str | None:
            tree = trees.get()
            try:
                seen = judge(each, tree)
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
    results = run(breaks, arguments.jobs)
    text = table(results)
    sys.stdout.write(text)
    if arguments.output:
        arguments.output.write_text(text)
    return int(any(not seen for _, seen in results))


if __name__ == "__main__":
    sys.exit(main())
