"""Native ESP and AH: one raw socket for each family and protocol, of all local addresses.

The kernel reassembles fragments before (RFC 4303 section 3.4.1, RFC 4302 section 3.4.1). It gives
and takes IPv4 packets with their header, IPv6 packets without; AH is verified over whole packets
(`esp.ah`). So the IPv6 header in front of AH is made again, from addresses and extension headers;
hop limit, traffic class and flow label, which AH does not cover, are not those that came.
For ICMPv6, Linux takes AH for an extension header, and tells nobody that a packet with AH was too
big on the way: what is lost must tell instead (`terminal.mtu`).
"""

import socket

from scapy_mobsec.drivers.live.datagram_socket import DatagramSocket, Owner, new_socket
from scapy_mobsec.drivers.live.error_queue import Ancillary
from scapy_mobsec.packet.ip import AH, ESP, build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path

_IPV6_HEADER = 40

_EXTENSION_HEADERS = {socket.IPV6_HOPOPTS: 0, socket.IPV6_RTHDR: 43, socket.IPV6_DSTOPTS: 60}
"""Kinds of ancillary data that are extension headers, in the order in which they came, and the
protocol number of each."""


class EspSocket(DatagramSocket):
    """Native ESP."""

    name = "esp"

    def _path(self, local: bytes, remote: Endpoint) -> Path:
        return Path(Encapsulation.NATIVE, Endpoint(local), Endpoint(remote.address))

    def _received(self, octets: bytes, path: Path, ancillary: Ancillary) -> bytes:
        return _without_header(octets) if len(path.local.address) == 4 else octets


class AhSocket(DatagramSocket):
    """AH, in whole IP packets both ways."""

    name = "ah"

    def _path(self, local: bytes, remote: Endpoint) -> Path:
        return Path(Encapsulation.NATIVE, Endpoint(local), Endpoint(remote.address), ah=True)

    def _received(self, octets: bytes, path: Path, ancillary: Ancillary) -> bytes:
        local, remote = path.local.address, path.remote.address
        if len(local) == 4:
            return octets
        headers = [
            (_EXTENSION_HEADERS[kind], value)
            for level, kind, value in ancillary
            if level == socket.IPPROTO_IPV6 and kind in _EXTENSION_HEADERS
        ]
        first = headers[0][0] if headers else AH
        return build_ip(remote, local, first, b"".join((*(each for _, each in headers), octets)))

    def _written(self, data: bytes) -> bytes:
        return data if len(self.local.address) == 4 else data[_IPV6_HEADER:]

    def _quoted(self, octets: bytes) -> bytes:
        return _without_header(octets) if len(self.local.address) == 4 else octets


def open_esp(local: Endpoint, owner: Owner) -> EspSocket:
    """Open a raw socket for ESP of the family of `local`. Raises OSError: needs CAP_NET_RAW."""
    return EspSocket(new_socket(socket.SOCK_RAW, ESP, local), local, owner)


def open_ah(local: Endpoint, owner: Owner) -> AhSocket:
    """Open a raw socket for AH of the family of `local`. Raises OSError: needs CAP_NET_RAW."""
    opened = new_socket(socket.SOCK_RAW, AH, local)
    try:
        if len(local.address) == 4:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        else:
            for option in (socket.IPV6_RECVHOPOPTS, socket.IPV6_RECVRTHDR, socket.IPV6_RECVDSTOPTS):
                opened.setsockopt(socket.IPPROTO_IPV6, option, 1)
    except OSError:
        opened.close()
        raise
    return AhSocket(opened, local, owner)


def _without_header(packet: bytes) -> bytes:
    """Return the payload of an IPv4 packet."""
    return packet[(packet[0] & 0x0F) * 4 :]
