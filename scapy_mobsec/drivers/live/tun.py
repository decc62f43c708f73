"""The inner network of this machine: packets between a TUN device and a terminal."""

import logging
from collections import Counter
from collections.abc import Callable
from errno import errorcode
from typing import Protocol

from scapy_mobsec.drivers.live.inner_mtu import TokenBucket, clamp_mss, fit
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.tun_device import TunError

READ_AT_ONCE = 64
"""Packets of one round, so that what comes from outside has its turn."""

ANSWERS_AT_ONCE, ANSWERS_PER_SECOND = 10, 100

log = logging.getLogger("mobsec")


class Device(Protocol):
    """What carries packets between the kernel and this process: `TunDevice`."""

    name: str

    def fileno(self) -> int: ...

    def read(self) -> bytes:
        """Return the next packet. Raises BlockingIOError without one, OSError without a device."""

    def write(self, packet: bytes) -> None:
        """Raises OSError."""

    def set_mtu(self, mtu: int) -> None:
        """Raises TunError."""

    def close(self) -> None: ...


class Tun:
    """Gives packets of a device to `on_packet`, and takes those that arrived; all fit the MTU.

    `lost`: packets that the kernel did not take, by the name of its error.
    """

    def __init__(
        self, loop: Loop, device: Device, on_packet: Callable[[bytes], None], mtu: int
    ) -> None:
        self.lost: Counter[str] = Counter()
        self._loop, self._device, self._on_packet, self._mtu = loop, device, on_packet, mtu
        self._answers = TokenBucket(ANSWERS_AT_ONCE, ANSWERS_PER_SECOND)
        self._open = True
        loop.watch(device, self._readable)

    @property
    def mtu(self) -> int:
        """Octets of the longest inner packet, `MobileTerminal.inner_mtu`.

        It is to be set after InnerMtuLowered and, because an attempt begins with the usual one,
        after Moved. A device that keeps its own, for want of rights, is answered here.
        """
        return self._mtu

    @mtu.setter
    def mtu(self, mtu: int) -> None:
        if mtu == self._mtu:
            return
        self._mtu = mtu
        try:
            self._device.set_mtu(mtu)
        except TunError as error:
            log.warning('device=%s mtu=%d error="%s"', self._device.name, mtu, error)

    def write(self, packet: bytes) -> None:
        """Take an inner packet that arrived; what the kernel does not take is lost."""
        try:
            self._device.write(clamp_mss(packet, self._mtu))
        except OSError as error:
            name = errorcode.get(error.errno or 0, "EIO")
            if not self.lost[name]:
                log.warning("device=%s lost=packets error=%s", self._device.name, name)
            self.lost[name] += 1

    def close(self) -> None:
        """Remove the device."""
        if self._open:
            self._loop.unwatch(self._device)
            self._device.close()
            self._open = False

    def _readable(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                packet = self._device.read()
            except BlockingIOError:
                return
            except OSError as error:  # it was deleted, and would be ready for ever
                log.error('device=%s state=gone error="%s"', self._device.name, error.strerror)
                self._loop.unwatch(self._device)
                return
            self._leave(packet)

    def _leave(self, packet: bytes) -> None:
        packets, answer = fit(packet, self._mtu)
        for each in packets:
            self._on_packet(each)
        if answer and self._answers.take(self._loop.now):
            self.write(answer)
