"""Both terminals on loopback: what they tell is what the networks between them do."""

import socket
from ipaddress import ip_address

import pytest

from scapy_mobsec.drivers.live import loopback
from scapy_mobsec.drivers.live.loopback import PLACES, run_on_loopback
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.events import BindingMoved

BY_NAME = {place.name: place for place in PLACES}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    """Other ports and another server than those of a demo that runs beside."""
    monkeypatch.setattr(loopback, "SERVER", ip_address("127.0.113.3").packed)
    monkeypatch.setattr(loopback, "PORTS", ((24_500, 28_080), (34_500, 38_080)))
    monkeypatch.setattr(loopback, "STAY", 0.6)


def run_in(monkeypatch, *names):
    monkeypatch.setattr(loopback, "PLACES", tuple(BY_NAME[name] for name in names))
    return run_on_loopback()


def test_an_address_translator_and_nothing(monkeypatch):
    result = run_in(monkeypatch, "home", "open")
    home, there = result.stays
    assert [str(each.path.local) for each in result.stays] == [
        "127.10.0.2:24500",
        "127.51.100.2:24500",
    ]
    assert {each.path.encapsulation for each in result.stays} == {Encapsulation.UDP}
    assert {each.observed.partition(":")[0] for each in home.translations if each.field == 1} == {
        "127.0.2.1"
    }
    assert there.translations == ()
    assert all(each.to_other is not None and each.to_mobile is not None for each in result.stays)
    assert home.to_other >= loopback.DELAY
    assert home.to_mobile >= 2 * loopback.DELAY
    assert result.story.path == there.path
    moved = [event for _, event in result.story.other_events if isinstance(event, BindingMoved)]
    assert str(moved[-1].new.remote) == "127.51.100.2:24500"


def test_http_alone(monkeypatch):
    (office,) = run_in(monkeypatch, "office").stays
    assert office.path.encapsulation is Encapsulation.HTTP
    assert any(each.observed == "Via" for each in office.translations)


def test_ports_in_use(monkeypatch):
    taken = []
    for port in (24_500, 34_500):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.113.3", port))
        taken.append(udp)
        if port == 24_500:
            (home,) = run_in(monkeypatch, "home").stays
            assert home.path.remote.port == 34_500
    with pytest.raises(OSError, match=r"127\.0\.113\.3:34500: Address already in use"):
        run_in(monkeypatch, "home")
    for udp in taken:
        udp.close()


def test_the_picture_names_every_place():
    drawn = loopback.picture()
    assert all(place.name in drawn and place.address in drawn for place in PLACES)
