"""TCP headers: as Scapy builds them, cut off, with impossible offsets."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import IpPacket, parse_ip
from scapy_mobsec.packet.tcp import TcpFlag, TcpSegment, parse_tcp

ENDS = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2])


def test_as_scapy_builds_it_with_options():
    options = [("MSS", 1460), ("NOP", None), ("WScale", 7)]
    tcp = TCP(sport=40_000, dport=4500, seq=1 << 31, flags="SA", options=options)
    packet = bytes(IP(src="192.0.2.1", dst="198.51.100.2") / tcp / Raw(b"IKETCP"))
    flags = TcpFlag.SYN | TcpFlag.ACK
    assert parse_tcp(parse_ip(packet)) == TcpSegment(40_000, 4500, 1 << 31, flags, b"IKETCP")


@pytest.mark.parametrize("offset", [0, 4, 6, 15])
def test_an_impossible_data_offset(offset):
    octets = bytes(12) + bytes([offset << 4]) + bytes(9)
    with pytest.raises(Drop) as drop:
        parse_tcp(IpPacket(*ENDS, 6, octets))
    assert drop.value.reason is DropReason.MALFORMED_TCP


@given(st.binary(max_size=80))
def test_any_octets_parse_or_are_dropped(octets):
    with contextlib.suppress(Drop):
        assert octets.endswith(parse_tcp(IpPacket(*ENDS, 6, octets)).payload)


@pytest.mark.parametrize("change", [{"protocol": 17}, {"more_fragments": True}])
def test_what_is_no_whole_segment(change):
    fields = {"protocol": 6, "payload": bytes(12) + b"\x50" + bytes(7), **change}
    with pytest.raises(Drop):
        parse_tcp(IpPacket(*ENDS, **fields))
