"""Two SAs between a mobile terminal and a gateway, and frames made with them by hand."""

from dataclasses import dataclass, field

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters, OutboundAh
from scapy_mobsec.esp.sa import OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EspHeader, Ipv4Header, UdpHeader
from scapy_mobsec.registration.extensions import Attempt
from scapy_mobsec.registration.messages import (
    RegistrationReply,
    RegistrationRequest,
    build_reply,
    build_request,
)

RAW_IP = 101
START = 1_767_225_600_000_000_000
HOME, INNER_HOST = Endpoint.of("10.10.1.1").address, Endpoint.of("10.10.2.1").address
GATEWAY = Endpoint.of("203.0.113.2", 4500)
OLD = Endpoint.of("198.51.100.2", 4500)
NEW = Endpoint.of("192.0.2.1", 40001)
TO_GATEWAY, TO_MOBILE = 0x1001, 0x2002


class Keys:
    """A key source over a list."""

    def __init__(self, *parameters):
        self.parameters = parameters

    def knows_spi(self, spi):
        return any(entry.spi == spi for entry in self.parameters)

    def candidates(self, family, source, destination, spi):
        fitting = [entry for entry in self.parameters if entry.spi == spi]
        return [entry for entry in fitting if isinstance(entry, SaParameters)]

    def ah_candidates(self, family, source, destination, spi):
        fitting = [entry for entry in self.parameters if entry.spi == spi]
        return [entry for entry in fitting if isinstance(entry, AhParameters)]


def gcm(spi, octet=None):
    key = bytes([spi & 0xFF if octet is None else octet]) * 20
    return SaParameters(spi, SUITES["aes-gcm-16"], key)


def ah(spi):
    return AhParameters(spi, AH_SUITES["hmac-sha2-256-128"], bytes([spi & 0xFF]) * 32)


@dataclass
class Bench:
    """An observer, and both ends' senders."""

    keys: Keys = field(default_factory=lambda: Keys(gcm(TO_GATEWAY), gcm(TO_MOBILE)))
    ike_keys: list = field(default_factory=list)
    time_ns: int = START
    tls_keys: KeyLog = field(default_factory=KeyLog)

    def __post_init__(self):
        self.packets = []
        self.observer = Observer(
            self.keys, self.ike_keys, tls_keys=self.tls_keys, on_packet=self.packets.append
        )
        self.senders = {}

    def seal(self, spi, payload=None, next_header=4, sequence=None, octet=None):
        sender = self.senders.setdefault(
            (spi, octet), OutboundSa(gcm(spi, octet), random_bytes=bytes)
        )
        if sequence is not None:
            sender = OutboundSa(gcm(spi, octet), random_bytes=bytes, first_sequence=sequence)
        if payload is None:
            there = spi == TO_GATEWAY
            source, destination = (HOME, INNER_HOST) if there else (INNER_HOST, HOME)
            payload = build_ip(source, destination, 1, b"ping")
        return sender.seal(payload, next_header)

    def udp(self, esp, source=OLD, destination=GATEWAY):
        datagram = build_udp(
            source.address, destination.address, source.port, destination.port, esp
        )
        return build_ip(source.address, destination.address, 17, datagram)

    def native(self, esp, source=OLD, destination=GATEWAY):
        return build_ip(source.address, destination.address, 50, esp)

    def by_ah(self, spi, source=OLD, destination=GATEWAY, payload=None, next_header=4):
        """An IP packet with AH; the SA may have the SPI of one of ESP."""
        sender = self.senders.setdefault(("ah", spi), OutboundAh(ah(spi)))
        if payload is None:
            payload = build_ip(HOME, INNER_HOST, 1, b"ping")
        return sender.seal(payload, next_header, source.address, destination.address)

    def up(self, source=OLD, **options):
        return self.udp(self.seal(TO_GATEWAY, **options), source, GATEWAY)

    def down(self, destination=OLD, **options):
        return self.udp(self.seal(TO_MOBILE, **options), GATEWAY, destination)

    def see(self, *packets, after=0.01):
        """Feed packets, one each `after` seconds. Returns the summary."""
        for packet in packets:
            self.time_ns += int(after * 1e9)
            self.observer.feed(self.time_ns, packet, RAW_IP)
        return self.report.summary

    @property
    def report(self):
        return self.observer.report()


def request(identification=7, number=1, source=NEW, flags=0, spi=TO_GATEWAY, **fields):
    """An RREQ written behind a NAT at 10.0.0.2, or with its `source` as its own address."""
    sent = (
        Ipv4Header(source.address, GATEWAY.address),
        UdpHeader(source.port, GATEWAY.port),
        EspHeader(spi),
    )
    fields = {"sent": sent, "attempt": Attempt(number, flags), **fields}
    return RegistrationRequest(identification, 300, HOME, GATEWAY.address, source.address, **fields)


def reply(identification=7, number=1, code=0, flags=AttemptFlag.USE, **fields):
    """The RREP to it."""
    fields = {"attempt": Attempt(number, flags), **fields}
    return RegistrationReply(identification, code, 300, HOME, GATEWAY.address, **fields)


def signalling(message):
    """The inner packet of a message: IP and UDP 434 both ways."""
    if isinstance(message, RegistrationRequest):
        source, destination, octets = HOME, GATEWAY.address, build_request(message)
    else:
        source, destination, octets = GATEWAY.address, HOME, build_reply(message)
    return build_ip(source, destination, 17, build_udp(source, destination, 434, 434, octets))
