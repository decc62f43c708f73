"""RREQs and RREPs of a capture, paired by Identification, with what the network did to each."""

from collections import OrderedDict
from dataclasses import dataclass

from contrib_layers.numbers import MOBILE_IP_PORT, ReplyCode
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.observer.outer import PROTOCOL_UDP
from scapy_mobsec.packet.ip import parse_ip, parse_udp
from scapy_mobsec.registration.description import Description
from scapy_mobsec.registration.messages import (
    RegistrationReply,
    RegistrationRequest,
    missing_required,
    parse_message,
)
from scapy_mobsec.translation import Translation, compare

MAX_REGISTRATIONS = 20_000
MAX_WAITING = 4096
UNSPECIFIED = bytes(4)
_PORTS = MOBILE_IP_PORT.to_bytes(2, "big") * 2

Message = RegistrationRequest | RegistrationReply


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

    @property
    def accepted(self) -> bool:
        """Not refused: answered with code 0, or not answered in this capture."""
        return self.reply is None or self.reply.code == ReplyCode.ACCEPTED

    @property
    def home_address(self) -> bytes:
        """The link's identity: the home address field, else HOME, else the inner source."""
        if self.request.home_address != UNSPECIFIED:
            return self.request.home_address
        return self.request.home or self.asked.inner_source or UNSPECIFIED

    @property
    def translations(self) -> tuple[Translation, ...]:
        """What changed between the RREQ as written and as the other terminal saw it.

        Where no RREP tells what it saw: as this capture shows it.
        """
        return compare(self.request.sent or (), self.observed or self.asked.captured)

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


class Registrations:
    """All registrations of a capture, in the order of their RREQs."""

    def __init__(self) -> None:
        self.kept: list[Registration] = []
        self.not_kept = 0
        self.replies_without_request = 0
        self._waiting: OrderedDict[tuple[int, bytes], Registration] = OrderedDict()

    def note(self, message: Message, sighting: Sighting) -> None:
        """Take an RREQ or RREP that was seen for the first time (no replay)."""
        if isinstance(message, RegistrationRequest):
            self._note_request(Registration(message, sighting))
        else:
            self._note_reply(message, sighting)

    def _note_request(self, registration: Registration) -> None:
        if len(self.kept) < MAX_REGISTRATIONS:
            self.kept.append(registration)
        else:
            self.not_kept += 1
        self._waiting[_pairing_key(registration.request)] = registration
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)

    def _note_reply(self, reply: RegistrationReply, sighting: Sighting) -> None:
        registration = self._waiting.get(_pairing_key(reply))
        if registration is None:
            self.replies_without_request += 1
        elif registration.reply is None:
            registration.reply = reply
            registration.answered = sighting


def _pairing_key(message: Message) -> tuple[int, bytes]:
    """The low word of Identification: code 133 sets the high word anew (RFC 5944 5.7.1)."""
    return message.identification & 0xFFFF_FFFF, message.home_address


def registration_in(opened: Opened) -> Message | None:
    """The RREQ or RREP in a decrypted packet (tunnel or transport mode), None if it is data.

    Plain Mobile IP messages, which have no ATTEMPT, are data here. Raises Drop where UDP
    port 434 on both sides carries something that is no well-formed Mobile IP message.
    """
    inner = opened.payload
    if opened.next_header == PROTOCOL_UDP:
        message = parse_message(inner[8:]) if inner[:4] == _PORTS else None
    else:
        offset = (inner[0] & 0x0F) * 4 if inner[0] >> 4 == 4 else 40
        if inner[offset : offset + 4] != _PORTS:
            return None
        ip = parse_ip(inner)
        if ip.protocol != PROTOCOL_UDP or ip.fragment_offset or ip.more_fragments:
            return None
        message = parse_message(parse_udp(ip).payload)
    if message is None or message.attempt is None:
        return None
    missing = missing_required(message)
    if missing:
        raise Drop(DropReason.POORLY_FORMED, missing)
    return message
