"""The claims of the method as packet charts: one test for each, of the same name (docs/claims.md).

X registers from 198.51.100.2 and then moves: behind a NAT, which makes 192.0.2.1:40000 of
10.0.0.2:4500, or to 198.51.100.3. The round trip is 50 ms. A chart shows what passed the tap at X
or at Y after the move, decrypted.
"""

import pytest
from play import (
    HTTP,
    HTTP_POST,
    INSIDE,
    NATIVE,
    OUTSIDE,
    TCP,
    TLS,
    UDP,
    Play,
    codes,
    nat,
    natures,
    registered,
    told,
    udp_description,
)
from terminals import HOME

from contrib_layers.numbers import ITEM_INSIDE_TLS, EncapsulationCode, FieldCode, NatureCode
from scapy_mobsec.drivers.memory import (
    NO_UDP,
    Firewall,
    Ports,
    port_forwarding,
)
from scapy_mobsec.drivers.simulation import OTHER_TERMINAL, UNTRANSLATED
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    TcpHeader,
    TlsHeader,
    UdpHeader,
)
from scapy_mobsec.registration.messages import RegistrationReply, RegistrationRequest
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.events import (
    BindingMoved,
    Moved,
    Registered,
    RegistrationReceived,
)

BEHIND_NAT = """
    25 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2
    25 ms  udp 203.0.113.2:4500 > 192.0.2.1:40000  RREP #2 code 0 USE 2 translations CHALLENGE
    75 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2 CONFIRM
"""
ADDRESS_AND_PORT = [
    (FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS_AND_PORT),
    (FieldCode.SOURCE_PORT, NatureCode.ADDRESS_AND_PORT),
]


def test_claim_1a_the_link_has_two_addresses_and_a_way_to_pass_translators():
    play = Play(allow=(UDP,)).move().wait(0.2)
    play.passed(
        "other",
        """
        25 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1
        25 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  RREP #1 code 0 USE CHALLENGE
        75 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1 CONFIRM
        """,
    )
    at_mobile, at_other = play.mobile.terminal.path, play.other.terminal.path(HOME)
    assert (at_mobile.local, at_mobile.remote) == (UNTRANSLATED, OTHER_TERMINAL)
    assert (at_other.remote, at_other.local) == (UNTRANSLATED, OTHER_TERMINAL)
    (event,) = play.told(Registered)
    assert {UDP.code, TCP.code, HTTP.code} < set(codes(event.supported))


def test_claim_1b_the_mobile_terminal_moves_to_a_new_address():
    play = registered()
    play.roam(nat()).wait(0.2)
    play.passed("other", BEHIND_NAT)
    first, second = play.told(Moved)
    assert (first.new.local, second.old.local, second.new.local) == (
        UNTRANSLATED,
        Endpoint(UNTRANSLATED.address),  # native has no port
        INSIDE,
    )
    assert told(play.other, BindingMoved)[-1].new.remote == OUTSIDE


def test_claim_1c_the_request_describes_the_way_that_it_is_sent():
    play = registered()
    play.roam(nat()).wait(0.02)
    play.passed("mobile", "0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  RREQ #2")
    (request,) = play.messages("mobile", RegistrationRequest)
    assert request.sent == udp_description(INSIDE)
    assert request.care_of_address == INSIDE.address
    play.wait(0.2)
    assert told(play.other, RegistrationReceived)[-1].sent == request.sent


def test_claim_1d_the_reply_tells_the_translations_and_the_encapsulations_of_y():
    play = registered()
    play.roam(nat()).wait(0.2)
    play.passed("other", BEHIND_NAT)
    (reply,) = play.messages("other", RegistrationReply)
    assert natures(reply.translations) == ADDRESS_AND_PORT
    assert reply.observed == udp_description(OUTSIDE)
    assert codes(reply.supported) == list(EncapsulationCode)


