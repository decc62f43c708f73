"""What the method does besides its claims, as packet charts (docs/claims.md).

The network is that of test_claims.
"""

from hashlib import sha256
from ipaddress import ip_address

import pytest
from play import (
    ELSEWHERE,
    HTTP,
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
from scapy.layers import inet
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ
from terminals import HOME, TO_MOBILE, TO_OTHER

from contrib_layers.numbers import ITEM_INSIDE_TLS, EncapsulationCode, FieldCode, NatureCode
from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    Element,
    Firewall,
    Interceptor,
    Nat64,
    Ports,
    Rewriting,
)
from scapy_mobsec.drivers.simulation import OTHER_TERMINAL, SIGNALLING
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.packet.ip import ESP, parse_ip
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    TcpHeader,
    TlsHeader,
)
from scapy_mobsec.registration.messages import RegistrationReply
from scapy_mobsec.terminal.events import (
    FallBackReason,
    FellBack,
    Moved,
    Registered,
    RegistrationReceived,
    TraversalDropped,
)


def opened(play, tap):
    """What ESP carried in each datagram that passed a tap."""
    sas = {sa.spi.to_bytes(4, "big"): InboundSa(sa, window=0) for sa in (TO_OTHER, TO_MOBILE)}
    packets = [packet.payload for _, packet in play.taps[tap].packets]
    return [sas[octets[:4]].open(octets).payload for octets in packets]


def test_requests_and_replies_are_messages_of_mobile_ip():
    play = registered()
    play.roam(nat()).wait(0.06)
    request, reply = (inet.IP(octets) for octets in opened(play, "other"))
    for packet, source, destination in ((request, HOME, SIGNALLING), (reply, SIGNALLING, HOME)):
        assert (packet.src, packet.dst) == (str(ip_address(source)), str(ip_address(destination)))
        assert (packet[inet.UDP].sport, packet[inet.UDP].dport) == (434, 434)
    assert (request[MobileIP].type, reply[MobileIP].type) == (1, 3)
    assert (request[MobileIPRRQ].homeaddr, request[MobileIPRRQ].coaddr) == ("10.10.1.1", "10.0.0.2")
    assert reply[MobileIPRRP].id == request[MobileIPRRQ].id


def test_the_request_goes_in_the_most_general_encapsulation():
    """In UDP, although native would pass here and did at the place before."""
    play = registered(allow=(NATIVE, UDP, TCP))
    assert play.encapsulation is NATIVE
    play.roam().wait(0.04)
    play.passed("mobile", "0 ms  udp 198.51.100.3:4500 > 203.0.113.2:4500  RREQ #2")


