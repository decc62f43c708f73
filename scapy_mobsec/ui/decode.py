"""`mobsec decode`: captures and keys in, a report out."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from scapy_mobsec.drivers.capture import (
    CaptureError,
    CaptureTruncated,
    open_capture,
    read_records,
)
from scapy_mobsec.drivers.keyfiles import (
    KeyFileError,
    KeyTable,
    read_key_file,
    read_key_log,
    wireshark_key_files,
)
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.seen import SeenPacket
from scapy_mobsec.ui.live import LiveLines, observe_live
from scapy_mobsec.ui.output import Output, Wanted
from scapy_mobsec.ui.packet_output import PacketOutput, packet_output
from scapy_mobsec.ui.written import check_outputs

EXIT_INTERRUPTED = 130
LONG_FILE = 8 << 20
"""Octets from which a capture gets a progress bar."""
PROGRESS_EVERY = 4096
"""Packets from one step of the bar to the next."""


class BadInput(click.ClickException):
    """Something the user gave cannot be used; one line, exit code 2."""

    exit_code = 2


def run_decode(
    captures: Sequence[str],
    keys: Sequence[str] | None,
    tls_keys: Sequence[str] = (),
    tcp_ports: Sequence[int] = (),
    *,
    wanted: Wanted,
    count: int | None,
    write: str | None = None,
    keep_outer: bool = False,
    interface: str | None = None,
    bpf: str = "",
) -> int:
    """Decode captures in the order given, as one observation. Returns the exit code.

    tls_keys: key logs; more may be in the captures. tcp_ports: read beside the usual ones.
    write: where inner packets go, or with `keep_outer` the frames; the report then gives way to
    stderr if that is stdout. interface: what passes there is decoded instead of captures, if the
    filter `bpf` lets it through.

    Raises BadInput for captures and key files that cannot be used, after printing what was decoded
    before; CannotWrite.
    """
    messages = Console(
        stderr=True, soft_wrap=True, highlight=False, markup=False, quiet=wanted.quiet
    )
    outputs = [str(name) for name in (write, wanted.svg) if name is not None]
    check_outputs(outputs, [*captures, *key_files(keys), *tls_keys])
    key_log = given_tls_keys(tls_keys)
    table = given_keys(keys, messages)
    writing = packet_output(write, keep_outer=keep_outer, warn=warn) if write else nullcontext()
    stream = sys.stderr if write == "-" else sys.stdout
    output = Output(wanted, stream)
    live = LiveLines(stream) if interface and wanted.kind == "text" and not wanted.quiet else None
    interrupted, unusable = False, None
    with writing as packets:
        takers = [output.on_packet, packets and packets.take, live and output.filtered(live.take)]
        observer = Observer(
            table,
            table.ike_keys,
            tls_keys=key_log,
            tcp_ports=tcp_ports,
            on_packet=_to_all([taker for taker in takers if taker]),
        )
        try:
            for name in captures:
                observe_capture(observer, name, messages, count, key_log, packets)
            if interface:
                _observe_live(observer, interface, bpf, messages, count, packets)
        except KeyboardInterrupt:
            interrupted = True
            warn(f"interrupted after {observer.packets} packets")
        except BadInput as error:
            if not observer.packets:
                raise
            unusable = error
        observer.finish()
    output.print(observer)
    if unusable:
        raise unusable
    return EXIT_INTERRUPTED if interrupted else 0


def _observe_live(
    observer: Observer,
    interface: str,
    bpf: str,
    messages: Console,
    count: int | None,
    packets: PacketOutput | None,
) -> None:
    """Do `observe_live`. Raises BadInput."""

    def say(text: str) -> None:
        messages.print(f"mobsec: {text}")

    try:
        observe_live(observer, interface, bpf, count=count, packets=packets, say=say, warn=warn)
    except CaptureError as error:
        raise BadInput(str(error)) from error


def _to_all(
    takers: Sequence[Callable[[SeenPacket], None]],
) -> Callable[[SeenPacket], None] | None:
    """One function for all of them; None for none, so that nothing is told."""
    if len(takers) < 2:
        return takers[0] if takers else None

    def take(seen: SeenPacket) -> None:
        for taker in takers:
            taker(seen)

    return take


def key_files(names: Sequence[str] | None) -> Sequence[str]:
    """Return what is read for keys; without names, the user's own Wireshark tables."""
    return [str(path) for path in wireshark_key_files()] if names is None else names


