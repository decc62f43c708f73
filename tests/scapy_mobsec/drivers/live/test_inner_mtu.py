"""Segments and packets made to fit, with Scapy's layers as the oracle."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.packet import Raw

from scapy_mobsec.drivers.live.inner_mtu import (
    TokenBucket,
    clamp_mss,
    fit,
    fragment_ipv4,
    updated_checksum,
)
from scapy_mobsec.packet.fragments import Reassembler
from scapy_mobsec.packet.ip import internet_checksum, parse_ip

V4 = {"src": "10.10.1.1", "dst": "10.10.2.1"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}
OPTIONS = [("NOP", None), ("WScale", 7), ("SAckOK", b""), ("Timestamp", (1, 2))]
HEADERS = [
    (IP(**V4), 40),
    (IPv6(**V6), 60),
    (IPv6(**V6) / IPv6ExtHdrDestOpt(), 60),
    (IP(**V4, options=[IPOption_Router_Alert()]), 40),
    (IPv6(**V6) / IPv6ExtHdrFragment(id=1), 60),  # atomic (RFC 6946)
]
EACH_HEADER = pytest.mark.parametrize(
    ("ip", "headers"), HEADERS, ids=["v4", "v6", "v6-option", "v4-option", "v6-atomic"]
)


def syn(ip, mss, before=(), flags="S"):
    tcp = TCP(sport=40_000, dport=22, seq=1, flags=flags, options=[*before, ("MSS", mss)])
    return bytes(ip / tcp / Raw(b"early"))


class TestChecksum:
    def test_example_of_rfc_1624(self):
        # section 4: 0x5555 becomes 0x3285
        old, new = bytes.fromhex("5555"), bytes.fromhex("3285")
        assert updated_checksum(bytes.fromhex("dd2f"), old, new) == b"\0\0"

    @given(
        data=st.binary(min_size=2, max_size=64),
        at=st.integers(0),
        new=st.binary(min_size=2, max_size=2),
    )
    def test_as_if_computed_anew(self, data, at, new):
        at = at % (len(data) // 2) * 2
        changed = data[:at] + new + data[at + 2 :]
        assume(any(changed))
        assume(any(data))
        before = internet_checksum(data).to_bytes(2)
        after = int.from_bytes(updated_checksum(before, data[at : at + 2], new))
        assert after % 0xFFFF == internet_checksum(changed) % 0xFFFF


class TestMss:
    @EACH_HEADER
    @pytest.mark.parametrize("flags", ["S", "SA"])
    @given(
        mss=st.integers(0, 0xFFFF),
        mtu=st.integers(68, 1500),
        before=st.lists(st.sampled_from(OPTIONS), max_size=3),
    )
    def test_as_if_it_had_been_said_so(self, ip, headers, flags, mss, mtu, before):
        clamped = clamp_mss(syn(ip, mss, before, flags), mtu)
        assert clamped == syn(ip, min(mss, mtu - headers), before, flags)

    @EACH_HEADER
    def test_only_syn_says_it(self, ip, headers):
        for flags in ("A", "PA", "R", "F"):
            packet = syn(ip, 1460, flags=flags)
            assert clamp_mss(packet, 1000) == packet

    @pytest.mark.parametrize(
        "options",
        [
            b"",
            b"\0\x02\x04\x05",  # the end before it
            b"\x03\x00\x02\x04\x05\xb4\0\0",  # an option without a length
            b"\x02\x03\x05\xb4",  # too short
            b"\x01\x01\x01\x02",  # cut off
            b"\x01\x02\x04\x05",
        ],
    )
    @pytest.mark.parametrize("ip", [IP(**V4), IPv6(**V6)], ids=["v4", "v6"])
    def test_options_without_it(self, ip, options):
        header = bytes(TCP(sport=1, dport=2, flags="S", dataofs=5 + len(options) // 4))[:20]
        ip.nh = ip.proto = 6
        packet = bytes(ip / Raw(header + options))
        assert clamp_mss(packet, 100) == packet

    @pytest.mark.parametrize(
        "packet",
        [
            bytes(IP(**V4, frag=3) / syn(IP(), 1460)[20:]),
            bytes(IPv6(**V6) / IPv6ExtHdrFragment(offset=3, nh=6) / syn(IP(), 1460)[20:]),
            bytes(IPv6(**V6) / IPv6ExtHdrDestOpt() / UDP() / Raw(bytes(40))),
            bytes(IP(**V4) / UDP() / Raw(b"\x02\x04\x05\xb4" * 10)),
        ],
    )
    def test_what_is_no_syn(self, packet):
        assert clamp_mss(packet, 100) == packet

    @given(packet=st.binary(max_size=100), mtu=st.integers(0, 0xFFFF))
    def test_any_octets_do(self, packet, mtu):
        assert len(clamp_mss(packet, mtu)) == len(packet)

    @EACH_HEADER
    @given(cut=st.integers(0, 100), flip=st.integers(0), octet=st.integers(0, 255))
    def test_broken_segments_do(self, ip, headers, cut, flip, octet):
        packet = bytearray(syn(ip, 1460, OPTIONS))
        packet[flip % len(packet)] = octet
        assert len(clamp_mss(bytes(packet[:cut]), 1000)) == min(cut, len(packet))


def reassembled(fragments):
    reassembler = Reassembler()
    return [reassembler.add(parse_ip(each), 0.0) for each in fragments][-1]


class TestFragments:
    @given(
        length=st.integers(0, 5000),
        mtu=st.integers(28, 1500),
        offset=st.integers(0, 3000),
        more=st.booleans(),
    )
    def test_what_is_put_together_is_what_was_there(self, length, mtu, offset, more):
        payload = bytes(each % 251 for each in range(length))
        head = IP(**V4, id=77, tos=4, ttl=9, proto=17, frag=offset, flags="MF" if more else 0)
        packet = bytes(head / Raw(payload))
        fragments = [IP(each) for each in fragment_ipv4(packet, mtu)]
        assert all(len(each) <= mtu for each in fragments)
        assert b"".join(bytes(each.payload) for each in fragments) == payload
        position = offset
        for each in fragments:
            assert each.frag == position
            position += len(each.payload) // 8
            assert (each.id, each.tos, each.ttl, each.proto) == (77, 4, 9, 17)
            assert (each.src, each.dst) == (V4["src"], V4["dst"])
            assert not internet_checksum(bytes(each)[:20])
        assert [each.flags.MF for each in fragments[:-1]] == [True] * (len(fragments) - 1)
        assert not fragments or more == fragments[-1].flags.MF

    def test_as_the_own_reassembly_takes_it(self):
        packet = bytes(IP(**V4, id=5) / UDP(sport=1, dport=2) / Raw(bytes(3000)))
        assert reassembled(fragment_ipv4(packet, 576)).payload == packet[20:]

    @pytest.mark.parametrize(
        "packet",
        [
            bytes(IP(**V4, flags="DF") / Raw(bytes(100))),
            bytes(IP(**V4, options=[IPOption_Router_Alert()]) / Raw(bytes(100))),
            bytes(IP(**V4, len=200) / Raw(bytes(100))),
            b"\x45",
        ],
        ids=["DF", "options", "truncated", "no header"],
    )
    def test_what_is_not_fragmented(self, packet):
        assert fragment_ipv4(packet, 68) == []


class TestFit:
    def test_short_ones_pass_and_their_mss_is_lowered(self):
        ip = IP(**V4)
        assert fit(syn(ip, 1460), 1000) == ([syn(ip, 960)], None)
        assert fit(b"", 1000) == ([b""], None)

    def test_df_is_answered(self):
        packet = bytes(IP(**V4, flags="DF") / UDP() / Raw(bytes(1000)))
        packets, answer = fit(packet, 1000)
        told = IP(answer)
        assert not packets
        assert (told.dst, told[ICMP].type, told[ICMP].code) == (V4["src"], 3, 4)
        assert told[ICMP].nexthopmtu == 1000

    def test_without_df_it_is_fragmented(self):
        packet = bytes(IP(**V4) / UDP() / Raw(bytes(1000)))
        packets, answer = fit(packet, 1000)
        assert (len(packets), answer) == (2, None)

    def test_ipv6_is_answered(self):
        packet = bytes(IPv6(**V6) / UDP() / Raw(bytes(1400)))
        packets, answer = fit(packet, 1380)
        assert not packets
        assert IPv6(answer)[ICMPv6PacketTooBig].mtu == 1380

    def test_no_host_is_told_to_send_less_than_ipv6_may_have(self):
        assert (
            IPv6(fit(bytes(IPv6(**V6) / UDP() / Raw(bytes(1300))), 700)[1])[ICMPv6PacketTooBig].mtu
            == 1280
        )
        short = bytes(IPv6(**V6) / UDP() / Raw(bytes(1280 - 48)))
        assert fit(short, 700) == ([short], None)

    @given(packet=st.binary(max_size=100), mtu=st.integers(0, 100))
    def test_any_octets_do(self, packet, mtu):
        fit(packet, mtu)


def test_so_many_at_once_and_then_so_many_a_second():
    bucket = TokenBucket(3, 2.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.4), bucket.take(100.5), bucket.take(100.6)] == [False, True, False]
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(999.0)
