"""What a script can do."""

from stories import first

from scapy_mobsec.drivers.memory import NO_UDP, Attacker, Firewall
from scapy_mobsec.drivers.memory.attacker import drop
from scapy_mobsec.drivers.scenarios.actions import (
    block,
    deregister,
    go,
    lose_counters,
    reboot_nat,
    stop_attacks,
)
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    HOME,
    UNTRANSLATED,
    Place,
    assemble,
    build_topology,
)
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.events import CountersCorrected, Deregistered


def play(*actions, topology=None):
    topology = topology or build_topology()
    for action in actions:
        action(topology)
        topology.network.run_for(1)
    return topology


def test_go():
    assert play(go(BEHIND_NAT)).mobile.terminal.path.local == BEHIND_NAT


def test_block_and_open_again():
    topology = assemble(1, lambda random: [Place(UNTRANSLATED, (Firewall(),))])
    play(block(NO_UDP), go(UNTRANSLATED), topology=topology)
    assert topology.mobile.terminal.state is MobileState.REGISTERING
    play(block(), topology=topology)
    assert topology.mobile.terminal.state is MobileState.REGISTERED


def test_after_a_reboot_the_nat_takes_another_port():
    topology = play(go(BEHIND_NAT))
    before = topology.other.terminal.path(HOME)
    play(reboot_nat, go(BEHIND_NAT), topology=topology)
    after = topology.other.terminal.path(HOME)
    assert after.remote.address == before.remote.address
    assert after.remote.port != before.remote.port


def test_stop_attacks():
    attacker = Attacker(drop)
    topology = assemble(1, lambda random: [Place(UNTRANSLATED, (attacker,))])
    play(go(UNTRANSLATED), stop_attacks, topology=topology)
    assert topology.mobile.terminal.state is MobileState.REGISTERED


def test_deregister():
    topology = play(go(UNTRANSLATED), deregister)
    assert first(topology.mobile.log, Deregistered).confirmed
    assert topology.other.terminal.path(HOME) is None


def test_lost_counters_are_corrected():
    topology = play(go(UNTRANSLATED), go(BEHIND_NAT), lose_counters, go(UNTRANSLATED))
    assert first(topology.mobile.log, CountersCorrected).attempt == 3
    assert topology.other.terminal.path(HOME).remote == UNTRANSLATED
