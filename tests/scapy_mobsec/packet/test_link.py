"""Link layers, with Scapy's as the oracle."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.data import DLT_LINUX_SLL
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import HDLC, PPP, PPPoE

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.link import ip_of_frame

V4 = IP(proto=50) / b"payload"
V6 = IPv6(nh=50) / b"payload"


@pytest.mark.parametrize("ip", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("link_type", "header"),
    [
        (1, Ether()),
        (1, Ether() / Dot1Q(vlan=5)),
        (1, Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6)),
        (1, Ether(type=0x9100) / Dot1Q(vlan=6)),
        (DLT_LINUX_SLL, CookedLinux()),
        (DLT_LINUX_SLL, CookedLinux() / Dot1Q(vlan=5)),
        (276, CookedLinuxV2()),
        (276, CookedLinuxV2() / Dot1Q(vlan=5)),
        (0, Loopback()),
    ],
)
def test_ip_behind_a_header_that_scapy_built(link_type, header, ip):
    assert ip_of_frame(bytes(header / ip), link_type) == bytes(ip)


@pytest.mark.parametrize(("ip", "protocol"), [(V4, 0x21), (V6, 0x57)])
@pytest.mark.parametrize(
    ("link_type", "header"),
    [
        (1, Ether() / PPPoE(sessionid=9)),
        (1, Ether() / Dot1Q(vlan=7) / PPPoE(sessionid=9)),
        (9, HDLC()),
        (50, HDLC()),
        (9, b""),
    ],
)
def test_ip_in_ppp(link_type, header, ip, protocol):
    frame = bytes(header) + bytes(PPP(proto=protocol)) + bytes(ip)
    assert ip_of_frame(frame, link_type) == bytes(ip)


@pytest.mark.parametrize("link_type", [12, 14, 101, 228, 229])
def test_raw_ip(link_type):
    assert ip_of_frame(bytes(V4), link_type) == bytes(V4)


@pytest.mark.parametrize("link_type", [0, 108])
@pytest.mark.parametrize("family", [2, 10, 24, 28, 30])
@pytest.mark.parametrize("order", ["big", "little"])
def test_loopback_in_both_byte_orders(link_type, family, order):
    assert ip_of_frame(family.to_bytes(4, order) + b"E", link_type) == b"E"


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (1, bytes(Ether() / ARP())),
        (1, bytes(Ether() / Dot1Q() / ARP())),
        (1, bytes(Ether(type=0x0026)) + bytes(38)),
        (113, bytes(CookedLinux() / ARP())),
        (276, bytes(CookedLinuxV2() / ARP())),
        (0, bytes([18, 0, 0, 0])),
        (1, bytes(Ether() / PPPoE() / PPP(proto=0xC021) / b"an echo request of LCP")),
        (1, bytes(Ether(type=0x8864) / PPPoE(code=0xA7)) + bytes(2)),
        (9, bytes(HDLC() / PPP(proto=0xC021))),
    ],
)
def test_frames_without_ip(link_type, frame):
    assert ip_of_frame(frame, link_type) is None


@pytest.mark.parametrize(
    ("link_type", "header"),
    [
        (1, bytes(Ether(type=0x0800))),
        (1, bytes(Ether() / Dot1Q(type=0x0800))),
        (113, bytes(CookedLinux(proto=0x0800))),
        (276, bytes(CookedLinuxV2(proto=0x0800))),
        (0, bytes([2, 0, 0, 0])),
        (1, bytes(Ether() / PPPoE() / PPP(proto=0x21))),
        (9, b"\xff\x03\x00\x57"),
    ],
)
def test_cut_off_header(link_type, header):
    assert ip_of_frame(header, link_type) == b""
    with pytest.raises(Drop) as drop:
        ip_of_frame(header[:-1], link_type)
    assert drop.value.reason is DropReason.TRUNCATED


def test_eight_vlan_tags_but_not_nine():
    frame = Ether(type=0x8100)
    for _ in range(7):
        frame /= Dot1Q(type=0x8100)
    assert ip_of_frame(bytes(frame / Dot1Q(type=0x0800) / V4), 1) == bytes(V4)
    with pytest.raises(Drop) as drop:
        ip_of_frame(bytes(frame / Dot1Q(type=0x8100) / Dot1Q(type=0x0800) / V4), 1)
    assert drop.value.reason is DropReason.UNKNOWN_LINK_TYPE


def test_unknown_link_type():
    with pytest.raises(Drop) as drop:
        ip_of_frame(bytes(V4), 127)
    assert drop.value.reason is DropReason.UNKNOWN_LINK_TYPE


@given(st.binary(max_size=60), st.sampled_from([0, 1, 9, 101, 108, 113, 276]))
def test_only_drop_escapes(frame, link_type):
    with contextlib.suppress(Drop):
        ip_of_frame(frame, link_type)
