"""What an authentic packet says of where its link is: flags of registration messages, as one sign.

Which of these the other terminal follows is a matter of `links`.
"""

from enum import Enum

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.registration.messages import RegistrationReply, RegistrationRequest


class Sign(Enum):
    """What an authentic packet says of where its link is."""

    DATA = "traffic"
    ASKS = "an RREQ, which begins an attempt"
    ASKS_AMONG_OTHERS = "one of several RREQs, of which the other terminal takes one"
    USES = "an RREQ or RREP with USE: the path is the current one"
    VALIDATES = "a CONFIRM: the path is proved"
    NOTHING = "a test of a path"


_DATA = Sign.DATA  # a look-up in an Enum is slow


def sign_of(message: RegistrationRequest | RegistrationReply | None) -> Sign:
    """Tell what a registration message (None: data) says of where its link is."""
    if message is None or message.attempt is None:
        return _DATA
    flags = message.attempt.flags
    uses = bool(flags & AttemptFlag.USE)
    if not isinstance(message, RegistrationRequest):
        return Sign.USES if uses else Sign.NOTHING
    if flags & AttemptFlag.CONFIRM:
        return Sign.VALIDATES
    if flags & AttemptFlag.PROBE:
        return Sign.NOTHING
    if uses:
        return Sign.USES
    return Sign.ASKS if message.attempt.count <= 1 else Sign.ASKS_AMONG_OTHERS
