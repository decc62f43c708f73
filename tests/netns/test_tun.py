"""TUN devices of the kernel: addresses, routes beside those of outer packets, and their end.

X  m0 198.51.100.2 ---- router        X  mobsec0 10.10.1.1 ==== mobsec0 10.10.2.1  Y
"""

import os
import signal
import socket
import subprocess
import sys
from ipaddress import ip_network

import pytest

from scapy_mobsec.drivers.lab.namespaces import Lab
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.responder import Responder
from scapy_mobsec.drivers.live.tun import Tun
from scapy_mobsec.drivers.live.tun_device import FIRST_RULE, TunDevice, TunError
from scapy_mobsec.packet.path import Endpoint

pytestmark = pytest.mark.netns


def packed(*addresses):
    return [Endpoint.of(each).address for each in addresses]


X, Y = packed("10.10.1.1", "fd0a:1::1"), packed("10.10.2.1", "fd0a:2::1")
OUTSIDE = packed("203.0.113.2", "2001:db8:9::2")
DEFAULT = [ip_network("0.0.0.0/0"), ip_network("::/0")]
MTU = 1380


@pytest.fixture
def lab():
    with Lab() as lab:
        for name in ("x", "y", "router"):
            lab.namespace(name)
        lab.cable("x", "m0", "router", "in0")
        lab.ip(
            "x",
            "address add 198.51.100.2/24 dev m0",
            "address add 2001:db8::2/64 dev m0 nodad",
            "route add default via 198.51.100.1",
            "route add default via 2001:db8::1",
        )
        yield lab


