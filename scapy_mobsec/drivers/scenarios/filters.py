"""Scenarios with firewalls and proxies: some encapsulations do not pass, others are rewritten."""

from collections.abc import Sequence

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    NO_NATIVE_IN,
    NO_UDP,
    ONLY_TCP_443,
    Element,
    Firewall,
    Interceptor,
    Napt,
    Rewriting,
    random_ports,
)
from scapy_mobsec.drivers.scenarios.actions import block, go
from scapy_mobsec.drivers.scenarios.scenario import Pings, Scenario
from scapy_mobsec.drivers.scenarios.translators import datagram_topology
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    UNTRANSLATED,
    Place,
    Topology,
    assemble,
)
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.registration.description import EncapsulationItem

NATIVE, UDP, TCP, TLS, HTTP, _ = Encapsulation
PORTS = {NATIVE: 0, UDP: NATT_PORT, TCP: NATT_PORT, TLS: 443, HTTP: 80}
CERTIFICATE = b"certificate of Y"


def items(*encapsulations: Encapsulation) -> tuple[EncapsulationItem, ...]:
    """Encapsulation items with Y's ports."""
    return tuple(EncapsulationItem(each.code, port=PORTS[each]) for each in encapsulations)


def stream_topology(
    seed: int, place: Place, allow: Sequence[Encapsulation], stagger: float = 0.05
) -> Topology:
    """Build a network on which Y takes streams too, and X begins with all that it may use.

    `stagger`: seconds between the first RREQs of different encapsulations.
    """
    topology = assemble(
        seed,
        lambda random: [place],
        mobile={"allow": items(*allow), "start": tuple(allow), "stagger": stagger},
        other={"supported": items(*PORTS)},
    )
    for encapsulation in (TCP, HTTP):
        topology.other.listen(PORTS[encapsulation])
    topology.other.listen(PORTS[TLS], CERTIFICATE)
    return topology


def _filtered(seed: int, *elements: Element) -> Topology:
    return datagram_topology(seed, Place(UNTRANSLATED, elements))


def _firewall(seed: int) -> Topology:
    return _filtered(seed, Firewall(NO_NATIVE))


def _one_way(seed: int) -> Topology:
    return _filtered(seed, Firewall(NO_NATIVE_IN))


def _fallback(seed: int) -> Topology:
    return _filtered(seed, Firewall())


def _udp_blocked(seed: int) -> Topology:
    return stream_topology(seed, Place(UNTRANSLATED, (Firewall(NO_UDP),)), (UDP, TCP))


def _tls(seed: int) -> Topology:
    return stream_topology(seed, Place(UNTRANSLATED, (Firewall(ONLY_TCP_443),)), (UDP, TCP, TLS))


def _http(seed: int) -> Topology:
    rewriting = Rewriting(via="cache", forwarded_for=True)
    proxy = Interceptor((80,), rewriting=rewriting, address="192.0.2.80")
    return stream_topology(
        seed, Place(UNTRANSLATED, (proxy,), ("198.51.100.2", "192.0.2.80")), (HTTP,)
    )


def _intercepted(seed: int) -> Topology:
    elements = Firewall(ONLY_TCP_443), Interceptor((443,), certificate=b"of somebody else")
    return stream_topology(seed, Place(UNTRANSLATED, elements), (TLS,))


def _parallel(seed: int) -> Topology:
    nat = Napt("192.0.2.1", random_ports(seed))
    place = Place(BEHIND_NAT, (nat,), ("192.0.2.1",))
    return stream_topology(seed, place, (NATIVE, UDP, TCP, TLS), stagger=0.0)


SCENARIOS = (
    Scenario(
        "firewall",
        "A firewall drops native ESP, which no comparison shows: the probe fails, and UDP stays.",
        _firewall,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "oneway",
        "Native ESP passes to Y, but not back: without an answer to the probe UDP stays.",
        _one_way,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "fallback",
        "After the switch to native ESP a filter appears: X misses data and goes back to UDP.",
        _fallback,
        ((0.0, go(UNTRANSLATED)), (2.0, block(NO_NATIVE))),
        duration=8.0,
    ),
    Scenario(
        "udpblocked",
        "UDP is dropped: of two RREQs, in UDP and in TCP, the one in TCP is answered.",
        _udp_blocked,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "tls",
        "Nothing passes but TCP to port 443: the link goes through TLS.",
        _tls,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "http",
        "An HTTP proxy on the way rewrites the Upgrade request, and both ends see that it did.",
        _http,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "intercepted",
        "A TLS interceptor shows X a certificate of its own: the comparison tells, ESP protects.",
        _intercepted,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "parallel",
        "Behind a NAT X tries native ESP, UDP, TCP and TLS at once: the cheapest that works wins.",
        _parallel,
        ((0.0, go(BEHIND_NAT)),),
        pings=Pings(every=0.2),
    ),
)
