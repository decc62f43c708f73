"""`mobsec status`: the tables, the JSON, and what is said where nothing runs."""

import io
import json
import socket
import threading

import click
import pytest
from live_pair import PairFiles
from rich.console import Console

from scapy_mobsec.drivers.live.control import Control
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.ui.status import print_status, run_status

LINK = {
    "home_address": "10.10.1.1",
    "state": "bound",
    "attempt": 7,
    "path": "udp 203.0.113.2:4500 > 192.0.2.1:31337",
    "rtt": 0.0123,
    "moved": 1000.0,
    "moved_from": "udp 203.0.113.2:4500 > 198.51.100.2:4500",
    "expires": 1000.0 + 7260,
    "translations": ["source address and port 10.0.0.2:4500 -> 192.0.2.1:31337"],
    "failure": None,
    "waiting": 3,
    "paths": [
        {
            "path": "udp 203.0.113.2:4500 > 192.0.2.1:31337",
            "current": True,
            "validated": False,
            "received": {"packets": 5, "octets": 500},
            "sent": {"packets": 6, "octets": 600},
        }
    ],
    "sas": [{"spi": "0x00001001", "protocol": "esp", "direction": "in", "sequence": 17}],
}
STATUS = {
    "role": "gateway",
    "pid": 42,
    "started": 1000.0,
    "now": 1061.0,
    "drops": {"REPLAYED": 2, "NAME_OF_ANOTHER_VERSION": 1},
    "faults": {"udp send ENETUNREACH": 9},
    "events_lost": 0,
    "links": [LINK],
    "links_left_out": 0,
}
BARE = {
    **LINK,
    **dict.fromkeys(("path", "rtt", "moved", "moved_from", "expires", "translations", "attempt")),
    "state": "unbound",
    "paths": [],
}


def text_of(status):
    output = io.StringIO()
    print_status(status, Console(file=output))
    return output.getvalue()


def test_the_tables_have_it_all():
    text = text_of(STATUS)
    for each in (
        "gateway: process 42, runs for 1 min 1 s",
        "10.10.1.1",
        "bound #7",
        "12.300 ms",
        "1 min 1 s ago",
        "in 1 h 59 min",
        "192.0.2.1:31337",
        "current",
        "5 packets",
        "600 octets",
        "0x00001001",
        "sequence number already seen",
        "NAME_OF_ANOTHER_VERSION",
        "udp send ENETUNREACH",
    ):
        assert each in text
    assert "validated" not in text
    assert "not told" not in text


def test_a_link_that_was_never_registered():
    text = text_of({**STATUS, "links": [BARE], "drops": {}, "faults": {}})
    assert "unbound" in text
    assert "None" not in text
    for title in ("Paths", "Dropped", "Refused"):
        assert title not in text


def test_a_failure_and_the_mtu_of_a_mobile_terminal():
    link = {**BARE, "attempt": 3, "failure": "no reply"}
    text = text_of({**STATUS, "role": "mobile", "inner_mtu": 1380, "links": [link]})
    assert "inner MTU 1380" in text
    assert "no reply" in text


def test_links_left_out_are_told():
    assert "12 links more" in text_of({**STATUS, "links_left_out": 12})


@pytest.fixture
def running(tmp_path):
    """The control socket of something that runs in another thread."""
    loop = Loop()
    control = Control(tmp_path / "gateway.control", loop, lambda request: STATUS)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield tmp_path / "gateway.control"
    loop.call(loop.stop)
    thread.join()
    control.close()
    loop.close()


@pytest.mark.parametrize("by_configuration", [False, True])
def test_json_is_what_it_told(running, tmp_path, capsys, by_configuration):
    target = PairFiles(tmp_path).gateway if by_configuration else running
    assert run_status(target, Console(), as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == STATUS


def test_text(running):
    output = io.StringIO()
    assert run_status(running, Console(file=output), as_json=False) == 0
    assert "process 42" in output.getvalue()


def test_nothing_runs(tmp_path, capsys):
    files = PairFiles(tmp_path)
    for file in (files.gateway, files.mobile):
        assert run_status(file, Console(), as_json=False) == 1
        assert "nothing runs there" in capsys.readouterr().err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "x"))
    assert run_status(tmp_path / "x", Console(), as_json=False) == 1


def test_no_configuration(tmp_path):
    with pytest.raises(click.ClickException, match="No such file"):
        run_status(tmp_path / "none.toml", Console(), as_json=False)
    (tmp_path / "bad.toml").write_text("x =")
    with pytest.raises(click.ClickException, match="not TOML"):
        run_status(tmp_path / "bad.toml", Console(), as_json=False)
