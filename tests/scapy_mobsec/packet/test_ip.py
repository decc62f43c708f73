"""IPv4, IPv6 and UDP on bytes, with Scapy's layers as the oracle."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, IPOption
from scapy.layers.inet6 import (
    MIP6MH_BU,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.packet import Raw
from scapy.utils import checksum

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import (
    IpPacket,
    UdpDatagram,
    addresses,
    build_ip,
    build_plain_udp,
    build_udp,
    internet_checksum,
    parse_ip,
    parse_udp,
    plain_udp,
)

V4 = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2])
V6 = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 11 + "02")
FAMILIES = pytest.mark.parametrize(("source", "destination"), [V4, V6], ids=["IPv4", "IPv6"])


def ipv6(protocol: int, rest: bytes, length: int | None = None) -> bytes:
    payload_length = len(rest) if length is None else length
    return struct.pack("!IHBB", 6 << 28, payload_length, protocol, 64) + V6[0] + V6[1] + rest


def refused(data: bytes) -> DropReason:
    with pytest.raises(Drop) as drop:
        parse_ip(data)
    return drop.value.reason


class TestChecksum:
    def test_example_of_rfc_1071(self):
        # section 3: the sum of these words is ddf2
        assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2

    @pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 7])
    def test_zero_octets_sum_up_to_zero(self, data):
        assert internet_checksum(data) == 0xFFFF

    @pytest.mark.parametrize("data", [b"\xff\xff", b"\xff\xff" * 3, b"\x12\x34\xed\xcb"])
    def test_a_sum_of_all_ones_gives_zero(self, data):
        assert internet_checksum(data) == 0

    @given(st.binary(max_size=200))
    def test_as_scapy_computes_it(self, data):
        assert internet_checksum(data) == checksum(data)


class TestIpv4:
    def test_fields_of_a_packet_that_scapy_built(self):
        packet = IP(src="192.0.2.1", dst="198.51.100.2", ttl=9, id=77, proto=50) / b"payload"
        assert parse_ip(bytes(packet)) == IpPacket(*V4, 50, b"payload", 9, 77)

    def test_options_are_stepped_over(self):
        packet = IP(options=[IPOption(b"\x94\x04\0\0")], proto=50) / b"payload"
        assert parse_ip(bytes(packet)).payload == b"payload"

    def test_fragment_fields(self):
        first = parse_ip(bytes(IP(flags="MF", frag=0, id=7, proto=17) / bytes(8)))
        last = parse_ip(bytes(IP(frag=3, id=7, proto=17) / bytes(3)))
        whole = parse_ip(bytes(IP(flags="DF", proto=17) / bytes(3)))
        assert (first.fragment_offset, first.more_fragments, first.is_fragment) == (0, True, True)
        assert (last.fragment_offset, last.more_fragments, last.is_fragment) == (24, False, True)
        assert not whole.is_fragment

    def test_link_padding_is_cut_off(self):
        assert parse_ip(build_ip(*V4, 50, b"abc") + bytes(20)).payload == b"abc"

    def test_wrong_header_checksum_is_accepted(self):
        data = bytearray(build_ip(*V4, 50, b"abc"))
        data[10:12] = b"\0\0"
        assert parse_ip(bytes(data)).payload == b"abc"

    def test_total_length_zero_means_the_octets_there_are(self):
        data = bytearray(build_ip(*V4, 6, bytes(3000)))
        data[2:4] = b"\0\0"
        assert parse_ip(bytes(data)).payload == bytes(3000)

    @pytest.mark.parametrize("length", [0, 1, 19])
    def test_header_cut_off(self, length):
        assert refused(build_ip(*V4, 50, b"")[:length]) is DropReason.TRUNCATED

    def test_packet_cut_off(self):
        assert refused(build_ip(*V4, 50, b"abc")[:-1]) is DropReason.TRUNCATED

    def test_options_cut_off(self):
        assert refused(b"\x4f" + build_ip(*V4, 50, b"abc")[1:]) is DropReason.MALFORMED_IP

    @pytest.mark.parametrize("first", [0x40, 0x44, 0x55, 0x00])
    def test_bad_version_or_header_length(self, first):
        data = bytes([first]) + build_ip(*V4, 50, bytes(40))[1:]
        assert refused(data) is DropReason.MALFORMED_IP

    def test_total_length_below_header_length(self):
        data = bytearray(build_ip(*V4, 50, bytes(40)))
        data[2:4] = b"\0\x13"
        assert refused(bytes(data)) is DropReason.MALFORMED_IP


class TestIpv6:
    def test_extension_headers_that_scapy_built(self):
        packet = (
            IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=3)
            / IPv6ExtHdrHopByHop()
            / IPv6ExtHdrDestOpt(options=[])
            / IPv6ExtHdrRouting(addresses=["2001:db8::3", "2001:db8::4"], segleft=0)
            / IPv6ExtHdrDestOpt()
            / UDP(sport=1, dport=2)
            / b"payload"
        )
        ip = parse_ip(bytes(packet) + bytes(9))
        assert (ip.source, ip.destination, ip.protocol, ip.hop_limit) == (*V6, 17, 3)
        assert parse_udp(ip) == UdpDatagram(1, 2, b"payload")

    @pytest.mark.parametrize("protocol", [135, 139, 140])
    def test_headers_of_signalling_are_stepped_over_where_something_follows(self, protocol):
        header = b"\x32\x01" + bytes(14)
        ip = parse_ip(ipv6(60, bytes((protocol, 0)) + bytes(6) + header + b"esp"))
        assert (ip.protocol, ip.payload) == (50, b"esp")
        alone = b"\x3b" + header[1:]
        ip = parse_ip(ipv6(protocol, alone))
        assert (ip.protocol, ip.payload) == (protocol, alone)
        assert refused(ipv6(protocol, header[:-1])) is DropReason.MALFORMED_IP
        assert parse_ip(ipv6(protocol, b"")).protocol == protocol

    def test_mobility_header_of_scapy(self):
        update = MIP6MH_BU(nh=50, seq=7, mhtime=3)
        ip = parse_ip(bytes(IPv6() / update / Raw(b"x")))
        assert (ip.protocol, ip.payload) == (50, b"x")

    def test_fragment_header(self):
        packet = IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(offset=3, m=1, id=5, nh=60)
        ip = parse_ip(bytes(packet / bytes(16)))
        assert (ip.protocol, ip.fragment_offset, ip.more_fragments) == (60, 24, True)
        assert (ip.identification, ip.payload) == (5, bytes(16))

    def test_atomic_fragment_is_a_whole_packet(self):
        ip = parse_ip(bytes(IPv6() / IPv6ExtHdrFragment(id=5) / IPv6ExtHdrDestOpt() / UDP()))
        assert (ip.protocol, len(ip.payload), ip.is_fragment) == (17, 8, False)

    def test_second_fragment_header(self):
        data = bytes(IPv6() / IPv6ExtHdrFragment() / IPv6ExtHdrFragment() / UDP())
        assert refused(data) is DropReason.MALFORMED_IP

    def test_eight_extension_headers_but_not_nine(self):
        header = b"\x3c\x00\x01\x04\0\0\0\0"
        last = b"\x32" + header[1:]
        assert parse_ip(ipv6(60, header * 7 + last + b"x")).payload == b"x"
        assert refused(ipv6(60, header * 8 + last + b"x")) is DropReason.MALFORMED_IP

    @pytest.mark.parametrize("rest", [b"", b"\x32", b"\x32\0" + bytes(5), b"\x32\1" + bytes(13)])
    def test_extension_header_cut_off(self, rest):
        assert refused(ipv6(0, rest, None if rest else 0)) is DropReason.MALFORMED_IP

    def test_fragment_header_cut_off(self):
        assert refused(ipv6(44, bytes(7))) is DropReason.MALFORMED_IP

    def test_payload_length_zero(self):
        assert parse_ip(ipv6(6, bytes(3000), 0)).payload == bytes(3000)
        assert parse_ip(ipv6(59, bytes(6), 0)).payload == b""

    @pytest.mark.parametrize("length", [1, 39, 42])
    def test_cut_off(self, length):
        assert refused(ipv6(50, b"abc")[:length]) is DropReason.TRUNCATED


class TestBuild:
    @FAMILIES
    def test_round_trip(self, source, destination):
        data = build_ip(source, destination, 50, b"abc", hop_limit=5)
        assert parse_ip(data) == IpPacket(source, destination, 50, b"abc", 5)

    def test_ipv4_as_scapy_builds_it(self):
        ours = build_ip(*V4, 1, b"abcd", hop_limit=3, identification=77)
        theirs = IP(src="192.0.2.1", dst="198.51.100.2", ttl=3, id=77, proto=1) / b"abcd"
        assert ours == bytes(theirs)

    def test_ipv4_without_identification_must_not_be_fragmented(self):
        assert IP(build_ip(*V4, 1, b"")).flags == "DF"

    def test_ipv6_as_scapy_builds_it(self):
        theirs = IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=64, nh=50) / b"abcd"
        assert build_ip(*V6, 50, b"abcd") == bytes(theirs)

    def test_what_does_not_fit(self):
        with pytest.raises(ValueError, match="octets"):
            build_ip(V4[0], V6[0], 50, b"")
        with pytest.raises(ValueError, match="do not fit"):
            build_ip(*V4, 50, bytes(65516))
        assert len(build_ip(*V6, 50, bytes(65535))) == 65575
        with pytest.raises(ValueError, match="do not fit"):
            build_ip(*V6, 50, bytes(65536))
        with pytest.raises(ValueError, match="do not fit"):
            build_udp(*V6, 1, 2, bytes(65528))


class TestUdp:
    @FAMILIES
    @given(st.binary(max_size=40), st.integers(0, 65535))
    def test_round_trip_with_a_checksum_that_holds(self, source, destination, payload, port):
        data = build_udp(source, destination, port, 4500, payload)
        ip = IpPacket(source, destination, 17, data)
        assert parse_udp(ip, verify=True) == UdpDatagram(port, 4500, payload)

    @FAMILIES
    def test_as_scapy_builds_it(self, source, destination):
        data = build_ip(
            source, destination, 17, build_udp(source, destination, 7, 4500, b"abc"),
            identification=0 if len(source) == 16 else 1,
        )  # fmt: skip
        theirs = IP(data) if len(source) == 4 else IPv6(data)
        assert theirs[UDP].payload.load == b"abc"
        del theirs[UDP].chksum
        assert bytes(theirs) == data

    @FAMILIES
    def test_checksum_of_zero_is_sent_as_ffff(self, source, destination):
        # a payload that makes up for the sum of all else
        rest = int.from_bytes(build_udp(source, destination, 1, 2, b"\0\0")[6:8], "big")
        data = build_udp(source, destination, 1, 2, rest.to_bytes(2, "big"))
        assert data[6:8] == b"\xff\xff"
        assert parse_udp(IpPacket(source, destination, 17, data), verify=True)

    @FAMILIES
    def test_wrong_checksum_is_seen_only_on_request(self, source, destination):
        data = bytearray(build_udp(source, destination, 1, 2, b"abc"))
        data[-1] ^= 1
        ip = IpPacket(source, destination, 17, bytes(data))
        assert parse_udp(ip).payload == b"abb"
        with pytest.raises(Drop) as drop:
            parse_udp(ip, verify=True)
        assert drop.value.reason is DropReason.BAD_CHECKSUM

    def test_zero_checksum_is_none_on_ipv4_and_wrong_on_ipv6(self):
        data = struct.pack("!HHHH", 1, 2, 11, 0) + b"abc"
        assert parse_udp(IpPacket(*V4, 17, data), verify=True).payload == b"abc"
        rest = build_udp(*V6, 1, 2, b"\0\0")[6:8]
        data = struct.pack("!HHHH", 1, 2, 10, 0) + rest  # zero is what the sum comes to
        with pytest.raises(Drop) as drop:
            parse_udp(IpPacket(*V6, 17, data), verify=True)
        assert drop.value.reason is DropReason.BAD_CHECKSUM

    def test_shorter_udp_length_cuts_off(self):
        data = build_udp(*V4, 1, 2, b"abc") + b"beyond"
        assert parse_udp(IpPacket(*V4, 17, data), verify=True).payload == b"abc"

    @pytest.mark.parametrize(
        "ip",
        [
            IpPacket(*V4, 17, bytes(7)),
            IpPacket(*V4, 17, struct.pack("!HHHH", 1, 2, 7, 0)),
            IpPacket(*V4, 17, struct.pack("!HHHH", 1, 2, 9, 0)),
            IpPacket(*V4, 6, bytes(20)),
            IpPacket(*V4, 17, struct.pack("!HHHH", 1, 2, 8, 0), more_fragments=True),
        ],
        ids=["cut off", "length below 8", "length beyond the payload", "TCP", "fragment"],
    )
    def test_malformed(self, ip):
        with pytest.raises(Drop) as drop:
            parse_udp(ip)
        assert drop.value.reason is DropReason.MALFORMED_UDP


@given(st.binary(max_size=120) | st.binary(max_size=80).map(lambda rest: ipv6(0, rest)))
def test_only_drop_escapes(data):
    with contextlib.suppress(Drop):
        parse_udp(parse_ip(data), verify=True)


@given(st.data())
def test_only_drop_escapes_a_changed_packet(data):
    packet = IP(options=[IPOption(b"\x94\x04\0\0")]) / UDP() / ICMP()
    octets = bytearray(bytes(packet))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Drop):
        parse_udp(parse_ip(bytes(octets)), verify=True)


@pytest.mark.parametrize("size", [4, 16])
def test_addresses_without_a_look_at_the_rest(size):
    source, destination = bytes(size), bytes(size - 1) + b"1"
    packet = build_ip(source, destination, 17, b"")
    assert addresses(packet + b"rest") == (source, destination)
    with pytest.raises(Drop) as caught:
        addresses(packet[:-1])
    assert caught.value.reason is DropReason.MALFORMED_IP
    with pytest.raises(Drop):
        addresses(b"")


class TestPlainUdp:
    PORTS = (434).to_bytes(2) * 2

    def between(self, source, destination):
        return source + destination + self.PORTS

    def packet(self, source, destination, payload):
        return build_ip(source, destination, 17, build_udp(source, destination, 434, 434, payload))

    @FAMILIES
    @given(st.binary(max_size=40))
    def test_what_is_built_here_is_plain(self, source, destination, payload):
        packet = self.packet(source, destination, payload)
        between = self.between(source, destination)
        assert plain_udp(packet, between) == payload
        assert build_plain_udp(between, payload) == packet

    @FAMILIES
    def test_long_ones(self, source, destination):
        packet, between = (
            self.packet(source, destination, bytes(1990)),
            self.between(source, destination),
        )
        assert plain_udp(packet, between) == bytes(1990)
        wrong = packet[:1500] + b"\1" + packet[1501:]
        assert plain_udp(wrong, between) is None
        assert plain_udp(self.packet(source, destination, bytes(2041)), between) is None
        with pytest.raises(ValueError, match="do not fit"):
            build_plain_udp(between, bytes(65_510))

    @FAMILIES
    def test_a_checksum_of_zero_is_ffff(self, source, destination):
        between = self.between(source, destination)
        empty = build_plain_udp(between, bytes(2))
        at = len(empty) - 4
        packet = build_plain_udp(between, empty[at : at + 2])
        assert packet[at : at + 2] == b"\xff\xff"
        assert plain_udp(packet, between) == empty[at : at + 2]

    @FAMILIES
    @given(st.data())
    def test_it_takes_nothing_that_the_parsers_would_not(self, source, destination, data):
        packet = bytearray(self.packet(source, destination, data.draw(st.binary(max_size=9))))
        for _ in range(data.draw(st.integers(1, 2))):
            at = data.draw(st.integers(0, len(packet) - 1))
            packet[at] = data.draw(st.integers(0, 255))
        octets = bytes(packet) + data.draw(st.binary(max_size=2))
        payload = plain_udp(octets, self.between(source, destination))
        if payload is None:
            return
        ip = parse_ip(octets)
        assert (ip.source, ip.destination) == (source, destination)
        assert parse_udp(ip, verify=True) == UdpDatagram(434, 434, payload)

    @FAMILIES
    def test_what_is_unusual_is_not_its_business(self, source, destination):
        packet, between = (
            self.packet(source, destination, b"abc"),
            self.between(source, destination),
        )
        udp_at = len(packet) - 11
        without_checksum = packet[: udp_at + 6] + bytes(2) + packet[udp_at + 8 :]
        wrong = packet[:-1] + b"d"
        for other in (b"", packet[: udp_at + 7], packet + b"\0", without_checksum, wrong):
            assert plain_udp(other, between) is None
        assert plain_udp(packet, between[:-1] + b"\0") is None

    def test_a_fragment_is_not_plain(self):
        packet = bytearray(self.packet(*V4, b"abc"))
        for high in (0x20, 0x60, 0x01):
            packet[6] = high
            assert plain_udp(bytes(packet), self.between(*V4)) is None
        packet[6] = 0x40
        assert plain_udp(bytes(packet), self.between(*V4)) == b"abc"
