"""The command line of terminals: what is asked for reaches what runs it."""

import click
import pytest
from click.testing import CliRunner

from scapy_mobsec.ui import cli_terminals, terminals
from scapy_mobsec.ui import status as status_view


@pytest.fixture
def calls(monkeypatch):
    calls = []

    def record(name):
        def run(*arguments, **options):
            calls.append((name, arguments, options))
            return 0

        return run

    for name in ("run_gateway", "run_mobile", "run_move"):
        monkeypatch.setattr(terminals, name, record(name))
    monkeypatch.setattr(status_view, "run_status", record("run_status"))
    return calls


@pytest.fixture
def config(tmp_path):
    (tmp_path / "x.toml").write_text("")
    return tmp_path / "x.toml"


def run(command, *arguments):
    return CliRunner().invoke(command, [*map(str, arguments)], standalone_mode=False)


def test_gateway(calls, config):
    run(cli_terminals.gateway, config, "-v")
    assert calls == [("run_gateway", (config,), {"use_tun": True, "verbose": True})]


def test_mobile(calls, config):
    run(cli_terminals.mobile, config, "--no-tun", "--via", "udp:4500", "--via", "http")
    options = {"use_tun": False, "verbose": False}
    assert calls == [("run_mobile", (config, ("udp:4500", "http")), options)]


def test_move(calls, config):
    run(cli_terminals.mobile, config, "--move", "10.0.0.2", "--via", "tcp:443")
    assert calls == [("run_move", (config, ("10.0.0.2",), ("tcp:443",)), {})]


def test_status(calls, config):
    run(cli_terminals.status, config, "-T", "json")
    ((name, (target, _), options),) = calls
    assert (name, target, options) == ("run_status", config, {"as_json": True})


@pytest.mark.parametrize("command", [cli_terminals.gateway, cli_terminals.mobile])
def test_a_file_that_is_not_there(command):
    assert isinstance(run(command, "/none.toml").exception, click.UsageError)
