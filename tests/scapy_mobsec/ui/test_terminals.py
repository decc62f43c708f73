"""`mobsec gateway` and `mobsec mobile` as processes of their own, without rights, on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import click
import pytest
from live_pair import PairFiles, Process, loopback_address

from scapy_mobsec.drivers.live.control import ControlError, ask
from scapy_mobsec.ui import terminals
from scapy_mobsec.ui.terminals import run_gateway, run_mobile, run_move


@pytest.fixture
def files(tmp_path):
    return PairFiles(tmp_path)


@pytest.fixture
def start(tmp_path):
    """Start `mobsec` with arguments, `--no-tun` among them; it is ended after the test."""
    processes = []

    def start(*arguments):
        processes.append(Process(tmp_path, *arguments, "--no-tun"))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def mobsec(*arguments):
    command = [sys.executable, "-m", "scapy_mobsec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_day_of_both(files, start):
    """Start, registration, status, a move asked for, and a clean end, with the log of it all."""
    gateway = start("gateway", files.gateway)
    gateway.wait_for("state=running")
    mobile = start("mobile", files.mobile)
    mobile.wait_for("event=registered")
    there = loopback_address()
    moved = mobsec("mobile", files.mobile, "--move", there)
    assert (moved.returncode, moved.stderr) == (0, "")
    assert moved.stdout == f"attempt 2: udp {there}:4500 > {files.at}:4500\n"
    mobile.wait_for("attempt=2 path=")
    told = mobsec("status", files.gateway, "-T", "json")
    assert told.returncode == 0
    (link,) = json.loads(told.stdout)["links"]
    assert link["path"] == f"udp {files.at}:4500 > {there}:4500"
    assert mobile.end() == 0
    assert mobile.lines("deregistered")[0]["confirmed"] == "yes"
    gateway.wait_for("event=binding_ended")
    assert gateway.end(signal.SIGINT) == 0
    assert [line["state"] for line in gateway.lines() if "state" in line] == [
        "running",
        "stopping",
        "stopped",
    ]
    moves = gateway.lines("binding_moved")
    assert moves[1]["new"] == link["path"]
    assert moves[1]["translations"] == "none"
    assert not (files.folder / "gateway.control").exists()


def when(control, condition, act):
    """Act, in another thread, once the status of what runs here is so."""

    def run():
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                if condition(ask(control, {"do": "status"})):
                    break
            except ControlError:
                time.sleep(0.005)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def stop(control):
    return lambda: ask(control, {"do": "stop"})


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_gateway_that_is_asked_to_stop(files, capfd):
    before = signal.getsignal(signal.SIGTERM)
    control = files.folder / "gateway.control"
    thread = when(control, bool, stop(control))
    assert run_gateway(files.gateway, use_tun=False, verbose=True) == 0
    thread.join()
    log = capfd.readouterr().err
    assert log.startswith("time=20")
    assert "level=info state=running" in log
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_mobile_terminal_via_what_the_command_says(files, capfd, monkeypatch):
    monkeypatch.setattr(terminals, "GOODBYE", 0.05)  # nobody answers
    control = files.folder / "mobile.control"
    thread = when(control, bool, stop(control))
    assert run_mobile(files.mobile, ["tcp:7", "udp:9"], use_tun=False, verbose=False) == 0
    thread.join()
    moved = capfd.readouterr().err.splitlines()[0]
    assert f"{files.at}:9" in moved
    assert "level=debug" not in moved


def test_the_second_signal_does_not_wait_for_the_goodbye(files, capfd, monkeypatch):
    monkeypatch.setattr(terminals, "GOODBYE", 60.0)  # nobody answers
    control = files.folder / "mobile.control"

    def leaves(status):
        return status["links"][0]["state"] == "deregistering"

    first = when(control, bool, terminate)
    second = when(control, leaves, terminate)
    start = time.monotonic()
    assert run_mobile(files.mobile, [], use_tun=False, verbose=False) == 0
    assert time.monotonic() - start < 30
    first.join()
    second.join()


@pytest.mark.parametrize("run", [run_gateway, lambda *a, **k: run_mobile(a[0], [], **k)])
def test_bad_input_is_a_line_with_file_key_and_reason(files, run):
    file = files.folder / "bad.toml"
    file.write_text('state = 7\nlisten = ["udp:127.0.0.1:4500"]\n')
    with pytest.raises(click.ClickException, match=r"bad\.toml: "):
        run(file, use_tun=False, verbose=False)


@pytest.mark.parametrize("via", [["pigeon"], ["udp", "udp:7"]])
def test_a_carrier_that_is_none(files, via):
    with pytest.raises(click.ClickException, match=r"none of|twice"):
        run_mobile(files.mobile, via, use_tun=False, verbose=False)
    with pytest.raises(click.ClickException, match=r"none of|twice"):
        run_move(files.mobile, ["127.0.0.1"], via)


def test_a_wrong_key_is_bad_input_too(files):
    (files.folder / "gateway.keys.toml").chmod(0o644)
    with pytest.raises(click.ClickException, match="others may read it"):
        run_gateway(files.gateway, use_tun=False, verbose=False)


def test_a_port_in_use_is_a_failure(files, capfd):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((files.at, 4500))
        assert run_gateway(files.gateway, use_tun=False, verbose=False) == 1
    assert capfd.readouterr().err == (f"mobsec: udp {files.at}:4500: Address already in use\n")


def test_no_state_is_a_failure(files, capfd):
    (files.folder / "mobile.state").unlink()
    assert run_mobile(files.mobile, [], use_tun=False, verbose=False) == 1
    assert "no state file" in capfd.readouterr().err


def test_no_tun_is_a_failure_with_a_hint(files, capfd, monkeypatch):
    def refuse(*_, **__):
        raise terminals.TunError("no /dev/net/tun: the kernel has no TUN here")

    monkeypatch.setattr("scapy_mobsec.drivers.live.opening.TunDevice", refuse)
    assert run_gateway(files.gateway, use_tun=True, verbose=False) == 1
    assert capfd.readouterr().err == (
        "mobsec: no /dev/net/tun: the kernel has no TUN here; --no-tun does without\n"
    )


def test_to_move_what_does_not_run_is_a_failure(files, capfd):
    assert run_move(files.mobile, ["127.0.0.1"], []) == 1
    assert "nothing runs there" in capfd.readouterr().err


def test_it_starts_without_scapy():
    code = (
        "import sys, scapy_mobsec.ui.terminals;"
        "print([name for name in sys.modules if name.partition('.')[0] in ('scapy', 'numpy')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == "[]\n"
