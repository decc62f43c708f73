"""Forward and reverse proxies and interceptors: what each end sees, and when."""

from hashlib import sha256

import pytest
from http_samples import OK, POST, UPGRADE, heads
from puppet import Puppet
from wires import CLIENT, EXTERNAL, SERVER, Streams, in_tls

from scapy_mobsec.drivers.memory import (
    Delay,
    ForwardProxy,
    Host,
    Interceptor,
    Loss,
    MemoryNetwork,
    MobileHost,
    ReverseProxy,
    Rewriting,
    Upgrade,
)
from scapy_mobsec.drivers.memory.tls import TlsClient
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import HttpHeader, Ipv4Header, TcpHeader, TlsHeader
from scapy_mobsec.terminal.driving import Closed, Established, Open, Refused, Transmit

PROXY = Endpoint.of("198.51.100.80", 8080)
CERTIFICATE, OTHER_CERTIFICATE = b"the server's", b"the interceptor's"


def reverse(**options):
    layer = in_tls(CERTIFICATE) if options.get("backend_tls") else (lambda user, network: user)
    play = Streams(Delay(0.01), ports=(80,), layer=layer)
    backend = options.pop("backend", Endpoint(SERVER.address, 80))
    ReverseProxy(play.network, play.network.core, PROXY, backend, **options)
    return play


def dial(play, user):
    return play.client.connect(Endpoint(CLIENT.address), PROXY, user)


def test_a_reverse_proxy_rewrites_and_relays():
    play = reverse(rewriting=Rewriting(host="inner", via="p", forwarded_for=True))
    user = play.user()
    dial(play, user).write(POST + b"abcd")
    play.network.run_for(1)
    (accepted,) = play.accepted
    assert heads(accepted.data)["x-forwarded-for"] == "10.0.0.2"
    assert accepted.stream.remote.address == PROXY.address
    accepted.stream.write(OK + b"efg")
    play.network.run_for(1)
    assert user.data.endswith(b"efg")
    user.stream.close()
    play.network.run_for(1)
    assert accepted.story[-1][1] == "closed by the peer"


@pytest.mark.parametrize("backend_tls", [False, True])
def test_a_reverse_proxy_ends_tls(backend_tls):
    play = reverse(certificate=OTHER_CERTIFICATE, backend_tls=backend_tls)
    user = play.user()
    stream = TlsClient(user, play.network)
    dial(play, stream)
    stream.write(b"inside")
    play.network.run_for(1)
    assert stream.certificate == OTHER_CERTIFICATE
    assert play.accepted[0].data == b"inside"


@pytest.mark.parametrize("http", [True, False])
def test_a_reverse_proxy_without_its_server(http):
    rewriting = Rewriting() if http else None
    play = reverse(backend=Endpoint(SERVER.address, 81), rewriting=rewriting)
    user = play.user()
    dial(play, user).write(POST)
    play.network.run_for(1)
    assert user.data[:12] == (b"HTTP/1.1 502" if http else b"")
    assert user.story[-1][1] == ("closed by the peer" if http else "reset")


def test_a_reverse_proxy_that_refuses_upgrade():
    play = reverse(rewriting=Rewriting(upgrade=Upgrade.REFUSE))
    user = play.user()
    dial(play, user).write(UPGRADE)
    play.network.run_for(1)
    assert (user.data[:12], user.story[-1][1]) == (b"HTTP/1.1 501", "closed by the peer")
    assert play.accepted[0].story[-1][1] == "closed by the peer"


@pytest.mark.parametrize("address", ["", EXTERNAL])
def test_an_intercepting_proxy(address):
    proxy = Interceptor((80,), rewriting=Rewriting(via="p"), address=address)
    play = Streams(Delay(0.01), proxy, Delay(0.02), ports=(80, 443))
    user, direct = play.user(), play.user()
    play.connect(user, port=80).write(POST + b"abcd")
    play.connect(direct, port=443).write(b"not for the proxy")
    play.network.run_for(1)
    accepted = {one.stream.local.port: one for one in play.accepted}
    assert accepted[443].data == b"not for the proxy"
    assert heads(accepted[80].data)["via"] == "1.1 p"
    source = Endpoint.of(EXTERNAL).address if address else CLIENT.address
    assert accepted[80].stream.remote.address == source
    assert user.story[0] == (20.0, "established")  # by the proxy, before the server
    accepted[80].stream.write(OK + b"efg")
    play.network.run_for(1)
    assert user.data.endswith(b"efg")


@pytest.mark.parametrize("rewriting", [None, Rewriting(via="p")])
def test_a_tls_interceptor_shows_its_own_certificate(rewriting):
    interceptor = Interceptor((443,), certificate=OTHER_CERTIFICATE, rewriting=rewriting)
    play = Streams(Delay(0.01), Loss(0.2), interceptor, Delay(0.02), layer=in_tls(CERTIFICATE))
    user = play.user()
    stream = TlsClient(user, play.network, "y.example")
    play.connect(stream)
    stream.write(POST + b"abcd")
    play.network.run_for(20)
    (accepted,) = play.accepted
    assert stream.certificate == OTHER_CERTIFICATE
    assert accepted.stream.server_name == "y.example"
    assert (b"1.1 p" in accepted.data) is bool(rewriting)
    accepted.stream.write(OK + b"efg")
    play.network.run_for(20)
    assert user.data.endswith(b"efg")
    accepted.stream.abort()
    play.network.run_for(20)
    assert user.story[-1][1] == "reset"