@pytest.fixture
def make(lab):
    """Make a device in a namespace."""
    made = []

    def make(namespace, *arguments, name="mobsec0", **options):
        with lab.inside(namespace):
            made.append(TunDevice(name, *arguments, mtu=MTU, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def way(lab, *to):
    """Which device the kernel takes to an address."""
    words = lab.run("x", "ip", "route", "get", *to).split()
    return words[words.index("dev") + 1]


def new_socket(lab, namespace, kind, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab.inside(namespace):
        new = socket.socket(family, kind)
    new.setblocking(False)
    return new


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8:7::1"])
def test_packets_go_out_and_come_back(lab, make, loop, address):
    tun = Tun(loop, make("x", X, DEFAULT, outside=OUTSIDE), lambda packet: host.write(packet), MTU)
    host = Responder(packed(address), tun.write)
    udp = new_socket(lab, "x", socket.SOCK_DGRAM, address)
    came = []
    loop.watch(udp, lambda: came.append(udp.recv(100)))
    udp.sendto(b"hello", (address, 7))
    assert loop.run(lambda: came == [b"hello"], seconds=5), host.ignored
    assert not host.ignored  # the kernel says nothing of its own on the device
    udp.close()


def test_only_what_is_for_the_tunnel_takes_it(lab, make):
    make("x", X, [*DEFAULT, ip_network("10.10.2.0/24")], outside=OUTSIDE)
    through = (["192.0.2.1"], ["10.10.2.1"], ["192.0.2.1", "from", "10.10.1.1"],
               ["2001:db8:7::1"], ["2001:db8:7::1", "from", "fd0a:1::1"])  # fmt: skip
    assert {way(lab, *to) for to in through} == {"mobsec0"}
    # To the other terminal, to neighbours, and answers from addresses outside.
    beside = (["203.0.113.2"], ["203.0.113.2", "from", "198.51.100.2"], ["198.51.100.7"],
              ["192.0.2.1", "from", "198.51.100.2"], ["2001:db8:9::2"], ["2001:db8::7"],
              ["2001:db8:7::1", "from", "2001:db8::2"])  # fmt: skip
    assert {way(lab, *to) for to in beside} == {"m0"}


def test_routes_that_cover_no_outer_address_need_no_rules(lab, make):
    make("x", X, [ip_network("10.10.2.0/24")], outside=OUTSIDE)
    assert str(FIRST_RULE) not in lab.run("x", "ip", "rule")
    assert (way(lab, "10.10.2.1"), way(lab, "192.0.2.1")) == ("mobsec0", "m0")


def state(lab):
    parts = "link", "address", "rule", "-6 rule", "route show table all"
    return [lab.run("x", "ip", *part.split()) for part in parts]


def test_nothing_stays(lab, make):
    before = state(lab)
    device = make("x", X, DEFAULT, outside=OUTSIDE)
    assert str(FIRST_RULE) in lab.run("x", "ip", "rule")
    device.close()
    device.close()
    assert state(lab) == before


KILLED = """
import sys
from ipaddress import ip_network
from scapy_mobsec.drivers.live.tun_device import TunDevice
address, outside = bytes([10, 10, 1, 1]), bytes([203, 0, 113, 2])
TunDevice("mobsec0", [address], [ip_network("0.0.0.0/0")], mtu=1380, outside=[outside])
print(flush=True)
sys.stdin.read()
"""


def test_what_a_killed_run_left_is_replaced(lab, make):
    before = state(lab)
    command = lab.command("x", sys.executable, "-c", KILLED)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert way(lab, "192.0.2.1") == "m0"  # its rules lead to nothing
    make("x", X, DEFAULT, outside=OUTSIDE).close()
    assert state(lab) == before


def test_the_mtu(lab, make):
    device = make("x", X[:1])
    device.set_mtu(700)
    assert " mtu 700 " in lab.run("x", "ip", "link", "show", "mobsec0")
    device = make("x", X[1:], name="mobsec1")
    device.set_mtu(700)  # with less, the kernel would take IPv6 away
    assert " mtu 1280 " in lab.run("x", "ip", "link", "show", "mobsec1")


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ([X], {"name": "m0"}, "m0: there is a device of this name"),
        ([X], {}, "mobsec0: there is a device of this name"),
        ([packed("10.9.0.1"), DEFAULT[:1]], {"name": "mobsec1", "outside": OUTSIDE},
         "mobsec1: another tunnel has routes that cover outer addresses"),
        ([packed("10.9.0.1"), DEFAULT[1:]], {"name": "mobsec1"},
         "mobsec1: route ::/0: no inner address of this family"),
        ([packed("10.9.0.1"), [ip_network("198.51.100.0/24")] * 2], {"name": "mobsec1"},
         "mobsec1: route 198.51.100.0/24: File exists"),
        ([packed("::")], {"name": "mobsec1"},
         "mobsec1: address ::: Cannot assign requested address"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(lab, make, arguments, options, text):
    make("x", X, DEFAULT, outside=OUTSIDE)
    before = state(lab)
    with pytest.raises(TunError) as error:
        make("x", *arguments, **options)
    assert str(error.value) == text
    assert state(lab) == before


def test_without_rights(lab):
    script = (
        "from scapy_mobsec.drivers.live.tun_device import TunDevice, TunError\n"
        "try:\n    TunDevice('mobsec0', [], mtu=1380)\n"
        "except TunError as error:\n    print(error)"
    )
    dropped = "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"
    said = lab.run("x", *dropped, sys.executable, "-c", script)
    assert said == "mobsec0: needs CAP_NET_ADMIN (or root)\n"


def test_a_device_that_is_deleted(lab, make, loop, caplog):
    Tun(loop, make("x", X), print, MTU)
    lab.ip("x", "link delete mobsec0")
    assert loop.run(lambda: "device=mobsec0 state=gone" in caplog.text, seconds=5)


@pytest.fixture
def narrow_way(lab, make, loop):
    """Two devices with a way between; what is longer than its `room` is lost."""

    class Way:
        room = MTU

        def carry(self, packet, to):
            if len(packet) <= self.room:
                to.write(packet)

    way = Way()
    to_y, to_x = ([ip_network(f"10.10.{n}.0/24"), ip_network(f"fd0a:{n}::/64")] for n in (2, 1))
    way.near = Tun(loop, make("x", X, to_y), lambda packet: way.carry(packet, way.far), MTU)
    way.far = Tun(loop, make("y", Y, to_x), lambda packet: way.carry(packet, way.near), MTU)
    return way


def connect(lab, loop, address):
    """A TCP connection through the devices, from X and at Y."""
    listener = new_socket(lab, "y", socket.SOCK_STREAM, address)
    listener.bind((address, 5001))
    listener.listen()
    client = new_socket(lab, "x", socket.SOCK_STREAM, address)
    client.connect_ex((address, 5001))
    accepted = []
    loop.watch(listener, lambda: accepted.append(listener.accept()[0]))
    assert loop.run(lambda: bool(accepted), seconds=5)
    loop.unwatch(listener)
    listener.close()
    accepted[0].setblocking(False)
    return client, accepted[0]


def transfer(loop, sender, receiver):
    """Send two megabytes, which must not stall."""
    octets, came, left = os.urandom(65_536), 0, 2_000_000

    def send():
        nonlocal left
        left -= sender.send(octets[:left])
        if not left:
            loop.unwatch(sender)

    def receive():
        nonlocal came
        came += len(receiver.recv(1 << 20))

    loop.watch(sender, None, send)
    loop.watch(receiver, receive)
    assert loop.run(lambda: came == 2_000_000, seconds=20), (came, left)
    loop.unwatch(receiver)


TCP_TO = pytest.mark.parametrize(
    ("address", "room"), [("10.10.2.1", 1000), ("fd0a:2::1", 1300)], ids=["v4", "v6"]
)


@TCP_TO
def test_tcp_does_not_stall_where_one_end_alone_knows_the_mtu(lab, loop, narrow_way, address, room):
    narrow_way.near.mtu = narrow_way.room = room
    ends = connect(lab, loop, address)
    for sender, receiver in (ends, ends[::-1]):
        transfer(loop, sender, receiver)
    for each in ends:
        each.close()


@TCP_TO
def test_tcp_does_not_stall_when_the_mtu_falls(lab, loop, narrow_way, address, room):
    ends = connect(lab, loop, address)
    for sender, receiver in (ends, ends[::-1]):
        narrow_way.near.mtu = narrow_way.far.mtu = narrow_way.room = MTU
        transfer(loop, sender, receiver)
        narrow_way.near.mtu = narrow_way.far.mtu = narrow_way.room = room
        transfer(loop, sender, receiver)
    for each in ends:
        each.close()
