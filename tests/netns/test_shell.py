"""A session at the prompt of Scapy, with an interface of its own to sniff on.

x  10.0.1.2, 10.0.2.2  eth0 ---- eth0  10.0.1.1  y, with mobsec0 10.9.0.1
"""

import shutil
import sys
from pathlib import Path

import pytest
from live_pair import MOBSEC, PairFiles, Process
from scapy_shell import scapy_shell

from scapy_mobsec.drivers.lab.namespaces import Lab

pytestmark = pytest.mark.netns

SAMPLE = Path(__file__).parents[2] / "pcaps" / "handover-nat"
ASK = """
import socket, time
with socket.socket(type=socket.SOCK_DGRAM) as asking:
    while True:
        asking.sendto(b"echo", ("10.10.1.1", 7))
        time.sleep(0.05)
"""


@pytest.fixture
def lab():
    with Lab() as lab:
        for name in "xy":
            lab.namespace(name)
        lab.cable("x", "eth0", "y", "eth0")
        lab.ip("x", "addr add 10.0.1.2/24 dev eth0", "addr add 10.0.2.2/24 dev eth0")
        lab.ip("y", "addr add 10.0.1.1/24 dev eth0", "route add 10.0.2.0/24 dev eth0")
        yield lab


@pytest.fixture
def folder(lab, tmp_path):
    """With a gateway that runs, and asks through the tunnel for UDP echo."""
    files = PairFiles(tmp_path, at="10.0.1.1")
    files.write_gateway(
        listen='"udp:10.0.1.1:4500", "tcp:10.0.1.1:443", "http:10.0.1.1:80", "native"'
    )
    files.write_mobile(local="10.0.1.2")
    for file in (files.gateway, files.mobile):
        file.write_text(file.read_text().replace("10.10.0.1", "10.9.0.1"))
    files.mobile.rename(tmp_path / "lab.toml")
    for ending in ("pcap", "esp_sa"):
        shutil.copy(f"{SAMPLE}.{ending}", tmp_path / f"run.{ending}")
    gateway = Process(tmp_path, "gateway", files.gateway, command=lab.command("y", *MOBSEC))
    gateway.wait_for("state=running")
    asking = Process(tmp_path, "-c", ASK, command=lab.command("y", sys.executable))
    yield tmp_path
    asking.kill()
    gateway.kill()


def test_as_typed(lab, folder):
    with scapy_shell(folder, lab.command("x", sys.executable)) as shell:
        shell.type('sas = load_keys("run.esp_sa")')
        shell.type('pkts = sniff(offline="run.pcap", session=MobsecSession(sas))')
        shell.type("pkts[RREQ][0].show(); translations(pkts)", "-> 192.0.2.1:37880")
        shell.type("ladder(pkts)", " RREQ #3 [udp] ")
        shell.type('s = MobileSession("lab.toml", via="udp:4500")')
        shell.type("q = s.craft_rreq(); q[Sent].headers[1].sport = 31337")
        shell.type("a = s.sr1(q, timeout=2); a.show(); translations(q, a)", "port 31337 -> 4500")
        shell.type('s.move("10.0.2.2", via=["udp", "tcp:443", "http"])', "attempt=2")
        shell.type('s.sr1(IP(dst="10.9.0.1")/ICMP())', "type=echo-reply")
        shell.type('live = sniff(iface="eth0", session=MobsecSession(s.sas), count=20)')
        shell.type('wrpcap("inner.pcap", inner(live))')
        shell.type(
            "sum(UDP in p and p[UDP].sport == 7 for p in inner(live)) > 5 and 2000 + 24", "2024"
        )
        shell.type('len(rdpcap("inner.pcap")) > 10 and 3000 + 24', "3024")
        shell.type('s.register(via="native"); s.register(via="native")')
        shell.type('s.sr1(IP(dst="10.9.0.1")/ICMP()); s.path', "NATIVE")
        shell.type("s.close()")
