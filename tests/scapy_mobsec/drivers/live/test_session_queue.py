"""The queue of a session: a descriptor that tells the truth, a bound, and an end."""

import threading
from select import select

import pytest

from scapy_mobsec.drivers.live import session_queue
from scapy_mobsec.drivers.live.session_queue import SessionQueue


def ready(queue):
    return bool(select([queue], [], [], 0)[0])


def test_readable_while_something_waits():
    queue = SessionQueue()
    assert not ready(queue)
    queue.put(1.0, b"a")
    queue.put(2.0, b"b")
    assert ready(queue)
    assert queue.get() == (1.0, b"a")
    assert ready(queue)
    assert queue.get() == (2.0, b"b")
    assert not ready(queue)


def test_what_finds_no_room_is_lost_and_counted(monkeypatch):
    monkeypatch.setattr(session_queue, "MAX_PACKETS", 2)
    queue = SessionQueue()
    for octets in (b"a", b"b", b"c"):
        queue.put(0.0, octets)
    assert queue.lost == 1
    assert [queue.get()[1] for _ in range(2)] == [b"a", b"b"]


def test_who_waits_is_woken():
    queue, got = SessionQueue(), []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    queue.put(0.0, b"a")
    thread.join(5)
    assert got == [(0.0, b"a")]


@pytest.mark.parametrize("waits", [0, 1, 2])
def test_the_end_comes_after_what_waits(waits):
    queue = SessionQueue()
    for _ in range(waits):
        queue.put(0.0, b"a")
    queue.close()
    queue.close()
    queue.put(0.0, b"too late")
    for _ in range(waits):
        queue.get()
    assert ready(queue)
    for _ in range(2):
        with pytest.raises(EOFError):
            queue.get()
