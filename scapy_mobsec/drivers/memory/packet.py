"""The packets of the network in memory, and their octets as a capture shows them.

A TCP segment carries its fields in `tcp`, an ICMP "packet too big" its content in `too_big`.
Sequence numbers do not wrap here (they do in `octets`), and there is no fragmentation: every packet
has "do not fragment" set.
"""

from collections.abc import Mapping
from typing import NamedTuple, Optional

from scapy_mobsec.packet.ip import (
    AH,
    ESP,
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    build_ip,
    build_udp,
    internet_checksum,
)
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.packet.tcp import TcpFlag

NATIVE = (ESP, AH)
"""Protocols without ports that carry IPsec."""

FIN, SYN, RST, PSH, ACK = map(int, TcpFlag)

_TRANSPORT_HEADER: Mapping[int, int] = {UDP: 8, TCP: 20, ICMP: 8, ICMPV6: 8}
_NUMBERS = 1 << 32
_WINDOW = 0xFFFF
_QUOTED = {ICMP: 576 - 28, ICMPV6: 1280 - 48}
"""Octets of the original in an ICMP message (RFC 1812 section 4.3.2.3, RFC 4443 section 3.2)."""


class TcpFields(NamedTuple):
    """What a TCP header says besides the ports; `acknowledgment` counts with ACK only."""

    flags: int
    sequence: int
    acknowledgment: int = 0


class TooBig(NamedTuple):
    """An ICMP message (RFC 1191, RFC 8201): `original` was longer than `mtu` octets."""

    mtu: int
    original: "Packet"


class Packet(NamedTuple):
    """One packet between two endpoints; ports are 0 where the protocol has none.

    A tuple, as it is made per packet. `checksum`: False for UDP without one (IPv4 only).
    """

    protocol: int
    source: Endpoint
    destination: Endpoint
    payload: bytes
    tcp: TcpFields | None = None
    too_big: Optional["TooBig"] = None
    checksum: bool = True

    @property
    def length(self) -> int:
        """Octets of the whole IP packet."""
        ip_header = 20 if len(self.source.address) == 4 else 40
        return ip_header + _TRANSPORT_HEADER.get(self.protocol, 0) + len(self.payload)

    def octets(self) -> bytes:
        """Build the whole IP packet, as a capture shows it."""
        source, destination = self.source, self.destination
        if self.too_big:
            payload = self._too_big_octets(self.too_big)
        elif self.tcp:
            payload = self._tcp_octets(self.tcp)
        elif self.protocol == UDP:
            payload = build_udp(
                source.address, destination.address, source.port, destination.port, self.payload
            )
            if not self.checksum:
                payload = payload[:6] + b"\0\0" + payload[8:]
        else:
            payload = self.payload
        return build_ip(source.address, destination.address, self.protocol, payload)

    def _tcp_octets(self, tcp: TcpFields) -> bytes:
        head = b"".join(
            (
                self.source.port.to_bytes(2, "big"),
                self.destination.port.to_bytes(2, "big"),
                (tcp.sequence % _NUMBERS).to_bytes(4, "big"),
                (tcp.acknowledgment % _NUMBERS).to_bytes(4, "big"),
                bytes((5 << 4, tcp.flags)),
                _WINDOW.to_bytes(2, "big"),
            )
        )
        return self._with_checksum(head, b"\0\0" + self.payload, TCP)

    def _too_big_octets(self, notice: TooBig) -> bytes:
        quoted = notice.original.octets()
        mtu = notice.mtu.to_bytes(4, "big")
        if self.protocol == ICMP:
            rest = mtu + quoted[: _QUOTED[ICMP]]
            checksum = internet_checksum(b"\3\4\0\0" + rest)
            return b"\3\4" + checksum.to_bytes(2, "big") + rest
        return self._with_checksum(b"\2\0", mtu + quoted[: _QUOTED[ICMPV6]], ICMPV6)

    def _with_checksum(self, before: bytes, after: bytes, protocol: int) -> bytes:
        length = len(before) + 2 + len(after)
        pseudo = self.source.address + self.destination.address
        pseudo += length.to_bytes(4, "big") + protocol.to_bytes(4, "big")
        checksum = internet_checksum(pseudo + before + b"\0\0" + after)
        return before + checksum.to_bytes(2, "big") + after
