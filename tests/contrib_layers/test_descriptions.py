"""Descriptors and items: octets against fields, odd forms, and the words for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_samples import headers, items, translations
from scapy.packet import Raw

from contrib_layers.descriptions import describe_path, describe_translations
from contrib_layers.shim import (
    AHHeader,
    EncapsulationItem,
    ESPHeader,
    HTTPHeader,
    IPv4Header,
    IPv6Header,
    Sent,
    Supported,
    TCPHeader,
    TLSHeader,
    Translation,
    Translations,
    UDPHeader,
    UnknownHeader,
)


@pytest.mark.parametrize(
    ("header", "octets"),
    [
        (IPv4Header(src="10.0.0.2", dst="192.0.2.1"), "04 0008 0a000002 c0000201"),
        (
            IPv6Header(src="2001:db8::2", dst="64:ff9b::c000:201"),
            "29 0020 20010db8000000000000000000000002 0064ff9b0000000000000000c0000201",
        ),
        (UDPHeader(sport=4500, dport=4501), "11 0004 1194 1195"),
        (TCPHeader(sport=40000, dport=443), "06 0004 9c40 01bb"),
        (ESPHeader(spi=0x12345678), "32 0004 12345678"),
        (AHHeader(spi=0x12345678), "33 0004 12345678"),
        (
            TLSHeader(certificate=b"\xaa" * 32, server_name="gw.a"),
            f"80 0025 {'aa' * 32} 04 67772e61",
        ),
        (
            HTTPHeader(method="GET", authority="a:1", path="/", intermediaries=["Via", "X"]),
            "81 0016 11 0003 474554 0003 613a31 0001 2f 0003 566961 0001 58",
        ),
        (UnknownHeader(type=200, value=b"\x01\x02"), "c8 0002 0102"),
        (
            EncapsulationItem(
                code="http-post", flags="inside_tls", port=443, keepalive=25, host="gw", path="/p"
            ),
            "05 0a 01 01bb 0019 02 6777 2f70",
        ),
        (EncapsulationItem(code="native"), "00 06 00 0000 0000 00"),
        (Translation(index=255, field="whole_header", nature="proxied"), "ff 05 05"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)
def test_octets_of_each_kind(header, octets):
    assert bytes(header) == bytes.fromhex(octets)


@given(st.lists(headers, max_size=8))
def test_headers_come_back_with_their_fields(some):
    sent = Sent(headers=some)
    if len(sent.value_octets()) > 247:
        return
    again = Sent(bytes(sent)).headers
    assert [type(header) for header in again] == [type(header) for header in some]
    for header in [*again, *some]:
        del header.length
    assert again == some


@given(st.lists(items, max_size=4), st.lists(translations, max_size=10))
def test_items_come_back_with_their_fields(encapsulations, changes):
    supported = Supported(bytes(Supported(items=encapsulations))).items
    for item in supported:
        del item.length
    assert supported == encapsulations
    assert Translations(bytes(Translations(items=changes))).items == changes


@pytest.mark.parametrize(
    "octets",
    [
        "04 0009 0a000002 c0000201 00",
        "29 0004 00000000",
        "11 0000",
        "32 0005 1234567800",
        f"80 0020 {'aa' * 32}",
        f"80 0024 {'aa' * 32} 04 676767",
        f"80 0022 {'aa' * 32} 00 67",
        "81 0000",
        "81 0001 11",
        "81 0005 11 0000 0000",
        "81 0008 11 0000 0000 0000 00",
        "81 0007 11 0000 0000 0001",
    ],
)
def test_a_value_of_another_form_is_an_unknown_header(octets):
    octets = bytes.fromhex(octets)
    (header,) = Sent(bytes(Sent(headers=[UnknownHeader(octets)]))).headers
    assert type(header) is UnknownHeader
    assert header.type == octets[0]
    assert header.value == octets[3:]


def test_a_list_that_ends_inside_a_header_keeps_the_rest_raw():
    cut = bytes(UDPHeader())
    for size in range(1, len(cut)):
        octets = bytes(Sent(headers=[IPv4Header(), Raw(cut[:size])]))
        headers = Sent(octets).headers
        assert [type(header) for header in headers] == [IPv4Header, Raw]
        assert headers[1].load == cut[:size]


@pytest.mark.parametrize(
    "octets", [*(bytes([1, size]) + bytes(size) for size in range(6)), b"\1\6\0\0\0\0\0\1"]
)
def test_an_item_without_room_for_its_fields_stays_raw(octets):
    supported = Supported(bytes(Supported(items=[EncapsulationItem(), Raw(octets)])))
    assert [type(item) for item in supported.items] == [EncapsulationItem, Raw]


IP = IPv4Header(src="10.0.0.2", dst="192.0.2.1")
IP6 = IPv6Header(src="2001:db8::2", dst="2001:db8::1")
ESP = ESPHeader()
HTTPS = TCPHeader(sport=40000, dport=443)
CONNECT = HTTPHeader(method="CONNECT")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ([IP, ESP], "native 10.0.0.2 > 192.0.2.1"),
        ([IP, AHHeader()], "native 10.0.0.2 > 192.0.2.1"),
        ([IP, UDPHeader(sport=1, dport=4500), ESP], "udp 10.0.0.2:1 > 192.0.2.1:4500"),
        ([IP6, ESP], "native 2001:db8::2 > 2001:db8::1"),
        ([IP6, HTTPS, ESP], "tcp [2001:db8::2]:40000 > [2001:db8::1]:443"),
        ([IP, HTTPS, TLSHeader(), ESP], "tls 10.0.0.2:40000 > 192.0.2.1:443"),
        ([IP, HTTPS, CONNECT, TLSHeader(), ESP], "tls 10.0.0.2:40000 > 192.0.2.1:443"),
        (
            [IP, HTTPS, TLSHeader(), HTTPHeader(method="GET"), ESP],
            "http 10.0.0.2:40000 > 192.0.2.1:443",
        ),
        ([IP, HTTPS, HTTPHeader(method="POST"), ESP], "http-post 10.0.0.2:40000 > 192.0.2.1:443"),
        ([ESP], ""),
        ([UDPHeader(), UnknownHeader(), Raw(b"x")], ""),
        ([], ""),
    ],
)
def test_a_path_in_words(path, words):
    assert describe_path(path) == words


def test_translations_in_words():
    address = Translation(index=0, field="source_address", nature="address_and_port")
    family = Translation(index=0, field="whole_header", nature="protocol")
    strange = Translation(index=0, field=77, nature=78)
    assert describe_translations([]) == "no translation"
    assert describe_translations([Raw(b"x")]) == "no translation"
    assert (
        describe_translations([address, family, strange])
        == "translated: source address, whole header (protocol), 77 (78)"
    )


def test_names_are_accepted_and_shown():
    assert Translation(field="destination_port").field == 4
    assert EncapsulationItem(code=5).sprintf("%code%") == "http-post"
    assert UnknownHeader(type="TLS").type == 128
    assert IPv4Header().sprintf("%type%") == "IPv4"
