"""The package is light, and its names are the layers."""

import pytest

import contrib_layers
from contrib_layers import registration, shim


def test_importing_it_costs_no_scapy(run_script):
    run_script(
        "import sys\nimport contrib_layers\n"
        "from contrib_layers import numbers, install, scapy_ext\n"
        "assert not hasattr(contrib_layers, 'tables')\n"
        "assert not {'scapy', 'cryptography', 'numpy'} & set(sys.modules)\n"
        "from contrib_layers import RREQ\nassert 'scapy' in sys.modules"
    )


@pytest.mark.parametrize("name", shim.__all__)
def test_the_layers_are_its_names(name):
    assert getattr(contrib_layers, name) is getattr(shim, name)


def test_the_classes_are_the_same_by_every_road():
    from contrib_layers import RREQ

    assert RREQ is registration.RREQ is shim.RREQ


@pytest.mark.parametrize("name", ["Nothing", "nothing", "__nothing__"])
def test_other_names_are_missing(name):
    assert not hasattr(contrib_layers, name)


def test_a_wildcard_import_brings_the_layers():
    names = {}
    exec("from contrib_layers import *", names)
    assert names["RREQ"] is contrib_layers.RREQ
    assert "install" in names
    assert "RREQ" in dir(contrib_layers)
