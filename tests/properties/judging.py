"""The six properties, judged on one run of a plan, from outside the engines where that is possible.

Watched: every ESP packet that a terminal seals, and every one that Y is given, whatever carries it;
Y's events; what Y's tap saw. `verdict` runs a plan and says which properties failed, and why.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from plans import Plan
from world import ATTACKER, CALM, TO_MOBILE, TO_OTHER, World

from contrib_layers.numbers import MAX_CAPSULE
from scapy_mobsec.drivers.memory import chart, draw
from scapy_mobsec.drivers.simulation import HOME, OTHER_TERMINAL
from scapy_mobsec.encap import carrier, http_post, udp
from scapy_mobsec.packet.ip import ESP, UDP
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.serial import is_newer_attempt, is_newer_identification
from scapy_mobsec.terminal import (
    accepting,
    base,
    binding,
    exchange,
    keeper,
    paths,
    proving,
    requester,
    streams,
)
from scapy_mobsec.terminal import watch as data_watch
from scapy_mobsec.terminal.events import (
    BindingEnded,
    BindingMoved,
    Deregistered,
    Event,
    MoveCause,
    Moved,
    PathValidated,
    RegistrationReceived,
)

PROPERTIES = {
    "a": "X ends registered and data flows both ways, if anything passes",
    "b": "Y sends at most 3 times what came by a datagram path that is not validated",
    "c": "no replayed, stale or forged message moves a binding",
    "d": "no sequence number is used twice",
    "e": "both ends agree on the path in the end",
    "f": "nothing grows without bound",
}

CONTAINERS = (dict, list, set, deque, bytearray)

AMPLIFICATION = 3

KNOWN_SMALL = 16
"""Of what is configured, not filled by a peer."""

LIMITS = {
    "Terminal.drops": KNOWN_SMALL * 4,
    "Machine._table": KNOWN_SMALL,
    "SpiTable._by_spi": KNOWN_SMALL,
    "Terminal._unsaved": KNOWN_SMALL,
    "Reservation._ceilings": KNOWN_SMALL,
    "Terminal._links": KNOWN_SMALL,
    "Terminal._ah_links": KNOWN_SMALL,
    "Terminal._streams": accepting.MAX_UNPROVEN_PER_SOURCE + 2 * accepting.MAX_LINK_STREAMS,
    "Terminal._transmits": base.MAX_TRANSMITS,
    "Terminal._received": base.MAX_RECEIVED,
    "Terminal._events": base.MAX_EVENTS,
    "Requester._seconds": exchange.MAX_EXCHANGES,
    "Requester._opening": exchange.MAX_EXCHANGES,
    "AcceptingTerminal._channels": accepting.MAX_UNPROVEN_PER_SOURCE + accepting.MAX_LINK_STREAMS,
    "OtherTerminal._homes": KNOWN_SMALL,
    "AcceptingTerminal._stream_links": accepting.MAX_LINK_STREAMS,
    "AcceptingTerminal._unproven": KNOWN_SMALL,
    "BoundLink.streams": accepting.MAX_LINK_STREAMS,
    "IdentificationWindow._seen": binding.REMEMBERED_IDENTIFICATIONS,
    "Agenda._times": 32,
    "Agenda._heap": 2 * 32 + 16,
    "Cutter._held": MAX_CAPSULE,
    "MobileTerminal._turns": 3,
    "_Bodies._body": http_post.MAX_BODY,
    "Channel.held": carrier.MAX_HELD // 32,  # in octets; no frame is shorter
    "Exchanges._exchanges": exchange.MAX_EXCHANGES,
    "Exchange.outstanding": 10,
    "Exchange.lengths": 10,
    "Requester._counters": requester.MAX_COUNTED_PATHS,
    "PathCounters._asked": data_watch.MAX_REPORTS,
    "PathKeeper._answered": keeper.MAX_ANSWERED,
    "Findings._translations": len(Encapsulation),
    "Findings._passed": len(Encapsulation),
    "Findings._keepalives": len(Encapsulation),
    "WaitingData._packets": streams.MAX_WAITING,
    "BoundLink.waiting": proving.MAX_WAITING,
    "AdmittedPaths._states": paths.MAX_ADMITTED,
}


@dataclass
class Account:
    """What passed between Y and one remote endpoint: octets of ESP packets.

    `validated`: in this attempt; the next one has to validate it anew. `standing`: it was, in an
    attempt before, and is the current path ever since; what it gets as such is not counted.
    """

    received: int = 0
    sent: int = 0
    validated: bool = False
    standing: bool = False


class Judge:
    """Collects what speaks against a run: by property, the sentences that say so."""

    def __init__(self) -> None:
        self.failures: dict[str, list[str]] = defaultdict(list)
        self._world: World
        self._numbers: set[bytes] = set()
        self._of_mobile: set[bytes] = set()
        self._delivered: set[bytes] = set()
        self._attempt: int | None = None
        self._accounted: int | None = None  # the attempt of the accounts; a restart may set it back
        self._use: int | None = None
        self._accounts: dict[tuple[Encapsulation, Endpoint], Account] = defaultdict(Account)
        self._counted = 0

    def fail(self, name: str, why: str) -> None:
        self.failures[name].append(f"{self._world.network.elapsed_ns / 1e6:.0f} ms: {why}")

    # what is watched

    def watch_mobile(self, world: World) -> None:
        """Note all that X seals, a restarted one too."""
        self._world = world
        self._watch_sealed(world.mobile.terminal, self._of_mobile)

    def watch_other(self, world: World) -> None:
        """Note all that Y seals, and what each ESP packet that it is given does."""
        terminal = world.other.terminal
        self._watch_sealed(terminal, set())
        self._before(world)
        for snapshot in world.saved_other.values():  # where it goes on after a restart
            self._new_accounts(snapshot.binding.last_attempt)
            if snapshot.path and snapshot.validated:
                self._accounts[_key(snapshot.path)].validated = True
        receive_esp = terminal._receive_esp

        def watched(packet, path, now):
            world.other.pump()  # what was due by now has left before the packet does anything
            self._before(world)
            known = len(terminal._events)
            fresh = packet in self._of_mobile and packet not in self._delivered
            self._delivered.add(packet)
            try:
                receive_esp(packet, path, now)
            finally:
                events = list(terminal._events)[known:]
                self._after(events, path, len(packet), fresh=fresh)

        terminal._receive_esp = watched

    def _watch_sealed(self, terminal, sealed: set[bytes]) -> None:
        send_sealed = terminal._send_sealed

        def watched(link, packet, path, *, data=False):
            if packet[:8] in self._numbers:
                self.fail("d", f"SPI and number {packet[:8].hex()} for two packets")
            self._numbers.add(packet[:8])
            sealed.add(packet)
            send_sealed(link, packet, path, data=data)

        terminal._send_sealed = watched

    # (b) and (c), packet by packet

    def _before(self, world: World) -> None:
        """Settle the accounts of what Y sent since the last packet came."""
        packets = world.tap.packets
        for _, packet in packets[self._counted :]:
            if packet.source.address == OTHER_TERMINAL.address:
                self._sent(packet)
        self._counted = len(packets)

    def _sent(self, packet) -> None:
        if packet.protocol == ESP:
            encapsulation, octets = Encapsulation.NATIVE, len(packet.payload)
        elif packet.protocol == UDP:
            encapsulation, octets = Encapsulation.UDP, len(udp.unwrap(packet.payload)[1])
        else:
            return
        account = self._accounts[encapsulation, packet.destination]
        if account.validated or account.standing:
            return
        account.sent += octets
        if account.sent > AMPLIFICATION * account.received:
            self.fail("b", f"{packet.destination}: {account.sent} for {account.received} octets")

    def _after(self, events: list[Event], path: Path, octets: int, *, fresh: bool) -> None:
        """Note what an ESP packet did that came by `path`."""
        request = None
        for event in events:
            if isinstance(event, RegistrationReceived):
                request = event
                last = self._attempt
                if last not in (None, event.attempt) and not is_newer_attempt(event.attempt, last):
                    self.fail("c", f"attempt {event.attempt} after {last}")
                self._attempt = event.attempt
                if event.attempt != self._accounted:
                    self._new_accounts(event.attempt, self._world.other.terminal.path(HOME))
            elif isinstance(event, PathValidated):
                self._accounts[_key(event.path)].validated = True
            elif isinstance(event, BindingMoved):
                self._end_standing()
        if fresh:
            self._accounts[_key(path)].received += octets
        for event in events:
            if isinstance(event, BindingMoved):
                self._moved(event, request, fresh=fresh)
            elif isinstance(event, BindingEnded) and not fresh:
                self.fail("c", "ended by what X did not write, or what came before")
        self._end_standing(but=self._world.other.terminal.path(HOME))

    def _new_accounts(self, attempt: int | None, current: Path | None = None) -> None:
        """Begin anew where a place did answer; what the others owe stays owed."""
        self._accounted = attempt
        for key, account in self._accounts.items():
            if account.validated or account.standing:
                standing = current is not None and key == _key(current)
                self._accounts[key] = Account(standing=standing)

    def _end_standing(self, but: Path | None = None) -> None:
        for key, account in self._accounts.items():
            account.standing = account.standing and but is not None and key == _key(but)

    def _moved(
        self, event: BindingMoved, request: RegistrationReceived | None, *, fresh: bool
    ) -> None:
        if not fresh:
            self.fail("c", f"moved to {event.new} by what X did not write, or what came before")
        if event.cause is MoveCause.USE and request:
            if self._use and not is_newer_identification(request.identification, self._use):
                self.fail("c", f"moved to {event.new} by a USE that is stale")
            self._use = request.identification

    # now and then, and in the end

    def look(self, world: World) -> None:
        """Judge what must hold at any time: (f)."""
        for terminal in (world.mobile.terminal, world.other.terminal):
            for kind, name, size in sizes(terminal):
                names = (f"{each.__name__}.{name}" for each in kind.__mro__)
                limit = next((LIMITS[each] for each in names if each in LIMITS), None)
                name = f"{kind.__name__}.{name}"
                if limit is None:
                    self.fail("f", f"{name} holds {size}, and has no limit")
                elif size > limit:
                    self.fail("f", f"{name} holds {size} of {limit}")

    def end(self, world: World) -> None:
        """Judge what must hold in the end."""
        self._before(world)
        self.look(world)
        for _, event in world.other.log:
            if (
                isinstance(event, BindingMoved)
                and event.new.remote.address == ATTACKER.address
                and event.cause is not MoveCause.REQUEST
            ):
                self.fail("c", f"moved to {event.new}, where X is not ({event.cause.name})")
        told = (event for _, event in reversed(world.mobile.log))
        last = next(event for event in told if isinstance(event, (Moved, Deregistered)))
        path = world.other.terminal.path(HOME)
        if path and isinstance(last, Deregistered) and last.confirmed:
            self.fail("e", f"X is de-registered, Y uses {path}")
        if not world.plan.passes:
            return
        state = world.mobile.terminal.state.name
        if world.recovered is None:
            self.fail("a", f"no answer and registration within {CALM:g} s; X is {state}")
        elif not world.recovered_still:
            self.fail("a", f"none any more after {CALM:g} s; X is {state}")
        if not world.agreed():
            self.fail("e", f"X uses {world.mobile.terminal.path}, Y {path}")


def _key(path: Path) -> tuple[Encapsulation, Endpoint]:
    return path.encapsulation, path.remote


def sizes(root: object) -> Iterator[tuple[type, str, int]]:
    """Yield class, attribute and number of entries of all containers that a terminal keeps."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset, deque)):
            waiting += one
        elif type(one).__module__.startswith("scapy_mobsec.") and not isinstance(one, (Enum, type)):
            for name, value in attributes(one):
                if isinstance(value, CONTAINERS):
                    yield type(one), name, len(value)
                waiting.append(value)


def attributes(one: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes of an object, in slots or not."""
    slots = {name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())}
    for name in (*slots, *getattr(one, "__dict__", ())):
        if hasattr(one, name):
            yield name, getattr(one, name)


@dataclass
class Verdict:
    """`failures`: the sentences that speak against a run, by property. `world`: how it ended."""

    plan: Plan
    failures: dict[str, list[str]]
    world: World

    def __str__(self) -> str:
        lines = [f"({name}) {why}" for name, whys in self.failures.items() for why in whys[:5]]
        return "\n".join([repr(self.plan), *lines])

    def explanation(self) -> str:
        """Say it with the network and the packets at Y."""
        packets = chart(
            self.world.tap.packets, (TO_OTHER, TO_MOBILE), tls_keys=self.world.network.tls_keys
        )
        return "\n".join([str(self), draw(self.world.network), *packets])


def verdict(plan: Plan) -> Verdict:
    """Run a plan and judge it."""
    judge = Judge()
    world = World(plan, judge)
    world.run()
    return Verdict(plan, dict(judge.failures), world)