def test_claim_1e_then_data_goes_as_the_reply_tells():
    play = registered()
    play.roam(nat()).wait(0.2)
    play.begin()
    play.ping_once().wait(0.1)
    play.passed(
        "mobile",
        """
         0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  ping 1
        50 ms  udp 203.0.113.2:4500 > 10.0.0.2:4500  pong 1
        """,
    )
    play.roam().wait(0.2)
    play.begin()
    play.ping_once().wait(0.1)
    play.passed(
        "mobile",
        """
         0 ms  esp 198.51.100.3 > 203.0.113.2  ping 2
        50 ms  esp 203.0.113.2 > 198.51.100.3  pong 2
        """,
    )


def test_claim_2_addresses_of_the_source_show_a_translation():
    play = registered()
    play.roam(nat(ports=Ports.PRESERVED)).wait(0.03)
    play.passed(
        "other",
        """
        25 ms  udp 192.0.2.1:4500 > 203.0.113.2:4500  RREQ #2
        25 ms  udp 203.0.113.2:4500 > 192.0.2.1:4500  RREP #2 code 0 USE 1 translations CHALLENGE
        """,
    )
    (change,) = told(play.other, RegistrationReceived)[-1].translations
    assert (change.field, change.nature) == (FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS)
    assert (change.sent, change.observed) == ("10.0.0.2", "192.0.2.1")


def test_claim_2_addresses_of_the_destination_show_a_translation():
    play = Play()
    forwarding = port_forwarding("203.0.113.2", "10.20.0.5", udp=[4500])
    play.network.core.release("203.0.113.2")
    behind = play.network.core.segment([play.taps["other"], forwarding], ["203.0.113.2"])
    play.other.attach(behind, Endpoint.of("10.20.0.5", 4500))
    play.move().wait(0.03)
    play.passed(
        "other",
        """
        25 ms  udp 198.51.100.2:4500 > 10.20.0.5:4500  RREQ #1
        25 ms  udp 10.20.0.5:4500 > 198.51.100.2:4500  RREP #1 code 0 USE 1 translations CHALLENGE
        """,
    )
    (change,) = told(play.other, RegistrationReceived)[-1].translations
    assert (change.field, change.nature) == (FieldCode.DESTINATION_ADDRESS, NatureCode.ADDRESS)
    assert (change.sent, change.observed) == ("203.0.113.2", "10.20.0.5")


@pytest.mark.parametrize(("kind", "header"), [(UDP, UdpHeader), (TCP, TcpHeader)], ids=str)
def test_claim_3_the_description_has_encapsulation_protocols_and_ports(kind, header):
    play = registered(allow=(kind,))
    play.roam(nat()).wait(0.3)
    at, name = (25, "udp") if kind is UDP else (75, "tcp")  # a handshake before it
    play.passed(
        "other",
        f"""
        {at} ms  {name} 192.0.2.1:40000 > Y  RREQ #2
        {at} ms  {name} Y > 192.0.2.1:40000  RREP #2 code 0 USE 2 translations CHALLENGE
        {at + 50} ms  {name} 192.0.2.1:40000 > Y  RREQ #2 CONFIRM
        """.replace("Y", "203.0.113.2:4500"),
    )
    event = told(play.other, RegistrationReceived)[-1]
    port = 4500 if kind is UDP else play.mobile.terminal.path.local.port
    assert [type(each) for each in event.sent] == [Ipv4Header, header, EspHeader]
    assert event.sent[1] == header(port, 4500)
    assert event.observed[1] == header(OUTSIDE.port, 4500)
    assert natures(event.translations) == ADDRESS_AND_PORT


