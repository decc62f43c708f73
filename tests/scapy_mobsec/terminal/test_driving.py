"""What passes between a terminal and its driver is a value: equal where its parts are."""

import pytest

from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.driving import Close, Closed, Established, Open, Refused, Transmit

PATH = Path(Encapsulation.TCP, Endpoint.of("198.51.100.2", 0), Endpoint.of("203.0.113.2", 4500))


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (Transmit, (b"octets", PATH)),
        (Open, (PATH, "203.0.113.2:4500")),
        (Close, (PATH,)),
        (Established, (PATH, ())),
        (Closed, ("reset",)),
        (Refused, ("403",)),
    ],
)
def test_they_are_values_that_nobody_changes(make, values):
    one = make(*values)
    assert one == make(*values)
    with pytest.raises(AttributeError):
        one.path = None


def test_without_a_forward_proxy_there_is_no_target():
    assert Open(PATH).target == ""
