"""`mobsec gateway` and `mobsec mobile`: terminals that run until a signal, or `stop`, ends them.

The log goes to stderr, a line of key=value pairs for each thing. The first SIGTERM or SIGINT lets a
mobile terminal de-register, for a short time; the second does not wait for that.
"""

import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from scapy_mobsec.drivers.live.carrier_texts import encapsulations_of, parse_carriers
from scapy_mobsec.drivers.live.control import ControlError, ask
from scapy_mobsec.drivers.live.faults import CannotOpen
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.opening import (
    Running,
    RunningGateway,
    RunningMobile,
)
from scapy_mobsec.drivers.live.rights import RightsError
from scapy_mobsec.drivers.live.settings import SettingsError, load_gateway, load_mobile
from scapy_mobsec.drivers.live.tun_device import TunError
from scapy_mobsec.drivers.store import StoreError
from scapy_mobsec.ui.event_log import EventLog, key_values

EXIT_FAILED = 1
GOODBYE = 2.0
"""Seconds for the reply to a de-registration."""

R = TypeVar("R", bound=Running[Any, Any])

_ENDING = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger("mobsec")


def run_gateway(file: Path, *, use_tun: bool, verbose: bool) -> int:
    """Run a gateway; return the exit code. Raises ClickException."""
    with _bad_input_told():
        settings = load_gateway(file)

    def make(loop: Loop) -> RunningGateway:
        return RunningGateway(settings, loop, EventLog().take, use_tun=use_tun)

    return _run(make, lambda running: lambda: True, verbose=verbose)


def run_mobile(file: Path, via: Sequence[str], *, use_tun: bool, verbose: bool) -> int:
    """Run a mobile terminal; return the exit code. `via`: instead of what the file allows.

    Raises ClickException.
    """
    with _bad_input_told():
        settings = load_mobile(file)
        if items := parse_carriers(via):
            start = encapsulations_of(items)
            settings = settings.model_copy(update={"allow": items, "start": start})

    def make(loop: Loop) -> RunningMobile:
        return RunningMobile(settings, loop, EventLog().take, use_tun=use_tun)

    return _run(make, RunningMobile.leave, verbose=verbose)


def run_move(file: Path, addresses: Sequence[str], via: Sequence[str]) -> int:
    """Ask a mobile terminal that runs to move; return the exit code. Raises ClickException."""
    with _bad_input_told():
        settings = load_mobile(file)
        parse_carriers(via)
    request = {"do": "move", "addresses": list(addresses), "via": list(via)}
    try:
        answer = ask(settings.control_file, request)
    except ControlError as error:
        return _failed(error)
    click.echo(f"attempt {answer.get('attempt')}: {answer.get('path') or 'no way to the gateway'}")
    return 0


def _run(
    make: Callable[[Loop], R], leave: Callable[[R], Callable[[], bool]], *, verbose: bool
) -> int:
    loop = Loop()
    with _bad_input_told(), _logging(verbose=verbose), _signals(loop):
        try:
            running = make(loop)
        except TunError as error:
            return _failed(f"{error}; --no-tun does without")
        except (StoreError, CannotOpen, RightsError) as error:
            return _failed(error)
        with running:
            _log.info(
                "%s",
                key_values({"state": "running", "control": str(running.settings.control_file)}),
            )
            loop.run()
            _log.info("state=stopping")
            loop.run(leave(running), seconds=GOODBYE)
        _log.info("state=stopped")
    loop.close()
    return 0


def _failed(why: object) -> int:
    click.echo(f"mobsec: {why}", err=True)
    return EXIT_FAILED


@contextmanager
def _bad_input_told() -> Iterator[None]:
    try:
        yield
    except (SettingsError, ValueError) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _signals(loop: Loop) -> Iterator[None]:
    """Let signals stop the loop."""
    before = {number: signal.signal(number, lambda *_: loop.call(loop.stop)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _logging(*, verbose: bool) -> Iterator[None]:
    """Let the log of the program go to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    _log.addHandler(handler)
    _log.setLevel(logging.DEBUG if verbose else logging.INFO)
    try:
        yield
    finally:
        _log.removeHandler(handler)


class _Line(logging.Formatter):
    """A line with its time, in UTC, and its level."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level = record.levelname.lower()
        return f"time={time.removesuffix('+00:00')}Z level={level} {record.getMessage()}"
