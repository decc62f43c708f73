"""Extensions: octets against fields, and odd forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_samples import long_extensions, standard_extensions, unknown_extensions
from scapy.packet import Raw, fuzz

from contrib_layers import shim
from contrib_layers.shim import (
    RREQ,
    Addresses,
    Attempt,
    Challenge,
    CriticalVendorExtension,
    EncapsulationItem,
    ForeignHomeAuthentication,
    Home,
    LongExtension,
    MobileForeignAuthentication,
    MobileHomeAuthentication,
    MobileNodeNAI,
    NormalVendorExtension,
    Observed,
    OneBytePadding,
    Pad,
    Report,
    Response,
    Selected,
    Sent,
    Supported,
    Translation,
    Translations,
    UDPHeader,
    UDPTunnelReply,
    UDPTunnelRequest,
    UnknownExtension,
)

OURS = "86 {:02x} 0000 00007ed9 00{:02x}"


@pytest.mark.parametrize(
    ("extension", "octets"),
    [
        (OneBytePadding(), "00"),
        (MobileHomeAuthentication(spi=256, authenticator=b"abcd"), "20 08 00000100 61626364"),
        (MobileForeignAuthentication(spi=256), "21 04 00000100"),
        (ForeignHomeAuthentication(spi=256), "22 04 00000100"),
        (UDPTunnelRequest(F=1, encapsulation="gre"), "90 06 00 00 80 2f 0000"),
        (UDPTunnelRequest(R=1, reserved2=1), "90 06 00 00 41 04 0000"),
        (UDPTunnelReply(code="declined", F=1, keepalive=110), "2c 06 00 40 8000 006e"),
        (MobileNodeNAI(nai="a@b.c"), "83 05 6140622e63"),
        (
            CriticalVendorExtension(vendor_id=9, vendor_type=1, value=b"abc"),
            "26 00 0009 00000009 0001 616263",
        ),
        (LongExtension(type=36, subtype=1, value=bytes(300)), "24 01 012c" + "00" * 300),
        (
            NormalVendorExtension(vendor_id=9, vendor_type=1, value=b"abc"),
            "86 0b 0000 00000009 0001 616263",
        ),
        (UnknownExtension(type=222, value=b"a"), "de 01 61"),
        (Sent(headers=[UDPHeader(sport=1, dport=2)]), OURS.format(15, 1) + "11 0004 0001 0002"),
        (Observed(), OURS.format(8, 2)),
        (
            Translations(items=[Translation(index=1, field=3, nature=2)]),
            OURS.format(11, 3) + "010302",
        ),
        (
            Supported(items=[EncapsulationItem(code=0)]),
            OURS.format(16, 4) + "00 06 00 0000 0000 00",
        ),
        (Selected(items=[]), OURS.format(8, 5)),
        (
            Attempt(number=7, flags="FORCED+USE", index=1, count=2),
            OURS.format(16, 6) + "00000007 09 01 02 00",
        ),
        (Challenge(value=b"12345678"), OURS.format(16, 7) + "3132333435363738"),
        (Response(value=b"12345678"), OURS.format(16, 8) + "3132333435363738"),
        (Pad(value=bytes(3)), OURS.format(11, 9) + "000000"),
        (Report(received=1, sent=2, largest=1400), OURS.format(18, 10) + "00000001 00000002 0578"),
        (
            Addresses(addresses=["192.0.2.1", "2001:db8::1"]),
            OURS.format(30, 11) + "04 c0000201 06 20010db8000000000000000000000001",
        ),
        (Home(address="2001:db8::1"), OURS.format(24, 12) + "20010db8000000000000000000000001"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_octets_of_each_kind(extension, octets):
    assert bytes(extension) == bytes.fromhex(octets)
    (again,) = RREQ(bytes(RREQ(extensions=[extension]))).extensions
    assert type(again) is type(extension)


@given(st.lists(standard_extensions | long_extensions | unknown_extensions, max_size=6))
def test_standard_extensions_come_back_with_their_fields(some):
    again = RREQ(bytes(RREQ(extensions=some))).extensions
    assert [type(extension) for extension in again] == [type(extension) for extension in some]
    for extension in again:
        del extension.length
    assert again == some


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        ("20 03 000001", UnknownExtension),
        ("90 05 0000000000", UnknownExtension),
        ("2c 07 00000000000000", UnknownExtension),
        ("86 07 00000000000900", UnknownExtension),
        ("26 00 0005 0000000900", LongExtension),
        (OURS.format(15, 6) + "00000007 00 00 01", NormalVendorExtension),
        (OURS.format(17, 6) + "00000007 00 00 01 00 00", NormalVendorExtension),
        (OURS.format(15, 7) + "00" * 7, NormalVendorExtension),
        (OURS.format(17, 10) + "00" * 9, NormalVendorExtension),
        (OURS.format(12, 12) + "00" * 4, NormalVendorExtension),
        (OURS.format(8, 99), NormalVendorExtension),
    ],
)
def test_a_value_of_another_form_is_kept_in_a_more_general_class(octets, kind):
    octets = bytes.fromhex(octets)
    request = RREQ(bytes(RREQ()) + octets)
    assert [type(extension) for extension in request.extensions] == [kind]
    assert bytes(request.extensions[0]) == octets


@pytest.mark.parametrize(
    "rest", ["01 00", "7f 02 0000", "86 09 0000 00007ed9 0006", "86", "26 00 00"]
)
def test_from_an_unknown_type_below_128_or_a_cut_extension_on_the_rest_is_raw(rest):
    rest = bytes.fromhex(rest)
    request = RREQ(bytes(RREQ(extensions=[Attempt()])) + rest)
    assert [type(extension) for extension in request.extensions] == [Attempt]
    assert request[Raw].load == rest


def test_unknown_types_from_128_on_are_kept_in_their_place():
    request = RREQ(bytes(RREQ(extensions=[UnknownExtension(type=128, value=b"a"), Attempt()])))
    assert [type(extension) for extension in request.extensions] == [UnknownExtension, Attempt]


EMPTY = ("Capsules", "PostBody", "TCPStream")
"""Layers that have no octets of their own."""


@pytest.mark.parametrize("name", shim.__all__)
def test_every_layer_can_be_shown_repeated_and_fuzzed(name):
    layer = getattr(shim, name)()
    assert layer.show(dump=True)
    assert bytes(eval(layer.command(), vars(shim))) == bytes(layer)
    assert bool(bytes(fuzz(getattr(shim, name)()))) is (name not in EMPTY)


def test_names_are_accepted_and_shown():
    attempt = Attempt(flags="PROBE")
    assert attempt.flags.PROBE
    assert attempt.sprintf("%type% %vendor_type% %flags%") == "normal_vendor attempt PROBE"
    assert NormalVendorExtension(vendor_id=9, vendor_type=6).sprintf("%vendor_type%") == "6"
