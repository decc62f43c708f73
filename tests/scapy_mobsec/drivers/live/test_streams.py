"""Open, Close and Transmit on real streams; Established, Closed, Refused and Congested."""

import errno
import socket

import pytest
from certificates import Certificate
from connect_proxy import ConnectProxy
from faulty_sockets import FaultySocket
from shifting import ShiftingLoop

from scapy_mobsec.drivers.live.faults import CannotOpen
from scapy_mobsec.drivers.live.streams import (
    ACCEPT_AGAIN_AFTER,
    ACCEPTED_A_ROUND,
    ESTABLISHED_WITHIN,
    MAX_HANDSHAKES_PER_SOURCE,
    Streams,
)
from scapy_mobsec.drivers.live.tls import ServerTls
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import (
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
)
from scapy_mobsec.terminal.driving import Closed, Congested, Established, Open, Refused

TCP, TLS = Encapsulation.TCP, Encapsulation.TLS
HERE, THERE = Endpoint.of("127.0.0.2"), Endpoint.of("127.0.0.1")


class End:
    """The streams of one end; `came`: what was told, with its path."""

    def __init__(self, loop, **options):
        self.came = []
        self.streams = Streams(loop, lambda data, path: self.came.append((data, path)), **options)

    def told(self, kind):
        return [(data, path) for data, path in self.came if isinstance(data, kind)]

    @property
    def data(self):
        return b"".join(data for data, _ in self.told(bytes))


class Both:
    """X, and Y that listens for TCP and for TLS."""

    def __init__(self, loop, certificate):
        self.loop, self.certificate = loop, certificate
        self.mobile, self.other = End(loop), End(loop)
        self.tls = ServerTls(certificate.certificate, certificate.key)
        self.plain = self.other.streams.listen(THERE)
        self.inside = self.other.streams.listen(THERE, self.tls)
        self.proxies = []

    def wanted(self, encapsulation=TCP, remote=None, local=HERE):
        return Path(encapsulation, local, remote or (self.plain, self.inside)[encapsulation is TLS])

    def open(self, encapsulation=TCP, **options):
        """Open a stream; return its path at both ends."""
        if encapsulation is TLS:
            options = {"tls": True, "server_name": "y.example", **options}
        count = len(self.other.told(Established))
        self.mobile.streams.open(Open(self.wanted(encapsulation), **options))
        self.wait(lambda: len(self.other.told(Established)) > count)
        self.wait(lambda: not self.mobile.streams.pending)
        return self.mobile.told(Established)[-1][1], self.other.told(Established)[-1][1]

    def proxy(self, **options):
        self.proxies.append(ConnectProxy(self.loop, **options))
        return self.proxies[-1]

    def wait(self, condition):
        assert self.loop.run(condition, seconds=5)

    def settle(self):
        self.loop.run(seconds=0.02)

    def close(self):
        for each in (self.mobile.streams, self.other.streams, *self.proxies):
            each.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("streams"))


@pytest.fixture
def loop():
    loop = ShiftingLoop()
    yield loop
    loop.close()


@pytest.fixture
def both(loop, certificate):
    both = Both(loop, certificate)
    yield both
    both.close()


def asked(both, number=1, to=None):
    """Plain sockets that connect to Y, from one address."""
    remote = to or both.plain
    ends = str(Endpoint(remote.address)), remote.port
    found = [socket.create_connection(ends) for _ in range(number)]
    both.settle()
    return found


# open


@pytest.mark.parametrize("encapsulation", [TCP, TLS])
def test_what_both_ends_are_told(both, encapsulation):
    mine, theirs = both.open(encapsulation)
    remote = both.wanted(encapsulation).remote
    assert mine == Path(encapsulation, HERE._replace(port=mine.local.port), remote)
    assert theirs == Path(encapsulation, remote, mine.local)
    tls = (TlsHeader(both.certificate.sha256, "y.example"),) if encapsulation is TLS else ()
    headers = (
        Ipv4Header(HERE.address, THERE.address),
        TcpHeader(mine.local.port, remote.port),
        *tls,
    )
    assert both.mobile.told(Established)[0][0] == Established(both.wanted(encapsulation), headers)
    assert both.other.told(Established)[0][0] == Established(None, headers)


