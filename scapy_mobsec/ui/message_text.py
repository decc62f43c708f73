"""RREQs, RREPs and IKE messages in a few words, for a line of a diagram or of CSV."""

from itertools import groupby

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.ike.message import Header
from scapy_mobsec.ike.numbers import NotifyType, PayloadType
from scapy_mobsec.ike.payloads import Notify, Opaque
from scapy_mobsec.observer.ike_messages import IkeContent, Reading, SeenMessage
from scapy_mobsec.registration.messages import RegistrationReply, RegistrationRequest
from scapy_mobsec.ui.ike_text import exchange_name, notify_text, payload_name
from scapy_mobsec.ui.report_json import encapsulation_name
from scapy_mobsec.ui.views import code_text

_SAY_LITTLE = frozenset(
    {
        NotifyType.NAT_DETECTION_SOURCE_IP,
        NotifyType.NAT_DETECTION_DESTINATION_IP,
        NotifyType.FRAGMENTATION_SUPPORTED,
        NotifyType.SIGNATURE_HASH_ALGORITHMS,
    }
)
"""Notifications of nearly every set-up."""


def message_text(message: RegistrationRequest | RegistrationReply) -> str:
    """`RREQ #2 CONFIRM`, `RREP #2 accepted USE`: name, attempt, outcome and flags."""
    attempt = message.attempt
    number = f" #{attempt.number}" if attempt else ""
    if attempt and attempt.count > 1:
        number += f".{attempt.index}"
    flags = [flag.name or "" for flag in AttemptFlag if attempt and attempt.flags & flag]
    if isinstance(message, RegistrationRequest):
        ends = [] if message.lifetime else ["lifetime 0"]
        return " ".join([f"RREQ{number}", *flags, *ends])
    words = [f"RREP{number}", code_text(message.code), *flags]
    if message.challenge:
        words.append("CHALLENGE")
    if message.selected:
        words.append("-> " + " ".join(encapsulation_name(item.code) for item in message.selected))
    return " ".join(words)


def exchange_text(header: Header) -> str:
    """`IKE_AUTH #1 response`: exchange and message id. IKEv1 does not tell who answers."""
    name = exchange_name(header).upper()
    if header.major == 1:
        return name
    return f"{name} #{header.message_id}" + (" response" if header.is_response else "")


def ike_text(seen: SeenMessage) -> str:
    """`IKE_AUTH #1 response: idr auth sa`: exchange, message id, and what it holds."""
    words, major = exchange_text(seen.header), seen.header.major
    found = [name for each in seen.contents if (name := _content_name(each, major))]
    names = [
        f"{count} x {name}" if (count := len(list(same))) > 1 else name
        for name, same in groupby(found)
    ]
    if seen.reading is Reading.ENCRYPTED:
        names.append("encrypted")
    if seen.reading is Reading.UNVERIFIED:
        names.append("NOT VERIFIED")
    return f"{words}: {', '.join(names)}" if names else words


def _content_name(content: IkeContent, major: int) -> str:
    if isinstance(content, Notify):
        return "" if content.kind in _SAY_LITTLE else notify_text(content).partition(" ")[0].upper()
    if isinstance(content, Opaque) and content.type in (PayloadType.SK, PayloadType.SKF):
        return ""
    return payload_name(content, major)
