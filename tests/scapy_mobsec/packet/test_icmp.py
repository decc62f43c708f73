"""Echo and "packet too big" of both families, with Scapy's layers as the oracle."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    IPv6,
)
from scapy.packet import Raw

from scapy_mobsec.drops import Drop
from scapy_mobsec.packet.icmp import echo_reply, echo_request, packet_too_big

V4 = {"src": "10.10.1.1", "dst": "10.10.2.1"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}
PACKED4 = bytes([10, 10, 1, 1]), bytes([10, 10, 2, 1])
PACKED6 = tuple(bytes.fromhex("20010db8" + "00" * 11 + last) for last in ("01", "02"))
LONG = Random(1).randbytes(1500)


def back(ends):
    return {"src": ends["dst"], "dst": ends["src"]}


def test_requests_are_those_of_scapy():
    data = Raw(bytes(range(48)))
    v4 = IP(**V4, id=0, flags="DF") / ICMP(id=0x1234, seq=7) / data
    v6 = IPv6(**V6) / ICMPv6EchoRequest(id=0x1234, seq=7) / data
    assert echo_request(*PACKED4, 7) == bytes(v4)
    assert echo_request(*PACKED6, 7) == bytes(v6)


@given(identification=st.integers(0, 0xFFFF), sequence=st.integers(0, 0xFFFF), data=st.binary())
def test_replies_are_those_of_scapy(identification, sequence, data):
    fields = {"id": identification, "seq": sequence}
    asked = IP(**V4) / ICMP(**fields) / Raw(data)
    answer = IP(**back(V4), id=0, flags="DF") / ICMP(type=0, **fields) / Raw(data)
    assert echo_reply(bytes(asked)) == bytes(answer)
    asked = IPv6(**V6) / ICMPv6EchoRequest(**fields) / Raw(data)
    answer = IPv6(**back(V6)) / ICMPv6EchoReply(**fields) / Raw(data)
    assert echo_reply(bytes(asked)) == bytes(answer)


@pytest.mark.parametrize(
    "packet",
    [
        IP(**V4) / ICMP(type=0),
        IP(**V4) / ICMP(type=8, code=1),
        IP(**V4) / ICMP(chksum=1),
        IP(**V4, flags="MF") / ICMP(),
        IP(**V4, proto=1) / Raw(bytes(7)),
        IP(**V4, proto=58) / Raw(bytes(ICMPv6EchoRequest())),
        IPv6(**V6) / ICMPv6EchoReply(),
        IPv6(**V6) / ICMPv6EchoRequest(cksum=1),
        IP(**V4) / UDP(),
    ],
    ids=repr,
)
def test_all_else_is_not_answered(packet):
    assert echo_reply(bytes(packet)) is None


def test_what_is_no_packet():
    with pytest.raises(Drop):
        echo_reply(b"\x45")


def test_too_big_for_ipv4():
    packet = bytes(IP(**V4, flags="DF") / UDP(sport=1, dport=2) / Raw(LONG))
    told = bytes(
        IP(**back(V4), id=0, flags="DF")
        / ICMP(type=3, code=4, nexthopmtu=1300)
        / Raw(packet[: 576 - 28])
    )
    assert packet_too_big(packet, 1300) == told
    assert len(told) == 576


def test_too_big_for_ipv6():
    packet = bytes(IPv6(**V6) / UDP(sport=1, dport=2) / Raw(LONG))
    told = bytes(IPv6(**back(V6)) / ICMPv6PacketTooBig(mtu=1300) / Raw(packet[: 1280 - 48]))
    assert packet_too_big(packet, 1300) == told
    assert len(told) == 1280


@pytest.mark.parametrize(
    "packet",
    [
        IP(**V4) / ICMP(type=3) / Raw(LONG),
        IP(**V4) / ICMP(type=11) / Raw(LONG),
        IP(**V4, frag=10) / Raw(LONG),
        IP(src="0.0.0.0", dst="10.10.2.1") / UDP() / Raw(LONG),
        IP(src="10.10.1.1", dst="239.0.0.1") / UDP() / Raw(LONG),
        IP(src="10.10.1.1", dst="255.255.255.255") / UDP() / Raw(LONG),
        IPv6(**V6) / ICMPv6PacketTooBig() / Raw(LONG),
        IPv6(src="::", dst="2001:db8::1") / ICMPv6ND_NS() / Raw(LONG),
        IPv6(src="2001:db8::1", dst="ff02::1") / UDP() / Raw(LONG),
    ],
    ids=repr,
)
def test_nothing_is_told_of_errors_fragments_and_groups(packet):
    assert packet_too_big(bytes(packet), 1300) is None


def test_pings_that_are_too_long_are_told():
    assert packet_too_big(bytes(IP(**V4) / ICMP() / Raw(LONG)), 1300)
    assert packet_too_big(bytes(IPv6(**V6) / ICMPv6EchoRequest() / Raw(LONG)), 1300)


@given(packet=st.binary(max_size=100), mtu=st.integers(0, 0xFFFF))
def test_any_octets_do(packet, mtu):
    packet_too_big(packet, mtu)
