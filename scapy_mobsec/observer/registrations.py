"""RREQs and RREPs of a capture, paired by Identification, with what the network did to each."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from contrib_layers.numbers import MOBILE_IP_PORT, AttemptFlag, MessageType, ReplyCode
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.observer.links import Move
from scapy_mobsec.packet.ip import IPV4, IPV6, UDP, parse_ip, parse_udp
from scapy_mobsec.registration.description import Description
from scapy_mobsec.registration.messages import (
    RegistrationReply,
    RegistrationRequest,
    missing_required,
    parse_message,
    salvage_request,
)
from scapy_mobsec.translation import Translation, compare, from_items

MAX_REGISTRATIONS = 20_000
MAX_WAITING = 4096
UNSPECIFIED = bytes(4)
_PORTS = MOBILE_IP_PORT.to_bytes(2, "big") * 2

Message: TypeAlias = RegistrationRequest | RegistrationReply
_Key: TypeAlias = tuple[int, bytes, bool]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One registration message as the capture shows it.

    `captured`: its outer headers at the point of capture. `verified`: its ICV was good.
    `inner_source`: packed source address inside the tunnel, None in transport mode.
    """

    frame: int
    time_ns: int
    spi: int
    captured: Description
    verified: bool
    inner_source: bytes | None = None


@dataclass(slots=True)
class Registration:
    """An RREQ and its RREP, if that was seen."""

    request: RegistrationRequest
    asked: Sighting
    reply: RegistrationReply | None = None
    answered: Sighting | None = None
    move: Move | None = None
    """The move that the RREQ or its RREP told of."""
    confirmed_ns: int | None = None
    """When the first CONFIRM with the challenge of its RREP was seen."""

    @property
    def accepted(self) -> bool:
        """Answered with code 0; if not answered in this capture, whether it is well-formed."""
        if self.reply is None:
            return missing_required(self.request) is None
        return self.reply.code == ReplyCode.ACCEPTED

    @property
    def verified(self) -> bool:
        """Whether the ICVs of RREQ and RREP were."""
        return self.asked.verified and (self.answered is None or self.answered.verified)

    @property
    def home_address(self) -> bytes:
        """The link's identity: the home address field, else HOME, else the inner source."""
        if self.request.home_address != UNSPECIFIED:
            return self.request.home_address
        return self.request.home or self.asked.inner_source or UNSPECIFIED

    @property
    def translations(self) -> tuple[Translation, ...]:
        """What changed between the RREQ as written and as the other terminal saw it.

        Where the RREP has no OBSERVED: what it tells; without RREP: as this capture shows it.
        """
        sent = self.request.sent
        if not sent:
            return ()
        if self.observed is None and self.told is not None:
            return self.told
        return compare(sent, self.observed or self.asked.captured)

    @property
    def told(self) -> tuple[Translation, ...] | None:
        """What the RREP's TRANSLATIONS tell, None where it has none that fit the description."""
        reply, sent = self.reply, self.request.sent
        if reply is None or reply.translations is None or not sent:
            return None
        try:
            return from_items(reply.translations, sent, reply.observed or ())
        except Drop:
            return None

    @property
    def observed(self) -> Description | None:
        """The RREQ's headers as the other terminal saw them."""
        return self.reply.observed if self.reply else None

    @property
    def reply_translations(self) -> tuple[Translation, ...] | None:
        """What changed on the RREP between the other terminal and this capture."""
        if self.reply is None or self.answered is None or self.reply.sent is None:
            return None
        return compare(self.reply.sent, self.answered.captured)

    @property
    def round_trip_ns(self) -> int | None:
        """From RREQ to RREP at the point of capture."""
        return self.answered.time_ns - self.asked.time_ns if self.answered else None

    @property
    def whole_round_trip_ns(self) -> int | None:
        """Between the two terminals, wherever the capture is: from RREQ over RREP to CONFIRM there.

        The mobile terminal confirms at once. Without a CONFIRM as `round_trip_ns`, which is too
        short by the way between mobile terminal and capture.
        """
        if self.confirmed_ns is None:
            return self.round_trip_ns
        return max(self.confirmed_ns - self.asked.time_ns, 0)


