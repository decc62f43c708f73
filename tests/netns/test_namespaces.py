"""A lab of namespaces: what is made is there, and gone afterwards, with what ran in it."""

import socket
import subprocess

import pytest

from scapy_mobsec.drivers.lab import namespaces
from scapy_mobsec.drivers.lab.namespaces import Lab, LabError, masquerade

pytestmark = pytest.mark.netns


def listed():
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def lab():
    with Lab() as lab:
        lab.namespace("x")
        lab.namespace("router", forwards=True)
        lab.namespace("y")
        lab.cable("x", "m0", "router", "in0")
        lab.cable("router", "ex0", "y", "g0")
        lab.ip("x", "address add 192.0.2.2/24 dev m0", "route add default via 192.0.2.1")
        lab.ip("router", "address add 192.0.2.1/24 dev in0", "address add 203.0.113.1/24 dev ex0")
        lab.ip("y", "address add 203.0.113.2/24 dev g0")
        lab.nft("router", masquerade("ex0"))
        yield lab


def test_sockets_of_namespaces_meet_through_the_nat(lab):
    sockets = []
    for name, address in (("x", "192.0.2.2"), ("y", "203.0.113.2")):
        with lab.inside(name):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((address, 4500))
            udp.settimeout(5)
            sockets.append(udp)
    x, y = sockets
    x.sendto(b"hello", ("203.0.113.2", 4500))
    data, (source, _) = y.recvfrom(100)
    assert (data, source) == (b"hello", "203.0.113.1")
    for each in sockets:
        each.close()


def test_all_is_gone_at_the_end(monkeypatch):
    monkeypatch.setattr(namespaces, "_ENDS_WITHIN", 0.1)
    with Lab() as lab:
        lab.namespace("x")
        name = lab.full_name("x")
        process = lab.start("x", ["sleep", "100"])
        stubborn = lab.start(
            "x", ["sh", "-c", "trap '' TERM; echo; sleep 100"], output=subprocess.PIPE
        )
        stubborn.stdout.readline()
        assert name in listed()
    assert process.poll() is not None
    assert stubborn.poll() is not None
    stubborn.stdout.close()
    assert name not in listed()


def test_two_labs_at_once():
    with Lab() as one, Lab() as other:
        one.namespace("x")
        other.namespace("x")
        assert one.full_name("x") != other.full_name("x")


def test_what_cannot_be_made_is_told(lab):
    with pytest.raises(LabError, match=r"already assigned|File exists"):
        lab.ip("x", "address add 192.0.2.2/24 dev m0")
    with pytest.raises(LabError, match="no-such-command"):
        lab.run("x", "no-such-command")
    assert "m0" in lab.run("x", "ip", "link")
