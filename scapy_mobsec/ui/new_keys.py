"""`mobsec keys new`: makes a gateway and its mobile terminals, and says what comes next."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

import click

from scapy_mobsec.drivers.live.carrier_texts import parse_carriers, parse_target
from scapy_mobsec.drivers.live.new_keys import NEW_SUITES, NewKeysError, Wanted, make_new_keys
from scapy_mobsec.drivers.store import StoreError
from scapy_mobsec.ui.decode import BadInput

S = TypeVar("S")
T = TypeVar("T")


def run_new_keys(
    folder: Path,
    gateway: str,
    carriers: Sequence[str],
    home: str,
    signalling: str,
    *,
    mobiles: int,
    suite: str,
    mode: str,
    ah: bool,
) -> None:
    """Make all files and name them; the texts are read here. Raises BadInput."""
    if suite not in NEW_SUITES:
        raise BadInput(f"--suite: none of {', '.join(NEW_SUITES)}")
    wanted = Wanted(
        _read("--gateway", parse_target, gateway),
        _read("--carrier", parse_carriers, carriers),
        _read("--home", ip_address, home),
        _read("--signalling", ip_address, signalling),
        mobiles,
        suite,
        mode,
        ah,
    )
    try:
        made = make_new_keys(folder, wanted)
    except (NewKeysError, StoreError) as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise BadInput(f"{error.filename or folder}: {error.strerror}") from error
    click.echo("Made, for you alone to read:")
    for file in made:
        click.echo(f"  {file}")
    click.echo("Next, at the gateway, and at the mobile terminal with its files moved there:")
    click.echo(f"  mobsec gateway {folder / 'gateway.toml'}")
    click.echo(f"  mobsec mobile {folder / wanted.names[0]}.toml")


def _read(option: str, parse: Callable[[S], T], text: S) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from None
