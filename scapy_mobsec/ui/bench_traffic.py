"""The capture of `mobsec bench decode`: data of one link, with registrations from behind a NAT.

Ethernet, IPv4. Now and then the mobile terminal registers by a new attempt, from another port of
the NAT, in streams by a new connection. The capture is written as it is made, so it needs neither
memory nor a file. The same arguments give the same octets: each program reads the same.
"""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from random import Random
from struct import Struct
from typing import BinaryIO, TypeAlias

from contrib_layers.numbers import MOBILE_IP_PORT, NATT_PORT
from scapy_mobsec.drivers.capture import CaptureWriter
from scapy_mobsec.encap.carrier import StreamCarrier
from scapy_mobsec.encap.stream import client_carrier, server_carrier
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.esp.sa import OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.ip import ESP, IPV4, TCP, UDP, build_ip, build_udp
from scapy_mobsec.packet.link import ETHERNET
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.packet.tcp import TcpFlag
from scapy_mobsec.registration.messages import Attempt, build_reply, build_request
from scapy_mobsec.ui.bench import sample_reply, sample_request

STREAMS = (Encapsulation.TCP, Encapsulation.HTTP)
ENCAPSULATIONS = (Encapsulation.NATIVE, Encapsulation.UDP, *STREAMS)
REGISTERS_EVERY = 1_000
"""Packets from one registration to the next; two of them are its RREQ and RREP."""

_LENGTHS = ((False, 1400), (False, 1400), (True, 52), (False, 240), (True, 576), (True, 52))
"""Octets of the inner packets, which come again and again, and whether the mobile one sends."""
_TO_OTHER_SPI, _TO_MOBILE_SPI = 0x1000_0001, 0x1000_0002
_HOME, _PEER, _SIGNALLING = (
    ip_address(each).packed for each in ("10.1.0.2", "10.2.0.9", "10.255.0.1")
)
_NAT, _OTHER = ip_address("203.0.113.9").packed, ip_address("192.0.2.1").packed
_FIRST_PORT, _PORTS = 20_000, 40_000
_BEGINS_NS, _EVERY_NS = 1_800_000_000 * 10**9, 20_000
_FRAME_HEADER = bytes.fromhex("020000000002 020000000001 0800")
_UDP_HEADER = Struct(">HHHH").pack
_TCP_HEADER = Struct(">HHIIBBHHH").pack
_SEGMENT = 1380
_OPENS, _DATA = int(TcpFlag.SYN), int(TcpFlag.ACK | TcpFlag.PSH)

_Send: TypeAlias = Callable[[bool, bytes], None]


def messages_in(packets: int) -> int:
    """Return how many RREQs and RREPs there are among so many ESP packets."""
    rounds, rest = divmod(packets, REGISTERS_EVERY)
    return 2 * rounds + min(rest, 2)


def sas_of(suite: str) -> tuple[SaParameters, SaParameters]:
    """Return the SA to the other terminal and the one back. The keys are no secret."""
    row = SUITES[suite]
    encryption, integrity = min(row.key_lengths) + row.salt_length, row.integrity_key_length

    def parameters(spi: int) -> SaParameters:
        random = Random(spi)
        integrity_key = random.randbytes(integrity) if integrity else None
        return SaParameters(spi, row, random.randbytes(encryption), integrity_key)

    return parameters(_TO_OTHER_SPI), parameters(_TO_MOBILE_SPI)


def write_traffic(stream: BinaryIO, packets: int, suite: str, encapsulation: Encapsulation) -> None:
    """Write a capture with so many ESP packets, the first two an RREQ and its RREP.

    encapsulation: one of ENCAPSULATIONS. Raises OSError as the stream does.
    """
    frames = _Frames(stream, encapsulation)
    to_other, to_mobile = (
        OutboundSa(each, random_bytes=Random(each.spi).randbytes).seal for each in sas_of(suite)
    )
    data = [(at_mobile, _data(at_mobile, length)) for at_mobile, length in _LENGTHS]
    for number in range(packets):
        attempt, of_round = divmod(number, REGISTERS_EVERY)
        if of_round == 0:
            frames.move(attempt)
            at_mobile, inner = True, _request(attempt)
        elif of_round == 1:
            at_mobile, inner = False, _reply(attempt)
        else:
            at_mobile, inner = data[number % len(data)]
        frames.send(at_mobile, (to_other if at_mobile else to_mobile)(inner, IPV4))
    frames.flush()


def _data(at_mobile: bool, length: int) -> bytes:
    source, destination = (_HOME, _PEER) if at_mobile else (_PEER, _HOME)
    payload = bytes(length - 28)
    datagram = build_udp(source, destination, 40_000, 40_000, payload)
    return build_ip(source, destination, UDP, datagram)


