"""What the error queue of a real UDP socket says, and what it may say otherwise."""

import errno
import socket
from struct import pack

import pytest
from faulty_sockets import FaultySocket

from scapy_mobsec.drivers.live.error_queue import (
    IP_RECVERR,
    MAX_NOTICES,
    ORIGIN_ICMP,
    ORIGIN_LOCAL,
    notices,
)

NOTHING = BlockingIOError()


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        udp.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        yield FaultySocket(udp)


def answer(number, origin, mtu, quoted=b""):
    value = pack("=IBBBxII", number, origin, 3, 4, mtu, 0)
    return quoted, [(socket.IPPROTO_IP, IP_RECVERR, value)], 0, ("192.0.2.1", 4500)


def test_a_port_where_nobody_is(udp):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()
    udp.sendto(b"quoted", nobody)
    (notice,) = notices(udp)
    assert (notice.error, notice.remote, notice.quoted) == (errno.ECONNREFUSED, nobody, b"quoted")
    assert notice.is_remote
    assert not notice.is_local
    assert not list(notices(udp))


def test_a_datagram_that_is_too_long_for_the_link(udp):
    udp.script("recvmsg", answer(errno.EMSGSIZE, ORIGIN_LOCAL, 1280), NOTHING)
    (notice,) = notices(udp)
    assert (notice.error, notice.mtu, notice.is_local) == (errno.EMSGSIZE, 1280, True)
    assert not notice.is_remote


def test_one_that_is_too_long_for_a_link_further_on(udp):
    udp.script("recvmsg", answer(errno.EMSGSIZE, ORIGIN_ICMP, 1400, b"octets"), NOTHING)
    (notice,) = notices(udp)
    assert (notice.mtu, notice.quoted, notice.is_remote) == (1400, b"octets", True)


def test_so_many_at_once(udp):
    udp.script("recvmsg", *[answer(errno.EHOSTUNREACH, ORIGIN_ICMP, 0)] * (MAX_NOTICES + 1))
    assert len(list(notices(udp))) == MAX_NOTICES


def test_messages_that_are_no_errors(udp):
    value = bytes(8)
    udp.script("recvmsg", (b"", [(socket.IPPROTO_IP, IP_RECVERR, value)], 0, None))
    udp.script("recvmsg", (b"", [(socket.SOL_SOCKET, 37, bytes(32))], 0, None), NOTHING)
    assert not list(notices(udp))


def test_a_queue_that_cannot_be_read(udp):
    udp.fail("recvmsg", errno.ENOBUFS)
    with pytest.raises(OSError, match="No buffer"):
        next(notices(udp))
