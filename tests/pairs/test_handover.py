"""Handovers as packet charts, in virtual time with a round trip of 50 ms.

What a chart shows passed the tap at Y (or at X, where the text says so), translated as it arrived.
"""

import pytest
from terminals import HOME, INNER_HOST, PONG

from scapy_mobsec.drivers.memory import Direction, Element, chart
from scapy_mobsec.drivers.simulation import (
    BEHIND_NAT,
    BEHIND_OTHER_NAT,
    UNTRANSLATED,
    build_topology,
)
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.registration.transitions import MobileState, OtherState
from scapy_mobsec.terminal.events import (
    BindingMoved,
    ChallengeAnswered,
    PacketDropped,
    Rebound,
    Registered,
    RegistrationFailed,
    Renewed,
)


class Gate(Element):
    """Loses what a test wants lost: IN is towards Y. `longest`: octets of a packet that passes."""

    lose = frozenset()
    longest = 1500

    def forward(self, packet, direction, time_ns):
        lost = direction in self.lose or packet.length > self.longest
        return [] if lost else [(0, packet)]


class Play:
    """A topology with a gate at Y, and the words that the tests are written in."""

    def __init__(self):
        self.gate = Gate()
        topology = build_topology(seed=5, near_other=[self.gate])
        self.network, self.mobile, self.other = topology.network, topology.mobile, topology.other
        self.topology, self.start = topology, topology.network.time_ns

    def move(self, endpoint):
        self.topology.move(endpoint)

    def ping(self, number):
        self.mobile.send(echo_request(HOME, INNER_HOST, number))

    def wait(self, milliseconds):
        self.network.run_for(milliseconds / 1000)

    def registered(self, endpoint):
        """X has registered from there; the chart begins after it."""
        self.move(endpoint)
        self.wait(100)
        for tap in self.topology.taps.values():
            tap.packets.clear()
        self.mobile.log.clear()
        self.other.log.clear()
        self.start = self.network.time_ns

    def passed(self, tap, chart_text):
        expected = chart_text.strip().replace("NAT1", self.outer("192.0.2.1")).splitlines()
        seen = chart(self.topology.taps[tap].packets, self.topology.sas, self.start)
        assert seen == [line.strip() for line in expected]

    def outer(self, address):
        """The endpoint that the NAT with this address gave to X."""
        for _, packet in self.topology.taps["other"].packets:
            for endpoint in (packet.source, packet.destination):
                if str(endpoint).startswith(f"{address}:"):
                    return str(endpoint)
        return address


@pytest.fixture
def play():
    return Play()


def test_handover_behind_a_nat(play):
    play.registered(UNTRANSLATED)
    play.move(BEHIND_NAT)
    play.ping(0)
    play.wait(100)
    play.passed(
        "mobile",
        """
           0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2
           0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  ping 0
          50 ms  udp 203.0.113.2:4500 > 10.0.0.2:4500  RREP #2 code 0 USE 2 translations CHALLENGE
          50 ms  udp 203.0.113.2:4500 > 10.0.0.2:4500  pong 0
          50 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    play.passed(
        "other",
        """
          25 ms  udp NAT1 > 203.0.113.2:4500  RREQ #2
          25 ms  udp NAT1 > 203.0.113.2:4500  ping 0
          25 ms  udp 203.0.113.2:4500 > NAT1  RREP #2 code 0 USE 2 translations CHALLENGE
          25 ms  udp 203.0.113.2:4500 > NAT1  pong 0
          75 ms  udp NAT1 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )


def test_data_of_the_server_follows_its_reply(play):
    """It leaves Y half a round trip after the move, and is at X one round trip after it."""
    play.registered(UNTRANSLATED)
    play.move(BEHIND_NAT)
    play.wait(24)
    play.other.send(PONG)  # too early: goes to the old address
    play.wait(1)
    play.other.send(PONG)
    play.wait(100)
    play.passed(
        "other",
        """
          24 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  pong 0
          25 ms  udp NAT1 > 203.0.113.2:4500  RREQ #2
          25 ms  udp 203.0.113.2:4500 > NAT1  RREP #2 code 0 USE 2 translations CHALLENGE
          25 ms  udp 203.0.113.2:4500 > NAT1  pong 0
          75 ms  udp NAT1 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    assert [(at - play.start) / 1e6 for at, _ in play.mobile.inner] == [50]


def test_a_lost_request_is_repeated(play):
    play.registered(UNTRANSLATED)
    play.gate.lose = {Direction.IN}
    play.move(BEHIND_NAT)
    play.wait(100)
    play.gate.lose = frozenset()
    play.wait(600)
    repeated = sent_at(play, "mobile")[1]
    replied = "RREP #2 code 0 USE 2 translations CHALLENGE"
    assert 450 <= repeated <= 550
    play.passed(
        "other",
        f"""
         {repeated + 25:.0f} ms  udp NAT1 > 203.0.113.2:4500  RREQ #2
         {repeated + 25:.0f} ms  udp 203.0.113.2:4500 > NAT1  {replied}
         {repeated + 75:.0f} ms  udp NAT1 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )


