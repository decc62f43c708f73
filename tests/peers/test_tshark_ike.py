"""IKE is split and decrypted as tshark does it, payload by payload."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from frames import Keys

from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.drivers.keyfiles import read_key_file
from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.numbers import PayloadType
from scapy_mobsec.ike.payloads import Notify, parse_payload
from scapy_mobsec.observer.observer import Observer

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")

PCAPS = Path(__file__).parents[2] / "pcaps"
INSIDE_SA = {"2", "3"}
SAMPLES = "strongswan-natt", "strongswan-natt-aes128-sha256"


def as_tshark_decrypts(capture, row, folder):
    """Return, by frame, the types of all payloads but SK, and those of notifications."""
    fields = ("frame.number", "isakmp.typepayload", "isakmp.notify.msgtype")
    options = [part for field in fields for part in ("-e", field)]
    keys = ("-o", f"uat:ikev2_decryption_table:{row}")
    done = subprocess.run(
        ["tshark", "-r", str(capture), "-Y", "isakmp", "-T", "fields", *options, *keys],
        env=os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    found = {}
    for line in done.stdout.splitlines():
        frame, payloads, notifies = (*line.split("\t"), "", "")[:3]
        types = [each for each in payloads.split(",") if each and each not in INSIDE_SA]
        found[int(frame)] = (
            [int(each) for each in types if int(each) != PayloadType.SK],
            [int(each) for each in notifies.split(",") if each],
        )
    return found


def as_we_decrypt(capture, keys):
    found = {}

    def note(seen, octets):
        payloads = parse_message(octets).payloads
        contents = map(parse_payload, payloads)
        found[seen.frame] = (
            [each.type for each in payloads],
            [each.kind for each in contents if isinstance(each, Notify)],
        )

    observer = Observer(Keys(), keys, on_ike=note)
    with open_capture(capture) as stream:
        for record in read_records(stream):
            observer.feed(record.time_ns, record.data, record.link_type)
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_strongswan(name, tmp_path):
    table = PCAPS / f"{name}.ikev2_decryption_table"
    capture = PCAPS / f"{name}.pcap"
    ours = as_we_decrypt(capture, read_key_file(str(table)).ike_keys)
    assert len(ours) == 14
    assert ours == as_tshark_decrypts(capture, table.read_text().strip(), tmp_path)
