"""Terminals for shells and tests: they show the registration messages that come, X sends RREQs that
somebody wrote, and Y RREPs that somebody wrote or changed.

Counters stay coherent: what a crafted message uses, no message of the terminal uses again. The
limit of a path that is not validated (rule 3) counts an RREP with the length that Y gave it.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import UDP, addresses, parse_ip, parse_udp
from scapy_mobsec.packet.path import Path
from scapy_mobsec.registration.messages import parse_reply, salvage_request
from scapy_mobsec.terminal.base import Arrival
from scapy_mobsec.terminal.bound_link import BoundLink
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.counters import MobileSnapshot
from scapy_mobsec.terminal.exchange import Exchange, Purpose
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

MAX_CRAFTED = 64
"""Crafted RREQs whose RREP may come, and RREQs whose RREP may be changed."""

OnMessage: TypeAlias = Callable[[bytes, bytes], None]
"""Told home address of the link and a registration message, once it is handled."""


def _nobody(home_address: bytes, message: bytes) -> None:
    pass


class CraftingMobile(MobileTerminal):
    """X, which sends RREQs of others, too. `on_message`: for the RREPs that come."""

    def __init__(
        self,
        configuration: MobileConfiguration,
        *,
        random_bytes: Callable[[int], bytes],
        snapshot: MobileSnapshot | None = None,
    ) -> None:
        super().__init__(configuration, random_bytes=random_bytes, snapshot=snapshot)
        self.on_message: OnMessage = _nobody
        self._crafted: deque[int] = deque(maxlen=MAX_CRAFTED)

    def write_request(self, now: float) -> bytes:
        """Return an RREQ that Y accepts, as X would write it to renew: of the present attempt, with
        a new Identification, and SENT of the current path. Raises Drop where there is none.
        """
        path = self._current_path()
        exchange = Exchange(path, self._configuration.lifetime, now, now, Purpose.REFRESH)
        identification = self._requests.identifications.next(now)
        return self._requests.write(exchange, identification, None, 0)

    def send_request(self, packet: bytes, now: float) -> None:
        """Seal an inner IP packet with an RREQ as it is, and send it on the current path.

        X goes on above its numbers, and in its attempt if that is newer. Raises Drop.
        """
        path = self._current_path()
        self._go_on_after(packet)
        self._send_sealed(self._link, _seal(self._link, packet, path), path)

    def _current_path(self) -> Path:
        path = self._link.path
        if path is None:
            raise Drop(DropReason.NO_PATH)
        self._check_writable(path)
        return path

    def _go_on_after(self, packet: bytes) -> None:
        try:
            request = salvage_request(_message_in(packet))
        except Drop:  # Y cannot read numbers in it either
            return
        self._crafted.append(request.identification)
        number = request.attempt.number if request.attempt else self.attempt
        self._requests.go_on_after(request.identification, number)
        self._reserve_attempts()
        self._unsave(self._link)

    def _receive_message(self, link: Link, message: bytes, arrival: Arrival, now: float) -> None:
        try:
            super()._receive_message(link, message, arrival, now)
        except Drop as drop:
            if drop.reason is not DropReason.UNSOLICITED_REPLY or not self._answers(message):
                raise
        finally:
            self.on_message(link.home_address, message)

    def _answers(self, message: bytes) -> bool:
        identification = parse_reply(message).identification
        return any(not (identification ^ ours) & 0xFFFF_FFFF for ours in self._crafted)


class CraftingOther(OtherTerminal):
    """Y, whose RREPs can be changed. `on_message`: for the RREQs that come.

    `alter`: takes home address, RREQ and Y's RREP, and returns the RREP that is sent, b"" for none.
    """

    def __init__(
        self, configuration: OtherConfiguration, *, random_bytes: Callable[[int], bytes]
    ) -> None:
        super().__init__(configuration, random_bytes=random_bytes)
        self.alter: Callable[[bytes, bytes, bytes], bytes] = lambda home, request, reply: reply
        self.on_message: OnMessage = _nobody
        self._requests: dict[tuple[bytes, int], tuple[bytes, Path]] = {}
        self._answered: bytes | None = None

    def send_reply(self, packet: bytes) -> None:
        """Seal an inner IP packet with an RREP as it is, and send it the way that its RREQ came, as
        the Identification says; otherwise on the current path. Raises Drop.
        """
        link = self._homes.get(addresses(packet)[1])
        if link is None:
            raise Drop(DropReason.UNKNOWN_HOME)
        _, path = self._request_of(link, _message_in(packet)) or (b"", link.path)
        if path is None:
            raise Drop(DropReason.NO_PATH)
        self._check_writable(path)
        self._send_sealed(link, _seal(link, packet, path), path)

    def _receive_message(
        self, link: BoundLink, message: bytes, arrival: Arrival, now: float
    ) -> None:
        with suppress(Drop):
            key = link.home_address, salvage_request(message).identification
            self._requests[key] = message, arrival[0]
        if len(self._requests) > MAX_CRAFTED:
            del self._requests[next(iter(self._requests))]
        self._answered = message
        try:
            super()._receive_message(link, message, arrival, now)
        finally:
            self._answered = None
            self.on_message(link.home_address, message)

    def _send_message(self, link: BoundLink, message: bytes, path: Path) -> None:
        request = self._answered or (self._request_of(link, message) or (None,))[0]
        if request:
            message = self.alter(link.home_address, request, message)
        if message:
            super()._send_message(link, message, path)

    def _request_of(self, link: Link, reply: bytes) -> tuple[bytes, Path] | None:
        """Return the RREQ that an RREP answers, and how it came; None if it is not known."""
        with suppress(Drop):
            return self._requests.get((link.home_address, parse_reply(reply).identification))
        return None


def _message_in(packet: bytes) -> bytes:
    """Return the registration message of an inner IP packet. Raises Drop."""
    return parse_udp(parse_ip(packet)).payload


def _seal(link: Link, packet: bytes, path: Path) -> bytes:
    """Seal an inner IP packet as it is, or its UDP where registrations have no IP header."""
    _, next_header = link.mode.wrap_message(b"")
    inside = parse_ip(packet).payload if next_header == UDP else packet
    return link.seal(inside, next_header, path)
