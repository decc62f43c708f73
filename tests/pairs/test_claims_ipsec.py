"""The claims about IPsec, the ends of the messages and several requests, as packet charts.

The network is that of test_claims.
"""

from dataclasses import replace

import pytest
from play import (
    ELSEWHERE,
    INSIDE,
    NATIVE,
    OUTSIDE,
    TCP,
    UDP,
    codes,
    nat,
    registered,
    told,
)
from terminals import HOME, INNER_HOST, MOBILE_LINK, OTHER_LINK, SIGNALLING, TO_MOBILE, TO_OTHER

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.drivers.memory import (
    NO_UDP,
    Attacker,
    Direction,
    Firewall,
    chart,
)
from scapy_mobsec.drops import DropReason
from scapy_mobsec.registration.messages import RegistrationReply, RegistrationRequest
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.events import (
    BindingMoved,
    PacketDropped,
    Registered,
    TraversalDropped,
)
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import Transport
from scapy_mobsec.terminal.modes.tunnel import Tunnel


def with_mode(mode):
    return tuple(replace(link, mode=mode) for link in (MOBILE_LINK, OTHER_LINK))


def test_claim_9_the_link_is_formed_with_ipsec():
    play = registered(allow=(UDP,))
    play.roam(nat()).ping_once().wait(0.2)
    packets = play.taps["other"].packets
    lines = chart(packets, start_ns=play.start)  # without keys
    assert [line.partition("  ESP ")[2] for line in lines] == [
        "0x00001111, 1200 octets",
        "0x00001111, 112 octets",
        "0x00002222, 280 octets",
        "0x00002222, 112 octets",
        "0x00001111, 160 octets",
    ]


def test_claim_9_nothing_moves_without_the_keys():
    attacker = Attacker()
    play = registered(allow=(UDP,))
    play.move(play.place_behind(attacker, nat()), INSIDE).wait(0.2)
    before = play.other.terminal.path(HOME)
    (_, request), *_ = attacker.recorded
    renumbered = request.payload[:4] + bytes((0, 0, 0, 99)) + request.payload[8:]
    attacker.inject(request._replace(payload=renumbered, source=ELSEWHERE), Direction.OUT)
    attacker.inject(request._replace(source=ELSEWHERE), Direction.OUT)
    play.wait(0.2)
    dropped = told(play.other, PacketDropped)
    assert [each.reason for each in dropped] == [DropReason.BAD_ICV, DropReason.REPLAYED]
    assert play.other.terminal.path(HOME) == before


