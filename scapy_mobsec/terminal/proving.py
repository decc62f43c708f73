"""How paths prove themselves to Y, and what their success or failure does to the current path.

Rule 3: what exceeds the limit of a path that is not validated waits in a queue of 64 packets,
after the RREPs. An RREP with a challenge is repeated, with a new ESP number, at 0.5, 1 and 2 s.
A RESPONSE counts only on the path it came by. A failure concerns only its own path: the current
one failed, the last validated path of this attempt is current again, else the binding is suspended
and data waits. While the current path is not validated or suspended, the newest authentic packet on
any path makes Y challenge that path, and the challenge on the suspended one is repeated, from 1 s
to 30 s.
Rule 2 (b), (d) and (e) are carried out here; rule 4 is decided in `rebinding`.
"""

from collections.abc import Callable
from enum import Enum
from functools import partial
from hmac import compare_digest
from operator import itemgetter
from typing import Any

from contrib_layers.numbers import LIFETIME_INFINITE, AttemptFlag
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ah import InboundAh
from scapy_mobsec.esp.sa import InboundSa, Opened
from scapy_mobsec.packet.path import Ends, Path
from scapy_mobsec.registration.flat import flags_of_reply, with_flags
from scapy_mobsec.registration.messages import build_reply
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.agenda import Agenda
from scapy_mobsec.terminal.answering import bare_challenge
from scapy_mobsec.terminal.base import Terminal
from scapy_mobsec.terminal.bound_link import FIRST_RETRY, BoundLink
from scapy_mobsec.terminal.counters import COMMITTED_WITHIN, SKIPPED_NUMBERS
from scapy_mobsec.terminal.driving import Input
from scapy_mobsec.terminal.events import (
    BindingMoved,
    BindingMovedDraft,
    MoveCause,
    NumbersSkipped,
    PathRejected,
    PathValidated,
    RaceSuspected,
    Rebound,
    Resumed,
    Suspended,
)
from scapy_mobsec.terminal.paths import (
    CHALLENGED_AGAIN_AFTER,
    REPLY_RESERVE,
    Challenge,
    PathState,
    unknown_path,
)
from scapy_mobsec.terminal.rebinding import Verdict
from scapy_mobsec.terminal.signalling import Inner

MAX_WAITING = 64
"""Packets of one link that wait for credit or for a path."""

LONGEST_RETRY = 30.0
"""Seconds between two challenges on a suspended path, after they have doubled."""


class Timer(Enum):
    """What is due: for a home address, or for a stream."""

    EXPIRY = "lifetime of a binding"
    CHALLENGE = "first challenge of all paths of a link"
    SUSPENDED = "challenge on the suspended path"
    REBINDING = "silence of the current path"
    STREAM = "end of a stream of no use"
    SILENCE = "silence of a stream"
    ANSWER = "answer to a request that waits"

    __hash__ = object.__hash__  # members are singletons; the one of Enum is not in C


_CHALLENGE, _EXPIRY, _SIGNALLING = Timer.CHALLENGE, Timer.EXPIRY, Inner.SIGNALLING


