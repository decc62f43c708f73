"""TCP segments (RFC 9293 section 3.1) on bytes: parse with named drops.

The checksum is not checked: a capture on the sending host shows the segment before the network card
filled it in.
"""

import struct
from enum import IntFlag
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import TCP, IpPacket

_TCP = struct.Struct("!HHIIBB6x")


class TcpFlag(IntFlag):
    """The control bits that matter here."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


class TcpSegment(NamedTuple):
    """One TCP segment, a tuple, as it is made per packet. flags: all eight control bits."""

    source_port: int
    destination_port: int
    sequence: int
    flags: int
    payload: bytes = b""


def parse_tcp(ip: IpPacket) -> TcpSegment:
    """Parse the TCP segment of a whole IP packet; options are skipped.

    Raises Drop(MALFORMED_TCP).
    """
    data = ip.payload
    if ip.protocol != TCP or ip.is_fragment or len(data) < _TCP.size:
        raise Drop(DropReason.MALFORMED_TCP, "no whole TCP header")
    source_port, destination_port, sequence, _, offset, flags = _TCP.unpack_from(data)
    header_length = (offset >> 4) * 4
    if not _TCP.size <= header_length <= len(data):
        raise Drop(DropReason.MALFORMED_TCP, f"data offset {header_length} of {len(data)} octets")
    return TcpSegment(source_port, destination_port, sequence, flags, data[header_length:])
