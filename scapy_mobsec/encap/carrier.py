"""What all stream carriers have in common: the interface, what they carry, how they fail.

A stream carrier is fed octets in any cutting and keeps at most one unit that is not yet whole. Its
first violation is its end: the stream is to be closed, after `take_output()` was written.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap import udp
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import Description

MAX_HELD = 131_072
"""Octets of frames that wait in a channel."""


class Carried(NamedTuple):
    """An ESP packet, an IKE message (without its marker) or a keepalive (no octets).

    A tuple, as it is made per packet.
    """

    content: udp.Content
    message: bytes

    @classmethod
    def of(cls, payload: bytes) -> "Carried":
        """Make one from what UDP would carry. Raises Drop(TRUNCATED)."""
        content, message = udp.unwrap(payload)
        return cls(content, message)


@dataclass(slots=True)
class Channel:
    """What the two connections of http-post share. `id`: b"" while it is not known.

    `held`: frames that wait until they can be written, of so many `octets`.
    """

    id: bytes = b""
    held: list[bytes] = field(default_factory=list)
    octets: int = 0

    def hold(self, frame: bytes) -> None:
        """Let a frame wait. Raises Drop(QUEUE_FULL)."""
        if self.octets + len(frame) > MAX_HELD:
            raise Drop(DropReason.QUEUE_FULL, "frames of a channel")
        self.held.append(frame)
        self.octets += len(frame)

    def take(self) -> list[bytes]:
        """Return the frames that wait; none does afterwards."""
        held, self.held, self.octets = self.held, [], 0
        return held


class Violation(Drop):
    """The peer broke the rules of the stream, or refused it; `carried` came whole before that."""

    def __init__(self, drop: Drop, carried: Sequence[Carried] = ()) -> None:
        super().__init__(drop.reason, drop.detail)
        self.carried = tuple(carried)


class StreamCarrier(ABC):
    """One side of one stream.

    encapsulation: None while the first octets do not show it yet.
    ready: ESP may be written now.
    channel: that it belongs to, with another connection (http-post).
    waits: the peer waits for `release`.
    busy: what is wrapped now has to wait for the peer.
    headers: what the carrier adds to the description of an RREQ: as written (client), as seen
    (server). answer_headers: the same of an RREP: as seen (client), as written (server).
    """

    encapsulation: Encapsulation | None = None
    ready: bool = False
    channel: Channel | None = None
    waits: bool = False
    headers: Description = ()
    answer_headers: Description = ()

    _failure: Drop | None = None

    @property
    def busy(self) -> bool:
        return False

    def start(self) -> bytes:
        """Return what this side writes first, b"" if nothing."""
        return b""

    def receive(self, data: bytes) -> list[Carried]:
        """Return what is whole with these octets, cut anywhere. Raises Violation, then always."""
        if self._failure:
            raise Violation(self._failure)
        carried: list[Carried] = []
        try:
            self._receive(data, carried)
        except Drop as drop:
            self._failure = drop
            raise Violation(drop, carried) from drop
        return carried

    @abstractmethod
    def wrap(self, content: udp.Content, message: bytes = b"") -> bytes:
        """Return the octets to write for a message, b"" if it is held. Raises Drop."""

    def take_output(self) -> bytes:
        """Return what the carrier itself must write after `receive`, also after a Violation."""
        return b""

    def settle(self) -> bytes:
        """Return the octets to write now that what was carried is handled, or more is held."""
        return b""

    def release(self) -> bytes:
        """Return what the peer has waited for long enough."""
        return b""

    @abstractmethod
    def _receive(self, data: bytes, carried: list[Carried]) -> None:
        """Append to `carried`. Raises Drop."""


class Cutter:
    """Cuts a stream into its units in linear time, however it arrives.

    `measure(data, offset)` returns where the unit that begins at `offset` ends, or, if it needs
    more octets to tell, how far it wants to see: behind the end of `data`. Raises Drop.
    """

    def __init__(self, measure: Callable[[bytes, int], int]) -> None:
        self._measure = measure
        self._held = bytearray()
        self._wanted = 0

    @property
    def held(self) -> int:
        """Octets of the unit that is not yet whole."""
        return len(self._held)

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Yield every unit that is whole now; to be exhausted."""
        if self._held:
            if len(self._held) + len(data) < self._wanted:
                self._held += data
                return
            data = bytes(self._held) + data
            self._held.clear()
        offset, end = 0, len(data)
        while (following := self._measure(data, offset)) <= end:
            yield data[offset:following]
            offset = following
        self._held += data[offset:]
        self._wanted = following - offset
