import io
from pathlib import Path

import pytest
from rich.console import Console

from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.ui.demo import DemoError, run_demo

PCAPS = Path(__file__).parents[3] / "pcaps"
END = Endpoint.of("192.0.2.1", 4500)


def shown(scenario="handover", write=None):
    stream = io.StringIO()
    run_demo(scenario, Console(file=stream), write)
    return stream.getvalue()


def test_the_handover_is_shown_with_its_translations():
    text = shown()
    assert "NAT 192.0.2.1" in text
    assert "registered in 50.000 ms" in text
    assert "source address and port 10.0.0.2:4500" in text


def test_the_sample_capture_is_what_the_demo_writes(tmp_path):
    text = shown(write=tmp_path / "handover-nat.pcap")
    assert "mobsec decode" in text
    for name in ("handover-nat.pcap", "handover-nat.esp_sa"):
        assert (tmp_path / name).read_bytes() == (PCAPS / name).read_bytes()


def test_an_unknown_scenario_names_those_there_are():
    with pytest.raises(DemoError, match="handover"):
        shown("nonsense")


@pytest.mark.parametrize("name", ["", "x.esp_sa"])
def test_a_name_that_is_none_for_a_capture(name):
    with pytest.raises(DemoError, match="no name for a capture"):
        shown(write=Path(name))


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(DemoError, match="No such file"):
        shown(write=tmp_path / "missing" / "x.pcap")
