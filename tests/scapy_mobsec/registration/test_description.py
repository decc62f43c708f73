"""Header descriptors and encapsulation items."""

import struct
from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.description import (
    MAX_DESCRIPTORS,
    MAX_INTERMEDIARIES,
    MAX_ITEMS,
    MAX_REMEMBERED,
    AhHeader,
    EncapsulationItem,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
    UdpHeader,
    UnknownHeader,
    build_description,
    build_items,
    ip_udp_esp,
    parse_description,
    parse_items,
)

ESP = EspHeader(0x1234_5678)
ESP_OCTETS = "32 0004 12345678"
CERTIFICATE = bytes(range(32))
VECTORS = [
    (Ipv4Header(b"\x0a\0\0\2", b"\xc0\0\2\1"), "04 0008 0a000002 c0000201"),
    (Ipv6Header(b"\x20" + bytes(15), b"\x21" + bytes(15)), f"29 0020 20{'00' * 15} 21{'00' * 15}"),
    (UdpHeader(4500, 443), "11 0004 1194 01bb"),
    (TcpHeader(65535, 0), "06 0004 ffff 0000"),
    (AhHeader(0x8000_0000), "33 0004 80000000"),
    (TlsHeader(CERTIFICATE, "gw"), f"80 0023 {CERTIFICATE.hex()} 02 6777"),
    (TlsHeader(CERTIFICATE, ""), f"80 0021 {CERTIFICATE.hex()} 00"),
    (HttpHeader("GET", "gw", "/x"), "81 000e 11 0003 474554 0002 6777 0002 2f78"),
    (HttpHeader("", "", "101", ("Via",), 0x20), "81 000f 20 0000 0000 0003 313031 0003 566961"),
    (UnknownHeader(200, b"abc"), "c8 0003 616263"),
    (UnknownHeader(0, b""), "00 0000"),
]


@pytest.mark.parametrize(("header", "octets"), VECTORS)
def test_descriptor_written_out(header, octets):
    value = bytes.fromhex(octets + ESP_OCTETS)
    assert build_description((header, ESP)) == value
    assert parse_description(value) == (header, ESP)


@pytest.mark.parametrize(
    ("octets", "detail"),
    [
        ("", "does not end with ESP or AH"),
        ("04 0008 0a000002 c0000201", "does not end with ESP or AH"),
        (ESP_OCTETS + "11 0004 1194 1194", "does not end with ESP or AH"),
        ("32 00", "header descriptor truncated"),
        ("32 0005 12345678", "header descriptor truncated"),
        ("32 0003 123456", "ESP descriptor of 3 octets"),
        ("33 0005 1234567800", "AH descriptor of 5 octets"),
        ("04 0007 0a000002 c00002" + ESP_OCTETS, "IPV4 descriptor of 7 octets"),
        ("04 0009 0a000002 c000020100" + ESP_OCTETS, "IPV4 descriptor of 9 octets"),
        ("29 0008 0a000002 c0000201" + ESP_OCTETS, "IPV6 descriptor of 8 octets"),
        ("11 0000" + ESP_OCTETS, "UDP descriptor of 0 octets"),
        ("06 0005 1194 1194 00" + ESP_OCTETS, "TCP descriptor of 5 octets"),
        ("80 0000" + ESP_OCTETS, "TLS descriptor"),
        (f"80 0020 {CERTIFICATE.hex()}" + ESP_OCTETS, "TLS descriptor"),
        (f"80 0022 {CERTIFICATE.hex()} 02 67" + ESP_OCTETS, "TLS descriptor"),
        (f"80 0022 {CERTIFICATE.hex()} 00 67" + ESP_OCTETS, "TLS descriptor"),
        (f"80 0022 {CERTIFICATE.hex()} 01 ff" + ESP_OCTETS, "server name is not printable"),
        ("81 0000" + ESP_OCTETS, "HTTP descriptor without"),
        ("81 0001 11" + ESP_OCTETS, "HTTP descriptor without"),
        ("81 0005 11 0000 0000" + ESP_OCTETS, "HTTP descriptor without"),
        ("81 0008 11 0000 0000 0000 00" + ESP_OCTETS, "HTTP descriptor truncated"),
        ("81 0009 11 0000 0000 0003 3130" + ESP_OCTETS, "HTTP descriptor truncated"),
        ("81 0008 11 0001 1b 0000 0000" + ESP_OCTETS, "HTTP descriptor is not printable"),
    ],
)
def test_malformed_description(octets, detail):
    with pytest.raises(Drop, match=detail) as caught:
        parse_description(bytes.fromhex(octets))
    assert caught.value.reason is DropReason.POORLY_FORMED


