"""Patterns of addresses and SPIs."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern, single_address


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["0.0.0.0", "10.1.2.3", "::", "2001:db8::1"], []),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.2", "::a01:203"]),
        ("10.1.*.*", ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0"]),
        ("10.1.*", ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0"]),
        ("10.*", ["10.1.2.3"], ["11.0.0.0"]),
        ("10.*.*.3", ["10.7.8.3"], ["10.7.8.4", "11.7.8.3"]),
        ("*.*.*.*", ["0.0.0.0", "255.255.255.255"], ["::"]),
        ("10.0.0.0/8", ["10.255.0.1"], ["11.0.0.0"]),
        ("10.9.9.9/8", ["10.255.0.1"], ["11.0.0.0"]),
        ("10.1.2.3/32", ["10.1.2.3"], ["10.1.2.2"]),
        ("0.0.0.0/0", ["192.0.2.1"], ["2001:db8::1"]),
        ("2001:db8::1", ["2001:db8::1"], ["2001:db8::2"]),
        ("2001:DB8:0::1", ["2001:db8::1"], ["2001:db8::2"]),
        ("2001:db8::/32", ["2001:db8:ffff::"], ["2001:db9::", "32.1.13.184"]),
        ("fe80::/10", ["febf::1"], ["fec0::1"]),
        ("::/0", ["2001:db8::1"], ["192.0.2.1"]),
        ("2001:db8::*", ["2001:db8::ffff"], ["2001:db8::1:0"]),
        ("2001:*::1", ["2001:db8::1"], ["2002:db8::1", "2001:db8::2"]),
    ],
)
def test_addresses(pattern, matching, others):
    compiled = AddressPattern.of(pattern)
    assert all(compiled.matches(ip_address(address).packed) for address in matching)
    assert not any(compiled.matches(ip_address(address).packed) for address in others)


@pytest.mark.parametrize(
    "text",
    ["", "**", "10.1.2", "10.1.2.256", "10.1*.2.3", "10.*1.2.3", "10.1.2.3/33", "10.*/8", "*/8",
     "10.1.2.3.*", ".*", "host", "1*::1", "::1/129", "0x0a010203", "10.1.2.3-10.1.2.9"],
)  # fmt: skip
def test_what_is_no_address_pattern(text):
    with pytest.raises(ValueError, match=r"."):
        AddressPattern.of(text)


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.integers(0, 32))
def test_prefixes_as_the_standard_library_has_them(address, length):
    pattern = AddressPattern.of(f"{ip_address(address)}/{length}")
    bits = 8 * len(address)
    changed = int.from_bytes(address, "big") ^ 1 << (bits - length) % bits
    assert pattern.matches(address)
    assert pattern.matches(changed.to_bytes(len(address), "big")) is (length == 0)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", [1, 0xFFFFFFFF], [0]),
        ("305419896", [0x12345678], [0x12345679]),
        ("0x12345678", [0x12345678], [0x12345679]),
        ("0XABCDEF01", [0xABCDEF01], []),
        ("0x101", [0x101], [0x1010000, 0]),
        ("0x00000101", [0x101], []),
        ("0x1234567*", [0x12345670, 0x1234567F], [0x12345680]),
        ("0x12**5678", [0x12FF5678], [0x12FF5679, 0x13FF5678]),
        ("0x********", [1, 0xFFFFFFFF], [0]),
        ("4294967295", [0xFFFFFFFF], []),
    ],
)
def test_spis(pattern, matching, others):
    compiled = SpiPattern.of(pattern)
    assert all(compiled.matches(spi) for spi in matching)
    assert not any(compiled.matches(spi) for spi in others)
    assert compiled.exact is ("*" not in pattern)


@pytest.mark.parametrize(
    "text",
    ["", "0", "0x", "0x0", "00", "0x00000000", "4294967296", "0x100000000", "0x1234*", "12*", "-1",
     "0x1234567g", "1e3", "\u0661"],
)  # fmt: skip
def test_what_is_no_spi_pattern(text):
    with pytest.raises(ValueError, match="not an SPI"):
        SpiPattern.of(text)


@pytest.mark.parametrize(
    "text",
    ["*", "10.1.2.3", "10.0.0.0/8", "10.128.0.0/9", "10.*.2.*", "2001:db8::1", "2001:db8::/33"],
)
def test_patterns_are_written_as_they_are_read(text):
    pattern = AddressPattern.of(text)
    assert str(pattern) == text
    assert pattern.exact == (not {*text} & {*"*/"})


def test_other_ways_of_writing_become_the_shortest():
    written = {"10.1.*": "10.1.0.0/16", "2001:db8:0::*": "2001:db8::/112", "*.*.*.*": "0.0.0.0/0"}
    for text, short in written.items():
        assert str(AddressPattern.of(text)) == short
    assert AddressPattern.of(str(AddressPattern.of("2001:*::1"))) == AddressPattern.of("2001:*::1")


@pytest.mark.parametrize("text", ["*", "0x00000007", "0x12**5678", "0xc*******"])
def test_spis_are_written_as_they_are_read(text):
    assert str(SpiPattern.of(text)) == text


def test_single_addresses():
    for text in ("10.1.2.3", "2001:db8::1"):
        assert single_address(text, "here") == AddressPattern.of(text)
    assert single_address("0.0.0.0", "here") == single_address("::", "here") == AddressPattern()
    for bad in ("10.1.2.*", "*", "10.0.0.0/8", "host"):
        with pytest.raises(ValueError, match=r"^here: not an address$"):
            single_address(bad, "here")
