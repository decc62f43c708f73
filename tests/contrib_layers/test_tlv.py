"""Whatever the octets: dissection does not raise, and building gives them back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_samples import extensions, headers, items, near_misses, replies, requests
from scapy.fields import RawVal
from scapy.layers.mobileip import MobileIP
from scapy.packet import NoPayload, Raw

from contrib_layers import shim
from contrib_layers.numbers import VENDOR_ID, MessageType
from contrib_layers.shim import (
    RREP,
    RREQ,
    Attempt,
    EncapsulationItem,
    ESPHeader,
    HTTPHeader,
    IPv4Header,
    NormalVendorExtension,
    Pad,
    Sent,
    TLSHeader,
    UDPHeader,
    UnknownExtension,
)

LAYERS = [getattr(shim, name) for name in shim.__all__]

elements = st.one_of(headers, items, extensions.filter(bool).map(lambda some: some[-1]))
octets = st.one_of(
    st.binary(max_size=120), *(near_misses(packets) for packets in (requests(), elements))
).filter(bool)  # a Scapy layer of no octets is one with its defaults


def rebuilt(packet):
    """The octets from the fields alone, as if nothing had been kept."""
    packet.clear_cache()
    return bytes(packet)


@settings(max_examples=200)
@given(octets=octets)
def test_every_layer_gives_back_any_octets(octets):
    for cls in LAYERS:
        assert rebuilt(cls(octets)) == octets, cls


@given(octets=near_misses(requests()))
def test_a_request_below_mobile_ip_gives_back_any_octets(octets):
    octets = bytes([MessageType.RREQ]) + octets
    assert rebuilt(MobileIP(octets)) == octets


@given(octets=near_misses(replies()))
def test_a_reply_below_mobile_ip_gives_back_any_octets(octets):
    octets = bytes([MessageType.RREP]) + octets
    assert rebuilt(MobileIP(octets)) == octets


@pytest.mark.parametrize("octets", [bytes(20000), b"\x86\xff" * 10000, b"\xc8\x00" * 10000])
def test_oversized_messages_give_back_their_octets(octets):
    assert rebuilt(RREQ(bytes(23) + octets)) == bytes(23) + octets


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_a_class_asked_for_whole_octets_is_that_class(cls):
    packet = cls(bytes(cls()))
    assert type(packet) is cls
    assert type(packet.payload) is NoPayload


@pytest.mark.parametrize("cls", [RREQ, RREP, Attempt, Sent, IPv4Header, EncapsulationItem])
def test_octets_cut_short_are_raw(cls):
    whole = bytes(cls())
    for size in range(1, len(whole)):
        assert type(cls(whole[:size])) is Raw


def test_what_follows_an_element_is_its_payload():
    packet = Sent(bytes(Sent(headers=[UDPHeader(sport=1)])) + b"more")
    assert packet.headers[0].sport == 1
    assert packet[Raw].load == b"more"


@pytest.mark.parametrize(
    ("wrong", "octets"),
    [
        (ESPHeader(spi=1, length=9), "32000900000001"),
        (ESPHeader(spi=1, type=7), "07000400000001"),
        (UnknownExtension(type=200, length=255, value=b"a"), "c8ff61"),
        (EncapsulationItem(code=1, length=0, flags=0x80), "010080000000000" + "0"),
        (NormalVendorExtension(length=1, vendor_type=6), "8601000000007ed90006"),
        (Pad(type=5, vendor_reserved=7, value=b"\x01"), "0509000700007ed9000901"),
        (
            Attempt(count=0, index=9, flags=0xC0, reserved=1),
            "8610000000007ed9000600000001c0090001",
        ),
        (TLSHeader(certificate=b"ab", server_name=RawVal(b"\xffc")), "8000046162ff63"),
        (HTTPHeader(method=RawVal(b"\x00\x09"), length=1), "81000111000900000000"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_wrong_values_are_built_as_set(wrong, octets):
    assert bytes(wrong).hex() == octets
    assert rebuilt(type(wrong)(bytes(wrong))).hex() == octets


def test_lengths_are_computed_again_when_deleted():
    header = HTTPHeader(bytes(HTTPHeader(path=b"/")))
    header.path = b"/longer"
    assert header.length == 8
    del header.length
    assert HTTPHeader(bytes(header)).length == 14


@pytest.mark.parametrize("dissected", [False, True])
def test_a_change_deep_inside_changes_the_octets(dissected):
    request = MobileIP() / RREQ(extensions=[Attempt(), Sent(headers=[IPv4Header(), UDPHeader()])])
    if dissected:
        request = MobileIP(bytes(request))
    before = bytes(request)
    request[Sent].headers[1].sport = 31337
    assert bytes(request) != before
    assert MobileIP(bytes(request))[Sent].headers[1].sport == 31337


def test_a_copy_shares_nothing():
    request = RREQ(bytes(RREQ(extensions=[Sent(headers=[IPv4Header()])])))
    copy = request.copy()
    copy[Sent].headers[0].src = "10.0.0.1"
    assert request[Sent].headers[0].src == "0.0.0.0"


def test_the_vendor_id_is_ours_by_default():
    assert NormalVendorExtension().vendor_id == VENDOR_ID
