"""Files that a command writes: never one that it reads, and none of them twice."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import click

from scapy_mobsec.drivers.keyfiles import TABLES


class CannotWrite(click.ClickException):
    """There is no writing to where the user wants it; one line, exit code 2."""

    exit_code = 2


def check_outputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Tell before anything is opened whether a file would be lost; `-` is stdin and stdout.

    Files are the same by device and inode, whatever their names; those that are not there yet, by
    name. Of a folder the key tables in it are read. Raises CannotWrite.
    """
    read = {_identity(file) for name in inputs for file in _files(name)}
    written = set[object]()
    for name in outputs:
        identity = _identity(name)
        if identity is None:
            continue
        if identity in read:
            raise CannotWrite(f"{name}: is read, and cannot be written at once")
        if identity in written:
            raise CannotWrite(f"{name}: cannot be written twice at once")
        written.add(identity)


def _files(name: str) -> list[str]:
    tables = [str(Path(name, table.name)) for table in TABLES]
    return tables if os.path.isdir(name) else [name]


def _identity(name: str) -> object:
    """None for what keeps nothing, as stdout, a pipe or a terminal."""
    if name == "-":
        return None
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        return os.path.realpath(name)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
