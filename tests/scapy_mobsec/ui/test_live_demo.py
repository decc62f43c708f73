"""`mobsec demo`: five networks, real sockets, and a capture that tells the same again."""

import pytest
from click.testing import CliRunner

from scapy_mobsec.drivers.live.loopback import PLACES
from scapy_mobsec.ui import live_demo
from scapy_mobsec.ui.cli import cli


def test_the_demo_shows_handovers_and_decodes_what_it_wrote(tmp_path):
    capture = tmp_path / "run.pcapng"
    result = CliRunner().invoke(cli, ["demo", "-w", str(capture)])
    assert result.exit_code == 0, result.output
    shown, _, decoded = result.output.partition("$ mobsec decode")
    for place in PLACES:
        assert f"X is at {place.name}" in shown
    for words in ("RREQ #5", "registered in", "binding moved: http", "intermediary added: Via"):
        assert words in shown, words
    assert "NOT VERIFIED" not in decoded
    for words in ("went on by TCP instead of UDP", "a proxy ends its connection", "127.51.100.2"):
        assert words in " ".join(decoded.split()), words
    assert capture.with_suffix(".esp_sa").exists()
    for line in shown.splitlines():
        assert len(line) <= 80 or str(capture) in line


def test_where_sockets_cannot_be_had(monkeypatch, tmp_path):
    def refuse():
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(live_demo, "run_on_loopback", refuse)
    result = CliRunner().invoke(cli, ["demo", "-w", str(tmp_path / "x.pcapng")])
    assert result.exit_code == 2
    assert "Operation not permitted" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [["handover"], ["-w", "x.esp_sa"]])
def test_what_cannot_be_asked_for(options):
    result = CliRunner().invoke(cli, ["demo", *options])
    assert result.exit_code == 2
