"""The figures have their shape; how fast it is depends on the machine and is not tested."""

import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from scapy_mobsec.ui import bench_engine as bench
from scapy_mobsec.ui.bench_engine import EngineFigures, LinksFigure, RateFigure
from scapy_mobsec.ui.cli import cli, main

FIGURES = EngineFigures(
    rates=(
        RateFigure("bare prototype", 1200, 224, 200_000.0, 210_000.0, 1.0),
        RateFigure("move", 1200, 240, 41_000.5, 42_000.0, 0.205),
    ),
    links=(LinksFigure(1, 40_123.0, 51.5), LinksFigure(100_000, 39_876.0, 140.0)),
    link_octets=3_210.0,
    registration_octets=2_109.0,
)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(bench, "_ROUND", 20)
    monkeypatch.setattr(bench, "_SAMPLE", 4)
    monkeypatch.setattr(bench, "_LOOKUPS", 10)


def test_figures_of_a_short_run(short):
    figures = bench.engine_figures(links=6, seconds=0)
    assert [each.transaction for each in figures.rates] == ["bare prototype", "move", "refresh"]
    for rate in figures.rates:
        assert 0 < rate.median <= rate.best
        assert rate.octets_in >= 1200
        assert 0 < rate.octets_out <= 3 * rate.octets_in
    assert [each.links for each in figures.links] == [1, 6]
    for each in figures.links:
        assert each.moves > 0
        assert each.lookup > 0


def test_the_transactions_are_what_they_are_called(short):
    """A move challenges a new path; a refresh is answered on a validated one, without one."""
    for prepare, challenged in ((bench._moves_round, True), (bench._refreshes_round, False)):
        terminal, datagrams = prepare()
        for data, path in datagrams:
            terminal.receive(data, path, bench._NOW)
            assert len(terminal.transmits(bench._NOW)) == 1
            assert (terminal.timer() <= bench._NOW + 0.5) is challenged
        assert not terminal.drops
        assert len({path for _, path in datagrams}) == (20 if challenged else 1)


def test_what_is_not_answered_is_not_counted(short):
    terminal, datagrams = bench._moves_round()
    with pytest.raises(RuntimeError, match="dropped"):
        bench._register(terminal, [datagrams[0], datagrams[0]])


def test_tables(console):
    bench.bench_engine(console, FIGURES)
    text = console.file.getvalue()
    for word in ("move", "1200", "240", "41,000", "42,000", "20%", "100,000", "39,876", "140"):
        assert word in text
    assert "3,210 octets a link, 2,109 more" in text


def test_json(console):
    bench.bench_engine(console, FIGURES, as_json=True)
    shown = json.loads(console.file.getvalue())["engine"]
    assert shown["rates"][1]["ratio"] == 0.205
    assert shown["links"][1] == {"links": 100_000, "moves": 39_876.0, "lookup": 140.0}
    assert shown["link_octets"] == 3_210


def test_command(short):
    result = CliRunner().invoke(cli, ["bench", "engine", "--links", "1", "--seconds", "0"])
    assert result.exit_code == 0
    assert "transactions per second and core" in result.output


@pytest.mark.parametrize("options", [["--links", "0"], ["--links", "many"], ["--seconds", "-1"]])
def test_bad_options_are_one_line(options, capsys):
    with pytest.raises(SystemExit) as left:
        main(["bench", "engine", *options])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("mobsec: ")
    assert error.count("\n") == 1
