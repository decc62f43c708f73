"""Scapy packets for an observer, and the keys of one by their files."""

from pathlib import Path

import pytest
from frames import TO_GATEWAY, Bench, gcm
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import rdpcap
from sniffing import table_for

from scapy_mobsec.drivers.capture import CaptureWriter
from scapy_mobsec.drivers.keyfiles import KeyFileError, load_keys
from scapy_mobsec.drivers.packets import ObserverKeys, feed
from scapy_mobsec.drops import DropReason

PCAPS = Path(__file__).parents[3] / "pcaps"
ESP_SA, IKE = PCAPS / "handover-nat.esp_sa", PCAPS / "strongswan-natt.ike.keys.txt"


def test_time_and_link_type_are_those_of_the_packet():
    seen = []
    observer = ObserverKeys.of(table_for(gcm(TO_GATEWAY))).observer(seen.append)
    octets = Bench().up()
    for packet in (IP(octets), Ether(bytes(12) + b"\x08\x00" + Bench().up(sequence=2))):
        packet.time = 1_767_225_600.25
        feed(observer, packet, packet.original)
    assert [each.time_ns for each in seen] == [1_767_225_600_250_000_000] * 2
    assert [each.opened.sequence for each in seen] == [1, 2]


def test_a_layer_without_a_link_type_is_counted():
    observer = ObserverKeys.of(None).observer()
    feed(observer, Raw(b"octets"), b"octets")
    assert observer.report().drops == {DropReason.UNKNOWN_LINK_TYPE: 1}


def test_a_frame_cut_by_its_capture_is_told_so():
    observer = ObserverKeys.of(None).observer()
    packet = IP(Bench().up()[:30])
    packet.wirelen = 200
    feed(observer, packet, packet.original)
    assert observer.report().drops == {DropReason.CUT_BY_CAPTURE: 1}


def test_a_packet_made_shorter_is_not_cut_by_its_capture():
    observer = ObserverKeys.of(None).observer()
    packet = IP(Bench().up())
    packet.wirelen = len(packet)
    packet[UDP].payload = Raw(b"short")
    feed(observer, packet)
    assert observer.report().drops == {DropReason.TRUNCATED: 1}


def test_a_record_without_octets_is_no_header_with_defaults(tmp_path):
    name = tmp_path / "empty.pcap"
    with open(name, "wb") as stream:
        CaptureWriter(stream, 101).write(0, b"")
    (packet,) = rdpcap(str(name))
    for each in (packet, packet.copy()):
        observer = ObserverKeys.of(None).observer()
        feed(observer, each)
        of_file = ObserverKeys.of(None).observer()
        of_file.feed(0, b"", 101)
        assert observer.report().drops == of_file.report().drops


@pytest.mark.parametrize(
    ("keys", "sas", "ike_sas"),
    [
        (None, 0, 0),
        ((), 0, 0),
        (ESP_SA, 4, 0),
        (str(IKE), 0, 1),
        ([ESP_SA, str(IKE)], 4, 1),
        (load_keys(ESP_SA, IKE), 4, 1),
    ],
)
def test_keys_are_a_table_or_names_of_files(keys, sas, ike_sas):
    read = ObserverKeys.of(keys, tcp_ports=[8443])
    assert (len(read.source.rows), len(read.ike_keys)) == (sas, ike_sas)
    assert read.tcp_ports == (8443,)


@pytest.mark.parametrize("keys", [{}, {"a": 1}, b"key", 7, [load_keys(ESP_SA)], [None]])
def test_what_is_no_keys_is_said(keys):
    with pytest.raises(TypeError, match="keys are a table of load_keys, or names of files, not "):
        ObserverKeys.of(keys)


@pytest.mark.parametrize("ports", [[0], [99_999], "443", ["443"], [443.0]])
def test_what_is_no_tcp_port_is_said(ports):
    with pytest.raises(ValueError, match="tcp_ports are numbers from 1 to 65535"):
        ObserverKeys.of((), tcp_ports=ports)


def test_secrets_of_tls_too(tmp_path):
    log = tmp_path / "tls.keys"
    log.write_text(f"CLIENT_TRAFFIC_SECRET_0 {'ab' * 32} {'cd' * 32}\n")
    assert ObserverKeys.of((), log).tls_keys
    log.write_text("nonsense")
    with pytest.raises(KeyFileError, match=r"tls\.keys: not a TLS key log: line 1: "):
        ObserverKeys.of((), [log])
    assert "cdcd" not in repr(ObserverKeys.of(ESP_SA))
