"""Which TCP segments may begin something, and between which ports they go."""

import pytest

from scapy_mobsec.drivers.memory.packet import ACK, SYN, Packet, TcpFields
from scapy_mobsec.observer.stream_ports import begins_stream, ports_of
from scapy_mobsec.packet.ip import TCP, parse_ip
from scapy_mobsec.packet.path import Endpoint

ENDS = Endpoint.of("10.0.0.2", 999), Endpoint.of("203.0.113.2", 22)


def segment(flags, octets=b""):
    return parse_ip(Packet(TCP, *ENDS, octets, TcpFields(flags, 1, 1)).octets()).payload


@pytest.mark.parametrize(
    ("octets", "begins"),
    [
        (segment(SYN), True),
        (segment(SYN | ACK), True),
        (segment(ACK, b"IKETCP\0\2"), True),
        (segment(ACK, b"xIKETCP"), False),
        (segment(ACK, b"IKE"), False),
        (segment(ACK), False),
        (segment(SYN)[:13], False),
        (b"", False),
    ],
)
def test_what_may_begin_a_stream(octets, begins):
    assert begins_stream(octets) is begins


def test_ports_of_whole_and_cut_segments():
    assert ports_of(segment(ACK)) == (999, 22)
    assert ports_of(b"") == (0, 0)
