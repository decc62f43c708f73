"""Kinds of values in settings: what they take, and that a refusal does not show the value."""

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from scapy_mobsec.drivers.live import setting_kinds as kinds
from scapy_mobsec.drivers.live.carrier_texts import Target
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.choice import Decider

TAKEN = [
    (kinds.Address, "192.0.2.1", ip_address("192.0.2.1")),
    (kinds.Address, "2001:db8::1", ip_address("2001:db8::1")),
    (kinds.Interface, "10.0.0.1/24", ip_interface("10.0.0.1/24")),
    (kinds.Network, "10.0.0.0/24", ip_network("10.0.0.0/24")),
    (kinds.Spi, "0x1234abcd", 0x1234ABCD),
    (kinds.Sha256, "AB:" * 31 + "ab", b"\xab" * 32),
    (kinds.Nat64Prefix, "64:ff9b::/96", ip_address("64:ff9b::").packed[:12]),
    (kinds.Proxy, "http://proxy.example.net:3128/", Target("proxy.example.net", 3128)),
    (kinds.Proxy, "http://192.0.2.8", Target("192.0.2.8", 80)),
    (kinds.Proxy, "192.0.2.8:3128", Target("192.0.2.8", 3128)),
    (kinds.Proxy, "environment", kinds.ENVIRONMENT),
    (kinds.Start, "https", Encapsulation.HTTP),
    (kinds.Choice, "mobile", Decider.MOBILE),
]


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_what_is_taken(kind, text, value):
    assert TypeAdapter(kind).validate_python(text) == value


REFUSED = [
    (kinds.Address, "10.0.0.1/24", "not an IPv4 or IPv6 address"),
    (kinds.Address, "fe80::1%eth0", "not an IPv4 or IPv6 address"),
    (kinds.Address, 3221225985, "not a text"),
    (kinds.Interface, "nowhere", "not an address with a prefix"),
    (kinds.Network, "10.0.0.1/24", "not a network"),
    (kinds.Spi, "0x1234****", "not an SPI"),
    (kinds.Spi, "0", "not an SPI"),
    (kinds.Spi, 4097, "not a text"),
    (kinds.Sha256, "ab" * 31, "not a SHA-256"),
    (kinds.Nat64Prefix, "64:ff9b::/64", "not an IPv6 prefix of 96 bits"),
    (kinds.Nat64Prefix, "10.0.0.0/8", "not an IPv6 prefix of 96 bits"),
    (kinds.Proxy, "http://user:secret@192.0.2.8:3128", "a proxy that wants a password is not"),
    (kinds.Proxy, "https://192.0.2.8", "not of the form http://HOST:PORT"),
    (kinds.Proxy, "http://192.0.2.8/path", "not of the form http://HOST:PORT"),
    (kinds.Proxy, "http://[", "not of the form http://HOST:PORT"),
    (kinds.Choice, "OTHER", "not one of gateway, mobile, fixed"),
    (kinds.File, "", "not the name of a file"),
    (kinds.File, "a\0b", "not the name of a file"),
    (kinds.File, 1, "not the name of a file"),
]


@pytest.mark.parametrize(("kind", "text", "reason"), REFUSED)
def test_what_is_refused(kind, text, reason):
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind, config={"arbitrary_types_allowed": True}).validate_python(text)
    (error,) = raised.value.errors()
    assert str(error["ctx"]["error"]).startswith(reason)
    assert "secret" not in str(error["ctx"]["error"])


def test_a_file_name_is_relative_to_the_file_it_stands_in():
    file = TypeAdapter(kinds.File)
    origin = kinds.Origin(Path("/etc/mobsec/mobile.toml"))
    assert file.validate_python("a.keys", context=origin) == Path("/etc/mobsec/a.keys")
    assert file.validate_python("/run/a", context=origin) == Path("/run/a")
    assert file.validate_python("a.keys") == Path("a.keys")
