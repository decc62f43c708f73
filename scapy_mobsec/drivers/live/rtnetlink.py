"""Addresses and routes of Linux, read by rtnetlink(7).

On octets, for it is done after each notice, before a move: by pyroute2 it took 7 ms, so it is 0.3.
"""

import errno
import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from struct import Struct
from typing import NamedTuple

from scapy_mobsec.drivers.live.addresses import LocalAddress, Route

MAX_NOTICES = 64
"""Notices that are taken before others have their turn."""

MAX_READS = 3
"""How often a list is read that changed meanwhile."""

PATIENCE = 1.0
"""Seconds that the kernel has to answer, which it does at once."""

_GROUPS = (1, 5, 7, 8, 9, 11, 19)
"""RTNLGRP_* of links, and of addresses, routes and rules of both families."""

_HEADER = Struct("=IHHII")  # length, type, flags, sequence number, port
_LINK = Struct("=BxHiII")  # family, kind, index, flags, changes
_ADDRESS = Struct("=BBBBI")  # family, length of prefix, flags, scope, index
_ROUTE = Struct("=BBBBBBBBI")  # family, lengths of two prefixes, TOS, table, protocol, scope, type
_ATTRIBUTE = Struct("=HH")  # length, type
_NUMBER, _SIGNED = Struct("=I"), Struct("=i")
_CACHE_INFORMATION = Struct("=8xI4x")  # when it was made

_GET_LINK, _GET_ADDRESS, _GET_ROUTE = 18, 22, 26
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP, _OF_MANY, _INTERRUPTED = 0x001, 0x300, 0x002, 0x010
_IFLA_NAME, _IFLA_CARRIER_CHANGES = 3, 35
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHE_INFORMATION, _IFA_FLAGS = 1, 2, 6, 8
_RTA_DESTINATION, _RTA_SOURCE, _RTA_LINK, _RTA_GATEWAY = 1, 2, 4, 5
_RTA_PRIORITY, _RTA_PREFERRED_SOURCE = 6, 7

_UP_AND_RUNNING = 0x41
_TENTATIVE, _OPTIMISTIC, _DEPRECATED, _DUPLICATE = 0x40, 0x04, 0x20, 0x08
_LINK_SCOPE = 253
_LOCAL_ROUTE = 2
_ONLY_BY_A_ROUTE = 0x2000
"""RTM_F_FIB_MATCH: without it, all is taken to be on a link that is asked for."""

_UNREACHABLE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL, errno.ENODEV}
)
"""What the kernel says of destinations that it has no route to, and of links and addresses that are
gone since they were listed.
"""

Attributes = Mapping[int, bytes]


class _Message(NamedTuple):
    kind: int
    flags: int
    sequence: int
    octets: bytes

    def attributes(self, fixed: Struct) -> Attributes:
        """Return what follows the fixed part, by type."""
        found, at = {}, fixed.size
        while at + _ATTRIBUTE.size <= len(self.octets):
            length, kind = _ATTRIBUTE.unpack_from(self.octets, at)
            found[kind] = self.octets[at + _ATTRIBUTE.size : at + length]
            at += max(_padded(length), _ATTRIBUTE.size)
        return found


