"""Scenarios with attackers, losses, hasty moves, and terminals that end or forget."""

from collections.abc import Callable, Sequence
from random import Random

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import NO_UDP, Attacker, Direction, Firewall, Loss, Packet
from scapy_mobsec.drivers.memory.attacker import Tactic, only, race, replay_after
from scapy_mobsec.drivers.scenarios.actions import deregister, go, lose_counters, stop_attacks
from scapy_mobsec.drivers.scenarios.building import UDP, on, through
from scapy_mobsec.drivers.scenarios.scenario import Scenario
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    UNTRANSLATED,
    Place,
    Topology,
    build_topology,
)
from scapy_mobsec.packet.path import Endpoint

ATTACKER = Endpoint.of("198.51.100.66", 666)
ELSEWHERE = Endpoint.of("198.51.100.34", NATT_PORT)
DEAD = Endpoint.of("198.51.100.9", NATT_PORT)
SHORTEST_REQUEST = 1200
"""Octets; nothing else in the scenarios is as long as a padded RREQ."""

FLAPS = 12
FLAP_INTERVAL = 0.06


def _is_request(packet: Packet, direction: Direction) -> bool:
    return direction is Direction.OUT and packet.length > SHORTEST_REQUEST


def _lossy(random: Random) -> Sequence[Place]:
    loss = Loss(0.3, in_a_row=8)
    return through(loss), Place(ELSEWHERE, (loss,))


def _attacked(tactic: Tactic) -> Callable[[int], Topology]:
    """Return what builds a network with an attacker at the second place, after the RREQs there."""
    only_requests = only(tactic, _is_request)
    return on(
        lambda random: (through(), Place(ELSEWHERE, (Attacker(only_requests),))), allow=(UDP,)
    )


SCENARIOS = (
    Scenario(
        "race",
        "An attacker delivers a copy of the RREQ first: Y moves there, and back when paths prove.",
        _attacked(race(ATTACKER)),
        ((0.0, go(UNTRANSLATED)), (1.0, go(ELSEWHERE)), (1.2, stop_attacks)),
        shown="other",
    ),
    Scenario(
        "replay",
        "An attacker sends recorded RREQs again, from elsewhere: Y drops them and stays.",
        _attacked(replay_after(0.5, ATTACKER)),
        ((0.0, go(UNTRANSLATED)), (1.0, go(ELSEWHERE))),
        shown="other",
    ),
    Scenario(
        "loss",
        "Three packets of ten are lost: RREQs are sent again until one is answered.",
        on(_lossy, allow=(UDP,)),
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
        on(lambda random: (through(), Place(ELSEWHERE))),
        ((0.0, go(UNTRANSLATED)), (1.5, deregister), (2.0, go(ELSEWHERE))),
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
        on(lambda random: (Place(DEAD, (Firewall(NO_UDP),)), through()), allow=(UDP,)),
        ((0.0, go(DEAD, UNTRANSLATED)),),
    ),
)
