"""A session at the prompt of Scapy, as a person types it, on loopback."""

import shutil
from pathlib import Path

import pytest
from live_pair import loopback_address
from scapy_shell import scapy_shell
from sessions import session_files

from scapy_mobsec import GatewaySession

SAMPLE = Path(__file__).parents[2] / "pcaps" / "handover-nat"


@pytest.fixture
def folder(tmp_path):
    files = session_files(tmp_path)
    for ending in ("pcap", "esp_sa"):
        shutil.copy(f"{SAMPLE}.{ending}", tmp_path / f"run.{ending}")
    with GatewaySession(files.gateway):
        yield tmp_path


def test_as_typed(folder):
    with scapy_shell(folder) as shell:
        shell.type('sas = load_keys("run.esp_sa")')
        shell.type('pkts = sniff(offline="run.pcap", session=MobsecSession(sas))')
        shell.type("pkts[RREQ][0].show(); translations(pkts)", "-> 192.0.2.1:37880")
        shell.type("ladder(pkts)", " RREQ #3 [udp] ")
        shell.type('s = MobileSession("lab.toml", via="udp:4500")')
        shell.type("q = s.craft_rreq(); q[Sent].headers[1].sport = 31337")
        shell.type("a = s.sr1(q, timeout=2); a.show(); translations(q, a)", "port 31337 -> 4500")
        shell.type(f's.move("{loopback_address()}", via=["udp", "tcp:4500"])', "attempt=2")
        shell.type('s.sr1(IP(dst="10.10.0.1")/ICMP())', "type=echo-reply")
        shell.type("len(s.sas.rows) + 1000", "1002")
        shell.type("s.close()")
