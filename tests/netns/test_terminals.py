"""`mobsec gateway` and `mobsec mobile` as root, with TUN devices; rights are given up.

x  198.51.100.2 ---- 198.51.100.1  y
mobsec0 10.10.1.1 ==== mobsec0 10.10.0.1
"""

import json
import pwd
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from live_pair import MOBSEC, PairFiles, Process

from scapy_mobsec.drivers.lab.namespaces import Lab

pytestmark = pytest.mark.netns

NOBODY = pwd.getpwnam("nobody")
ASK = "import socket; socket.create_connection(('10.10.0.1', 9), 5)"


@pytest.fixture
def lab():
    with Lab() as lab:
        for name in "xy":
            lab.namespace(name)
        lab.cable("x", "m0", "y", "m0")
        lab.ip("x", "addr add 198.51.100.2/24 dev m0", "addr add 198.51.100.3/24 dev m0")
        lab.ip("y", "addr add 198.51.100.1/24 dev m0")
        yield lab


@pytest.fixture
def files():
    """Files that nobody can use, too."""
    folder = Path(tempfile.mkdtemp())
    files = PairFiles(folder, at="198.51.100.1")
    files.write_gateway('user = "nobody"')
    files.write_mobile('user = "nobody"', local="198.51.100.2")
    for each in (folder, *folder.glob("*.state")):
        shutil.chown(each, NOBODY.pw_uid, NOBODY.pw_gid)
    yield files
    shutil.rmtree(folder)


@pytest.fixture
def start(lab, files):
    processes = []

    def start(name, *arguments):
        command = lab.command(name, *MOBSEC)
        processes.append(Process(files.folder, *arguments, command=command))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def asks_through_the_tunnel(lab):
    """A connection that is refused by the other end went there and back."""
    return "ConnectionRefusedError" in lab.run(
        "x", "sh", "-c", f'{sys.executable} -c "{ASK}" 2>&1; true'
    )


def test_both_with_devices_and_without_rights(lab, files, start):
    gateway = start("y", "gateway", files.gateway)
    gateway.wait_for("state=running")
    mobile = start("x", "mobile", files.mobile)
    mobile.wait_for("event=registered")
    assert asks_through_the_tunnel(lab)
    for process in (gateway, mobile):
        status = Path(f"/proc/{process.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("Uid:")]
        assert set(line.split()[1:]) == {str(NOBODY.pw_uid)}
        assert "CapEff:\t0000000000000000" in status
    moved = lab.run("x", *MOBSEC, "mobile", str(files.mobile), "--move", "198.51.100.3")
    assert "udp 198.51.100.3:4500 > 198.51.100.1:4500" in moved
    assert asks_through_the_tunnel(lab)
    told = json.loads(lab.run("y", *MOBSEC, "status", str(files.gateway), "-T", "json"))
    assert told["links"][0]["path"].endswith("> 198.51.100.3:4500")
    assert told["links"][0]["paths"][0]["received"]["packets"] > 0
    assert mobile.end() == 0
    assert gateway.end(signal.SIGINT) == 0
    assert gateway.lines("binding_ended")
    assert "mobsec0" not in lab.run("x", "ip", "-br", "link")


def test_the_network_changes_under_the_mobile_terminal(lab, files, start):
    files.write_mobile('user = "nobody"', local="auto")
    start("y", "gateway", files.gateway).wait_for("state=running")
    mobile = start("x", "mobile", files.mobile)
    mobile.wait_for("event=registered")
    lab.ip("x", "addr flush dev m0", "addr add 198.51.100.4/24 dev m0")
    mobile.wait_for('path="udp 198.51.100.4:4500')
    assert asks_through_the_tunnel(lab)
    told = json.loads(lab.run("y", *MOBSEC, "status", str(files.gateway), "-T", "json"))
    assert told["links"][0]["path"].endswith("> 198.51.100.4:4500")


def test_a_state_file_that_the_user_may_not_use(files, start):
    shutil.chown(files.folder / "gateway.state", 0, 0)
    gateway = start("y", "gateway", files.gateway)
    assert gateway.process.wait(10) == 1
    assert "gateway.state" in gateway.log


def test_native_esp_by_a_process_without_rights(lab, files, start):
    files.write_gateway('user = "nobody"', listen='"native"')
    files.write_mobile('user = "nobody"\nallow = "native"', local="198.51.100.2")
    start("y", "gateway", files.gateway).wait_for("state=running")
    mobile = start("x", "mobile", files.mobile)
    mobile.wait_for("event=registered")
    assert mobile.lines("registered")[0]["path"] == "native 198.51.100.2 > 198.51.100.1"
    assert asks_through_the_tunnel(lab)


def test_a_device_of_the_same_name(lab, files, start):
    lab.cable("y", "mobsec0", "x", "other")
    gateway = start("y", "gateway", files.gateway)
    assert gateway.process.wait(10) == 1
    assert gateway.log == "mobsec: mobsec0: there is a device of this name; --no-tun does without\n"
    with socket.socket(socket.AF_UNIX) as asking, pytest.raises(FileNotFoundError):
        asking.connect(str(files.folder / "gateway.control"))
