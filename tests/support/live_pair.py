"""A gateway and a mobile terminal on loopback: their files, and both as processes of their own."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

from scapy_mobsec.drivers.store import Store

SA = '[[esp]]\nspi = "0x{:08x}"\nsuite = "aes-gcm-16"\nencryption_key = "{}"\n'
LINK = """
home = "10.10.1.1"
signalling = "10.10.0.1"
keys = "{}"
inbound = "0x{:08x}"
outbound = "0x{:08x}"
"""
TO_GATEWAY, TO_MOBILE = 0x1001, 0x1002
PAIR = re.compile(r'([a-z_0-9]+)=("(?:[^"\\]|\\.)*"|\S*)(?: |$)')
_NUMBERS = count(1)


def loopback_address():
    """An address of this machine that no other test has: every test has port 4500 for itself."""
    number = os.getpid() % 16384 * 256 + next(_NUMBERS) % 254 + 1
    return f"127.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def pairs_of(line):
    """Read a line of key=value pairs."""
    return {
        key: json.loads(value) if value.startswith('"') else value
        for key, value in PAIR.findall(line)
    }


class PairFiles:
    """The files of a pair in a folder; `gateway` and `mobile` can be written anew with more lines.

    `dialed`: where the mobile terminal sends to, the gateway itself if "".
    """

    def __init__(self, folder, *, at="", dialed=""):
        self.folder, self.at = folder, at or loopback_address()
        self.dialed = dialed or f"{self.at}:4500"
        self.local = loopback_address()
        self.gateway, self.mobile = folder / "gateway.toml", folder / "mobile.toml"
        self.write_keys("gateway.keys.toml", (TO_GATEWAY, TO_MOBILE))
        (folder / "mobile.keys.toml").write_bytes((folder / "gateway.keys.toml").read_bytes())
        (folder / "mobile.keys.toml").chmod(0o600)
        self.write_gateway()
        self.write_mobile()
        for end in ("gateway", "mobile"):
            Store(folder / f"{end}.state", create=True).close()

    def write_keys(self, name, spis):
        file = self.folder / name
        file.write_text("".join(SA.format(spi, secrets.token_hex(20)) for spi in spis))
        file.chmod(0o600)

    def write_gateway(self, lines="", listen=None):
        listen = listen or f'"udp:{self.at}:4500"'
        link = LINK.format("gateway.keys.toml", TO_GATEWAY, TO_MOBILE)
        self.gateway.write_text(
            f'listen = [{listen}]\nstate = "gateway.state"\n{lines}\n[[link]]{link}'
        )

    def write_mobile(self, lines="", local=None):
        link = LINK.format("mobile.keys.toml", TO_MOBILE, TO_GATEWAY)
        self.mobile.write_text(
            f'gateway = "{self.dialed}"\nstate = "mobile.state"\nlocal = "{local or self.local}"\n'
            f"{lines}\n[link]{link}"
        )


MOBSEC = (sys.executable, "-m", "scapy_mobsec")
PINGING_MOBILE = (sys.executable, str(Path(__file__).with_name("pinging_mobile.py")))


class Process:
    """`mobsec`, or another command, with arguments; its log is read from a file."""

    def __init__(self, folder, *arguments, command=MOBSEC):
        self.log_file = folder / f"process-{next(_NUMBERS)}.log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self):
        return self.log_file.read_text()

    def lines(self, event=None):
        """The lines of the log, as pairs; of one kind of event."""
        found = map(pairs_of, self.log.splitlines())
        return [each for each in found if event is None or each.get("event") == event]

    def wait_for(self, text, seconds=15.0):
        """Wait until the log has a text."""
        end = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < end, self.log
            assert self.process.poll() is None or text in self.log, self.log
            time.sleep(0.005)

    def end(self, number=signal.SIGTERM, seconds=10.0):
        """Send a signal; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()
