"""X and Y on the simulated internet, and the words that pair tests are written in."""

import re

from terminals import MOBILE_LINK, OTHER_LINK, TO_MOBILE, TO_OTHER

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.drivers.memory import (
    Delay,
    Firewall,
    Host,
    MemoryNetwork,
    MobileHost,
    Napt,
    Tap,
    chart,
)
from scapy_mobsec.drivers.simulation import HOME, INNER_HOST, OTHER_TERMINAL, UNTRANSLATED, Site
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.observer.registrations import registration_in
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    Ipv4Header,
    UdpHeader,
)
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

NATIVE, UDP, TCP, TLS, HTTP, HTTP_POST = Encapsulation
SUPPORTED = tuple(EncapsulationItem(code, port=4500) for code in EncapsulationCode)
OUTSIDE = Endpoint.of("192.0.2.1", 40_000)
"""Where a NAT lets X appear."""
ELSEWHERE = Endpoint.of("198.51.100.3", 4500)
INSIDE = Endpoint.of("10.0.0.2", 4500)
ROUND_TRIP = 0.05
SAS = (TO_OTHER, TO_MOBILE)
TCP_ALONE = re.compile(r"  tcp .*  (\d+ octets|[A-Z+]+)$")
OCTETS = re.compile(r"(?<=  )\d+ octets, ")


class Play:
    """X at a place with `elements` between it and the rest: the first is the nearest to X.

    `taps`: "mobile" is nearest to X, "other" nearest to Y. `links`: as X and as Y sees the link.
    `other`: more of Y's configuration; `changes`: more of X's.
    """

    def __init__(
        self,
        *elements,
        allow=(NATIVE, UDP),
        items=(),
        start=(),
        seed=1,
        round_trip=ROUND_TRIP,
        links=(MOBILE_LINK, OTHER_LINK),
        other=None,
        **changes,
    ):
        self.network = MemoryNetwork(seed)
        self.start = self.network.time_ns
        self.round_trip = round_trip
        random = self.network.new_random()
        items = items or tuple(EncapsulationItem(each.code) for each in allow)
        of_mobile = MobileConfiguration(
            links[0], OTHER_TERMINAL, allow=items, start=start, **changes
        )
        of_other = OtherConfiguration((links[1],), **{"supported": SUPPORTED, **(other or {})})
        self.mobile = MobileHost(
            self.network, MobileTerminal(of_mobile, random_bytes=random.randbytes), name="X"
        )
        self.other = Host(
            self.network, OtherTerminal(of_other, random_bytes=random.randbytes), name="Y"
        )
        self.other.listen(4500)
        self.other.listen(443, b"certificate")
        self.site = Site(self.other)
        self.other.on_inner = self.site.receive
        self.taps = {name: Tap(name) for name in ("mobile", "other")}
        near_other = self.network.core.segment([self.taps["other"]], ["203.0.113.2"])
        self.other.attach(near_other, OTHER_TERMINAL)
        self.firewall = Firewall()
        self.segment = self.place_behind(*elements)
        self.place = INSIDE if is_nat(elements) else UNTRANSLATED
        self.sent = 0

    def place_behind(self, *elements, outside=None):
        """Make another segment for X. `outside`: the address it is reached by."""
        chain = [self.taps["mobile"], Delay(self.round_trip / 2), self.firewall, *elements]
        outside = outside or ("192.0.2.1" if is_nat(elements) else "198.51.100.2")
        self.network.core.release(outside)  # of a place that X has left
        return self.network.core.segment(chain, [outside])

    def move(self, segment=None, place=None):
        """X moves; charts begin here."""
        self.begin()
        self.mobile.move(segment or self.segment, place or self.place)
        return self

    def roam(self, *elements):
        """X goes on to another place, with these elements between it and the rest."""
        if is_nat(elements):
            return self.move(self.place_behind(*elements), INSIDE)
        return self.move(self.place_behind(*elements, outside="198.51.100.3"), ELSEWHERE)

    def ping(self, seconds, pause=0.1):
        """Ping for a while; return how many came back."""
        before = len(self.mobile.inner)
        for _ in range(round(seconds / pause)):
            self.ping_once()
            self.network.run_for(pause)
        return len(self.mobile.inner) - before

    def ping_once(self, host=INNER_HOST):
        self.sent += 1
        self.mobile.send(echo_request(HOME, host, self.sent % 65_536))
        return self

    def wait(self, seconds):
        self.network.run_for(seconds)
        return self

    def told(self, *kinds):
        return told(self.mobile, *kinds)

    # what passed

    def begin(self):
        """Charts begin here."""
        self.start = self.network.time_ns
        for tap in self.taps.values():
            tap.packets.clear()

    def passed(self, tap, expected):
        """Compare a chart; of TCP it has what completes an ESP packet, without counting octets."""
        lines = chart(self.taps[tap].packets, SAS, self.start, self.network.tls_keys)
        lines = [OCTETS.sub("", line) for line in lines if not TCP_ALONE.search(line)]
        assert lines == [line.strip() for line in expected.strip().splitlines()]

    def messages(self, tap, kind):
        """RREQs or RREPs that passed a tap in datagrams."""
        sas = [InboundSa(sa, window=0) for sa in SAS]
        opened = (
            sa.open(packet.payload)
            for _, packet in self.taps[tap].packets
            for sa in sas
            if packet.payload[:4] == sa.parameters.spi.to_bytes(4, "big")
        )
        return [one for each in opened if isinstance(one := registration_in(each)[0], kind)]

    @property
    def encapsulation(self):
        """What both ends use; they agree."""
        mobile, other = self.mobile.terminal.path, self.other.terminal.path(HOME)
        assert mobile.encapsulation is other.encapsulation
        return mobile.encapsulation

    @property
    def agreed(self):
        path, other = self.mobile.terminal.path, self.other.terminal.path(HOME)
        return bool(path and other and path.encapsulation is other.encapsulation)


def nat(**options):
    """The NAT that makes OUTSIDE of INSIDE, or another one."""
    return Napt(**{"external": "192.0.2.1", **options})


def registered(**options):
    """Let X register at its first address."""
    return Play(**options).move().wait(1)


def told(host, *kinds):
    """Events of these kinds that a host was told, in order."""
    return [event for _, event in host.log if isinstance(event, kinds)]


def is_nat(elements):
    return any(isinstance(each, Napt) for each in elements)


def natures(translations):
    return [(each.field, each.nature) for each in translations]


def codes(items):
    return [each.code for each in items]


def udp_description(source, destination=OTHER_TERMINAL, spi=TO_OTHER.spi):
    ip = Ipv4Header(source.address, destination.address)
    return (ip, UdpHeader(source.port, destination.port), EspHeader(spi))
