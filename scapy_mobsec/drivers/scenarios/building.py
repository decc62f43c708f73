"""Networks of scenarios: from places to what builds the network from a seed."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import Dependence, Element, Napt, random_ports
from scapy_mobsec.drivers.memory.certificate import certificate_of
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    OTHER_TERMINAL,
    UNTRANSLATED,
    Place,
    Places,
    Topology,
    assemble,
)
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem

NATIVE, UDP, TCP, TLS, HTTP, HTTP_POST = Encapsulation
PORTS = {NATIVE: 0, UDP: NATT_PORT, TCP: NATT_PORT, TLS: 443, HTTP: 80, HTTP_POST: 80}
"""What Y takes, and where."""


def on(
    places: Places,
    *,
    allow: Sequence[Encapsulation] = (NATIVE, UDP),
    at_other: Sequence[Endpoint] = (OTHER_TERMINAL,),
    ah: bool = False,
    **mobile: Any,
) -> Callable[[int], Topology]:
    """Return what builds a network with these places.

    `allow`: encapsulations that X may use. `at_other`: Y's endpoints, the dialed one first, which
    has the port for UDP. `ah`: whether the link has AH SAs, too. `mobile`: what X's configuration
    has otherwise.
    """
    others = tuple(endpoint.address for endpoint in at_other[1:])
    udp_port = at_other[0].port

    def build(seed: int) -> Topology:
        topology = assemble(
            seed,
            places,
            ah=ah,
            at_other=at_other,
            mobile={"allow": items(*allow, udp_port=udp_port), "other_addresses": others, **mobile},
            other={"supported": items(*PORTS, udp_port=udp_port), "addresses": others},
        )
        topology.other.listen(PORTS[TCP])
        topology.other.listen(PORTS[TLS], certificate_of("Y"))
        topology.other.listen(PORTS[HTTP])
        return topology

    return build


def items(
    *encapsulations: Encapsulation, udp_port: int = NATT_PORT
) -> tuple[EncapsulationItem, ...]:
    """Encapsulation items with Y's ports."""
    ports = {**PORTS, UDP: udp_port}
    return tuple(EncapsulationItem(each.code, port=ports[each]) for each in encapsulations)


def through(*elements: Element) -> Place:
    """Make an untranslated place behind these elements."""
    return Place(UNTRANSLATED, elements)


def behind_nat(
    random: Random,
    *outer: Element,
    depends: Dependence = Dependence.ENDPOINT_INDEPENDENT,
    external: str = "192.0.2.1",
    native: bool = False,
) -> Place:
    """Make a place behind a NAT with random ports, and behind what else there is outside of it.

    `depends`: on what its mappings do, and what it lets in. `external`: the NAT's address.
    `native`: ESP and AH pass, with another address.
    """
    ports = random_ports(random.getrandbits(32))
    nat = Napt(external, ports, mapping=depends, filtering=depends, native=native)
    return Place(BEHIND_NAT, (nat, *outer), ("192.0.2.1",))
