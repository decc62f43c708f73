"""The mobile terminal X: registers from every new local endpoint and sends without waiting.

Rules that live here:
- Data follows the RREQ at once, in the same encapsulation, without waiting for the RREP.
- An RREQ is repeated at the times of `Exchange`; without reply the attempt has failed, and
  another one follows. The lifetime is renewed at half, within the same attempt.
- Code 133 is acted on only for an outstanding RREQ of the current attempt, once per attempt: X goes
  on above both counters of Y, so a lost counter or a clock set back costs one round trip.
- X compares the RREP as Y wrote it with the RREP as it arrived, whatever Y found in the RREQ.
Not built yet: choice of another encapsulation than udp, several at once, dropping traversal,
probes and keepalives.
"""

from collections.abc import Callable, Sequence

from contrib_layers.numbers import (
    LIFETIME_INFINITE,
    AttemptFlag,
    EncapsulationCode,
    ReplyCode,
)
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import Description, EncapsulationItem
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    RegistrationRequest,
    build_request,
    missing_required,
    pad_request,
    parse_reply,
)
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.serial import is_newer_attempt
from scapy_mobsec.registration.transitions import MOBILE, Machine, MobileEvent, MobileState
from scapy_mobsec.terminal.base import Arrival, Terminal
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.events import (
    CountersCorrected,
    Deregistered,
    FailureReason,
    Moved,
    Registered,
    RegistrationFailed,
    Renewed,
)
from scapy_mobsec.terminal.exchange import GIVE_UP_AFTER, Exchange, IdentificationSource
from scapy_mobsec.terminal.link import Link, PathState
from scapy_mobsec.terminal.signalling import if_ipv4
from scapy_mobsec.translation import compare, from_items

SUPPORTED = (EncapsulationItem(EncapsulationCode.UDP),)

SHORTEST_RENEWAL = 1.0
"""Seconds before a renewal, however short the lifetime that Y grants."""


