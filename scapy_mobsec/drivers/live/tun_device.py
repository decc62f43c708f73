"""A TUN device of Linux with its addresses and routes. It is gone when it is closed.

A route that covers an outer address must not swallow what the terminal itself sends there. Such
routes are in a table of their own, and rules say who looks into it:

    to an outer address: go on behind these rules
    a route of the main table that is longer than those of the tunnel: take that
    from an inner address, or from none yet: the table of the tunnel

So the machine keeps its neighbours, answers from its other addresses leave as before, and the check
of source addresses (rp_filter) still lets in what comes to them.
"""

import os
import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOENT, EPERM
from fcntl import ioctl
from ipaddress import IPv4Network, IPv6Network, ip_address
from struct import Struct
from typing import Any, TypeAlias

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from scapy_mobsec.drivers.live.inner_mtu import SMALLEST_IPV6_MTU
from scapy_mobsec.packet.path import address_text

Network: TypeAlias = IPv4Network | IPv6Network

DEVICE = "/dev/net/tun"
ROUTE_TABLE = 0x6D6F62
FIRST_RULE = 5200
"""Priority of the first rule: behind the local table, before the main one."""

SMALLEST_IPV4_MTU = 68
"""What every device has (RFC 791 section 3.2)."""

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_INTERFACE_REQUEST = Struct("16sH22x")
_LONGEST_NAME = 15
_NO_LINK_LOCAL, _IFA_F_NODAD = 1, 0x02
_MAIN_TABLE, _FIND_SOURCE = 254, 0x10000
_FAMILIES = {32: socket.AF_INET, 128: socket.AF_INET6}
_PASSING, _NEAR, _UNBOUND, _BOUND, _END = range(FIRST_RULE, FIRST_RULE + 5)


class TunError(Exception):
    """A TUN device cannot be had as wanted; the text says why in one line."""


