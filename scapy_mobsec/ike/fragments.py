"""Messages from their encrypted fragments (RFC 7383 section 2.6), in bounded memory.

Fragments come here decrypted, so that one which nobody vouches for has no place.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike.message import Header
from scapy_mobsec.ike.protection import Opened

MAX_MESSAGES = 8
"""Messages of one IKE SA that wait for fragments; IKE has one request a side under way."""
MAX_OCTETS = 65_536
"""Octets of one message."""


class _Key(NamedTuple):
    from_initiator: bool
    is_response: bool
    message_id: int


@dataclass(slots=True)
class _Parts:
    total: int
    octets: int = 0
    parts: dict[int, Opened] = field(default_factory=dict)


class FragmentedMessages:
    """The messages of one IKE SA of which fragments are missing; the oldest are forgotten."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[_Key, _Parts] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, header: Header, opened: Opened) -> Opened | None:
        """Take a fragment; return the whole inside once all are there.

        A larger total begins anew, one with a smaller total is ignored. Raises
        Drop(IKE_FRAGMENT_LIMIT) for a message that is too long.
        """
        if opened.total == 1:
            return opened
        key = _Key(header.from_initiator, header.is_response, header.message_id)
        parts = self._waiting.get(key)
        if parts is None or parts.total < opened.total:
            parts = self._waiting[key] = _Parts(opened.total)
            if len(self._waiting) > MAX_MESSAGES:
                self._waiting.popitem(last=False)
        if parts.total > opened.total or opened.number in parts.parts:
            return None
        parts.octets += len(opened.plaintext)
        if parts.octets > MAX_OCTETS:
            del self._waiting[key]
            raise Drop(DropReason.IKE_FRAGMENT_LIMIT, f"more than {MAX_OCTETS} octets")
        parts.parts[opened.number] = opened
        if len(parts.parts) < parts.total:
            return None
        del self._waiting[key]
        ordered = [parts.parts[number] for number in range(1, parts.total + 1)]
        plaintext = b"".join(part.plaintext for part in ordered)
        verified = all(part.verified for part in ordered)
        return Opened(plaintext, ordered[0].first_type, verified, 1, parts.total)
