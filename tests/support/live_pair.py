"""A gateway and a mobile terminal on loopback: their files, both on one loop or as processes."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

from scapy_mobsec.drivers.live.control import ControlError, ask
from scapy_mobsec.drivers.live.opening import RunningGateway, RunningMobile
from scapy_mobsec.drivers.live.settings import load_gateway, load_mobile
from scapy_mobsec.drivers.simulation import HOME, SIGNALLING
from scapy_mobsec.drivers.store import Store
from scapy_mobsec.packet.icmp import echo_reply, echo_request
from scapy_mobsec.terminal.events import Registered

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


def ping_packet():
    """Another ping of the gateway, inside."""
    return echo_request(HOME, SIGNALLING, next(_NUMBERS) % 65_536)


class Collected:
    """What comes to the inner end of X."""

    def __init__(self):
        self.packets = []

    def write(self, packet):
        self.packets.append(packet)

    def close(self):
        pass


class LivePair:
    """Both ends on one loop."""

    def __init__(self, folder, loop):
        self.files, self.loop, self.events = PairFiles(folder), loop, []
        self.gateway = self.mobile = None

    def tell(self, now, event):
        self.events.append(event)

    def open_gateway(self):
        settings = load_gateway(self.files.gateway)
        self.gateway = RunningGateway(settings, self.loop, self.tell, use_tun=False)

    def open_mobile(self):
        settings = load_mobile(self.files.mobile)
        self.mobile = RunningMobile(settings, self.loop, self.tell, use_tun=False)
        self.mobile.host.inner = self.inner = Collected()

    def open(self):
        self.open_gateway()
        self.open_mobile()
        self.wait_for(lambda: self.told(Registered))

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, condition):
        assert self.loop.run(condition, seconds=5), self.events

    def ping(self):
        """A ping through the tunnel, and its answer by the gateway."""
        ping = ping_packet()
        self.mobile.host.send(ping)
        self.wait_for(lambda: echo_reply(ping) in self.inner.packets)

    def asked(self, running, request):
        """Ask by the control socket, from another thread."""
        answers = []

        def run():
            try:
                answers.append(ask(running.settings.control_file, request))
            except ControlError as error:
                answers.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        self.wait_for(lambda: (thread.join(0.001), answers)[1])
        thread.join()
        return answers[0]

    def close(self):
        for each in (self.mobile, self.gateway):
            if each:
                each.close()
