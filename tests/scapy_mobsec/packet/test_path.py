import pytest

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path, address_text


@pytest.mark.parametrize(
    ("address", "port", "text"),
    [
        ("192.0.2.1", 4500, "192.0.2.1:4500"),
        ("192.0.2.1", 0, "192.0.2.1"),
        ("2001:db8::1", 4500, "[2001:db8::1]:4500"),
        ("2001:db8::1", 0, "2001:db8::1"),
    ],
)
def test_endpoints_are_written_as_people_do(address, port, text):
    endpoint = Endpoint.of(address, port)
    assert str(endpoint) == text
    assert address_text(endpoint.address) == address


def test_no_address():
    with pytest.raises(ValueError, match="gateway"):
        Endpoint.of("gateway")


def test_every_encapsulation_has_its_code_in_the_order_of_choice():
    assert [encapsulation.code for encapsulation in Encapsulation] == list(EncapsulationCode)


def test_path():
    path = Path(Encapsulation.UDP, Endpoint.of("10.0.0.2", 4500), Endpoint.of("192.0.2.1", 4500))
    assert str(path) == "udp 10.0.0.2:4500 > 192.0.2.1:4500"
    assert path.ends == (path.local, path.remote)


def test_a_path_of_ah_is_another_one():
    ends = Endpoint.of("10.0.0.2"), Endpoint.of("192.0.2.1")
    esp, ah = (Path(Encapsulation.NATIVE, *ends, ah=ah) for ah in (False, True))
    assert esp != ah
    assert str(ah) == "ah 10.0.0.2 > 192.0.2.1"