def test_a_tls_interceptor_breaks_what_is_not_tls():
    play = Streams(Interceptor((443,), certificate=OTHER_CERTIFICATE))
    user = play.user()
    play.connect(user).write(b"IKETCP")
    play.network.run_for(1)
    assert (user.story[-1][1], play.accepted) == ("reset", [])


def test_labels():
    assert Interceptor((443,), certificate=b"x").label() == "TLS interceptor"
    label = Interceptor((80,), rewriting=Rewriting(via="p")).label()
    assert label == "intercepting proxy (Via p)"


class Tunnelled:
    """X goes through a forward proxy to Y."""

    def __init__(self):
        self.network = MemoryNetwork()
        segment = self.network.core.segment([Delay(0.02)], ["10.0.0.2"])
        ForwardProxy(self.network, self.network.core, PROXY)
        self.mobile, self.other = (
            MobileHost(self.network, Puppet()),
            Host(self.network, Puppet()),
        )
        self.mobile.attach(segment, CLIENT)
        access = self.network.core.segment([Delay(0.005)], ["203.0.113.2"])
        self.other.attach(access, SERVER)
        self.other.listen(443, CERTIFICATE)

    def do(self, host, *outputs):
        host.terminal.outputs += outputs
        host.pump()
        self.network.run_for(1)

    def open(self, port=443):
        path = Path(Encapsulation.TLS, Endpoint(CLIENT.address), PROXY)
        self.do(self.mobile, Open(path, str(Endpoint(SERVER.address, port)), tls=True))
        return self.mobile.terminal.came[-1]


def test_through_a_forward_proxy():
    play = Tunnelled()
    start = play.network.now
    opened, path, at = play.open()
    tls = TlsHeader(sha256(CERTIFICATE).digest(), "")
    assert opened == Established(
        Path(Encapsulation.TLS, Endpoint(CLIENT.address), PROXY),
        (
            Ipv4Header(CLIENT.address, PROXY.address),
            TcpHeader(path.local.port, 8080),
            HttpHeader("CONNECT", "203.0.113.2:443", ""),
            tls,
        ),
        HttpHeader("", "", "200"),
    )
    assert path.remote == PROXY
    # to the proxy 40 ms, its own connection 40 + 10 ms, TLS 50 ms
    assert round((at - start) * 1000) == 140
    accepted, theirs, _ = play.other.terminal.came[-1]
    assert accepted.headers == (
        Ipv4Header(PROXY.address, SERVER.address),
        TcpHeader(theirs.remote.port, 443),
        tls,
    )
    play.do(play.mobile, Transmit(b"there", path))
    play.do(play.other, Transmit(b"back", theirs))
    assert play.other.terminal.came[-1][0] == b"there"
    assert play.mobile.terminal.came[-1][0] == b"back"


def test_a_forward_proxy_refuses():
    refused, *_ = Tunnelled().open(port=80)
    assert refused == Refused("refused by an HTTP server or proxy: 403")


def test_a_forward_proxy_that_is_not_there_refuses_nothing():
    play = Tunnelled()
    path = Path(Encapsulation.TLS, Endpoint(CLIENT.address), PROXY._replace(port=8081))
    play.do(play.mobile, Open(path, "203.0.113.2:443"))
    assert play.mobile.terminal.came[-1][0] == Closed("refused")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET http://y/ HTTP/1.1\r\nHost: y\r\n\r\n", b"405"),
        (b"CONNECT y.example:443 HTTP/1.1\r\nHost: y\r\n\r\n", b"502"),
        (b"CONNECT 203.0.113.2:444 HTTP/1.1\r\nHost: y\r\n\r\n", b"502"),
        (b"\x16\x03\x03", b"400"),
    ],
)
def test_what_a_forward_proxy_answers(request_, status):
    play = Streams(Delay(0.01))
    ForwardProxy(play.network, play.network.core, PROXY, ports=(443, 444))
    user = play.user()
    dial(play, user).write(request_)
    play.network.run_for(1)
    assert user.data.startswith(b"HTTP/1.1 " + status)
    assert user.story[-1][1] == "closed by the peer"


def test_octets_right_behind_the_request_are_kept():
    play = Streams(Delay(0.01))
    ForwardProxy(play.network, play.network.core, PROXY)
    user = play.user()
    dial(play, user).write(b"CONNECT 203.0.113.2:443 HTTP/1.1\r\nHost: y\r\n\r\nearly")
    play.network.run_for(1)
    assert play.accepted[0].data == b"early"
