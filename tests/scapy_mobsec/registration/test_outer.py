import pytest

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EspHeader, Ipv4Header, Ipv6Header, UdpHeader
from scapy_mobsec.registration.outer import carrier_of, describe

A, B = Endpoint.of("10.0.0.2", 4500), Endpoint.of("203.0.113.2", 4501)
A6, B6 = Endpoint.of("2001:db8::1", 5), Endpoint.of("2001:db8::2", 6)


def test_describe():
    four, six = Ipv4Header(A.address, B.address), Ipv6Header(A6.address, B6.address)
    assert describe(Encapsulation.UDP, A, B, 7) == (four, UdpHeader(4500, 4501), EspHeader(7))
    assert describe(Encapsulation.UDP, A6, B6, 7) == (six, UdpHeader(5, 6), EspHeader(7))
    assert describe(Encapsulation.NATIVE, A, B, 7) == (four, EspHeader(7))


def test_other_carriers_are_not_described_yet():
    with pytest.raises(Drop) as caught:
        describe(Encapsulation.TLS, A, B, 7)
    assert caught.value.reason is DropReason.UNKNOWN_CARRIER


def test_carrier_of():
    four, six = Ipv4Header(bytes(4), bytes(4)), Ipv6Header(bytes(16), bytes(16))
    for ip in (four, six):
        assert carrier_of((ip, UdpHeader(1, 2), EspHeader(3))) is Encapsulation.UDP
        assert carrier_of((ip, EspHeader(3))) is Encapsulation.NATIVE
    assert carrier_of((four, UdpHeader(1, 2), UdpHeader(1, 2), EspHeader(3))) is None
