"""A loop in a thread of its own, for who calls it from another one."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread, current_thread
from typing import TypeVar

from scapy_mobsec.drivers.live.loop import Loop

T = TypeVar("T")

LONGEST_CALL = 10.0
"""Seconds; a call waits for the disk at most."""

log = logging.getLogger("mobsec")


class SessionError(Exception):
    """What was asked of a session cannot be done, or had no answer in time; one line."""


class LoopThread:
    """A loop that runs until it is closed."""

    def __init__(self, name: str) -> None:
        self.loop = Loop()
        self._closed = False
        self._lock = Lock()  # the descriptors of a loop that is closed may be others by now
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T], timeout: float = LONGEST_CALL) -> T:
        """Call a function in the thread, and return or raise what it does. Raises SessionError."""
        if current_thread() is self._thread:
            return function()
        future: Future[T] = Future()
        self._soon(lambda: _settle(future, function))
        return result_of(future, timeout, "the session is busy")

    def close(self) -> None:
        """End the thread; once is enough, and never from within."""
        with suppress(SessionError):  # it ended by itself
            self._soon(self.loop.stop)
        self._thread.join()
        with self._lock:
            if not self._closed:
                self._closed = True
                self.loop.close()

    def _soon(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if self._closed or not self._thread.is_alive():
                raise SessionError("the session is closed")
            self.loop.call(callback)

    def _run(self) -> None:
        try:
            self.loop.run()
        except Exception:
            log.exception("state=stopped")


def result_of(future: "Future[T]", timeout: float, otherwise: str) -> T:
    """Wait for a result. Raises SessionError, saying `otherwise`, when time is up."""
    try:
        return future.result(timeout)
    except TimeoutError:
        if future.done():
            raise
        future.cancel()
        raise SessionError(f"{otherwise} ({timeout:g} s)") from None


def _settle(future: "Future[T]", function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