@pytest.mark.parametrize(
    ("kind", "port", "flags", "handshakes", "headers"),
    [
        (TCP, 4500, 0, 50, [TcpHeader]),
        (TLS, 443, 0, 100, [TcpHeader, TlsHeader]),
        (HTTP, 4500, 0, 100, [TcpHeader, HttpHeader]),
        (HTTP, 443, ITEM_INSIDE_TLS, 150, [TcpHeader, TlsHeader, HttpHeader]),
        (HTTP_POST, 4500, 0, 50, [TcpHeader, HttpHeader]),
        (HTTP_POST, 443, ITEM_INSIDE_TLS, 100, [TcpHeader, TlsHeader, HttpHeader]),
    ],
    ids=["TCP", "TLS", "HTTP", "HTTPS", "POST", "POST in TLS"],
)
def test_claim_4_traversal_in_streams(kind, port, flags, handshakes, headers):
    """Of http-post the second connection brings the data of Y."""
    play = registered(items=(EncapsulationItem(kind.code, flags, port=port),))
    play.roam(nat()).wait(0.5)
    play.ping_once().wait(0.1)
    play.passed(
        "other",
        f"""
        {25 + handshakes} ms  tcp NAT > Y  RREQ #2
        {25 + handshakes} ms  tcp Y > NAT  RREP #2 code 0 USE 2 translations CHALLENGE
        {75 + handshakes} ms  tcp NAT > Y  RREQ #2 CONFIRM
        525 ms  tcp NAT > Y  ping 1
        525 ms  tcp Y > BACK  pong 1
        """.replace("BACK", "192.0.2.1:40001" if kind is HTTP_POST else "NAT")
        .replace("NAT", "192.0.2.1:40000")
        .replace("Y", f"203.0.113.2:{port}"),
    )
    assert play.encapsulation is kind
    sent = told(play.other, RegistrationReceived)[-1].sent
    assert [type(each) for each in sent] == [Ipv4Header, *headers, EspHeader]


def test_claim_4_traversal_in_udp():
    play = registered(allow=(UDP,))
    play.roam(nat()).wait(0.2)
    play.ping_once().wait(0.1)
    assert play.encapsulation is UDP
    play.passed(
        "other",
        """
         25 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2
         25 ms  udp 203.0.113.2:4500 > 192.0.2.1:40000  RREP #2 code 0 USE 2 translations CHALLENGE
         75 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2 CONFIRM
        225 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  ping 1
        225 ms  udp 203.0.113.2:4500 > 192.0.2.1:40000  pong 1
        """,
    )


NO_NAT = """
     25 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2
     25 ms  udp 203.0.113.2:4500 > 198.51.100.3:4500  RREP #2 code 0 USE CHALLENGE
     75 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 PROBE
     75 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 CHALLENGE
     75 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
    125 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 CONFIRM
    125 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 USE
    125 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 USE
"""


@pytest.mark.parametrize(
    ("place", "expected", "found", "needed"),
    [([nat], BEHIND_NAT, ADDRESS_AND_PORT, UDP), ([], NO_NAT, [], NATIVE)],
    ids=["NAT", "no NAT"],
)
def test_claim_5_y_tells_from_the_request_what_the_traffic_needs(place, expected, found, needed):
    play = registered(start=(UDP, NATIVE))
    play.roam(*(make() for make in place)).wait(0.3)
    play.passed("other", expected)
    received = told(play.other, RegistrationReceived)[-1]
    assert natures(received.translations) == found
    reply = play.messages("other", RegistrationReply)[-1]
    assert natures(reply.translations) == found
    assert reply.selected[0].code == needed.code
    assert play.encapsulation is needed


def test_claim_6_the_reply_tells_about_the_link_from_the_new_address():
    supported = (
        EncapsulationItem(EncapsulationCode.UDP, port=4500, keepalive=25),
        EncapsulationItem(EncapsulationCode.TCP, port=4500),
    )
    play = registered(allow=(UDP,), other={"supported": supported, "max_lifetime": 900})
    play.roam(nat()).wait(0.2)
    play.passed("other", BEHIND_NAT)
    (reply,) = play.messages("other", RegistrationReply)
    assert reply.observed == udp_description(OUTSIDE)
    assert reply.supported == supported
    assert reply.selected == supported[:1]
    assert reply.lifetime == 900
    assert told(play.mobile, Registered)[-1].selected == supported[:1]


