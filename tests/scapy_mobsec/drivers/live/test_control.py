"""The control socket: who may ask, what is answered, and that nobody holds the loop up."""

import errno
import json
import socket
import stat
import threading

import pytest
from faulty_sockets import FaultySocket

from scapy_mobsec.drivers.live import control as live
from scapy_mobsec.drivers.live.control import MAX_CLIENTS, MAX_LINE, Control, ControlError, ask
from scapy_mobsec.drivers.live.faults import CannotOpen


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x.control"


@pytest.fixture
def control(file, loop):
    def answer(request):
        if request.get("do") == "fail":
            raise ControlError("not now")
        return {"asked": request}

    control = Control(file, loop, answer)
    yield control
    control.close()


def asked(loop, file, request, seconds=5.0):
    """Ask from another thread, while the loop goes on; return the answer or what was raised."""
    answers = []

    def run():
        try:
            answers.append(ask(file, request, seconds))
        except ControlError as error:
            answers.append(str(error))
        loop.call(lambda: None)

    thread = threading.Thread(target=run)
    thread.start()
    assert loop.run(lambda: bool(answers), seconds=5)
    thread.join()
    return answers[0]


def said(loop, file, octets):
    """Say some octets; return what comes back until it is closed."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(file))
        client.sendall(octets)
        client.setblocking(False)
        came = []

        def closed():
            try:
                while data := client.recv(1 << 16):
                    came.append(data)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                pass
            return True

        loop.watch(client, lambda: None)
        assert loop.run(closed, seconds=5)
        loop.unwatch(client)
        return b"".join(came)


def test_request_and_answer(loop, file, control):
    assert asked(loop, file, {"do": "status"}) == {"asked": {"do": "status"}}
    assert asked(loop, file, {"do": "fail"}) == "not now"


def test_only_its_owner_may_ask(file, control):
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nobody_there(file, loop):
    with pytest.raises(ControlError, match="nothing runs there"):
        ask(file, {})
    Control(file, loop, dict).close()
    assert not file.exists()


def test_a_dead_socket_is_replaced_and_nobody_answers_there(file, loop):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(file))
    with pytest.raises(ControlError, match="nothing runs there"):
        ask(file, {})
    control = Control(file, loop, lambda request: {"new": True})
    assert asked(loop, file, {}) == {"new": True}
    control.close()


def test_a_living_one_is_refused_and_goes_on(file, loop, control):
    with pytest.raises(CannotOpen, match="in use by another process"):
        Control(file, loop, dict)
    assert asked(loop, file, {"still": "there"}) == {"asked": {"still": "there"}}


def test_another_file_is_not_replaced(file, loop):
    file.write_text("mine")
    with pytest.raises(CannotOpen, match="no socket"):
        Control(file, loop, dict)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("place", ["none/x.control", "x" * 200])
def test_a_place_where_there_can_be_none(tmp_path, loop, place):
    with pytest.raises(CannotOpen, match="control socket"):
        Control(tmp_path / place, loop, dict)


@pytest.mark.parametrize(
    "octets",
    [b"\n", b"status\n", b"[]\n", b"\xff\n", b"[" * 4000 + b"\n", b'{"a":1e999999}x\n'],
)
def test_what_is_no_request(loop, file, control, octets):
    assert json.loads(said(loop, file, octets)) == {"error": "not a JSON object"}


def test_a_request_without_end(loop, file, control):
    answer = json.loads(said(loop, file, b"x" * (MAX_LINE + 1)))
    assert answer == {"error": f"more than {MAX_LINE} octets"}


def test_a_request_in_pieces(loop, file, control):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(file))
        for octet in b'{"do": "x"}\n':
            client.send(bytes((octet,)))
            loop.run(seconds=0.001)
        client.settimeout(5)
        assert json.loads(client.recv(1000)) == {"asked": {"do": "x"}}


def test_many_clients_that_say_nothing(loop, file, control, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 0.05)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CLIENTS)]
    for client in silent:
        client.connect(str(file))
    loop.run(seconds=0.02)
    assert len(control._clients) == MAX_CLIENTS
    late = socket.socket(socket.AF_UNIX)
    late.connect(str(file))
    late.send(b"{}\n")
    loop.run(seconds=0.01)
    assert len(control._clients) == MAX_CLIENTS
    assert asked(loop, file, {}) == {"asked": {}}  # when those before are closed
    for client in [*silent, late]:
        client.close()


def test_a_client_that_does_not_read(loop, file, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 0.1)
    control = Control(file, loop, lambda request: {"much": "x" * (1 << 22)})
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(file))
        client.send(b"{}\n")
        loop.run(lambda: bool(control._clients), seconds=5)
        assert loop.run(lambda: not control._clients, seconds=5)
    monkeypatch.undo()
    assert len(asked(loop, file, {})["much"]) == 1 << 22  # one that does has it all
    control.close()


def test_no_descriptors_left_is_no_busy_loop(loop, file, control, caplog):
    control._socket = faulty = FaultySocket(control._socket)
    faulty.fail("accept", errno.EMFILE)
    control._watch()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(file))
        loop.run(seconds=0.05)
        assert faulty.calls["accept"] == 1
        assert "EMFILE" in caplog.text
        faulty.mend("accept")
        control._watch_again()
        assert asked(loop, file, {}) == {"asked": {}}


def test_who_does_not_answer(file):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(file))
        deaf.listen()
        with pytest.raises(ControlError, match="no answer within"):
            ask(file, {}, seconds=0.02)


@pytest.mark.parametrize("answer", [b"", b"[]\n", b"nonsense\n"])
def test_what_is_no_answer(file, answer):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(file))
        other.listen()

        def serve():
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ControlError, match="the answer is not"):
            ask(file, {})
        thread.join()
