"""Scapy finds the registrations of the generated capture, in all suites and both encapsulations."""

import io

import pytest

from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.ui import bench_traffic
from scapy_mobsec.ui.bench_scapy import NAMES, registrations_in
from scapy_mobsec.ui.bench_traffic import messages_in, write_traffic
from scapy_mobsec.ui.cli import BENCH_SUITES


@pytest.mark.parametrize("encapsulation", [Encapsulation.NATIVE, Encapsulation.UDP])
@pytest.mark.parametrize("suite", NAMES)
def test_registrations_are_found(suite, encapsulation, monkeypatch):
    monkeypatch.setattr(bench_traffic, "REGISTERS_EVERY", 10)
    capture = io.BytesIO()
    write_traffic(capture, 25, suite, encapsulation)
    capture.seek(0)
    assert registrations_in(capture, suite) == messages_in(25) == 6


def test_the_command_offers_these_suites():
    assert sorted(BENCH_SUITES.choices) == sorted(NAMES)
