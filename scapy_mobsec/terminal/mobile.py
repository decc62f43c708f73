"""The mobile terminal X: registers from every new place, and sends without waiting.

This file: the five calls, what begins and ends an attempt, and what X does with each RREP.
The current path, and better ones: `keeper`; RREQs under way, streams, data out: `requester`.

- Parallel RREQs start staggered. Among them native goes as PROBE, unless it is alone; where only
  that is answered, X registers on native 2 s later; if nothing is, when the probe has failed.
- Without RREP for 32 s an attempt has failed, and another one follows with all that is allowed.
- Rule 12: with AH SAs an attempt is by AH first. Two RREQs without reply, and another attempt
  follows by the ESP SA; without one, it is tried as long as any.
- Code 129 says that Y does not support the encapsulation: the others go on, or all that is allowed.
- Code 133 is acted on only for an outstanding RREQ of the current attempt, once per attempt.
- The addresses that Y tells are used from the next attempt on, where X knows none of that family.
- X answers every challenge, on the path it came by, whether an RREQ asked for it or not, also of an
  older attempt: Y does not know the present one before an RREQ of it arrives.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from math import inf

from contrib_layers.numbers import LIFETIME_INFINITE, ReplyCode
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.kinds import many
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path, address_text
from scapy_mobsec.registration.messages import RegistrationReply, missing_required, parse_reply
from scapy_mobsec.registration.serial import is_newer_attempt
from scapy_mobsec.registration.transitions import MOBILE, Machine, MobileEvent, MobileState
from scapy_mobsec.terminal.base import Arrival
from scapy_mobsec.terminal.config import LOCAL_ENDPOINT, MobileConfiguration
from scapy_mobsec.terminal.counters import MobileSnapshot
from scapy_mobsec.terminal.events import (
    AhTranslated,
    ChallengeAnswered,
    CountersCorrected,
    Deregistered,
    Event,
    FailureReason,
    FallBackReason,
    KeepaliveLost,
    Moved,
    Registered,
    RegistrationFailed,
    Renewed,
    StreamLost,
)
from scapy_mobsec.terminal.exchange import (
    FIRST_INTERVAL,
    GIVE_UP_AFTER,
    Exchange,
    Purpose,
    RoundTrip,
)
from scapy_mobsec.terminal.keeper import PathKeeper, is_used
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.paths import PathState
from scapy_mobsec.terminal.routes import (
    after_failure,
    allowed,
    beginning,
    paths,
    paths_from,
    told,
    unopened,
)
from scapy_mobsec.terminal.signalling import if_ipv4
from scapy_mobsec.translation import Translation, compare, from_items

NATIVE_ALONE_AFTER = 2.0
"""Seconds that the other parallel RREQs have after native was answered."""

SHORTEST_RENEWAL = 0.5
"""Seconds before a renewal, however short the lifetime that Y grants: half of the shortest one."""


class MobileTerminal(PathKeeper):
    """X, the end that moves."""

    def __init__(
        self,
        configuration: MobileConfiguration,
        *,
        random_bytes: Callable[[int], bytes],
        snapshot: MobileSnapshot | None = None,
    ) -> None:
        super().__init__(configuration, random_bytes=random_bytes, snapshot=snapshot)
        self._machine = Machine(MOBILE, MobileState.DETACHED)
        self._encapsulations: tuple[Encapsulation, ...] = ()
        self._turns: Counter[tuple[Encapsulation, ...]] = Counter()  # attempts that failed here
        self._pause_ends: float | None = None
        self._corrected: float | None = None
        self._offered: tuple[Endpoint, ...] = ()
        self._not_before = -inf

    @property
    def state(self) -> MobileState:
        """Where it stands."""
        return self._machine.state

    def move(
        self, local_endpoints: Sequence[Endpoint], now: float, kept: Collection[Endpoint] = ()
    ) -> None:
        """Go on from new local endpoints: all from where Y is reached are used, the first first.

        An endpoint that looks like the old one may be in another network: it starts an attempt too.
        `kept`: those that are in the same network as before, so that streams from there still live.
        Raises ValueError for what is no endpoint of a host; then nothing changes.
        """
        many(LOCAL_ENDPOINT, inside=Sequence).check("local_endpoints", local_endpoints)
        many(LOCAL_ENDPOINT, inside=Collection).check("kept", kept)
        self._offered = tuple(dict.fromkeys(local_endpoints))
        self._locals = self._usable()
        self._turns.clear()
        self._round_trip = RoundTrip()  # of the networks before
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

    # attempts

    def _usable(self) -> tuple[Endpoint, ...]:
        """Return the local endpoints from where Y is reached, as far as is known by now."""
        settings = self._configuration
        any_one = allowed(settings)[0]
        return tuple(one for one in self._offered if paths_from(settings, one, any_one))

    def _next_attempt(
        self, encapsulations: tuple[Encapsulation, ...], kept: Collection[Endpoint] = ()
    ) -> list[Path]:
        self._locals = self._usable()
        self._requests.next_attempt()
        return self._new_paths(encapsulations, kept)

    def _new_paths(
        self,
        encapsulations: tuple[Encapsulation, ...],
        kept: Collection[Endpoint] = (),
        *,
        go_on: bool = False,
    ) -> list[Path]:
        """Return the paths of an attempt. `go_on`: with all streams that are open there."""
        self._pause_ends = None
        settings = self._configuration
        wanted = paths(settings, self._locals, encapsulations, self._turns[encapsulations])
        if not wanted:  # a forward proxy of another family: what does not need it is left
            encapsulations = allowed(settings)
            wanted = paths(settings, self._locals, encapsulations, self._turns[encapsulations])
        self._encapsulations = encapsulations
        self._forget(kept, wanted if go_on else ())
        found = [self._opened(path) for path in wanted]
        first = next((path for path in found if not _only_tried(path, found)), found[0])
        self._link.current = PathState(first)
        return found

    def _send_requests(self, found: list[Path], now: float, *, wait: float = 0.0) -> None:
        kinds = list(dict.fromkeys(path.encapsulation for path in found))
        for index, path in enumerate(found):
            purpose = Purpose.TRY if _only_tried(path, found) else Purpose.REGISTER
            at = now + wait + self._configuration.stagger * kinds.index(path.encapsulation)
            self._begin(purpose, path, now, at=at, index=index, count=len(found))
        self._send_waiting(now)

    def _attempt_again(self, encapsulations: tuple[Encapsulation, ...], now: float) -> None:
        self._send_requests(self._next_attempt(encapsulations), now)

    def _ask_elsewhere(self, now: float) -> None:
        """Y accepts, but uses another path: ask anew, and not at the pace of its answers."""
        self._machine.fire(MobileEvent.ELSEWHERE)
        start = max(now, self._not_before)
        self._not_before = start + FIRST_INTERVAL
        found = self._next_attempt(self._encapsulations)
        self._send_requests(found, now, wait=start - now)

    def _restart(self, why: Event, now: float) -> None:
        self._machine.fire(MobileEvent.RESTART)
        self._tell(why)
        self._attempt_again(beginning(self._configuration), now)

    def _failed(
        self, exchange: Exchange, now: float, reason: FailureReason = FailureReason.NO_REPLY
    ) -> None:
        self._machine.fire(MobileEvent.TIMEOUT)
        self._turns[self._encapsulations] += 1
        path = exchange.path
        if exchange.brief:
            self._tell(AhTranslated(self.attempt, path))
        else:
            alone = path.ah and self._link.outbound is None
            reason = FailureReason.AH_ALONE if alone else reason
            self._tell(RegistrationFailed(self.attempt, reason))
        self._attempt_again(after_failure(self._configuration, path), now)

    def _leave(self) -> None:
        self._forget()
        self._pause_ends = None
        self._link.current = None
        for packet in self._waiting.take():
            self._dropped(Drop(DropReason.NO_PATH, f"{len(packet)} octets that waited"), None)

    def _pause_over(self, now: float) -> None:
        self._pause_ends = None
        if self.state is MobileState.REFUSED:
            self._machine.fire(MobileEvent.RETRY)
            self._attempt_again(self._encapsulations, now)
        elif self.path:
            self._machine.fire(MobileEvent.REFRESH)
            self._begin(Purpose.REFRESH, self.path, now)

    def _gave_up(self, exchange: Exchange, now: float) -> None:
        purpose, path = exchange.purpose, exchange.path
        if purpose is Purpose.DEREGISTER:
            self._machine.fire(MobileEvent.TIMEOUT)
            self._leave()
            self._tell(Deregistered(self.attempt, confirmed=False))
        elif purpose is Purpose.KEEPALIVE:
            self._restart(KeepaliveLost(self.attempt, path), now)
        elif purpose is Purpose.WATCH:
            self._fall_back(path, FallBackReason.NO_ANSWER, now)
        elif purpose is Purpose.MEASURE:
            return
        elif purpose is Purpose.SPARE:
            self._close_stream(path)
        elif purpose is Purpose.REFRESH or (
            purpose is Purpose.USE and (path == self.path or not self._confirmed)
        ):
            self._failed(exchange, now)
        elif purpose is Purpose.REGISTER and not self._confirmed:
            if not self._exchanges.of(Purpose.REGISTER, Purpose.USE):
                self._failed(exchange, now)
        elif purpose is Purpose.TRY and not self._confirmed:
            exchange.purpose = Purpose.REGISTER  # in shorter packets; nothing else passes so far
            self._exchanges.add(exchange)
            self._transmit(exchange, now)
        else:
            self._give_up_path(path, now)
            if path.encapsulation is Encapsulation.NATIVE and now >= exchange.gives_up:
                self._measure(now)  # native may be filtered, or its probe too long

    def _stream_closed(self, path: Path, reason: str, now: float) -> None:
        if first := self._seconds.get(path):
            self._close(first.opened_path, reason, now)
            return
        if path == self._confirmed:
            if self.state in (MobileState.REGISTERED, MobileState.REFRESHING):
                self._restart(StreamLost(self.attempt, path, reason), now)
            return
        if path == self._known_good:
            self._known_good = unopened(path)
        for exchange in self._exchanges:
            if exchange.path == path:
                self._open_later(exchange, now)

    # RREP in

    def _receive_message(self, link: Link, message: bytes, arrival: Arrival, now: float) -> None:
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
            self._skip_numbers(*self._challenges.answered(reply.challenge, now), now)
            self._say(self._requests.confirm(reply, arrival.path, now), arrival.path)
            solicited = bool(exchange or again)
            self._tell(ChallengeAnswered(attempt.number, arrival.path, solicited))
        elif not exchange:
            raise Drop(DropReason.UNSOLICITED_REPLY, f"0x{reply.identification:016x}")
        if is_bare or attempt.number != self.attempt:
            return  # no answer to an RREQ, but a challenge (rule 4)
        if exchange:
            self._answer(exchange, reply, arrival, now)
        elif again:
            self._learn(again, reply, arrival)
            self._decide(now)

    def _learn(
        self, exchange: Exchange, reply: RegistrationReply, arrival: Arrival
    ) -> tuple[tuple[Translation, ...], tuple[Translation, ...]]:
        """Return the translations that Y saw in the RREQ, and those that X sees in the RREP."""
        seen = from_items(
            reply.translations or (), self._describe_sent(exchange.path), reply.observed or ()
        )
        self._configuration = told(self._configuration, reply.addresses or ())
        observed = self._describe(arrival.path, arrival.spi, arrived=True)
        own = compare(reply.sent, observed) if reply.sent else ()
        if exchange.purpose not in (Purpose.DEREGISTER, Purpose.SPARE):
            self._findings.learn(reply, exchange.path, (*seen, *own), self._sequence)
        return seen, own

    def _answer(
        self, exchange: Exchange, reply: RegistrationReply, arrival: Arrival, now: float
    ) -> None:
        """Handle the RREP, code 0, of an RREQ that is under way. Raises Drop."""
        seen, own = self._learn(exchange, reply, arrival)
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
            self._tell(Renewed(self.attempt, rtt, self._granted(reply, now)))
        elif is_current and purpose in (Purpose.REGISTER, Purpose.USE):
            self._chosen(path, rtt, now)
        elif purpose is Purpose.TRY and not self._confirmed:
            self._begin(Purpose.REGISTER, path, now, at=now + NATIVE_ALONE_AFTER)
        self._learn_length(exchange, reply.identification, now)
        if self._is_well(exchange, reply, now):
            self._decide(now)

    def _granted(self, reply: RegistrationReply, now: float) -> int:
        lifetime = min(reply.lifetime, self._configuration.lifetime)
        if lifetime != LIFETIME_INFINITE:
            self._pause_ends = now + max(lifetime / 2, SHORTEST_RENEWAL)
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
            lifetime=self._granted(reply, now),
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


def _only_tried(path: Path, found: Collection[Path]) -> bool:
    """Tell whether a path of an attempt is only probed: native beside another encapsulation."""
    native = Encapsulation.NATIVE
    return path.encapsulation is native and any(one.encapsulation is not native for one in found)
