"""The rhythm of signs of life, for each kind of path."""

import pytest

from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.keepalive import Keepalive, Sign

OCTET, DUMMY, PROBE = Sign


@pytest.mark.parametrize(
    ("encapsulation", "interval", "signs"),
    [
        (Encapsulation.UDP, 20, [OCTET, OCTET, PROBE, OCTET, OCTET, PROBE]),
        (Encapsulation.NATIVE, 20, [DUMMY, DUMMY, PROBE, DUMMY, DUMMY, PROBE]),
        (Encapsulation.TCP, 30, [PROBE] * 6),
        (Encapsulation.HTTP, 30, [PROBE] * 6),
    ],
)
def test_signs(encapsulation, interval, signs):
    keepalive, now = Keepalive(encapsulation, 100.0), 100.0
    for sign in signs:
        now += interval
        assert keepalive.due == now
        assert keepalive.sign(now) is sign


def test_the_interval_of_streams_is_of_no_other_path():
    assert Keepalive(Encapsulation.TCP, 0.0, 20, 15).due == 15
    assert Keepalive(Encapsulation.UDP, 0.0, 20, 15).due == 20


def test_no_interval_is_a_busy_loop():
    assert Keepalive(Encapsulation.UDP, 0.0, 0.001).due == 1
