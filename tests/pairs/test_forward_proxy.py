"""X behind a forward proxy: CONNECT before the stream, what both ends see of it, and refusals."""

import pytest
from play import HTTP, HTTP_POST, NATIVE, TCP, TLS, UDP, Play, natures, told

from contrib_layers.numbers import ITEM_INSIDE_TLS, FieldCode, NatureCode
from scapy_mobsec.drivers.memory import Block, Firewall, ForwardProxy
from scapy_mobsec.drivers.memory.tcp_stack import TcpStack
from scapy_mobsec.drivers.simulation import OTHER_TERMINAL
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    TcpHeader,
    TlsHeader,
)
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.events import (
    FailureReason,
    KeepaliveLost,
    ProxyRefused,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
    StreamLost,
)

PROXY = Endpoint.of("192.0.2.8", 8080)
ONLY_PROXY = Block("only the proxy", None, but_tcp_port=PROXY.port)
PORTS = {TCP: 4500, TLS: 443, HTTP: 80, HTTP_POST: 443}


class Behind(Play):
    """X with a forward proxy, and a firewall that drops `blocks` at the first place."""

    def __init__(self, *kinds, blocks=(ONLY_PROXY,), ports=(80, 443, 4500), refusal=403, **changes):
        flags = {HTTP_POST: ITEM_INSIDE_TLS}
        items = tuple(
            EncapsulationItem(each.code, flags.get(each, 0), PORTS.get(each, 0)) for each in kinds
        )
        super().__init__(Firewall(*blocks), items=items, proxy=PROXY, **changes)
        self.other.listen(80)
        if ports:
            ForwardProxy(self.network, self.network.core, PROXY, ports=ports, refusal=refusal)


def test_a_registration_in_a_tunnel_as_both_ends_see_it():
    play = Behind(TCP).move().wait(0.2).ping_once().wait(0.1)
    play.passed(
        "mobile",
        """
        100 ms  tcp 198.51.100.2:49152 > 192.0.2.8:8080  RREQ #1
        150 ms  tcp 192.0.2.8:8080 > 198.51.100.2:49152  RREP #1 code 0 USE 4 translations CHALLENGE
        150 ms  tcp 198.51.100.2:49152 > 192.0.2.8:8080  RREQ #1 CONFIRM
        200 ms  tcp 198.51.100.2:49152 > 192.0.2.8:8080  ping 1
        250 ms  tcp 192.0.2.8:8080 > 198.51.100.2:49152  pong 1
        """,
    )
    play.passed(
        "other",
        """
        125 ms  tcp 192.0.2.8:49152 > 203.0.113.2:4500  RREQ #1
        125 ms  tcp 203.0.113.2:4500 > 192.0.2.8:49152  RREP #1 code 0 USE 4 translations CHALLENGE
        175 ms  tcp 192.0.2.8:49152 > 203.0.113.2:4500  RREQ #1 CONFIRM
        225 ms  tcp 192.0.2.8:49152 > 203.0.113.2:4500  ping 1
        225 ms  tcp 203.0.113.2:4500 > 192.0.2.8:49152  pong 1
        """,
    )
    received, *_ = told(play.other, RegistrationReceived)
    assert received.sent == (
        Ipv4Header(play.place.address, PROXY.address),
        TcpHeader(49_152, 8080),
        HttpHeader("CONNECT", "203.0.113.2:4500", ""),
        EspHeader(0x1111),
    )
    assert received.observed == (
        Ipv4Header(PROXY.address, OTHER_TERMINAL.address),
        TcpHeader(49_152, 4500),
        EspHeader(0x1111),
    )
    (registered,) = play.told(Registered)
    assert natures(registered.translations) == [
        (FieldCode.SOURCE_ADDRESS, NatureCode.PROXIED),
        (FieldCode.DESTINATION_ADDRESS, NatureCode.PROXIED),
        (FieldCode.DESTINATION_PORT, NatureCode.PROXIED),
        (FieldCode.WHOLE_HEADER, NatureCode.PROXIED),
    ]
    added = registered.reply_translations[-1]
    assert (added.nature, added.observed) == (NatureCode.PROXIED, "200 HTTP/1.1")


