"""The part of X that cares for its registration: keeps the current path alive, looks for better
ones, changes to them, watches, and goes back (rules 2, 5, 6 and 9 at work).

- A better path becomes the current one by USE, repeated until Y says so; data stays where it works
  until then. Which path is better: `deciding`.
- After a change X watches whether data passes (`watch`). If not, X goes back at once to the path
  that it came from, with USE, and tries again with back-off.
- Spare streams from other interfaces, for the next move, if wanted.
- Signs of life: `keepalive`. What else Y observes than before shows a translator that changed its
  mapping: a new attempt.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection
from functools import partial

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drops import Drop
from scapy_mobsec.encap import udp
from scapy_mobsec.packet.ip import NO_NEXT_HEADER
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import Description
from scapy_mobsec.registration.messages import RegistrationReply
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.counters import MobileSnapshot
from scapy_mobsec.terminal.deciding import BackOff, Findings
from scapy_mobsec.terminal.driving import Established
from scapy_mobsec.terminal.events import (
    Event,
    FallBackReason,
    FellBack,
    MappingChanged,
    PathChosen,
    TraversalDropped,
)
from scapy_mobsec.terminal.exchange import Exchange, Purpose
from scapy_mobsec.terminal.keepalive import (
    SHORTEST_STREAM_INTERVAL,
    STREAM_INTERVAL,
    Keepalive,
    Sign,
)
from scapy_mobsec.terminal.mtu import PathMtu
from scapy_mobsec.terminal.paths import DATAGRAM, PathState
from scapy_mobsec.terminal.requester import Requester
from scapy_mobsec.terminal.routes import allowed, paths_from, unopened
from scapy_mobsec.terminal.watch import DataWatch

MAX_ANSWERED = 64
"""RREQs of an attempt whose RREP may come again, with a challenge."""


def is_used(reply: RegistrationReply) -> bool:
    """Tell whether Y says that the path of its RREP is the current one."""
    return bool(reply.attempt and reply.attempt.flags & AttemptFlag.USE)


class PathKeeper(Requester):
    """Knows the paths of one attempt, and which of them is the current one."""

    def __init__(
        self,
        configuration: MobileConfiguration,
        *,
        random_bytes: Callable[[int], bytes],
        snapshot: MobileSnapshot | None = None,
    ) -> None:
        super().__init__(configuration, random_bytes=random_bytes, snapshot=snapshot)
        self._locals: tuple[Endpoint, ...] = ()
        self._confirmed: Path | None = None  # what Y said that it uses
        self._stream_interval = STREAM_INTERVAL
        self._forget()

    def _forget(self, kept: Collection[Endpoint] = (), going_on: Collection[Path] = ()) -> None:
        """Nothing is known of any path: so it is at the start of each attempt.

        `kept`: endpoints from where streams stay open, if there was a sign of life on them.
        `going_on`: paths, as before their opening, whose streams stay open, if they are.
        """
        self._exchanges.clear()
        addresses, spares = {each.address for each in kept}, self._spares()
        for stream in tuple(self._streams.values()):
            if unopened(stream.path) in going_on and self._is_open(stream.path):
                continue
            alive = stream.path == self._confirmed or unopened(stream.path) in spares
            if not alive or stream.path.local.address not in addresses:
                self._close_stream(stream.opened_path)
        for path in tuple(self._opening):
            if path not in self._seconds:  # for which a channel that is kept waits
                self._close_stream(path)
        self._counters.clear()
        self._findings = Findings(self._configuration)
        self._answered: dict[int, Exchange] = {}
        self._confirmed = None
        self._observed: Description | None = None  # how Y sees the current path
        self._known_good: Path | None = None
        self._mtu = PathMtu(allowed(self._configuration))
        self._stop_care()

    def _stop_asking(self) -> None:
        """What is under way, or was answered and may be again, changes nothing any more."""
        self._exchanges.clear()
        self._answered.clear()
        self._stop_care()

    def _stop_care(self) -> None:
        self._keepalive: Keepalive | None = None
        self._watch: DataWatch | None = None
        self._back_off: BackOff | None = None

    @abstractmethod
    def _restart(self, why: Event, now: float) -> None:
        """Begin another attempt."""

    def _care_due(self) -> float | None:
        """When `take_care` has something to do."""
        times = [self._keepalive.due] if self._keepalive else []
        if self._watch and self._watch.due is not None:
            times.append(self._watch.due)
        if self._back_off and self._better():
            times.append(self._back_off.due)
        return min(times, default=None)

    def _take_care(self, now: float) -> None:
        if self._keepalive and now >= self._keepalive.due:
            self._keep_alive(self._keepalive.sign(now), now)
        if self._watch and self._watch.due is not None and now >= self._watch.due:
            self._watch.probed(now)
            self._probe_current(Purpose.WATCH, now)
        if self._back_off and now >= self._back_off.due and (better := self._better()):
            self._improve(better, now)

    def _done(self, exchange: Exchange) -> None:
        """Wait no longer for an answer, but know it if it comes."""
        self._exchanges.remove(exchange)
        for identification in exchange.outstanding:
            self._answered[identification] = exchange
        while len(self._answered) > MAX_ANSWERED:
            del self._answered[next(iter(self._answered))]

    # the current path

    def _settle(self, path: Path, now: float) -> None:
        """From now on the path is the current one at both ends."""
        if self._link.path != path:
            self._link.current = PathState(path)
        self._confirmed, self._observed, self._watch = path, None, None
        interval = self._findings.keepalive(path.encapsulation, self._configuration.keepalive)
        self._keepalive = None
        if interval:
            self._keepalive = Keepalive(path.encapsulation, now, interval, self._stream_interval)
        self._send_waiting(now)
        self._leave_behind(path, now)
        self._ask_only_for_better(path, now)

    def _ask_only_for_better(self, path: Path, now: float) -> None:
        """Of the other RREQs under way those go on that may find something better: as probes."""
        better, spares = self._findings.better(path.encapsulation), self._spares()
        for exchange in self._exchanges.of(Purpose.REGISTER, Purpose.TRY, Purpose.IMPROVE):
            if unopened(exchange.path) in spares:
                exchange.purpose = Purpose.SPARE
            elif exchange.path.encapsulation not in better:
                self._let_go(exchange, now)
            elif exchange.purpose is Purpose.REGISTER:
                exchange.purpose = Purpose.IMPROVE

    def _let_go(self, exchange: Exchange, now: float) -> None:
        """Ask no more on a path that is no better; Y's data may be under way on its stream.

        It all has arrived with the RREP, which is sent after it: then the stream is closed.
        """
        path = exchange.path
        exchange.last = path.encapsulation not in DATAGRAM and self._is_open(path)
        if not exchange.last:
            self._close_unused(path)
        elif not exchange.outstanding:
            exchange.purpose = Purpose.SPARE
            self._transmit(exchange, now)
        self._done(exchange)

    def _leave_behind(self, path: Path, now: float) -> None:
        """What was asked on the path before is asked on this one, or not at all."""
        asked = (Purpose.KEEPALIVE, Purpose.WATCH, Purpose.MEASURE, Purpose.REFRESH)
        for exchange in self._exchanges.of(*asked):
            if exchange.path != path:
                self._done(exchange)
                if exchange.purpose is Purpose.REFRESH:
                    self._begin(Purpose.REFRESH, path, now)

    def _stream_opened(self, established: Established, path: Path, now: float) -> None:
        if self._confirmed and self._confirmed == established.wanted:
            self._confirmed = path
        super()._stream_opened(established, path, now)

    def _begin_care(self, now: float) -> None:
        """After registration: native is probed at once, other better paths later."""
        self._back_off = BackOff(now)
        if Encapsulation.NATIVE in self._better() and not self._exchanges.of(Purpose.TRY):
            self._improve((Encapsulation.NATIVE,), now)

    def _keep_alive(self, sign: Sign, now: float) -> None:
        path = self.path
        if path is None:
            return
        if sign is Sign.PROBE:
            self._probe_current(Purpose.KEEPALIVE, now)
            self._keep_spares(now)
        elif sign is Sign.OCTET:
            self._send_octets(udp.wrap(udp.Content.KEEPALIVE), path)
        else:
            try:
                self._check_writable(path)
                self._send_sealed(self._link, self._link.seal(b"", NO_NEXT_HEADER, path), path)
            except Drop as drop:
                self._dropped(drop, None)

    def _died(self, path: Path) -> None:
        """The current path did not live to its next PROBE."""
        if path.encapsulation not in DATAGRAM:
            self._stream_interval = max(self._stream_interval / 2, SHORTEST_STREAM_INTERVAL)

    def _probe_current(self, purpose: Purpose, now: float) -> None:
        if self.path and not self._exchanges.of(purpose):
            self._begin(purpose, self.path, now)

    def _measure(self, now: float) -> None:
        """The longest packets may not pass: ask for them."""
        if self._confirmed is None or self._confirmed.encapsulation not in DATAGRAM:
            return
        if not self._mtu.passes(self._link.sealed_length(self.inner_mtu, self.path)):
            self._probe_current(Purpose.MEASURE, now)

    def _learn_length(self, exchange: Exchange, identification: int, now: float) -> None:
        """Find out what an answer tells of the lengths that pass on the current path."""
        if exchange.path != self._confirmed:
            return
        if not self._mtu.answered(exchange.lengths, identification):
            return
        measures = exchange.purpose in (Purpose.KEEPALIVE, Purpose.MEASURE)
        if measures and not exchange.skipped:
            self._lower_mtu(partial(self._mtu.lower, ah=exchange.path.ah))
        else:
            self._measure(now)

    def _is_well(self, exchange: Exchange, reply: RegistrationReply, now: float) -> bool:
        """Tell from an RREP whether the current path is as it was; if not, do what helps."""
        path = exchange.path
        counters = self._counters.get(path)
        lost = counters is not None and counters.shows_loss(reply.identification, reply.report)
        if path != self._confirmed:
            return True
        before, observed = self._observed, reply.observed
        self._observed = observed or before
        if observed and before and observed != before:
            self._restart(MappingChanged(self.attempt, path, before, observed), now)
            return False
        if lost and self._watch:
            self._fall_back(path, FallBackReason.DATA_LOST, now)
            return False
        if exchange.purpose in (Purpose.KEEPALIVE, Purpose.WATCH) and not is_used(reply):
            self._use(path, now)  # Y has left it
            return False
        return True

    # better paths

    def _better(self) -> tuple[Encapsulation, ...]:
        """Return the encapsulations that may be probed now; nothing is better than AH."""
        if self._confirmed is None or self._confirmed.ah:
            return ()
        busy = {one.path.encapsulation for one in self._exchanges}
        better = self._findings.better(self._confirmed.encapsulation)
        return tuple(each for each in better if each not in busy)

    def _improve(self, encapsulations: Collection[Encapsulation], now: float) -> None:
        if self._confirmed is None or self._back_off is None:
            return
        self._back_off.postpone(now)
        local = self._locals[0]
        for one in self._locals:
            if one.address == self._confirmed.local.address:
                local = one
        for encapsulation in encapsulations:
            for path in self._likewise(local, encapsulation):
                self._begin(Purpose.IMPROVE, path, now)

    def _likewise(self, local: Endpoint, encapsulation: Encapsulation) -> list[Path]:
        """Return the paths to the address of Y that the current one leads to, else to any."""
        found = paths_from(self._configuration, local, encapsulation)
        remote = self._confirmed.remote.address if self._confirmed else b""
        return [path for path in found if path.remote.address == remote] or found

    def _give_up_path(self, path: Path, now: float) -> None:
        """A path other than the current one does not pass."""
        self._findings.forget(path)
        self._close_unused(path)
        if self._back_off and not self._exchanges.of(Purpose.IMPROVE, Purpose.USE):
            self._back_off.failed(now)

    def _decide(self, now: float) -> None:
        """Change to a better path, if one is known."""
        target, current = self._findings.choice(), self._confirmed
        if target is None or current is None or target.encapsulation is current.encapsulation:
            return
        if not any(one.path == target for one in self._exchanges.of(Purpose.USE)):
            self._use(target, now)

    def _use(self, path: Path, now: float) -> None:
        for exchange in self._exchanges.of(Purpose.USE):
            self._exchanges.remove(exchange)
        self._begin(Purpose.USE, path, now)

    def _chosen(self, path: Path, rtt: float, now: float) -> None:
        """Y uses this path because X asked it to."""
        old = self._confirmed
        if old == path:
            return
        self._settle(path, now)
        dropped = path.encapsulation is Encapsulation.NATIVE
        self._tell((TraversalDropped if dropped else PathChosen)(self.attempt, old, path, rtt))
        if old:
            self._known_good, self._watch = old, DataWatch(now)
        if self._back_off:
            self._back_off.postpone(now)

    def _fall_back(self, path: Path, reason: FallBackReason, now: float) -> None:
        good = self._known_good
        if good is None or path != self._confirmed:
            return
        self._findings.forget(path)
        self._known_good = None
        self._settle(good, now)
        self._tell(FellBack(self.attempt, path, good, reason))
        if self._back_off:
            self._back_off.failed(now)
        self._use(good, now)

    def _close_unused(self, path: Path) -> None:
        if path not in (self.path, self._known_good):
            self._close_stream(path)

    # spare streams

    def _spares(self) -> list[Path]:
        """Return the paths on which a stream is kept beside the current one, as before its opening.

        Y closes a stream on which nothing authentic comes, and a NAT forgets one: so each gets a
        PROBE whenever the current path gets one; it is opened for that if it is not open.
        """
        current = self._confirmed
        if not self._configuration.spare or current is None or current.encapsulation in DATAGRAM:
            return []
        others = (each for each in self._locals if each.address != current.local.address)
        found = (self._likewise(each, current.encapsulation) for each in others)
        return [path for some in found for path in some]

    def _keep_spares(self, now: float) -> None:
        for path in self._spares():
            self._begin(Purpose.SPARE, self._opened(path), now)
