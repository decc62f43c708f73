"""What can happen to a mobile terminal, as data that prints readably and can be run again.

A `Plan` says where X can go, what lies between, what happens when, and who disturbs. Its repr is
Python; `plans()` draws them.
"""

from dataclasses import dataclass

from hypothesis import strategies as st

from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    NO_NATIVE_IN,
    NO_NATIVE_OUT,
    NO_UDP,
    ONLY_TCP_443,
    Ports,
)
from scapy_mobsec.drivers.memory.nat import Dependence
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.choice import Decider

BLOCKS = {
    "native": NO_NATIVE,
    "native out": NO_NATIVE_OUT,
    "native in": NO_NATIVE_IN,
    "udp": NO_UDP,
    "all but tcp 443": ONLY_TCP_443,
}
TRANSLATORS = ("none", "nat", "double nat", "nat64")
ATTACKS = ("copy", "race", "replay", "rewrite", "corrupt", "inject", "hold", "reflect", "drop")


@dataclass(frozen=True)
class Place:
    """A network that X can be in. `delay`: seconds to Y.

    `intercepts`: TLS to port 443; `refuses_upgrade`: a proxy takes what goes to port 4500 as HTTP.
    `mtu`: octets, if longer packets are lost; `notifies`: their senders are told.
    """

    translator: str = "none"
    mapping: str = "ENDPOINT_INDEPENDENT"
    filtering: str = "ENDPOINT_INDEPENDENT"
    ports: str = "SEQUENTIAL"
    passes_native: bool = False
    block: str = ""
    delay: float = 0.025
    intercepts: bool = False
    refuses_upgrade: bool = False
    mtu: int = 0
    notifies: bool = False

    def passes(self, encapsulation: str, *, proxy: bool) -> bool:
        """Tell whether an encapsulation gets through both ways, streams perhaps by a proxy."""
        if encapsulation == "native":
            translated = self.translator in ("nat", "double nat") and not self.passes_native
            return not translated and self.translator != "nat64" and self.block in ("", "udp")
        if encapsulation == "udp":
            return self.block not in ("udp", "all but tcp 443")
        if proxy:
            return self.block != "all but tcp 443" and self.translator != "nat64"
        if encapsulation in ("tcp", "http") and self.refuses_upgrade:
            return False
        return encapsulation == "tls" or self.block != "all but tcp 443"


@dataclass(frozen=True)
class Move:
    """X goes to a place, or nowhere, so many seconds after what was before.

    `also`: where it has a second interface, which it would rather not use.
    """

    after: float
    place: int | None
    also: int | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """Where X is then, the preferred one first."""
        return tuple(dict.fromkeys(each for each in (self.place, self.also) if each is not None))


@dataclass(frozen=True)
class Deregister:
    """X ends its registration, and stays without one until it moves."""

    after: float


@dataclass(frozen=True)
class Restart:
    """X or Y is killed, and goes on from what it has on disk."""

    after: float
    end: str


@dataclass(frozen=True)
class Reboot:
    """The translator of a place forgets its mappings."""

    after: float
    place: int


@dataclass(frozen=True)
class Burst:
    """Hosts behind Y send so many long packets to X at once."""

    after: float
    packets: int


Step = Move | Deregister | Restart | Reboot | Burst


@dataclass(frozen=True)
class Plan:
    """One run. `allow`, `start`: as X is configured; `attacks`: what the attacker does.

    `proxy`: X opens its streams through a forward proxy. `clock_ahead`: seconds that its clock is
    set back at its first restart, when it has lost its last Identification.
    """

    seed: int
    allow: tuple[str, ...]
    start: tuple[str, ...]
    decider: str
    places: tuple[Place, ...]
    steps: tuple[Step, ...]
    loss: float = 0.0
    reordering: float = 0.0
    duplication: float = 0.0
    attacks: tuple[str, ...] = ()
    attack_rate: float = 0.0
    proxy: bool = False
    clock_ahead: int = 0

    @property
    def last_places(self) -> tuple[int, ...]:
        """Where X is in the end, nowhere if it does not want to be registered."""
        places = (0,)
        for step in self.steps:
            if isinstance(step, (Move, Deregister)):
                places = step.places if isinstance(step, Move) else ()
        return places

    @property
    def passes(self) -> bool:
        """Whether X can reach Y in the end."""
        return any(
            self.places[place].passes(each, proxy=self.proxy)
            for place in self.last_places
            for each in self.allow
        )


def _subsets(values, **sizes):
    return st.lists(st.sampled_from(values), unique=True, **sizes).map(
        lambda chosen: tuple(value for value in values if value in chosen)
    )


_PAUSES = st.sampled_from([0.3, 0.0, 0.01, 0.03, 0.06, 0.11, 0.7, 2.0, 5.0, 40.0])


def places() -> st.SearchStrategy[Place]:
    """Draw a place."""
    dependence = st.sampled_from([each.name for each in Dependence])
    return st.builds(
        Place,
        translator=st.sampled_from(TRANSLATORS),
        mapping=dependence,
        filtering=dependence,
        ports=st.sampled_from([each.name for each in Ports]),
        passes_native=st.booleans(),
        block=st.sampled_from(["", "", *BLOCKS]),
        delay=st.sampled_from([0.025, 0.001, 0.1, 0.3]),
        intercepts=st.booleans(),
        refuses_upgrade=st.booleans(),
        mtu=st.sampled_from([0, 0, 0, 1400, 1280, 1000, 600]),
        notifies=st.booleans(),
    )


@st.composite
def plans(draw) -> Plan:
    """Draw a plan."""
    kinds = [each.value for each in Encapsulation]
    found = tuple(draw(st.lists(places(), min_size=1, max_size=3)))
    index = st.integers(0, len(found) - 1)
    allow = draw(st.sampled_from([("udp",), ("native", "udp")]) | _subsets(kinds, min_size=1))
    start = draw(st.just(()) | st.just(allow) | _subsets(allow))
    step = st.one_of(
        st.builds(Move, _PAUSES, index),
        st.builds(Move, _PAUSES, index, index),
        st.builds(Move, _PAUSES, st.none()),
        st.builds(Deregister, _PAUSES),
        st.builds(Restart, _PAUSES, st.sampled_from(["X", "Y"])),
        st.builds(Reboot, _PAUSES, index),
        st.builds(Burst, _PAUSES, st.integers(1, 90)),
    )
    attacks = draw(st.just(()) | _subsets(ATTACKS))
    return Plan(
        seed=draw(st.integers(0, 2**32 - 1)),
        allow=allow,
        start=start,
        decider=draw(st.sampled_from([Decider.OTHER.name, Decider.MOBILE.name])),
        places=found,
        steps=tuple(draw(st.lists(step, max_size=6))),
        loss=draw(st.sampled_from([0.0, 0.05, 0.15, 0.3])),
        reordering=draw(st.sampled_from([0.0, 0.1, 0.3])),
        duplication=draw(st.sampled_from([0.0, 0.1, 0.3])),
        attacks=attacks,
        attack_rate=draw(st.sampled_from([0.1, 0.3, 1.0])) if attacks else 0.0,
        proxy=draw(st.sampled_from([False, False, False, True])),
        clock_ahead=draw(st.sampled_from([0, 0, 3600])),
    )