@pytest.mark.parametrize("encapsulation", [TCP, TLS])
def test_octets_both_ways_and_the_end(both, encapsulation):
    mine, theirs = both.open(encapsulation)
    both.mobile.streams.write(mine, b"one ")
    both.mobile.streams.write(mine, b"two" * 50_000)
    both.other.streams.write(theirs, b"three")
    both.wait(lambda: len(both.other.data) == 150_004 and both.mobile.data)
    assert both.other.data == b"one " + b"two" * 50_000
    assert both.mobile.data == b"three"
    both.mobile.streams.write(mine, b"last")
    both.mobile.streams.end(mine)
    both.mobile.streams.write(mine, b"lost")
    both.wait(lambda: both.other.told(Closed))
    assert both.other.data.endswith(b"last")
    assert both.other.told(Closed) == [(Closed("closed by the peer"), theirs)]
    assert both.mobile.told(Closed) == []
    both.other.streams.write(theirs, b"lost")
    both.other.streams.end(theirs)
    assert not both.mobile.streams.connections
    assert not both.other.streams.connections


def test_ipv6(loop):
    mobile, other = End(loop), End(loop)
    remote = other.streams.listen(Endpoint.of("::1"))
    mobile.streams.open(Open(Path(TCP, Endpoint.of("::1"), remote)))
    assert loop.run(lambda: mobile.came, seconds=5)
    assert isinstance(mobile.came[0][0].headers[0], Ipv6Header)
    mobile.streams.close()
    other.streams.close()


@pytest.mark.parametrize(("encapsulation", "piece"), [(TCP, 65_536), (TLS, 65_536), (TLS, 7)])
def test_through_a_forward_proxy(both, encapsulation, piece):
    proxy = both.proxy(piece=piece)
    remote = both.wanted(encapsulation).remote
    wanted = both.wanted(encapsulation, proxy.endpoint)
    tls = encapsulation is TLS
    both.mobile.streams.open(Open(wanted, str(remote), tls, "y.example" if tls else ""))
    both.wait(lambda: both.mobile.came and both.other.came)
    ((opened, mine),), ((accepted, theirs),) = both.mobile.came, both.other.came
    seen = (TlsHeader(both.certificate.sha256, "y.example"),) if tls else ()
    assert opened.headers == (
        Ipv4Header(HERE.address, proxy.endpoint.address),
        TcpHeader(mine.local.port, proxy.endpoint.port),
        HttpHeader("CONNECT", str(remote), ""),
        *seen,
    )
    assert opened.tunnel == HttpHeader("", "", "200")
    assert accepted.headers[2:] == seen
    assert proxy.asked == [str(remote)]
    both.mobile.streams.write(mine, b"up")
    both.other.streams.write(theirs, b"down")
    both.wait(lambda: both.mobile.data == b"down" and both.other.data == b"up")


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_forward_proxy_that_refuses(both, status):
    proxy = both.proxy(refusal=status)
    wanted = both.wanted(TLS, proxy.endpoint)
    both.mobile.streams.open(Open(wanted, str(both.inside), tls=True))
    both.wait(lambda: both.mobile.came)
    reason = f"refused by an HTTP server or proxy: {status}"
    assert both.mobile.came == [(Refused(reason), wanted)]
    assert not both.mobile.streams.connections


def test_nobody_listens(both):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        remote = THERE._replace(port=taken.getsockname()[1])
    both.mobile.streams.open(Open(both.wanted(remote=remote)))
    both.wait(lambda: both.mobile.came)
    assert both.mobile.came == [(Closed("refused"), both.wanted(remote=remote))]
    assert both.mobile.streams.faults.counts == {"tcp connect ECONNREFUSED": 1}


def test_an_address_that_is_not_here_is_told_later_and_once(both):
    wanted = both.wanted(local=Endpoint.of("192.0.2.77"))
    both.mobile.streams.open(Open(wanted))
    assert both.mobile.came == []
    both.settle()
    assert both.mobile.came == [(Closed("Cannot assign requested address"), wanted)]
    assert both.mobile.streams.faults.counts == {"tcp open EADDRNOTAVAIL": 1}
    assert not both.mobile.streams.connections


@pytest.mark.parametrize("options", [{"target": "a b:1"}, {"tls": True, "server_name": ".y"}])
def test_what_cannot_be_asked_for(both, options):
    both.mobile.streams.open(Open(both.wanted(), **options))
    both.settle()
    ((closed, path),) = both.mobile.came
    assert isinstance(closed, Closed)
    assert path == both.wanted()


