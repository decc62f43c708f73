"""Scenarios with translators on the way, and with none."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from random import Random

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.drivers.memory import Dependence, Napt, Nat64, random_ports
from scapy_mobsec.drivers.memory.nat import WELL_KNOWN_PREFIX
from scapy_mobsec.drivers.scenarios.actions import go, reboot_nat
from scapy_mobsec.drivers.scenarios.building import UDP, behind_nat, on, through
from scapy_mobsec.drivers.scenarios.scenario import Scenario
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    OTHER_TERMINAL,
    UNTRANSLATED,
    Place,
    build_topology,
)
from scapy_mobsec.packet.path import Endpoint

IPV6 = Endpoint.of("2001:db8::2", NATT_PORT)
OTHER_IPV6 = Endpoint.of("2001:db8:ffff::1", NATT_PORT)
FREE_PORT = Endpoint.of("198.51.100.2", 40_000)
FREE_PORT_BEHIND_NAT = BEHIND_NAT._replace(port=40_000)
OTHER_ON_443 = OTHER_TERMINAL._replace(port=443)
PREFIX = ip_address(WELL_KNOWN_PREFIX).packed[:12]


def _double_nat(random: Random) -> Sequence[Place]:
    outer = Napt("192.0.2.1", random_ports(random.getrandbits(32)))
    return through(), behind_nat(random, outer, external="100.64.0.7")


def _symmetric(random: Random) -> Sequence[Place]:
    return through(), behind_nat(random, depends=Dependence.ADDRESS_AND_PORT)


def _free_ports(random: Random) -> Sequence[Place]:
    nat = behind_nat(random)
    return Place(FREE_PORT), replace(nat, endpoint=FREE_PORT_BEHIND_NAT)


def _nat64(random: Random) -> Sequence[Place]:
    translator = Nat64("192.0.2.64", random_ports(random.getrandbits(32)))
    return through(), Place(IPV6, (translator,), ("192.0.2.64",))


SCENARIOS = (
    Scenario(
        "handover",
        "X leaves an open network for one behind a NAT, and that for another NAT.",
        build_topology,
        ((0.0, go(UNTRANSLATED)), (1.0, go(BEHIND_NAT)), (2.0, go(BEHIND_OTHER_NAT))),
    ),
    Scenario(
        "open",
        "Nothing translates: a probe passes as plain ESP, and UDP encapsulation is dropped.",
        on(lambda random: [through()]),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "forced",
        "Nothing translates either, but X insists on UDP encapsulation and keeps it.",
        on(lambda random: [through()], forced=True),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "doublenat",
        "X moves behind two NATs, its own and its provider's: Y sees the outer one.",
        on(_double_nat),
        ((0.0, go(UNTRANSLATED)), (1.0, go(BEHIND_NAT))),
    ),
    Scenario(
        "symmetric",
        "The NAT maps and filters by address and port, and takes random ports.",
        on(_symmetric),
        ((0.0, go(UNTRANSLATED)), (1.0, go(BEHIND_NAT))),
    ),
    Scenario(
        "otherport",
        "Y takes UDP on port 443, and X sends from another port than 4500.",
        on(_free_ports, allow=(UDP,), at_other=(OTHER_ON_443,)),
        ((0.0, go(FREE_PORT)), (1.0, go(FREE_PORT_BEHIND_NAT))),
        duration=2.0,
    ),
    Scenario(
        "nat64",
        "X moves to a network that has IPv6 alone, and reaches Y's IPv4 through a NAT64.",
        on(_nat64, allow=(UDP,), nat64_prefix=PREFIX),
        ((0.0, go(UNTRANSLATED)), (1.0, go(IPV6))),
    ),
    Scenario(
        "ipv6",
        "X moves from IPv4 to IPv6 and back; Y has an address of both.",
        on(lambda random: (through(), Place(IPV6)), at_other=(OTHER_TERMINAL, OTHER_IPV6)),
        ((0.0, go(UNTRANSLATED)), (1.0, go(IPV6)), (2.0, go(UNTRANSLATED))),
    ),
    Scenario(
        "rebinding",
        "The NAT forgets its mappings: Y finds X behind another port without a new RREQ.",
        on(lambda random: [behind_nat(random)]),
        ((0.0, go(BEHIND_NAT)), (1.0, reboot_nat)),
        shown="other",
    ),
)
