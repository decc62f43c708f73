"""Three network namespaces: X, a kernel NAT, and Y. Needs root, iproute2 and nftables.

    X  m0 192.168.77.2 ---- 192.168.77.1 in0  NAT  ex0 203.0.113.1 ---- 203.0.113.2 g0  Y
    X  d0 198.51.100.2 ----------------------------------------------- 198.51.100.1 d0  Y

What X sends from 192.168.77.2 takes the way through the NAT, the rest the direct one.
"""

import ctypes
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from sockets import bound_socket

CLONE_NEWNET = 0x4000_0000
NUMBERS = count(1)


class Namespaces:
    """The namespaces of one test, with names of their own."""

    def __init__(self):
        number = next(NUMBERS)
        self.x, self.nat, self.y = (f"mobsec-{os.getpid()}-{number}-{end}" for end in "xny")
        self.sockets = []

    def up(self, nat_rule):
        for name in (self.x, self.nat, self.y):
            self._run("ip", "netns", "add", name)
            self._exec(name, "ip link set lo up; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter")
        self._veth(self.x, "m0", "192.168.77.2/24", self.nat, "in0", "192.168.77.1/24")
        self._veth(self.nat, "ex0", "203.0.113.1/24", self.y, "g0", "203.0.113.2/24")
        self._veth(self.x, "d0", "198.51.100.2/24", self.y, "d0", "198.51.100.1/24")
        self._exec(self.x, "ip route add default via 198.51.100.1")
        self._exec(self.x, "ip rule add from 192.168.77.2 lookup 77")
        self._exec(self.x, "ip route add default via 192.168.77.1 table 77")
        self._exec(self.nat, "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self._exec(
            self.nat,
            "nft 'add table ip nat; add chain ip nat post"
            f" {{ type nat hook postrouting priority 100; }};"
            f" add rule ip nat post oifname ex0 ip protocol udp {nat_rule}'",
        )

    def down(self):
        for udp in self.sockets:
            udp.close()
        for name in (self.x, self.nat, self.y):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def bound_socket(self, name, address, port):
        """A UDP socket in a namespace: a socket stays where the thread was that made it."""

        def enter_and_bind():
            with open(f"/run/netns/{name}") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return bound_socket(address, port)

        with ThreadPoolExecutor(1) as thread:
            udp, endpoint = thread.submit(enter_and_bind).result()
        self.sockets.append(udp)
        return udp, endpoint

    def _veth(self, left, left_name, left_address, right, right_name, right_address):
        peer = ("peer", "name", right_name, "netns", right)
        self._run("ip", "-n", left, "link", "add", left_name, "type", "veth", *peer)
        for name, link, address in (
            (left, left_name, left_address),
            (right, right_name, right_address),
        ):
            self._run("ip", "-n", name, "address", "add", address, "dev", link)
            self._run("ip", "-n", name, "link", "set", link, "up")

    def _exec(self, name, command):
        self._run("ip", "netns", "exec", name, "sh", "-ec", command)

    def _run(self, *command):
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)


@pytest.fixture
def namespaces(request):
    """Namespaces whose NAT has the rule that the test is parametrised with."""
    if os.geteuid():
        pytest.skip("needs root")
    for tool in ("ip", "nft"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    made = Namespaces()
    try:
        made.up(request.param)
        yield made
    finally:
        made.down()
