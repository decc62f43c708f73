"""The layers by themselves: what they build, tell and remember."""

import pytest
from frames import TO_GATEWAY, Bench
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Raw

from scapy_mobsec.drivers.packets import ObserverKeys
from scapy_mobsec.drivers.seen_layers import (
    Completed,
    SeenAH,
    SeenESP,
    keys_of,
    layer_of,
    unread_layer,
)

NOTHING = ObserverKeys.of(None)


@pytest.fixture
def bench():
    return Bench()


def esp(**fields):
    return SeenESP(spi=1, seq=2, data=b"sealed", **fields)


def test_what_was_opened_adds_no_octets():
    layer = esp(verified=True)
    octets = bytes(layer)
    layer.add_payload(Raw(b"opened"))
    assert bytes(layer) == octets == bytes(ESP(spi=1, seq=2, data=b"sealed"))
    packet = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=4500, dport=4500) / layer
    assert bytes(packet).endswith(octets)
    assert IP(bytes(packet)).len == len(packet) == 20 + 8 + len(octets)


def test_scapy_finds_them_by_the_names_of_its_own():
    packet = IP() / UDP() / esp(verified=True) / Raw(b"opened")
    assert ESP in packet
    assert packet["ESP"] is packet[ESP]
    assert packet[ESP].verified
    assert AH not in packet
    assert AH in IP() / SeenAH()


def test_a_summary_is_loud_where_something_is_wrong():
    fault = "WRONG ICV: integrity check failed"
    assert esp(verified=False, fault=fault).summary() == "ESP 0x00000001 #2 (WRONG ICV)"
    assert esp(verified=True).summary() == "ESP 0x00000001 #2"
    unverified = esp(verified=False, fault="NOT VERIFIED: no key") / Raw(b"x")
    assert unverified.summary() == "ESP (NOT VERIFIED) / Raw"


def test_completed_is_none_of_a_segments_octets():
    packet = Completed(units=[esp(verified=True), esp(verified=None)]) / Raw(b"segment")
    assert bytes(packet) == b"segment"
    assert packet.summary() == "[ESP 0x00000001 #2, ESP 0x00000001 #2] / Raw"
    assert packet.copy().units[0].verified


def test_keys_are_remembered_by_copies_and_not_pickled_or_shown(bench):
    bench.see(bench.up())
    layer = layer_of(bench.packets[0], NOTHING)
    packet = IP() / UDP() / layer
    assert keys_of(packet) is keys_of(packet.copy()) is NOTHING
    assert keys_of(next(iter(packet))) is NOTHING
    assert keys_of(Completed(units=[layer])) is NOTHING
    assert keys_of(IP()) is None
    assert "Keys" not in repr(layer) + layer.show(dump=True) + layer.command()


def test_the_time_is_that_of_the_frame(bench):
    bench.see(bench.up())
    layer = layer_of(bench.packets[0], NOTHING)
    assert layer.time == layer.payload.time
    assert int(layer.time * 10**9) == bench.packets[0].time_ns


def test_ah_covers_what_it_did_on_the_wire(bench):
    octets = bench.by_ah(TO_GATEWAY)
    header = IP(octets)[AH]
    layer = unread_layer(header, NOTHING)
    assert bytes(layer) == bytes(header)
    assert (layer.spi, layer.verified) == (TO_GATEWAY, None)
    assert layer.fault.startswith("not read")


def test_an_unread_header_keeps_its_fields():
    header = ESP(bytes(ESP(spi=7, seq=8, data=b"x")))
    layer = unread_layer(header, NOTHING)
    assert layer.fields.items() >= header.fields.items()
    assert keys_of(layer) is NOTHING
