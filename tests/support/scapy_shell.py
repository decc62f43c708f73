"""Scapy's shell in a pseudo-terminal, with the extension loaded."""

import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import pexpect

ROOT = Path(__file__).parents[2]
PROMPT = ">>> "
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Shell:
    """What is typed, and what must be printed."""

    def __init__(self, process):
        self._process = process

    def type(self, line, printed="", timeout=60):
        """Type a line; see that what follows it, up to the prompt, has a text and no error."""
        self._process.sendline(line)
        self._process.expect_exact(PROMPT, timeout=timeout)
        shown = _COLOURS.sub("", self._process.before.replace("\r\n", "\n"))
        assert printed in shown, shown
        assert "Traceback" not in shown, shown


@contextmanager
def scapy_shell(folder, command=(sys.executable,)):
    """Start it in a folder, by what runs Python."""
    environment = os.environ | {"HOME": str(folder), "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    environment.pop("XDG_CONFIG_HOME", None)
    process = pexpect.spawn(
        command[0],
        [*command[1:], "-m", "scapy"],
        cwd=folder,
        env=environment,
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 200),
    )
    try:
        process.expect_exact(PROMPT)
        shell = Shell(process)
        shell.type('conf.exts.load("scapy-mobsec")')
        yield shell
    finally:
        process.close(force=True)