class ProvingTerminal(Terminal[BoundLink]):
    """The part of Y that knows paths, and no requests."""

    def __init__(self, max_sas: int, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(max_sas)
        self._random_bytes = random_bytes
        self._homes: dict[bytes, BoundLink] = {}
        self._timers: Agenda[tuple[Any, ...]] = Agenda()

    def receive(self, data: Input, path: Path, now: float) -> None:
        if now >= self._timers.earliest:  # so that what comes cannot put off what is over
            self.handle_timer(now)
        self._receive(data, path, now)

    def timer(self) -> float | None:
        return self._timers.next()

    def handle_timer(self, now: float) -> None:
        for what, key in self._timers.due(now):
            if what is Timer.CHALLENGE:
                self._challenge_due(self._homes[key], now)
            elif what is Timer.SUSPENDED:
                self._retry_suspended(self._homes[key], now)
            elif what is Timer.REBINDING:
                self._decide_rebinding(self._homes[key], now)
            else:
                self._handle_other(what, key, now)

    def _handle_other(self, what: Timer, key: bytes | Ends, now: float) -> None:
        """Do what is due beside the proving of paths."""
        raise NotImplementedError

    # admission and challenges

    def _admit(
        self, link: BoundLink, path: Path, known: PathState | None, octets: int = 0
    ) -> PathState:
        """Admit a path, of which `known` is known.

        `octets`: of the ESP packet that is the first of a new account.
        """
        if known is None:
            state = unknown_path(path, octets)
        elif admitted := link.paths.get(path):
            return admitted
        else:
            state = known.in_new_attempt()
            if known.validated:
                state.received(octets, data=False)
        link.paths.add(state, link.current)
        return state

    def _challenged(self, link: BoundLink, state: PathState, now: float) -> tuple[Challenge, bool]:
        """Return the challenge for the next RREP on a path, and whether it is a new one."""
        challenge, new = state.challenged(now, self._random_bytes, link.challenge_life)
        if new:
            self._timers.advance((_CHALLENGE, link.home_address), challenge.due())
        return challenge, new

    def _wind_challenge(self, link: BoundLink, state: PathState, now: float) -> None:
        """A path became the current one: a challenge under way has all its time from now on."""
        if challenge := state.challenge:
            challenge.started, challenge.repeated = now, 0
            self._timers.advance((_CHALLENGE, link.home_address), challenge.due())

    def _challenge(self, link: BoundLink, state: PathState, now: float) -> None:
        """Challenge a path that nobody asked about, or again one that is not the current one: its
        answer may have been raced. Raises Drop.
        """
        challenge, new = self._challenged(link, state, now)
        if new:
            bare = bare_challenge(link.binding, link.identity, challenge.octets)
            challenge.message = build_reply(bare)
        elif state is link.current or now < challenge.sent + CHALLENGED_AGAIN_AFTER:
            return
        self._send_challenge(link, state, now)

    def _send_challenge(self, link: BoundLink, state: PathState, now: float) -> None:
        """Send the RREP that carries the challenge of a path. Raises Drop."""
        challenge = state.challenge
        if challenge is None or not challenge.message:
            return
        challenge.sent = now
        message, flags = challenge.message, link.reply_flags(state)
        asked = flags_of_reply(message) != _PROBE
        if asked:
            message = with_flags(message, flags | flags_of_reply(message) & _FORCED)
        self._send_reply(link, message, state.path, state, now, wants_response=asked)

    def _send_reply(
        self,
        link: BoundLink,
        message: bytes,
        source: Path,
        state: PathState | None,
        now: float,
        *,
        wants_response: bool = False,
        refuses: bool = False,
    ) -> None:
        """Send an RREP, from another endpoint of Y's if `source` says so; `state`: of the path
        that it answers. Without one it goes to a place that is not admitted, and is no longer than
        3 times the RREQ that it refuses. `wants_response`: an RREQ asked for it, and it challenges.
        `refuses`: it is no acceptance. Raises Drop.
        """
        if state is not None and not state.validated:
            octets = link.signalling_length(len(message), source)
            if not state.allows(octets):
                came = state.traffic.received_octets
                raise Drop(DropReason.NO_CREDIT, f"{came} octets received")
        if wants_response or refuses:
            self._skip_numbers(link, now, refuses=refuses)
        self._send_message(link, message, source)
        if state and state.path != source:
            state.sent(link.signalling_length(len(message), source), data=False)

    def _skip_numbers(self, link: BoundLink, now: float, *, refuses: bool) -> None:
        """Skip numbers if X seems to have restarted, and to refuse ours. An RREP without challenge
        asks for no RESPONSE, unless it refuses; where no RREQ asked for it, nobody may be there.
        """
        if link.unanswered.may_skip(now, refuses=refuses) and link.skip(SKIPPED_NUMBERS):
            self._tell(NumbersSkipped(SKIPPED_NUMBERS))

    def _challenge_due(self, link: BoundLink, now: float) -> None:
        """Repeat or give up the challenge that is due first, if there still is one."""
        under_way = [(each.challenge.due(), each) for each in link.states() if each.challenge]
        due, state = min(under_way, key=itemgetter(0), default=(now, None))
        challenge = state.challenge if state and due <= now else None
        if state and challenge and now >= challenge.started + challenge.life:
            state.challenge, state.failed = None, challenge
            self._failed(link, state, now)
        elif state and challenge:
            challenge.repeated += 1
            self._attempt_send(partial(self._send_challenge, link, state, now), state.path)
        self._wind_challenges(link)

    def _wind_challenges(self, link: BoundLink) -> None:
        """Wake up when the first challenge of a link is due."""
        dues = [each.challenge.due() for each in link.states() if each.challenge]
        if dues:
            self._timers.set((_CHALLENGE, link.home_address), min(dues))
        else:
            self._timers.remove((_CHALLENGE, link.home_address))

    def _attempt_send(self, send: Callable[[], None], path: Path) -> None:
        try:
            send()
        except Drop as drop:
            self._dropped(drop, path)

    # what comes of it

    def _receive_response(self, link: BoundLink, response: bytes, path: Path, now: float) -> None:
        """Take a RESPONSE. Raises Drop(WRONG_RESPONSE) where it answers nothing on this path."""
        state = link.state_of(path)
        if state and state.answered and compare_digest(state.answered, response):
            return
        challenge = (state.challenge or state.failed) if state else None
        if state is None or challenge is None or not challenge.is_answered(response, now):
            raise Drop(DropReason.WRONG_RESPONSE)
        state.challenge, state.failed, state.answered = None, None, challenge.octets
        link.answered_after(now - challenge.asked)
        self._wind_challenges(link)
        link.unanswered.hear(now)
        self._unsave(link, now + COMMITTED_WITHIN)
        if not state.validated:
            state.validated = True
            link.paths.validated(state)
            self._tell(PathValidated(link.home_address, path, now - challenge.asked))
        current = link.current
        if current is None or not current.validated:
            self._choose(link, state, MoveCause.RESPONSE, now)
        else:
            self._rebinding_answered(link, state, current, now)
        self._flush(link)

    def _choose(self, link: BoundLink, state: PathState, cause: MoveCause, now: float) -> None:
        """Make a path current that proved itself. Raises Drop if the binding is over."""
        suspended = link.binding.state is OtherState.SUSPENDED
        expired = link.binding.state is OtherState.EXPIRED
        link.binding.choose(of_this_attempt=cause is not MoveCause.REBINDING)
        self._unsave(link, now + COMMITTED_WITHIN)
        if expired:  # by a RESPONSE, which names no lifetime: as long as the last time
            self._set_expiry(link, now)
        self._move(link, state, cause, suspended=suspended)

    def _set_expiry(self, link: BoundLink, now: float) -> None:
        endless = link.lifetime == LIFETIME_INFINITE
        link.expires = None if endless else now + link.lifetime
        self._wind_expiry(link)

    def _wind_expiry(self, link: BoundLink) -> None:
        if link.expires is None:
            self._timers.remove((_EXPIRY, link.home_address))
        else:
            self._timers.set((_EXPIRY, link.home_address), link.expires)

    def _move(
        self, link: BoundLink, state: PathState, cause: MoveCause, *, suspended: bool
    ) -> None:
        """Take over what the binding has decided; what waits is for `_flush`."""
        home, current = link.home_address, link.current
        if link.suspended:
            self._timers.remove((Timer.SUSPENDED, home))
        if link.rebinding.candidate:
            self._timers.remove((Timer.REBINDING, home))
            link.rebinding.end()
        link.current, link.suspended = state, None
        if suspended:
            self._tell(Resumed(home, state.path, len(link.waiting)))
        moved = BindingMovedDraft()
        moved.home_address, moved.attempt = home, link.binding.last_attempt or 0
        moved.old, moved.new = current.path if current else None, state.path
        moved.cause = cause
        moved.__class__ = BindingMoved
        self._tell(moved)

    def _failed(self, link: BoundLink, state: PathState, now: float) -> None:
        """A challenge was not answered; that is no news of a path that answered another one."""
        home = link.home_address
        if state is link.rebinding.candidate:
            link.rebinding.pause(now)
            self._timers.remove((Timer.REBINDING, home))
        if state.validated:
            return
        traffic = state.traffic
        self._tell(PathRejected(home, state.path, traffic.received_octets, traffic.sent_octets))
        if state is link.current:
            self._lost(link, state.path, now)

    def _lost(self, link: BoundLink, path: Path, now: float, *, closed: bool = False) -> None:
        """The current path failed: back to one that proved itself. It closed, or there is none:
        suspend.
        """
        current = link.current
        if current is None or current.path != path:
            return
        fallback = None if closed else link.paths.last_validated(but=current)
        home = link.home_address
        if fallback:
            self._choose(link, fallback, MoveCause.FAILURE, now)
            self._flush(link)
            return
        link.binding.suspend()
        self._unsave(link, now + COMMITTED_WITHIN)
        link.rebinding.end()
        link.current, link.suspended, link.retry = None, current, FIRST_RETRY
        self._timers.remove((Timer.REBINDING, home))
        if not closed:
            self._timers.set((Timer.SUSPENDED, home), now + link.retry)
        self._tell(Suspended(home, path))

    def _forget(self, link: BoundLink, path: Path) -> None:
        """A stream is gone: nothing is sent there any more, and nothing moved to it."""
        if state := link.state_of(path):
            state.challenge = None
            self._wind_challenges(link)
        link.paths.remove(path)

    def _retry_suspended(self, link: BoundLink, now: float) -> None:
        state = link.suspended
        if state is None:
            return
        link.retry = min(2 * link.retry, LONGEST_RETRY)
        self._timers.set((Timer.SUSPENDED, link.home_address), now + link.retry)
        challenge, _ = state.challenged(now, self._random_bytes, link.challenge_life)
        bare = bare_challenge(link.binding, link.identity, challenge.octets)
        challenge.message = build_reply(bare)
        path = state.path
        self._attempt_send(partial(self._send_challenge, link, state, now), path)

    def _clear(self, link: BoundLink) -> None:
        """The binding is over: no current path, and nothing waits for one."""
        link.current = link.suspended = None
        while link.waiting:
            octets = len(link.waiting.pop(0))
            self._dropped(Drop(DropReason.NO_PATH, f"{octets} octets that waited"), None)
        link.rebinding.end()
        for what in (Timer.SUSPENDED, Timer.REBINDING):
            self._timers.remove((what, link.home_address))

    # data

    def _authentic(
        self, link: BoundLink, inner: Inner, opened: Opened, octets: int, path: Path, now: float
    ) -> PathState | None:
        state = link.state_of(path)
        if inner is _SIGNALLING:
            if state is not None:  # else it is counted once the RREQ is accepted
                state.received(octets, data=False)
                if link.waiting:
                    self._flush(link)
            return state
        current = link.current
        newest = link.is_newest(opened)
        if state is None and newest and self._is_unsure(link, path, now):
            state = self._admit(link, path, None)
        if state is None:
            return None
        state.received(octets, data=inner is Inner.DATA)
        if not newest:
            self._flush(link)
            return state
        if link.current is None or not link.current.validated:
            if link.binding.state in (OtherState.BOUND, OtherState.SUSPENDED):
                self._attempt_send(partial(self._challenge, link, state, now), path)
        elif current and link.rebinding.may_start(path, current, now):
            link.rebinding.start(state, now)
            for each in (state, current):
                self._attempt_send(partial(self._challenge, link, each, now), each.path)
        self._flush(link)
        return state

    def _not_opened(
        self, link: BoundLink, sa: InboundSa | InboundAh, drop: Drop, path: Path, now: float
    ) -> None:
        """After a restart of Y, X does not know that its numbers are too low (or, with ESN, wrong):
        a challenge on the kept path that X answers in vain tells it (`RepeatedChallenge`).
        """
        current = link.current
        refused = drop.reason in (DropReason.TOO_OLD, DropReason.BAD_ICV)
        if not refused or not sa.replay.is_unused:
            return
        if current and current.path == path:
            self._attempt_send(partial(self._challenge, link, current, now), path)

    def _is_unsure(self, link: BoundLink, path: Path, now: float) -> bool:
        """Tell whether the newest packet makes its path worth a challenge."""
        if link.binding.state not in (OtherState.BOUND, OtherState.SUSPENDED):
            return False
        current = link.current
        if current is None or not current.validated:
            return True
        return link.rebinding.may_start(path, current, now)

    def _send_or_queue(self, link: BoundLink, packet: bytes, now: float) -> None:
        """Send data on the current path, or let it wait. Raises Drop.

        It does not wait in vain: a path that did not prove itself before a restart is challenged.
        """
        current = link.current
        state = current or link.suspended
        octets = link.data_length(packet, state.path if state else None)
        if current is None and link.binding.state is not OtherState.SUSPENDED:
            raise Drop(DropReason.NO_PATH)
        if current and not link.waiting and current.allows(octets, reserve=REPLY_RESERVE):
            self._send_data(link, packet)
            return
        if len(link.waiting) >= MAX_WAITING:
            raise Drop(DropReason.QUEUE_FULL, "data that waits for a path")
        link.waiting.append(packet)
        if current and not current.validated and current.challenge is None:
            self._attempt_send(partial(self._challenge, link, current, now), current.path)

    def _flush(self, link: BoundLink) -> None:
        """Send what waits, as far as the current path allows it."""
        current = link.current
        while current and link.waiting:
            packet = link.waiting[0]
            if not current.allows(link.data_length(packet, current.path), reserve=REPLY_RESERVE):
                return
            del link.waiting[0]
            self._attempt_send(partial(self._send_data, link, packet), current.path)

    def _sent(self, link: BoundLink, octets: int, path: Path, *, data: bool) -> None:
        state, current = link.state_of(path), link.current
        if state and current and state is not current and current.path == path:
            octets = 0 if current.validated else octets  # it did answer, in an attempt before
        if state:
            state.sent(octets, data=data)

    # rule 4

    def _rebinding_answered(
        self, link: BoundLink, state: PathState, current: PathState, now: float
    ) -> None:
        verdict = link.rebinding.answered(state, current, now)
        candidate = link.rebinding.candidate
        if candidate is None:
            return
        if verdict is Verdict.RACE:
            pause = link.rebinding.pause(now)
            self._timers.remove((Timer.REBINDING, link.home_address))
            self._tell(RaceSuspected(link.home_address, current.path, candidate.path, pause))
        elif verdict is Verdict.WAIT and link.rebinding.decides is not None:
            self._timers.set((Timer.REBINDING, link.home_address), link.rebinding.decides)

    def _decide_rebinding(self, link: BoundLink, now: float) -> None:
        candidate, current = link.rebinding.candidate, link.current
        if candidate and current and link.rebinding.verdict(now) is Verdict.REBOUND:
            seconds = link.rebinding.seconds
            self._tell(Rebound(link.home_address, current.path, candidate.path, seconds))
            self._choose(link, candidate, MoveCause.REBINDING, now)
            self._flush(link)


_PROBE, _FORCED = int(AttemptFlag.PROBE), int(AttemptFlag.FORCED)
