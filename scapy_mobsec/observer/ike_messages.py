"""IKE messages as a capture shows them, and the exchanges that they make."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from scapy_mobsec.ike.ikev1 import NatHash, OriginalAddress
from scapy_mobsec.ike.message import Header
from scapy_mobsec.ike.nat_detection import NatDetection
from scapy_mobsec.ike.numbers import NotifyType
from scapy_mobsec.ike.payloads import Content, Notify
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.translation import Translation

IkeContent: TypeAlias = Content | OriginalAddress | NatHash
FIRST_STATUS = 16_384
"""Notifications from here on are no errors (RFC 7296 section 3.10.1)."""


class Reading(Enum):
    """How the payloads of a message could be read."""

    CLEAR = "in clear"
    VERIFIED = "decrypted"
    UNVERIFIED = "decrypted, not verified"
    ENCRYPTED = "encrypted"


@dataclass(slots=True)
class SeenMessage:
    """One message; contents: its payloads, the encrypted ones too if they could be read.

    repeats: how often the same octets came again. fragments: of which it was put together.
    translations: what was changed since the sender wrote its headers, by its own word.
    """

    frame: int
    time_ns: int
    outer: Outer
    header: Header
    contents: tuple[IkeContent, ...]
    reading: Reading
    detections: tuple[NatDetection, ...] = ()
    translations: tuple[Translation, ...] = ()
    fragments: int = 1
    repeats: int = 0

    def notifies(self, kind: NotifyType) -> list[Notify]:
        """Its notifications of one kind."""
        return [each for each in self.contents if isinstance(each, Notify) and each.kind == kind]

    @property
    def error(self) -> Notify | None:
        """The first notification of an error, None without one."""
        notifies = (each for each in self.contents if isinstance(each, Notify))
        return next((each for each in notifies if each.kind < FIRST_STATUS), None)


@dataclass(slots=True)
class IkeExchange:
    """A request and its response; of IKEv1, where nothing pairs them, one message."""

    request: SeenMessage | None = None
    response: SeenMessage | None = None

    def take(self, seen: SeenMessage) -> bool:
        """Add a message; False if its place is taken."""
        if seen.header.is_response:
            if self.response is None:
                self.response = seen
            return self.response is seen
        if self.request is None:
            self.request = seen
        return self.request is seen

    @property
    def messages(self) -> list[SeenMessage]:
        """Request and response, those that are there."""
        return [each for each in (self.request, self.response) if each is not None]

    @property
    def duration_ns(self) -> int | None:
        """From request to response at the point of capture, None without both."""
        if self.request is None or self.response is None:
            return None
        return max(self.response.time_ns - self.request.time_ns, 0)

    @property
    def path_proved(self) -> bool | None:
        """Whether COOKIE2 came back as it was (RFC 4555 section 3.7); None: it was not asked."""
        if self.request is None or self.response is None:
            return None
        asked = self.request.notifies(NotifyType.COOKIE2)
        if not asked:
            return None
        answered = self.response.notifies(NotifyType.COOKIE2)
        return [each.data for each in answered] == [each.data for each in asked]


def whole_round_trip_ns(exchanges: Iterable[IkeExchange]) -> int | None:
    """The round trip between the two ends, wherever the capture is; None where not known.

    An exchange takes the way from the capture to the end that answers, and back: so it is the
    shortest that the initiator asked for and the shortest of the responder together.
    """
    shortest: dict[bool, int] = {}
    for exchange in exchanges:
        took, asked = exchange.duration_ns, exchange.request
        if took is not None and asked is not None:
            end = asked.header.from_initiator
            shortest[end] = min(took, shortest.get(end, took))
    return sum(shortest.values()) if len(shortest) == 2 else None
