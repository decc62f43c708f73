"""The packet socket on a kernel that is played here; tests/netns has the real one."""

import errno
import socket
import struct
import types

import pytest
from scapy.error import Scapy_Exception

from scapy_mobsec.drivers import packet_socket
from scapy_mobsec.drivers.capture_source import CaptureError, Record
from scapy_mobsec.drivers.packet_socket import PacketSocket

LOOPBACK, ETHERNET, TUN, INFINIBAND = 772, 1, 65534, 32
TIME = 1_700_000_000, 123_456_789


class Kernel:
    """One interface, with the frames that pass it, and what was set."""

    def __init__(self, hardware=ETHERNET, *frames):
        self.hardware, self.frames = hardware, list(frames)
        self.bound, self.options, self.closed = [], {}, False

    def socket(self, family, kind, protocol):
        assert (family, kind, protocol) == (socket.AF_PACKET, socket.SOCK_RAW, 0)
        return self

    def bind(self, address):
        if address[0] != "eth0":
            raise OSError(errno.ENODEV, "No such device")
        self.bound.append((address[1], dict(self.options)))

    def getsockname(self):
        return ("eth0", 3, 0, self.hardware, b"")

    def setsockopt(self, level, name, value):
        self.options[level, name] = value

    def getsockopt(self, level, name, size):
        return struct.pack("@II", 10, 4)

    def recvmsg_into(self, buffers, room):
        if not self.frames:
            raise OSError(errno.ENETDOWN, "Network is down")
        data, packet_type = self.frames.pop(0)
        buffers[0][: len(data)] = data
        time = (socket.SOL_SOCKET, 35, struct.pack("@qq", *TIME))
        return len(data), [(1, 99, b"x"), time], 0, ("eth0", 0x800, packet_type, 1, b"")

    def close(self):
        self.closed = True


@pytest.fixture
def play(monkeypatch):
    def play_(kernel):
        names = {name: getattr(socket, name) for name in dir(socket) if name[0].isupper()}
        fake = types.SimpleNamespace(**names, socket=kernel.socket)
        monkeypatch.setattr(packet_socket, "socket", fake)
        return kernel

    return play_


@pytest.mark.parametrize(("hardware", "link_type"), [(ETHERNET, 1), (LOOPBACK, 1), (TUN, 101)])
def test_frames_with_the_times_of_the_kernel(play, hardware, link_type):
    kernel = play(Kernel(hardware, (b"abc", socket.PACKET_HOST), (b"de", socket.PACKET_HOST)))
    time_ns = TIME[0] * 10**9 + TIME[1]
    with PacketSocket("eth0") as opened:
        records = opened.records()
        assert next(records) == Record(time_ns, link_type, b"abc", 3)
        assert next(records) == Record(time_ns, link_type, b"de", 2)
        with pytest.raises(CaptureError, match="eth0: Network is down"):
            next(records)
        assert opened.lost() == 4
    assert kernel.closed


@pytest.mark.parametrize(("hardware", "count"), [(LOOPBACK, 1), (ETHERNET, 2)])
def test_on_the_loopback_each_packet_counts_once(play, hardware, count):
    frames = (b"abc", socket.PACKET_OUTGOING), (b"abc", socket.PACKET_HOST)
    play(Kernel(hardware, *frames))
    with PacketSocket("eth0") as opened:
        records = opened.records()
        assert [next(records).data for _ in range(count)] == [b"abc"] * count
        with pytest.raises(CaptureError):
            next(records)


def test_nothing_is_received_before_the_filter_is_there(play):
    kernel = play(Kernel())
    PacketSocket("eth0", "udp port 4500")
    assert [protocol for protocol, _ in kernel.bound] == [0, 3]
    (length,) = struct.unpack_from("@H", kernel.bound[1][1][socket.SOL_SOCKET, 26])
    assert length > 5


def test_no_right_to_capture(play):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    kernel = play(Kernel())
    packet_socket.socket.socket = refuse
    with pytest.raises(CaptureError, match="eth0: capturing needs CAP_NET_RAW"):
        PacketSocket("eth0")
    assert not kernel.bound


@pytest.mark.parametrize(
    ("interface", "bpf", "hardware", "text"),
    [
        ("eth9", "", ETHERNET, "eth9: no such interface"),
        ("eth0", "", INFINIBAND, "eth0: link layer 32 is not read"),
        ("eth0", "no such filter", ETHERNET, "filter 'no such filter': "),
    ],
)
def test_there_is_no_capturing(play, interface, bpf, hardware, text):
    kernel = play(Kernel(hardware))
    with pytest.raises(CaptureError, match=text):
        PacketSocket(interface, bpf)
    assert kernel.closed


def test_a_filter_needs_libpcap(play, monkeypatch):
    def missing(*_, **__):
        raise Scapy_Exception("libpcap is not available")

    play(Kernel())
    monkeypatch.setattr("scapy.arch.common.compile_filter", missing)
    with pytest.raises(CaptureError, match="filter 'udp': libpcap is not available"):
        PacketSocket("eth0", "udp")
