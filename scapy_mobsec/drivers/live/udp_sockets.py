"""UDP (RFC 768): one socket for each local endpoint. Linux writes the checksum of each datagram."""

import socket

from scapy_mobsec.drivers.live.datagram_socket import DatagramSocket, Owner, new_socket
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path


class UdpSocket(DatagramSocket):
    """A UDP socket at a local endpoint; `local` has the port that a port of 0 became."""

    name = "udp"

    def _path(self, local: bytes, remote: Endpoint) -> Path:
        return Path(Encapsulation.UDP, Endpoint(local, self.local.port), remote)


def open_udp(endpoint: Endpoint, owner: Owner) -> UdpSocket:
    """Open one; the unspecified address is for all of its family. Raises OSError."""
    opened = new_socket(socket.SOCK_DGRAM, socket.IPPROTO_UDP, endpoint)
    return UdpSocket(opened, endpoint._replace(port=opened.getsockname()[1]), owner)
