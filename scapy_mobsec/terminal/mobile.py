"""The mobile terminal X: registers from every new place, and sends without waiting.

This file: the five calls, and what X does with each RREP. What begins and ends an attempt:
`attempts`; the current path, and better ones: `keeper`; RREQs under way, streams, data out:
`requester`.

- Code 129 says that Y does not support the encapsulation: the others go on, or all that is allowed.
- Code 133 is acted on only for an outstanding RREQ of the current attempt, once per attempt.
- The addresses that Y tells are used from the next attempt on, where X knows none of that family.
- X answers every challenge, on the path it came by, whether an RREQ asked for it or not, also of an
  older attempt: Y does not know the present one before an RREQ of it arrives.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from contrib_layers.numbers import LIFETIME_INFINITE, ReplyCode
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.kinds import many
from scapy_mobsec.packet.path import Endpoint, Path, address_text
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import RegistrationReply, missing_required, parse_reply
from scapy_mobsec.registration.serial import is_newer_attempt
from scapy_mobsec.registration.transitions import MobileEvent, MobileState
from scapy_mobsec.terminal.attempts import AttemptKeeper
from scapy_mobsec.terminal.base import Arrival
from scapy_mobsec.terminal.config import LOCAL_ENDPOINT
from scapy_mobsec.terminal.events import (
    ChallengeAnswered,
    CountersCorrected,
    Deregistered,
    FailureReason,
    Moved,
    Registered,
    RegistrationFailed,
    Renewed,
)
from scapy_mobsec.terminal.exchange import (
    FIRST_INTERVAL,
    GIVE_UP_AFTER,
    Exchange,
    Purpose,
    RoundTrip,
)
from scapy_mobsec.terminal.keepalive import STREAM_INTERVAL
from scapy_mobsec.terminal.keeper import is_used
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.routes import (
    allowed,
    beginning,
    told,
)
from scapy_mobsec.terminal.signalling import if_ipv4
from scapy_mobsec.terminal.status import LinkStatus, path_statuses, sa_statuses
from scapy_mobsec.translation import Translation, compare, from_items

NATIVE_ALONE_AFTER = 2.0
"""Seconds that the other parallel RREQs have after native was answered."""

SHORTEST_RENEWAL = 0.5
"""Seconds from RREQ to renewal, however short the lifetime that Y grants: half of the shortest."""


class MobileTerminal(AttemptKeeper):
    """X, the end that moves."""

    _corrected: float | None = None

    def move(
        self,
        local_endpoints: Sequence[Endpoint],
        now: float,
        kept: Collection[Endpoint] = (),
        allow: Sequence[EncapsulationItem] = (),
    ) -> None:
        """Go on from new local endpoints: all from where Y is reached are used, the first first.

        An endpoint that looks like the old one may be in another network: it starts an attempt too.
        `kept`: those that are in the same network as before, so that streams from there still live.
        `allow`: encapsulations that are allowed, and begun with, from now on, (): as before.
        Raises ValueError for what is no endpoint of a host, or cannot be allowed; then nothing
        changes.
        """
        many(LOCAL_ENDPOINT, inside=Sequence).check("local_endpoints", local_endpoints)
        many(LOCAL_ENDPOINT, inside=Collection).check("kept", kept)
        if allow:
            changed = replace(self._configuration, allow=tuple(allow), start=())
            self._configuration = replace(changed, start=allowed(changed))
            self._requests.configure(self._configuration)
            kept = ()
        self._offered = tuple(dict.fromkeys(local_endpoints))
        self._locals = self._usable()
        self._turns.clear()
        self._round_trip = RoundTrip()  # of the networks before
        self._stream_interval = STREAM_INTERVAL
        self._machine.fire(MobileEvent.MOVE if self._locals else MobileEvent.LOSE)
        old = self.path
        if not self._locals:
            self._leave()
            self._tell(Moved(self.attempt, old, None))
            return
        found = self._next_attempt(beginning(self._configuration), kept)
        self._tell(Moved(self.attempt, old, self.path))
        self._send_requests(found, now)

    def deregister(self, now: float) -> None:
        """End the registration. Raises LocalProtocolError if there is none."""
        self._machine.fire(MobileEvent.DEREGISTER)
        self._stop_asking()
        self._pause_ends = None
        if self.path:
            self._begin(Purpose.DEREGISTER, self.path, now)

    def status(self) -> LinkStatus:
        """Return how the link stands."""
        link = self._link
        current = [link.current] if link.current else []
        return LinkStatus(
            link.home_address,
            self.state,
            self.attempt,
            self.path,
            path_statuses(link, current),
            sa_statuses(link),
            len(self._waiting),
        )

    def timer(self) -> float | None:
        care, waiting = self._care_due(), self._waiting_due()
        times = (self._exchanges.deadline, self._pause_ends, care, waiting)
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        self._run_exchanges(now)
        if self._pause_ends is not None and now >= self._pause_ends:
            self._pause_over(now)
        self._take_care(now)
        self._drop_waiting(now)

    # RREP in

    def _receive_message(self, link: Link, message: bytes, arrival: Arrival, now: float) -> None:
        path, spi, _, _ = arrival
        reply = parse_reply(message)
        attempt = reply.attempt
        if attempt is None:
            raise Drop(DropReason.POORLY_FORMED, f"no {missing_required(reply)}")
        if reply.home_address != if_ipv4(self._link.home_address):
            raise Drop(DropReason.WRONG_IDENTITY, address_text(reply.home_address))
        if reply.home not in (None, self._link.home_address):
            raise Drop(DropReason.WRONG_IDENTITY, "HOME")
        if reply.code == ReplyCode.IDENTIFICATION_MISMATCH:
            self._correct_counters(reply.identification, attempt.number, now)
            return
        exchange = self._exchanges.find(reply.identification)
        if exchange:
            self._skips.hear(now)
        if exchange and reply.code != ReplyCode.ACCEPTED:
            self._refused(exchange, reply.code, now)
            return
        if reply.code or self.state is MobileState.DETACHED:
            raise Drop(DropReason.UNSOLICITED_REPLY, f"code {reply.code}")
        if is_newer_attempt(attempt.number, self.attempt):
            raise Drop(DropReason.UNSOLICITED_REPLY, f"attempt {attempt.number}")
        is_bare = reply.challenge is not None and reply.sent is None and not is_used(reply)
        index = exchange.index if exchange and not is_bare else attempt.index
        if attempt.index != index:
            raise Drop(DropReason.UNSOLICITED_REPLY, f"index {attempt.index}")
        again = self._answered.get(reply.identification)
        if reply.challenge is not None:
            skipped = self._skip_numbers(*self._challenges.answered(reply.challenge, now), now)
            self._say(self._requests.confirm(reply, path, now), path)
            if skipped and self._is_registered:  # nothing answers a CONFIRM: are they taken?
                self._probe_current(Purpose.KEEPALIVE, now)
            solicited = bool(exchange or again)
            self._tell(ChallengeAnswered(attempt.number, path, solicited))
        elif not exchange and not (again and again.last):
            raise Drop(DropReason.UNSOLICITED_REPLY, f"0x{reply.identification:016x}")
        if is_bare or attempt.number != self.attempt:
            return  # no answer to an RREQ, but a challenge (rule 4)
        if exchange:
            self._answer(exchange, reply, path, spi, now)
        elif again:
            self._learn(again, reply, path, spi)
            if again.last:
                self._close_unused(again.path)
            self._decide(now)

    def _learn(
        self, exchange: Exchange, reply: RegistrationReply, path: Path, spi: int
    ) -> tuple[tuple[Translation, ...], tuple[Translation, ...]]:
        """Return the translations that Y saw in the RREQ, and those that X sees in the RREP."""
        seen = from_items(
            reply.translations or (), self._describe_sent(exchange.path), reply.observed or ()
        )
        self._configuration = told(self._configuration, reply.addresses or ())
        observed = self._describe(path, spi, arrived=True)
        own = compare(reply.sent, observed) if reply.sent else ()
        if exchange.purpose not in (Purpose.DEREGISTER, Purpose.SPARE):
            self._findings.learn(reply, exchange.path, (*seen, *own), self._sequence)
        return seen, own

    def _answer(
        self,
        exchange: Exchange,
        reply: RegistrationReply,
        arrived_on: Path,
        spi: int,
        now: float,
    ) -> None:
        """Handle the RREP, code 0, of an RREQ that is under way. Raises Drop."""
        seen, own = self._learn(exchange, reply, arrived_on, spi)
        purpose, path = exchange.purpose, exchange.path
        is_current = is_used(reply)
        rtt = now - exchange.outstanding[reply.identification]
        self._round_trip.measured(rtt)
        if purpose is not Purpose.USE or is_current:
            self._done(exchange)
        if purpose is Purpose.DEREGISTER:
            self._machine.fire(MobileEvent.ACCEPTED)
            self._leave()
            self._tell(Deregistered(self.attempt, confirmed=True))
            return
        if purpose in (Purpose.REGISTER, Purpose.REFRESH) and not is_current:
            self._elsewhere(exchange, reply, now)
        elif self.state is MobileState.REGISTERING and is_current:
            self._accepted(reply, path, rtt, (seen, own), now)
        elif purpose is Purpose.REFRESH:
            self._machine.fire(MobileEvent.ACCEPTED)
            self._tell(Renewed(self.attempt, rtt, self._granted(reply, rtt, now)))
        elif is_current and purpose in (Purpose.REGISTER, Purpose.USE):
            self._chosen(path, rtt, now)
        elif purpose is Purpose.TRY and not self._confirmed:
            self._begin(Purpose.REGISTER, path, now, at=now + NATIVE_ALONE_AFTER)
        self._learn_length(exchange, reply.identification, now)
        if self._is_well(exchange, reply, now):
            self._decide(now)

    def _granted(self, reply: RegistrationReply, rtt: float, now: float) -> int:
        """Renew it at half of the time since the RREQ: Y counts from its arrival."""
        lifetime = min(reply.lifetime, self._configuration.lifetime)
        if lifetime != LIFETIME_INFINITE:
            self._pause_ends = max(now - rtt + max(lifetime / 2, SHORTEST_RENEWAL), now)
        return lifetime

    def _accepted(
        self,
        reply: RegistrationReply,
        path: Path,
        rtt: float,
        translations: tuple[tuple[Translation, ...], tuple[Translation, ...]],
        now: float,
    ) -> None:
        """Y uses one of the paths of this attempt."""
        self._machine.fire(MobileEvent.ACCEPTED)
        registered = Registered(
            attempt=self.attempt,
            path=path,
            rtt=rtt,
            lifetime=self._granted(reply, rtt, now),
            sent=self._describe_sent(path),
            observed=reply.observed or (),
            translations=translations[0],
            reply_translations=translations[1],
            supported=reply.supported or (),
            selected=reply.selected or (),
        )
        self._tell(registered)
        self._settle(path, now)
        self._begin_care(now)

    def _elsewhere(self, exchange: Exchange, reply: RegistrationReply, now: float) -> None:
        """Y uses another path than the one that this RREQ came by."""
        if exchange.purpose is Purpose.REFRESH:
            self._ask_elsewhere(now)
        elif self._confirmed:
            return  # one of the parallel RREQs was faster
        elif reply.challenge is not None:  # a copy may have been faster; this path is proven
            self._use(exchange.path, now)
        elif not self._exchanges.of(Purpose.REGISTER):
            self._ask_elsewhere(now)

    def _refused(self, exchange: Exchange, code: int, now: float) -> None:
        self._exchanges.remove(exchange)
        purpose = exchange.purpose
        if purpose is Purpose.DEREGISTER:
            self._machine.fire(MobileEvent.REFUSED)
            self._leave()
            self._tell(Deregistered(self.attempt, confirmed=False))
        elif code == ReplyCode.ADMINISTRATIVELY_PROHIBITED and purpose is Purpose.TRY:
            self._give_up_path(exchange.path, now)
        elif code == ReplyCode.ADMINISTRATIVELY_PROHIBITED and purpose is Purpose.REGISTER:
            self._refused_path(exchange, FailureReason.UNSUPPORTED, now)
        elif purpose is Purpose.REFRESH or (purpose is Purpose.REGISTER and not self._confirmed):
            self._pause(RegistrationFailed(self.attempt, FailureReason.REFUSED, code), now)
        else:
            self._gave_up(exchange, now)

    def _refused_path(self, exchange: Exchange, reason: FailureReason, now: float) -> None:
        others = self._exchanges.of(Purpose.REGISTER, Purpose.USE)
        if exchange.purpose is not Purpose.REGISTER or self._confirmed or others:
            self._gave_up(exchange, now)
        elif tried := self._exchanges.of(Purpose.TRY):  # nothing goes beside it any more
            one = tried[0]
            self._exchanges.remove(one)
            self._begin(Purpose.REGISTER, one.path, now, index=one.index, count=one.count)
        elif set(self._encapsulations) >= set(allowed(self._configuration)):
            self._pause(RegistrationFailed(self.attempt, reason), now)
        else:
            self._failed(exchange, now, reason)

    def _pause(self, why: RegistrationFailed, now: float) -> None:
        """The attempt failed at once; the next one must not."""
        self._machine.fire(MobileEvent.REFUSED)
        self._stop_asking()
        self._pause_ends = now + GIVE_UP_AFTER
        self._tell(why)

    def _correct_counters(self, identification: int, attempt: int, now: float) -> None:
        """Act on code 133; only the low word of its Identification is ours (RFC 5944, 5.7.1).

        A terminal that finds everything stale must not make X send at its pace: what comes sooner
        than the first retransmission is dropped, and the retransmission asks again.
        """
        if self._exchanges.find_low_word(identification) is None:
            raise Drop(DropReason.UNSOLICITED_REPLY, f"0x{identification:016x}")
        self._skips.hear(now)
        if self._corrected is not None and now - self._corrected < FIRST_INTERVAL:
            raise Drop(DropReason.UNSOLICITED_REPLY, "counters were corrected just now")
        ends = self.state is MobileState.DEREGISTERING
        self._machine.fire(MobileEvent.STALE)
        self._corrected = now
        self._requests.correct(identification, attempt)
        self._tell(CountersCorrected(self.attempt))
        path = self.path
        if ends and path:
            self._exchanges.clear()
            self._begin(Purpose.DEREGISTER, path, now)
        else:
            self._send_requests(self._new_paths(self._encapsulations, go_on=True), now)