def given_keys(names: Sequence[str] | None, messages: Console) -> KeyTable:
    """Read key files; without names the user's own Wireshark tables, and say so.

    Who names /dev/null wants no keys, and no word about it.
    """
    own = names is None
    paths = key_files(names)
    table = KeyTable()
    for name in paths:
        read = read_key_source(name)
        table.extend(read)
        if own:
            count = len(read.rows) + len(read.ike_keys)
            messages.print(f"mobsec: keys from Wireshark's table {name} ({count} rows)")
        elif not (read.rows or read.ike_keys or read.warnings or name == os.devnull):
            warn(f"warning: {name}: no keys in it")
    if own and not paths:
        messages.print("mobsec: no keys given (-k) and no Wireshark table found")
    return table


def read_key_source(name: str) -> KeyTable:
    """Read a key file, a folder, or stdin (`-`); warn of what is not used. Raises BadInput."""
    try:
        table = read_key_file(name)
    except KeyFileError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}") from error
    for warning in table.warnings:
        warn(f"warning: {warning}")
    return table


def given_tls_keys(names: Sequence[str]) -> KeyLog:
    """Read TLS key logs. Raises BadInput."""
    key_log = KeyLog()
    for name in names:
        try:
            read_key_log(name, key_log)
        except KeyFileError as error:
            raise BadInput(str(error)) from error
        except OSError as error:
            raise BadInput(f"{name}: {error.strerror}") from error
    return key_log


def secrets_into(tls_keys: KeyLog, name: str) -> Callable[[str], None]:
    """Return what takes the TLS key logs of a capture; a wrong one is a warning."""

    def take(key_log: str) -> None:
        try:
            tls_keys.read(key_log.splitlines())
        except ValueError as error:
            warn(f"warning: {name}: TLS secrets: {error}")

    return take


def observe_capture(
    observer: Observer,
    name: str,
    messages: Console,
    count: int | None,
    tls_keys: KeyLog,
    packets: PacketOutput | None = None,
) -> None:
    """Feed one capture, up to `count` packets in all; TLS secrets in it go to `tls_keys`.

    packets: gets each frame before it is observed.

    A truncated end is a warning: what was whole is decoded. Raises BadInput for other faults.
    """
    if observer.packets == count:
        return
    with opened_capture(name) as stream, _progress(stream, name, messages) as advance:
        for record in read_records(stream, secrets_into(tls_keys, name)):
            if observer.packets == count:
                return
            if packets:
                packets.begin(record)
            observer.feed(record.time_ns, record.data, record.link_type, record.original_length)
            if not observer.packets % PROGRESS_EVERY:
                advance()


@contextmanager
def opened_capture(name: str) -> Iterator[BinaryIO]:
    """Open a capture to be read. A truncated end is a warning; raises BadInput for other faults."""
    try:
        with open_capture(name) as stream:
            yield stream
    except CaptureTruncated as error:
        warn(f"warning: {name}: {error}")
    except CaptureError as error:
        raise BadInput(f"{name}: {error}") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror or error}") from error


def warn(text: str) -> None:
    """Print a line on stderr."""
    click.echo(f"mobsec: {text}", err=True)


@contextmanager
def _progress(stream: BinaryIO, name: str, messages: Console) -> Iterator[Callable[[], None]]:
    """A progress bar for long files, on a terminal only. Yields what moves it on."""
    size = 0 if name == "-" else os.fstat(stream.fileno()).st_size
    if size < LONG_FILE or not messages.is_terminal or messages.quiet:
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=messages, transient=True) as progress:
        task = progress.add_task(Path(name).name, total=size)
        yield lambda: progress.update(task, completed=stream.tell())
