"""UDP sockets as the kernel has them."""

import errno
import socket

import pytest

from scapy_mobsec.drivers.live.udp_sockets import open_udp
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_any_port_and_one_of_choice(heard, address):
    first = open_udp(Endpoint.of(address), heard.owner)
    assert first.local.port
    with pytest.raises(OSError, match="in use") as raised:
        open_udp(first.local, heard.owner)
    assert raised.value.errno == errno.EADDRINUSE
    first.close()
    again = open_udp(first.local, heard.owner)
    assert again.local == first.local
    again.close()


def test_both_families_may_listen_everywhere_on_one_port(heard):
    wide = open_udp(Endpoint(bytes(16)), heard.owner)
    narrow = open_udp(Endpoint(bytes(4), wide.local.port), heard.owner)
    assert narrow.local.port == wide.local.port
    wide.close()
    narrow.close()


def test_the_kernel_writes_checksums_and_does_not_fragment(heard):
    opened = open_udp(Endpoint.of("127.0.0.1"), heard.owner)
    no_check, mtu_discover, probe = 11, 10, 3
    assert opened._socket.getsockopt(socket.SOL_SOCKET, no_check) == 0
    assert opened._socket.getsockopt(socket.IPPROTO_IP, mtu_discover) == probe
    opened.close()


def test_octets_and_path(heard):
    first, second = (
        open_udp(Endpoint.of(each), heard.owner) for each in ("127.0.0.1", "127.0.0.2")
    )
    for octets in (b"\xff", b"", bytes(65_507)):
        first.send(octets, Path(Encapsulation.UDP, first.local, second.local))
    heard.wait_for(3)
    path = Path(Encapsulation.UDP, second.local, first.local)
    assert heard.came == [(b"\xff", path), (b"", path), (bytes(65_507), path)]
    first.close()
    second.close()
