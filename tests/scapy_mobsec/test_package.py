"""The package is light; its part in loading the Scapy extension comes second."""

import builtins
import subprocess
import sys
from importlib.metadata import version

import pytest

import scapy_mobsec


def test_importing_it_costs_nothing_heavy():
    script = (
        "import sys\nimport scapy_mobsec\n"
        "assert not {'scapy', 'cryptography', 'numpy', 'importlib.metadata'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_version_is_that_of_the_distribution():
    assert scapy_mobsec.__version__ == version("scapy-mobsec")


@pytest.fixture
def loaded(monkeypatch):
    """What scapy_ext asks Scapy to load."""
    names = []
    monkeypatch.setattr("scapy.main.load_layer", names.append)
    return names


def test_in_a_script_it_brings_no_names(loaded):
    scapy_mobsec.scapy_ext(None)
    assert loaded == []


def test_in_a_shell_it_loads_the_layers(loaded, monkeypatch):
    monkeypatch.setattr(builtins, "scapy_session", {}, raising=False)
    scapy_mobsec.scapy_ext(None)
    assert loaded == ["mobsec"]