@pytest.mark.parametrize("local", [HERE, Endpoint.of("192.0.2.77")])
def test_opening_is_given_up(both, local):
    wanted = both.wanted(local=local)
    both.mobile.streams.open(Open(wanted))
    both.mobile.streams.end(wanted)
    both.settle()
    assert both.mobile.came == []
    assert not both.mobile.streams.connections


def test_what_was_given_up_says_nothing_of_the_next(both):
    wanted = both.wanted(TLS)
    both.mobile.streams.open(Open(wanted, target="a b:1"))  # which is told later
    both.mobile.streams.end(wanted)
    both.mobile.streams.open(Open(wanted, tls=True))
    both.wait(lambda: both.mobile.came)
    assert [type(data) for data, _ in both.mobile.came] == [Established]


def test_who_does_not_answer_in_time_is_given_up(both):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wanted = both.wanted(TLS, Endpoint.of(*silent.getsockname()))
        both.mobile.streams.open(Open(wanted, tls=True))
        both.loop.skip(ESTABLISHED_WITHIN - 1)
        assert both.mobile.came == []
        both.loop.skip(2)
        assert both.mobile.came == [(Closed("not established within 10 s"), wanted)]
        both.loop.skip(ESTABLISHED_WITHIN)
    assert len(both.mobile.came) == 1
    assert not both.mobile.streams.connections


def test_an_established_one_has_no_deadline(both):
    both.open(TLS)
    both.loop.skip(2 * ESTABLISHED_WITHIN)
    assert both.mobile.told(Closed) == both.other.told(Closed) == []


def test_without_descriptors_nothing_opens_and_nothing_is_lost(both):
    mobile = End(both.loop, new_socket=lambda *kind: _raise(errno.EMFILE))
    mobile.streams.open(Open(both.wanted()))
    both.settle()
    assert mobile.came == [(Closed("Too many open files"), both.wanted())]
    with pytest.raises(CannotOpen, match="Too many open files"):
        mobile.streams.listen(THERE)


def _raise(number):
    raise OSError(number, "Too many open files")


def test_a_socket_that_fails_at_every_call_is_told_of_and_given_up(both):
    def failing(*kind):
        made = FaultySocket(socket.socket(*kind))
        for name in ("setsockopt", "bind", "connect_ex", "recv", "send"):
            made.fail(name, errno.ENOMEM)
        return made

    mobile = End(both.loop, new_socket=failing)
    mobile.streams.open(Open(both.wanted()))
    both.settle()
    assert mobile.came == [(Closed("Cannot allocate memory"), both.wanted())]
    assert not mobile.streams.connections


# the end, moves, congestion


def test_a_reset_is_told(both):
    (asker,) = asked(both)
    asker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4))
    asker.close()
    both.wait(lambda: both.other.told(Closed))
    assert both.other.told(Closed)[0][0] == Closed("reset")


def test_a_move_forgets_the_streams_of_other_addresses_without_a_word(both):
    kept, _ = both.open()
    elsewhere = both.wanted(local=Endpoint.of("127.0.0.3"))
    both.mobile.streams.open(Open(elsewhere))
    both.wait(lambda: len(both.mobile.told(Established)) == 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        late = elsewhere._replace(remote=Endpoint.of(*silent.getsockname()))
        both.mobile.streams.open(Open(late, tls=True))
        both.mobile.streams.use([HERE.address])
        both.settle()
        both.loop.skip(ESTABLISHED_WITHIN + 1)
    assert both.mobile.told(Closed) == []
    assert list(both.mobile.streams.established) == [kept]
    assert not both.mobile.streams.pending
    assert len(both.mobile.streams.connections) == 1
    (left,) = both.other.told(Closed)
    assert left[0] == Closed("reset")


def test_a_stalled_reader_is_told_as_congestion(both):
    (asker,) = asked(both)
    ((_, path),) = both.other.told(Established)
    while not both.other.told(Congested):
        both.other.streams.write(path, bytes(10_000))
        both.loop.run(seconds=0.001)
    asker.setblocking(False)
    while len(both.other.told(Congested)) == 1:
        both.loop.run(seconds=0.001)
        try:
            asker.recv(1 << 20)
        except BlockingIOError:
            continue
    assert both.other.told(Congested) == [(Congested(True), path), (Congested(False), path)]
    assert both.other.told(Closed) == []
    asker.close()


def test_close_sends_what_was_written_and_ends_all(both):
    mine, _ = both.open()
    both.mobile.streams.write(mine, b"bye")
    both.mobile.streams.close()
    both.wait(lambda: both.other.told(Closed))
    assert both.other.data == b"bye"
    both.other.streams.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(Endpoint(both.plain.address)), both.plain.port))
    assert not both.mobile.streams.connections | both.other.streams.connections


