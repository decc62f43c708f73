"""The other terminal Y: accepts registrations, moves bindings, and answers on the way they came.

Acceptance of an RREQ, in this order: ICV and replay window (`esp`), identity of the link, attempt
and Identification (`Binding`), carrier as in SENT. Any failure is a named drop and nothing moves;
what is stale or malformed gets its code, because ESP has proved who sent it.
An accepted RREQ moves the binding at once, so the first data to the new address leaves half a
round trip after the move.
Not built yet: the limit of 3 times the octets received, and challenges, on a path that is not
validated; an attacker on the path can point a link's traffic at somebody else until then.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from contrib_layers.numbers import LIFETIME_INFINITE, AttemptFlag, MessageType, ReplyCode
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import addresses
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    RegistrationRequest,
    build_reply,
    missing_required,
    parse_request,
    salvage_request,
)
from scapy_mobsec.registration.outer import carrier_of, describe
from scapy_mobsec.registration.transitions import OtherEvent, OtherState
from scapy_mobsec.terminal.agenda import Agenda
from scapy_mobsec.terminal.base import Arrival, Terminal
from scapy_mobsec.terminal.binding import Binding
from scapy_mobsec.terminal.config import LinkParameters, OtherConfiguration
from scapy_mobsec.terminal.events import (
    BindingEnded,
    BindingMoved,
    EndReason,
    RegistrationReceived,
)
from scapy_mobsec.terminal.link import Link, PathState
from scapy_mobsec.terminal.signalling import if_ipv4
from scapy_mobsec.translation import compare, to_items

REFUSALS: Mapping[DropReason, ReplyCode] = {
    DropReason.STALE_ATTEMPT: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.STALE_IDENTIFICATION: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.UNEXPECTED_MESSAGE: ReplyCode.IDENTIFICATION_MISMATCH,
    DropReason.POORLY_FORMED: ReplyCode.POORLY_FORMED,
    DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION: ReplyCode.UNKNOWN_CRITICAL_VENDOR_EXTENSION,
}
"""Which drops of an RREQ are answered, and how. (A renewal after de-registration needs a newer
attempt, which 133 brings about.)"""


class BoundLink(Link):
    """A link with its registration state."""

    def __init__(self, parameters: LinkParameters, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(parameters, at_mobile=False, random_bytes=random_bytes)
        self.binding = Binding()


class OtherTerminal(Terminal[BoundLink]):
    """Y, the end that stays: a host or a security gateway with any number of links."""

    def __init__(
        self, configuration: OtherConfiguration, *, random_bytes: Callable[[int], bytes]
    ) -> None:
        """`random_bytes` has the shape and strength of os.urandom."""
        super().__init__(configuration.max_sas)
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._homes: dict[bytes, BoundLink] = {}
        self._expiry: Agenda[bytes] = Agenda()
        for parameters in configuration.links:
            self.add_link(parameters)

    def add_link(self, parameters: LinkParameters) -> None:
        """Serve another link. Raises ValueError if home address or an SPI is in use, or no room."""
        if parameters.home_address in self._homes:
            raise ValueError("home address is in use")
        link = BoundLink(parameters, self._random_bytes)
        self._add_link(link)
        self._homes[link.home_address] = link

    def path(self, home_address: bytes) -> Path | None:
        """Return the path that data to a home address is sent on. Raises KeyError."""
        return self._homes[home_address].path

    def state(self, home_address: bytes) -> OtherState:
        """Return where the binding of a home address stands. Raises KeyError."""
        return self._homes[home_address].binding.state

    def send(self, packet: bytes, now: float) -> None:
        try:
            link = self._homes.get(addresses(packet)[1])
            if link is None:
                raise Drop(DropReason.UNKNOWN_HOME)
            self._send_data(link, packet)
        except Drop as drop:
            self._dropped(drop, None)

    def timer(self) -> float | None:
        return self._expiry.next()

    def handle_timer(self, now: float) -> None:
        for home_address in self._expiry.due(now):
            link = self._homes[home_address]
            link.binding.expire()
            self._end(link, EndReason.EXPIRED)

    # RREQ in

    def _receive_message(
        self, link: BoundLink, message: bytes, arrival: Arrival, now: float
    ) -> None:
        if message[:1] != bytes((MessageType.RREQ,)):
            raise Drop(DropReason.UNEXPECTED_MESSAGE, "not an RREQ")
        try:
            request = parse_request(message)
            attempt = self._check(link, request, arrival)
        except Drop as drop:
            self._dropped(drop, arrival.path)
            self._refuse(link, message, drop.reason, arrival.path, now)
            return
        if attempt.flags & AttemptFlag.CONFIRM:
            raise Drop(DropReason.UNEXPECTED_MESSAGE, "CONFIRM without a challenge")
        self._accept(link, request, attempt, arrival, now)

    def _check(self, link: BoundLink, request: RegistrationRequest, arrival: Arrival) -> Attempt:
        """Apply the rules of acceptance that follow ICV and replay window. Raises Drop."""
        if request.home_address != if_ipv4(link.home_address):
            raise Drop(DropReason.WRONG_IDENTITY)
        missing = missing_required(request)
        if missing or request.attempt is None or request.sent is None:
            raise Drop(DropReason.POORLY_FORMED, f"no {missing}")
        link.binding.check(request, request.attempt)
        carrier = carrier_of(request.sent)
        if carrier is not arrival.path.encapsulation:
            name = carrier.value if carrier else "unknown"
            raise Drop(DropReason.CARRIER_MISMATCH, f"sent as {name}")
        return request.attempt

    def _accept(
        self,
        link: BoundLink,
        request: RegistrationRequest,
        attempt: Attempt,
        arrival: Arrival,
        now: float,
    ) -> None:
        """Take over an RREQ that passed all checks, tell of it and answer it. Raises Drop."""
        event = link.binding.accept(request, attempt)
        lifetime = min(request.lifetime, self._configuration.max_lifetime)
        received = RegistrationReceived(
            home_address=link.home_address,
            attempt=attempt.number,
            identification=request.identification,
            path=arrival.path,
            lifetime=lifetime,
            sent=request.sent or (),
            observed=arrival.observed,
            translations=compare(request.sent or (), arrival.observed),
        )
        self._tell(received)
        if event is OtherEvent.DEREGISTER:
            self._expiry.remove(link.home_address)
            self._end(link, EndReason.DEREGISTERED)
        elif event is not None:
            self._set_expiry(link, lifetime, now)
        if event is OtherEvent.MOVE:
            old, link.current = link.path, PathState(arrival.path)
            self._tell(BindingMoved(link.home_address, attempt.number, old, arrival.path))
        self._answer(link, request, attempt, received)

    def _set_expiry(self, link: BoundLink, lifetime: int, now: float) -> None:
        if lifetime == LIFETIME_INFINITE:
            self._expiry.remove(link.home_address)
        else:
            self._expiry.set(link.home_address, now + lifetime)

    def _end(self, link: BoundLink, reason: EndReason) -> None:
        if link.current:
            link.current = None
            self._tell(BindingEnded(link.home_address, reason))

    # RREP out

    def _answer(
        self,
        link: BoundLink,
        request: RegistrationRequest,
        attempt: Attempt,
        received: RegistrationReceived,
    ) -> None:
        """Answer an accepted RREQ on the way it came; USE says that this path is current now."""
        path = received.path
        flags = AttemptFlag.USE if link.path == path else 0
        supported = self._configuration.supported
        reply = RegistrationReply(
            identification=request.identification,
            code=ReplyCode.ACCEPTED,
            lifetime=received.lifetime,
            home_address=request.home_address,
            home_agent=request.home_agent,
            attempt=replace(attempt, flags=flags),
            sent=describe(path.encapsulation, path.local, path.remote, link.outbound_spi),
            observed=received.observed,
            translations=to_items(received.translations),
            supported=supported,
            selected=select(path.encapsulation, supported),
        )
        self._send_message(link, build_reply(reply), path)

    def _refuse(
        self, link: BoundLink, message: bytes, reason: DropReason, path: Path, now: float
    ) -> None:
        """Answer an RREQ that is dropped, if its sender can do better. Raises Drop."""
        code = REFUSALS.get(reason)
        if code is None:
            return
        request = salvage_request(message)
        attempt = request.attempt or Attempt(link.binding.last_attempt or 0)
        if attempt.flags & AttemptFlag.CONFIRM:  # needs no answer
            return
        identification = request.identification
        if code == ReplyCode.IDENTIFICATION_MISMATCH:
            identification = link.binding.corrected_identification(identification, now)
            attempt = replace(attempt, number=link.binding.last_attempt or 0)
        reply = RegistrationReply(
            identification=identification,
            code=code,
            lifetime=0,
            home_address=request.home_address,
            home_agent=request.home_agent,
            attempt=replace(attempt, flags=0),
        )
        self._send_message(link, build_reply(reply), path)


def select(
    encapsulation: Encapsulation, supported: tuple[EncapsulationItem, ...]
) -> tuple[EncapsulationItem, ...]:
    """Return what Y tells X to use: for now the encapsulation that the RREQ came through."""
    return tuple(item for item in supported if item.code == encapsulation.code)
