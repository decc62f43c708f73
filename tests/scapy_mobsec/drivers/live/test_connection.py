"""One TCP connection on loopback: order, ends, bounds, and sockets that fail."""

import errno
import socket

import pytest
from faulty_sockets import FaultySocket
from shifting import ShiftingLoop

from scapy_mobsec.drivers.live.connection import (
    FLUSHED_WITHIN,
    HIGH_WATER,
    LOW_WATER,
    MAX_BUFFER,
    MAX_READ,
    Connection,
    endpoint_of,
    reason_of,
)
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import Ipv4Header, TcpHeader

LOCAL = Endpoint.of("127.0.0.2")


class User:
    """The user and the owner of a connection, who notes all."""

    def __init__(self):
        self.stream, self.data, self.sizes = None, b"", []
        self.reasons, self.congestion, self.failures, self.overs = [], [], [], 0

    def established(self, stream):
        self.stream = stream

    def received(self, data):
        self.data += data
        self.sizes.append(len(data))

    def closed(self, reason):
        self.reasons.append(reason)

    def congested(self, now):
        self.congestion.append(now)

    def failed(self, doing, error):
        self.failures.append((doing, error.errno))

    def over(self, connection):
        self.overs += 1


class Both:
    """A connection that is opened, and a plain socket at its other end: `peer`, once accepted."""

    def __init__(self, loop):
        self.loop, self.user = loop, User()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.remote = Endpoint.of(*self.listener.getsockname())
        self.socket = FaultySocket(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        self.connection = Connection(loop, self.socket, self.user, self.user, accepted=False)
        self.peer = None

    def open(self):
        self.connection.connect(LOCAL, self.remote)
        self.peer, self.asker = self.listener.accept()
        self.peer.settimeout(5)
        self.wait(lambda: self.user.stream)
        return self

    def wait(self, condition):
        assert self.loop.run(condition, seconds=5)

    def stall(self):
        """Write until the peer, who does not read, has the connection congested."""
        while not self.user.congestion:
            self.connection.write(bytes(10_000))
            self.loop.run(seconds=0.001)

    def read_all(self):
        data = b""
        try:
            while piece := self.peer.recv(1 << 20):
                data += piece
        except ConnectionResetError:
            return data, "reset"
        return data, "end"

    def close(self):
        self.connection.abort()
        self.listener.close()
        if self.peer:
            self.peer.close()


@pytest.fixture
def loop():
    loop = ShiftingLoop()
    yield loop
    loop.close()


@pytest.fixture
def both(loop):
    both = Both(loop)
    yield both
    both.close()


def test_the_local_address_is_the_wanted_one_and_the_port_the_one_used(both):
    both.open()
    connection = both.connection
    assert connection.local == Endpoint.of(*both.asker)
    assert connection.local.address == LOCAL.address
    assert connection.headers == (
        Ipv4Header(LOCAL.address, both.remote.address),
        TcpHeader(connection.local.port, both.remote.port),
    )


def test_a_wanted_port(loop, both):
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
    both.connection.connect(LOCAL._replace(port=port), both.remote)
    assert both.listener.accept()[1] == ("127.0.0.2", port)


def test_headers_of_one_that_was_accepted_are_as_they_arrived(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asker = socket.create_connection(listener.getsockname())
        user = User()
        connection = Connection(loop, listener.accept()[0], user, user, accepted=True)
        connection.begin()
    assert user.stream is connection
    local, remote = (Endpoint.of(*one) for one in (asker.getpeername(), asker.getsockname()))
    assert connection.headers == (
        Ipv4Header(remote.address, local.address),
        TcpHeader(remote.port, local.port),
    )
    asker.close()
    loop.run(lambda: user.reasons, seconds=5)
    assert user.reasons == ["closed by the peer"]


def test_options(both):
    both.open()
    options = {
        (socket.IPPROTO_TCP, socket.TCP_NODELAY): True,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): False,
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): True,
        (socket.SOL_IP, 24): True,  # IP_BIND_ADDRESS_NO_PORT: one port for many destinations
    }
    for option, is_set in options.items():
        assert bool(both.socket.real.getsockopt(*option)) is is_set


def test_all_that_is_written_arrives_in_order_and_leaves_together(both):
    both.connection.write(b"early ")
    both.open()
    before = both.socket.calls["send"]
    for piece in (b"one ", b"two ", b"three"):
        both.connection.write(piece)
    both.wait(lambda: both.socket.calls["send"] > before)
    assert both.socket.calls["send"] == before + 1
    both.connection.close()
    assert both.read_all() == (b"early one two three", "end")
    assert both.user.reasons == []


def test_a_round_reads_no_more_than_is_fair(both):
    both.open()
    both.peer.sendall(bytes(3 * MAX_READ))
    both.wait(lambda: len(both.user.data) == 3 * MAX_READ)
    assert max(both.user.sizes) <= MAX_READ


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda peer: None, "closed by the peer"),
        (
            lambda peer: peer.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4)
            ),
            "reset",
        ),
    ],
)
def test_the_peer_ends_it(both, end, reason):
    both.open()
    end(both.peer)
    both.peer.close()
    both.wait(lambda: both.user.reasons)
    assert both.user.reasons == [reason]
    assert both.user.overs == 1
    both.connection.write(b"lost")
    both.connection.close()
    both.connection.abort()
    both.loop.run(seconds=0.01)
    assert both.user.overs == 1


