"""The commands of `mobsec` that run terminals, and look at them."""

from pathlib import Path

import click

from scapy_mobsec.ui.cli_options import output_option

CONFIGURATION = click.Path(exists=True, dir_okay=False, path_type=Path)
no_tun_option = click.option(
    "--no-tun",
    is_flag=True,
    help="Without a TUN device, which needs rights: inside, pings and UDP echo are answered.",
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Log renewals, probes and challenges, too."
)


@click.command()
@click.argument("config", type=CONFIGURATION)
@no_tun_option
@verbose_option
def gateway(config: Path, no_tun: bool, verbose: bool) -> int:
    """Run the other terminal, to which mobile terminals register, until SIGTERM or Ctrl-C.

    CONFIG is a TOML file, as `mobsec keys new` writes it. The log goes to stderr. Exit codes: 0
    ended as asked, 1 it could not run, 2 something in CONFIG cannot be used.
    """
    from scapy_mobsec.ui.terminals import run_gateway

    return run_gateway(config, use_tun=not no_tun, verbose=verbose)


@click.command()
@click.argument("config", type=CONFIGURATION)
@no_tun_option
@click.option(
    "--via",
    metavar="CARRIER",
    multiple=True,
    help="Allow this, as udp:4500, tcp:443 or http, instead of what CONFIG allows; may repeat.",
)
@click.option(
    "--move",
    "addresses",
    metavar="ADDRESS[:PORT]",
    multiple=True,
    help="Ask the one that runs with CONFIG to go on from this local address; may repeat, the "
    "preferred one first.",
)
@verbose_option
def mobile(
    config: Path, no_tun: bool, via: tuple[str, ...], addresses: tuple[str, ...], verbose: bool
) -> int:
    """Run a mobile terminal until SIGTERM or Ctrl-C, or move one that runs.

    CONFIG is a TOML file, as `mobsec keys new` writes it. The log goes to stderr. Exit codes: 0
    ended as asked, 1 it could not run, 2 something in CONFIG cannot be used.
    """
    from scapy_mobsec.ui.terminals import run_mobile, run_move

    if addresses:
        return run_move(config, addresses, via)
    return run_mobile(config, via, use_tun=not no_tun, verbose=verbose)


@click.command()
@click.argument("target", metavar="CONFIG|SOCKET", type=click.Path(path_type=Path))
@output_option
def status(target: Path, output: str) -> int:
    """Show a terminal that runs: links, paths, translations, counters.

    Exit codes: 0 shown, 1 nothing runs there, 2 CONFIG cannot be used.
    """
    from rich.console import Console

    from scapy_mobsec.ui.status import run_status

    return run_status(target, Console(highlight=False), as_json=output == "json")
