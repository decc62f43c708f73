"""The RREPs that Y writes: to an accepted RREQ, to a refused one, and to nobody's question.

The answer to an accepted RREQ carries what was observed and which translations that shows, what Y
supports and selects, the counters of the path, and a challenge while the path is not validated. An
RREP that no RREQ asked for only challenges: code 0, the Identification of the last accepted RREQ,
ATTEMPT (PROBE) and CHALLENGE.
"""

from collections.abc import Mapping
from dataclasses import replace

from contrib_layers.numbers import AttemptFlag, ReplyCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    salvage_request,
)
from scapy_mobsec.terminal.binding import Binding
from scapy_mobsec.terminal.choice import choose

REFUSALS: Mapping[DropReason, ReplyCode] = {
    DropReason.STALE_ATTEMPT: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.STALE_IDENTIFICATION: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.UNEXPECTED_MESSAGE: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.POORLY_FORMED: ReplyCode.POORLY_FORMED,
    DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION: ReplyCode.UNKNOWN_CRITICAL_VENDOR_EXTENSION,
}
"""Which drops of an RREQ are answered, and how. (A renewal after de-registration needs a newer
attempt, which 133 brings about.)"""

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


def select(
    supported: tuple[EncapsulationItem, ...],
    translated: bool,
    passed: frozenset[Encapsulation],
    forced: bool,
) -> tuple[EncapsulationItem, ...]:
    """Return the items that Y tells X to use, best first; all that it supports is allowed."""
    known = {_ENCAPSULATIONS[each.code] for each in supported if each.code in _ENCAPSULATIONS}
    chosen = choose(translated, known, passed, known, forced=forced)
    return tuple(item for each in chosen for item in supported if item.code == each.code)
