"""Key files: of any format, or a folder of Wireshark's tables, in; any format out.

A folder is one of Wireshark, or of strongSwan's save-keys plugin, which writes the same tables.
"""

import os
import stat
import sys
import warnings
from pathlib import Path
from typing import TextIO

from scapy_mobsec.drivers.capture import CaptureError, open_capture, read_records
from scapy_mobsec.drivers.keys.esp_sa import write_esp_sa
from scapy_mobsec.drivers.keys.formats import (
    ESP_SA,
    FORMATS,
    IKEV2_TABLE,
    KeyFormat,
    format_of_name,
    reader_of,
)
from scapy_mobsec.drivers.keys.lines import BadLine, numbered_lines
from scapy_mobsec.drivers.keys.table import KeyFileError, KeyTable
from scapy_mobsec.drivers.pcapng import MAGIC as PCAPNG_MAGIC
from scapy_mobsec.encap.key_log import KeyLog

__all__ = [
    "FORMATS",
    "TABLES",
    "KeyFileError",
    "KeyFormat",
    "KeyTable",
    "format_of_name",
    "load_keys",
    "read_key_file",
    "read_key_log",
    "read_keys",
    "wireshark_key_files",
    "write_esp_sa",
    "write_key_file",
]

MAX_SIZE = 16 << 20
"""Characters of the longest file that is read."""

BYTE_ORDER_MARK = "\ufeff"
"""Editors of Windows begin files with it; in a stream it is no part of the encoding."""

TABLES = (ESP_SA, IKEV2_TABLE)
"""What is looked for in a folder, by these names."""


def read_keys(stream: TextIO, name: str) -> KeyTable:
    """Read keys of the format that the content shows; `name` is what errors call it.

    Raises KeyFileError. What is known and not decrypted here becomes a warning of the table.
    """
    text = stream.read(MAX_SIZE + 1).removeprefix(BYTE_ORDER_MARK)
    if len(text) > MAX_SIZE:
        raise KeyFileError(f"{name}:1: the file is longer than {MAX_SIZE} characters")
    read = reader_of(text)
    if read is None:
        first = next(numbered_lines(text), None)
        if first is None:
            return KeyTable()
        names = ", ".join(each.name for each in FORMATS)
        raise KeyFileError(f"{name}:{first[0]}: no key file ({names} or a log of charon)")
    try:
        return read(text, name)
    except BadLine as error:
        raise KeyFileError(f"{name}:{error.line}: {error}") from None


def read_key_file(path: str) -> KeyTable:
    """Read a file, stdin for `-`, or the tables of a folder. Raises KeyFileError, OSError."""
    name = "<stdin>" if path == "-" else path
    if not os.path.isdir(path):
        try:
            if path == "-":
                return read_keys(sys.stdin, name)
            with open(path, encoding="utf-8") as stream:
                return read_keys(stream, name)
        except UnicodeDecodeError:
            raise KeyFileError(f"{name}: not a key file: no UTF-8 text") from None
    tables = [Path(path, each.name) for each in TABLES if Path(path, each.name).is_file()]
    if not tables:
        raise KeyFileError(f"{path}: no {' or '.join(each.name for each in TABLES)} in this folder")
    joined = KeyTable()
    for table in tables:
        joined.extend(read_key_file(str(table)))
    return joined


def load_keys(*paths: str | os.PathLike[str]) -> KeyTable:
    """Read key files of any format, folders of Wireshark's tables, or stdin (`-`), into one table.

    What is in them and cannot be used is a warning. Raises KeyFileError (`file:line: reason`),
    OSError.

    >>> load_keys("pcaps/handover-nat.esp_sa", "pcaps/strongswan-natt.ike.keys.txt")
    <KeyTable: 4 SAs, 1 IKE SA>
    """
    table = KeyTable()
    for path in paths:
        table.extend(read_key_file(os.fspath(path)))
    for warning in table.warnings:
        warnings.warn(warning, stacklevel=2)
    return table


def read_key_log(path: str, into: KeyLog) -> None:
    """Add a TLS key log (stdin for `-`), or those in a pcapng. Raises KeyFileError, OSError."""
    try:
        if path == "-":
            into.read(line.removeprefix(BYTE_ORDER_MARK) for line in sys.stdin)
        elif not _is_pcapng(path):
            with open(path, encoding="utf-8-sig") as stream:
                into.read(stream)
        else:
            with open_capture(path) as capture:
                for _ in read_records(capture, lambda text: into.read(text.splitlines())):
                    pass
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: not a TLS key log: no UTF-8 text") from None
    except (ValueError, CaptureError) as error:
        raise KeyFileError(f"{path}: not a TLS key log: {error}") from error


def _is_pcapng(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(PCAPNG_MAGIC)) == PCAPNG_MAGIC


def write_key_file(path: str, text: str) -> None:
    """Write a file that only its owner can read. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="\n") as stream:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
        stream.write(text)


def wireshark_key_files() -> list[Path]:
    """List the user's own key tables, where Wireshark would look for them; empty if none.

    That is in WIRESHARK_CONFIG_DIR, else $XDG_CONFIG_HOME/wireshark, else ~/.wireshark.
    """
    configured = os.environ.get("WIRESHARK_CONFIG_DIR")
    if configured:
        folders = [Path(configured)]
    else:
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        folders = [Path(config, "wireshark"), Path.home() / ".wireshark"]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        return []
    return [folder / each.name for each in TABLES if (folder / each.name).is_file()]
