"""Attempts of X: what begins one, by which paths its RREQs go, and what ends it.

- Parallel RREQs start staggered. Among them native goes as PROBE, unless it is alone; where only
  that is answered, X registers on native 2 s later; if nothing is, when the probe has failed.
- Without RREP for 32 s an attempt has failed, and another one follows with all that is allowed.
- Rule 12: with AH SAs an attempt is by AH first. Two RREQs without reply, and another attempt
  follows by the ESP SA; without one, it is tried as long as any.
"""

from collections import Counter
from collections.abc import Callable, Collection
from math import inf

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.transitions import MOBILE, Machine, MobileEvent, MobileState
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.counters import MobileSnapshot
from scapy_mobsec.terminal.events import (
    AhTranslated,
    Deregistered,
    Event,
    FailureReason,
    FallBackReason,
    KeepaliveLost,
    RegistrationFailed,
    StreamLost,
)
from scapy_mobsec.terminal.exchange import (
    FIRST_INTERVAL,
    Exchange,
    Purpose,
)
from scapy_mobsec.terminal.keeper import PathKeeper
from scapy_mobsec.terminal.paths import PathState
from scapy_mobsec.terminal.routes import (
    after_failure,
    allowed,
    beginning,
    paths,
    paths_from,
    unopened,
)


class AttemptKeeper(PathKeeper):
    """X as far as it begins attempts, and goes on from what fails."""

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
        self._offered: tuple[Endpoint, ...] = ()
        self._not_before = -inf

    @property
    def state(self) -> MobileState:
        """Where it stands."""
        return self._machine.state

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
        found = self._next_attempt(self._encapsulations)
        self._send_requests(found, now, wait=self._wait(now))

    def _wait(self, now: float) -> float:
        """Return how long to wait with another attempt that others have caused: not at first, but
        nobody shall set the pace of them.
        """
        start = max(now, self._not_before)
        self._not_before = start + FIRST_INTERVAL
        return start - now

    @property
    def _is_registered(self) -> bool:
        """Whether there is a registration that X wants to keep."""
        return self.state in (MobileState.REGISTERED, MobileState.REFRESHING)

    def _restart(self, why: Event, now: float) -> None:
        self._machine.fire(MobileEvent.RESTART)
        self._tell(why)
        found = self._next_attempt(beginning(self._configuration))
        self._send_requests(found, now, wait=self._wait(now))

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
            self._died(path)
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
            if self._is_registered:
                if self._exchanges.of(Purpose.KEEPALIVE):
                    self._died(path)
                self._restart(StreamLost(self.attempt, path, reason), now)
            return
        if path == self._known_good:
            self._known_good = unopened(path)
        for exchange in self._exchanges:
            if exchange.path == path:
                self._open_later(exchange, now)


def _only_tried(path: Path, found: Collection[Path]) -> bool:
    """Tell whether a path of an attempt is only probed: native beside another encapsulation."""
    native = Encapsulation.NATIVE
    return path.encapsulation is native and any(one.encapsulation is not native for one in found)
