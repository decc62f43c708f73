"""A loop in a thread: calls and what they raise, time that is up, and its end."""

import threading
from concurrent.futures import Future

import pytest

from scapy_mobsec.drivers.live.session_thread import LoopThread, SessionError, result_of


@pytest.fixture
def thread():
    thread = LoopThread("test")
    yield thread
    thread.close()


def test_a_call_runs_in_the_thread_and_returns(thread):
    assert thread.call(threading.current_thread).name == "test"


def test_a_call_raises_what_it_raises(thread):
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    with pytest.raises(TimeoutError, match="of its own"):
        thread.call(lambda: (_ for _ in ()).throw(TimeoutError("of its own")))
    assert thread.call(lambda: 1) == 1


def test_a_call_from_within(thread):
    assert thread.call(lambda: thread.call(lambda: 2)) == 2


def test_time_that_is_up(thread):
    going_on = threading.Event()
    with pytest.raises(SessionError, match="busy"):
        thread.call(lambda: going_on.wait(5), timeout=0.01)
    called = []
    with pytest.raises(SessionError, match="busy"):
        thread.call(lambda: called.append(1), timeout=0.01)
    going_on.set()
    assert thread.call(lambda: 3) == 3
    assert not called  # it was given up


def test_after_the_end(thread):
    thread.close()
    thread.close()
    with pytest.raises(SessionError, match="closed"):
        thread.call(lambda: 1)


def test_a_loop_that_broke(thread, caplog):
    thread.loop.call(lambda: 1 // 0)
    thread._thread.join(5)
    with pytest.raises(SessionError, match="closed"):
        thread.call(lambda: 1)
    assert "ZeroDivisionError" in caplog.text


def test_waiting_for_a_result():
    future = Future()
    with pytest.raises(SessionError, match=r"no answer \(0.01 s\)"):
        result_of(future, 0.01, "no answer")
    assert future.cancelled()
