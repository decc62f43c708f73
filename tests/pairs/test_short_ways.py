"""Nearly all RREQs go short ways: what Y does is what the general ways would have it do.

Two terminals get the same, whatever it is: one as it is, one whose every short way is replaced by
the general one. After each step they must have sent and told the same, and wait for the same.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminals import (
    CONFIRM,
    ELSEWHERE,
    HOME,
    MOBILE_LINK,
    NEW,
    OTHER,
    OTHER_LINK,
    PING,
    PONG,
    START,
    TO_OTHER,
    TRANSLATED,
    a_request,
    events,
)

from contrib_layers.numbers import AttemptFlag, EncapsulationCode
from scapy_mobsec import translation
from scapy_mobsec.esp.sa import OutboundSa
from scapy_mobsec.packet.ip import UDP, build_ip, build_udp
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration import messages, outer
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    Ipv4Header,
    Ipv6Header,
    UdpHeader,
    build_description,
)
from scapy_mobsec.registration.flat import build_reply_rest, values_of
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    Report,
    build_reply,
    build_request,
    parse_reply,
)
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.config import OtherConfiguration
from scapy_mobsec.terminal.driving import Transmit
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.other import OtherTerminal

OTHER_6, NEW_6 = (Endpoint.of(f"2001:db8::{n}", 4500) for n in (2, 0x99))
ALTERNATES = (OTHER._replace(port=4501), Endpoint.of("203.0.113.3", 4500))
ITEMS = tuple(EncapsulationItem(code, port=4500) for code in list(EncapsulationCode)[:3])


def describe_headers(source, source_port, destination, destination_port, spi):
    ip = (Ipv4Header if len(source) == 4 else Ipv6Header)(source, destination)
    return ip, UdpHeader(source_port, destination_port), EspHeader(spi)


def build_plain_udp(between, payload):
    size = (len(between) - 4) // 2
    source, destination = between[:size], between[size : 2 * size]
    datagram = build_udp(source, destination, 434, 434, payload)
    return build_ip(source, destination, UDP, datagram)


def build_usual_headers(local, remote, sent_spi, observed_spi):
    sent = describe_headers(*local, *remote, sent_spi)
    observed = describe_headers(*remote, *local, observed_spi)
    return build_reply_rest(sent=sent, observed=observed), build_description(observed)


def read_request(message):
    return replace(values_of(messages.parse_request(message)), usual=None)


def build_acceptance_head(values, flags, lifetime):
    return build_reply(
        RegistrationReply(
            values.identification,
            0,
            lifetime,
            values.home_address,
            values.home_agent,
            Attempt(values.number, flags, values.index, values.count),
        )
    )


def remember_nothing(way):
    """Let a terminal ask again for what it knows of a path."""

    def ask(self, *values):
        for state in self._homes[HOME].states():
            state.found = None
        return way(self, *values)

    return ask


GENERAL = {
    "scapy_mobsec.terminal.modes.tunnel.plain_udp": lambda packet, between: None,
    "scapy_mobsec.terminal.modes.tunnel.build_plain_udp": build_plain_udp,
    "scapy_mobsec.terminal.other.read_request": read_request,
    "scapy_mobsec.terminal.other.build_usual_headers": build_usual_headers,
    "scapy_mobsec.terminal.other.changes": translation._changes,
    "scapy_mobsec.terminal.answering.build_acceptance_head": build_acceptance_head,
    "scapy_mobsec.terminal.other.OtherTerminal._compare": remember_nothing(OtherTerminal._compare),
}


@pytest.fixture(scope="module")
def general_ways():
    """Return the patches that let all go the general ways."""
    patches = [patch(name, way) for name, way in GENERAL.items()]
    return [*patches, patch.dict(outer._USUAL, clear=True)]


@dataclass
class Both:
    """Two terminals that differ in nothing but their ways, and one who writes RREQs to them."""

    configuration: OtherConfiguration
    general_ways: list
    now: float = START
    number: int = 1
    identification: int = 0
    sent: list = field(default_factory=list)
    challenges: dict = field(default_factory=dict)

    def __post_init__(self):
        self.terminals = [
            OtherTerminal(self.configuration, random_bytes=Random(1).randbytes) for _ in range(2)
        ]
        self.mobile = Link(MOBILE_LINK, at_mobile=True, random_bytes=Random(2).randbytes)
        self.mobile.outbound = OutboundSa(TO_OTHER, random_bytes=Random(3).randbytes)

    def do(self, step):
        """Carry out `step` on both, and compare."""
        found = []
        for terminal, ways in zip(self.terminals, ([], self.general_ways), strict=True):
            with ExitStack() as stack:
                for each in ways:
                    stack.enter_context(each)
                step(terminal)
                found.append(
                    (
                        terminal.transmits(self.now),
                        events(terminal),
                        terminal.received(),
                        dict(terminal.drops),
                        terminal.timer(),
                        terminal.snapshot_due,
                        terminal.snapshots(),
                        terminal.path(HOME),
                        terminal.state(HOME),
                    )
                )
        assert found[0] == found[1]
        for output in found[0][0]:
            if isinstance(output, Transmit):
                self.heard(output)

    def heard(self, transmit):
        """Note the challenge of an RREP."""
        inbound = Link(MOBILE_LINK, at_mobile=True, random_bytes=bytes)
        opened = inbound.inbound[0].open(transmit.data)
        kind, octets = inbound.mode.unwrap(opened)
        if kind.name == "SIGNALLING":
            reply = parse_reply(octets)
            self.challenges[transmit.path.remote] = reply.challenge or bytes(8)

    def give(self, packet, path):
        self.sent.append((packet, path))
        self.do(lambda terminal: terminal.receive(packet, path, self.now))

    def ask(self, draw):
        """Give both an RREQ: most are well made, and from anywhere."""
        self.number += draw(st.sampled_from([0, 0, 1, 1, -1]))
        self.identification += draw(st.sampled_from([1, 1, 1, 0, -2, 2**20]))
        place = draw(st.sampled_from([NEW, TRANSLATED, ELSEWHERE, NEW_6]))
        here = OTHER_6 if place == NEW_6 else OTHER
        path = Path(Encapsulation.UDP, here, place)
        flags = draw(st.sampled_from([0, 0, 0, 0, *AttemptFlag]))
        values = {
            "identification": ntp_timestamp(START) + self.identification,
            "attempt": Attempt(self.number % 2**32, int(flags), draw(st.integers(0, 2)), 3),
            "lifetime": draw(st.sampled_from([3600, 3600, 60, 0, 65535])),
            "sent": draw(self.descriptions(path)),
            "supported": draw(st.sampled_from([None, ITEMS[:1]])),
            "pad": draw(st.sampled_from([0, 10, 900])),
        }
        if flags == CONFIRM or draw(st.integers(0, 9)) == 0:
            values["response"] = self.challenges.get(place, bytes(8))
        if draw(st.integers(0, 9)) == 0:
            values["report"] = Report(draw(st.integers(0, 3)), 2, 3)
        if draw(st.integers(0, 9)) == 0:
            values["home_address"] = NEW.address
        message = build_request(a_request(**values))
        payload, next_header = self.mobile.mode.wrap_message(message)
        octets = bytearray(payload)
        if draw(st.integers(0, 4)) == 0:
            at = draw(st.integers(0, min(len(octets), 150) - 1))
            octets[at] = draw(st.integers(0, 255))
            if draw(st.booleans()):  # with a checksum that holds
                octets[26:28] = bytes(2)
        self.give(self.mobile.outbound.seal(bytes(octets), next_header), path)

    def descriptions(self, path):
        """Strategy: what X may say of the headers that it wrote; mostly the truth."""
        source = st.sampled_from([path.remote, path.remote._replace(port=4500), NEW, NEW_6])
        spis = st.sampled_from([TO_OTHER.spi, TO_OTHER.spi, 7])
        ways = st.sampled_from([Encapsulation.UDP] * 8 + [Encapsulation.NATIVE, Encapsulation.TCP])

        def said(way, source, spi):
            family = OTHER if len(source.address) == 4 else OTHER_6
            return describe(way, source, family, spi)

        return st.builds(said, ways, source, spis)

    def answer(self, draw):
        """Answer the last challenge of a place."""
        if not self.challenges:
            return
        place = draw(st.sampled_from(sorted(self.challenges)))
        path = Path(Encapsulation.UDP, OTHER_6 if place == NEW_6 else OTHER, place)
        self.identification += 1
        message = build_request(
            a_request(
                identification=ntp_timestamp(START) + self.identification,
                attempt=Attempt(self.number % 2**32, CONFIRM),
                sent=describe(Encapsulation.UDP, place, path.local, TO_OTHER.spi),
                response=self.challenges[place],
            )
        )
        self.give(self.mobile.seal_message(message), path)

    def repeat(self, draw):
        """Somebody sends again what was sent before, from the same place or another."""
        if self.sent:
            packet, path = draw(st.sampled_from(self.sent))
            remote = draw(st.sampled_from([path.remote, ELSEWHERE]))
            self.give(packet, path._replace(remote=remote))

    def data(self, draw):
        """Data in both directions."""
        place = draw(st.sampled_from([NEW, TRANSLATED]))
        self.give(self.mobile.seal_data(PING), Path(Encapsulation.UDP, OTHER, place))
        self.do(lambda terminal: terminal.send(PONG, self.now))

    def wait(self, draw):
        """Time goes by, and what is due is done."""
        self.now += draw(st.sampled_from([0.01, 0.6, 4.0, 100.0]))
        self.do(lambda terminal: terminal.handle_timer(self.now))


CONFIGURATIONS = st.builds(
    OtherConfiguration,
    links=st.just((OTHER_LINK,)),
    supported=st.sampled_from([ITEMS[:1], ITEMS]),
    max_lifetime=st.sampled_from([3600, 65535]),
    decider=st.sampled_from(Decider),
    forced=st.booleans(),
    addresses=st.sampled_from([(), (OTHER_6.address, OTHER.address)]),
    alternates=st.sampled_from([(), ALTERNATES]),
)
STEPS = st.sampled_from(["ask"] * 5 + ["answer"] * 2 + ["repeat", "data", "wait"])


@given(CONFIGURATIONS, st.lists(STEPS, min_size=2, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_short_ways_lead_to_the_same_place(general_ways, configuration, steps, data):
    both = Both(configuration, general_ways)
    for step in steps:
        getattr(both, step)(data.draw)
