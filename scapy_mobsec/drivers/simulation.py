"""Both terminals on the network in memory: who is where, what is between them, and their pings.

`build_topology` is the usual one, `assemble` makes any other; `scenarios` plays on them.

    X  198.51.100.2 ------------------------------+
    X  10.0.0.2 ----- NAT 192.0.2.1 --------------+---- 203.0.113.2  Y ---- 10.10.2.1
    X  192.168.1.2 -- NAT 192.0.2.129 ------------+
    home address 10.10.1.1                          signalling address 10.10.0.1
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from random import Random
from typing import Any

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import (
    Delay,
    Element,
    Host,
    MemoryNetwork,
    MobileHost,
    Napt,
    Segment,
    Tap,
    random_ports,
)
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.spi_table import FIRST_SPI
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.icmp import echo_reply
from scapy_mobsec.packet.ip import addresses
from scapy_mobsec.packet.path import Endpoint, address_text
from scapy_mobsec.terminal.config import (
    AhSas,
    LinkParameters,
    MobileConfiguration,
    OtherConfiguration,
)
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where X can be: its endpoint there, and the way from there to the middle of the network.

    `elements`: after X's tap and the delay, from the inside to the outside. `outside`: addresses by
    which the place is reached from the middle; (): X's own.
    """

    endpoint: Endpoint
    elements: tuple[Element, ...] = ()
    outside: tuple[str, ...] = ()


class Site:
    """The network behind Y, with one host on it, which answers pings as Y itself does.

    `came`: what reached the host. Packets for others than Y and the host are lost.
    """

    def __init__(self, gateway: Host[OtherTerminal], address: bytes = INNER_HOST) -> None:
        self.came: list[bytes] = []
        self._gateway, self._address = gateway, address

    def receive(self, packet: bytes) -> None:
        """Take an inner packet that Y hands on."""
        _, destination = addresses(packet)
        if destination == self._address:
            self.came.append(packet)
        elif destination != SIGNALLING:
            return
        if answer := echo_reply(packet):
            self._gateway.send(answer)


Places = Callable[[Random], Sequence[Place]]
"""All places of a network; what happens there by chance comes from the Random."""


@dataclass(frozen=True, slots=True)
class Topology:
    """A network with both terminals on it.

    `segments`: by X's endpoint there. `sas`: to Y, to X, and the same of AH where there is AH.
    `configuration`: of X. `notes`: what was done to the network, with the time in nanoseconds.
    """

    network: MemoryNetwork
    mobile: MobileHost
    other: Host[OtherTerminal]
    segments: Mapping[Endpoint, Segment]
    taps: Mapping[str, Tap]
    sas: tuple[SaParameters | AhParameters, ...]
    configuration: MobileConfiguration
    notes: list[tuple[int, str]] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Remember that something is done to the network now."""
        self.notes.append((self.network.time_ns, text))

    def move(self, *endpoints: Endpoint) -> None:
        """Let X go on from other endpoints, the preferred one first."""
        self.mobile.move_all([(self.segments[endpoint], endpoint) for endpoint in endpoints])


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
    return assemble(seed, usual_places, round_trip=round_trip, near_other=near_other, mode=mode)


def usual_places(random: Random) -> Sequence[Place]:
    """The places of the picture."""
    nats = {
        external: Napt(external, random_ports(random.getrandbits(32)))
        for external in ("192.0.2.1", "192.0.2.129")
    }
    inside = zip((BEHIND_NAT, BEHIND_OTHER_NAT), nats.items(), strict=True)
    behind = [Place(endpoint, (nat,), (external,)) for endpoint, (external, nat) in inside]
    return Place(UNTRANSLATED), *behind


def assemble(
    seed: int,
    places: Places,
    *,
    round_trip: float = 0.05,
    near_other: Sequence[Element] = (),
    mode: ModeSettings | None = None,
    ah: bool = False,
    at_other: Sequence[Endpoint] = (OTHER_TERMINAL,),
    mobile: Mapping[str, Any] | None = None,
    other: Mapping[str, Any] | None = None,
) -> Topology:
    """Build a network with X nowhere yet and Y `at_other`, which answers pings.

    `round_trip`: seconds. `ah`: whether the link has AH SAs, too. `mobile`, `other`: what their
    configurations have otherwise.
    """
    random = Random(seed)
    mode = mode or Tunnel()
    to_other, to_mobile = (_sa(random) for _ in range(2))
    at_mobile = LinkParameters(HOME, SIGNALLING, (to_mobile,), to_other, mode)
    at_other_end = LinkParameters(HOME, SIGNALLING, (to_other,), to_mobile, mode)
    sas: tuple[SaParameters | AhParameters, ...] = (to_other, to_mobile)
    if ah:
        ah_to_other, ah_to_mobile = (_ah_sa(random) for _ in range(2))
        at_mobile = replace(at_mobile, ah=AhSas((ah_to_mobile,), ah_to_other))
        at_other_end = replace(at_other_end, ah=AhSas((ah_to_other,), ah_to_mobile))
        sas += (ah_to_other, ah_to_mobile)
    configuration = replace(MobileConfiguration(at_mobile, at_other[0]), **(mobile or {}))
    mobile_terminal = MobileTerminal(
        configuration, random_bytes=Random(random.getrandbits(64)).randbytes
    )
    other_terminal = OtherTerminal(
        replace(OtherConfiguration((at_other_end,)), **(other or {})),
        random_bytes=Random(random.getrandbits(64)).randbytes,
    )
    network = MemoryNetwork(seed)
    taps = {name: Tap(name) for name in ("mobile", "other")}
    delay = Delay(round_trip / 2)
    segments = {
        place.endpoint: network.core.segment(
            [taps["mobile"], delay, *place.elements],
            place.outside or (address_text(place.endpoint.address),),
        )
        for place in places(random)
    }
    other_host = Host(network, other_terminal, name="Y")
    other_host.on_inner = Site(other_host).receive
    other_addresses = [address_text(endpoint.address) for endpoint in at_other]
    access = network.core.segment([taps["other"], *near_other], other_addresses)
    other_host.attach_all([(access, endpoint) for endpoint in at_other])
    mobile_host = MobileHost(network, mobile_terminal, name="X")
    return Topology(network, mobile_host, other_host, segments, taps, sas, configuration)


def _sa(random: Random) -> SaParameters:
    return SaParameters(
        spi=random.randrange(FIRST_SPI, 1 << 32),
        suite=SUITES["aes-gcm-16"],
        encryption_key=random.randbytes(20),
    )


def _ah_sa(random: Random) -> AhParameters:
    suite = AH_SUITES["hmac-sha2-256-128"]
    return AhParameters(
        spi=random.randrange(FIRST_SPI, 1 << 32),
        suite=suite,
        integrity_key=random.randbytes(suite.key_length),
    )
