"""The usual RREQ and RREP at fixed places: what `messages` says of them, in a fraction of the time.

Usual: ATTEMPT comes first, then SENT (in an RREP OBSERVED too) of IP, UDP and ESP. That much is one
`Struct`. What follows says the same after any such head: of an RREQ it is remembered as parsed, of
an RREP it can be written beforehand. Everything unusual goes to `messages`.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, TypeAlias

from contrib_layers.numbers import MessageType, ReplyCode, VendorType
from scapy_mobsec.drops import Drop
from scapy_mobsec.registration import messages
from scapy_mobsec.registration.description import (
    Description,
    build_description,
    ip_udp_esp,
    is_usual,
)
from scapy_mobsec.registration.draft import draft_of
from scapy_mobsec.registration.extensions import Attempt, build_attempt, build_vendor
from scapy_mobsec.registration.messages import RegistrationReply, RegistrationRequest

MAX_USUAL = 2048
"""Octets of the longest RREQ that is usual."""

MAX_RESTS = 256
"""Ends of usual RREQs that are remembered as parsed: terminals say the same again and again."""

_REQUEST, _REPLY, _ATTEMPT = "BBH4s4s4sQ", "BBH4s4sQ", "10sIBBBx"
_DESCRIPTION = {size: f"13s{size}s{size}s3sHH3sI" for size in (4, 16)}
"""By the size of an address: what lies before the addresses, the ports and the SPI is constant."""

_fixed_part = Struct(f">{_REPLY}")
_reply_head = Struct(f">{_REPLY}{_ATTEMPT}")
_RREP, _ACCEPTED = int(MessageType.RREP), int(ReplyCode.ACCEPTED)
_ATTEMPT_HEAD = build_vendor(VendorType.ATTEMPT, build_attempt(Attempt(0)))[:10]
_FLAGS_AT = _reply_head.size - 4  # of an RREP
_SENT_HEAD = slice(42, 55)  # of an RREQ, with type and length of the IP descriptor

_RequestDraft = draft_of(RegistrationRequest)
_AttemptDraft = draft_of(Attempt)


class _RequestHead:
    """An RREQ as far as SENT, with addresses of so many octets."""

    def __init__(self, address_size: int) -> None:
        address = bytes(address_size)
        self.sent = ip_udp_esp(address, 0, address, 0, 0)
        self.sample = messages.build_request(
            RegistrationRequest(0, 0, bytes(4), bytes(4), bytes(4), 0, Attempt(0), self.sent)
        )
        layout = Struct(f">{_REQUEST}{_ATTEMPT}{_DESCRIPTION[address_size]}")
        self.size, self.unpack = layout.size, layout.unpack_from
        (self.kind, *_, self.attempt_head, _, _, _, _,
         _, _, _, self.udp_head, _, _, self.esp_head, _) = self.unpack(self.sample)  # fmt: skip


_REQUEST_HEADS = {head.sample[_SENT_HEAD]: head for head in map(_RequestHead, _DESCRIPTION)}
_ANY_HEAD = next(iter(_REQUEST_HEADS.values()))


_Writer: TypeAlias = tuple[Callable[..., bytes], bytes, bytes, bytes]


def _writer(kind: VendorType, address_size: int) -> _Writer:
    """Return what writes the values of a description, and what lies between them."""
    address = bytes(address_size)
    sample = build_vendor(kind, build_description(ip_udp_esp(address, 0, address, 0, 0)))
    layout = Struct(f">{_DESCRIPTION[address_size]}")
    before_ip, _, _, before_udp, _, _, before_esp, _ = layout.unpack(sample)
    return layout.pack, before_ip, before_udp, before_esp


_WRITERS = {
    (kind, size): _writer(kind, size)
    for kind in (VendorType.SENT, VendorType.OBSERVED)
    for size in _DESCRIPTION
}


def parse_request(data: bytes) -> RegistrationRequest:
    """Parse an RREQ, as `messages.parse_request` does. Raises Drop."""
    head = _REQUEST_HEADS.get(data[_SENT_HEAD])
    if head is None or not head.size <= len(data) <= MAX_USUAL:
        return messages.parse_request(data)
    request, attempt = _RequestDraft(), _AttemptDraft()
    (kind, request.flags, request.lifetime, request.home_address, request.home_agent,
     request.care_of_address, request.identification,
     attempt_head, attempt.number, attempt.flags, attempt.index, attempt.count,
     _, source, destination, udp_head, source_port, destination_port,
     esp_head, spi) = head.unpack(data)  # fmt: skip
    rest = _after_head(data[head.size :])
    if (
        rest is None
        or kind != head.kind
        or attempt_head != head.attempt_head
        or udp_head != head.udp_head
        or esp_head != head.esp_head
    ):
        return messages.parse_request(data)
    attempt.__class__ = Attempt
    request.attempt = attempt
    request.sent = ip_udp_esp(source, source_port, destination, destination_port, spi)
    request.supported, request.challenge = rest.supported, rest.challenge
    request.response, request.report = rest.response, rest.report
    request.addresses, request.home = rest.addresses, rest.home
    request.pad, request.others = rest.pad, rest.others
    request.__class__ = RegistrationRequest
    sealed: RegistrationRequest = request
    return sealed


@lru_cache(MAX_RESTS)
def _after_head(rest: bytes) -> RegistrationRequest | None:
    """Return what an RREQ says that ends so, None if it is poorly formed or SENT goes on."""
    try:
        request = messages.parse_request(_ANY_HEAD.sample + rest)
    except Drop:
        return None
    return request if request.sent == _ANY_HEAD.sent else None


def build_acceptance_head(
    request: RegistrationRequest,
    attempt: Attempt,
    flags: int,
    lifetime: int,
    sent: Description,
    observed: Description,
) -> bytes:
    """Write the RREP with code 0 as far as OBSERVED. `attempt`: of the request; `flags`: of the
    reply.
    """
    head = _reply_head.pack(
        _RREP,
        _ACCEPTED,
        lifetime,
        request.home_address,
        request.home_agent,
        request.identification,
        _ATTEMPT_HEAD,
        attempt.number,
        flags,
        attempt.index,
        attempt.count,
    )
    return head + _build(VendorType.SENT, sent) + _build(VendorType.OBSERVED, observed)


def build_reply_rest(**values: Any) -> bytes:
    """Write the extensions of an RREP with these values alone, which follow upon others."""
    reply = RegistrationReply(0, 0, 0, bytes(4), bytes(4), **values)
    return messages.build_reply(reply)[_fixed_part.size :]


def _build(kind: VendorType, description: Description) -> bytes:
    """Write SENT or OBSERVED."""
    if not is_usual(description):
        return build_vendor(kind, build_description(description))
    ip, udp, esp = description
    pack, before_ip, before_udp, before_esp = _WRITERS[kind, len(ip.source)]
    return pack(
        before_ip,
        ip.source,
        ip.destination,
        before_udp,
        udp.source_port,
        udp.destination_port,
        before_esp,
        esp.spi,
    )


def flags_of_reply(message: bytes) -> int:
    """Return the flags in the ATTEMPT of an RREP that was written here."""
    return message[_FLAGS_AT]


def with_flags(message: bytes, flags: int) -> bytes:
    """Return an RREP that was written here with other flags in its ATTEMPT."""
    return message[:_FLAGS_AT] + bytes((flags,)) + message[_FLAGS_AT + 1 :]