def test_claim_10_data_goes_with_ipsec_and_nat_traversal_at_the_new_address():
    play = registered(allow=(UDP,))
    play.roam(nat()).ping_once().wait(0.2)
    play.passed(
        "mobile",
        """
         0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2
         0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  ping 1
        50 ms  udp 203.0.113.2:4500 > 10.0.0.2:4500  RREP #2 code 0 USE 2 translations CHALLENGE
        50 ms  udp 203.0.113.2:4500 > 10.0.0.2:4500  pong 1
        50 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    assert told(play.other, BindingMoved)[-1].new.remote == OUTSIDE
    assert len(play.mobile.inner) == len(play.other.inner) == 1


@pytest.mark.parametrize(
    ("decider", "other"),
    [
        (Decider.MOBILE, {"decider": Decider.FIXED}),
        (Decider.OTHER, {"decider": Decider.OTHER}),
    ],
    ids=["descriptions agree", "the reply says so"],
)
def test_claim_11_data_goes_without_traversal(decider, other):
    play = registered(decider=decider, other=other)
    play.roam().wait(0.2)
    play.ping_once().wait(0.1)
    play.passed(
        "other",
        """
         25 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2
         25 ms  udp 203.0.113.2:4500 > 198.51.100.3:4500  RREP #2 code 0 USE CHALLENGE
         75 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
         75 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 PROBE
         75 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 CHALLENGE
        125 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 CONFIRM
        125 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 USE
        125 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 USE
        225 ms  esp 198.51.100.3 > 203.0.113.2  ping 1
        225 ms  esp 203.0.113.2 > 198.51.100.3  pong 1
        """,
    )
    assert len(play.told(TraversalDropped)) == 2  # at each of both places


def test_claim_12_the_link_is_an_ipsec_sa_that_stays():
    play = registered()
    before = play.taps["mobile"].packets[:]
    play.roam(nat()).ping_once().wait(0.2)
    play.passed(
        "mobile",
        """
         0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2
         0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  ping 1
        50 ms  udp 203.0.113.2:4500 > 10.0.0.2:4500  RREP #2 code 0 USE 2 translations CHALLENGE
        50 ms  udp 203.0.113.2:4500 > 10.0.0.2:4500  pong 1
        50 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    numbers = [
        int.from_bytes(packet.payload[4:8], "big")
        for _, packet in before + play.taps["mobile"].packets
        if packet.payload[:4] == TO_OTHER.spi.to_bytes(4, "big")
    ]
    assert numbers == list(range(1, 9))  # one SA, its numbers go on
    spis = {packet.payload[:4] for _, packet in before + play.taps["mobile"].packets}
    assert spis == {sa.spi.to_bytes(4, "big") for sa in (TO_OTHER, TO_MOBILE)}


@pytest.mark.parametrize(
    ("mode", "data"),
    [(Tunnel(), ("ping 1", "pong 1")), (Transport(), ("ping 1", "pong 1"))],
    ids=["tunnel", "transport"],
)
def test_claim_18_the_other_terminal_is_the_end(mode, data):
    assert not reaches(SIGNALLING, mode, *data).site.came


@pytest.mark.parametrize(
    ("mode", "data"),
    [(Tunnel(), ("ping 1", "pong 1")), (L2tp(1, 2), ("data 94", "data 94"))],
    ids=["tunnel", "transport with L2TP"],
)
def test_claim_19_a_host_behind_the_other_terminal_is_the_end(mode, data):
    assert len(reaches(INNER_HOST, mode, *data).site.came) == 1


def reaches(end, mode, there, back):
    """Check that data goes between X and `end` in a mode, and how the chart shows it.

    The packet comes out of Y for that address; what is behind Y gets its own packets only.
    """
    play = registered(allow=(UDP,), links=with_mode(mode))
    play.roam(nat()).ping_once(end).wait(0.2)
    play.passed(
        "other",
        f"""
        25 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2
        25 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  {there}
        25 ms  udp 203.0.113.2:4500 > 192.0.2.1:40000  RREP #2 code 0 USE 2 translations CHALLENGE
        25 ms  udp 203.0.113.2:4500 > 192.0.2.1:40000  {back}
        75 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    ((_, packet),) = play.other.inner
    assert (packet[12:16], packet[16:20]) == (HOME, end)
    assert len(play.mobile.inner) == 1
    return play


def test_claim_19_transport_mode_alone_does_not_reach_it():
    play = registered(links=with_mode(Transport()))
    play.roam(nat()).ping_once(INNER_HOST).wait(0.2)
    assert [each.reason for each in play.told(PacketDropped)] == [DropReason.OUTSIDE_POLICY]
    assert not play.other.inner


def test_claim_20_of_several_requests_the_reply_chooses_native():
    kinds = (UDP, TCP, NATIVE)
    play = registered(allow=kinds, start=kinds, stagger=0)
    play.roam().wait(0.2)
    play.passed(
        "mobile",
        """
          0 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2
          0 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 PROBE
         50 ms  udp 203.0.113.2:4500 > 198.51.100.3:4500  RREP #2 code 0 USE CHALLENGE
         50 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 CHALLENGE
         50 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
         50 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 CONFIRM
         50 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 USE
        100 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 USE
        """,
    )
    requests = play.messages("mobile", RegistrationRequest)[:2]
    assert [(each.attempt.index, each.attempt.count) for each in requests] == [(0, 3), (1, 3)]
    by_udp, native, _ = play.messages("mobile", RegistrationReply)
    assert codes(by_udp.selected) == [EncapsulationCode.UDP]
    assert codes(native.selected) == [EncapsulationCode.NATIVE]
    assert play.encapsulation is NATIVE


def test_claim_20_of_several_requests_only_one_passes():
    kinds = (UDP, TCP, NATIVE)
    play = registered(allow=kinds, start=kinds, stagger=0)
    play.roam(Firewall(NO_UDP), nat()).wait(0.2)
    play.passed(
        "mobile",
        """
          0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2
          0 ms  esp 10.0.0.2 > 203.0.113.2  RREQ #2 PROBE
         50 ms  tcp 10.0.0.2:49153 > 203.0.113.2:4500  RREQ #2
        100 ms  tcp 203.0.113.2:4500 > 10.0.0.2:49153  RREP #2 code 0 USE 2 translations CHALLENGE
        100 ms  tcp 10.0.0.2:49153 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    assert codes(play.told(Registered)[-1].selected) == [EncapsulationCode.TCP]
    assert play.encapsulation is TCP
