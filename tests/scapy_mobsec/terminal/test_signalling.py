"""What all modes share: the UDP datagram of a registration."""

import pytest
from terminals import HOME, SIGNALLING

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import IpPacket, build_udp
from scapy_mobsec.terminal.signalling import (
    build_signalling,
    if_ipv4,
    is_signalling,
    parse_signalling,
)


def test_there_and_back():
    datagram = build_signalling(HOME, SIGNALLING, b"message")
    assert is_signalling(datagram)
    assert parse_signalling(IpPacket(HOME, SIGNALLING, 17, datagram)) == b"message"


def test_from_another_port():
    datagram = build_udp(HOME, SIGNALLING, 1024, 434, b"message")
    with pytest.raises(Drop) as caught:
        parse_signalling(IpPacket(HOME, SIGNALLING, 17, datagram))
    assert caught.value.reason is DropReason.OUTSIDE_POLICY


def test_other_ports_are_data():
    assert not is_signalling(build_udp(HOME, SIGNALLING, 434, 435, b""))
    assert not is_signalling(b"\1\xb2\1")


def test_the_fixed_part_has_only_ipv4_addresses():
    assert if_ipv4(HOME) == HOME
    assert if_ipv4(bytes(15) + b"1") == bytes(4)
