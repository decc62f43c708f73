"""The generated capture is what it says: all of it decrypts, and registrations move the link."""

import io

import pytest
from scapy.layers.inet import IP

from scapy_mobsec.drivers.capture import read_records
from scapy_mobsec.drivers.keyfiles import read_keys, write_esp_sa
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.ui import bench_traffic
from scapy_mobsec.ui.bench_traffic import ENCAPSULATIONS, messages_in, sas_of, write_traffic
from scapy_mobsec.ui.cli import BENCH_CARRIERS, BENCH_SUITES


def report_of(capture, suite):
    keys = io.StringIO()
    write_esp_sa(sas_of(suite), keys)
    keys.seek(0)
    observer = Observer(read_keys(keys, "keys"))
    for record in read_records(capture):
        observer.feed(record.time_ns, record.data, record.link_type, record.original_length)
    observer.finish()
    return observer.report()


def written(packets, suite, encapsulation):
    capture = io.BytesIO()
    write_traffic(capture, packets, suite, encapsulation)
    capture.seek(0)
    return capture


@pytest.mark.parametrize("suite", BENCH_SUITES.choices)
@pytest.mark.parametrize("encapsulation", ENCAPSULATIONS)
def test_all_is_verified(suite, encapsulation, monkeypatch):
    monkeypatch.setattr(bench_traffic, "REGISTERS_EVERY", 50)
    report = report_of(written(220, suite, encapsulation), suite)
    summary = report.summary
    assert summary.esp == summary.verified == 220
    assert not report.drops
    assert 2 * summary.registrations == messages_in(220) == 10
    assert all(each.reply for each in report.registrations)
    assert {sa.outer.encapsulation for sa in report.sas} == {encapsulation}
    # Native ESP has no ports, of which the NAT could give another one.
    assert summary.moves == (0 if encapsulation is Encapsulation.NATIVE else 4)


@pytest.mark.parametrize(
    ("packets", "messages"), [(1, 1), (2, 2), (1000, 2), (1001, 3), (2_000_000, 4000)]
)
def test_messages(packets, messages):
    assert messages_in(packets) == messages


@pytest.mark.parametrize("encapsulation", [Encapsulation.UDP, Encapsulation.TCP])
def test_no_scapy_packet_is_made_of_what_is_decoded(encapsulation, monkeypatch):
    def made(*arguments, **fields):
        raise AssertionError("a Scapy packet")

    monkeypatch.setattr("scapy.packet.Packet.__init__", made)
    with pytest.raises(AssertionError):
        IP()
    report = report_of(written(120, "aes-gcm-16", encapsulation), "aes-gcm-16")
    assert (report.summary.verified, report.summary.registrations) == (120, 1)


def test_where_nobody_listens_nothing_is_made_to_tell(monkeypatch):
    def made(*fields, **named):
        raise AssertionError("a seen packet")

    monkeypatch.setattr("scapy_mobsec.observer.observer.SeenPacket", made)
    capture = written(120, "aes-gcm-16", Encapsulation.UDP)
    assert report_of(capture, "aes-gcm-16").summary.verified == 120


def test_the_same_octets_each_time():
    one, other = (written(60, "aes-cbc-hmac-sha1-96", Encapsulation.TCP) for _ in range(2))
    assert one.getvalue() == other.getvalue()


def test_the_command_offers_these_encapsulations():
    assert list(BENCH_CARRIERS.choices) == [each.value for each in ENCAPSULATIONS]
