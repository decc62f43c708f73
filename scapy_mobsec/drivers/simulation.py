"""Scenarios on the network in memory, the same octets for the same seed.

`run_handover`: the mobile terminal registers from a network without NAT, then moves behind one NAT
and later behind another, while it pings a host behind the other terminal.

    X  198.51.100.2 ------------------------------+
    X  10.0.0.2 ----- NAT 192.0.2.1 --------------+---- 203.0.113.2  Y ---- 10.10.2.1
    X  192.168.1.2 -- NAT 192.0.2.129 ------------+
    home address 10.10.1.1                          signalling address 10.10.0.1
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from random import Random

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import (
    SECOND,
    Delay,
    Element,
    Host,
    MemoryNetwork,
    MobileHost,
    Napt,
    Segment,
    Tap,
    draw,
    random_ports,
)
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.spi_table import FIRST_SPI
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.ip import build_ip, internet_checksum, parse_ip
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.config import (
    LinkParameters,
    MobileConfiguration,
    OtherConfiguration,
)
from scapy_mobsec.terminal.events import Event
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.modes.tunnel import Tunnel
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.signalling import ModeSettings

HOME = ip_address("10.10.1.1").packed
SIGNALLING = ip_address("10.10.0.1").packed
INNER_HOST = ip_address("10.10.2.1").packed
OTHER_TERMINAL = Endpoint.of("203.0.113.2", NATT_PORT)

UNTRANSLATED = Endpoint.of("198.51.100.2", NATT_PORT)
BEHIND_NAT = Endpoint.of("10.0.0.2", NATT_PORT)
BEHIND_OTHER_NAT = Endpoint.of("192.168.1.2", NATT_PORT)

MOVES = ((0.0, UNTRANSLATED), (1.0, BEHIND_NAT), (2.0, BEHIND_OTHER_NAT))
"""Seconds after the start, and where X goes then."""

PING_INTERVAL = 0.1
DURATION = 3.0

ICMP, ECHO_REPLY, ECHO_REQUEST = 1, 0, 8


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What happened, in nanoseconds since the Unix epoch.

    `captures`: IP packets by tap, "mobile" (as X sends and receives them) and "other" (as Y does).
    `inner_mobile`, `inner_other`: inner packets that arrived at X, and behind Y. `sas`: for a key
    table; `moves`: when X moved; `picture`: the network, with who was where.
    """

    mobile_events: list[tuple[int, Event]]
    other_events: list[tuple[int, Event]]
    inner_mobile: list[tuple[int, bytes]]
    inner_other: list[tuple[int, bytes]]
    captures: Mapping[str, list[tuple[int, bytes]]]
    sas: tuple[SaParameters, ...]
    moves: tuple[int, ...]
    picture: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The network of the picture above, with both terminals on it."""

    network: MemoryNetwork
    mobile: MobileHost
    other: Host[OtherTerminal]
    segments: Mapping[Endpoint, Segment]
    taps: Mapping[str, Tap]
    sas: tuple[SaParameters, ...]

    def move(self, endpoint: Endpoint) -> None:
        """Let X go on from another endpoint of the picture."""
        self.mobile.move(self.segments[endpoint], endpoint)


def run_handover(seed: int = 1, round_trip: float = 0.05) -> SimulationResult:
    """Run the scenario; `round_trip` in seconds."""
    topology = build_topology(seed, round_trip)
    network, mobile, other = topology.network, topology.mobile, topology.other
    moves = []

    def move(endpoint: Endpoint) -> None:
        moves.append(network.time_ns)
        topology.move(endpoint)

    for seconds, endpoint in MOVES:
        network.after(round(seconds * SECOND), partial(move, endpoint))
    for number in range(round(DURATION / PING_INTERVAL) - 1):
        ping = echo_request(HOME, INNER_HOST, number)
        network.after(round(number * PING_INTERVAL * SECOND), partial(mobile.send, ping))
    network.run_for(DURATION)
    return SimulationResult(
        mobile_events=mobile.log,
        other_events=other.log,
        inner_mobile=mobile.inner,
        inner_other=other.inner,
        captures={name: tap.capture() for name, tap in topology.taps.items()},
        sas=topology.sas,
        moves=tuple(moves),
        picture=draw(network),
    )


def build_topology(
    seed: int = 1,
    round_trip: float = 0.05,
    near_other: Sequence[Element] = (),
    mode: ModeSettings | None = None,
) -> Topology:
    """Build the network of the picture; nothing has happened on it.

    `near_other`: more elements between Y's tap and the rest, from the inside to the outside.
    `mode`: of the link, None for tunnel mode.
    """
    random = Random(seed)
    mode = mode or Tunnel()
    to_other, to_mobile = (_sa(random) for _ in range(2))
    mobile = MobileTerminal(
        MobileConfiguration(
            LinkParameters(HOME, SIGNALLING, (to_mobile,), to_other, mode),
            other_terminal=OTHER_TERMINAL,
        ),
        random_bytes=Random(random.getrandbits(64)).randbytes,
    )
    other = OtherTerminal(
        OtherConfiguration((LinkParameters(HOME, SIGNALLING, (to_other,), to_mobile, mode),)),
        random_bytes=Random(random.getrandbits(64)).randbytes,
    )
    network = MemoryNetwork()
    taps = {name: Tap(name) for name in ("mobile", "other")}
    access = [taps["mobile"], Delay(round_trip / 2)]
    nat, other_nat = (
        Napt(external, random_ports(random.getrandbits(32)))
        for external in ("192.0.2.1", "192.0.2.129")
    )
    segments = {
        UNTRANSLATED: network.core.segment(access, ["198.51.100.2"]),
        BEHIND_NAT: network.core.segment([*access, nat], ["192.0.2.1"]),
        BEHIND_OTHER_NAT: network.core.segment([*access, other_nat], ["192.0.2.129"]),
    }
    other_host = Host(network, other, name="Y")
    other_host.on_inner = partial(_answer_pings, other_host)
    other_access = network.core.segment([taps["other"], *near_other], ["203.0.113.2"])
    other_host.attach(other_access, OTHER_TERMINAL)
    mobile_host = MobileHost(network, mobile, name="X")
    return Topology(network, mobile_host, other_host, segments, taps, (to_other, to_mobile))


def _sa(random: Random) -> SaParameters:
    return SaParameters(
        spi=random.randrange(FIRST_SPI, 1 << 32),
        suite=SUITES["aes-gcm-16"],
        encryption_key=random.randbytes(20),
    )


def _answer_pings(host: Host[OtherTerminal], packet: bytes) -> None:
    answer = echo_reply(packet)
    if answer:
        host.send(answer)


def echo_request(source: bytes, destination: bytes, number: int) -> bytes:
    """Build an ICMP echo request with 48 octets of data (RFC 792)."""
    return build_ip(source, destination, ICMP, _echo(ECHO_REQUEST, number, bytes(range(48))))


def echo_reply(packet: bytes) -> bytes | None:
    """Return what a host answers to an ICMP echo request, None to any other packet."""
    ip = parse_ip(packet)
    if ip.protocol != ICMP or ip.payload[:1] != bytes((ECHO_REQUEST,)):
        return None
    number = int.from_bytes(ip.payload[6:8], "big")
    return build_ip(ip.destination, ip.source, ICMP, _echo(ECHO_REPLY, number, ip.payload[8:]))


def _echo(kind: int, number: int, data: bytes) -> bytes:
    rest = b"".join((b"\x12\x34", number.to_bytes(2, "big"), data))
    checksum = internet_checksum(bytes((kind, 0, 0, 0)) + rest)
    return bytes((kind, 0)) + checksum.to_bytes(2, "big") + rest
