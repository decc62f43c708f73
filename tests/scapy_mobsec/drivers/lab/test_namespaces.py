"""What a lab says where it cannot be; tests/netns has what it makes."""

import os
import shutil

import pytest

from scapy_mobsec.drivers.lab import namespaces
from scapy_mobsec.drivers.lab.namespaces import Lab, LabError, masquerade


def test_without_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="need root"):
        Lab()


def test_without_a_tool(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(LabError, match="need ip: apt install iproute2"):
        Lab()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("sh", "-c", "echo first >&2; echo second >&2; exit 3"), "first"),
        (("sh", "-c", "exit 3"), "3"),
        (("no-such-command",), "No such file"),
    ],
)
def test_a_command_that_fails_is_one_line(command, reason):
    with pytest.raises(LabError, match=reason) as raised:
        namespaces._run(*command)
    assert "\n" not in str(raised.value)


def test_rules_of_a_nat():
    assert 'oifname "ex0" masquerade random;' in masquerade("ex0", "masquerade random")
