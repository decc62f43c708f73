"""Packet charts: what taps saw, one line a packet; with the SAs given, what ESP and AH carry.

Streams are put together again, and TLS, tunnels of forward proxies and the stream carriers taken
off, so that a line shows which messages were whole with that packet.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.memory.drawing import draw
from scapy_mobsec.drivers.memory.network import EPOCH, SECOND, MemoryNetwork
from scapy_mobsec.drivers.memory.packet import ACK, FIN, RST, SYN, Packet, TcpFields
from scapy_mobsec.drivers.memory.tap import Tap
from scapy_mobsec.drops import Drop
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.carrier import StreamCarrier, Violation
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.encap.stream import reading_carrier
from scapy_mobsec.encap.tls import Content as TlsContent
from scapy_mobsec.encap.tls import TlsReader
from scapy_mobsec.esp.ah import AhParameters, InboundAh
from scapy_mobsec.esp.sa import InboundSa, Opened, SaParameters
from scapy_mobsec.observer.registrations import registration_in
from scapy_mobsec.packet.ip import AH, ESP, ICMP, IPV4, NO_NEXT_HEADER, TCP, UDP, parse_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.messages import RegistrationReply, RegistrationRequest

_ECHOES = {8: "ping", 0: "pong"}
_FLAGS = {SYN: "SYN", FIN: "FIN", RST: "RST", ACK: "ACK"}
_END_OF_HEAD = b"\r\n\r\n"


def chart(
    packets: Iterable[tuple[int, Packet]],
    sas: Sequence[SaParameters | AhParameters] = (),
    start_ns: int = EPOCH * SECOND,
    tls_keys: KeyLog | None = None,
) -> list[str]:
    """Write lines like `25 ms  udp 192.0.2.1:31337 > 203.0.113.2:4500  RREQ #2`.

    packets: as a Tap keeps them; start_ns: what the first column counts from. tls_keys: without
    them TLS is octets.
    """
    reader = _Reader(sas, tls_keys or KeyLog())
    return [
        f"{(time_ns - start_ns) / 1e6:.0f} ms  {_protocol(packet)} "
        f"{packet.source} > {packet.destination}  {reader.read(packet)}"
        for time_ns, packet in packets
    ]


@contextmanager
def explained(
    network: MemoryNetwork, taps: Iterable[Tap], sas: Sequence[SaParameters | AhParameters] = ()
) -> Iterator[None]:
    """Add to an exception that is raised inside: the seed, the network, and what the taps saw."""
    try:
        yield
    except Exception as error:
        error.add_note(f"seed {network.seed}\n{draw(network)}")
        for tap in taps:
            error.add_note(
                "\n".join([tap.label(), *chart(tap.packets, sas, tls_keys=network.tls_keys)])
            )
        raise


def _protocol(packet: Packet) -> str:
    if packet.too_big:
        return "icmp"
    return {UDP: "udp", TCP: "tcp", ESP: "esp", AH: "ah"}.get(packet.protocol, "ip")


class _Reader:
    """What is known of the packets so far: SAs by SPI, streams by their ends."""

    def __init__(self, sas: Sequence[SaParameters | AhParameters], tls_keys: KeyLog) -> None:
        self._tls_keys = tls_keys
        self._esp_sas = {
            sa.spi: InboundSa(sa, window=0) for sa in sas if isinstance(sa, SaParameters)
        }
        self._ah_sas = {
            sa.spi: InboundAh(sa, window=0) for sa in sas if isinstance(sa, AhParameters)
        }
        self._streams: dict[tuple[Endpoint, Endpoint], _Way] = {}

    def read(self, packet: Packet) -> str:
        """Tell what a packet is, in a few words."""
        if packet.too_big:
            return f"too big for {packet.too_big.mtu} octets"
        if packet.tcp:
            return self._segment(packet, packet.tcp)
        if packet.protocol == UDP:
            try:
                return self._carried(*udp.unwrap(packet.payload))
            except Drop:
                return f"{len(packet.payload)} octets"
        if packet.protocol == ESP:
            return self._esp(packet.payload)
        return self._ah(packet) if packet.protocol == AH else f"{len(packet.payload)} octets"

    def _segment(self, packet: Packet, tcp: TcpFields) -> str:
        ends = packet.source, packet.destination
        known = self._streams.get(ends)
        begins = tcp.flags & (SYN | ACK) == SYN
        if begins and (known is None or known.first != tcp.sequence):  # not a SYN seen before
            conversation = _Conversation(self._tls_keys)
            self._streams[ends] = _Way(conversation, from_client=True)
            self._streams[ends[::-1]] = _Way(conversation, from_client=False)
        words = ["+".join(name for bit, name in _FLAGS.items() if tcp.flags & bit)]
        if packet.payload:
            words = [f"{len(packet.payload)} octets"]
        way = self._streams.get(ends)
        if way:
            carried = way.feed(tcp, packet.payload)
            words += [self._carried(*one) for one in carried]
        return ", ".join(words)

    def _carried(self, content: udp.Content, message: bytes) -> str:
        if content is udp.Content.ESP:
            return self._esp(message)
        return "IKE" if content is udp.Content.IKE else "keepalive"

    def _esp(self, packet: bytes) -> str:
        spi = int.from_bytes(packet[:4], "big")
        return _content("ESP", spi, self._esp_sas.get(spi), packet)

    def _ah(self, packet: Packet) -> str:
        spi = int.from_bytes(packet.payload[4:8], "big")
        return _content("AH", spi, self._ah_sas.get(spi), packet.octets())


def _content(protocol: str, spi: int, sa: InboundSa | InboundAh | None, packet: bytes) -> str:
    """What an SA opens. `packet`: of AH the whole IP packet."""
    if sa is None:
        return f"{protocol} 0x{spi:08x}, {len(packet)} octets"
    try:
        opened = sa.open(packet)
        if opened.next_header == NO_NEXT_HEADER:
            return "dummy"
        message, malformed = registration_in(opened)
        if message is None:
            return _data_text(opened)
    except Drop as drop:
        return f"{protocol} 0x{spi:08x}: {drop.reason.value}"
    return message_text(message) + (" POORLY FORMED" if malformed else "")


def message_text(message: RegistrationRequest | RegistrationReply) -> str:
    """What an RREQ or RREP says, in a few words."""
    attempt = message.attempt
    number = f" #{attempt.number}" if attempt else ""
    words = [flag.name for flag in AttemptFlag if attempt and attempt.flags & flag]
    if isinstance(message, RegistrationRequest):
        name = "RREQ"
        if not message.lifetime:
            words.append("lifetime 0")
    else:
        name = "RREP"
        words.insert(0, f"code {message.code}")
        if message.translations:
            words.append(f"{len(message.translations)} translations")
        if message.challenge:
            words.append("CHALLENGE")
    return " ".join([name + number, *(word for word in words if word)])


def _data_text(opened: Opened) -> str:
    """`ping 3` and `pong 3` for ICMP echoes, the octets of any other data."""
    protocol, payload = opened.next_header, opened.payload
    if protocol == IPV4:
        inner = parse_ip(payload)
        protocol, payload = inner.protocol, inner.payload
    if protocol == ICMP and len(payload) >= 8 and payload[0] in _ECHOES:
        return f"{_ECHOES[payload[0]]} {int.from_bytes(payload[6:8], 'big')}"
    return f"data {len(opened.payload)}"


class _Conversation:
    """What both ways of a connection share: how ESP is carried, once the client has shown it.

    `is_tunnelled`: the client has asked a forward proxy for a tunnel. `tls`: None without TLS.
    """

    def __init__(self, tls_keys: KeyLog) -> None:
        self.is_tunnelled = False
        self.tls: TlsReader | None = None
        self._tls_keys = tls_keys
        self._from_client = reading_carrier(None, from_client=True)

    def begin_tls(self) -> None:
        """What is said from here on is TLS."""
        self.tls = TlsReader(self._tls_keys)

    def carrier(self, from_client: bool) -> StreamCarrier:
        """Return who can read one way; that is known when the client has begun. Raises Drop."""
        if from_client:
            return self._from_client
        encapsulation = self._from_client.encapsulation or Encapsulation.TCP
        return reading_carrier(encapsulation, from_client=False)


class _Way:
    """One way of a connection: octets in order, without TLS and the head of a tunnel."""

    def __init__(self, conversation: _Conversation, *, from_client: bool) -> None:
        self._conversation, self._from_client = conversation, from_client
        self._carrier: StreamCarrier | None = None
        self.first: int | None = None
        self._expected: int | None = None
        self._early: dict[int, bytes] = {}
        self._head = b""
        self._readable = True

    def feed(self, tcp: TcpFields, payload: bytes) -> list[tuple[udp.Content, bytes]]:
        """Take a segment; return the messages that are whole with it."""
        if tcp.flags & SYN:
            if self.first is None:
                self.first = tcp.sequence
                self._expected = tcp.sequence + 1
            return []
        if not payload or self._expected is None or not self._readable:
            return []
        self._early[tcp.sequence] = max(payload, self._early.get(tcp.sequence, b""), key=len)
        carried: list[tuple[udp.Content, bytes]] = []
        while self._early and min(self._early) <= self._expected:
            sequence = min(self._early)
            new = self._early.pop(sequence)[self._expected - sequence :]
            self._expected += len(new)
            if new and self._readable:
                carried += self._read(new)
        return carried

    def _read(self, data: bytes) -> list[tuple[udp.Content, bytes]]:
        try:
            data = self._without_tls(self._without_tunnel(data))
            if not data:
                return []
            if self._carrier is None:
                self._carrier = self._conversation.carrier(self._from_client)
            carried = self._carrier.receive(data)
        except Violation as violation:
            carried = list(violation.carried)
            self._readable = False
        except Drop:
            carried = []
            self._readable = False
        return [(one.content, one.message) for one in carried]

    def _without_tunnel(self, data: bytes) -> bytes:
        """Take off the request or answer that makes a tunnel through a forward proxy."""
        conversation = self._conversation
        if (
            conversation.tls
            or self._carrier
            or not (self._from_client or conversation.is_tunnelled)
        ):
            return data
        data, self._head = self._head + data, b""
        beginning = b"CONNECT " if self._from_client else b"HTTP/1.1 200"
        if not data.startswith(beginning):
            return data
        conversation.is_tunnelled = True
        _, end, rest = data.partition(_END_OF_HEAD)
        if not end:
            self._head = data
            return b""
        return rest

    def _without_tls(self, data: bytes) -> bytes:
        conversation = self._conversation
        if (
            not conversation.tls
            and not self._carrier
            and data[:1] == bytes((TlsContent.HANDSHAKE,))
        ):
            conversation.begin_tls()
        if conversation.tls is None:
            return data
        return conversation.tls.receive(data, from_client=self._from_client)
