import pytest

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.observer.outer import Outer, carried_by_ah, classify, esp_behind_ah
from scapy_mobsec.packet.ip import build_ip, build_udp, parse_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import (
    AhHeader,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    UdpHeader,
)

A, B = (Endpoint.of(text).address for text in ("192.0.2.1", "203.0.113.2"))
A6, B6 = (Endpoint.of(text).address for text in ("2001:db8::1", "2001:db8::2"))
ESP = (0x1001).to_bytes(4) + bytes(28)
IKE = bytes(range(28))


def datagram(payload, source_port=4500, destination_port=4500, source=A, destination=B):
    udp = build_udp(source, destination, source_port, destination_port, payload)
    return parse_ip(build_ip(source, destination, 17, udp))


def look(ip, known_spis=(), known_flow=False):
    return classify(ip, known_spis.__contains__, lambda outer: known_flow)


@pytest.mark.parametrize(
    ("ip", "content", "octets"),
    [
        (parse_ip(build_ip(A, B, 50, ESP)), Content.ESP, ESP),
        (datagram(ESP), Content.ESP, ESP),
        (datagram(ESP, 1024), Content.ESP, ESP),
        (datagram(bytes(4) + IKE), Content.IKE, IKE),
        (datagram(IKE, 500, 500), Content.IKE, IKE),
        (datagram(b"\xff"), Content.KEEPALIVE, b""),
    ],
)
def test_what_is_carried(ip, content, octets):
    carried = look(ip)
    assert (carried.content, carried.octets) == (content, octets)


def test_what_lies_between_tcp_and_esp_is_described():
    outer = Outer(Encapsulation.HTTP, A, 40_000, B, 80)
    headers = (HttpHeader("", "", "101"),)
    tcp = TcpHeader(40_000, 80)
    assert outer.description(7, headers) == (Ipv4Header(A, B), tcp, *headers, EspHeader(7))


def test_on_another_port_a_known_spi_or_a_known_flow_shows_esp():
    ip = datagram(ESP, 1024, 2048)
    assert look(ip) is None
    assert look(ip, known_spis=[0x1001]).content is Content.ESP
    assert look(ip, known_flow=True).content is Content.ESP


def test_other_traffic_is_left_alone():
    assert look(parse_ip(build_ip(A, B, 6, bytes(20)))) is None
    assert look(datagram(b"dns", 53, 1024)) is None


@pytest.mark.parametrize(
    ("payload", "port", "reason"),
    [
        (bytes(4) + bytes(27), 4500, DropReason.MALFORMED_IKE),
        (bytes(27), 500, DropReason.MALFORMED_IKE),
        (b"\xfe", 4500, DropReason.TRUNCATED),
    ],
)
def test_malformed(payload, port, reason):
    with pytest.raises(Drop) as caught:
        look(datagram(payload, port, port))
    assert caught.value.reason is reason


def test_description():
    native = look(parse_ip(build_ip(A6, B6, 50, ESP))).outer
    assert native.description(7) == (Ipv6Header(A6, B6), EspHeader(7))
    udp = look(datagram(ESP, 1024)).outer
    assert udp.description(7) == (Ipv4Header(A, B), UdpHeader(1024, 4500), EspHeader(7))


def test_ah():
    packet = build_ip(A, B, 51, bytes(12))
    carried = carried_by_ah(parse_ip(packet), packet)
    outer = carried.outer
    assert (carried.content, carried.octets) == (Content.ESP, packet)
    assert str(outer) == "ah 192.0.2.1 > 203.0.113.2"
    assert outer.description(7) == (Ipv4Header(A, B), AhHeader(7))
    assert str(outer.reversed()) == "ah 203.0.113.2 > 192.0.2.1"


def test_esp_behind_ah_is_as_if_native():
    for next_header in (50, 4):
        packet = build_ip(A, B, 51, bytes((next_header, 1)) + bytes(10) + ESP)
        esp = esp_behind_ah(carried_by_ah(parse_ip(packet), packet))
        assert (esp is None) is (next_header == 4)
        if esp:
            assert esp == look(parse_ip(build_ip(A, B, 50, ESP)))


@pytest.mark.parametrize(("source", "destination"), [(A, B), (A6, B6)], ids=["IPv4", "IPv6"])
def test_padding_of_the_link_layer_is_none_of_ah(source, destination):
    packet = build_ip(source, destination, 51, bytes(12))
    octets = packet + b"padding"
    assert carried_by_ah(parse_ip(octets), octets).octets == packet


def test_what_carries_tells_pairs_apart():
    ends = A, 4500, B, 4500
    pairs = {Outer(each, *ends).pair for each in Encapsulation}
    pairs.add(Outer(Encapsulation.NATIVE, *ends, ah=True).pair)
    assert len(pairs) == len(Encapsulation) + 1


def test_the_pair_has_no_direction():
    there = look(datagram(ESP, 1024)).outer
    back = look(datagram(ESP, 4500, 1024, B, A)).outer
    assert there.pair == back.pair
    assert there.reversed() == back
    assert there.encapsulation is Encapsulation.UDP


@pytest.mark.parametrize("packet", [datagram(ESP, 1024), parse_ip(build_ip(A, B, 50, ESP))])
def test_the_same_headers_are_the_same_object(packet):
    outer = look(packet).outer
    assert look(packet).outer is outer
    assert outer.pair is outer.pair
    assert outer.reversed() is outer.reversed()
    assert outer == Outer(*outer)
    assert outer != outer._replace(ah=True)
    assert outer._replace(ah=True).pair != outer.pair
