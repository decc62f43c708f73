"""A network on loopback in user space: addresses change, delays are kept, HTTP is rewritten."""

import socket
from ipaddress import ip_address

import pytest

from scapy_mobsec.drivers.live import translator as live
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.translator import Translator
from scapy_mobsec.drivers.memory.http_relay import Rewriting

CLIENT, INSIDE, OUTSIDE, SERVER = "127.61.0.2", "127.61.0.1", "127.62.0.1", "127.63.0.1"
PACKED = [ip_address(each).packed for each in (INSIDE, OUTSIDE, SERVER)]


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


class End:
    """A socket of the test, watched by the loop; `came` has what was read with its source."""

    def __init__(self, loop, made):
        self.socket, self.loop, self.came, self.ended = made, loop, [], False
        made.setblocking(False)
        loop.watch(made, self._read)

    def _read(self):
        if self.socket.type == socket.SOCK_DGRAM:
            self.came.append(self.socket.recvfrom(65535))
            return
        try:
            data = self.socket.recv(65535)
        except ConnectionResetError:
            data = b""
        if data:
            self.came.append((data, self.socket.getpeername()))
        else:
            self.ended = True
            self.close()

    @property
    def octets(self):
        return b"".join(data for data, _ in self.came)

    def close(self):
        if self.socket.fileno() >= 0:
            self.loop.unwatch(self.socket)
            self.socket.close()


def udp(loop, address, port=0):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return End(loop, made)


@pytest.fixture
def server(loop):
    """A UDP server, and its port."""
    end = udp(loop, SERVER)
    yield end
    end.close()


@pytest.fixture
def listener():
    made = socket.create_server((SERVER, 0))
    yield made
    made.close()


def port_of(end):
    return end.socket.getsockname()[1]


def test_datagrams_there_and_back(loop, server):
    port = port_of(server)
    between = Translator(loop, *PACKED, 0.02, udp=(port,))
    clients = [udp(loop, CLIENT) for _ in range(2)]
    start = loop.now
    for number, client in enumerate(clients):
        client.socket.sendto(b"hello %d" % number, (INSIDE, port))
    assert loop.run(lambda: len(server.came) == 2, seconds=5)
    assert loop.now - start >= 0.02
    assert [data for data, _ in server.came] == [b"hello 0", b"hello 1"]
    sources = [source for _, source in server.came]
    assert {address for address, _ in sources} == {OUTSIDE}
    assert len({port for _, port in sources}) == 2
    for source in sources:
        server.socket.sendto(b"to %d" % source[1], source)
    assert loop.run(lambda: all(client.came for client in clients), seconds=5)
    for client, source in zip(clients, sources, strict=True):
        assert client.came == [(b"to %d" % source[1], (INSIDE, port))]
        client.close()
    between.close()


def test_what_others_send_to_a_mapping_does_not_pass(loop, server):
    port = port_of(server)
    between = Translator(loop, *PACKED, 0.0, udp=(port,))
    client, stranger = udp(loop, CLIENT), udp(loop, SERVER)
    client.socket.sendto(b"hello", (INSIDE, port))
    assert loop.run(lambda: bool(server.came), seconds=5)
    (_, source) = server.came[0]
    stranger.socket.sendto(b"forged", source)
    server.socket.sendto(b"answer", source)
    assert loop.run(lambda: bool(client.came), seconds=5)
    assert [data for data, _ in client.came] == [b"answer"]
    for each in (client, stranger, between):
        each.close()


def test_mappings_are_bounded(loop, server, monkeypatch):
    monkeypatch.setattr(live, "MAX_MAPPINGS", 2)
    port = port_of(server)
    between = Translator(loop, *PACKED, 0.0, udp=(port,))
    clients = [udp(loop, CLIENT) for _ in range(3)]
    for client in clients:
        client.socket.sendto(b"hello", (INSIDE, port))
    assert not loop.run(lambda: len(server.came) == 3, seconds=0.1)
    assert len(server.came) == 2
    for each in (*clients, between):
        each.close()


def connected(loop, between_port):
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.bind((CLIENT, 0))
    made.connect((INSIDE, between_port))
    return End(loop, made)


def accepted(loop, listener):
    ends = []
    listener.setblocking(False)
    loop.watch(listener, lambda: ends.append(End(loop, listener.accept()[0])))
    assert loop.run(lambda: bool(ends), seconds=5)
    loop.unwatch(listener)
    return ends[0]


def test_streams_take_a_handshake_and_their_octets_a_delay(loop, listener):
    port = listener.getsockname()[1]
    between = Translator(loop, *PACKED, 0.02, tcp=(port,))
    start = loop.now
    client = connected(loop, port)
    client.socket.send(b"first octets")
    server = accepted(loop, listener)
    assert loop.now - start >= 0.02
    assert server.socket.getpeername()[0] == OUTSIDE
    assert loop.run(lambda: bool(server.came), seconds=5)
    assert loop.now - start >= 0.06, "SYN there, its answer back, and the octets there"
    server.socket.send(b"answer")
    server.close()
    assert loop.run(lambda: client.ended, seconds=5)
    assert (server.octets, client.octets) == (b"first octets", b"answer")
    between.close()


def test_http_is_rewritten(loop, listener):
    port = listener.getsockname()[1]
    between = Translator(loop, *PACKED, 0.0, tcp=(port,), http=Rewriting(via="a-proxy"))
    client = connected(loop, port)
    client.socket.send(b"GET / HTTP/1.1\r\nHost: y\r\n\r\n")
    server = accepted(loop, listener)
    assert loop.run(lambda: server.octets.endswith(b"\r\n\r\n"), seconds=5)
    assert b"Via: 1.1 a-proxy" in server.octets
    server.socket.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
    assert loop.run(lambda: client.octets.endswith(b"body"), seconds=5)
    for each in (client, server, between):
        each.close()


def test_without_a_server_the_client_is_closed(loop, listener):
    port = listener.getsockname()[1]
    listener.close()
    between = Translator(loop, *PACKED, 0.0, tcp=(port,))
    client = connected(loop, port)
    assert loop.run(lambda: client.ended, seconds=5)
    between.close()


def test_connections_and_what_is_under_way_are_bounded(loop, listener, monkeypatch):
    monkeypatch.setattr(live, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(live, "MAX_UNDER_WAY", 1000)
    port = listener.getsockname()[1]
    between = Translator(loop, *PACKED, 10.0, tcp=(port,))
    first, second = connected(loop, port), connected(loop, port)
    assert loop.run(lambda: second.ended, seconds=5)
    first.socket.send(bytes(2000))
    assert loop.run(lambda: first.ended, seconds=5)
    between.close()


def test_a_port_that_is_in_use(loop, server):
    port = port_of(server)
    taken = udp(loop, INSIDE, port)
    with pytest.raises(OSError, match="in use"):
        Translator(loop, *PACKED, 0.0, udp=(port,))
    taken.close()
