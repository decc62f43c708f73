"""The units of systemd: they can be read, and start commands that there are."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scapy_mobsec.ui.cli import cli
from scapy_mobsec.ui.terminals import GOODBYE

UNITS = sorted((Path(__file__).parents[2] / "examples" / "systemd").glob("*.service"))


def value(unit, key):
    (found,) = re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)
    return found


def test_there_are_units():
    assert [unit.stem for unit in UNITS] == ["mobsec-gateway", "mobsec-mobile"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_starts_a_command_and_waits_for_its_goodbye(unit):
    program, command, config = value(unit, "ExecStart").split()
    assert program.endswith("/mobsec")
    assert command in cli.commands
    assert config == f"/etc/mobsec/{command}.toml"
    assert float(value(unit, "TimeoutStopSec")) > GOODBYE


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_it(unit, tmp_path):
    """... with a program that is here; where systemd is not, each line is a section or a key."""
    text = re.sub(r"(?m)^(ExecStart=)\S+", rf"\g<1>{sys.executable}", unit.read_text())
    if program := shutil.which("systemd-analyze"):
        copy = tmp_path / unit.name
        copy.write_text(text)
        done = subprocess.run(
            [program, "verify", str(copy)], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert all(re.fullmatch(r"|#.*|\[\w+\]|\w+=.+", line) for line in text.splitlines())