@pytest.mark.parametrize("kind", [TCP, TLS, HTTP, HTTP_POST], ids=str)
def test_every_stream_goes_through_a_tunnel(kind):
    play = Behind(kind, round_trip=0.02).move()
    assert play.ping(2) == 20
    assert play.encapsulation is kind
    received, *_ = told(play.other, RegistrationReceived)
    assert received.sent[2] == HttpHeader("CONNECT", f"203.0.113.2:{PORTS[kind]}", "")
    inside = [header for header in received.sent[3:] if not isinstance(header, EspHeader)]
    assert list(received.observed[2:-1]) == inside
    assert any(isinstance(header, TlsHeader) for header in inside) is (PORTS[kind] == 443)
    play.wait(120)
    assert play.told(KeepaliveLost, StreamLost, RegistrationFailed, ProxyRefused) == []
    assert play.ping(1) == 10


def test_out_of_the_proxys_reach_into_an_open_network_and_back():
    play = Behind(NATIVE, UDP, TLS, start=(UDP, TLS)).move().wait(1)
    assert play.encapsulation is TLS
    assert play.ping(1) == 10
    play.roam().wait(1)
    assert play.encapsulation is NATIVE
    assert play.ping(1) == 10
    play.move().wait(1)
    assert play.encapsulation is TLS
    assert play.ping(1) == 10


def test_a_port_is_refused_and_the_tunnel_to_another_one_goes_on():
    play = Behind(TCP, TLS, ports=(443,), start=(TCP, TLS)).move().wait(1)
    (refused,) = play.told(ProxyRefused)
    assert (refused.path.encapsulation, refused.path.remote) == (TCP, PROXY)
    assert refused.reason == "refused by an HTTP server or proxy: 403"
    assert play.told(RegistrationFailed) == []
    assert play.encapsulation is TLS
    assert play.ping(1) == 10


def test_a_proxy_that_wants_credentials_and_udp_takes_its_place_at_once():
    play = Behind(UDP, TLS, ports=(1,), refusal=407, blocks=(), start=(TLS,)).move().wait(0.2)
    play.passed(
        "mobile",
        """
        100 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #2
        150 ms  udp 203.0.113.2:4500 > 198.51.100.2:4500  RREP #2 code 0 USE CHALLENGE
        150 ms  udp 198.51.100.2:4500 > 203.0.113.2:4500  RREQ #2 CONFIRM
        """,
    )
    assert [each.reason for each in play.told(RegistrationFailed)] == [FailureReason.PROXY]
    assert play.told(ProxyRefused)[0].reason.endswith("407")


def test_a_proxy_that_refuses_all_there_is_gets_asked_again_after_a_pause():
    play = Behind(TLS, ports=(1,)).move().wait(31)
    assert len(play.told(ProxyRefused)) == 1
    assert play.mobile.terminal.state is MobileState.REFUSED
    play.network.core.detach(PROXY.address)
    ForwardProxy(play.network, play.network.core, PROXY)  # it has changed its mind
    play.wait(2)
    assert play.encapsulation is TLS


class Silent:
    """Takes connections, and never says a word on them."""

    def established(self, stream):
        pass

    def received(self, data):
        pass

    def closed(self, reason):
        pass


def test_a_proxy_that_does_not_answer_and_udp_takes_its_place():
    play = Behind(UDP, TLS, ports=(), blocks=(), start=(TLS,))
    stack = TcpStack(play.network, play.network.core.send, lambda local, remote: Silent())
    play.network.core.attach(PROXY.address, stack.receive)
    play.move().wait(33)
    assert [each.reason for each in play.told(RegistrationFailed)] == [FailureReason.NO_REPLY]
    assert play.encapsulation is UDP
    assert play.ping(1) == 10
