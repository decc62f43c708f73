"""All TCP connections of one host: which one a segment is for, and RST where there is none."""

from collections.abc import Callable
from random import Random

from scapy_mobsec.drivers.memory.network import MemoryNetwork
from scapy_mobsec.drivers.memory.packet import ACK, FIN, RST, SYN, Packet, TcpFields
from scapy_mobsec.drivers.memory.tcp import Connection, State
from scapy_mobsec.drivers.stream_layers import StreamUser
from scapy_mobsec.packet.ip import TCP
from scapy_mobsec.packet.path import Endpoint

_FIRST_EPHEMERAL = 49_152


def refuse(local: Endpoint, remote: Endpoint) -> StreamUser | None:
    """Accept no connection."""
    return None


class TcpStack:
    """All connections of one host, or of one side of an element that ends connections.

    `accept(local, remote)` gives the user of a connection that a peer begins, None to refuse it.
    """

    def __init__(
        self,
        network: MemoryNetwork,
        output: Callable[[Packet], None],
        accept: Callable[[Endpoint, Endpoint], StreamUser | None] = refuse,
    ) -> None:
        self.network, self.output = network, output
        self.random: Random = network.new_random()
        self.connections: dict[tuple[Endpoint, Endpoint], Connection] = {}
        self._accept = accept
        self._port = _FIRST_EPHEMERAL - 1

    def connect(self, local: Endpoint, remote: Endpoint, user: StreamUser) -> Connection:
        """Begin a connection; port 0 is any. Raises ValueError if there is one."""
        if not local.port:
            local = Endpoint(local.address, self._free_port(local.address, remote))
        elif (local, remote) in self.connections:
            raise ValueError(f"{local} > {remote} is in use")
        return self._begin(local, remote, user, State.SYN_SENT, None)

    def receive(self, packet: Packet) -> None:
        """Take a segment, or a notice about one."""
        if packet.too_big:
            original = packet.too_big.original
            about = self.connections.get((original.source, original.destination))
            if about:
                about.too_big(packet.too_big.mtu)
            return
        tcp = packet.tcp
        if tcp is None:
            return
        ends = packet.destination, packet.source
        connection = self.connections.get(ends)
        if connection:
            connection.receive(packet, tcp)
        elif not tcp.flags & RST:
            user = self._accept(*ends) if tcp.flags & (SYN | ACK) == SYN else None
            if user:
                self._begin(*ends, user, State.SYN_RECEIVED, tcp)
            else:
                self._reset(packet, tcp)

    def forget(self, address: bytes) -> None:
        """Forget all connections of an address without a word to anybody."""
        for connection in list(self.connections.values()):
            if connection.local.address == address:
                connection.forget()

    def _begin(
        self,
        local: Endpoint,
        remote: Endpoint,
        user: StreamUser,
        state: State,
        syn: TcpFields | None,
    ) -> Connection:
        connection = self.connections[local, remote] = Connection(self, local, remote, user, state)
        connection.begin(syn)
        return connection

    def _reset(self, packet: Packet, tcp: TcpFields) -> None:
        if tcp.flags & ACK:
            fields = TcpFields(RST, tcp.acknowledgment)
        else:
            length = len(packet.payload) + bool(tcp.flags & SYN) + bool(tcp.flags & FIN)
            fields = TcpFields(RST | ACK, 0, tcp.sequence + length)
        self.output(Packet(TCP, packet.destination, packet.source, b"", fields))

    def _free_port(self, address: bytes, remote: Endpoint) -> int:
        while True:
            self._port += 1
            if self._port > 65_535:
                self._port = _FIRST_EPHEMERAL
            if (Endpoint(address, self._port), remote) not in self.connections:
                return self._port
