"""What a TUN device says when it cannot be had; what it does is in tests/netns."""

import errno
import os

import pytest

from scapy_mobsec.drivers.live import tun_device
from scapy_mobsec.drivers.live.tun_device import TunDevice, TunError


def failing(number):
    def call(*arguments):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("name", ["", "a" * 16, "a b", "a/b", "mobsec0 "])
def test_names_that_are_none(name):
    with pytest.raises(TunError, match="is no name of a device"):
        TunDevice(name, [], mtu=1380)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOENT, "no /dev/net/tun: the kernel has no TUN here"),
        (errno.ENODEV, "no /dev/net/tun: the kernel has no TUN here"),
        (errno.EACCES, "/dev/net/tun: needs CAP_NET_ADMIN (or root)"),
        (errno.EMFILE, "/dev/net/tun: Too many open files"),
    ],
)
def test_a_device_file_that_does_not_open(monkeypatch, number, text):
    monkeypatch.setattr(tun_device.os, "open", failing(number))
    with pytest.raises(TunError) as error:
        TunDevice("mobsec0", [], mtu=1380)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EPERM, "mobsec0: needs CAP_NET_ADMIN (or root)"),
        (errno.EBUSY, "mobsec0: there is a device of this name"),
        (errno.EINVAL, "mobsec0: there is a device of this name"),
        (errno.ENOMEM, "mobsec0: Cannot allocate memory"),
    ],
)
def test_a_device_that_is_not_made(monkeypatch, tmp_path, number, text):
    file = tmp_path / "tun"
    file.touch()
    monkeypatch.setattr(tun_device, "DEVICE", str(file))
    monkeypatch.setattr(tun_device, "ioctl", failing(number))
    with pytest.raises(TunError) as error:
        TunDevice("mobsec0", [], mtu=1380)
    assert str(error.value) == text
