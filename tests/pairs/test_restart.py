"""Either terminal is killed in the middle of traffic, and goes on from what was on disk (rule 14).

The link goes on without another key exchange, no sequence number is used twice, and nothing that
was recorded before is accepted again.
"""

from dataclasses import replace

import pytest
from terminals import HOME, INNER_HOST

from scapy_mobsec.drivers.memory.attacker import Attacker
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    OTHER_TERMINAL,
    UNTRANSLATED,
    build_topology,
)
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.terminal.events import (
    BindingMoved,
    CountersCorrected,
    Deregistered,
    InnerMtuLowered,
    NumbersSkipped,
    PathRejected,
)
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

WELL = (10, 20)
"""What comes in a second: X's pings to Y; Y's pings, and answers, to X."""


class Disk:
    """Both terminals with what they have on disk; pings go both ways all the time."""

    def __init__(self, seed=1):
        self.attacker = Attacker()
        self.topology = build_topology(seed, near_other=[self.attacker])
        self.network = self.topology.network
        self.mobile, self.other = self.topology.mobile, self.topology.other
        self.saved = None
        self.links = {}
        self.saves = 0
        self.mobile.save, self.other.save = self.save_mobile, self.save_other
        self.place, self.pings = UNTRANSLATED, 0
        self.move(UNTRANSLATED)

    def save_mobile(self):
        self.saved, self.saves = self.mobile.terminal.snapshot(), self.saves + 1

    def save_other(self):
        self.saves += 1
        self.links.update({each.home_address: each for each in self.other.terminal.snapshots()})

    def move(self, place):
        self.place = place
        self.topology.move(place)

    def restart_mobile(self):
        configuration = self.mobile.terminal._configuration
        random = self.mobile.terminal._random_bytes
        self.mobile.restart(MobileTerminal(configuration, random_bytes=random, snapshot=self.saved))
        self.move(self.place)

    def restart_other(self):
        configuration = self.other.terminal._configuration
        random = self.other.terminal._random_bytes
        self.other.restart(
            OtherTerminal(configuration, random_bytes=random, snapshots=self.links.values())
        )

    def run(self, seconds):
        """Ping both ways every 100 ms; return how many came to Y, and how many to X."""
        before = len(self.other.inner), len(self.mobile.inner)
        for _ in range(round(seconds * 10)):
            self.pings += 1
            self.mobile.send(echo_request(HOME, INNER_HOST, self.pings % 2**16))
            self.other.send(echo_request(INNER_HOST, HOME, self.pings % 2**16))
            self.network.run_for(0.1)
        return len(self.other.inner) - before[0], len(self.mobile.inner) - before[1]

    def numbers(self, name, *, sent_by_other):
        """SPI and sequence number of what passed a tap."""
        return [
            packet.payload[:8]
            for _, packet in self.topology.taps[name].packets
            if len(packet.payload) > 8 and (packet.source == OTHER_TERMINAL) is sent_by_other
        ]

    def check(self):
        """No number was used twice, and no packet was delivered twice."""
        sent = self.numbers("mobile", sent_by_other=False)
        assert len(set(sent)) == len(sent)
        sent = self.numbers("other", sent_by_other=True)
        assert len(set(sent)) == len(sent)
        for host in (self.mobile, self.other):
            inner = [packet for _, packet in host.inner]
            assert len(set(inner)) == len(inner)

    def count(self, host, kind):
        return sum(isinstance(event, kind) for _, event in host.log)


@pytest.fixture
def disk():
    disk = Disk()
    assert disk.run(1)[0] == 10
    return disk


RESTARTS = {
    "X": (Disk.restart_mobile,),
    "Y": (Disk.restart_other,),
    "X then Y": (Disk.restart_mobile, Disk.restart_other),
    "Y then X": (Disk.restart_other, Disk.restart_mobile),
    "Y three times": (Disk.restart_other,) * 3,
    "X three times": (Disk.restart_mobile,) * 3,
}


@pytest.mark.parametrize("pause", [0.0, 0.3, 90.0])
@pytest.mark.parametrize("restarts", RESTARTS.values(), ids=RESTARTS.keys())
def test_the_link_goes_on(disk, restarts, pause):
    for restart in restarts:
        restart(disk)
        disk.run(pause)
    attempt = disk.mobile.terminal.attempt
    disk.run(90)
    assert disk.run(1) == WELL
    assert disk.mobile.terminal.attempt - attempt <= 1
    assert disk.count(disk.mobile, NumbersSkipped) <= len(restarts)
    assert disk.count(disk.other, NumbersSkipped) <= len(restarts)
    disk.check()


@pytest.mark.parametrize("restart", [Disk.restart_mobile, Disk.restart_other])
def test_nothing_recorded_before_a_restart_is_accepted(disk, restart):
    disk.move(BEHIND_NAT)
    disk.run(1)
    restart(disk)
    place = disk.other.terminal.path(HOME)
    moves = disk.count(disk.other, BindingMoved)
    before = len(disk.other.inner), len(disk.mobile.inner)
    for source in (None, UNTRANSLATED):
        disk.attacker.replay(source)
        disk.network.run_for(0.01)
    assert (len(disk.other.inner), len(disk.mobile.inner)) == before
    assert disk.other.terminal.path(HOME) == place
    assert disk.count(disk.other, BindingMoved) == moves
    disk.run(90)
    assert disk.run(1) == WELL
    disk.check()


