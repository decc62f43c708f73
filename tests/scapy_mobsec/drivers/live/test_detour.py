"""Routes of one process: what is sent elsewhere seems to come from where it was meant to go."""

import pytest

from scapy_mobsec.drivers.live.detour import Detour
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import Ipv4Header, TcpHeader
from scapy_mobsec.terminal.driving import Closed, Established, Open, Transmit

SERVER, GATE = Endpoint.of("127.0.0.9", 4500), Endpoint.of("127.0.0.1", 4500)
ROUTED, DIRECT = Endpoint.of("127.0.0.2", 4500), Endpoint.of("127.0.0.3", 4500)


class Part:
    """A host, and both carriers, which say what they were told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        def tell(*what):
            self.told.append((name, *what))
            return what[0] if what else None

        return tell


@pytest.fixture
def parts():
    host, datagrams, streams = Part(), Part(), Part()
    detour = Detour(host, SERVER.address, {ROUTED.address: GATE.address})
    detour.carry(datagrams, streams)
    return host, datagrams, streams, detour


def paths(local, encapsulation=Encapsulation.UDP):
    """As the terminal knows it, and as it is really taken."""
    there = Path(encapsulation, local, SERVER)
    return there, there._replace(remote=GATE) if local == ROUTED else there


@pytest.mark.parametrize("local", [ROUTED, DIRECT])
def test_datagrams(parts, local):
    host, datagrams, _, detour = parts
    known, taken = paths(local)
    host.datagrams.send(Transmit(b"there", known))
    assert host.datagrams.use([local]) == [local]
    host.datagrams.close()
    assert datagrams.told == [("send", Transmit(b"there", taken)), ("use", [local]), ("close",)]
    detour.receive(b"back", taken)
    detour.too_big(1300, taken, b"there")
    assert host.told == [("receive", b"back", known), ("too_big", 1300, known, b"there")]


@pytest.mark.parametrize("local", [ROUTED, DIRECT])
def test_streams(parts, local):
    host, _, streams, detour = parts
    known, taken = paths(local, Encapsulation.TCP)
    host.streams.open(Open(known, "y:443"))
    host.streams.write(known, b"octets")
    host.streams.end(known)
    host.streams.use([local.address])
    host.streams.close()
    assert streams.told == [
        ("open", Open(taken, "y:443")),
        ("write", taken, b"octets"),
        ("end", taken),
        ("use", [local.address]),
        ("close",),
    ]
    ports = TcpHeader(4500, 4500)
    headers = Ipv4Header(local.address, taken.remote.address), ports
    detour.receive(Established(taken, headers), taken)
    detour.receive(Closed("over"), taken)
    written = Ipv4Header(local.address, SERVER.address), ports
    assert host.told == [
        ("receive", Established(known, written), known),
        ("receive", Closed("over"), known),
    ]
