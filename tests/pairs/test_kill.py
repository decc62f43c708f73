"""`kill -9` at any moment, under traffic: both ends go on with the same keys (rule 14).

Two processes on loopback, a relay between them that keeps all that passes. MOBSEC_KILLS=N kills
more often than the suite does.
"""

import os
import socket
import threading
import time
from random import Random

import pytest
from live_pair import PINGING_MOBILE, TO_GATEWAY, PairFiles, Process, loopback_address

from scapy_mobsec.drivers.live.control import ask
from scapy_mobsec.drivers.live.loop import Loop

KILLS = int(os.environ.get("MOBSEC_KILLS", "4"))
AGAIN_WITHIN = 15.0
QUICK = "keepalive = 0.3\nlifetime = 600"
"""So that X soon finds out that Y refuses its numbers."""


class Relay:
    """A thread between X and Y. `passed`: datagrams in their order, as (towards Y, octets)."""

    def __init__(self, gateway):
        self.at = loopback_address()
        self.passed, self.strange = [], []
        self._loop, self._gateway, self._mobile = Loop(), gateway, None
        self._inside, self._outside, self._stranger = map(
            self._bound, (self.at, loopback_address(), loopback_address())
        )
        self._loop.watch(self._inside, self._out)
        self._loop.watch(self._outside, self._in)
        self._loop.watch(self._stranger, lambda: self.strange.append(self._stranger.recv(65_535)))
        self._thread = threading.Thread(target=self._loop.run)
        self._thread.start()

    def replay(self, datagrams):
        """Send datagrams to Y from a third place."""
        for data in datagrams:
            self._stranger.sendto(data, self._gateway)

    def close(self):
        self._loop.call(self._loop.stop)
        self._thread.join()
        for each in (self._inside, self._outside, self._stranger):
            each.close()
        self._loop.close()

    def _bound(self, address):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((address, 4500))
        return opened

    def _out(self):
        data, self._mobile = self._inside.recvfrom(65_535)
        self.passed.append((True, data))
        self._outside.sendto(data, self._gateway)

    def _in(self):
        try:
            data = self._outside.recv(65_535)
        except ConnectionRefusedError:  # nobody is there for a moment
            return
        self.passed.append((False, data))
        self._inside.sendto(data, self._mobile)


class Run:
    """Both processes, which can be killed and started again."""

    def __init__(self, folder):
        gateway = loopback_address()
        self.relay = Relay((gateway, 4500))
        self.files = PairFiles(folder, at=gateway, dialed=f"{self.relay.at}:4500")
        self.files.write_mobile(QUICK)
        self.ends = {}
        self.start("gateway")
        self.start("mobile")

    def start(self, end):
        files = self.files
        if end == "gateway":
            self.ends[end] = Process(files.folder, "gateway", files.gateway, "--no-tun", "-v")
            self.ends[end].wait_for("state=running")
        else:
            self.ends[end] = Process(files.folder, files.mobile, command=PINGING_MOBILE)

    @property
    def replies(self):
        return self.ends["mobile"].log.count("replies=")

    def wait_for_replies(self, more=20):
        """Wait until pings have come back since now."""
        before, end = self.replies, time.monotonic() + AGAIN_WITHIN
        while self.replies < before + more:
            assert time.monotonic() < end, self.told()
            time.sleep(0.01)

    def drops(self):
        return ask(self.files.folder / "gateway.control", {"do": "status"})["drops"]

    def told(self):
        return "\n\n".join(
            "\n".join(line for line in each.log.splitlines() if "replies=" not in line)
            for each in self.ends.values()
        )

    def close(self):
        for each in self.ends.values():
            each.kill()
        self.relay.close()


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    yield run
    run.close()


def test_killed_again_and_again(run):
    """Data goes on each time, after at most one registration, and no number is used twice."""
    random = Random(KILLS)
    run.wait_for_replies()
    moves_before = len(run.ends["gateway"].lines("binding_moved"))
    for number in range(KILLS):
        killed = (("gateway",), ("mobile",), ("mobile", "gateway"))[number % 3]
        time.sleep(random.random() * 0.2)
        for end in killed:
            run.ends[end].kill()
        for end in reversed(killed):
            run.start(end)
        run.wait_for_replies()
        moves = run.ends["gateway"].lines("binding_moved")
        before = 0 if "gateway" in killed else moves_before
        assert len(moves) - before <= 1, run.told()
        moves_before = len(moves)
    numbers = [data[:8] for _, data in run.relay.passed if data != b"\xff"]
    assert len(set(numbers)) == len(numbers), "a sequence number was used twice"
    assert len(numbers) > 40 * KILLS


def test_what_was_sent_before_a_restart_is_not_accepted_after_it(run):
    run.wait_for_replies()
    run.ends["mobile"].kill()
    run.ends["gateway"].kill()
    run.start("gateway")
    old = [data for to_gateway, data in run.relay.passed if to_gateway and len(data) > 1]
    assert all(int.from_bytes(data[:4]) == TO_GATEWAY for data in old)
    run.relay.replay(old[:200])
    end = time.monotonic() + AGAIN_WITHIN
    while sum(run.drops().values()) < len(old[:200]):
        assert time.monotonic() < end, run.drops()
    assert run.drops() == {"TOO_OLD": len(old[:200])}
    assert run.relay.strange == []
