"""What passes between a terminal and its driver is a value: equal where its parts are."""

import pytest

from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.driving import (
    Close,
    Closed,
    Congested,
    Established,
    Open,
    Refused,
    Transmit,
)

PATH = Path(Encapsulation.TCP, Endpoint.of("198.51.100.2", 0), Endpoint.of("203.0.113.2", 4500))


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (Transmit, "data", (b"octets", PATH)),
        (Open, "path", (PATH, "203.0.113.2:4500")),
        (Close, "path", (PATH,)),
        (Established, "wanted", (PATH, ())),
        (Closed, "reason", ("reset",)),
        (Refused, "reason", ("403",)),
        (Congested, "now", (True,)),
    ],
)
def test_they_are_values_that_nobody_changes(make, name, values):
    one = make(*values)
    assert one == make(*values)
    with pytest.raises(AttributeError):
        setattr(one, name, None)


def test_a_stream_has_neither_tunnel_nor_tls_unless_it_is_said():
    plain = Open(PATH)
    assert (plain.target, plain.tls, plain.server_name) == ("", False, "")
