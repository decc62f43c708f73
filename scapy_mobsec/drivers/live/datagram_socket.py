"""One socket of datagrams on a loop: what UDP and raw sockets have in common.

The local address of each packet is known by the packet information that comes and goes with it
(RFC 3542 section 6; `IP_PKTINFO` in ip(7)), so a socket of all addresses answers from the one that
was asked. Nothing is fragmented here, and nothing waits here: what cannot leave now is lost, as a
datagram may be. Link-local addresses are not served, for paths have no zone.
"""

import errno
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar

from scapy_mobsec.drivers.live.error_queue import (
    IP_RECVERR,
    IPV6_RECVERR,
    Ancillary,
    Notice,
    notices,
)
from scapy_mobsec.drivers.live.faults import Faults
from scapy_mobsec.drivers.live.loop import Loop, Timer
from scapy_mobsec.packet.path import Endpoint, Path, address_text

IP_PKTINFO, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 8, 10, 23
PMTUDISC_PROBE = 3
"""Options of Linux (linux/in.h, linux/in6.h) that `socket` does not name. PROBE: nothing is
fragmented, and a notice that anybody can write does not make the kernel refuse what is longer.
"""

MAX_DRAINED = 64
"""Datagrams that are read before others have their turn."""

MAX_REMEMBERED = 1024
"""Paths of which a socket remembers how they are written for the kernel, and for the terminal."""

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1.0
"""Seconds without reading after a failure that nothing explains; doubling."""

BUFFER = 1 << 20
"""Octets that the kernel is asked to keep in each direction; it may have a lower limit."""

_MAX_OCTETS = 65_535
_ANCILLARY_SPACE = 2048  # packet information, and the longest IPv6 extension headers that are usual

