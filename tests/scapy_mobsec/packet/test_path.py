"""Endpoints and paths: made from text, written as text."""

import pytest

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path, address_text


def test_encapsulations_are_in_the_order_of_their_codes():
    assert [encapsulation.code for encapsulation in Encapsulation] == list(EncapsulationCode)


@pytest.mark.parametrize(
    ("address", "port", "text"),
    [
        ("192.0.2.1", 4500, "192.0.2.1:4500"),
        ("192.0.2.1", 0, "192.0.2.1"),
        ("2001:DB8::1", 4500, "[2001:db8::1]:4500"),
        ("2001:db8::1", 0, "2001:db8::1"),
    ],
)
def test_endpoints(address, port, text):
    endpoint = Endpoint.of(address, port)
    assert str(endpoint) == text
    assert Endpoint.of(address_text(endpoint.address), endpoint.port) == endpoint


def test_what_is_no_address():
    with pytest.raises(ValueError, match="example"):
        Endpoint.of("example", 4500)


def test_path():
    path = Path(Encapsulation.UDP, Endpoint.of("10.0.0.2", 4500), Endpoint.of("192.0.2.1", 4500))
    assert str(path) == "udp 10.0.0.2:4500 > 192.0.2.1:4500"