def _request(number: int) -> bytes:
    message = replace(sample_request(), identification=number << 32, attempt=Attempt(number))
    return _signalling(_HOME, _SIGNALLING, build_request(message))


def _reply(number: int) -> bytes:
    sample = sample_reply()
    attempt = replace(sample.attempt or Attempt(0), number=number)
    message = replace(sample, identification=number << 32, attempt=attempt)
    return _signalling(_SIGNALLING, _HOME, build_reply(message))


def _signalling(source: bytes, destination: bytes, message: bytes) -> bytes:
    datagram = build_udp(source, destination, MOBILE_IP_PORT, MOBILE_IP_PORT, message)
    return build_ip(source, destination, UDP, datagram)


class _Frames:
    """Puts ESP packets into frames, between the NAT and the other terminal."""

    def __init__(self, stream: BinaryIO, encapsulation: Encapsulation) -> None:
        self._written = 0
        self._writer = CaptureWriter(stream, ETHERNET)
        self._encapsulation = encapsulation
        self._port = _FIRST_PORT
        self._stream: _Stream | None = None
        self.send: _Send = self._send_datagram
        if encapsulation in STREAMS:
            self.send = self._send_in_stream

    def move(self, number: int) -> None:
        """Let what follows come from another port of the NAT."""
        self._port = _FIRST_PORT + number % _PORTS
        if self._encapsulation in STREAMS:
            self.flush()
            self._stream = _Stream(self._encapsulation, self._port, self._write)

    def flush(self) -> None:
        """Write what waits for a whole segment."""
        if self._stream:
            self._stream.flush()

    def _send_datagram(self, at_mobile: bool, packet: bytes) -> None:
        if self._encapsulation is Encapsulation.NATIVE:
            self._write(at_mobile, ESP, packet)
            return
        ports = (self._port, NATT_PORT) if at_mobile else (NATT_PORT, self._port)
        self._write(at_mobile, UDP, _UDP_HEADER(*ports, 8 + len(packet), 0) + packet)

    def _send_in_stream(self, at_mobile: bool, packet: bytes) -> None:
        assert self._stream is not None
        self._stream.send(at_mobile, packet)

    def _write(self, at_mobile: bool, protocol: int, payload: bytes) -> None:
        ends = (_NAT, _OTHER) if at_mobile else (_OTHER, _NAT)
        frame = _FRAME_HEADER + build_ip(*ends, protocol, payload)
        self._writer.write(_BEGINS_NS + self._written * _EVERY_NS, frame)
        self._written += 1


class _Stream:
    """One connection, its octets cut into segments wherever they are full."""

    def __init__(
        self, encapsulation: Encapsulation, port: int, write: Callable[[bool, int, bytes], None]
    ) -> None:
        self._port, self._write = port, write
        client = client_carrier(encapsulation, Endpoint(_OTHER, NATT_PORT))
        server = server_carrier(encapsulation, is_own=lambda host, port: True)
        self._carriers: dict[bool, StreamCarrier] = {True: client, False: server}
        self._next = {True: 0, False: 0}
        self._held = {True: bytearray(), False: bytearray()}
        for at_mobile in (True, False):
            self._segment(at_mobile, _OPENS, b"")
        started = client.start()
        self._add(True, started)
        server.receive(started)
        answer = server.take_output()
        self._add(False, answer)
        self.flush()
        client.receive(answer)

    def send(self, at_mobile: bool, packet: bytes) -> None:
        """Send an ESP packet."""
        self._add(at_mobile, self._carriers[at_mobile].wrap(Content.ESP, packet))

    def flush(self) -> None:
        """Write what does not fill a segment."""
        for at_mobile, held in self._held.items():
            if held:
                self._segment(at_mobile, _DATA, bytes(held))
                held.clear()

    def _add(self, at_mobile: bool, octets: bytes) -> None:
        held = self._held[at_mobile]
        held += octets
        while len(held) >= _SEGMENT:
            self._segment(at_mobile, _DATA, bytes(held[:_SEGMENT]))
            del held[:_SEGMENT]

    def _segment(self, at_mobile: bool, flags: int, payload: bytes) -> None:
        ports = (self._port, NATT_PORT) if at_mobile else (NATT_PORT, self._port)
        sequence, acknowledged = self._next[at_mobile], self._next[not at_mobile]
        header = _TCP_HEADER(*ports, sequence, acknowledged, 5 << 4, flags, 0xFFFF, 0, 0)
        self._next[at_mobile] += len(payload) + (flags == _OPENS)
        self._write(at_mobile, TCP, header + payload)