# accept


def test_a_port_in_use_is_a_clear_line(both):
    made = []
    other = End(both.loop, new_socket=lambda *kind: made.append(socket.socket(*kind)) or made[-1])
    with pytest.raises(CannotOpen, match=r"^tcp 127.0.0.1:\d+: Address already in use$"):
        other.streams.listen(both.plain)
    assert made[0].fileno() == -1


def test_one_port_of_both_families(both):
    everywhere = both.other.streams.listen(Endpoint(bytes(4)))
    both.other.streams.listen(Endpoint(bytes(16), everywhere.port))


def test_a_port_is_free_again_at_once(both):
    both.open()
    both.other.streams.close()
    both.settle()
    assert both.other.streams.listen(both.plain) == both.plain


def test_who_never_begins_tls_goes_and_leaves_room_for_others(both):
    askers = asked(both, MAX_HANDSHAKES_PER_SOURCE + 3, both.inside)
    assert len(both.other.streams.handshakes) == MAX_HANDSHAKES_PER_SOURCE
    assert both.other.streams.faults.counts == {"tcp accept EUSERS": 3}
    both.open(TLS)  # from another address
    both.loop.skip(ESTABLISHED_WITHIN + 1)
    assert not both.other.streams.handshakes
    assert both.other.streams.faults.counts["tls accept FAILED"] == MAX_HANDSHAKES_PER_SOURCE
    assert len(both.other.streams.connections) == 1
    assert both.other.told(Closed) == []
    for asker in askers:
        asker.close()


def test_octets_one_by_one_do_not_prolong_a_handshake(both):
    (asker,) = asked(both, 1, both.inside)
    for octet in b"\x16\x03\x01\x02":
        asker.send(bytes((octet,)))
        both.loop.skip(ESTABLISHED_WITHIN / 4)
    assert not both.other.streams.handshakes
    asker.close()


def test_the_oldest_handshake_makes_room(both, monkeypatch):
    monkeypatch.setattr("scapy_mobsec.drivers.live.streams.MAX_HANDSHAKES", 3)
    first, *others = asked(both, 4, both.inside)
    assert len(both.other.streams.handshakes) == 3
    first.settimeout(5)
    with pytest.raises(ConnectionResetError):
        first.recv(1)
    for asker in (first, *others):
        asker.close()


def test_connections_are_limited_in_all(loop):
    other = End(loop, limit=3)
    remote = other.streams.listen(THERE)
    askers = [socket.create_connection(("127.0.0.1", remote.port)) for _ in range(5)]
    loop.run(seconds=0.02)
    assert len(other.streams.connections) == len(other.told(Established)) == 3
    assert other.streams.faults.counts == {"tcp accept EUSERS": 2}
    other.streams.close()
    for asker in askers:
        asker.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ECONNABORTED])
def test_accept_that_fails_is_no_busy_loop(loop, number):
    made = []

    def faulty(*kind):
        made.append(FaultySocket(socket.socket(*kind)))
        return made[-1]

    other = End(loop, new_socket=faulty)
    remote = other.streams.listen(THERE)
    (listener,) = made
    listener.fail("accept", number)
    asker = socket.create_connection(("127.0.0.1", remote.port))
    loop.run(seconds=0.05)
    tried = 1 if number == errno.EMFILE else ACCEPTED_A_ROUND
    assert listener.calls["accept"] == tried
    loop.skip(ACCEPT_AGAIN_AFTER)
    assert listener.calls["accept"] == 2 * tried
    listener.mend("accept")
    loop.skip(ACCEPT_AGAIN_AFTER)
    assert len(other.told(Established)) == 1
    other.streams.close()
    asker.close()


def test_one_that_cannot_be_accepted_is_not_the_next(loop):
    made = []

    def faulty(*kind):
        made.append(FaultySocket(socket.socket(*kind)))
        return made[-1]

    other = End(loop, new_socket=faulty)
    remote = other.streams.listen(THERE)
    made[0].script("accept", ConnectionAbortedError(errno.ECONNABORTED, "aborted"))
    asker = socket.create_connection(("127.0.0.1", remote.port))
    assert loop.run(lambda: other.told(Established), seconds=5)
    assert other.streams.faults.counts == {"tcp accept ECONNABORTED": 1}
    other.streams.close()
    asker.close()
