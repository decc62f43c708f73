"""Scenarios with firewalls and proxies: some encapsulations do not pass, others are rewritten."""

from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    NO_NATIVE_IN,
    NO_UDP,
    ONLY_TCP_443,
    Block,
    Firewall,
    ForwardProxy,
    Interceptor,
    Rewriting,
    Upgrade,
)
from scapy_mobsec.drivers.memory.certificate import certificate_of
from scapy_mobsec.drivers.scenarios.actions import block, go
from scapy_mobsec.drivers.scenarios.building import (
    HTTP,
    HTTP_POST,
    NATIVE,
    PORTS,
    TCP,
    TLS,
    UDP,
    behind_nat,
    on,
    through,
)
from scapy_mobsec.drivers.scenarios.scenario import Pings, Scenario
from scapy_mobsec.drivers.simulation import BEHIND_NAT, UNTRANSLATED, Place, Topology
from scapy_mobsec.packet.path import Endpoint

PROXY = "192.0.2.80"
FORWARD_PROXY = Endpoint.of(PROXY, 8080)
ONLY_PROXY = Block("only the proxy", None, but_tcp_port=FORWARD_PROXY.port)
REWRITING = Rewriting(via="cache", forwarded_for=True)
NO_UPGRADE = Rewriting(via="cache", upgrade=Upgrade.REFUSE)
ALL = NATIVE, UDP, TCP, TLS


def _proxied(rewriting: Rewriting) -> Place:
    proxy = Interceptor((80,), rewriting=rewriting, address=PROXY)
    return Place(UNTRANSLATED, (proxy,), ("198.51.100.2", PROXY))


def _intercepted() -> Place:
    interceptor = Interceptor((443,), certificate=certificate_of("somebody else"))
    return through(Firewall(ONLY_TCP_443), interceptor)


def _behind_forward_proxy(seed: int) -> Topology:
    build = on(
        lambda random: [through(Firewall(ONLY_PROXY))],
        allow=(UDP, TCP, HTTP),
        start=(TCP, HTTP),
        proxy=FORWARD_PROXY,
    )
    topology = build(seed)
    ForwardProxy(topology.network, topology.network.core, FORWARD_PROXY, ports=(PORTS[HTTP],))
    return topology


SCENARIOS = (
    Scenario(
        "firewall",
        "A firewall drops native ESP, which no comparison shows: the probe fails, and UDP stays.",
        on(lambda random: [through(Firewall(NO_NATIVE))]),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "oneway",
        "Native ESP passes to Y, but not back: without an answer to the probe UDP stays.",
        on(lambda random: [through(Firewall(NO_NATIVE_IN))]),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "fallback",
        "After the switch to native ESP a filter appears: X misses data and goes back to UDP.",
        on(lambda random: [through(Firewall())]),
        ((0.0, go(UNTRANSLATED)), (2.0, block(NO_NATIVE))),
        duration=8.0,
    ),
    Scenario(
        "udpblocked",
        "UDP is dropped: of two RREQs, in UDP and in TCP, the one in TCP is answered.",
        on(lambda random: [through(Firewall(NO_UDP))], allow=(UDP, TCP), start=(UDP, TCP)),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "tls",
        "Nothing passes but TCP to port 443: the link goes through TLS.",
        on(
            lambda random: [through(Firewall(ONLY_TCP_443))],
            allow=(UDP, TCP, TLS),
            start=(UDP, TCP, TLS),
        ),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "http",
        "An HTTP proxy on the way adds to the Upgrade request: Y sees that it did, and tells X.",
        on(lambda random: [_proxied(REWRITING)], allow=(HTTP,)),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "post",
        "The proxy refuses Upgrade: packets go in the bodies of POST, on two connections.",
        on(lambda random: [_proxied(NO_UPGRADE)], allow=(HTTP, HTTP_POST), start=(HTTP, HTTP_POST)),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "proxy",
        "Only a forward proxy leads out: it refuses CONNECT to one port, and to port 80 it makes a "
        "tunnel, for HTTP.",
        _behind_forward_proxy,
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "intercepted",
        "A TLS interceptor shows X a certificate of its own: the comparison tells, ESP protects.",
        on(lambda random: [_intercepted()], allow=(TLS,)),
        ((0.0, go(UNTRANSLATED)),),
    ),
    Scenario(
        "parallel",
        "Behind a NAT X tries native ESP, UDP, TCP and TLS at once: the cheapest that works wins.",
        on(lambda random: [behind_nat(random)], allow=ALL, start=ALL, stagger=0.0),
        ((0.0, go(BEHIND_NAT)),),
        pings=Pings(every=0.2),
    ),
)
