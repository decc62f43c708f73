"""One socket on a loop, with good and bad days; UDP on loopback stands for all."""

import errno
import socket
from struct import pack

import pytest
from faulty_sockets import FaultySocket

from scapy_mobsec.drivers.live import datagram_socket
from scapy_mobsec.drivers.live.datagram_socket import (
    FIRST_PAUSE,
    MAX_DRAINED,
    MAX_REMEMBERED,
    new_socket,
)
from scapy_mobsec.drivers.live.error_queue import IP_RECVERR, ORIGIN_ICMP, ORIGIN_LOCAL
from scapy_mobsec.drivers.live.udp_sockets import UdpSocket
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path

HERE, NEXT_DOOR = Endpoint.of("127.0.0.1"), Endpoint.of("127.0.0.2")
NOTHING = BlockingIOError()


class Bound:
    """A socket that can be made to fail, and the class under test on it."""

    def __init__(self, local, owner):
        real = new_socket(socket.SOCK_DGRAM, socket.IPPROTO_UDP, local)
        self.raw = FaultySocket(real)
        self.endpoint = local._replace(port=real.getsockname()[1])
        self.socket = UdpSocket(self.raw, self.endpoint, owner)

    def to(self, other, address=None):
        """The path to another one, and the address that it has there."""
        remote = other.endpoint if address is None else other.endpoint._replace(address=address)
        return Path(Encapsulation.UDP, self.endpoint, remote)


@pytest.fixture
def bind(heard):
    bound = []

    def bind(local):
        bound.append(Bound(local, heard.owner))
        return bound[-1]

    yield bind
    for each in bound:
        each.socket.close()


@pytest.fixture
def nobody():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        return Endpoint.of(*closed.getsockname())


def message(number, origin, mtu, remote, quoted=b""):
    """What the error queue answers."""
    value = pack("=IBBBxII", number, origin, 3, 4, mtu, 0)
    return quoted, [(socket.IPPROTO_IP, IP_RECVERR, value)], 0, remote


@pytest.mark.parametrize(
    ("everywhere", "asked", "asker"), [("0.0.0.0", "127.0.0.9", "127.0.0.1"), ("::", "::1", "::1")]
)
def test_who_listens_everywhere_answers_from_where_it_was_asked(
    heard, bind, everywhere, asked, asker
):
    wide, narrow = bind(Endpoint.of(everywhere)), bind(Endpoint.of(asker))
    there = Endpoint.of(asked, wide.endpoint.port)
    narrow.socket.send(b"asked", Path(Encapsulation.UDP, narrow.endpoint, there))
    heard.wait_for(1)
    assert heard.came == [(b"asked", Path(Encapsulation.UDP, there, narrow.endpoint))]
    wide.socket.send(b"answered", heard.came[0][1])
    heard.wait_for(2)
    assert heard.came[1] == (b"answered", Path(Encapsulation.UDP, narrow.endpoint, there))