def test_nobody_listens(both):
    both.listener.close()
    both.connection.connect(LOCAL, both.remote)
    both.wait(lambda: both.user.reasons)
    assert both.user.reasons == ["refused"]
    assert both.user.failures == [("tcp connect", errno.ECONNREFUSED)]


@pytest.mark.parametrize(("local", "number"), [("192.0.2.77", errno.EADDRNOTAVAIL), ("::1", None)])
def test_an_address_that_is_not_here(both, local, number):
    with pytest.raises(OSError, match=r".*") as raised:
        both.connection.connect(Endpoint.of(local), both.remote)
    assert number is None or raised.value.errno == number


def test_a_stalled_reader_congests_and_relieves(both):
    both.open()
    both.stall()
    assert both.user.congestion == [True]
    assert HIGH_WATER < len(both.connection._buffer) < HIGH_WATER + 20_000
    both.peer.setblocking(False)
    while len(both.user.congestion) == 1:
        try:
            both.peer.recv(4096)
        except BlockingIOError:
            both.loop.run(seconds=0.001)
    assert both.user.congestion == [True, False]
    assert len(both.connection._buffer) <= LOW_WATER
    assert both.user.reasons == []


def test_congestion_is_over_well_below_where_it_began(both):
    both.open()
    before = both.socket.calls["send"]
    both.socket.script("send", BlockingIOError(), 50_000, 50_000)
    both.connection.write(bytes(HIGH_WATER + 1))
    assert both.user.congestion == [True]
    for sent, congestion in ((2, [True]), (3, [True, False])):
        both.wait(lambda sent=sent: both.socket.calls["send"] == before + sent)
        assert both.user.congestion == congestion


def test_bursts_that_the_kernel_takes_are_no_congestion(both):
    both.open()
    received = 0
    for _ in range(20):
        for _ in range(60):
            both.connection.write(bytes(1400))
        while received < 60 * 1400:
            both.loop.run(seconds=0.001)
            received += len(both.peer.recv(1 << 20))
        received = 0
    assert both.user.congestion == []


def test_too_much_to_write_ends_it(both):
    both.open()
    both.stall()
    for _ in range(MAX_BUFFER // 100_000 + 1):
        both.connection.write(bytes(100_000))
    assert both.user.reasons == ["too much to write"]
    assert both.user.overs == 1


def test_who_closes_a_stalled_one_does_not_wait_for_ever(both):
    both.open()
    both.stall()
    both.connection.close()
    both.loop.skip(FLUSHED_WITHIN - 1)
    assert both.user.overs == 0
    both.loop.skip(2)
    assert both.user.overs == 1
    assert both.read_all()[1] == "reset"


def test_what_was_written_before_the_end_is_still_sent(both):
    both.open()
    both.stall()
    both.connection.write(b"the last")
    both.connection.close()
    both.connection.write(b"too late")
    both.peer.setblocking(False)
    data = b""
    while both.user.overs == 0:
        try:
            data += both.peer.recv(1 << 20)
        except BlockingIOError:
            both.loop.run(seconds=0.001)
    both.peer.settimeout(5)
    rest, end = both.read_all()
    assert (data + rest).endswith(b"the last")
    assert end == "end"
    assert both.user.reasons == []


def test_abort_resets(both):
    both.open()
    both.connection.write(b"lost")
    both.connection.abort()
    assert both.read_all() == (b"", "reset")
    assert both.user.reasons == []


@pytest.mark.parametrize(("call", "doing"), [("recv", "read"), ("send", "write")])
def test_a_call_that_fails_ends_it_and_is_told_once(both, call, doing):
    both.open()
    both.socket.fail(call, errno.ENOBUFS)
    both.peer.sendall(b"something")
    both.connection.write(b"something")
    both.wait(lambda: both.user.reasons)
    both.loop.run(seconds=0.01)
    assert both.user.failures == [(f"tcp {doing}", errno.ENOBUFS)]
    assert both.user.reasons == ["No buffer space available"]
    assert both.socket.calls[call] == 1


def test_calls_that_fail_while_it_ends(both):
    both.open()
    both.stall()
    both.connection.close()
    both.socket.fail("send", errno.ECONNRESET)
    both.socket.fail("setsockopt", errno.EINVAL)
    both.peer.close()
    both.wait(lambda: both.user.overs)
    assert both.user.reasons == []


def test_a_path_that_cannot_be_asked_about_ends_it(both):
    both.socket.fail("getsockopt", errno.EIO)
    both.connection.connect(LOCAL, both.remote)
    both.wait(lambda: both.user.reasons)
    assert both.user.failures == [("tcp connect", errno.EIO)]


def test_names():
    assert endpoint_of(("fe80::1%eth0", 80, 0, 2)) == Endpoint.of("fe80::1", 80)
    assert reason_of(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")) == "reset"
    assert reason_of(OSError("what")) == "what"
