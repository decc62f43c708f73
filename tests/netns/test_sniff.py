"""Scapy's sniff with a session of ours on the interfaces of namespaces, where a sample is sent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

SAMPLE = Path(__file__).parents[2] / "pcaps" / "handover-nat"
PLAY = """
import json, socket, subprocess, sys
from scapy.all import ESP, AsyncSniffer, conf, wrpcap
from contrib_layers import RREP, RREQ
from scapy_mobsec import MobsecSession, inner, load_keys, translations
from scapy_mobsec.drivers.capture import open_capture, read_records
sample, sent, sniffed, count, copy, times = sys.argv[1:]
conf.debug_dissector = True
for command in sys.stdin.read().splitlines():
    subprocess.run(command, shell=True, check=True)
conf.ifaces.reload()
with open_capture(f"{sample}.pcap") as stream:
    packets = [record.data for record in read_records(stream)]
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind((sent, 0))
def send():
    for packet in packets:
        sender.send(bytes(12) + b"\\x08\\x00" + packet)
session = MobsecSession(load_keys(f"{sample}.esp_sa"))
options = {"iface": sniffed, "filter": "udp port 4500", "count": int(count)}
sniffer = AsyncSniffer(session=session, started_callback=send, **options)
sniffer.start()
sniffer.join(timeout=30)
live = sniffer.results
wrpcap(copy, live)
with open_capture(copy) as stream:
    copied = [record.data[14:] for record in read_records(stream)]
print(json.dumps({
    "rreqs": len(live[RREQ]),
    "rreps": len(live[RREP]),
    "verified": sum(packet[ESP].verified is True for packet in live),
    "faults": sorted({packet[ESP].fault for packet in live}),
    "inner": len(inner(live)),
    "in_order": [float(packet.time) for packet in inner(live)] == sorted(
        float(packet.time) for packet in live if packet[ESP].payload),
    "translated": repr(translations(live)).splitlines()[3],
    "as_sent": copied == [packet for packet in packets for _ in range(int(times))][:int(count)],
}))
"""
VETH = """ip link add m0 type veth peer name g0
ip link set m0 up
ip link set g0 up"""


def play(tmp_path, sent, sniffed, count, commands, times=1):
    """Sniff what is sent. times: how often each packet passes."""
    arguments = [SAMPLE, sent, sniffed, count, tmp_path / "copy.pcap", times]
    command = ["unshare", "-n", sys.executable, "-c", PLAY, *map(str, arguments)]
    done = subprocess.run(command, input=commands, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_passes_is_decrypted_as_from_a_file(tmp_path):
    assert play(tmp_path, "m0", "g0", 67, VETH) == {
        "rreqs": 6,
        "rreps": 3,
        "verified": 67,
        "faults": [""],
        "inner": 67,
        "in_order": True,
        "translated": "    source address and port 10.0.0.2:4500 -> 192.0.2.1:37880",
        "as_sent": True,
    }


def test_count_ends_it(tmp_path):
    told = play(tmp_path, "m0", "g0", 30, VETH)
    assert (told["rreqs"], told["verified"], told["as_sent"]) == (4, 30, True)


def test_on_the_loopback_each_packet_comes_twice_and_is_opened_once(tmp_path):
    told = play(tmp_path, "lo", "lo", 134, "ip link set lo up", times=2)
    assert (told["rreqs"], told["inner"], told["verified"]) == (6, 67, 134)
    assert told["faults"] == ["", "captured twice"]
    assert told["as_sent"]
