"""`mobsec decode -i` on the loopback of a namespace of its own, where a sample is sent again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

SAMPLE = Path(__file__).parents[2] / "pcaps" / "handover-nat"
PLAY = """
import json, signal, socket, subprocess, sys
from scapy_mobsec.drivers.capture import open_capture, read_records
capture, end, *options = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with open_capture(capture) as stream:
    packets = [record.data for record in read_records(stream)]
command = [sys.executable, "-m", "scapy_mobsec", "decode", "-i", "lo", *options]
decoding = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
said = decoding.stderr.readline()
if "listening" in said:
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind(("lo", 0))
    for packet in packets:
        sender.send(bytes(12) + b"\\x08\\x00" + packet)
    if end == "interrupt":
        while "RREP #3" not in decoding.stdout.readline():
            pass
        decoding.send_signal(signal.SIGINT)
out, err = decoding.communicate(timeout=30)
print(json.dumps([decoding.returncode, out, said + err]))
"""


def play(end, *options):
    command = ["unshare", "-n", sys.executable, "-c", PLAY, f"{SAMPLE}.pcap", end, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_passes_is_decoded_as_from_a_file():
    code, out, err = play("count", "-k", f"{SAMPLE}.esp_sa", "-c", "67")
    assert (code, err) == (0, "mobsec: listening on lo; Ctrl-C ends it\n")
    assert "67 packets, 67 ESP (67 verified), 3 registrations, 2 moves" in out
    assert out.count("  RREQ #") == 6
    assert out.count("  link 1 moved: ") == 2


def test_ctrl_c_ends_it_with_the_report():
    code, out, _ = play("interrupt", "-k", f"{SAMPLE}.esp_sa")
    assert code == 0
    assert "3 registrations, 2 moves" in out


def test_a_filter_runs_in_the_kernel():
    code, out, _ = play("count", "-k", f"{SAMPLE}.esp_sa", "-c", "23", "-f", "host 10.0.0.2")
    assert code == 0
    assert "23 packets, 23 ESP (23 verified), 1 registration" in out


@pytest.mark.parametrize(
    ("options", "text"),
    [(["-f", "no such filter"], "mobsec: filter 'no such filter'"), (["-f", ""], "listening")],
)
def test_a_filter_that_is_none(options, text):
    _, _, err = play("count", "-k", f"{SAMPLE}.esp_sa", "-c", "1", *options)
    assert text in err


def test_it_says_that_it_lacks_cap_net_raw():
    command = [sys.executable, "-m", "scapy_mobsec", "decode", "-q", "-k", f"{SAMPLE}.esp_sa"]
    dropped = "setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"
    done = subprocess.run(
        [*dropped, *command, "-i", "lo"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mobsec: lo: capturing needs CAP_NET_RAW (or root)\n"
