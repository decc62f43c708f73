"""What the kernel says of this machine; of networks made for it: tests/netns."""

import errno
import os
import struct

import pytest
from faulty_sockets import FaultySocket

from scapy_mobsec.drivers.live import rtnetlink
from scapy_mobsec.drivers.live.rtnetlink import MAX_READS, Rtnetlink
from scapy_mobsec.packet.path import Endpoint

LOOPBACK = Endpoint.of("127.0.0.1").address


@pytest.fixture
def network():
    network = Rtnetlink()
    yield network
    network.close()


def test_loopback_is_there_and_reached(network):
    (local,) = (each for each in network.addresses() if each.address == LOOPBACK)
    route = network.route(LOOPBACK)
    assert (route.source, route.is_local) == (LOOPBACK, True)
    assert network.route(LOOPBACK, local).is_local


def test_devices_that_do_not_count():
    network = Rtnetlink(besides=["lo"])
    assert LOOPBACK not in [each.address for each in network.addresses()]
    network.close()


def test_what_is_not_here_reaches_nothing(network):
    (local,) = (each for each in network.addresses() if each.address == LOOPBACK)
    gone = local._replace(address=bytes([192, 0, 2, 77]), link=local.link)
    assert network.route(bytes([203, 0, 113, 2]), gone) is None


def test_lost_notices_do_no_harm(network, monkeypatch):
    notices = FaultySocket(network._notices)
    monkeypatch.setattr(network, "_notices", notices)
    notices.script("recv", OSError(errno.ENOBUFS, "lost"), b".", BlockingIOError())
    network.take_notices()
    assert notices.calls["recv"] == 3
    notices.script("recv", OSError(errno.ENOMEM, "none"))
    with pytest.raises(OSError, match="none"):
        network.take_notices()


@pytest.fixture
def kernel(network, monkeypatch):
    """The socket that is asked, which may fail."""
    kernel = FaultySocket(network._kernel)
    monkeypatch.setattr(network, "_kernel", kernel)
    return kernel


def message(kind, flags, sequence, octets=b""):
    return struct.pack("=IHHII", 16 + len(octets), kind, flags, sequence, 0) + octets


INTERRUPTED, DONE = 0x10, 3


def test_a_list_that_changes_is_read_again(network, kernel):
    kernel.script("send", *[16] * 3)
    changed = message(16, 2 | INTERRUPTED, 1, bytes(16)), message(DONE, 2, 1)
    kernel.script("recv", *changed, message(DONE, 2, 2), message(DONE, 2, 3))
    assert network.addresses() == []
    kernel.script("send", *[16] * MAX_READS)
    kernel.script("recv", *(message(DONE, 2 | INTERRUPTED, 4 + read) for read in range(MAX_READS)))
    with pytest.raises(OSError, match="changes while it is read"):
        network.addresses()


def test_answers_to_what_was_given_up_are_passed_over(network, kernel):
    kernel.script("recv", TimeoutError("timed out"))
    with pytest.raises(OSError, match="timed out"):
        network.route(LOOPBACK)
    assert network.route(LOOPBACK).source == LOOPBACK
    assert LOOPBACK in [each.address for each in network.addresses()]


@pytest.mark.parametrize("ask", [lambda it: it.addresses(), lambda it: it.route(LOOPBACK)])
def test_what_the_kernel_refuses(network, kernel, ask):
    refused = message(2, 0, network._sequence + 1, struct.pack("=i", -errno.EPERM))
    kernel.script("recv", refused)
    with pytest.raises(OSError, match=os.strerror(errno.EPERM)) as error:
        ask(network)
    assert error.value.errno == errno.EPERM


def test_half_opened_it_leaves_no_descriptor(monkeypatch):
    opened = [rtnetlink._open()]

    def open_one():
        if not opened:
            raise OSError(errno.EMFILE, "too many")
        return opened.pop()

    monkeypatch.setattr(rtnetlink, "_open", open_one)
    (netlink,) = opened
    with pytest.raises(OSError, match="too many"):
        Rtnetlink()
    assert netlink.fileno() < 0
