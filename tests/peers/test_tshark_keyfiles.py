"""Key tables written here decrypt in tshark, and patterns select the packets they do there."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from suites import VERIFIABLE

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
    rows = [row.split("\t") for row in output.stdout.splitlines()]
    return [(b"inside".hex() in payloads, good == "1") for payloads, good in rows]


READ_BY_TSHARK = [
    name
    for name in VERIFIABLE
    if not ({"ccm", "chacha20", "gmac", "cmac", "xcbc"} & set(name.split("-")))
]


def test_tables_that_we_write(tmp_path):
    """All suites that tshark has, with each length of key, beside rows that it has no names for."""
    sas = []
    for name in VERIFIABLE:
        suite = SUITES[name]
        for length in sorted(suite.key_lengths):
            keys = os.urandom(length + suite.salt_length), os.urandom(suite.integrity_key_length)
            sas.append(SaParameters(256 + len(sas), suite, keys[0], keys[1] or None))
    with open(tmp_path / "esp_sa", "w") as stream:
        warnings = write_esp_sa([*sas, GCM], stream)
    assert len(warnings) == 7
    read = [sa for sa in sas if sa.suite.name in READ_BY_TSHARK]
    assert len(read) == 9 + 6 * (3 + 3 + 1 + 1)
    packets = [sealed(sa, *ends) for sa in [*read, GCM] for ends in (V4, V6)]
    assert decrypted_by_tshark(tmp_path, packets) == [(True, True)] * len(packets)


def test_rows_with_esn_leave_the_table_readable(tmp_path):
    with open(tmp_path / "esp_sa", "w") as stream:
        write_esp_sa([replace(GCM, spi=SPI + 1, esn=True), GCM], stream)
    assert decrypted_by_tshark(tmp_path, [sealed(GCM, *V4)]) == [(True, True)]


def test_rows_of_ah_leave_the_table_readable(tmp_path):
    rows = [AhParameters(SPI, suite, bytes(suite.key_length)) for suite in AH_SUITES.values()]
    with open(tmp_path / "esp_sa", "w") as stream:
        write_esp_sa([*(replace(ah, spi=SPI + 1) for ah in rows), GCM], stream)
    assert decrypted_by_tshark(tmp_path, [sealed(GCM, *V4)]) == [(True, True)]


@pytest.mark.parametrize("cipher", ["aes-cbc", "aes-ctr", "3des-cbc", "null"])
def test_tables_without_integrity_key(tmp_path, cipher):
    packets, unknown = [], []
    for number, integrity in enumerate(("md5-96", "sha2-256-128", "sha2-384-192", "sha2-512-256")):
        suite = SUITES[f"{cipher}-hmac-{integrity}"]
        key = os.urandom(max(suite.key_lengths) + suite.salt_length)
        sa = SaParameters(SPI + number, suite, key, bytes(suite.integrity_key_length))
        packets.append(sealed(sa, *V4))
        unknown.append(replace(sa, integrity_key=None))
    with open(tmp_path / "esp_sa", "w") as stream:
        assert write_esp_sa(unknown, stream) == []
    assert decrypted_by_tshark(tmp_path, packets) == [(True, False)] * 4


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
