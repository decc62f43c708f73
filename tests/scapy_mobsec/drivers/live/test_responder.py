"""What the small host inside answers, and what it calls that which it does not."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.packet import Raw

from scapy_mobsec.drivers.live.responder import Ignored, Responder
from scapy_mobsec.packet.icmp import echo_reply
from scapy_mobsec.packet.path import Endpoint

HERE4, HERE6 = "10.10.0.1", "2001:db8::1"
V4 = {"src": "10.10.1.1", "dst": HERE4}
V6 = {"src": "2001:db8::2", "dst": HERE6}


@pytest.fixture
def answers():
    return []


@pytest.fixture
def responder(answers):
    here = [Endpoint.of(each).address for each in (HERE4, HERE6)]
    responder = Responder(here, answers.append)
    yield responder
    responder.close()


@pytest.mark.parametrize("packet", [IP(**V4) / ICMP(), IPv6(**V6) / ICMPv6EchoRequest()], ids=repr)
def test_pings(responder, answers, packet):
    responder.write(bytes(packet))
    assert answers == [echo_reply(bytes(packet))]
    assert not responder.ignored


@pytest.mark.parametrize("ip", [IP(**V4), IPv6(**V6)], ids=repr)
def test_udp_echo(responder, answers, ip):
    responder.write(bytes(ip / UDP(sport=1234, dport=7) / Raw(b"hello")))
    (answer,) = answers
    back = type(ip)(answer)
    assert (back.src, back.dst) == (ip.dst, ip.src)
    assert (back[UDP].sport, back[UDP].dport, back[Raw].load) == (7, 1234, b"hello")
    checksum = back[UDP].chksum
    del back[UDP].chksum
    assert type(ip)(bytes(back))[UDP].chksum == checksum


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (bytes(IP(src="10.10.1.1", dst="10.10.0.2") / ICMP()), Ignored.OTHER_DESTINATION),
        (bytes(IP(**V4) / TCP()), Ignored.NO_ECHO),
        (bytes(IP(**V4) / UDP(sport=1, dport=8)), Ignored.NO_ECHO),
        (bytes(IP(**V4) / UDP(sport=7, dport=7)), Ignored.NO_ECHO),
        (bytes(IP(**V4, flags="MF") / UDP(sport=1, dport=7)), Ignored.NO_ECHO),
        (bytes(IP(**V4) / UDP(sport=1, dport=7, chksum=1)), Ignored.MALFORMED),
        (b"\x45", Ignored.MALFORMED),
        (b"", Ignored.MALFORMED),
    ],
)
def test_ignored_by_name(responder, answers, packet, why):
    responder.write(packet)
    assert responder.ignored == {why: 1}
    assert not answers
