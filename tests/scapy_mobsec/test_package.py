"""The package is light; its part in loading the Scapy extension comes second."""

import builtins
import doctest
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import scapy_mobsec

ROOT = Path(__file__).parents[2]


def test_importing_it_costs_nothing_heavy():
    script = (
        "import sys\nimport scapy_mobsec\ndir(scapy_mobsec)\n"
        "heavy = {'scapy', 'cryptography', 'numpy', 'rich', 'importlib.metadata'}\n"
        "assert not heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_version_is_that_of_the_distribution():
    assert scapy_mobsec.__version__ == version("scapy-mobsec")


def test_each_public_name_comes_at_its_first_use():
    for name in scapy_mobsec.__all__:
        assert getattr(scapy_mobsec, name).__name__ == name
    assert {*scapy_mobsec.__all__, "__version__"} == set(dir(scapy_mobsec))
    with pytest.raises(AttributeError, match="has no attribute 'anything'"):
        scapy_mobsec.anything  # noqa: B018


@pytest.mark.parametrize("name", scapy_mobsec.__all__)
def test_importing_a_name_changes_nothing_of_scapy(name):
    """The layers are bound when a session is made."""
    script = (
        "from scapy.layers.mobileip import MobileIP\nfrom scapy.layers.inet import TCP\n"
        "import scapy.layers.http\n"
        "bindings = lambda: (list(MobileIP.payload_guess), list(TCP.payload_guess))\n"
        f"before = bindings()\nfrom scapy_mobsec import {name}\nassert bindings() == before\n"
        "from scapy_mobsec import MobsecSession\nMobsecSession(())\nassert bindings() != before"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


MODULES = sorted({getattr(scapy_mobsec, name).__module__ for name in scapy_mobsec.__all__})


# Those of live sessions need files and partners: their own tests run them.
@pytest.mark.parametrize("module", [each for each in MODULES if ".live." not in each])
def test_examples_of_docstrings(module, monkeypatch):
    monkeypatch.chdir(ROOT)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testmod(sys.modules[module], optionflags=options)
    assert found.attempted
    assert not found.failed


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
    for name in scapy_mobsec.__all__:
        monkeypatch.setattr(builtins, name, None, raising=False)  # undone at the end
    scapy_mobsec.scapy_ext(None)
    assert loaded == ["mobsec"]
    assert builtins.MobsecSession is scapy_mobsec.MobsecSession
    assert builtins.ladder is scapy_mobsec.ladder
