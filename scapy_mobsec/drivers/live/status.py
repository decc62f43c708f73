"""What a running terminal tells of itself, as a JSON object (docs/operating.md names its keys).

The terminal says how its links stand, a `Journal` what happened last on each. Times are seconds
since the Unix epoch. Nothing in it is a secret.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contrib_layers.numbers import LIFETIME_INFINITE
from scapy_mobsec.drivers.live.host import LiveHost
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.packet.path import Path, address_text
from scapy_mobsec.terminal.events import (
    BindingEnded,
    BindingMoved,
    Deregistered,
    Event,
    Moved,
    PathChosen,
    PathValidated,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
    Renewed,
)
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.status import LinkStatus, PathStatus, SaStatus
from scapy_mobsec.translation import describe_all

MAX_LINKS_TOLD = 256
"""More would hold the loop up; `links_left_out` counts them."""


@dataclass(slots=True)
class Latest:
    """What happened last on a link. `rtt`: seconds of the last round trip that was measured.

    `registration`: the one that tells what happens to packets on the current path, None if unknown.
    """

    moved: float | None = None
    moved_from: Path | None = None
    rtt: float | None = None
    expires: float | None = None
    registration: Registered | RegistrationReceived | None = None
    failure: str | None = None
    heard: RegistrationReceived | None = None

    @property
    def path(self) -> Path | None:
        """The path of that registration."""
        return self.registration.path if self.registration else None


class Journal:
    """Takes events, and keeps the latest for each link: bounded by the links there are.

    At X, whose events name no link, that of b"".
    """

    def __init__(self) -> None:
        self._latest: dict[bytes, Latest] = {}

    def of(self, home_address: bytes = b"") -> Latest:
        """Return what happened last on a link."""
        return self._latest.get(home_address) or Latest()

    def take(self, now: float, event: Event) -> None:
        """Note an event."""
        home = getattr(event, "home_address", b"")
        latest = self._latest.setdefault(home, Latest())
        match event:
            case Moved():
                latest.moved, latest.moved_from = now, event.old
            case Registered():
                latest.registration, latest.failure = event, None
                self._granted(latest, event, now)
            case Renewed():
                self._granted(latest, event, now)
            case PathChosen():
                latest.rtt = event.rtt
                if latest.path != event.new:
                    latest.registration = None
            case RegistrationFailed():
                latest.failure = event.reason.value
            case RegistrationReceived():
                latest.heard = event
                if event.path == latest.path:
                    latest.registration = event
            case BindingMoved():
                latest.moved, latest.moved_from = now, event.old
                heard = latest.heard
                latest.registration = heard if heard and heard.path == event.new else None
            case PathValidated():
                latest.rtt = event.seconds
            case BindingEnded() | Deregistered():
                latest.registration = latest.heard = latest.expires = None

    @staticmethod
    def _granted(latest: Latest, event: Registered | Renewed, now: float) -> None:
        latest.rtt = event.rtt
        infinite = event.lifetime == LIFETIME_INFINITE
        latest.expires = None if infinite else now - event.rtt + event.lifetime


class StatusTeller:
    """Tells how a host stands. `faults`: counts of what the machine refused, by name."""

    def __init__(self, journal: Journal, loop: Loop, faults: Iterable[Mapping[str, int]]) -> None:
        self._journal, self._loop, self._faults = journal, loop, tuple(faults)
        self._started = loop.now

    def mobile(self, host: LiveHost[MobileTerminal]) -> dict[str, Any]:
        """Return the status of X."""
        terminal, latest = host.terminal, self._journal.of()
        link = _link(terminal.status(), latest)
        return {
            **self._common("mobile", host),
            "inner_mtu": terminal.inner_mtu,
            "links": [{**link, "expires": latest.expires}],
            "links_left_out": 0,
        }

    def gateway(self, host: LiveHost[OtherTerminal]) -> dict[str, Any]:
        """Return the status of Y."""
        homes = host.terminal.home_addresses
        told = homes[:MAX_LINKS_TOLD]
        links = [_link(host.terminal.status(home), self._journal.of(home)) for home in told]
        return {
            **self._common("gateway", host),
            "links": links,
            "links_left_out": len(homes) - len(told),
        }

    def _common(
        self, role: str, host: LiveHost[MobileTerminal] | LiveHost[OtherTerminal]
    ) -> dict[str, Any]:
        terminal = host.terminal
        return {
            "role": role,
            "pid": os.getpid(),
            "started": self._started,
            "now": self._loop.now,
            "drops": {reason.name: count for reason, count in terminal.drops.most_common()},
            "faults": {name: count for each in self._faults for name, count in each.items()},
            "events_lost": terminal.events_lost,
        }


def _link(status: LinkStatus, latest: Latest) -> dict[str, Any]:
    registration = latest.registration
    return {
        "home_address": address_text(status.home_address),
        "state": status.state.name.lower(),
        "attempt": status.attempt,
        "path": status.path and str(status.path),
        "rtt": latest.rtt,
        "moved": latest.moved,
        "moved_from": latest.moved_from and str(latest.moved_from),
        "expires": status.expires,
        "translations": describe_all(registration.translations) if registration else None,
        "failure": latest.failure,
        "waiting": status.waiting,
        "paths": [_path(each) for each in status.paths],
        "sas": [_sa(each) for each in status.sas],
    }


def _path(status: PathStatus) -> dict[str, Any]:
    return {
        "path": str(status.path),
        "current": status.current,
        "validated": status.validated,
        "received": {"packets": status.received_packets, "octets": status.received_octets},
        "sent": {"packets": status.sent_packets, "octets": status.sent_octets},
    }


def _sa(status: SaStatus) -> dict[str, Any]:
    return {
        "spi": f"0x{status.spi:08x}",
        "protocol": "ah" if status.ah else "esp",
        "direction": "out" if status.outbound else "in",
        "sequence": status.sequence,
    }