def test_mobile_means_another_way_of_access():
    """X keeps its address, and a NAT appears on its way."""
    play = registered(allow=(UDP,))
    play.move(play.place_behind(nat()), play.place).wait(0.2)
    assert [each.new.local for each in play.told(Moved)] == [play.place] * 2
    play.passed(
        "other",
        """
        25 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2
        25 ms  udp 203.0.113.2:4500 > 192.0.2.1:40000  RREP #2 code 0 USE 2 translations CHALLENGE
        75 ms  udp 192.0.2.1:40000 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )


TLS_SEEN = TlsHeader(sha256(b"certificate").digest(), "")
HTTP_ITEM = EncapsulationItem(HTTP.code, port=4500)
HTTPS_ITEM = EncapsulationItem(HTTP.code, ITEM_INSIDE_TLS, port=443)
TARGET = "/.well-known/masque/udp/203.0.113.2/4500/"


@pytest.mark.parametrize(
    ("item", "special"),
    [
        (EncapsulationItem(TCP.code, port=4500), []),
        (EncapsulationItem(TLS.code, port=443), [TLS_SEEN]),
        (HTTP_ITEM, [HttpHeader("GET", "203.0.113.2:4500", TARGET)]),
        (HTTPS_ITEM, [TLS_SEEN, HttpHeader("GET", "203.0.113.2", TARGET)]),
    ],
    ids=["TCP", "TLS", "HTTP", "HTTPS"],
)
def test_the_description_depends_on_the_encapsulation(item, special):
    play = Play(items=(item,)).move().wait(0.5)
    event = play.told(Registered)[-1]
    local = play.mobile.terminal.path.local
    ip = Ipv4Header(local.address, OTHER_TERMINAL.address)
    expected = (ip, TcpHeader(local.port, item.port), *special, EspHeader(TO_OTHER.spi))
    assert event.sent == event.observed == expected


@pytest.mark.parametrize("kind", [UDP, TCP])
def test_the_reply_comes_the_same_way_and_describes_itself(kind):
    play = registered(allow=(kind,))
    play.roam(nat()).wait(0.3)
    event = play.told(Registered)[-1]
    assert [(each.field, each.sent) for each in event.reply_translations] == [
        (FieldCode.DESTINATION_ADDRESS, "192.0.2.1"),
        (FieldCode.DESTINATION_PORT, "40000"),
    ]
    if kind is UDP:
        (reply,) = play.messages("mobile", RegistrationReply)
        assert reply.sent == udp_description(OTHER_TERMINAL, OUTSIDE, TO_MOBILE.spi)
    mobile = INSIDE if kind is UDP else play.mobile.terminal.path.local
    at = 50 if kind is UDP else 100
    play.passed(
        "mobile",
        f"""
        {at - 50} ms  {kind.value} {mobile} > Y  RREQ #2
        {at} ms  {kind.value} Y > {mobile}  RREP #2 code 0 USE 2 translations CHALLENGE
        {at} ms  {kind.value} {mobile} > Y  RREQ #2 CONFIRM
        """.replace("Y", "203.0.113.2:4500"),
    )


S, P, WHOLE = FieldCode.SOURCE_ADDRESS, FieldCode.SOURCE_PORT, FieldCode.WHOLE_HEADER
BOTH = NatureCode.ADDRESS_AND_PORT


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"ports": Ports.PRESERVED}, [(S, NatureCode.ADDRESS)]),
        ({}, [(S, BOTH), (P, BOTH)]),
        (None, [(WHOLE, NatureCode.PROTOCOL), (P, NatureCode.PORT)]),
    ],
    ids=["address", "address and port", "IPv6 to IPv4"],
)
def test_y_tells_the_nature_of_the_translation(options, found):
    prefix = ip_address("64:ff9b::").packed[:12]
    play = registered(allow=(UDP,), nat64_prefix=prefix)
    if options is not None:
        play.roam(nat(**options)).wait(0.2)
    else:
        inside = play.place_behind(Nat64("192.0.2.64"), outside="192.0.2.64")
        play.move(inside, Endpoint.of("2001:db8::2", 4500)).wait(0.2)
    assert natures(told(play.other, RegistrationReceived)[-1].translations) == found
    assert natures(play.told(Registered)[-1].translations) == found


def test_y_tells_of_an_http_proxy():
    proxy = Interceptor([4500], rewriting=Rewriting(via="proxy"), address="192.0.2.8")
    play = registered(items=(HTTP_ITEM,))
    play.move(play.place_behind(proxy, outside="192.0.2.8"), ELSEWHERE).wait(0.5)
    play.passed(
        "other",
        """
        125 ms  tcp 192.0.2.8:49152 > 203.0.113.2:4500  RREQ #2
        125 ms  tcp 203.0.113.2:4500 > 192.0.2.8:49152  RREP #2 code 0 USE 3 translations CHALLENGE
        175 ms  tcp 192.0.2.8:49152 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    assert {nature for _, nature in natures(play.told(Registered)[-1].translations)} == {
        NatureCode.PROXIED
    }


def test_y_tells_of_an_interceptor_of_tls():
    interceptor = Interceptor([443], certificate=b"other")
    play = registered(items=(EncapsulationItem(TLS.code, port=443),))
    play.move(play.place_behind(interceptor, outside="198.51.100.3"), ELSEWHERE).wait(0.5)
    found = natures(play.told(Registered)[-1].translations)
    assert (FieldCode.TLS_CERTIFICATE, NatureCode.INTERCEPTED) in found


def test_both_views_the_same_and_traversal_is_dropped():
    play = registered()
    (event,) = play.told(Registered)
    assert event.sent == event.observed
    assert event.translations == event.reply_translations == ()
    assert len(play.told(TraversalDropped)) == 1
    assert play.encapsulation is NATIVE


def test_both_views_the_same_and_x_keeps_traversal():
    play = Play(forced=True).move().wait(0.2)
    play.ping_once().wait(0.1)
    play.passed(
        "mobile",
        """
          0 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1 FORCED
         50 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  RREP #1 code 0 USE CHALLENGE
         50 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1 CONFIRM
        200 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  ping 1
        250 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  pong 1
        """,
    )
    (event,) = play.told(Registered)
    assert event.sent == event.observed
    assert codes(event.selected) == [EncapsulationCode.UDP]


def test_both_views_the_same_and_y_keeps_traversal():
    """Y says so at once, and X does not even look whether native would pass."""
    play = Play(other={"forced": True}).move().wait(0.2)
    play.ping_once().wait(0.1)
    play.passed(
        "mobile",
        """
          0 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1
         50 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  RREP #1 code 0 FORCED USE CHALLENGE
         50 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1 CONFIRM
        200 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  ping 1
        250 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  pong 1
        """,
    )
    (reply,) = play.messages("mobile", RegistrationReply)
    assert codes(reply.selected) == [EncapsulationCode.UDP]


def test_a_filter_is_not_seen_and_data_stays_where_it_passes():
    """Data goes in UDP while native is probed, and stays there as no probe is answered."""
    play = Play(Firewall(NO_NATIVE)).move().wait(0.1)
    play.ping_once().wait(0.1)
    play.passed(
        "mobile",
        """
          0 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1
         50 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  RREP #1 code 0 USE CHALLENGE
         50 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1 CONFIRM
         50 ms  esp 198.51.100.2 > 203.0.113.2  RREQ #1 PROBE
        100 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  ping 1
        150 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  pong 1
        """,
    )
    (event,) = play.told(Registered)
    assert event.translations == event.reply_translations == ()
    assert play.ping(10) == 100
    assert play.encapsulation is UDP


def test_a_filter_that_comes_later_is_noticed_and_x_goes_back():
    play = registered()
    assert play.ping(1) == 10
    play.firewall.blocks = (NO_NATIVE,)
    play.begin()
    play.ping_once().wait(3)
    (event,) = play.told(FellBack)
    assert (event.old.encapsulation, event.new.encapsulation) == (NATIVE, UDP)
    assert event.reason is FallBackReason.NO_ANSWER
    play.passed(
        "mobile",
        """
           0 ms  esp 198.51.100.2 > 203.0.113.2  ping 11
        1000 ms  esp 198.51.100.2 > 203.0.113.2  RREQ #1 PROBE
        1500 ms  esp 198.51.100.2 > 203.0.113.2  RREQ #1 PROBE
        2500 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #1 USE
        2550 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  RREP #1 code 0 USE
        """,
    )
    assert play.ping(1) == 10


class ShortNative(Element):
    """Loses native packets that are shorter than registration messages: data, in these tests."""

    def forward(self, packet, direction, time_ns):
        return [] if packet.protocol == ESP and len(packet.payload) < 120 else [(0, packet)]


def test_the_probe_passes_but_data_does_not_and_x_goes_back():
    play = Play(ShortNative()).move()
    play.ping(5)
    assert len(play.told(TraversalDropped)) == 1  # probe and USE passed
    (event,) = play.told(FellBack)
    assert event.reason is FallBackReason.DATA_LOST
    assert (event.old.encapsulation, event.new.encapsulation) == (NATIVE, UDP)
    assert play.ping(1) == 10
    assert play.encapsulation is UDP


def test_traversal_changes_with_each_registration_and_the_sa_stays():
    play = Play()
    used = []
    for elements in ((), (nat(),), (), (nat(),)):
        play.roam(*elements).wait(0.3)
        play.ping_once().wait(0.1)
        used.append(play.encapsulation)
    assert used == [NATIVE, UDP, NATIVE, UDP]
    assert len(play.mobile.inner) == 4
    assert {event.sent[-1] for event in play.told(Registered)} == {EspHeader(TO_OTHER.spi)}


def test_detection_needs_no_key_exchange():
    """Both ends have their keys from before; nothing but ESP is sent, and the NAT is found."""
    play = Play(nat()).move().wait(0.2)
    assert natures(play.told(Registered)[-1].translations) == [(S, BOTH), (P, BOTH)]
    assert len(opened(play, "other")) == 3


def test_signalling_through_the_second_nat_and_back():
    """IP, UDP, ESP, inner IP, RREQ: out through the NAT of the new place, and the RREP back."""
    play = Play(nat()).move().wait(1)
    second = play.place_behind(nat(external="192.0.2.129"), outside="192.0.2.129")
    play.move(second, Endpoint.of("192.168.1.2", 4500)).wait(0.2)
    play.passed(
        "mobile",
        """
         0 ms  udp 192.168.1.2:4500 > 203.0.113.2:4500  RREQ #2
        50 ms  udp 203.0.113.2:4500 > 192.168.1.2:4500  RREP #2 code 0 USE 2 translations CHALLENGE
        50 ms  udp 192.168.1.2:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    play.passed(
        "other",
        """
        25 ms  udp 192.0.2.129:40000 > Y  RREQ #2
        25 ms  udp Y > 192.0.2.129:40000  RREP #2 code 0 USE 2 translations CHALLENGE
        75 ms  udp 192.0.2.129:40000 > Y  RREQ #2 CONFIRM
        """.replace("Y", "203.0.113.2:4500"),
    )
    inner = parse_ip(opened(play, "other")[0])
    assert (inner.source, inner.destination, inner.protocol) == (HOME, SIGNALLING, 17)
    assert inner.payload[:4] == bytes((1, 178, 1, 178))  # from port 434 to port 434
    assert inner.payload[8] == 1  # RREQ
