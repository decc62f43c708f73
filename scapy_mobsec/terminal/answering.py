"""The RREPs that Y writes: to an accepted RREQ, to a refused one, and to nobody's question.

The answer to an accepted RREQ carries what was observed and which translations that shows, what Y
supports and selects, the counters of the path, and a challenge while the path is not validated. An
RREP that no RREQ asked for only challenges: code 0, the Identification of the last accepted RREQ,
ATTEMPT (PROBE) and CHALLENGE.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from contrib_layers.numbers import AttemptFlag, ReplyCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.extensions import parse_translations
from scapy_mobsec.registration.flat import (
    RequestValues,
    build_acceptance_head,
    build_reply_rest,
)
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    Report,
    salvage_request,
)
from scapy_mobsec.terminal.binding import Binding
from scapy_mobsec.terminal.choice import Decider, choose
from scapy_mobsec.terminal.config import OtherConfiguration

MAX_SELECTIONS = 256
"""Answers to the question what to use that are remembered as written."""

REFUSALS: Mapping[DropReason, ReplyCode] = {
    DropReason.STALE_ATTEMPT: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.STALE_IDENTIFICATION: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.UNEXPECTED_MESSAGE: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.UNKNOWN_CARRIER: ReplyCode.ADMINISTRATIVELY_PROHIBITED,
    DropReason.POORLY_FORMED: ReplyCode.POORLY_FORMED,
    DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION: ReplyCode.UNKNOWN_CRITICAL_VENDOR_EXTENSION,
}
"""Which drops of an RREQ are answered, and how. (A renewal after de-registration needs a newer
attempt, which 133 brings about.)"""

_FORCED = int(AttemptFlag.FORCED)
_CHALLENGE_HEAD = build_reply_rest(challenge=bytes(8))[:-8]

_ENCAPSULATIONS = {int(each.code): each for each in Encapsulation}


def refusal(
    message: bytes, reason: DropReason, binding: Binding, now: float
) -> RegistrationReply | None:
    """Return the answer to an RREQ that is dropped, None if its sender cannot do better.

    Raises Drop if not even its fixed part is there.
    """
    code = REFUSALS.get(reason)
    if code is None:
        return None
    request = salvage_request(message)
    last = binding.last_attempt or 0
    attempt = request.attempt or Attempt(last)
    if attempt.flags & AttemptFlag.CONFIRM:  # needs no answer
        return None
    identification = request.identification
    if code == ReplyCode.IDENTIFICATION_MISMATCH:
        identification = binding.corrected_identification(identification, now)
        attempt = replace(attempt, number=last)
    return RegistrationReply(
        identification=identification,
        code=code,
        lifetime=0,
        home_address=request.home_address,
        home_agent=request.home_agent,
        attempt=replace(attempt, flags=0),
    )


class Acceptances:
    """Writes the RREPs to accepted RREQs; what the configuration says is the same in all."""

    def __init__(self, configuration: OtherConfiguration) -> None:
        self._configuration = configuration
        self.advice = lru_cache(MAX_SELECTIONS)(self._write_advice)
        addresses = configuration.addresses
        self._addresses = build_reply_rest(addresses=addresses) if addresses else b""

    def write(
        self,
        request: RequestValues,
        lifetime: int,
        flags: int,
        findings: bytes,
        report: Report | None,
        challenge: bytes | None,
    ) -> bytes:
        """Return the RREP. `flags`: of its ATTEMPT. `findings`: what it says of headers (SENT and
        OBSERVED) and what follows from that (`advice`).
        """
        head = build_acceptance_head(request, flags, lifetime)
        rest = self._addresses
        if report is not None:
            rest = build_reply_rest(report=report) + rest
        if challenge is not None:
            return b"".join((head, findings, _CHALLENGE_HEAD, challenge, rest))
        return b"".join((head, findings, rest))

    def _write_advice(
        self, translations: bytes, passed: tuple[Encapsulation, ...], forced: int
    ) -> bytes:
        """Return what X is to know of its path, and of the encapsulations that it may use.

        `passed`: those that are known to carry data. `forced`: not 0 where X keeps the traversal.
        """
        settings, selected = self._configuration, None
        changes = parse_translations(translations)
        if settings.decider is not Decider.FIXED:
            forces = bool(forced) or settings.forced
            selected = select(settings.supported, bool(changes), frozenset(passed), forces)
        return build_reply_rest(
            translations=changes, supported=settings.supported, selected=selected
        )


def bare_challenge(binding: Binding, home_address: bytes, challenge: bytes) -> RegistrationReply:
    """Return the RREP that only challenges; `home_address` as the fixed part has it."""
    return RegistrationReply(
        identification=binding.last_identification,
        code=ReplyCode.ACCEPTED,
        lifetime=0,
        home_address=home_address,
        home_agent=bytes(4),
        attempt=Attempt(binding.last_attempt or 0, int(AttemptFlag.PROBE)),
        challenge=challenge,
    )


def encapsulations(items: tuple[EncapsulationItem, ...]) -> frozenset[Encapsulation]:
    """Return those that the items name, of known codes."""
    return frozenset(_ENCAPSULATIONS[one.code] for one in items if one.code in _ENCAPSULATIONS)


def select(
    supported: tuple[EncapsulationItem, ...],
    translated: bool,
    passed: frozenset[Encapsulation],
    forced: bool,
) -> tuple[EncapsulationItem, ...]:
    """Return the items that Y tells X to use, best first; all that it supports is allowed."""
    known = encapsulations(supported)
    chosen = choose(translated, known, passed, known, forced=forced)
    return tuple(item for each in chosen for item in supported if item.code == each.code)
