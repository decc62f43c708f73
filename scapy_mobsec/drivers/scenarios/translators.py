"""Scenarios with translators on the way, and with none."""

from ipaddress import ip_address
from random import Random

from contrib_layers.numbers import NATT_PORT, EncapsulationCode
from scapy_mobsec.drivers.memory import Dependence, Napt, Nat64, random_ports
from scapy_mobsec.drivers.memory.nat import WELL_KNOWN_PREFIX
from scapy_mobsec.drivers.scenarios.actions import go, reboot_nat
from scapy_mobsec.drivers.scenarios.scenario import Scenario
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    OTHER_TERMINAL,
    UNTRANSLATED,
    Place,
    Topology,
    assemble,
    build_topology,
)
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem

DATAGRAMS = (
    EncapsulationItem(EncapsulationCode.NATIVE),
    EncapsulationItem(EncapsulationCode.UDP, port=NATT_PORT),
)
IPV6 = Endpoint.of("2001:db8::2", NATT_PORT)
OTHER_IPV6 = Endpoint.of("2001:db8:ffff::1", NATT_PORT)


def datagram_topology(seed: int, *places: Place, forced: bool = False) -> Topology:
    """Build a network on which native ESP and UDP are allowed."""
    mobile = {"allow": DATAGRAMS, "forced": forced}
    return assemble(seed, lambda random: places, mobile=mobile, other={"supported": DATAGRAMS})


def _open(seed: int) -> Topology:
    return datagram_topology(seed, Place(UNTRANSLATED))


def _forced(seed: int) -> Topology:
    return datagram_topology(seed, Place(UNTRANSLATED), forced=True)


def _double_nat(seed: int) -> Topology:
    ports = (random_ports(Random(seed + number).getrandbits(32)) for number in range(2))
    nats = tuple(Napt(*each) for each in zip(("100.64.0.7", "192.0.2.1"), ports, strict=True))
    return datagram_topology(seed, Place(UNTRANSLATED), Place(BEHIND_NAT, nats, ("192.0.2.1",)))


def _symmetric(seed: int) -> Topology:
    dependence = Dependence.ADDRESS_AND_PORT
    nat = Napt("192.0.2.1", random_ports(seed), mapping=dependence, filtering=dependence)
    return datagram_topology(seed, Place(UNTRANSLATED), Place(BEHIND_NAT, (nat,), ("192.0.2.1",)))


def _nat64(seed: int) -> Topology:
    translator = Nat64("192.0.2.64", random_ports(seed))
    places = Place(UNTRANSLATED), Place(IPV6, (translator,), ("192.0.2.64",))
    mobile = {"nat64_prefix": ip_address(WELL_KNOWN_PREFIX).packed[:12]}
    return assemble(seed, lambda random: places, mobile=mobile)


def _ipv6(seed: int) -> Topology:
    others = {"addresses": (OTHER_IPV6.address,), "supported": DATAGRAMS}
    return assemble(
        seed,
        lambda random: (Place(UNTRANSLATED), Place(IPV6)),
        at_other=(OTHER_TERMINAL, OTHER_IPV6),
        mobile={"allow": DATAGRAMS, "other_addresses": (OTHER_IPV6.address,)},
        other=others,
    )


def _one_nat(seed: int) -> Topology:
    nat = Napt("192.0.2.1", random_ports(seed))
    return datagram_topology(seed, Place(BEHIND_NAT, (nat,), ("192.0.2.1",)))


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
        _open,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "forced",
        "Nothing translates either, but X insists on UDP encapsulation and keeps it.",
        _forced,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "doublenat",
        "X moves behind two NATs, its own and its provider's: Y sees the outer one.",
        _double_nat,
        ((0.0, go(UNTRANSLATED)), (1.0, go(BEHIND_NAT))),
    ),
    Scenario(
        "symmetric",
        "The NAT maps and filters by address and port, and takes random ports.",
        _symmetric,
        ((0.0, go(UNTRANSLATED)), (1.0, go(BEHIND_NAT))),
    ),
    Scenario(
        "nat64",
        "X moves to a network that has IPv6 alone, and reaches Y's IPv4 through a NAT64.",
        _nat64,
        ((0.0, go(UNTRANSLATED)), (1.0, go(IPV6))),
    ),
    Scenario(
        "ipv6",
        "X moves from IPv4 to IPv6 and back; Y has an address of both.",
        _ipv6,
        ((0.0, go(UNTRANSLATED)), (1.0, go(IPV6)), (2.0, go(UNTRANSLATED))),
    ),
    Scenario(
        "rebinding",
        "The NAT forgets its mappings: Y finds X behind another port without a new RREQ.",
        _one_nat,
        ((0.0, go(BEHIND_NAT)), (1.0, reboot_nat)),
    ),
)
