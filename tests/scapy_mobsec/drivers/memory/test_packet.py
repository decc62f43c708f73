"""Packets as a capture shows them: every checksum is right."""

import pytest
from wires import CLIENT, SERVER, a_packet

from scapy_mobsec.drivers.memory.links import too_big
from scapy_mobsec.drivers.memory.packet import ACK, PSH, Packet, TcpFields
from scapy_mobsec.packet.ip import ESP, TCP, UDP, internet_checksum, parse_ip, parse_udp
from scapy_mobsec.packet.path import Endpoint

CLIENT6, SERVER6 = Endpoint.of("2001:db8::2", 4500), Endpoint.of("2001:db8:1::2", 443)
FAMILIES = pytest.mark.parametrize("ends", [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids="46")


def pseudo_sum(ip):
    length = len(ip.payload).to_bytes(4, "big")
    head = ip.source + ip.destination + length + ip.protocol.to_bytes(4, "big")
    return internet_checksum(head + ip.payload)


@FAMILIES
def test_udp(ends):
    packet = a_packet(*ends)
    ip = parse_ip(packet.octets())
    assert parse_udp(ip, verify=True).payload == b"payload"
    assert packet.length == len(packet.octets())
    assert parse_ip(packet._replace(checksum=False).octets()).payload[6:8] == b"\0\0"


@FAMILIES
def test_tcp(ends):
    fields = TcpFields(PSH | ACK, (1 << 32) + 0x80000005, 7)
    packet = Packet(TCP, *ends, b"octets", fields)
    ip = parse_ip(packet.octets())
    assert pseudo_sum(ip) == 0
    assert ip.payload[:2] == ends[0].port.to_bytes(2, "big")
    assert ip.payload[4:14] == b"\x80\0\0\5\0\0\0\7\x50\x18"
    assert ip.payload[20:] == b"octets"
    assert packet.length == len(packet.octets())


def test_native():
    ip = parse_ip(a_packet(protocol=ESP).octets())
    assert (ip.protocol, ip.payload) == (ESP, b"payload")


@FAMILIES
def test_notice(ends):
    original = a_packet(*ends, bytes(2000))
    ip = parse_ip(too_big(original, 1400).octets())
    assert (ip.source, ip.destination) == (ends[1].address, ends[0].address)
    if len(ip.source) == 4:
        assert (ip.payload[:2], internet_checksum(ip.payload)) == (b"\3\4", 0)
    else:
        assert (ip.payload[:2], pseudo_sum(ip)) == (b"\2\0", 0)
    assert ip.payload[4:8] == (1400).to_bytes(4, "big")
    assert ip.payload[8:] == original.octets()[: len(ip.payload) - 8]
    assert a_packet().protocol == UDP