def test_the_current_path_outlives_the_restart_of_the_other_terminal(disk):
    disk.restart_other()
    disk.run(1)
    assert disk.count(disk.mobile, NumbersSkipped) == 0
    path = disk.other.terminal.path(HOME)
    assert path.remote == UNTRANSLATED
    answers = [packet for _, packet in disk.mobile.inner[-10:]]
    assert len(answers) == 10  # what Y sends arrives at once


def test_what_x_sends_arrives_soon_after_the_restart_of_the_other_terminal(disk):
    """Y challenges the kept path as it refuses X's numbers; X skips some at its third answer."""
    disk.run(3)
    attempt = disk.mobile.terminal.attempt
    disk.restart_other()
    arrived, _ = disk.run(1.3)
    assert arrived == 2  # the challenge goes on for 1 s and a round trip
    assert disk.run(1) == WELL
    assert disk.mobile.terminal.attempt == attempt
    assert disk.count(disk.mobile, NumbersSkipped) == 1
    assert disk.count(disk.other, PathRejected) == 0
    disk.check()


def test_a_current_path_that_is_not_validated_is_challenged_after_the_restart(disk):
    disk.run(3)
    disk.links[HOME] = replace(disk.links[HOME], validated=False)
    disk.restart_other()
    disk.run(1.3)
    assert disk.run(1) == WELL
    assert disk.count(disk.mobile, NumbersSkipped) == 1
    disk.check()


@pytest.mark.parametrize("place", [UNTRANSLATED, BEHIND_NAT], ids=["native", "udp"])
def test_a_restart_of_the_other_terminal_is_no_small_mtu(disk, place):
    """No data flows: the first that Y refuses are the two long PROBEs of the keepalive."""
    disk.move(place)
    disk.network.run_for(55)
    disk.restart_other()
    disk.network.run_for(30)
    assert disk.count(disk.mobile, NumbersSkipped) == 1
    assert disk.count(disk.mobile, InnerMtuLowered) == 0
    assert disk.run(1) == WELL
    disk.check()


def test_what_other_sends_first_makes_it_challenge_a_path_that_is_not_validated(disk):
    disk.run(3)
    disk.links[HOME] = replace(disk.links[HOME], validated=False)
    disk.restart_other()
    before = len(disk.mobile.inner)
    disk.other.send(echo_request(INNER_HOST, HOME, 0))
    disk.network.run_for(1.2)  # X leaves out numbers before it answers for the third time
    assert len(disk.mobile.inner) == before + 1
    disk.check()


@pytest.mark.parametrize("pause", [1.5, 5, 20])
def test_other_restarts_again_soon(disk, pause):
    """What X leaves out, it has heard to be taken: so the next restart costs no pause."""
    disk.run(3)
    attempt = disk.mobile.terminal.attempt
    for _ in range(4):
        disk.restart_other()
        disk.run(pause)
    disk.run(1.5)
    assert disk.run(1) == WELL
    assert disk.count(disk.mobile, NumbersSkipped) == 4
    assert disk.mobile.terminal.attempt == attempt
    disk.check()


def test_other_skips_numbers_again_while_all_that_it_sends_are_refusals(disk):
    """X, whose clock was set back, is killed again when it has heard the first numbers after a
    skip: the second skip is due later than Y's third refusal.
    """
    identifications = disk.mobile.terminal._requests.identifications
    identifications.skip(ntp_timestamp(disk.network.now + 3600))
    disk.move(UNTRANSLATED)
    disk.run(1)
    disk.saved = replace(disk.saved, identification=None)
    disk.restart_mobile()
    assert disk.network.run_until(lambda: disk.count(disk.mobile, CountersCorrected), 5)
    disk.saved = replace(disk.saved, identification=None)
    disk.restart_mobile()
    disk.run(40)
    assert disk.run(1) == WELL
    assert disk.count(disk.other, NumbersSkipped) == 2
    disk.check()


def test_a_binding_older_than_the_last_move_costs_one_registration(disk):
    lost = disk.links.copy()
    disk.move(BEHIND_OTHER_NAT)
    disk.network.run_for(0.06)  # accepted, and not on disk yet
    assert disk.links[HOME].path.remote == UNTRANSLATED
    assert disk.other.terminal.path(HOME).remote != UNTRANSLATED
    assert lost.keys() == disk.links.keys()
    attempt = disk.mobile.terminal.attempt
    disk.restart_other()
    assert disk.other.terminal.path(HOME).remote == UNTRANSLATED
    disk.run(90)
    assert disk.run(1) == WELL
    assert disk.mobile.terminal.attempt - attempt <= 1
    disk.check()


def test_a_deregistration_is_on_disk_before_it_is_confirmed(disk):
    disk.mobile.terminal.deregister(disk.network.now)
    disk.mobile.pump()
    assert disk.network.run_until(lambda: disk.count(disk.mobile, Deregistered), 1)
    disk.restart_other()
    assert disk.other.terminal.path(HOME) is None


def test_snapshots_are_rare(disk):
    disk.run(1)
    before = disk.saves
    disk.run(60)
    assert disk.saves - before <= 4  # of both: the probe of each minute


def test_snapshots_are_in_time(disk):
    """Whatever the numbers do, each is covered before it leaves or is delivered."""
    outbound = disk.mobile.terminal._link.outbound
    inbound = disk.other.terminal._homes[HOME].inbound[0]
    for skipped in (0, 1, 49_150, 49_151, 49_152, 49_153, 65_536, 131_072) * 3:
        outbound.skip(skipped)
        disk.run(0.1)
        assert disk.saved.next_sequence >= outbound.next_sequence
        (ceiling,) = disk.links[HOME].ceilings
        assert ceiling[1] >= inbound.replay.highest == outbound.next_sequence - 1
