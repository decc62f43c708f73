"""Descriptors, timers and calls of one loop."""

import os
import socket
import threading
import time

import pytest

from scapy_mobsec.drivers.live.loop import Loop


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pair():
    first, second = socket.socketpair()
    yield first, second
    first.close()
    second.close()


def test_readable(loop, pair):
    first, second = pair
    came = []
    loop.watch(first, lambda: came.append(first.recv(10)))
    second.send(b"octets")
    assert loop.run(lambda: bool(came), seconds=5)
    assert came == [b"octets"]


def test_writable_until_it_is_watched_no_more(loop, pair):
    first, _ = pair
    calls = []

    def writable():
        calls.append(1)
        loop.watch(first, None, writable if len(calls) < 3 else None)

    loop.watch(first, None, writable)
    assert not loop.run(seconds=0.02)
    assert len(calls) == 3


def test_a_descriptor_closed_by_a_call_of_the_same_round_is_not_read(loop):
    pairs = [socket.socketpair() for _ in range(2)]
    came = []

    def readable(mine, other):
        came.append(mine.recv(1))
        loop.unwatch(other)
        other.close()

    (one, one_end), (two, two_end) = pairs
    loop.watch(one, lambda: readable(one, two))
    loop.watch(two, lambda: readable(two, one))
    one_end.send(b"1")
    two_end.send(b"2")
    loop.run(seconds=0.02)
    assert len(came) == 1
    for each in (one, one_end, two, two_end):
        each.close()


def test_timers_in_their_order_and_cancelled_ones_not(loop):
    called = []
    start = loop.now
    loop.at(start + 0.02, lambda: called.append("late"))
    loop.at(start + 0.01, lambda: called.append("early"))
    loop.at(start + 0.015, lambda: called.append("cancelled")).cancel()
    assert loop.run(lambda: len(called) == 2, seconds=5)
    assert called == ["early", "late"]
    assert loop.now >= start + 0.02


def test_soon_is_after_all_that_was_ready(loop, pair):
    first, second = pair
    called = []
    loop.watch(first, lambda: called.append(first.recv(1)))
    loop.at(loop.now, lambda: (called.append("timer"), loop.soon(lambda: called.append("soon"))))
    second.send(b"x")
    loop.run(lambda: "soon" in called, seconds=5)
    assert called == [b"x", "timer", "soon"]


def test_what_is_said_soon_in_soon_waits_for_the_next_round(loop):
    called = []

    def again():
        called.append(1)
        if len(called) < 3:
            loop.soon(again)
        else:
            loop.stop()

    loop.soon(again)
    assert loop.run(seconds=5)
    assert len(called) == 3


def test_call_from_another_thread_wakes_it(loop):
    called = []
    thread = threading.Thread(
        target=lambda: loop.call(lambda: called.append(threading.get_ident()))
    )
    thread.start()
    assert loop.run(lambda: bool(called), seconds=5)
    thread.join()
    assert called == [threading.get_ident()]


def test_stop(loop):
    loop.call(loop.stop)
    assert loop.run(seconds=5)


def test_a_clock_that_is_set_does_not_move_now(loop, monkeypatch):
    before = loop.now
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= loop.now < before + 5


def test_close_gives_its_descriptors_free():
    before = len(os.listdir("/proc/self/fd"))
    Loop().close()
    assert len(os.listdir("/proc/self/fd")) == before