def test_others_have_their_turn_after_so_many(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    for _ in range(MAX_DRAINED + 1):
        first.socket.send(b"octets", first.to(second))
    second.socket._readable()
    assert len(heard.came) == MAX_DRAINED
    heard.wait_for(MAX_DRAINED + 1)


def test_so_many_paths_are_remembered(heard, bind, monkeypatch):
    monkeypatch.setattr(datagram_socket, "MAX_REMEMBERED", 4)
    assert MAX_REMEMBERED > 4
    wide, narrow = bind(Endpoint(bytes(4))), bind(HERE)
    for number in range(1, 10):
        narrow.socket.send(b"octets", narrow.to(wide, bytes((127, 0, 0, number))))
    heard.wait_for(9)
    assert len({path.local for _, path in heard.came}) == 9
    assert len(wide.socket._remembered) <= 4
    assert len(narrow.socket._routes) <= 4


def test_a_port_where_nobody_is_keeps_no_other_datagram_from_leaving(heard, bind, nobody):
    first, second = bind(HERE), bind(NEXT_DOOR)
    away = Path(Encapsulation.UDP, first.endpoint, nobody)
    for _ in range(3):
        first.socket.send(b"lost", away)
        first.socket.send(b"found", first.to(second))
    heard.wait_for(3)
    assert [data for data, _ in heard.came] == [b"found"] * 3
    heard.loop.run(seconds=0.01)
    assert heard.faults.counts == {"udp notice ECONNREFUSED": 3}


def test_a_refused_datagram_is_no_busy_loop(heard, bind, nobody):
    first = bind(HERE)
    for _ in range(5):
        first.socket.send(b"lost", Path(Encapsulation.UDP, first.endpoint, nobody))
    heard.loop.run(seconds=0.05)
    assert first.raw.calls["recvmsg"] < 25
    assert heard.faults.counts.total() == 5


def test_what_comes_between_notices_is_read(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    second.socket.send(b"there", second.to(first))
    refused = message(errno.ECONNREFUSED, ORIGIN_ICMP, 0, ("192.0.2.1", 9))
    for _ in range(3):
        first.raw.script("recvmsg", OSError(errno.ECONNREFUSED, "refused"), refused, NOTHING)
    first.socket._readable()
    assert [data for data, _ in heard.came] == [b"there"]
    assert heard.faults.counts == {"udp notice ECONNREFUSED": 3}


def test_what_wakes_it_without_a_datagram_is_in_the_error_queue(heard, bind):
    first = bind(HERE)
    refused = message(errno.ECONNREFUSED, ORIGIN_ICMP, 0, ("192.0.2.1", 9))
    first.raw.script("recvmsg", NOTHING, refused, NOTHING)
    first.socket._readable()
    assert heard.faults.counts == {"udp notice ECONNREFUSED": 1}


def test_a_full_buffer_loses_the_datagram(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    first.raw.script("sendmsg", BlockingIOError(errno.EAGAIN, "again"))
    first.socket.send(b"lost", first.to(second))
    first.socket.send(b"found", first.to(second))
    heard.wait_for(1)
    assert heard.came[0][0] == b"found"
    assert heard.faults.counts == {"udp send EAGAIN": 1}


@pytest.mark.parametrize(
    ("everywhere", "gone", "there", "name"),
    [
        ("0.0.0.0", "192.0.2.77", "127.0.0.1", "ENETUNREACH"),
        ("::", "2001:db8::77", "::1", "EADDRNOTAVAIL"),
    ],
)
def test_an_address_that_is_not_here_any_more(heard, bind, everywhere, gone, there, name):
    first = bind(Endpoint.of(everywhere))
    path = Path(Encapsulation.UDP, Endpoint.of(gone, 4500), Endpoint.of(there, 9))
    first.socket.send(b"lost", path)
    assert heard.faults.counts == {f"udp send {name}": 1}


def test_too_long_for_the_link_is_told_with_the_datagram(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    path = first.to(second)
    first.raw.script("sendmsg", OSError(errno.EMSGSIZE, "too long"))
    first.raw.script("recvmsg", message(errno.EMSGSIZE, ORIGIN_LOCAL, 1280, None), NOTHING)
    first.socket.send(b"datagram", path)
    assert heard.too_big == [(1280, path, b"datagram")]
    assert heard.faults.counts == {"udp send EMSGSIZE": 1}
    assert first.raw.calls["sendmsg"] == 1


def test_too_long_for_udp(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    first.socket.send(bytes(65_536), first.to(second))
    assert heard.faults.counts == {"udp send EMSGSIZE": 1}
    assert not heard.too_big


@pytest.mark.parametrize(("mtu", "told"), [(1400, True), (0, False)])
def test_too_long_for_a_link_further_on(heard, bind, mtu, told):
    first = bind(HERE)
    remote = "192.0.2.1", 4500
    first.raw.script("recvmsg", message(errno.EMSGSIZE, ORIGIN_ICMP, mtu, remote, b"esp"), NOTHING)
    first.socket._take_notices()
    path = Path(Encapsulation.UDP, first.endpoint, Endpoint.of(*remote))
    assert heard.too_big == ([(mtu, path, b"esp")] if told else [])
    assert heard.faults.counts == {"udp notice EMSGSIZE": 1}


def test_an_error_on_every_call(heard, bind, caplog):
    first, second = bind(HERE), bind(NEXT_DOOR)
    second.socket.send(b"there", second.to(first))
    for name in ("recvmsg", "sendmsg"):
        first.raw.fail(name, errno.ENETDOWN)
    for _ in range(100):
        first.socket.send(b"lost", first.to(second))
    assert first.raw.calls["sendmsg"] == 100
    counts, start = heard.faults.counts, heard.loop.now
    assert heard.loop.run(lambda: counts["udp receive ENETDOWN"] == 4, seconds=5)
    assert heard.loop.now - start >= FIRST_PAUSE * (1 + 2 + 4)
    assert counts["udp send ENETDOWN"] == 100
    assert set(counts) == {
        "udp send ENETDOWN",
        "udp receive ENETDOWN",
        "udp error queue ENETDOWN",
    }
    assert len(caplog.records) == 3

    first.raw.mend("recvmsg")
    heard.wait_for(1)
    assert heard.came[0][0] == b"there"


def test_the_pause_is_short_again_after_a_datagram_that_came(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    second.socket.send(b"there", second.to(first))
    for _ in range(2):
        first.raw.script("recvmsg", OSError(errno.ENOBUFS, "full"), NOTHING)
    heard.wait_for(1)
    first.raw.script("recvmsg", OSError(errno.ENOBUFS, "full"), NOTHING)
    second.socket.send(b"there", second.to(first))
    before = heard.loop.now
    heard.wait_for(2)
    assert heard.loop.now - before >= FIRST_PAUSE
    assert first.socket._pause == 0


def test_a_socket_closed_by_what_came_is_not_read(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    heard.came = Closing(second.socket)
    for _ in range(2):
        first.socket.send(b"octets", first.to(second))
    heard.loop.run(seconds=0.02)
    assert len(heard.came) == 1
    assert not heard.faults.counts


class Closing(list):
    def __init__(self, closed):
        super().__init__()
        self.closed = closed

    def append(self, item):
        super().append(item)
        self.closed.close()


def test_closed_while_it_paused(heard, bind):
    first, second = bind(HERE), bind(NEXT_DOOR)
    second.socket.send(b"there", second.to(first))
    first.raw.fail("recvmsg", errno.ENOBUFS)
    assert heard.loop.run(lambda: bool(heard.faults.counts), seconds=5)
    first.socket.close()
    first.socket.close()
    first.socket.send(b"lost", first.to(second))
    heard.loop.run(seconds=0.03)
    assert heard.faults.counts["udp receive ENOBUFS"] == 1
    assert heard.faults.counts["udp send EBADF"] == 1
