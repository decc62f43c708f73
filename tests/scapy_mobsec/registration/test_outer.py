import pytest

from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import (
    AhHeader,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
    UdpHeader,
)
from scapy_mobsec.registration.outer import carrier_of, describe, describe_ah

A, B = Endpoint.of("10.0.0.2", 4500), Endpoint.of("203.0.113.2", 4501)
A6, B6 = Endpoint.of("2001:db8::1", 5), Endpoint.of("2001:db8::2", 6)
CONNECT = HttpHeader("CONNECT", "y:443", "")
GET, POST = (HttpHeader(method, "y", "/") for method in ("GET", "POST"))


def test_describe():
    four, six = Ipv4Header(A.address, B.address), Ipv6Header(A6.address, B6.address)
    assert describe(Encapsulation.UDP, A, B, 7) == (four, UdpHeader(4500, 4501), EspHeader(7))
    assert describe(Encapsulation.UDP, A6, B6, 7) == (six, UdpHeader(5, 6), EspHeader(7))
    assert describe(Encapsulation.NATIVE, A, B, 7) == (four, EspHeader(7))


def test_a_stream_is_described_with_what_lies_between_tcp_and_esp():
    four, tcp, tls = (
        Ipv4Header(A.address, B.address),
        TcpHeader(4500, 4501),
        TlsHeader(bytes(32), "y"),
    )
    assert describe(Encapsulation.TCP, A, B, 7) == (four, tcp, EspHeader(7))
    for encapsulation, headers in (
        (Encapsulation.TCP, ()),
        (Encapsulation.TLS, (tls,)),
        (Encapsulation.TLS, (CONNECT, tls)),
        (Encapsulation.HTTP, (GET,)),
        (Encapsulation.HTTP, (CONNECT, tls, GET)),
        (Encapsulation.HTTP_POST, (POST,)),
        (Encapsulation.HTTP_POST, (tls, POST)),
    ):
        description = describe(encapsulation, A, B, 7, headers)
        assert description == (four, tcp, *headers, EspHeader(7))
        assert carrier_of(description) is encapsulation


def test_carrier_of():
    four, six = Ipv4Header(bytes(4), bytes(4)), Ipv6Header(bytes(16), bytes(16))
    for ip in (four, six):
        assert carrier_of((ip, UdpHeader(1, 2), EspHeader(3))) is Encapsulation.UDP
        assert carrier_of((ip, EspHeader(3))) is Encapsulation.NATIVE
    assert carrier_of((four, UdpHeader(1, 2), UdpHeader(1, 2), EspHeader(3))) is None


def test_ah_is_no_carrier_of_esp():
    four = describe_ah(A, B, 7)
    assert four == (Ipv4Header(A.address, B.address), AhHeader(7))
    assert describe_ah(A6, B6, 7) == (Ipv6Header(A6.address, B6.address), AhHeader(7))
    assert carrier_of(four) is None


@pytest.mark.parametrize(
    "description",
    [
        (),
        (EspHeader(3),),
        (UdpHeader(1, 2), UdpHeader(1, 2), EspHeader(3)),
        (Ipv4Header(bytes(4), bytes(4)), UdpHeader(1, 2), AhHeader(3)),
    ],
)
def test_what_does_not_run_from_ip_to_esp_has_no_carrier(description):
    assert carrier_of(description) is None
