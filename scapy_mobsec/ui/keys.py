"""`mobsec keys convert`: keys in, keys out; what is lost on the way is said by name."""

import os
import sys

import click

from scapy_mobsec.drivers.keyfiles import (
    FORMATS,
    TABLES,
    KeyFormat,
    KeyTable,
    format_of_name,
    write_key_file,
)
from scapy_mobsec.ui.decode import BadInput, read_key_source
from scapy_mobsec.ui.written import check_outputs

FOLDER = "wireshark"
"""What `--to` calls a folder with both tables of Wireshark."""


def run_convert(source: str, target: str, kind: str | None) -> None:
    """Convert; `kind` is a name of FORMATS, FOLDER, or None: told by the target.

    Raises BadInput for what cannot be read, told or written, CannotWrite for what is read.
    """
    formats: tuple[KeyFormat, ...]
    if kind == FOLDER or (kind is None and (target.endswith("/") or os.path.isdir(target))):
        if target == "-":
            raise BadInput("-: a folder is written, not stdout")
        formats = TABLES
    else:
        formats = (_format(target, kind),)
    in_folder = formats is TABLES
    files = [os.path.join(target, each.name) for each in formats] if in_folder else [target]
    check_outputs(files, [source])
    table = read_key_source(source)
    if not (table.rows or table.ike_keys):
        raise BadInput(f"{source}: no keys in it")
    try:
        sas, ike_sas = _write(table, formats, target, in_folder=in_folder)
    except OSError as error:
        raise BadInput(f"{target}: {error.strerror}") from error
    names = FOLDER if in_folder else formats[0].name
    click.echo(f"mobsec: written as {names}: SAs {sas}, IKE SAs {ike_sas}", err=True)


def _format(target: str, kind: str | None) -> KeyFormat:
    if kind is not None:
        return next(each for each in FORMATS if each.name == kind)
    found = format_of_name(target)
    if found is None:
        raise BadInput(f"{target}: its name does not tell the format: give --to")
    return found


def _write(
    table: KeyTable, formats: tuple[KeyFormat, ...], target: str, *, in_folder: bool
) -> tuple[int, int]:
    """Write a file of each format that something is left for. Returns the SAs and IKE SAs in them.

    Raises BadInput if there is none, OSError.
    """
    written = [(each, each.write(_share(table, each) if in_folder else table)) for each in formats]
    for _, what in written:
        for warning in what.warnings:
            click.echo(f"mobsec: warning: {warning}", err=True)
    written = [(each, what) for each, what in written if what.sas or what.ike_sas]
    if not written:
        raise BadInput(f"{target}: nothing of it can be written in this format")
    if in_folder:
        os.makedirs(target, mode=0o700, exist_ok=True)
    for each, what in written:
        if target == "-":
            sys.stdout.write(what.text)
        else:
            write_key_file(os.path.join(target, each.name) if in_folder else target, what.text)
    return sum(what.sas for _, what in written), sum(what.ike_sas for _, what in written)


def _share(table: KeyTable, each: KeyFormat) -> KeyTable:
    """Return what a table of a folder is for."""
    share = KeyTable()
    for row in table.rows if each.name == "esp_sa" else ():
        share.add(row)
    for keys in table.ike_keys if each.name == "ikev2_decryption_table" else ():
        share.add(keys)
    return share