class Rtnetlink:
    """What the kernel knows. `besides`: names of devices that do not count, as that of the tunnel.

    Each call raises OSError where the kernel does not say.
    """

    def __init__(self, besides: Collection[str] = ()) -> None:
        self._besides = frozenset(name.encode() + b"\0" for name in besides)
        self._sequence = 0
        self._notices = _open()
        try:
            self._notices.setblocking(False)
            self._notices.bind((0, sum(1 << group - 1 for group in _GROUPS)))
            self._kernel = _open()
        except OSError:
            self._notices.close()
            raise
        self._kernel.settimeout(PATIENCE)

    def fileno(self) -> int:
        """Return a descriptor that is readable when something changed."""
        return self._notices.fileno()

    def take_notices(self) -> None:
        """Read what made it readable; what it says does not matter, nor that some was lost."""
        for _ in range(MAX_NOTICES):
            try:
                self._notices.recv(1)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def addresses(self) -> Sequence[LocalAddress]:
        """Return the addresses that can be used, on all links that are up."""
        carriers = {}
        for message in self._list(_GET_LINK, _LINK):
            _, _, link, flags, _ = _LINK.unpack_from(message.octets)
            found = message.attributes(_LINK)
            is_up = flags & _UP_AND_RUNNING == _UP_AND_RUNNING
            if is_up and found.get(_IFLA_NAME) not in self._besides:
                carriers[link] = _number(found, _IFLA_CARRIER_CHANGES)
        usable = []
        for message in self._list(_GET_ADDRESS, _ADDRESS):
            _, _, flags, scope, link = _ADDRESS.unpack_from(message.octets)
            found = message.attributes(_ADDRESS)
            address = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
            if link in carriers and _is_usable(_number(found, _IFA_FLAGS) or flags, scope):
                (made,) = _CACHE_INFORMATION.unpack_from(found[_IFA_CACHE_INFORMATION])
                usable.append(LocalAddress(address, link, (carriers[link], made)))
        return usable

    def route(self, destination: bytes, local: LocalAddress | None = None) -> Route | None:
        """Return how a destination is reached, from an address and over its link if one is given;
        None where it is not.
        """
        bits = 8 * len(destination)
        family = socket.AF_INET if bits == 32 else socket.AF_INET6
        wanted = [(_RTA_DESTINATION, destination)]
        if local:
            wanted += (_RTA_SOURCE, local.address), (_RTA_LINK, _NUMBER.pack(local.link))
        lengths, flags = (bits, bits if local else 0), _ONLY_BY_A_ROUTE if local else 0
        body = _ROUTE.pack(family, *lengths, 0, 0, 0, 0, 0, flags)
        body += b"".join(_attribute(*each) for each in wanted)
        try:
            (message,) = self._ask(_GET_ROUTE, 0, body)
        except OSError as error:
            if error.errno in _UNREACHABLE:
                return None
            raise
        found = message.attributes(_ROUTE)
        if local and _number(found, _RTA_LINK) not in (local.link, 0):  # 0: it has several
            return None
        return Route(
            found.get(_RTA_PREFERRED_SOURCE, b""),
            found.get(_RTA_GATEWAY, b""),
            _number(found, _RTA_PRIORITY),
            _ROUTE.unpack_from(message.octets)[7] == _LOCAL_ROUTE,
        )

    def close(self) -> None:
        """Ask no more."""
        self._notices.close()
        self._kernel.close()

    def _list(self, kind: int, fixed: Struct) -> Sequence[_Message]:
        """Return a list that did not change while it was read. Raises OSError."""
        for _ in range(MAX_READS):
            *messages, done = self._ask(kind, _DUMP, bytes(fixed.size))
            if not any(each.flags & _INTERRUPTED for each in (*messages, done)):
                return messages
        raise OSError(errno.EAGAIN, "changes while it is read")

    def _ask(self, kind: int, flags: int, body: bytes) -> Sequence[_Message]:
        """Return the answer to a request, a list with its end. Raises OSError."""
        self._sequence += 1
        length = _HEADER.size + len(body)
        self._kernel.send(_HEADER.pack(length, kind, flags | _REQUEST, self._sequence, 0) + body)
        answer = []
        while True:
            for message in _messages(self._kernel.recv(1 << 16)):
                if message.sequence != self._sequence:
                    continue  # of a request that was given up
                if message.kind == _ERROR:
                    number = -_SIGNED.unpack_from(message.octets)[0]
                    raise OSError(number, os.strerror(number))
                answer.append(message)
                if message.kind == _DONE or not message.flags & _OF_MANY:
                    return answer


def _open() -> socket.socket:
    return socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )


def _messages(octets: bytes) -> Iterator[_Message]:
    at = 0
    while at + _HEADER.size <= len(octets):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(octets, at)
        yield _Message(kind, flags, sequence, octets[at + _HEADER.size : at + length])
        at += max(_padded(length), _HEADER.size)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


def _padded(length: int) -> int:
    return length + 3 & ~3


def _number(attributes: Attributes, kind: int) -> int:
    value = attributes.get(kind)
    return int(_NUMBER.unpack_from(value)[0]) if value else 0


def _is_usable(flags: int, scope: int) -> bool:
    if scope == _LINK_SCOPE or flags & (_DEPRECATED | _DUPLICATE):
        return False
    return not flags & _TENTATIVE or bool(flags & _OPTIMISTIC)
