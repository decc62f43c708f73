"""Packets between a device and a terminal, where the device is a pair of sockets."""

import errno
import os
import socket

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

from scapy_mobsec.drivers.live.tun import ANSWERS_AT_ONCE, READ_AT_ONCE, Tun
from scapy_mobsec.drivers.live.tun_device import TunError

ENDS = {"src": "10.10.1.1", "dst": "10.10.2.1"}
PING = bytes(IP(**ENDS) / ICMP())
LONG = bytes(IP(**ENDS, flags="DF") / UDP() / Raw(bytes(1000)))


class Device:
    """Its other end, `kernel`, is what the kernel sees."""

    name = "mobsec0"

    def __init__(self):
        self.kernel, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for each in (self.kernel, self.end):
            each.setblocking(False)
        self.mtus, self.closed = [], 0

    def fileno(self):
        return self.end.fileno()

    def read(self):
        packet = self.end.recv(65_535)
        if not packet:
            raise OSError(errno.EBADFD, os.strerror(errno.EBADFD))
        return packet

    def write(self, packet):
        self.end.send(packet)

    def set_mtu(self, mtu):
        self.mtus.append(mtu)

    def close(self):
        self.closed += 1


@pytest.fixture
def device():
    device = Device()
    yield device
    device.kernel.close()
    device.end.close()


@pytest.fixture
def came():
    return []


@pytest.fixture
def tun(loop, device, came):
    tun = Tun(loop, device, came.append, 1380)
    yield tun
    tun.close()


def syn(mss):
    return bytes(IP(**ENDS) / TCP(sport=1, dport=2, flags="S", options=[("MSS", mss)]))


def test_out_and_in(loop, device, tun, came):
    device.kernel.send(PING)
    assert loop.run(lambda: came == [PING], seconds=5)
    tun.write(PING)
    assert device.kernel.recv(100) == PING


def test_the_mss_is_lowered_in_both_directions(loop, device, tun, came):
    tun.mtu = 1000
    device.kernel.send(syn(1460))
    assert loop.run(lambda: came == [syn(960)], seconds=5)
    tun.write(syn(1460))
    assert device.kernel.recv(100) == syn(960)


def test_too_long_ones_are_answered_but_not_without_end(loop, device, tun, came):
    tun.mtu = 1000
    for _ in range(ANSWERS_AT_ONCE + 5):
        device.kernel.send(LONG)
    device.kernel.send(PING)
    assert loop.run(lambda: came == [PING], seconds=5)
    for _ in range(ANSWERS_AT_ONCE):
        told = IP(device.kernel.recv(2000))
        assert (told.dst, told[ICMP].nexthopmtu) == ("10.10.1.1", 1000)
    with pytest.raises(BlockingIOError):
        device.kernel.recv(2000)


def test_a_round_has_no_more_than_so_many(loop, device, tun, came):
    device.end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    device.kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    for _ in range(READ_AT_ONCE + 1):
        device.kernel.send(PING)
    assert loop.run(lambda: bool(came), seconds=5)
    assert len(came) == READ_AT_ONCE
    assert loop.run(lambda: len(came) == READ_AT_ONCE + 1, seconds=5)


def test_the_device_follows_the_mtu(device, tun):
    tun.mtu = 1380
    assert device.mtus == []
    tun.mtu = 1200
    assert (device.mtus, tun.mtu) == ([1200], 1200)


def test_a_device_that_cannot_follow(device, tun, caplog, monkeypatch):
    def refuse(mtu):
        raise TunError("mobsec0: MTU 1200: needs CAP_NET_ADMIN (or root)")

    monkeypatch.setattr(device, "set_mtu", refuse)
    tun.mtu = 1200
    assert tun.mtu == 1200
    assert "device=mobsec0 mtu=1200 error=" in caplog.text


def test_what_the_kernel_does_not_take_is_counted_and_told_once(device, tun, caplog, monkeypatch):
    errors = [errno.EIO, errno.EIO, errno.EINVAL]

    def refuse(packet):
        number = errors.pop(0)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(device, "write", refuse)
    for _ in range(3):
        tun.write(PING)
    assert tun.lost == {"EIO": 2, "EINVAL": 1}
    assert [each.getMessage() for each in caplog.records] == [
        "device=mobsec0 lost=packets error=EIO",
        "device=mobsec0 lost=packets error=EINVAL",
    ]


def test_a_device_that_was_deleted_does_not_keep_the_loop_busy(loop, device, tun, caplog):
    device.kernel.close()
    assert loop.run(lambda: "state=gone" in caplog.text, seconds=5)
    assert not loop.run(lambda: len(caplog.records) > 1, seconds=0.02)


def test_closed_once(device, tun):
    tun.close()
    tun.close()
    assert device.closed == 1