class MobileTerminal(Terminal[Link]):
    """X, the end that moves."""

    def __init__(
        self, configuration: MobileConfiguration, *, random_bytes: Callable[[int], bytes]
    ) -> None:
        """`random_bytes` has the shape and strength of os.urandom."""
        super().__init__(max_sas=len(configuration.link.inbound))
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._link = Link(configuration.link, at_mobile=True, random_bytes=random_bytes)
        self._add_link(self._link)
        self._machine = Machine(MOBILE, MobileState.DETACHED)
        self._identifications = IdentificationSource()
        self._exchange: Exchange | None = None
        self._pause_ends: float | None = None
        self.attempt = configuration.last_attempt
        """Number of the present attempt."""

    @property
    def state(self) -> MobileState:
        """Where it stands."""
        return self._machine.state

    @property
    def path(self) -> Path | None:
        """The path that data is sent on."""
        return self._link.path

    def move(self, local_endpoints: Sequence[Endpoint], now: float) -> None:
        """Go on from new local endpoints: the first one of Y's family is used.

        An endpoint that looks like the old one may be in another network: it starts an attempt too.
        """
        remote = self._configuration.other_terminal
        local = next(
            (one for one in local_endpoints if len(one.address) == len(remote.address)), None
        )
        self._machine.fire(MobileEvent.MOVE if local else MobileEvent.LOSE)
        old = self.path
        if local is None:
            self._leave()
        else:
            self._link.current = PathState(Path(Encapsulation.UDP, local, remote))
            self._start_attempt()
        self._tell(Moved(self.attempt, old, self.path))
        if local is not None:
            self._start_exchange(now)

    def deregister(self, now: float) -> None:
        """End the registration. Raises LocalProtocolError if there is none."""
        self._machine.fire(MobileEvent.DEREGISTER)
        self._start_exchange(now)

    def send(self, packet: bytes, now: float) -> None:
        try:
            self._send_data(self._link, packet)
        except Drop as drop:
            self._dropped(drop, None)

    def timer(self) -> float | None:
        return self._exchange.deadline if self._exchange else self._pause_ends

    def handle_timer(self, now: float) -> None:
        exchange = self._exchange
        if exchange:
            if now >= exchange.gives_up:
                self._give_up(now)
            elif now >= exchange.next_transmission:
                self._transmit(exchange, now)
        elif self._pause_ends is not None and now >= self._pause_ends:
            if self.state is MobileState.REFUSED:
                self._machine.fire(MobileEvent.RETRY)
                self._start_attempt()
            else:
                self._machine.fire(MobileEvent.REFRESH)
            self._start_exchange(now)

    # RREQ out

    def _start_attempt(self) -> None:
        self.attempt = (self.attempt + 1) % (1 << 32)

    def _start_exchange(self, now: float) -> None:
        path = self._link.path
        if path is None:
            return
        ends = self.state is MobileState.DEREGISTERING
        lifetime = 0 if ends else self._configuration.lifetime
        self._pause_ends = None
        self._exchange = Exchange(path, lifetime, started=now, next_transmission=now)
        self._transmit(self._exchange, now)

    def _transmit(self, exchange: Exchange, now: float) -> None:
        request = self._request(exchange, now)
        request = pad_request(request, self._link.message_length(exchange.padded_length))
        exchange.transmitted(request.identification, now, self._random_bytes)
        try:
            self._send_message(self._link, build_request(request), exchange.path)
        except Drop as drop:
            self._dropped(drop, None)

    def _request(self, exchange: Exchange, now: float) -> RegistrationRequest:
        path = exchange.path
        return RegistrationRequest(
            identification=self._identifications.next(now),
            lifetime=exchange.lifetime,
            home_address=if_ipv4(self._link.home_address),
            home_agent=if_ipv4(path.remote.address),
            care_of_address=if_ipv4(path.local.address),
            attempt=Attempt(self.attempt),
            sent=self._describe_sent(path),
            supported=SUPPORTED,
        )

    def _describe_sent(self, path: Path) -> Description:
        return describe(path.encapsulation, path.local, path.remote, self._link.outbound_spi)

    def _give_up(self, now: float) -> None:
        deregistering = self.state is MobileState.DEREGISTERING
        self._machine.fire(MobileEvent.TIMEOUT)
        if deregistering:
            self._leave()
            self._tell(Deregistered(self.attempt, confirmed=False))
            return
        self._tell(RegistrationFailed(self.attempt, FailureReason.NO_REPLY))
        self._start_attempt()
        self._start_exchange(now)

    def _leave(self) -> None:
        self._link.current = self._exchange = self._pause_ends = None

    # RREP in

    def _receive_message(self, link: Link, message: bytes, arrival: Arrival, now: float) -> None:
        reply = parse_reply(message)
        attempt = reply.attempt
        if attempt is None:
            raise Drop(DropReason.POORLY_FORMED, f"no {missing_required(reply)}")
        exchange = self._exchange
        if exchange is None:
            raise Drop(DropReason.UNSOLICITED_REPLY, "no request is outstanding")
        if reply.code == ReplyCode.IDENTIFICATION_MISMATCH:
            self._correct_counters(exchange, reply.identification, attempt.number, now)
            return
        requested_at = exchange.outstanding.get(reply.identification)
        if requested_at is None:
            raise Drop(DropReason.UNSOLICITED_REPLY, f"0x{reply.identification:016x}")
        if reply.code != ReplyCode.ACCEPTED:
            self._refused(reply.code, now)
        elif attempt.number != self.attempt:
            raise Drop(DropReason.UNSOLICITED_REPLY, f"attempt {attempt.number}")
        elif exchange.lifetime == 0:
            self._machine.fire(MobileEvent.ACCEPTED)
            self._leave()
            self._tell(Deregistered(self.attempt, confirmed=True))
        elif attempt.flags & AttemptFlag.USE:
            self._accepted(reply, exchange.path, arrival, now - requested_at, now)
        else:  # Y knows another path by this attempt: a translator has changed its mapping
            self._machine.fire(MobileEvent.ELSEWHERE)
            self._start_attempt()
            self._start_exchange(now)

    def _accepted(
        self, reply: RegistrationReply, path: Path, arrival: Arrival, rtt: float, now: float
    ) -> None:
        lifetime = min(reply.lifetime, self._configuration.lifetime)
        sent, observed = self._describe_sent(path), reply.observed or ()
        registered = Registered(
            attempt=self.attempt,
            path=path,
            rtt=rtt,
            lifetime=lifetime,
            sent=sent,
            observed=observed,
            translations=from_items(reply.translations or (), sent, observed),
            reply_translations=compare(reply.sent, arrival.observed) if reply.sent else (),
            supported=reply.supported or (),
            selected=reply.selected or (),
        )
        renewed = self.state is MobileState.REFRESHING
        self._machine.fire(MobileEvent.ACCEPTED)
        self._exchange = None
        if lifetime != LIFETIME_INFINITE:
            self._pause_ends = now + max(lifetime / 2, SHORTEST_RENEWAL)
        self._tell(Renewed(self.attempt, rtt, lifetime) if renewed else registered)

    def _refused(self, code: int, now: float) -> None:
        deregistering = self.state is MobileState.DEREGISTERING
        self._machine.fire(MobileEvent.REFUSED)
        if deregistering:
            self._leave()
            self._tell(Deregistered(self.attempt, confirmed=False))
            return
        self._exchange = None
        self._pause_ends = now + GIVE_UP_AFTER
        self._tell(RegistrationFailed(self.attempt, FailureReason.REFUSED, code))

    def _correct_counters(
        self, exchange: Exchange, identification: int, attempt: int, now: float
    ) -> None:
        """Act on code 133; only the low word of its Identification is ours (RFC 5944, 5.7.1)."""
        if all((identification ^ ours) & 0xFFFF_FFFF for ours in exchange.outstanding):
            raise Drop(DropReason.UNSOLICITED_REPLY, f"0x{identification:016x}")
        self._machine.fire(MobileEvent.STALE)
        self._identifications.skip(identification)
        if is_newer_attempt(attempt, self.attempt):
            self.attempt = attempt
        self._start_attempt()
        self._tell(CountersCorrected(self.attempt))
        self._start_exchange(now)
