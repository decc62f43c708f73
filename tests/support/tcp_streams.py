"""TCP streams that a bench sees: what is said on them, from their SYN on or later."""

from frames import GATEWAY, OLD, TO_GATEWAY, Bench
from tls_samples import DATA
from tls_samples import Connection as TlsConnection

from scapy_mobsec.drivers.memory.packet import ACK, SYN, Packet, TcpFields
from scapy_mobsec.encap.capsule import wrap_capsule
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.packet.ip import TCP
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.tcp_direction import Piece, Stamp

SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n"
    b"Capsule-Protocol: ?1\r\n\r\n"
)
CONNECT = b"CONNECT 203.0.113.2:80 HTTP/1.1\r\nHost: 203.0.113.2:80\r\n\r\n"
TUNNEL = b"HTTP/1.1 200 Connected\r\n\r\n"


class Stream:
    """A TCP connection that a bench sees from its SYN on, or later."""

    def __init__(self, bench=None, source=OLD, destination=GATEWAY, begun=True):
        self.bench = bench or Bench()
        self.ends = source, destination
        self.next = [100, 200]
        if begun:
            self.put(0, SYN, 99)
            self.put(1, SYN | ACK, 199)

    def put(self, sender, flags, sequence, octets=b""):
        ends = self.ends if sender == 0 else self.ends[::-1]
        packet = Packet(TCP, *ends, octets, TcpFields(flags, sequence, 1)).octets()
        self.bench.see(packet)

    def up(self, *octets):
        return self._send(0, octets)

    def down(self, *octets):
        return self._send(1, octets)

    def miss(self, sender, count):
        self.next[sender] += count
        return self

    def _send(self, sender, octets):
        for part in octets:
            self.put(sender, ACK, self.next[sender], part)
            self.next[sender] += len(part)
        return self

    def reader(self):
        readers = self.bench.observer._streams._readers
        return readers.get(next(iter(readers)))

    @property
    def report(self):
        self.bench.observer.finish()
        return self.bench.report

    @property
    def summary(self):
        return self.report.summary

    def esp(self, spi=TO_GATEWAY):
        return self.bench.seal(spi)

    def frame(self, spi=TO_GATEWAY):
        return wrap_frame(Content.ESP, self.esp(spi))

    def capsule(self, spi=TO_GATEWAY):
        return wrap_capsule(self.esp(spi))


def octet_by_octet(octets):
    return [octets[at : at + 1] for at in range(len(octets))]


def elsewhere(bench=None, **options):
    """A stream between two ports that nothing is known of."""
    ends = Endpoint(OLD.address, 999), Endpoint(GATEWAY.address, 22)
    return Stream(bench, *ends, **options)


class InTls(Stream):
    """A stream in TLS, behind its handshake; `up` and `down` say what is inside.

    before: what both ends say before TLS. said: in which order the handshake is said.
    """

    def __init__(self, *before, said=list, syns=(0, 1), ends=(OLD, GATEWAY), **options):
        self.tls = TlsConnection(**options)
        super().__init__(Bench(tls_keys=self.tls.keys), *ends, begun=False)
        for end in syns:
            self.put(end, SYN | ACK if end else SYN, self.next[end] - 1)
        if before:
            Stream.up(self, before[0])
            Stream.down(self, before[1])
        for from_client, octets in said(self.tls.handshake()):
            self._send(0 if from_client else 1, [octets[:1], octets[1:]])

    def up(self, *octets):
        return self._send(0, [self.tls.client.seal(DATA, part) for part in octets])

    def down(self, *octets):
        return self._send(1, [self.tls.server.seal(DATA, part) for part in octets])

    def headers(self, octets):
        """Return what stands between TCP and ESP, as the reader says with the client's octets."""
        reader = self.reader()
        end = next(iter(reader._sides))
        piece = Piece(self.tls.client.seal(DATA, octets), Stamp(1, 1), follows=True)
        (found,) = reader.read(end, piece)
        return found.encapsulation, found.headers
