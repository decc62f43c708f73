"""What a scenario is, and how one is run: the same octets for the same seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf

from scapy_mobsec.drivers.memory import SECOND, chart, draw
from scapy_mobsec.drivers.simulation import HOME, INNER_HOST, Topology
from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.path import Path, address_text
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.events import Event, Moved

Action = Callable[[Topology], object]


@dataclass(frozen=True, slots=True)
class Pings:
    """X pings `peer`, an inner address, `every` so many seconds until then."""

    every: float = 0.1
    until: float = inf
    peer: bytes = INNER_HOST


@dataclass(frozen=True, slots=True)
class Scenario:
    """A network, what is done on it, and for how long.

    `name`: one word. `sentence`: what it shows. `build`: makes the network from a seed.
    `script`: seconds after the start, and what is done then. `duration`: seconds in all.
    `shown`: the tap whose packets a person sees, "mobile" or "other".
    """

    name: str
    sentence: str
    build: Callable[[int], Topology]
    script: tuple[tuple[float, Action], ...]
    duration: float = 3.0
    pings: Pings = Pings()
    shown: str = "mobile"


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What happened, in nanoseconds since the Unix epoch.

    `captures`: IP packets by tap, "mobile" (as X sends and receives them) and "other" (as Y does).
    `inner_mobile`, `inner_other`: inner packets that arrived at X, and behind Y. `sas`: for a key
    table, to Y and to X in turn. `tls_keys`: a key log, "" without TLS. `picture`: the network,
    with who was where. `shown`: the tap that a person is shown; `ladder`: a line for each packet
    there. `notes`: what was done to the network meanwhile. `path`: where X is registered in the
    end, None if it is not. `pings`: how many X sent.
    """

    mobile_events: list[tuple[int, Event]]
    other_events: list[tuple[int, Event]]
    inner_mobile: list[tuple[int, bytes]]
    inner_other: list[tuple[int, bytes]]
    captures: Mapping[str, list[tuple[int, bytes]]]
    sas: tuple[SaParameters | AhParameters, ...]
    tls_keys: str
    picture: str
    shown: str
    ladder: list[str]
    notes: list[tuple[int, str]]
    path: Path | None
    pings: int

    @property
    def moves(self) -> tuple[int, ...]:
        """When X moved."""
        return tuple(time for time, event in self.mobile_events if isinstance(event, Moved))


def run(scenario: Scenario, seed: int = 1) -> ScenarioResult:
    """Run a scenario."""
    topology = scenario.build(seed)
    network, mobile = topology.network, topology.mobile
    start = network.time_ns
    for seconds, action in scenario.script:
        network.after(round(seconds * SECOND), action, topology)
    pings = scenario.pings
    last = min(pings.until, scenario.duration - pings.every)
    count = round(last / pings.every)
    for number in range(count):
        ping = echo_request(HOME, pings.peer, number)
        network.after(round(number * pings.every * SECOND), partial(mobile.send, ping))
    network.run_for(scenario.duration)
    shown = topology.taps[scenario.shown]
    registered = mobile.terminal.state in (MobileState.REGISTERED, MobileState.REFRESHING)
    return ScenarioResult(
        mobile_events=mobile.log,
        other_events=topology.other.log,
        inner_mobile=mobile.inner,
        inner_other=topology.other.inner,
        captures={name: tap.capture() for name, tap in topology.taps.items()},
        sas=topology.sas,
        tls_keys=network.tls_keys.text(),
        picture=f"{draw(network)}\nbehind Y: a host, {address_text(INNER_HOST)}",
        shown=scenario.shown,
        ladder=chart(shown.packets, topology.sas, start, network.tls_keys),
        notes=topology.notes,
        path=mobile.terminal.path if registered else None,
        pings=count,
    )
