"""A client and a server on the network in memory, with any elements between them."""

from scapy_mobsec.drivers.memory import MemoryNetwork, Packet
from scapy_mobsec.drivers.memory.tcp_stack import TcpStack
from scapy_mobsec.drivers.memory.tls import TlsServer
from scapy_mobsec.packet.ip import UDP
from scapy_mobsec.packet.path import Endpoint

CLIENT = Endpoint.of("10.0.0.2", 4500)
SERVER = Endpoint.of("203.0.113.2", 4500)
EXTERNAL = "192.0.2.1"


def a_packet(source=CLIENT, destination=SERVER, payload=b"payload", protocol=UDP):
    return Packet(protocol, source, destination, payload)


def in_tls(certificate):
    """Return what puts a server into TLS."""
    return lambda user, network: TlsServer(user, network, certificate)


class Receiver:
    """A host that only notes what arrives, and when."""

    def __init__(self, network, segment, endpoint):
        self.arrived, self._network = [], network
        segment.attach(endpoint.address, self._receive)

    def _receive(self, packet):
        self.arrived.append((self._network.elapsed_ns, packet))

    @property
    def payloads(self):
        return [packet.payload for _, packet in self.arrived]

    def take(self):
        """The packets that arrived since the last call."""
        packets = [packet for _, packet in self.arrived]
        self.arrived.clear()
        return packets


def two_hosts(*chain, seed=1):
    network = MemoryNetwork(seed)
    segment = network.core.segment(chain, ["10.0.0.2", EXTERNAL])
    client = Receiver(network, segment, CLIENT)
    return network, segment, client, Receiver(network, network.core, SERVER)


class User:
    """The user of a stream, who notes what happens and when, in milliseconds of virtual time."""

    def __init__(self, network):
        self.network, self.stream, self.data, self.story = network, None, b"", []

    def note(self, text):
        self.story.append((self.network.elapsed_ns / 1e6, text))

    def established(self, stream):
        self.stream = stream
        self.note("established")

    def received(self, data):
        self.data += data
        self.note(f"received {len(data)}")

    def closed(self, reason):
        self.note(reason)


class Streams:
    """Two TCP stacks; `accepted`: the users at the server, wrapped by `layer(user, network)`."""

    def __init__(self, *chain, seed=1, layer=lambda user, network: user, ports=(443,)):
        self.network = MemoryNetwork(seed)
        self.segment = self.network.core.segment(chain, ["10.0.0.2", EXTERNAL])
        self.accepted, self._layer, self._ports = [], layer, ports
        self.client = self.stack(self.segment, CLIENT)
        self.server = self.stack(self.network.core, SERVER, self.accept)

    def stack(self, segment, endpoint, *accept):
        stack = TcpStack(self.network, segment.send, *accept)
        segment.attach(endpoint.address, stack.receive)
        return stack

    def accept(self, local, remote):
        if local.port not in self._ports:
            return None
        self.accepted.append(self.user())
        return self._layer(self.accepted[-1], self.network)

    def connect(self, user, port=443, local=0):
        ends = Endpoint(CLIENT.address, local), Endpoint(SERVER.address, port)
        return self.client.connect(*ends, user)

    def user(self):
        return User(self.network)
