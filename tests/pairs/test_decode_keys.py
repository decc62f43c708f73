"""Real captures with their keys in every form: as they came, and converted."""

import io
from pathlib import Path

import pytest

from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.drivers.keyfiles import FORMATS, read_key_file, read_keys
from scapy_mobsec.observer.observer import Observer

PCAPS = Path(__file__).parents[2] / "pcaps"
TCPDUMP = Path(__file__).parents[1] / "data" / "tcpdump"
NAMES = ("strongswan-natt", "strongswan-natt-aes128-sha256")
FORMS = {
    "esp_sa": (20, 0),
    "ikev2_decryption_table": (0, 12),
    "ike.keys.txt": (20, 12),
    "keys.txt": (20, 12),
    "mobile.log": (20, 12),
}
"""ESP packets and IKE messages that are verified with the keys in this form."""

BY_NAME = {each.name: each for each in FORMATS}


def report_of(capture, table):
    observer = Observer(table, table.ike_keys)
    with open_capture(capture) as stream:
        for record in read_records(stream):
            observer.feed(record.time_ns, record.data, record.link_type, record.original_length)
    observer.finish()
    return observer.report()


def verified(name, table):
    report = report_of(PCAPS / f"{name}.pcap", table)
    return report.summary.verified, sum(sa.verified for sa in report.ike)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_strongswan_in_every_form(name, form):
    table = read_key_file(str(PCAPS / f"{name}.{form}"))
    assert not table.warnings
    assert verified(name, table) == FORMS[form]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("toml", (20, 12)),
        ("key-list", (20, 12)),
        ("xfrm", (20, 0)),
        ("esp_sa", (20, 0)),
        ("ikev2_decryption_table", (0, 12)),
    ],
)
def test_strongswan_converted_from_its_log(name, kind, expected):
    text = BY_NAME[kind].write(read_key_file(str(PCAPS / f"{name}.mobile.log"))).text
    assert verified(name, read_keys(io.StringIO(text), kind)) == expected


def test_secrets_of_tcpdump_open_its_sample():
    secret = "3des-cbc-hmac96:0x4043434545464649494a4a4c4c4f4f515152525454575758"
    for line in (f"0x12345678@192.1.2.45 {secret}", secret):
        table = read_keys(io.StringIO(f"{line}\n"), "secrets")
        summary = report_of(TCPDUMP / "02-sunrise-sunset-esp.pcap", table).summary
        assert (summary.esp, summary.unverified) == (8, 8)
