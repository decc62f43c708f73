"""What becomes of packets between raw sockets and terminals; tests/netns has the kernel's part."""

import errno
import socket
from struct import pack

import pytest
from faulty_sockets import FaultySocket
from terminals import AH_TO_OTHER

from scapy_mobsec.drivers.live.datagram_socket import new_socket
from scapy_mobsec.drivers.live.error_queue import IP_RECVERR, ORIGIN_ICMP
from scapy_mobsec.drivers.live.raw_sockets import AhSocket, EspSocket
from scapy_mobsec.esp.ah import InboundAh, OutboundAh
from scapy_mobsec.packet.ip import ESP, build_ip, parse_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path

NOTHING = BlockingIOError()
FAMILIES = {
    4: (Endpoint.of("198.51.100.2"), Endpoint.of("203.0.113.2")),
    16: (Endpoint.of("2001:db8::2"), Endpoint.of("2001:db8:1::2")),
}
AH_NUMBER = 51


@pytest.fixture
def stand_in(heard):
    """Make a raw socket's class on a UDP socket, which answers what a raw one would."""
    opened = []

    def make(kind, family):
        local = Endpoint.of("127.0.0.1" if family == 4 else "::1")
        raw = FaultySocket(new_socket(socket.SOCK_DGRAM, socket.IPPROTO_UDP, local))
        opened.append(kind(raw, Endpoint(bytes(family)), heard.owner))
        return opened[-1], raw

    yield make
    for each in opened:
        each.close()


def message(octets, local, remote, *extensions):
    """What `recvmsg` returns for a packet that came."""
    if len(local.address) == 4:
        information = socket.IPPROTO_IP, 8, pack("=I4s4s", 1, local.address, local.address)
        return octets, [information], 0, (str(remote), 0)
    information = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, local.address + pack("=I", 1)
    return octets, [information, *extensions], 0, (str(remote), 0, 0, 0)


def sealed(source, destination):
    return OutboundAh(AH_TO_OTHER).seal(b"payload", 59, source.address, destination.address)


@pytest.mark.parametrize("family", FAMILIES)
def test_esp_that_came(heard, stand_in, family):
    esp, raw = stand_in(EspSocket, family)
    local, remote = FAMILIES[family]
    octets = b"an ESP packet"
    if family == 4:
        octets = build_ip(remote.address, local.address, ESP, octets)
    raw.script("recvmsg", message(octets, local, remote), NOTHING)
    esp._readable()
    assert heard.came == [(b"an ESP packet", Path(Encapsulation.NATIVE, local, remote))]


@pytest.mark.parametrize("family", FAMILIES)
def test_ah_that_came_opens(heard, stand_in, family):
    ah, raw = stand_in(AhSocket, family)
    local, remote = FAMILIES[family]
    packet = sealed(remote, local)
    octets = packet if family == 4 else packet[40:]
    raw.script("recvmsg", message(octets, local, remote), NOTHING)
    ah._readable()
    ((data, path),) = heard.came
    assert path == Path(Encapsulation.NATIVE, local, remote, ah=True)
    assert InboundAh(AH_TO_OTHER).open(data).payload == b"payload"


def test_ah_behind_extension_headers(heard, stand_in):
    ah, raw = stand_in(AhSocket, 16)
    local, remote = FAMILIES[16]
    option = bytes((1, 4, 0, 0, 0, 0))
    hop_by_hop, destination = bytes((60, 0)) + option, bytes((AH_NUMBER, 0)) + option
    extensions = (
        (socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, hop_by_hop),
        (socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, destination),
    )
    packet = sealed(remote, local)
    raw.script("recvmsg", message(packet[40:], local, remote, *extensions), NOTHING)
    ah._readable()
    ((data, _),) = heard.came
    assert data[6] == 0
    assert data[40:] == hop_by_hop + destination + packet[40:]
    assert parse_ip(data).protocol == AH_NUMBER


@pytest.mark.parametrize("family", FAMILIES)
def test_ah_that_is_sent(stand_in, family):
    ah, raw = stand_in(AhSocket, family)
    local, remote = FAMILIES[family]
    packet, sent = sealed(local, remote), []
    raw.real.close()
    raw.real = Recording(sent)
    ah.send(packet, Path(Encapsulation.NATIVE, local, remote, ah=True))
    ((octets, ancillary, address),) = sent
    assert octets == (packet if family == 4 else packet[40:])
    assert local.address in ancillary[0][2]
    assert address == (str(remote), 0)


class Recording:
    """A socket that keeps what it is to send."""

    def __init__(self, sent):
        self.sent = sent

    def sendmsg(self, octets, ancillary, flags, address):
        self.sent.append((b"".join(octets), ancillary, address))

    def fileno(self):
        return -1


@pytest.mark.parametrize("kind", [EspSocket, AhSocket])
def test_what_a_notice_quotes_is_told_from_the_header_of_esp_or_ah_on(heard, stand_in, kind):
    carrier, raw = stand_in(kind, 4)
    local, remote = FAMILIES[4]
    quoted = b"ESP" if kind is EspSocket else sealed(local, remote)
    value = pack("=IBBBxII", errno.EMSGSIZE, ORIGIN_ICMP, 3, 4, 1300, 0)
    _, information, flags, address = message(b"", local, remote)
    ancillary = [*information, (socket.IPPROTO_IP, IP_RECVERR, value)]
    raw.script("recvmsg", (quoted, ancillary, flags, address), NOTHING)
    carrier._take_notices()
    ((mtu, path, payload),) = heard.too_big
    assert (mtu, path.local, path.remote) == (1300, local, remote)
    assert payload == (quoted if kind is EspSocket else quoted[20:])
