"""Scapy with our layers bound; and a fresh interpreter for what must not be."""

import os
import subprocess
import sys

import pytest
from scapy.config import conf

import contrib_layers


@pytest.fixture(scope="session", autouse=True)
def installed():
    contrib_layers.install()


@pytest.fixture(autouse=True)
def loud(monkeypatch):
    """Scapy hides exceptions of dissectors otherwise."""
    monkeypatch.setattr(conf, "debug_dissector", True)


@pytest.fixture
def run_script(tmp_path):
    """Run a script in an interpreter of its own; its output is returned, its failure is ours."""
    installed_packages_only = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(script, python=sys.executable):
        done = subprocess.run(
            [python, "-c", script],
            cwd=tmp_path,
            env=installed_packages_only,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