class TunDevice:
    """A TUN device that is up. All its addresses are packed, and of hosts."""

    def __init__(
        self,
        name: str,
        addresses: Sequence[bytes],
        routes: Collection[Network] = (),
        *,
        mtu: int,
        outside: Collection[bytes] = (),
    ) -> None:
        """`addresses`: inner ones of this end. `routes`: what lies behind the tunnel. `outside`:
        where the terminal sends its outer packets to. Raises TunError.
        """
        self.name = name
        self._addresses, self._has_rules = tuple(addresses), set[int]()
        self._descriptor = _open_device(name)
        self._kernel = IPRoute()
        try:
            self._index = self._kernel.link_lookup(ifname=name)[0]
            self._bring_up(mtu)
            self._add_routes(routes, outside)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, which does not block."""
        return self._descriptor

    def read(self) -> bytes:
        """Return the next packet. Raises BlockingIOError without one, OSError without a device."""
        return os.read(self._descriptor, 1 << 16)

    def write(self, packet: bytes) -> None:
        """Give a packet to the kernel. Raises OSError."""
        os.write(self._descriptor, packet)

    def set_mtu(self, mtu: int) -> None:
        """Raises TunError. It stays as long as the protocols need that have addresses here."""
        has_ipv6 = any(_bits(each) == 128 for each in self._addresses)
        least = SMALLEST_IPV6_MTU if has_ipv6 else SMALLEST_IPV4_MTU
        self._do(f"MTU {mtu}", self._kernel.link, "set", index=self._index, mtu=max(mtu, least))

    def close(self) -> None:
        """Remove the device, and with it its addresses, routes and rules."""
        if self._descriptor < 0:
            return
        for family in self._has_rules:
            self._remove_rules(family)
        self._kernel.close()
        os.close(self._descriptor)
        self._descriptor = -1

    def _bring_up(self, mtu: int) -> None:
        # The kernel's own link-local address would speak where no terminal listens.
        silent = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _NO_LINK_LOCAL)]}
        with suppress(NetlinkError):  # a kernel without IPv6
            self._kernel.link(
                "set", index=self._index, IFLA_AF_SPEC={"attrs": [("AF_INET6", silent)]}
            )
        self.set_mtu(mtu)
        self._do("up", self._kernel.link, "set", index=self._index, state="up")
        for address in self._addresses:
            flags = {} if _bits(address) == 32 else {"flags": _IFA_F_NODAD}
            text = address_text(address)
            self._do(
                f"address {text}", self._kernel.addr, "add", index=self._index,
                address=text, prefixlen=_bits(address), **flags,
            )  # fmt: skip

    def _add_routes(self, routes: Collection[Network], outside: Collection[bytes]) -> None:
        covering = {each for each in routes if any(_covers(each, one) for one in outside)}
        if covering and list(self._kernel.get_routes(table=ROUTE_TABLE)):
            raise TunError(f"{self.name}: another tunnel has routes that cover outer addresses")
        for route in routes:
            source = next(
                (one for one in self._addresses if _bits(one) == route.max_prefixlen), b""
            )
            if not source:
                raise TunError(f"{self.name}: route {route}: no inner address of this family")
            table = ROUTE_TABLE if route in covering else _MAIN_TABLE
            self._do(
                f"route {route}", self._kernel.route, "add", family=_FAMILIES[_bits(source)],
                dst=str(route), oif=self._index, table=table, prefsrc=address_text(source),
            )  # fmt: skip
        for bits in {each.max_prefixlen for each in covering}:
            shortest = min(each.prefixlen for each in covering if each.max_prefixlen == bits)
            self._add_rules(bits, shortest, {each for each in outside if _bits(each) == bits})

    def _add_rules(self, bits: int, shortest: int, outside: Collection[bytes]) -> None:
        """Add the rules of the family whose addresses have so many bits."""
        self._remove_rules(_FAMILIES[bits])  # of a run that was killed
        self._has_rules.add(_FAMILIES[bits])
        for address in sorted(outside):
            self._rule(bits, _PASSING, dst=address_text(address), action="goto", goto=_END)
        self._rule(bits, _NEAR, table=_MAIN_TABLE, FRA_SUPPRESS_PREFIXLEN=shortest)
        if bits == 32:
            self._rule(bits, _UNBOUND, table=ROUTE_TABLE, src="0.0.0.0", src_len=32)
        for address in self._addresses:
            if _bits(address) == bits:
                flags = 0 if bits == 32 else _FIND_SOURCE  # what is from none yet will be from here
                source = address_text(address)
                self._rule(bits, _BOUND, table=ROUTE_TABLE, src=source, src_len=bits, flags=flags)
        self._rule(bits, _END, action="nop")

    def _rule(self, bits: int, priority: int, **fields: Any) -> None:
        family, what = _FAMILIES[bits], f"rule {priority}"
        self._do(what, self._kernel.rule, "add", family=family, priority=priority, **fields)

    def _remove_rules(self, family: int) -> None:
        with suppress(NetlinkError, OSError):
            self._kernel.flush_rules(
                family=family, priority=lambda priority: _PASSING <= (priority or 0) <= _END
            )

    def _do(self, what: str, call: Callable[..., Any], *values: Any, **fields: Any) -> None:
        try:
            call(*values, **fields)
        except (NetlinkError, OSError) as error:
            number = error.code if isinstance(error, NetlinkError) else error.errno
            raise TunError(f"{self.name}: {what}: {_reason(number)}") from None


def _open_device(name: str) -> int:
    """Make a device that is there as long as its descriptor is open. Raises TunError."""
    octets = name.encode()
    if not 0 < len(octets) <= _LONGEST_NAME or "/" in name or name.split() != [name]:
        raise TunError(f"{name!r} is no name of a device: 1 to 15 octets, without / and spaces")
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (ENOENT, ENODEV):
            raise TunError(f"no {DEVICE}: the kernel has no TUN here") from None
        raise TunError(f"{DEVICE}: {_reason(error.errno)}") from None
    try:
        ioctl(descriptor, _TUNSETIFF, _INTERFACE_REQUEST.pack(octets, _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        os.close(descriptor)
        in_use = error.errno in (EBUSY, EINVAL)
        reason = "there is a device of this name" if in_use else _reason(error.errno)
        raise TunError(f"{name}: {reason}") from None
    return descriptor


def _reason(number: int | None) -> str:
    if number in (EPERM, EACCES):
        return "needs CAP_NET_ADMIN (or root)"
    return os.strerror(number or 0)


def _bits(address: bytes) -> int:
    return 8 * len(address)


def _covers(route: Network, address: bytes) -> bool:
    return _bits(address) == route.max_prefixlen and ip_address(address) in route