def test_a_lost_reply_moves_the_binding_once(play):
    play.registered(UNTRANSLATED)
    play.gate.lose = {Direction.OUT}
    play.move(BEHIND_NAT)
    play.wait(100)
    play.gate.lose = frozenset()
    play.wait(600)
    assert play.mobile.terminal.state is MobileState.REGISTERED
    assert len(told(play.other, BindingMoved)) == 1


def test_back_and_forth_before_any_reply(play):
    play.registered(UNTRANSLATED)
    for endpoint in (BEHIND_NAT, UNTRANSLATED, BEHIND_OTHER_NAT):
        play.move(endpoint)
        play.wait(10)
    play.ping(1)
    play.wait(200)
    assert str(play.other.terminal.path(HOME).remote).startswith("192.0.2.129:")
    assert [event.attempt for event in told(play.mobile, Registered)] == [4]
    assert [event.attempt for event in told(play.other, BindingMoved)] == [2, 3, 4]
    assert len(play.mobile.inner) == 1


def test_unreachable_for_long(play):
    """An attempt fails after 32 s; the next ones go on until the network is back."""
    play.registered(UNTRANSLATED)
    play.gate.lose = {Direction.IN, Direction.OUT}
    play.move(BEHIND_NAT)
    play.wait(70_000)
    assert [event.attempt for event in told(play.mobile, RegistrationFailed)] == [2, 3]
    play.gate.lose = frozenset()
    play.wait(10_000)
    assert [event.attempt for event in told(play.mobile, Registered)] == [4]
    assert play.other.terminal.path(HOME) is not None


def test_a_registration_is_kept_alive_for_a_day(play):
    play.registered(BEHIND_NAT)
    play.wait(24 * 3_600_000)
    assert play.other.terminal.state(HOME) is OtherState.BOUND
    assert len(told(play.mobile, Renewed)) == len(play.mobile.log) == 48
    assert not told(play.other, BindingMoved)


def test_a_silent_mobile_terminal_expires(play):
    play.registered(BEHIND_NAT)
    play.gate.lose = {Direction.IN}
    play.wait(3_600_000)
    assert play.other.terminal.state(HOME) is OtherState.EXPIRED
    play.other.send(PONG)
    assert told(play.other, PacketDropped)[-1].reason is DropReason.NO_PATH
    play.gate.lose = frozenset()
    play.wait(32_000)
    assert play.other.terminal.state(HOME) is OtherState.BOUND


def sent_at(play, tap):
    return [(time_ns - play.start) / 1e6 for time_ns, _ in play.topology.taps[tap].packets]


def told(host, kind):
    return [event for _, event in host.log if isinstance(event, kind)]


def test_data_and_a_challenge_move_y_while_the_rreqs_are_lost(play):
    """Y knows no other attempt than the one before; X answers in that (rule 4)."""
    play.registered(UNTRANSLATED)
    play.gate.longest = 1000
    play.move(BEHIND_NAT)
    for number in range(10):
        play.ping(number)
        play.wait(40)
    assert play.mobile.terminal.state is MobileState.REGISTERING
    (rebound,) = (event for _, event in play.other.log if isinstance(event, Rebound))
    assert rebound.new == play.other.terminal.path(HOME)
    answered = [event for _, event in play.mobile.log if isinstance(event, ChallengeAnswered)]
    assert {(event.attempt, event.solicited) for event in answered} == {(1, False)}
    assert not any(isinstance(event, PacketDropped) for _, event in play.mobile.log)
    play.gate.longest = 1500
    play.wait(1000)
    assert play.mobile.terminal.state is MobileState.REGISTERED
    assert play.other.terminal.path(HOME) == rebound.new
    assert not play.other.terminal.drops
