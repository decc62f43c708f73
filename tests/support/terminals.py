"""Both terminals in one hand, without a network: the test carries each datagram itself."""

from dataclasses import replace
from random import Random

from contrib_layers.numbers import AttemptFlag, EncapsulationCode
from scapy_mobsec.drivers.simulation import HOME, INNER_HOST, SIGNALLING
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.sa import OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.messages import (
    Attempt,
    EncapsulationItem,
    RegistrationRequest,
    build_request,
    parse_reply,
)
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.terminal.config import (
    AhSas,
    LinkParameters,
    MobileConfiguration,
    OtherConfiguration,
)
from scapy_mobsec.terminal.events import PacketDropped
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

CONFIRM = int(AttemptFlag.CONFIRM)
START = 1_800_000_000.0
OTHER = Endpoint.of("203.0.113.2", 4500)
OLD = Endpoint.of("198.51.100.2", 4500)
NEW = Endpoint.of("10.0.0.2", 4500)
TRANSLATED = Endpoint.of("192.0.2.1", 31337)
ELSEWHERE = Endpoint.of("192.0.2.77", 666)

SUPPORTED = (
    EncapsulationItem(EncapsulationCode.UDP, port=4500, keepalive=20),
    *(EncapsulationItem(code, port=4500) for code in EncapsulationCode if code != 1),
)
"""All encapsulations, udp first."""

GCM, CBC = "aes-gcm-16", "aes-cbc-hmac-sha2-256-128"
TO_OTHER = SaParameters(0x1111, SUITES[GCM], bytes(range(20)))
TO_MOBILE = SaParameters(0x2222, SUITES[GCM], bytes(range(20, 40)))
CBC_SAS = tuple(
    SaParameters(spi, SUITES[CBC], bytes(16), bytes((spi & 0xFF,)) * 32) for spi in (0x3333, 0x4444)
)
MOBILE_LINK = LinkParameters(HOME, SIGNALLING, (TO_MOBILE,), TO_OTHER)
OTHER_LINK = LinkParameters(HOME, SIGNALLING, (TO_OTHER,), TO_MOBILE)

AH_SUITE = AH_SUITES["hmac-sha2-256-128"]
AH_TO_OTHER = AhParameters(TO_OTHER.spi, AH_SUITE, bytes(range(32)))  # the SPI of an ESP SA, too
AH_TO_MOBILE = AhParameters(TO_MOBILE.spi, AH_SUITE, bytes(range(32, 64)))
AH_LINKS = (
    replace(MOBILE_LINK, ah=AhSas((AH_TO_MOBILE,), AH_TO_OTHER)),
    replace(OTHER_LINK, ah=AhSas((AH_TO_OTHER,), AH_TO_MOBILE)),
)
AH_ONLY_LINKS = tuple(replace(link, inbound=(), outbound=None) for link in AH_LINKS)

PING = echo_request(HOME, INNER_HOST, 1)
PONG = build_ip(INNER_HOST, HOME, 1, bytes(16))


def path_at_other(mobile):
    """The path of a datagram that Y gets from the outer endpoint `mobile`."""
    return Path(Encapsulation.UDP, OTHER, mobile)


def path_at_mobile(local):
    """The path of a datagram that X gets at its endpoint `local`."""
    return Path(Encapsulation.UDP, local, OTHER)


def events(terminal):
    """Take all events of a terminal."""
    found = []
    while (event := terminal.next_event()) is not None:
        found.append(event)
    return found


def drops(terminal):
    """Take all events of a terminal, and return the reasons of the drops among them."""
    return [event.reason for event in events(terminal) if isinstance(event, PacketDropped)]


def a_request(now=START, **changes):
    """A request that Y accepts, but for the changes."""
    given = {
        "identification": ntp_timestamp(now),
        "lifetime": 3600,
        "home_address": HOME,
        "home_agent": OTHER.address,
        "care_of_address": NEW.address,
        "attempt": Attempt(1),
        "sent": describe(Encapsulation.UDP, NEW, OTHER, TO_OTHER.spi),
    }
    return RegistrationRequest(**{**given, **changes})


