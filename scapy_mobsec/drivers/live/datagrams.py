"""The carriers of datagrams of a terminal: UDP at some endpoints, and native ESP and AH."""

import errno
import os
from collections.abc import Callable, Sequence

from scapy_mobsec.drivers.live.datagram_socket import DatagramSocket, Owner
from scapy_mobsec.drivers.live.faults import CannotOpen, Faults
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.raw_sockets import open_ah, open_esp
from scapy_mobsec.drivers.live.udp_sockets import UdpSocket, open_udp
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.driving import Transmit

OPENED_AGAIN_AFTER = 1.0
"""Seconds after which an endpoint that could not be had is tried again, if something is to leave
from it.
"""

_FAMILIES = 4, 16
"""By the octets of an address."""


class Datagrams:
    """Sockets of one terminal. `listen` and `open_native` are for the start, and raise; `use` is
    for each move, and does not. `faults` has the counts of all that failed.
    """

    def __init__(
        self,
        loop: Loop,
        receive: Callable[[bytes, Path], None],
        too_big: Callable[[int, Path, bytes], None],
    ) -> None:
        self.faults = Faults(lambda: loop.now)
        self._loop = loop
        self._owner = Owner(loop, receive, too_big, self.faults)
        self._udp: dict[Endpoint, UdpSocket] = {}  # by the endpoint that was asked for
        self._by_local: dict[Endpoint, UdpSocket] = {}
        self._missing: dict[Endpoint, float] = {}  # when to try again
        self._raw: dict[tuple[int, bool], DatagramSocket] = {}  # by family, and whether it is AH

    def listen(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Open UDP at more endpoints; the unspecified address is for all addresses of a family.

        Return them with the port that a port of 0 became. Raises CannotOpen; then none is open.
        """
        before, opened = set(self._udp), []
        for endpoint in endpoints:
            try:
                opened.append(self._open(endpoint))
            except OSError as error:
                self._close_all_but(before)
                raise CannotOpen(f"udp {endpoint}", error) from error
        return tuple(opened)

    def open_native(self, *, ah: bool = False) -> None:
        """Open raw sockets for ESP, or for AH, of the families that the machine has.

        Raises CannotOpen, without CAP_NET_RAW above all.
        """
        open_raw = open_ah if ah else open_esp
        for family in _FAMILIES:
            if (family, ah) in self._raw:
                continue
            try:
                self._raw[family, ah] = open_raw(Endpoint(bytes(family)), self._owner)
            except OSError as error:
                if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    continue
                needs = " (needs CAP_NET_RAW)" if error.errno == errno.EPERM else ""
                raise CannotOpen(f"native {'AH' if ah else 'ESP'}{needs}", error) from error

    def use(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Go on with UDP at these endpoints and no others; those that stay keep their socket.

        Return them as `listen` does; one that cannot be had as it is, and it is tried again.
        """
        self._close_all_but(set(endpoints))
        self._missing.clear()
        return tuple(self._try_open(each) for each in endpoints)

    def send(self, transmit: Transmit) -> None:
        """Send a datagram, or lose it and count why."""
        path = transmit.path
        carrier = self._carrier(path)
        if carrier:
            carrier.send(transmit.data, path)
        else:
            error = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
            self.faults.note(f"{path.encapsulation.value} send", error, path)

    def close(self) -> None:
        """Close all sockets."""
        self._close_all_but(set())
        while self._raw:
            self._raw.popitem()[1].close()

    def _carrier(self, path: Path) -> DatagramSocket | None:
        local = path.local
        if path.encapsulation is not Encapsulation.UDP:
            return self._raw.get((len(local.address), path.ah))
        by_local = self._by_local
        everywhere = Endpoint(bytes(len(local.address)), local.port)
        if found := by_local.get(local) or by_local.get(everywhere):
            return found
        if self._loop.now >= self._missing.get(local, float("inf")):
            self._try_open(local)
        return by_local.get(local)

    def _try_open(self, endpoint: Endpoint) -> Endpoint:
        try:
            return self._open(endpoint)
        except OSError as error:
            self.faults.note("udp open", error, endpoint)
            if endpoint.port:  # of another, the terminal would not know the port
                self._missing[endpoint] = self._loop.now + OPENED_AGAIN_AFTER
            return endpoint

    def _open(self, endpoint: Endpoint) -> Endpoint:
        if endpoint not in self._udp:
            opened = open_udp(endpoint, self._owner)
            self._udp[endpoint] = self._by_local[opened.local] = opened
        return self._udp[endpoint].local

    def _close_all_but(self, kept: set[Endpoint]) -> None:
        for endpoint in [each for each in self._udp if each not in kept]:
            closed = self._udp.pop(endpoint)
            del self._by_local[closed.local]
            closed.close()
