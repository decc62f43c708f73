"""`mobsec status`: what a running terminal tells of itself, as tables or as the JSON that it is."""

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from scapy_mobsec.drivers.live.control import ControlError, ask
from scapy_mobsec.drivers.live.settings import SettingsError, load_terminal
from scapy_mobsec.drops import DropReason
from scapy_mobsec.ui.tables import add_row, shown, table_of
from scapy_mobsec.ui.views import widen_pipe

EXIT_FAILED = 1


def run_status(target: Path, console: Console, *, as_json: bool) -> int:
    """Print the status of the terminal of a configuration or a control socket; return the exit
    code. Raises ClickException.
    """
    try:
        status = ask(_socket(target), {"do": "status"})
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    except ControlError as error:
        click.echo(f"mobsec: {error}", err=True)
        return EXIT_FAILED
    if as_json:
        click.echo(json.dumps(status, indent=2))
    else:
        print_status(status, console)
    return 0


def print_status(status: Mapping[str, Any], console: Console) -> None:
    """Print a status as tables."""
    widen_pipe(console)
    now = status["now"]
    console.print(
        f"{status['role']}: process {status['pid']}, runs for {_seconds(now - status['started'])}"
        + (f", inner MTU {status['inner_mtu']}" if "inner_mtu" in status else "")
    )
    for table in (
        _links(status, now),
        _paths(status["links"]),
        _sas(status["links"]),
        _counts("Dropped packets", "Reason", _by_sentence(status["drops"])),
        _counts("Refused by this machine", "What", status["faults"]),
    ):
        if table.row_count:
            console.print()
            console.print(table)
    if status["links_left_out"]:
        console.print(f"and {status['links_left_out']} links more, which are not told")


def _socket(target: Path) -> Path:
    """Return the control socket that is meant. Raises SettingsError."""
    try:
        if stat.S_ISSOCK(target.stat().st_mode):
            return target
    except OSError as error:
        raise SettingsError(f"{target}: {error.strerror}") from None
    return load_terminal(target).control_file


def _links(status: Mapping[str, Any], now: float) -> Table:
    table = table_of("Links", "Home", "State", "Path", "RTT", "Moved", "Expires", "Translations")
    for link in shown(table, status["links"]):
        state = link["state"] if link["attempt"] is None else f"{link['state']} #{link['attempt']}"
        translations = link["translations"]
        add_row(
            table,
            link["home_address"],
            f"{state}\n{link['failure']}" if link["failure"] else state,
            link["path"] or "",
            "" if link["rtt"] is None else f"{link['rtt'] * 1e3:.3f} ms",
            "" if link["moved"] is None else _moved(link, now),
            "" if link["expires"] is None else f"in {_seconds(link['expires'] - now)}",
            "" if translations is None else "\n".join(translations) or "none",
        )
    return table


def _moved(link: Mapping[str, Any], now: float) -> str:
    text = f"{_seconds(now - link['moved'])} ago"
    return f"{text}\nfrom {link['moved_from']}" if link["moved_from"] else text


def _paths(links: list[Mapping[str, Any]]) -> Table:
    table = table_of("Paths", "Home", "Path", "", "Received", "Sent", "Waiting")
    rows = [(link, path) for link in links for path in link["paths"]]
    for link, path in shown(table, rows):
        marks = [mark for mark in ("current", "validated") if path[mark]]
        counts = [
            f"{each['packets']} packets\n{each['octets']} octets"
            for each in (path["received"], path["sent"])
        ]
        waiting = str(link["waiting"]) if path["current"] and link["waiting"] else ""
        add_row(table, link["home_address"], path["path"], ", ".join(marks), *counts, waiting)
    return table


def _sas(links: list[Mapping[str, Any]]) -> Table:
    table = table_of("SAs", "Home", "SPI", "Protocol", "Direction", "Sequence number")
    rows = [(link["home_address"], sa) for link in links for sa in link["sas"]]
    for home, sa in shown(table, rows):
        add_row(table, home, sa["spi"], sa["protocol"], sa["direction"], str(sa["sequence"]))
    return table


def _counts(title: str, column: str, counts: Mapping[str, int]) -> Table:
    table = table_of(title, column, "Count")
    for name, count in shown(table, list(counts.items())):
        add_row(table, name, str(count))
    return table


def _by_sentence(drops: Mapping[str, int]) -> dict[str, int]:
    names = DropReason.__members__
    return {names[name].value if name in names else name: count for name, count in drops.items()}


def _seconds(seconds: float) -> str:
    """Write a duration as people do."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
