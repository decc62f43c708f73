"""One thread's descriptors and timers, by epoll.

`now` is the wall clock when the loop was made, and goes on by a clock that is never set and counts
while the machine sleeps: a terminal's timers must not wait as long as a wall clock was set back.
"""

import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol, TypeAlias

Callback: TypeAlias = Callable[[], None]
_Callbacks: TypeAlias = tuple[Callback | None, Callback | None]
_EVENTS = selectors.EVENT_READ, selectors.EVENT_WRITE


class HasDescriptor(Protocol):
    """A socket, a file, a device."""

    def fileno(self) -> int: ...


class Timer:
    """A call that is due at a time, unless it is cancelled."""

    __slots__ = ("callback", "time")

    def __init__(self, due: float, callback: Callback) -> None:
        self.time = due
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Let nothing happen; no harm if it has."""
        self.callback = None


class Loop:
    """Calls back when descriptors are ready and times have come. All but `call` is for one thread.

    A round: descriptors, timers, and then what `soon` was told of; so the packets of a round are
    answered together.
    """

    def __init__(self) -> None:
        self._offset = time.time() - _steady()
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, _Callbacks] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._soon: deque[Callback] = deque()
        self._called: deque[Callback] = deque()
        self._stopped = False
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watched[self._alarm] = callbacks = (self._answer_calls, None)
        self._selector.register(self._alarm, selectors.EVENT_READ, callbacks)

    @property
    def now(self) -> float:
        """Seconds since the Unix epoch, which never go back."""
        return _steady() + self._offset

    def watch(
        self, file: HasDescriptor, readable: Callback | None, writable: Callback | None = None
    ) -> None:
        """Call back when a descriptor can be read from, written to, or has an error; what was
        watched of it before is forgotten. Neither: as `unwatch`.
        """
        if readable is None and writable is None:
            self.unwatch(file)
            return
        callbacks, descriptor = (readable, writable), file.fileno()
        events = sum(event for event, each in zip(_EVENTS, callbacks, strict=True) if each)
        if descriptor in self._watched:
            self._selector.modify(descriptor, events, callbacks)
        else:
            self._selector.register(descriptor, events, callbacks)
        self._watched[descriptor] = callbacks

    def unwatch(self, file: HasDescriptor) -> None:
        """Watch a descriptor no more; it must still be open."""
        if self._watched.pop(file.fileno(), None):
            self._selector.unregister(file)

    def at(self, due: float, callback: Callback) -> Timer:
        """Call back once, at a time of `now`."""
        timer = Timer(due, callback)
        heappush(self._timers, (due, next(self._numbers), timer))
        return timer

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, in so many seconds."""
        return self.at(self.now + seconds, callback)

    def soon(self, callback: Callback) -> None:
        """Call back once, at the end of this round."""
        self._soon.append(callback)

    def call(self, callback: Callback) -> None:
        """Call back in the loop's thread; from any thread, and from signal handlers."""
        self._called.append(callback)
        os.eventfd_write(self._alarm, 1)

    def stop(self) -> None:
        """End `run` after this round."""
        self._stopped = True

    def run(self, until: Callable[[], bool] | None = None, seconds: float | None = None) -> bool:
        """Go round until `stop`, or until a condition holds; False if time is up before that."""
        end = None if seconds is None else self.now + seconds
        self._stopped = False
        while not self._stopped and not (until and until()):
            if end is not None and self.now >= end:
                return False
            self._round(end)
        return True

    def close(self) -> None:
        """Give its descriptors free; those that it watches stay open."""
        self._selector.close()
        os.close(self._alarm)

    def _round(self, end: float | None) -> None:
        for key, ready in self._selector.select(self._patience(end)):
            for event, callback in zip(_EVENTS, key.data, strict=True):
                # A call before may have closed the descriptor, or opened another in its place.
                if callback and ready & event and self._watched.get(key.fd) == key.data:
                    callback()
        self._call_timers()
        for _ in range(len(self._soon)):
            self._soon.popleft()()

    def _patience(self, end: float | None) -> float | None:
        """Return how long nothing has to be done, None for ever."""
        if self._soon:
            return 0
        while self._timers and self._timers[0][2].callback is None:
            heappop(self._timers)
        dues = [self._timers[0][0]] if self._timers else []
        if end is not None:
            dues.append(end)
        return max(0.0, min(dues) - self.now) if dues else None

    def _call_timers(self) -> None:
        now = self.now
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback:
                callback()

    def _answer_calls(self) -> None:
        os.eventfd_read(self._alarm)
        for _ in range(len(self._called)):
            self._called.popleft()()


def _steady() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
