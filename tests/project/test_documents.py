"""Every shell example of the documents runs: `$` lines in console blocks, Python prompts."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sessions import session_files

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "pcaps/README.md", *sorted(ROOT.glob("docs/*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(language):
    for path in DOCUMENTS:
        text = path.read_text()
        for match in BLOCK.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                yield pytest.param(match[2], id=f"{path.relative_to(ROOT)}:{line}")


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A folder with the sample captures and the files of two terminals in it, and the commands of
    this environment in PATH.
    """
    shutil.copytree(ROOT / "pcaps", tmp_path / "pcaps")
    session_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("block", list(blocks("console")))
def test_console_example(block, scratch):
    for part in block.split("$ ")[1:]:
        command, _, expected = part.partition("\n")
        run = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        checker = doctest.OutputChecker()
        assert checker.check_output(expected, run.stdout, OPTIONS), run.stdout


@pytest.mark.parametrize("block", list(blocks("pycon")))
def test_python_example(block, scratch):
    """In a process of its own, as install() changes Scapy's bindings."""
    Path("example.txt").write_text(block)
    doctests = [sys.executable, "-m", "doctest", "-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE"]
    run = subprocess.run([*doctests, "example.txt"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout


def test_every_block_is_of_a_tested_kind():
    for path in DOCUMENTS:
        languages = [match[1] for match in BLOCK.finditer(path.read_text())]
        assert set(languages) <= {"console", "pycon", "sh", "mermaid", "toml", "squid", "nginx"}, (
            path
        )


def test_readme_has_two_commands():
    """They are run as typed by .ci/run."""
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2
    assert "mobsec demo" in commands[0]
    assert "pytest" in commands[1]
