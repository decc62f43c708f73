"""Packets on their way from the thread of a session to whoever reads it, with a descriptor that
`select` can wait for.
"""

import os
from collections import deque
from select import select
from threading import Lock

MAX_PACKETS = 4096
"""Packets that wait for a reader; what comes then is lost, and counted."""


class SessionQueue:
    """`put` and `close` are for one thread, `get` for any."""

    def __init__(self) -> None:
        self.lost = 0
        self._items: deque[tuple[float, bytes]] = deque()
        self._lock = Lock()
        self._closed = False
        self._alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Return a descriptor that is readable while something waits, and once it is closed."""
        return self._alarm

    def put(self, time: float, packet: bytes) -> None:
        """Add a packet, with seconds since the Unix epoch."""
        with self._lock:
            if self._closed or len(self._items) >= MAX_PACKETS:
                self.lost += 1
                return
            self._items.append((time, packet))
            if len(self._items) == 1:
                os.eventfd_write(self._alarm, 1)

    def get(self) -> tuple[float, bytes]:
        """Wait for a packet and take it. Raises EOFError when it is closed, and all is taken."""
        while True:
            with self._lock:
                if self._items:
                    item = self._items.popleft()
                    if not (self._items or self._closed):
                        os.eventfd_read(self._alarm)
                    return item
                if self._closed:
                    raise EOFError("the session is closed")
            select([self._alarm], [], [])

    def close(self) -> None:
        """Take no more. The descriptor stays open for who waits for it, until nobody can."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.eventfd_write(self._alarm, 1)

    def __del__(self) -> None:
        os.close(self._alarm)