def test_claim_7_the_reply_says_native():
    play = registered(start=(UDP, NATIVE))
    play.roam().wait(0.2)
    play.passed(
        "mobile",
        """
          0 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2
         50 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 PROBE
         50 ms  udp 203.0.113.2:4500 > 198.51.100.3:4500  RREP #2 code 0 USE CHALLENGE
         50 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
        100 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 CHALLENGE
        100 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 CONFIRM
        100 ms  esp 198.51.100.3 > 203.0.113.2  RREQ #2 USE
        150 ms  esp 203.0.113.2 > 198.51.100.3  RREP #2 code 0 USE
        """,
    )
    replies = play.messages("mobile", RegistrationReply)
    assert codes(replies[0].selected) == [EncapsulationCode.UDP]
    assert codes(replies[1].selected) == [EncapsulationCode.NATIVE]
    assert play.encapsulation is NATIVE


def test_claim_7_the_reply_says_nat_traversal():
    """Native passes this NAT, and is not used all the same."""
    play = registered(start=(UDP, NATIVE))
    play.roam(nat(native=True)).wait(0.3)
    play.passed(
        "other",
        """
         25 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2
         25 ms  udp 203.0.113.2:4500 > 192.0.2.1:40000  RREP #2 code 0 USE 2 translations CHALLENGE
         75 ms  esp 192.0.2.1 > 203.0.113.2  RREQ #2 PROBE
         75 ms  esp 203.0.113.2 > 192.0.2.1  RREP #2 code 0 1 translations CHALLENGE
         75 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2 CONFIRM
        125 ms  esp 192.0.2.1 > 203.0.113.2  RREQ #2 CONFIRM
        """,
    )
    assert codes(play.told(Registered)[-1].selected) == [EncapsulationCode.UDP]
    assert play.encapsulation is UDP


def test_claim_7_what_y_selects_depends_on_the_translations_it_found():
    """Asked again when both have passed: native is first without translation, last with one."""
    for elements, selected in (((), [NATIVE, UDP]), ((nat(native=True),), [UDP, NATIVE])):
        play = registered(start=(UDP, NATIVE), lifetime=20)
        play.roam(*elements).wait(15)
        refreshed = play.messages("other", RegistrationReply)[-1]
        assert codes(refreshed.selected) == [each.code for each in selected]
        assert play.encapsulation is selected[0]


def test_claim_7_the_reply_says_another_encapsulation():
    play = registered(allow=(UDP, TCP), start=(UDP, TCP))
    play.roam(Firewall(NO_UDP), nat()).wait(0.3)
    play.passed(
        "other",
        """
        125 ms  tcp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2
        125 ms  tcp 203.0.113.2:4500 > 192.0.2.1:40000  RREP #2 code 0 USE 2 translations CHALLENGE
        175 ms  tcp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    event = play.told(Registered)[-1]
    assert codes(event.selected) == [EncapsulationCode.TCP]
    assert play.encapsulation is TCP


def test_claim_8_x_decides_by_comparing_request_and_reply():
    """Y's choice is not told: X finds by itself what is needed at each place."""
    other = {"decider": Decider.FIXED}
    play = registered(decider=Decider.MOBILE, other=other)
    play.roam(nat()).wait(0.5)
    play.passed("other", BEHIND_NAT)
    event = play.told(Registered)[-1]
    assert event.selected == ()
    assert event.sent == udp_description(INSIDE)
    assert event.observed == udp_description(OUTSIDE)
    assert [(each.field, each.sent, each.observed) for each in event.reply_translations] == [
        (FieldCode.DESTINATION_ADDRESS, "192.0.2.1", "10.0.0.2"),
        (FieldCode.DESTINATION_PORT, "40000", "4500"),
    ]
    assert play.encapsulation is UDP
    play.roam().wait(0.5)
    assert not play.told(Registered)[-1].translations + play.told(Registered)[-1].reply_translations
    assert play.encapsulation is NATIVE


@pytest.mark.parametrize("blind", ["other.changes", "mobile.compare"])
def test_claim_8_the_comparison_of_one_end_is_enough(blind, monkeypatch):
    """Native passes the NAT, and one end finds no translation whatever comes."""
    monkeypatch.setattr(f"scapy_mobsec.terminal.{blind}", lambda *_: ())
    play = registered(decider=Decider.MOBILE, other={"decider": Decider.FIXED})
    assert play.encapsulation is NATIVE
    play.roam(nat(native=True)).wait(0.5)
    assert play.encapsulation is UDP
