"""Scenarios with attackers, losses, hasty moves, and terminals that end or forget."""

from scapy_mobsec.drivers.memory import (
    NO_UDP,
    Attacker,
    Direction,
    Element,
    Firewall,
    Loss,
    Packet,
)
from scapy_mobsec.drivers.memory.attacker import only, race, replay_after
from scapy_mobsec.drivers.scenarios.actions import deregister, go, lose_counters, stop_attacks
from scapy_mobsec.drivers.scenarios.scenario import Pings, Scenario
from scapy_mobsec.drivers.scenarios.translators import datagram_topology
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    UNTRANSLATED,
    Place,
    Topology,
    assemble,
    build_topology,
)
from scapy_mobsec.packet.path import Endpoint

ATTACKER = Endpoint.of("198.51.100.66", 666)
ELSEWHERE = Endpoint.of("198.51.100.34", 4500)
DEAD = Endpoint.of("198.51.100.9", 4500)
SHORTEST_REQUEST = 1200
"""Octets; nothing else in the scenarios is as long as a padded RREQ."""

FLAPS = 12
FLAP_INTERVAL = 0.06


def _is_request(packet: Packet, direction: Direction) -> bool:
    return direction is Direction.OUT and packet.length > SHORTEST_REQUEST


def _udp_only(seed: int, *elements: Element) -> Topology:
    places = Place(UNTRANSLATED), Place(ELSEWHERE, elements)
    return assemble(seed, lambda random: places)


def _raced(seed: int) -> Topology:
    return _udp_only(seed, Attacker(only(race(ATTACKER), _is_request)))


def _replayed(seed: int) -> Topology:
    return _udp_only(seed, Attacker(only(replay_after(0.5, ATTACKER), _is_request)))


def _lossy(seed: int) -> Topology:
    loss = Loss(0.3, in_a_row=8)
    return assemble(seed, lambda random: (Place(UNTRANSLATED, (loss,)), Place(ELSEWHERE, (loss,))))


def _two_interfaces(seed: int) -> Topology:
    return assemble(seed, lambda random: (Place(DEAD, (Firewall(NO_UDP),)), Place(UNTRANSLATED)))


def _open(seed: int) -> Topology:
    return datagram_topology(seed, Place(UNTRANSLATED), Place(ELSEWHERE))


SCENARIOS = (
    Scenario(
        "race",
        "An attacker delivers a copy of the RREQ first: Y moves there, and back when paths prove.",
        _raced,
        ((0.0, go(UNTRANSLATED)), (1.0, go(ELSEWHERE)), (1.2, stop_attacks)),
        shown="other",
    ),
    Scenario(
        "replay",
        "An attacker sends recorded RREQs again, from elsewhere: Y drops them and stays.",
        _replayed,
        ((0.0, go(UNTRANSLATED)), (1.0, go(ELSEWHERE))),
        shown="other",
    ),
    Scenario(
        "loss",
        "Three packets of ten are lost: RREQs are sent again until one is answered.",
        _lossy,
        tuple((2.0 * number, go((UNTRANSLATED, ELSEWHERE)[number % 2])) for number in range(4)),
        duration=8.0,
    ),
    Scenario(
        "flapping",
        "X moves faster than Y can answer, and is registered where it ends up.",
        build_topology,
        tuple(
            (number * FLAP_INTERVAL, go((UNTRANSLATED, BEHIND_NAT, BEHIND_OTHER_NAT)[number % 3]))
            for number in range(FLAPS)
        ),
    ),
    Scenario(
        "deregister",
        "X ends its registration, and makes a new one later with the same SAs.",
        _open,
        ((0.0, go(UNTRANSLATED)), (1.5, deregister), (2.0, go(ELSEWHERE))),
        pings=Pings(until=1.0),
    ),
    Scenario(
        "stale",
        "X lost its attempt number in a restart: code 133 tells it Y's, and costs a round trip.",
        build_topology,
        (
            (0.0, go(UNTRANSLATED)),
            (0.5, go(BEHIND_NAT)),
            (1.0, lose_counters),
            (1.0, go(BEHIND_OTHER_NAT)),
        ),
    ),
    Scenario(
        "twointerfaces",
        "X has two interfaces, and the preferred one is dead: the RREQ on the other is answered.",
        _two_interfaces,
        ((0.0, go(DEAD, UNTRANSLATED)),),
    ),
)