_PACKET_INFORMATION = {
    4: (socket.IPPROTO_IP, IP_PKTINFO),
    16: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO),
}
_IPV4_INFORMATION = Struct("=I4s4s")  # interface, local address to send from, destination
_IPV6_INFORMATION = Struct("=16sI")  # address, interface


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a socket works for. `receive(data, path)`: a datagram came, as terminals take it.

    `too_big(mtu, path, quoted)`: the network says that a datagram was too long, of which it quotes
    what is `quoted`.
    """

    loop: Loop
    receive: Callable[[bytes, Path], None]
    too_big: Callable[[int, Path, bytes], None]
    faults: Faults


class DatagramSocket(ABC):
    """A nonblocking socket. Once it is made, no call raises for what network or machine do."""

    name: ClassVar[str]
    """What faults are counted under."""

    def __init__(self, opened: socket.socket, local: Endpoint, owner: Owner) -> None:
        """`local`: where it is bound; the unspecified address for all. Reading begins."""
        self.local = local
        self._socket, self._owner = opened, owner
        self._remembered: dict[tuple[Any, bytes], Path] = {}
        self._routes: dict[Path, tuple[Ancillary, tuple[str, int]]] = {}
        self._pause = 0.0
        self._paused: Timer | None = None
        self._watch()

    @abstractmethod
    def _path(self, local: bytes, remote: Endpoint) -> Path:
        """Return the path of a packet between an address here and an endpoint there."""

    def _received(self, octets: bytes, path: Path, ancillary: Ancillary) -> bytes:
        """Return what a terminal is to get of octets that the kernel gave."""
        return octets

    def _written(self, data: bytes) -> bytes:
        """Return what the kernel is to get of what a terminal sends."""
        return data

    def _quoted(self, octets: bytes) -> bytes:
        """Return the payload of what the kernel got, or quotes of it."""
        return octets

    def send(self, data: bytes, path: Path) -> None:
        """Send a datagram; where that fails it is lost, and counted."""
        octets = self._written(data)
        ancillary, remote = self._routes.get(path) or self._route(path)
        for _ in range(2):
            try:
                self._socket.sendmsg((octets,), ancillary, 0, remote)
                return
            except BlockingIOError as error:
                self._note("send", error, path)
                return
            except OSError as error:
                failure = error
            told = self._take_notices()
            mtu = next((each.mtu for each in told if each.is_local), None)
            if failure.errno == errno.EMSGSIZE and mtu:
                self._owner.too_big(mtu, path, self._quoted(octets))
                break
            if not told:
                break
            # The failure was that of an earlier datagram, and kept this one from leaving.
        if failure.errno == errno.EINVAL and len(path.local.address) == 16:
            # What Linux says of an IPv6 source that is not here.
            failure = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        self._note("send", failure, path)

    def close(self) -> None:
        """Close it; no harm if it is."""
        if self._paused:
            self._paused.cancel()
        if self._socket.fileno() >= 0:
            self._owner.loop.unwatch(self._socket)
            self._socket.close()

    def _watch(self) -> None:
        self._owner.loop.watch(self._socket, self._readable)

    def _readable(self) -> None:
        receive, recvmsg, remembered = self._owner.receive, self._socket.recvmsg, self._remembered
        for number in range(MAX_DRAINED):
            try:
                octets, ancillary, _, remote = recvmsg(_MAX_OCTETS, _ANCILLARY_SPACE)
            except BlockingIOError:
                if not number:  # it woke for its error queue
                    self._take_notices()
                break
            except OSError as error:
                if not self._take_notices():
                    self._rest(error)
                    return
                continue
            information = ancillary[0][2] if ancillary else b""
            path = remembered.get((remote, information)) or self._remember(remote, information)
            receive(self._received(octets, path, ancillary), path)
            if self._socket.fileno() < 0:
                return
        self._pause = 0.0

    def _rest(self, error: OSError) -> None:
        """Read no more for a while: asked again at once, the socket would keep the loop busy."""
        self._note("receive", error, self.local)
        self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        self._owner.loop.unwatch(self._socket)
        self._paused = self._owner.loop.after(self._pause, self._watch)

    def _take_notices(self) -> list[Notice]:
        """Empty the error queue, tell what was too big, and return all."""
        told = []
        try:
            for notice in notices(self._socket):
                told.append(notice)
                if notice.is_remote and notice.remote:
                    self._notice(notice)
        except OSError as error:
            self._note("error queue", error, self.local)
        return told

    def _notice(self, notice: Notice) -> None:
        information = notice.ancillary[0][2] if notice.ancillary else b""
        path = self._remember(notice.remote, information)
        self._note("notice", OSError(notice.error, os.strerror(notice.error)), path)
        if notice.error == errno.EMSGSIZE and notice.mtu:
            self._owner.too_big(notice.mtu, path, self._quoted(notice.quoted))

    def _remember(self, remote: Any, information: bytes) -> Path:
        endpoint = Endpoint.of(remote[0], remote[1])
        path = self._path(_local_address(information) or self.local.address, endpoint)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[remote, information] = path
        return path

    def _route(self, path: Path) -> tuple[Ancillary, tuple[str, int]]:
        if len(self._routes) >= MAX_REMEMBERED:
            self._routes.clear()
        address, remote = path.local.address, path.remote
        ancillary = [(*_PACKET_INFORMATION[len(address)], _information(address))]
        route = self._routes[path] = ancillary, (address_text(remote.address), remote.port)
        return route

    def _note(self, doing: str, error: OSError, about: object) -> None:
        self._owner.faults.note(f"{self.name} {doing}", error, about)


def new_socket(kind: int, protocol: int, local: Endpoint) -> socket.socket:
    """Make a socket with the options that all have, and bind it. Raises OSError."""
    is_ipv4 = len(local.address) == 4
    opened = socket.socket(socket.AF_INET if is_ipv4 else socket.AF_INET6, kind, protocol)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        if is_ipv4:
            opened.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            opened.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        else:
            if kind == socket.SOCK_DGRAM:  # raw sockets never have the other family
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
        opened.bind((address_text(local.address), local.port))
    except OSError:
        opened.close()
        raise
    return opened


def _information(address: bytes) -> bytes:
    if len(address) == 4:
        return _IPV4_INFORMATION.pack(0, address, bytes(4))
    return _IPV6_INFORMATION.pack(address, 0)


def _local_address(information: bytes) -> bytes:
    """Return the destination of a packet that came; none if the kernel does not say."""
    if len(information) == _IPV4_INFORMATION.size:
        return information[8:]
    return information[:16] if len(information) == _IPV6_INFORMATION.size else b""