def test_bound_on_descriptors():
    longest = (UdpHeader(1, 2),) * (MAX_DESCRIPTORS - 1) + (ESP,)
    value = build_description(longest)
    assert parse_description(value) == longest
    with pytest.raises(Drop, match=f"more than {MAX_DESCRIPTORS}"):
        parse_description(bytes.fromhex("11 0004 1194 1194") + value)
    with pytest.raises(ValueError, match=f"more than {MAX_DESCRIPTORS}"):
        build_description((ESP, *longest))


def test_bound_on_intermediaries():
    most = HttpHeader("GET", "gw", "/", ("Via",) * MAX_INTERMEDIARIES)
    assert parse_description(build_description((most, ESP))) == (most, ESP)
    octets = most.build() + b"\0\3Via"
    octets = octets[:1] + struct.pack(">H", len(octets) - 3) + octets[3:]
    with pytest.raises(Drop, match=f"more than {MAX_INTERMEDIARIES}"):
        parse_description(octets + ESP.build())
    with pytest.raises(ValueError, match=f"more than {MAX_INTERMEDIARIES}"):
        HttpHeader("GET", "gw", "/", ("Via",) * (MAX_INTERMEDIARIES + 1))


@given(st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_any_octets_are_a_description_or_a_drop(verdict, value):
    description, drop = verdict(parse_description, value)
    if drop:
        assert drop.reason is DropReason.POORLY_FORMED
        assert drop.detail
    else:
        assert build_description(description) == value


def test_no_description_ends_without_esp():
    with pytest.raises(ValueError, match="does not end"):
        build_description(())
    with pytest.raises(ValueError, match="does not end"):
        build_description((ESP, UdpHeader(1, 2)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ipv4Header(bytes(5), bytes(4)),
        lambda: Ipv4Header(bytes(4), bytes(16)),
        lambda: Ipv6Header(bytes(4), bytes(16)),
        lambda: Ipv6Header(bytes(16), bytes(15)),
        lambda: TlsHeader(bytes(31), "gw"),
        lambda: TlsHeader(bytes(32), "g" * 256),
        lambda: HttpHeader("GET\r\n", "gw", "/"),
        lambda: HttpHeader("GET", "gw\xe9", "/"),
        lambda: HttpHeader("GET", "gw", "/\0"),
        lambda: HttpHeader("GET", "gw", "/", ("V\nia",)),
        lambda: EncapsulationItem(1, host="g" * 250),
        lambda: EncapsulationItem(1, host="g" * 100, path="/" * 150),
        lambda: EncapsulationItem(1, host="\xe9"),
        lambda: EncapsulationItem(1, path="\x1b"),
        lambda: EncapsulationItem(3, flags=1),
        lambda: EncapsulationItem(256),
        lambda: EncapsulationItem("udp"),
        lambda: EncapsulationItem(1, flags=300),
        lambda: EncapsulationItem(1, port=70_000),
        lambda: EncapsulationItem(1, port=-1),
        lambda: EncapsulationItem(1, port=1.5),
        lambda: EncapsulationItem(1, keepalive=65_536),
        lambda: EncapsulationItem(1, keepalive=-1),
        lambda: EncapsulationItem(1, host=None),
    ],
)
def test_values_that_cannot_be_written_cannot_be_made(make):
    with pytest.raises(ValueError, match=r"octets|printable|inside TLS|whole number"):
        make()


def test_parsed_headers_are_frozen():
    for header in parse_description(bytes.fromhex(VECTORS[0][1] + ESP_OCTETS)):
        with pytest.raises(FrozenInstanceError):
            setattr(header, fields(header)[0].name, 1)


ITEM_VECTORS = [
    (EncapsulationItem(0), "00 06 00 0000 0000 00"),
    (EncapsulationItem(1, 0, 4500, 20), "01 06 00 1194 0014 00"),
    (EncapsulationItem(4, 1, 443, 0, "gw", "/x"), "04 0a 01 01bb 0000 02 6777 2f78"),
    (EncapsulationItem(5, 0, 80, 0, "", "/x"), "05 08 00 0050 0000 00 2f78"),
    (EncapsulationItem(3, 2, 443, 0, "gw"), "03 08 02 01bb 0000 02 6777"),
    (EncapsulationItem(255, 255), "ff 06 ff 0000 0000 00"),
]


@pytest.mark.parametrize(("item", "octets"), ITEM_VECTORS)
def test_item_written_out(item, octets):
    value = bytes.fromhex(octets)
    assert build_items((item, item)) == value * 2
    assert parse_items(value * 2) == (item, item)


def test_no_items():
    assert build_items(()) == b""
    assert parse_items(b"") == ()


@pytest.mark.parametrize(
    ("octets", "detail"),
    [
        ("00", "encapsulation item truncated"),
        ("00 05 00 0000 0000", "encapsulation item truncated"),
        ("00 05 00 0000 0000 00", "whose lengths do not fit"),
        ("00 07 00 0000 0000 00", "whose lengths do not fit"),
        ("00 06 00 0000 0000 01", "whose lengths do not fit"),
        ("00 07 00 0000 0000 02 67", "whose lengths do not fit"),
        ("00 07 00 0000 0000 01 ff", "host is not printable ASCII"),
        ("00 07 00 0000 0000 00 0a", "path is not printable ASCII"),
        ("03 06 01 0000 0000 00", "inside TLS with encapsulation code 3"),
    ],
)
def test_malformed_items(octets, detail):
    with pytest.raises(Drop, match=detail) as caught:
        parse_items(bytes.fromhex(octets))
    assert caught.value.reason is DropReason.POORLY_FORMED


def test_bound_on_items():
    most = (EncapsulationItem(1),) * MAX_ITEMS
    assert parse_items(build_items(most)) == most
    with pytest.raises(Drop, match=f"more than {MAX_ITEMS}"):
        parse_items(build_items(most) + build_items(most[:1]))
    with pytest.raises(ValueError, match=f"more than {MAX_ITEMS}"):
        build_items((*most, most[0]))


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_octets_are_items_or_a_drop(verdict, value):
    items, drop = verdict(parse_items, value)
    if drop:
        assert drop.reason is DropReason.POORLY_FORMED
        assert drop.detail
    else:
        assert build_items(items) == value


def test_what_is_remembered_is_bounded_and_told_apart():
    descriptions = [(EspHeader(spi),) for spi in range(2 * MAX_REMEMBERED)]
    for _ in range(2):
        for description in descriptions:
            assert parse_description(build_description(description)) == description
    assert parse_description.cache_info().currsize == MAX_REMEMBERED
    assert parse_items.cache_info().maxsize == MAX_REMEMBERED


@pytest.mark.parametrize(("size", "header"), [(4, Ipv4Header), (16, Ipv6Header)])
def test_the_usual_headers(size, header):
    one, two = bytes(size), b"\1" * size
    headers = header(one, two), UdpHeader(5, 6), EspHeader(7)
    assert ip_udp_esp(one, 5, two, 6, 7) == headers
    assert [type(each) for each in ip_udp_esp(one, 5, two, 6, 7)] == [header, UdpHeader, EspHeader]
