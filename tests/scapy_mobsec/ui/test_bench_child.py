"""What a program took is told, and its exit code handed on."""

import json
import subprocess
import sys

import pytest

from scapy_mobsec.ui import bench_child
from scapy_mobsec.ui.bench_child import run_and_tell

HOLDS = "held = bytearray(b'x') * (64 << 20)"


@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_and_seconds(tmp_path, code):
    work = f"sum(range(1_000_000)); raise SystemExit({code})"
    assert run_and_tell(str(tmp_path / "told"), [sys.executable, "-I", "-S", "-c", work]) == code
    told = json.loads((tmp_path / "told").read_text())
    assert told["code"] == code
    assert told["seconds"] > 0


def test_a_program_that_is_not_there(tmp_path):
    assert run_and_tell(str(tmp_path / "told"), [str(tmp_path / "none")]) == 127


def test_the_peak_is_that_of_the_program_and_not_of_who_asks(tmp_path):
    """This process is larger than a bare interpreter."""
    bare = [sys.executable, "-I", "-S"]
    peaks = []
    for work in ("", HOLDS):
        command = [*bare, bench_child.__file__, str(tmp_path / "told"), *bare, "-c", work]
        assert subprocess.run(command).returncode == 0
        peaks.append(json.loads((tmp_path / "told").read_text())["peak"])
    assert peaks[0] < 32 << 20
    assert (60 << 20) < peaks[1] - peaks[0] < (70 << 20)
