"""The log of a running terminal: a line of key=value pairs for each event, by `logging`.

What a peer can bring about at will, packets that are dropped, is told less and less often, with
its count. Reasons that tell of a wrong configuration are told with a hint.
"""

import json
import logging
import re
from collections import Counter
from dataclasses import fields
from enum import Enum
from typing import Any

from scapy_mobsec.drivers.live.faults import Pauses
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Path, address_text
from scapy_mobsec.terminal.events import (
    BindingMoved,
    CertificateRefused,
    ChallengeAnswered,
    Event,
    FailureReason,
    KeepaliveLost,
    Moved,
    PacketDropped,
    PathRejected,
    PathValidated,
    ProxyRefused,
    RaceSuspected,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
    Renewed,
    StreamLost,
    Suspended,
)
from scapy_mobsec.translation import Translation, describe_all

HINT_AFTER = 3
"""Packets in a row that were dropped for a reason, until a hint follows."""

HINTS = {
    DropReason.BAD_ICV: "the keys of both ends are not of one pair: `mobsec keys new` makes pairs",
    DropReason.UNKNOWN_SPI: "the other end has SAs that are not in the configuration here",
    DropReason.WRONG_IDENTITY: "the home addresses of both ends are not the same",
    DropReason.OUTSIDE_POLICY: "the addresses or networks of both ends are not the same",
    DropReason.UNKNOWN_NEXT_HEADER: "both ends do not have the same mode",
    DropReason.UNKNOWN_CARRIER: "the other end uses an encapsulation that is not configured here",
    DropReason.TOO_OLD: "after a restart the other end skips numbers; that takes a few seconds",
}
NO_REPLY_HINT = (
    "is the gateway running there, with the keys of this pair? its log says what it drops"
)

_WARNINGS = (
    CertificateRefused,
    KeepaliveLost,
    PathRejected,
    ProxyRefused,
    RaceSuspected,
    RegistrationFailed,
    StreamLost,
    Suspended,
)
_DETAILS = (ChallengeAnswered, PathValidated, RegistrationReceived, Renewed)
_NOT_TOLD = frozenset(
    {"sent", "observed", "before", "supported", "selected", "identification"}
    | {"sent_octets", "observed_octets", "translation_octets"}
)
_PLAIN = re.compile(r"[!#-<>-~]+")

_log = logging.getLogger("mobsec")


def key_values(pairs: dict[str, str]) -> str:
    """Write pairs; a value with spaces, quotes or an equals sign in it is a JSON string."""
    return " ".join(
        f"{key}={value if _PLAIN.fullmatch(value) else json.dumps(value)}"
        for key, value in pairs.items()
    )


def event_pairs(event: Event) -> dict[str, str]:
    """Return what an event says, as texts by the names of its fields; what is None is left out."""
    told = {name: getattr(event, name) for name in _names(type(event))}
    if isinstance(event, RegistrationReceived):
        told["translations"] = event.translations
    elif isinstance(event, Moved):
        told["new"] = event.new or "none"
    pairs = {"event": _event_name(type(event))}
    pairs.update((name, _text(value)) for name, value in told.items() if value is not None)
    return pairs


class EventLog:
    """Writes events to the log of the program; `take` is what a `LiveHost` tells them to."""

    def __init__(self) -> None:
        self._pauses = Pauses()
        self._drops: Counter[DropReason] = Counter()
        self._in_row: tuple[DropReason | None, int] = None, 0
        self._received: RegistrationReceived | None = None

    def take(self, now: float, event: Event) -> None:
        """Write an event, unless it was told too often."""
        if isinstance(event, PacketDropped):
            self._dropped(event, now)
            return
        if isinstance(event, Registered | RegistrationReceived):
            self._in_row = None, 0
        if isinstance(event, RegistrationReceived):
            self._received = event
        level = _level(event)
        if _log.isEnabledFor(level):
            _log.log(level, "%s", key_values({**event_pairs(event), **self._more(event, now)}))

    def _more(self, event: Event, now: float) -> dict[str, str]:
        """Return what is told beside the fields of an event."""
        received = self._received
        if isinstance(event, BindingMoved) and received and received.path == event.new:
            return {"translations": _text(received.translations)}
        no_reply = isinstance(event, RegistrationFailed) and event.reason is FailureReason.NO_REPLY
        if no_reply and self._pauses.may_tell("hint", now):
            return {"hint": NO_REPLY_HINT}
        return {}

    def _dropped(self, event: PacketDropped, now: float) -> None:
        reason = event.reason
        self._drops[reason] += 1
        count = self._in_row[1] + 1 if self._in_row[0] is reason else 1
        self._in_row = reason, count
        if self._pauses.may_tell(reason.name, now):
            pairs = {**event_pairs(event), "count": str(self._drops[reason])}
            _log.warning("%s", key_values(pairs))
        hint = HINTS.get(reason)
        if hint and count >= HINT_AFTER and self._pauses.may_tell(f"hint {reason.name}", now):
            _log.warning("%s", key_values({"hint": hint, "reason": reason.value}))


def _level(event: Event) -> int:
    if isinstance(event, _WARNINGS) or (isinstance(event, Moved) and event.new is None):
        return logging.WARNING
    return logging.DEBUG if isinstance(event, _DETAILS) else logging.INFO


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if each.name not in _NOT_TOLD)


def _event_name(kind: type[Any]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def _text(value: Any) -> str:
    """Write the value of a field."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Path():
            return str(value)
        case bytes():
            return address_text(value) if len(value) in (4, 16) else value.hex()
        case Enum():
            return str(value.value)
        case float():
            return f"{value:.6g}"
        case tuple():
            return _translations(value)
    return str(value)


def _translations(translations: tuple[Translation, ...]) -> str:
    return "; ".join(describe_all(translations)) or "none"
