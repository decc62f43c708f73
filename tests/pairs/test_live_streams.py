"""Both terminals on real streams: every encapsulation, TLS, a proxy, moves, a stalled peer."""

import os

import pytest
from certificates import Certificate
from connect_proxy import ConnectProxy
from live import live_host
from play import HTTP, HTTP_POST, TCP, TLS, natures
from terminals import HOME, INNER_HOST, MOBILE_LINK, OTHER_LINK

from contrib_layers.numbers import ITEM_INSIDE_TLS, FieldCode, NatureCode
from scapy_mobsec.drivers.live.host import LiveHost, MobileHost
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.tls import ServerTls
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.icmp import echo_reply, echo_request
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem, TcpHeader, TlsHeader
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.events import (
    CertificateRefused,
    ProxyRefused,
    Registered,
    RegistrationReceived,
)
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

PING = echo_request(HOME, INNER_HOST, 1)
NAME = "y.example"
PLACES = Endpoint.of("127.0.0.2"), Endpoint.of("127.0.0.3")
KINDS = [
    pytest.param(TCP, False, id="tcp"),
    pytest.param(TLS, True, id="tls"),
    pytest.param(HTTP, False, id="http"),
    pytest.param(HTTP, True, id="http-in-tls"),
    pytest.param(HTTP_POST, False, id="http-post"),
    pytest.param(HTTP_POST, True, id="http-post-in-tls"),
]


class Both:
    """X, and Y that listens for TCP and for TLS."""

    def __init__(self, certificate):
        self.loop, self.certificate = Loop(), certificate
        self.hosts, self.proxies = [], []

    def up(self, kind, tls=False, **changes):
        """X may use one encapsulation. `changes`: more of its configuration."""
        other = OtherTerminal(
            OtherConfiguration((OTHER_LINK,), (EncapsulationItem(kind.code),), names=(NAME,)),
            random_bytes=os.urandom,
        )
        self.other = live_host(LiveHost, other, self.loop)
        context = ServerTls(self.certificate.certificate, self.certificate.key) if tls else None
        self.listens = self.other.streams.listen(Endpoint.of("127.0.0.1"), context)
        self.other.inner.on_packet = self._answer
        flags = ITEM_INSIDE_TLS if tls and kind is not TLS else 0
        item = EncapsulationItem(kind.code, flags, self.listens.port, host=NAME)
        configuration = MobileConfiguration(
            MOBILE_LINK, self.listens, **{"allow": (item,), **changes}
        )
        mobile = MobileTerminal(configuration, random_bytes=os.urandom)
        self.mobile = live_host(MobileHost, mobile, self.loop)
        self.hosts = [self.mobile, self.other]
        return self

    def proxy(self, **options):
        names = {NAME: "127.0.0.1"}
        self.proxies.append(ConnectProxy(self.loop, names=names, **options))
        return self.proxies[-1]

    def move(self, place=PLACES[0]):
        """X moves and registers; return the event that says so."""
        count = len(self.told(Registered))
        self.mobile.move([place])
        self.wait(lambda: len(self.told(Registered)) > count)
        return self.told(Registered)[-1]

    def ping(self):
        count = len(self.mobile.inner)
        self.mobile.send(PING)
        self.wait(lambda: len(self.mobile.inner) > count)

    def told(self, kind, host=None):
        return [event for _, event in (host or self.mobile).log if isinstance(event, kind)]

    def wait(self, condition):
        assert self.loop.run(condition, seconds=5), self.mobile.log

    def close(self):
        for each in (*self.hosts, *self.proxies):
            each.close()
        self.loop.close()

    def _answer(self, packet):
        if answer := echo_reply(packet):
            self.other.send(answer)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("live"))


@pytest.fixture
def both(certificate):
    both = Both(certificate)
    yield both
    both.close()


@pytest.mark.parametrize(("kind", "tls"), KINDS)
def test_registration_data_and_a_move(both, kind, tls):
    both.up(kind, tls)
    for place in PLACES:
        registered = both.move(place)
        assert registered.translations == ()
        assert registered.path.encapsulation is kind
        assert registered.path.local.address == place.address
        both.ping()
    received = both.told(RegistrationReceived, both.other)[-1]
    assert received.sent == received.observed
    seen = {type(header): header for header in received.observed}
    assert seen[TcpHeader].source_port == both.mobile.terminal.path.local.port
    if tls:
        assert seen[TlsHeader] == TlsHeader(both.certificate.sha256, NAME)
    assert both.mobile.terminal.drops.total() == both.other.terminal.drops.total() == 0


@pytest.mark.parametrize(("kind", "tls"), KINDS)
@pytest.mark.parametrize("piece", [65_536, 5])
def test_through_a_forward_proxy_that_cuts(both, kind, tls, piece):
    proxy = both.proxy(piece=piece)
    both.up(kind, tls, proxy=proxy.endpoint)
    registered = both.move()
    both.ping()
    assert set(proxy.asked) == {f"{NAME}:{both.listens.port}"}
    assert set(natures(registered.translations)) == {
        (FieldCode.SOURCE_ADDRESS, NatureCode.PROXIED),
        (FieldCode.DESTINATION_ADDRESS, NatureCode.PROXIED),
        (FieldCode.SOURCE_PORT, NatureCode.PROXIED),
        (FieldCode.DESTINATION_PORT, NatureCode.PROXIED),
        (FieldCode.WHOLE_HEADER, NatureCode.PROXIED),  # CONNECT itself
    }


def test_a_forward_proxy_that_refuses(both):
    proxy = both.proxy(refusal=407)
    both.up(TCP, proxy=proxy.endpoint)
    both.mobile.move([PLACES[0]])
    both.wait(lambda: both.told(ProxyRefused))
    assert both.told(ProxyRefused)[0].reason == "refused by an HTTP server or proxy: 407"


def test_the_certificate_that_is_demanded(both, tmp_path):
    both.up(TLS, tls=True, tls_verify=both.certificate.sha256)
    both.move()
    both.ping()
    replaced = Certificate(tmp_path, "interceptor.example")
    both.other.streams.close()
    context = ServerTls(replaced.certificate, replaced.key)
    both.other.streams.listen(both.listens, context)
    both.wait(lambda: both.told(CertificateRefused))
    assert both.told(CertificateRefused)[0].sha256 == replaced.sha256


def test_data_for_a_peer_that_reads_nothing_is_dropped_before_it_is_sealed(both):
    both.up(TCP)
    both.move()
    both.ping()
    packet = build_ip(INNER_HOST, HOME, 17, bytes(1300))
    (connection,) = both.mobile.streams.connections
    both.loop.unwatch(connection._socket)
    for _ in range(20_000):
        both.other.send(packet)
        if both.other.terminal.drops:
            break
        both.loop.run(seconds=0.0)
        both.other.pump()
    assert set(both.other.terminal.drops) == {DropReason.CONGESTED}
    connection._watch()
    both.wait(lambda: not any(each.congested for each in both.other.terminal._streams.values()))
    both.ping()
    assert both.mobile.terminal.drops.total() == 0
