"""The control socket of a running terminal: a request and its answer, each a JSON object on a line.

A Unix socket that only its owner may use (mode 0600), one request on each connection. A file that
a dead process left is replaced, that of a living one is not. An answer with "error" says why not.
Clients and lines are limited, and nobody waits for a client that does not read.
"""

import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeAlias

from scapy_mobsec.drivers.live.faults import CannotOpen, Faults
from scapy_mobsec.drivers.live.loop import Loop, Timer

MAX_CLIENTS = 16
"""At once; more wait in the kernel."""

MAX_LINE = 4096
"""Octets of a request."""

MAX_ANSWER = 1 << 24
PATIENCE = 5.0
"""Seconds that a connection may last."""

_OWNER_ALONE = 0o600
_BLOCK = 1 << 16

Message: TypeAlias = Mapping[str, Any]


class ControlError(Exception):
    """A request that cannot be answered, or nobody who answers: one line that says why."""


class Control:
    """Answers requests on the loop. Closing it takes the file away."""

    def __init__(self, file: FilePath, loop: Loop, answer: Callable[[Message], Message]) -> None:
        """`answer` may raise ControlError. Raises CannotOpen."""
        self.file = file
        self._loop, self._answer = loop, answer
        self._faults = Faults(lambda: loop.now)
        self._clients: set[_Client] = set()
        try:
            _make_room(file)
            self._socket = _listen(file)
        except OSError as error:
            raise CannotOpen(f"control socket {file}", error) from error
        self._watch()

    def give_to(self, user: int, group: int) -> None:
        """Let another user own it. Raises OSError."""
        os.chown(self.file, user, group)

    def close(self) -> None:
        """Answer nobody any more."""
        for client in list(self._clients):
            client.close()
        self._loop.unwatch(self._socket)
        self._socket.close()
        try:
            self.file.unlink(missing_ok=True)
        except OSError:  # after rights were given up; the next run takes it for what it is
            return

    def _watch(self) -> None:
        if len(self._clients) < MAX_CLIENTS:
            self._loop.watch(self._socket, self._accept)
        else:
            self._loop.unwatch(self._socket)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        except OSError as error:  # no descriptors left: it is tried again when time has passed
            self._faults.note("control accept", error, self.file)
            self._loop.unwatch(self._socket)
            self._loop.after(1.0, self._watch_again)
            return
        connection.setblocking(False)
        self._clients.add(_Client(connection, self._loop, self._answer, self._forget))
        self._watch()

    def _watch_again(self) -> None:
        if self._socket.fileno() >= 0:
            self._watch()

    def _forget(self, client: "_Client") -> None:
        self._clients.discard(client)
        self._watch()


class _Client:
    """One connection: reads a line, writes a line, and is closed."""

    def __init__(
        self,
        connection: socket.socket,
        loop: Loop,
        answer: Callable[[Message], Message],
        closed: Callable[["_Client"], None],
    ) -> None:
        self._socket, self._loop = connection, loop
        self._answer, self._closed = answer, closed
        self._request, self._output = b"", memoryview(b"")
        self._end: Timer = loop.after(PATIENCE, self.close)
        loop.watch(connection, self._read)

    def close(self) -> None:
        """Close it, whatever was said."""
        if self._socket.fileno() < 0:
            return
        self._end.cancel()
        self._loop.unwatch(self._socket)
        self._socket.close()
        self._closed(self)

    def _read(self) -> None:
        try:
            came = self._socket.recv(MAX_LINE + 1 - len(self._request))
        except BlockingIOError:
            return
        except OSError:
            came = b""
        self._request += came
        line, newline, _ = self._request.partition(b"\n")
        if newline:
            self._say(self._result(line))
        elif len(self._request) > MAX_LINE:
            self._say({"error": f"more than {MAX_LINE} octets"})
        elif not came:
            self.close()

    def _result(self, line: bytes) -> Message:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ControlError("not a JSON object")
            return self._answer(request)
        except (ValueError, RecursionError):
            return {"error": "not a JSON object"}
        except ControlError as error:
            return {"error": str(error)}

    def _say(self, message: Message) -> None:
        self._output = memoryview(json.dumps(message).encode() + b"\n")
        self._loop.watch(self._socket, None, self._write)
        self._write()

    def _write(self) -> None:
        try:
            self._output = self._output[self._socket.send(self._output) :]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._output:
            self.close()


def ask(file: FilePath, request: Message, seconds: float = PATIENCE) -> dict[str, Any]:
    """Ask a running terminal, and wait for the answer. Raises ControlError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(file))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_read_line(connection))
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"{file}: nothing runs there") from None
    except TimeoutError:
        raise ControlError(f"{file}: no answer within {seconds:g} s") from None
    except OSError as error:
        raise ControlError(f"{file}: {error.strerror or error}") from None
    except ValueError:
        raise ControlError(f"{file}: the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise ControlError(f"{file}: the answer is not a JSON object")
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer


def _read_line(connection: socket.socket) -> bytes:
    line = bytearray()
    while len(line) < MAX_ANSWER and (came := connection.recv(_BLOCK)):
        line += came
    return bytes(line)


def _make_room(file: FilePath) -> None:
    """Take a socket away that nobody listens on. Raises OSError."""
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "in the way is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(file))
        except ConnectionRefusedError:
            file.unlink()
            return
        except TimeoutError:  # as many as it has room for wait there
            pass
    raise OSError(errno.EADDRINUSE, "in use by another process")


def _listen(file: FilePath) -> socket.socket:
    """Return a socket that only its owner may connect to, from its first moment."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), _OWNER_ALONE)  # so `bind` makes the file with this mode
        listener.setblocking(False)
        listener.bind(str(file))
        listener.listen(MAX_CLIENTS)
    except OSError:
        listener.close()
        raise
    return listener
