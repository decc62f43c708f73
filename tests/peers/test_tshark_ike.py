"""IKE is split and decrypted as tshark does it, payload by payload."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from frames import Keys
from ike import read_ike_keys

from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.numbers import PayloadType
from scapy_mobsec.ike.payloads import Notify, parse_payload
from scapy_mobsec.observer.observer import Observer

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")

PCAPS = Path(__file__).parents[2] / "pcaps"
INSIDE_SA = {"2", "3"}
SAMPLES = {
    "strongswan-natt": (
        ("aes-gcm-16", None),
        "AES-GCM-256 with 16 octet ICV [RFC5282]",
        "NONE [RFC4306]",
    ),
    "strongswan-natt-aes128-sha256": (
        ("aes-cbc", "hmac-sha2-256-128"),
        "AES-CBC-128 [RFC3602]",
        "HMAC_SHA2_256_128 [RFC4868]",
    ),
}


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

    observer = Observer(Keys(), [keys], on_ike=note)
    with open_capture(capture) as stream:
        for record in read_records(stream):
            observer.feed(record.time_ns, record.data, record.link_type)
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_strongswan(name, tmp_path):
    names, encryption, integrity = SAMPLES[name]
    keys = read_ike_keys(PCAPS / f"{name}.ike.keys.txt", *names)
    secrets = [keys.sk_ei, keys.sk_er, keys.sk_ai or b"", keys.sk_ar or b""]
    ei, er, ai, ar = (each.hex() or '""' for each in secrets)
    spis = f"{keys.initiator_spi.hex()},{keys.responder_spi.hex()}"
    row = f'{spis},{ei},{er},"{encryption}",{ai},{ar},"{integrity}"'
    capture = PCAPS / f"{name}.pcap"
    ours = as_we_decrypt(capture, keys)
    assert len(ours) == 14
    assert ours == as_tshark_decrypts(capture, row, tmp_path)
