"""The carriers of one terminal: at the start, on a move, and where nothing can be had."""

import errno
import os
import socket
from contextlib import contextmanager

import pytest

from scapy_mobsec.drivers.live import datagrams as live
from scapy_mobsec.drivers.live.datagrams import Datagrams
from scapy_mobsec.drivers.live.faults import CannotOpen
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.driving import Transmit

HERE, NEXT_DOOR = Endpoint.of("127.0.0.1"), Endpoint.of("127.0.0.2")
NOWHERE = Endpoint.of("192.0.2.77", 4500)


@pytest.fixture
def datagrams(heard):
    datagrams = Datagrams(heard.loop, heard.owner.receive, heard.owner.too_big)
    yield datagrams
    datagrams.close()


def transmit(local, remote, data=b"octets"):
    return Transmit(data, Path(Encapsulation.UDP, local, remote))


def refused(number):
    """What opening raises."""

    def raise_error(local, owner):
        raise OSError(number, os.strerror(number))

    return raise_error


@contextmanager
def later(loop, monkeypatch):
    """Let it be so late that what could not be opened is tried again."""
    with monkeypatch.context() as patch:
        patch.setattr(type(loop), "now", loop.now + live.OPENED_AGAIN_AFTER)
        yield


def free(endpoint):
    """Tell whether a port can be had by others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind((str(Endpoint(endpoint.address)), endpoint.port))
        except OSError:
            return False
        return True


def test_from_one_endpoint_to_another(heard, datagrams):
    first, second = datagrams.listen([HERE, NEXT_DOOR])
    datagrams.send(transmit(first, second))
    heard.wait_for(1)
    assert heard.came == [(b"octets", Path(Encapsulation.UDP, second, first))]


def test_what_listens_everywhere_sends_from_each_address(heard, datagrams):
    first, wide = datagrams.listen([HERE, Endpoint(bytes(4))])
    local = Endpoint.of("127.0.0.5", wide.port)
    datagrams.send(transmit(local, first))
    heard.wait_for(1)
    assert heard.came[0][1].remote == local


def test_a_port_in_use_is_told_at_the_start_and_nothing_is_open(heard, datagrams):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = Endpoint.of(*other.getsockname())
        free_one = Endpoint(NEXT_DOOR.address, taken.port)
        (before,) = datagrams.listen([HERE])
        with pytest.raises(CannotOpen) as raised:
            datagrams.listen([free_one, taken])
    assert str(raised.value) == f"udp {taken}: Address already in use"
    assert free(free_one)
    assert not free(before)


def test_a_move_keeps_what_stays_and_closes_the_rest(heard, datagrams):
    first, second = datagrams.use([HERE, NEXT_DOOR])
    third_asked = Endpoint.of("127.0.0.3")
    third, same = datagrams.use([third_asked, NEXT_DOOR])
    assert same == second
    assert free(first)
    datagrams.send(transmit(first, second, b"lost"))
    datagrams.send(transmit(second, third, b"found"))
    heard.wait_for(1)
    assert [data for data, _ in heard.came] == [b"found"]
    assert datagrams.faults.counts == {"udp send EADDRNOTAVAIL": 1}


def test_an_address_that_is_not_there_does_not_keep_others_from_being_used(heard, datagrams):
    used = datagrams.use([NOWHERE, HERE])
    assert used[0] == NOWHERE
    datagrams.send(transmit(used[1], used[1]))
    heard.wait_for(1)
    assert datagrams.faults.counts == {"udp open EADDRNOTAVAIL": 1}


def test_an_endpoint_that_is_there_later_is_used_then(heard, datagrams, monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = Endpoint.of(*other.getsockname())
        assert datagrams.use([taken, NEXT_DOOR])[0] == taken
        for _ in range(10):
            datagrams.send(transmit(taken, taken, b"lost"))
    datagrams.send(transmit(taken, taken, b"lost"))
    assert datagrams.faults.counts["udp open EADDRINUSE"] == 1
    with later(heard.loop, monkeypatch):
        datagrams.send(transmit(taken, taken, b"found"))
    heard.wait_for(1)
    assert [data for data, _ in heard.came] == [b"found"]


def test_any_port_of_an_address_that_is_not_there(heard, datagrams, monkeypatch):
    (used,) = datagrams.use([NOWHERE._replace(port=0)])
    assert not used.port
    with later(heard.loop, monkeypatch):
        datagrams.send(transmit(used, HERE))
    assert datagrams.faults.counts == {"udp open EADDRNOTAVAIL": 1, "udp send EADDRNOTAVAIL": 1}


def test_an_endpoint_that_was_left_is_not_tried_again(heard, datagrams, monkeypatch):
    datagrams.use([NOWHERE])
    datagrams.use([HERE])
    with later(heard.loop, monkeypatch):
        datagrams.send(transmit(NOWHERE, HERE))
    assert datagrams.faults.counts["udp open EADDRNOTAVAIL"] == 1


@pytest.mark.parametrize(
    ("ah", "number", "text"),
    [
        (False, errno.EPERM, "native ESP (needs CAP_NET_RAW): Operation not permitted"),
        (True, errno.EPERM, "native AH (needs CAP_NET_RAW): Operation not permitted"),
        (False, errno.EMFILE, "native ESP: Too many open files"),
    ],
)
def test_native_that_cannot_be_had(datagrams, monkeypatch, ah, number, text):
    for opening in ("open_esp", "open_ah"):
        monkeypatch.setattr(live, opening, refused(number))
    with pytest.raises(CannotOpen) as raised:
        datagrams.open_native(ah=ah)
    assert str(raised.value) == text


def test_native_where_nothing_is_open_or_a_family_is_missing(datagrams, monkeypatch):
    path = Path(Encapsulation.NATIVE, HERE, NEXT_DOOR)
    datagrams.send(Transmit(b"octets", path))
    monkeypatch.setattr(live, "open_esp", refused(errno.EAFNOSUPPORT))
    datagrams.open_native()
    datagrams.send(Transmit(b"octets", path))
    assert datagrams.faults.counts == {"native send EADDRNOTAVAIL": 2}


def test_native_is_opened_once(datagrams, monkeypatch):
    opened = []

    class Raw:
        def __init__(self, endpoint, owner):
            opened.append(len(endpoint.address))

        def close(self):
            pass

    monkeypatch.setattr(live, "open_esp", Raw)
    for _ in range(2):
        datagrams.open_native()
    assert sorted(opened) == [4, 16]


def test_close(datagrams):
    (first,) = datagrams.listen([HERE])
    datagrams.close()
    assert free(first)
