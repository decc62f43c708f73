"""Key tables written here decrypt in tshark, and patterns select the packets they do there."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from scapy_mobsec.drivers.capture import CaptureWriter
from scapy_mobsec.drivers.keyfiles import read_keys, write_esp_sa
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.sa import OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.packet.path import Endpoint

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")

SPI = 0x12345678
V4 = "10.1.2.3", "10.1.2.4"
V6 = "fe80::1", "fe80::2"
GCM = SaParameters(SPI, SUITES["aes-gcm-16"], bytes(range(36)))


def sealed(sa, source, destination):
    """Return an ESP-in-UDP packet with a small UDP datagram inside."""
    inner = Endpoint.of("10.9.0.1").address, Endpoint.of("10.9.0.2").address
    datagram = build_ip(*inner, 17, build_udp(*inner, 7, 9, b"inside"))
    esp = OutboundSa(sa, random_bytes=os.urandom).seal(datagram, 4)
    outer = Endpoint.of(source).address, Endpoint.of(destination).address
    return build_ip(*outer, 17, build_udp(*outer, 4500, 4500, esp))


def decrypted_by_tshark(folder, packets):
    """Return (opened, ICV good) of each packet, with the table `esp_sa` of the folder."""
    with open(folder / "x.pcap", "wb") as stream:
        writer = CaptureWriter(stream)
        for packet in packets:
            writer.write(10**18, packet)
    options = ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE"]
    command = ["tshark", "-r", folder / "x.pcap", "-T", "fields", "-e", "udp.payload"]
    for option in options:
        command += ["-o", option]
    output = subprocess.run(
        [*command, "-e", "esp.icv_good"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "WIRESHARK_CONFIG_DIR": folder},
    )
    assert "Error" not in output.stderr
    rows = [row.split("\t") for row in output.stdout.splitlines()]
    return [(b"inside".hex() in payloads, good == "1") for payloads, good in rows]


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_tables_that_we_write(tmp_path, suite):
    for number, length in enumerate(sorted(suite.key_lengths)):
        sa = SaParameters(
            256 + number,
            suite,
            os.urandom(length + suite.salt_length),
            os.urandom(suite.integrity_key_length) or None,
        )
        with open(tmp_path / "esp_sa", "w") as stream:
            write_esp_sa([GCM, sa], stream)
        packets = [sealed(sa, *V4), sealed(sa, *V6), sealed(GCM, *V4)]
        assert decrypted_by_tshark(tmp_path, packets) == [(True, True)] * 3


def test_rows_with_esn_leave_the_table_readable(tmp_path):
    with open(tmp_path / "esp_sa", "w") as stream:
        write_esp_sa([replace(GCM, spi=SPI + 1, esn=True), GCM], stream)
    assert decrypted_by_tshark(tmp_path, [sealed(GCM, *V4)]) == [(True, True)]


def test_rows_of_ah_leave_the_table_readable(tmp_path):
    rows = [AhParameters(SPI, suite, bytes(suite.key_length)) for suite in AH_SUITES.values()]
    with open(tmp_path / "esp_sa", "w") as stream:
        write_esp_sa([*(replace(ah, spi=SPI + 1) for ah in rows), GCM], stream)
    assert decrypted_by_tshark(tmp_path, [sealed(GCM, *V4)]) == [(True, True)]


def test_a_table_without_integrity_key(tmp_path):
    for name, length in (("aes-cbc-hmac-sha1-96", 20), ("aes-cbc-hmac-sha2-256-128", 32)):
        suite = SUITES[name]
        with open(tmp_path / "esp_sa", "w") as stream:
            write_esp_sa([SaParameters(SPI, suite, bytes(16))], stream)
        packet = sealed(SaParameters(SPI, suite, bytes(16), bytes(length)), *V4)
        assert decrypted_by_tshark(tmp_path, [packet]) == [(True, False)]


@pytest.mark.parametrize(
    ("protocol", "source", "destination", "spi"),
    [
        ("IPv4", "*", "*", "*"),
        ("IPv4", "10.1.2.3", "10.1.2.4", "0x12345678"),
        ("IPv4", "10.1.2.4", "*", "0x12345678"),
        ("IPv4", "*", "10.1.2.3", "0x12345678"),
        ("IPv4", "10.1.*.*", "10.1.2.*", "*"),
        ("IPv4", "10.2.*.*", "*", "*"),
        ("IPv4", "10.1.0.0/16", "*", "*"),
        ("IPv4", "10.2.0.0/16", "*", "*"),
        ("IPv4", "*", "*", "0x1234567*"),
        ("IPv4", "*", "*", "0x12**5678"),
        ("IPv4", "*", "*", "0x13**5678"),
        ("IPv4", "*", "*", "305419896"),
        ("IPv6", "*", "*", "*"),
        ("IPv6", "FE80:0::1", "*", "*"),
        ("IPv6", "fe80::*", "*", "*"),
        ("IPv6", "fe80::/64", "*", "*"),
        ("IPv6", "2001::/16", "*", "*"),
    ],
)
def test_patterns_select_what_they_do_in_tshark(tmp_path, protocol, source, destination, spi):
    key = f'"AES-GCM with 16 octet ICV [RFC4106]","0x{GCM.encryption_key.hex()}","NULL",""'
    (tmp_path / "esp_sa").write_text(f'"{protocol}","{source}","{destination}","{spi}",{key}\n')
    theirs = decrypted_by_tshark(tmp_path, [sealed(GCM, *V4), sealed(GCM, *V6)])
    with open(tmp_path / "esp_sa") as stream:
        table = read_keys(stream, "esp_sa")
    ours = [
        bool(table.candidates(family, *(Endpoint.of(end).address for end in ends), SPI))
        for family, ends in ((4, V4), (6, V6))
    ]
    assert ours == [opened for opened, _ in theirs]
