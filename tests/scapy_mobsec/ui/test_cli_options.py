"""Options that several commands have."""

import click
from click.testing import CliRunner

from scapy_mobsec.ui.cli_options import output_option


def test_output():
    told = []
    command = click.command()(output_option(lambda output: told.append(output)))
    CliRunner().invoke(command, [])
    CliRunner().invoke(command, ["-T", "json"])
    assert CliRunner().invoke(command, ["-T", "csv"]).exit_code == 2
    assert told == ["text", "json"]
