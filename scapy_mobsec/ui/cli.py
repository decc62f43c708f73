"""The `mobsec` command. Its help is the docstrings below; errors are one line and exit code 2.

Nothing heavy is imported before a command runs: `mobsec --help` loads neither Scapy nor numpy.
"""

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click
import typer

import scapy_mobsec

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="mobsec",
    help="Secure mobile IPsec links: see, do and test them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench_app = typer.Typer(help="Measure this machine, beside a peer in the same run.")
app.add_typer(bench_app, name="bench", no_args_is_help=True)


class OutputFormat(StrEnum):
    """How a result is printed."""

    text = "text"
    json = "json"


@app.command()
def decode(
    captures: Annotated[
        list[str] | None,
        typer.Argument(metavar="CAPTURE...", help="pcap or pcapng, plain or gzip; - is stdin."),
    ] = None,
    read: Annotated[
        list[str] | None,
        typer.Option("-r", "--read", metavar="CAPTURE", help="The same, as an option."),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            "--keys",
            metavar="KEYS",
            help="Wireshark esp_sa table; - is stdin. Without -k: your own Wireshark tables.",
        ),
    ] = None,
    output: Annotated[
        OutputFormat, typer.Option("-T", "--type", help="Tables for people or one JSON object.")
    ] = OutputFormat.text,
    count: Annotated[
        int | None, typer.Option("-c", "--count", min=1, help="Stop after so many packets.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="No notes, no progress, only the summary.")
    ] = False,
) -> None:
    """Decode captures: SAs, registrations, translations and moves.

    Decrypts ESP, native and in UDP, and tells what the network did to each registration.
    """
    from scapy_mobsec.ui.decode import run_decode

    sources = [*(read or ()), *(captures or ())]
    if not sources:
        raise click.UsageError("no capture given")
    if [*sources, *(keys or ())].count("-") > 1:
        raise click.UsageError("stdin (-) can be read only once")
    as_json = output is OutputFormat.json
    raise typer.Exit(run_decode(sources, keys, as_json=as_json, count=count, quiet=quiet))


@bench_app.command("codec")
def bench_codec_command(
    output: Annotated[
        OutputFormat, typer.Option("-T", "--type", help="A table for people or one JSON object.")
    ] = OutputFormat.text,
) -> None:
    """Build and parse RREQ and RREP: the engine's codec beside the Scapy layers."""
    from rich.console import Console

    from scapy_mobsec.ui.bench import bench_codec

    bench_codec(Console(), as_json=output is OutputFormat.json)


@app.command()
def demo(
    scenario: Annotated[str, typer.Argument(help="Name of a scenario.")] = "handover",
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Run on the simulated internet, in virtual time.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(
            "-w", "--write", metavar="FILE", help="Write the capture; its keys go to FILE.esp_sa."
        ),
    ] = None,
) -> None:
    """Show a handover: a mobile terminal moves behind a NAT and registers anew."""
    from rich.console import Console

    from scapy_mobsec.ui.demo import run_demo

    if not simulate:
        raise click.UsageError("only the simulated internet is there yet: give --simulate")
    run_demo(Console(), scenario, write)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"mobsec {scapy_mobsec.__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as no_arguments:
        typer.echo(no_arguments.format_message())
        code = EXIT_BAD_INPUT
    except click.ClickException as error:
        typer.echo(f"mobsec: {error.format_message()}", err=True)
        code = EXIT_BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    sys.exit(code or 0)