class Registrations:
    """All registrations of a capture, in the order of their RREQs. A CONFIRM registers nothing."""

    def __init__(self) -> None:
        self.kept: list[Registration] = []
        self.not_kept = 0
        self._waiting: OrderedDict[_Key, Registration] = OrderedDict()
        self._challenged: OrderedDict[bytes, Registration] = OrderedDict()
        self._early: OrderedDict[_Key, tuple[RegistrationReply, Sighting]] = OrderedDict()

    @property
    def replies_without_request(self) -> int:
        """RREPs whose RREQ is not in the capture; of the last 4096."""
        return len(self._early)

    def note(self, message: Message, sighting: Sighting, move: Move | None) -> Registration | None:
        """Take an RREQ or RREP that was seen for the first time (no replay).

        `move`: what the message told of, if its link moved by it. Returns the registration that the
        message belongs to, None where that is not known.
        """
        if isinstance(message, RegistrationReply):
            if _is_challenge_alone(message):
                return None
            answered = self._note_reply(message, sighting)
            if answered is not None and answered.move is None:
                answered.move = move
            return answered
        if message.attempt and message.attempt.flags & AttemptFlag.CONFIRM:
            return self._note_confirm(message, sighting)
        registration = Registration(message, sighting, move=move)
        self._note_request(registration)
        return registration

    def note_move(self, move: Move) -> None:
        """Take a move that an RREQ told of, and data showed before the RREP came."""
        for registration in reversed(self._waiting.values()):
            if registration.asked.frame <= move.frame:
                if registration.asked.frame == move.frame:
                    registration.move = move
                return

    def _note_request(self, registration: Registration) -> None:
        if len(self.kept) < MAX_REGISTRATIONS:
            self.kept.append(registration)
        else:
            self.not_kept += 1
        for key in _keys(registration.request):
            early = self._early.pop(key, None)
            if early:
                _answer(registration, *early)
            self._waiting[key] = registration
        while len(self._waiting) > 2 * MAX_WAITING:
            self._waiting.popitem(last=False)

    def _note_confirm(
        self, confirm: RegistrationRequest, sighting: Sighting
    ) -> Registration | None:
        registration = self._challenged.get(confirm.response or b"")
        if registration is not None and registration.confirmed_ns is None:
            registration.confirmed_ns = sighting.time_ns
        return registration

    def _note_reply(self, reply: RegistrationReply, sighting: Sighting) -> Registration | None:
        key = _key_of_reply(reply)
        registration = self._waiting.get(key)
        if registration is not None:
            _answer(registration, reply, sighting)
            if reply.challenge:
                self._challenged[reply.challenge] = registration
                if len(self._challenged) > MAX_WAITING:
                    self._challenged.popitem(last=False)
            return registration
        self._early[key] = reply, sighting
        if len(self._early) > MAX_WAITING:
            self._early.popitem(last=False)
        return None


def answers(reply: RegistrationReply, request: RegistrationRequest) -> bool:
    """Whether an RREP has the Identification and home address of an RREQ, as code 133 leaves it."""
    return _key_of_reply(reply) in _keys(request)


def _is_challenge_alone(reply: RegistrationReply) -> bool:
    """Tell whether no RREQ asked for it: it has the Identification of an RREQ answered before."""
    used = reply.attempt is not None and reply.attempt.flags & AttemptFlag.USE
    return reply.challenge is not None and reply.sent is None and not used


def _keys(message: Message) -> tuple[_Key, _Key]:
    """Identification, and its low word: code 133 sets the high one anew (RFC 5944 5.7.1)."""
    identification, home = message.identification, message.home_address
    return (identification, home, False), (identification & 0xFFFF_FFFF, home, True)


def _key_of_reply(reply: RegistrationReply) -> _Key:
    exact, by_low_word = _keys(reply)
    return by_low_word if reply.code == ReplyCode.IDENTIFICATION_MISMATCH else exact


def _answer(registration: Registration, reply: RegistrationReply, sighting: Sighting) -> None:
    """Note the first RREP to an RREQ; later ones repeat it."""
    if registration.reply is not None:
        return
    registration.reply = reply
    registration.answered = sighting
    if registration.move and reply.code != ReplyCode.ACCEPTED:
        registration.move.refused = True


def registration_in(opened: Opened) -> tuple[Message | None, Drop | None]:
    """The RREQ or RREP in a decrypted packet (tunnel or transport mode), None if it is data.

    Plain Mobile IP messages, which have no ATTEMPT, are data here. Of a poorly formed RREQ: what
    can be read of it, and the Drop that it is. Raises Drop where nothing can be read.
    """
    octets = _message_octets(opened)
    if octets is None:
        return None, None
    malformed: Drop | None = None
    message: Message
    try:
        message = parse_message(octets)
    except Drop as drop:
        if octets[:1] != bytes((MessageType.RREQ,)):
            raise
        malformed, message = drop, salvage_request(octets)
    if message.attempt is None:
        if malformed:
            raise malformed
        return None, None
    missing = missing_required(message)
    if missing and malformed is None:
        malformed = Drop(DropReason.POORLY_FORMED, f"no {missing}")
    return message, malformed


def _message_octets(opened: Opened) -> bytes | None:
    """What UDP carries from port 434 to port 434; None where the packet is something else."""
    inner = opened.payload
    if opened.next_header == UDP:
        return inner[8:] if inner[:4] == _PORTS else None
    if opened.next_header not in (IPV4, IPV6):
        return None
    offset = (inner[0] & 0x0F) * 4 if inner[0] >> 4 == 4 else 40
    if inner[offset : offset + 4] != _PORTS:
        return None
    ip = parse_ip(inner)
    if ip.protocol != UDP or ip.is_fragment:
        return None
    return parse_udp(ip).payload
