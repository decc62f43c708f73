"""RREQ and RREP as values at fixed places: what `messages` says of them, in a fraction of the time.

What Y accepts by is `RequestValues`, of whatever RREQ. The usual one is read without a message
object: ATTEMPT comes first, then SENT of IP, UDP and ESP, which is one `Struct`. What follows says
the same after any such head, and is remembered as parsed. Everything else goes to `messages`.
An RREP is written alike: a head at fixed places, and behind it what can be written beforehand.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any, TypeAlias

from contrib_layers.numbers import AttemptFlag, MessageType, ReplyCode, VendorType
from scapy_mobsec.drops import Drop
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.recent import recent
from scapy_mobsec.registration import messages
from scapy_mobsec.registration.description import (
    AhHeader,
    Description,
    build_description,
    ip_udp_esp,
    is_usual,
)
from scapy_mobsec.registration.draft import draft_of
from scapy_mobsec.registration.extensions import Attempt, build_attempt, build_vendor
from scapy_mobsec.registration.messages import (
    RegistrationReply,
    RegistrationRequest,
    missing_required,
)
from scapy_mobsec.registration.outer import carrier_of

MAX_USUAL = 2048
"""Octets of the longest RREQ that is usual."""

MAX_RESTS = 256
"""Ends of usual RREQs that are remembered as parsed: terminals say the same again and again."""

_ATTEMPT = "10sIBBBx"
_DESCRIPTION = {size: f"3s{size}s{size}s3sHH3sI" for size in (4, 16)}
"""By the size of an address: what lies before the addresses, the ports and the SPI is constant."""

_fixed_part = Struct(">BBH4s4sQ")  # of an RREP
_reply_head = Struct(f">BBH4s4sQ{_ATTEMPT}")
_RREP, _ACCEPTED = int(MessageType.RREP), int(ReplyCode.ACCEPTED)
_CONFIRM, _UDP = int(AttemptFlag.CONFIRM), Encapsulation.UDP
_ATTEMPT_HEAD = build_vendor(VendorType.ATTEMPT, build_attempt(Attempt(0)))[:10]
_FLAGS_AT = _reply_head.size - 4  # of an RREP
_SENT_HEAD = slice(42, 55)  # of an RREQ, with type and length of the IP descriptor
_SENT_AT = 52

UsualValues: TypeAlias = tuple[bytes, int, bytes, int, int]
"""What `ip_udp_esp` takes: source address and port, destination address and port, SPI."""


def usual_values(description: Description) -> UsualValues | None:
    """Return the values of a description of IP, UDP and ESP, None if it is any other."""
    if not is_usual(description):
        return None
    ip, udp, esp = description
    return ip.source, udp.source_port, ip.destination, udp.destination_port, esp.spi


@dataclass(frozen=True, slots=True)
class RequestValues:
    """What of an RREQ decides whether and how Y accepts it."""

    lifetime: int
    home_address: bytes
    home_agent: bytes
    identification: int
    number: int
    flags: int
    index: int
    count: int
    """The last four: of ATTEMPT, 0 without it."""
    sent: bytes
    """The value of SENT as octets, empty without it."""
    usual: UsualValues | None
    """What SENT says of IP, UDP and ESP, None where it says anything else."""
    carrier: Encapsulation | None
    """Which one SENT shows."""
    by_ah: bool
    """Whether SENT ends with AH."""
    missing: str | None
    """The first extension that must be there and is not."""
    response: bytes | None
    home: bytes | None
    reports: bool
    """Whether REPORT is there."""


_ValuesDraft = draft_of(RequestValues)


class _RequestHead:
    """An RREQ as far as SENT, with addresses of so many octets."""

    def __init__(self, address_size: int) -> None:
        address = bytes(address_size)
        self.sent = ip_udp_esp(address, 0, address, 0, 0)
        self.sample = messages.build_request(
            RegistrationRequest(0, 0, bytes(4), bytes(4), bytes(4), 0, Attempt(0), self.sent)
        )
        layout = Struct(f">BxH4s4s4xQ{_ATTEMPT}10s{_DESCRIPTION[address_size]}")
        self.size, self.unpack = layout.size, layout.unpack_from
        (self.kind, *_, self.attempt_head, _, _, _, _,
         _, _, _, _, self.udp_head, _, _, self.esp_head, _) = self.unpack(self.sample)  # fmt: skip


_REQUEST_HEADS = {head.sample[_SENT_HEAD]: head for head in map(_RequestHead, _DESCRIPTION)}
_ANY_HEAD = next(iter(_REQUEST_HEADS.values()))


def read_request(data: bytes) -> RequestValues:
    """Return `values_of` an RREQ. Raises Drop as `messages.parse_request` does."""
    head = _REQUEST_HEADS.get(data[_SENT_HEAD])
    if head is None or not head.size <= len(data) <= MAX_USUAL:
        return values_of(messages.parse_request(data))
    values = _ValuesDraft()
    (kind, values.lifetime, values.home_address, values.home_agent, values.identification,
     attempt_head, values.number, values.flags, values.index, values.count,
     _, _, source, destination, udp_head, source_port, destination_port,
     esp_head, spi) = head.unpack(data)  # fmt: skip
    rest = _after_head(data, head.size)
    if (
        rest is None
        or kind != head.kind
        or attempt_head != head.attempt_head
        or udp_head != head.udp_head
        or esp_head != head.esp_head
        or (values.flags & _CONFIRM and rest.response is None)
    ):
        return values_of(messages.parse_request(data))
    values.sent = data[_SENT_AT : head.size]
    values.usual = source, source_port, destination, destination_port, spi
    values.carrier, values.by_ah, values.missing = _UDP, False, None
    values.response, values.home, values.reports = rest.response, rest.home, rest.reports
    values.__class__ = RequestValues
    sealed: RequestValues = values
    return sealed


@recent(MAX_RESTS)
def _after_head(rest: bytes) -> RequestValues | None:
    """Return what an RREQ says that ends so, None if it is poorly formed or SENT goes on."""
    try:
        request = messages.parse_request(_ANY_HEAD.sample + rest)
    except Drop:
        return None
    return values_of(request) if request.sent == _ANY_HEAD.sent else None


def values_of(request: RegistrationRequest) -> RequestValues:
    """Return what Y accepts an RREQ by."""
    attempt, sent = request.attempt or Attempt(0, count=0), request.sent or ()
    return RequestValues(
        lifetime=request.lifetime,
        home_address=request.home_address,
        home_agent=request.home_agent,
        identification=request.identification,
        number=attempt.number,
        flags=attempt.flags,
        index=attempt.index,
        count=attempt.count,
        sent=build_description(sent) if sent else b"",
        usual=usual_values(sent),
        carrier=carrier_of(sent),
        by_ah=bool(sent) and isinstance(sent[-1], AhHeader),
        missing=missing_required(request),
        response=request.response,
        home=request.home,
        reports=request.report is not None,
    )


_SAMPLES = {
    size: build_description(ip_udp_esp(bytes(size), 0, bytes(size), 0, 0)) for size in _DESCRIPTION
}
_UDP_HEAD, _ESP_HEAD = _SAMPLES[4][11:14], _SAMPLES[4][18:21]


class _ReplyHeaders:
    """SENT and OBSERVED of IP, UDP and ESP, with addresses of so many octets."""

    def __init__(self, address_size: int) -> None:
        sample = _SAMPLES[address_size]
        headers = f"13s{_DESCRIPTION[address_size][2:]}"  # the constant octets in one
        self.pack = Struct(f">{headers}{headers}").pack
        self.observed_at = 20 + len(sample)
        self.sent_head, self.observed_head = (
            build_vendor(kind, sample)[: -len(sample)] + sample[:3]
            for kind in (VendorType.SENT, VendorType.OBSERVED)
        )


_REPLY_HEADERS = {size: _ReplyHeaders(size) for size in _SAMPLES}


def build_usual_headers(
    local: Endpoint, remote: Endpoint, sent_spi: int, observed_spi: int
) -> tuple[bytes, bytes]:
    """Write SENT and OBSERVED of an RREP that goes the way that the RREQ came, by IP, UDP and ESP.

    Also returns the value of OBSERVED.
    """
    here, there = local[0], remote[0]
    here_port, there_port = local[1], remote[1]
    layout = _REPLY_HEADERS[len(here)]
    headers = layout.pack(
        layout.sent_head, here, there, _UDP_HEAD, here_port, there_port, _ESP_HEAD, sent_spi,
        layout.observed_head, there, here, _UDP_HEAD, there_port, here_port, _ESP_HEAD,
        observed_spi,
    )  # fmt: skip
    return headers, headers[layout.observed_at :]


def build_acceptance_head(values: RequestValues, flags: int, lifetime: int) -> bytes:
    """Write the RREP with code 0 as far as its ATTEMPT, which has these `flags`."""
    return _reply_head.pack(
        _RREP,
        _ACCEPTED,
        lifetime,
        values.home_address,
        values.home_agent,
        values.identification,
        _ATTEMPT_HEAD,
        values.number,
        flags,
        values.index,
        values.count,
    )


def build_reply_headers(sent: bytes, observed: bytes) -> bytes:
    """Write SENT and OBSERVED, which follow; `sent`, `observed`: descriptions as octets."""
    return build_vendor(VendorType.SENT, sent) + build_vendor(VendorType.OBSERVED, observed)


def build_reply_rest(**values: Any) -> bytes:
    """Write the extensions of an RREP with these values alone, which follow upon others."""
    reply = RegistrationReply(0, 0, 0, bytes(4), bytes(4), **values)
    return messages.build_reply(reply)[_fixed_part.size :]


def flags_of_reply(message: bytes) -> int:
    """Return the flags in the ATTEMPT of an RREP that was written here."""
    return message[_FLAGS_AT]


def with_flags(message: bytes, flags: int) -> bytes:
    """Return an RREP that was written here with other flags in its ATTEMPT."""
    return message[:_FLAGS_AT] + bytes((flags,)) + message[_FLAGS_AT + 1 :]
