"""Registration messages to edit."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from sessions import run_examples
from terminals import a_request

from contrib_layers import RREQ, Attempt, Home, Sent, UDPHeader
from scapy_mobsec.drivers.live.crafting import craft_rreq, inner_message, message_packet
from scapy_mobsec.drivers.simulation import HOME, SIGNALLING
from scapy_mobsec.packet.ip import parse_ip, parse_udp
from scapy_mobsec.registration.messages import build_request, parse_request

KEYS = {"crypt_algo": "AES-GCM", "crypt_key": bytes(20)}


def message_in(packet):
    return parse_request(parse_udp(parse_ip(bytes(packet)), verify=True).payload)


def test_examples(tmp_path):
    assert run_examples("scapy_mobsec.drivers.live.crafting", tmp_path)


@pytest.mark.parametrize("ends", [(HOME, SIGNALLING), (bytes(15) + b"\1", bytes(15) + b"\2")])
def test_a_packet_has_the_octets_of_its_message(ends):
    message = build_request(a_request())
    packet = message_packet(*ends, message)
    assert bytes(packet) == inner_message(*ends, message)
    assert isinstance(packet, IP if len(ends[0]) == 4 else IPv6)


def test_what_is_longer_than_before_is_whole():
    packet = message_packet(HOME, SIGNALLING, build_request(a_request()))
    packet[RREQ].extensions.append(Home(address="2001:db8::1"))
    packet[Sent].headers[1].sport = 31337
    packet[Sent].headers.insert(2, UDPHeader(sport=1, dport=2))
    request = message_in(packet)
    assert len(request.sent) == 4
    assert request.home[:4] == b"\x20\x01\x0d\xb8"
    assert request.sent[1].source_port == 31337


def test_what_is_set_stays_so():
    packet = message_packet(HOME, SIGNALLING, build_request(a_request()))
    packet[UDP].chksum = 0x1234
    assert IP(bytes(packet))[UDP].chksum == 0x1234


@pytest.mark.parametrize("udp", [UDP(sport=5000, dport=4500), None])
def test_a_request_without_a_session(udp):
    tunnel = IP(src="10.0.0.2", dst="203.0.113.2")
    sa = SecurityAssociation(ESP, 0x1001, tunnel_header=tunnel, nat_t_header=udp, **KEYS)
    packet = craft_rreq(sa, "10.10.1.1", "10.10.0.1", attempt=9, identification=77, lifetime=60)
    request = message_in(packet)
    assert (request.attempt.number, request.identification, request.lifetime) == (9, 77, 60)
    names = [type(header).__name__ for header in packet[Sent].headers]
    assert names == ["IPv4Header", *(["UDPHeader"] if udp else []), "ESPHeader"]
    sealed = sa.encrypt(packet)
    assert sa.decrypt(IP(bytes(sealed)))[RREQ].joined(Attempt).number == 9


def test_a_request_needs_a_tunnel():
    with pytest.raises(ValueError, match="tunnel_header"):
        craft_rreq(SecurityAssociation(ESP, 1, **KEYS), "10.10.1.1", "10.10.0.1")
