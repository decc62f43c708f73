"""What can be done in a scenario: X moves, the network changes, a terminal ends or forgets."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from scapy_mobsec.drivers.memory import Attacker, Block, Element, Firewall, Napt
from scapy_mobsec.drivers.scenarios.scenario import Action
from scapy_mobsec.drivers.simulation import Topology
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.mobile import MobileTerminal

E = TypeVar("E", bound=Element)


def go(*endpoints: Endpoint) -> Action:
    """X goes on from these endpoints, the preferred one first."""
    return lambda topology: topology.move(*endpoints)


def block(*blocks: Block) -> Action:
    """The firewalls on X's ways drop this from now on, and nothing else."""

    def do(topology: Topology) -> None:
        for firewall in _elements(topology, Firewall):
            firewall.blocks = blocks
        what = ", ".join(each.name for each in blocks)
        topology.note(f"the firewall changes: {what or 'all passes'}")

    return do


def reboot_nat(topology: Topology) -> None:
    """The NATs on X's ways forget their mappings."""
    for nat in _elements(topology, Napt):
        nat.reboot()
    topology.note("the NAT forgets its mappings")


def stop_attacks(topology: Topology) -> None:
    """The attackers on X's ways give up."""
    for attacker in _elements(topology, Attacker):
        attacker.stop()
    topology.note("the attacks end")


def deregister(topology: Topology) -> None:
    """X ends its registration."""
    topology.mobile.terminal.deregister(topology.network.now)
    topology.mobile.pump()


def lose_counters(topology: Topology) -> None:
    """X is started anew with its keys, but without its attempt number.

    Y's numbers are taken from the first on: what a ceiling costs is another story.
    """
    kept = topology.mobile.terminal.snapshot()
    ceilings = tuple((spi, 0) for spi, _ in kept.ceilings)
    topology.mobile.terminal = MobileTerminal(
        topology.configuration,
        random_bytes=topology.network.new_random().randbytes,
        snapshot=replace(kept, attempt=0, identification=None, ceilings=ceilings),
    )
    topology.note("X starts anew without its counters")


def _elements(topology: Topology, kind: type[E]) -> Iterator[E]:
    for segment in topology.segments.values():
        yield from (element for element in segment.chain if isinstance(element, kind))