class Pair:
    """X and Y with a link; `forge*` speak with the keys of the link, but not with its counters."""

    def __init__(
        self,
        *,
        lifetime=3600,
        max_lifetime=3600,
        last_attempt=0,
        supported=SUPPORTED[:1],
        seed=1,
    ):
        self.now = START
        self.confirms = 0
        self.random = Random(seed)
        self.mobile = MobileTerminal(
            MobileConfiguration(MOBILE_LINK, OTHER, lifetime, last_attempt, keepalive=0),
            random_bytes=self.random.randbytes,
        )
        self.other = OtherTerminal(
            OtherConfiguration((OTHER_LINK,), supported, max_lifetime),
            random_bytes=self.random.randbytes,
        )
        self.as_mobile = self._forger(MOBILE_LINK, at_mobile=True)
        self.as_other = self._forger(OTHER_LINK, at_mobile=False)

    def _forger(self, parameters, *, at_mobile):
        link = Link(parameters, at_mobile=at_mobile, random_bytes=self.random.randbytes)
        link.outbound = OutboundSa(
            parameters.outbound, random_bytes=self.random.randbytes, first_sequence=500
        )
        return link

    def move(self, endpoint=OLD):
        """X moves; return its RREQ."""
        self.mobile.move([endpoint], self.now)
        return self.from_mobile()

    def from_mobile(self):
        (transmit,) = self.mobile.transmits(self.now)
        return transmit

    def from_other(self):
        (transmit,) = self.other.transmits(self.now)
        return transmit

    def to_other(self, data, source=TRANSLATED):
        self.other.receive(data, path_at_other(source), self.now)

    def to_mobile(self, data):
        local = self.mobile.path.local if self.mobile.path else OLD
        self.mobile.receive(data, path_at_mobile(local), self.now)

    def register(self, endpoint=OLD, source=None):
        """Let X move and Y answer, half a round trip of 25 ms each way."""
        request = self.move(endpoint)
        self.now += 0.025
        self.to_other(request.data, source or endpoint)
        reply = self.from_other()
        self.now += 0.025
        self.to_mobile(reply.data)
        self.to_other(self.from_mobile().data, source or endpoint)  # its CONFIRM

    def request(self, source=TRANSLATED, **changes):
        """Give Y a request that X did not write; return the datagrams that answer it."""
        self.give_message(build_request(a_request(self.now, **changes)), source)
        return self.other.transmits(self.now)

    def confirm(self, reply, source=TRANSLATED, number=None, **changes):
        """Answer the challenge in a datagram of Y from `source`; return what Y sends then."""
        message = parse_reply(self.read_reply(reply))
        attempt = Attempt(message.attempt.number if number is None else number, CONFIRM)
        self.confirms += 1
        given = {
            "identification": ntp_timestamp(self.now) + (self.confirms << 20),
            "attempt": attempt,
            "response": message.challenge,
        }
        return self.request(source, **{**given, **changes})

    def give_message(self, message, source=TRANSLATED):
        self.to_other(self.as_mobile.seal_message(message), source)

    def read_reply(self, transmit):
        """Return what a datagram of Y says, opened without touching X."""
        link = self._forger(MOBILE_LINK, at_mobile=True)
        return link.mode.unwrap(link.inbound[0].open(transmit.data))[1]

    def read_request(self, transmit):
        """Return what a datagram of X says, opened without touching Y."""
        link = self._forger(OTHER_LINK, at_mobile=False)
        return link.mode.unwrap(link.inbound[0].open(transmit.data))[1]


def with_attempt(number, flags=0):
    """The change of `a_request` for another attempt."""
    return {"attempt": Attempt(number, flags)}
