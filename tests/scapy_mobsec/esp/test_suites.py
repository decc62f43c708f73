"""Each suite against others: published vectors, packets of strongSwan, Scapy in both directions."""

import csv
import hmac
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw
from scapy.utils import rdpcap

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import InboundSa, OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES

DATA = Path(__file__).parents[2] / "data"
PCAPS = Path(__file__).parents[3] / "pcaps"
GCM = SUITES["aes-gcm-16"]
CBC_SHA256 = SUITES["aes-cbc-hmac-sha2-256-128"]
CBC_SHA1 = SUITES["aes-cbc-hmac-sha1-96"]


def load(name):
    """Read a list of cases; hexadecimal values become bytes."""
    cases = json.loads((DATA / name).read_text())
    words = {"result"}
    return [
        {k: bytes.fromhex(v) if isinstance(v, str) and k not in words else v for k, v in c.items()}
        for c in cases
    ]


def test_the_table_is_keyed_by_name_and_cannot_be_changed():
    assert all(suite.name == name for name, suite in SUITES.items())
    with pytest.raises(TypeError):
        SUITES["null"] = GCM


# AES-GCM: Wycheproof, and the ESP packets of draft-mcgrew-gcm-test

WYCHEPROOF = load("wycheproof/aes_gcm_96_128.json")


@pytest.mark.parametrize("case", WYCHEPROOF, ids=lambda case: str(case["tcId"]))
def test_wycheproof(case, drops):
    row = GCM.protection(case["key"] + case["iv"][:4], None)
    iv, protected = case["iv"][4:], case["ct"] + case["tag"]
    if case["result"] == "valid":
        assert row.decrypt(case["aad"], b"", iv, protected) == case["msg"]
        assert row.encrypt(case["aad"], b"", iv, case["msg"]) == protected
    else:
        with drops(DropReason.BAD_ICV):
            row.decrypt(case["aad"], b"", iv, protected)


def test_wycheproof_has_both_kinds():
    results = [case["result"] for case in WYCHEPROOF]
    assert (results.count("valid"), results.count("invalid")) == (116, 81)


ESP_SHAPED = [case for case in WYCHEPROOF if len(case["aad"]) == 8 and any(case["aad"][:4])]


@pytest.mark.parametrize("case", ESP_SHAPED, ids=lambda case: str(case["tcId"]))
def test_wycheproof_as_esp_packet(case, drops):
    """The ICV passes; what then stops the packet is that the plaintext is no ESP plaintext."""
    spi = int.from_bytes(case["aad"][:4])
    sa = InboundSa(SaParameters(spi, GCM, case["key"] + case["iv"][:4]))
    packet = case["aad"] + case["iv"][4:] + case["ct"] + case["tag"]
    with drops(DropReason.BAD_PADDING):
        sa.open(packet)
    with drops(DropReason.BAD_ICV):
        sa.open(packet[:-1] + bytes([packet[-1] ^ 1]))


GCM_ESP = load("gcm-esp.json")


@pytest.mark.parametrize("case", GCM_ESP, ids=lambda case: str(case["case"]))
def test_gcm_esp_vectors(case, drops):
    """Packets with 32-bit and with extended numbers, up to the highest of both."""
    spi, sequence = int.from_bytes(case["spi"]), int.from_bytes(case["sequence"])
    high, low = case["sequence"][:-4], case["sequence"][-4:]
    key, header = case["key"] + case["salt"], case["spi"] + low
    protected = case["ciphertext"] + case["icv"]
    row = GCM.protection(key, None)
    assert row.encrypt(header, high, case["iv"], case["plaintext"]) == protected
    assert row.decrypt(header, high, case["iv"], protected) == case["plaintext"]
    if not spi:
        return  # one case has the SPI that no ESP packet carries
    parameters = SaParameters(spi, GCM, key, esn=bool(high))
    packet = header + case["iv"] + protected
    opened = InboundSa(parameters, ceiling=sequence - 1).open(packet)
    assert (opened.sequence, opened.verified) == (sequence, True)
    assert opened.next_header == case["plaintext"][-1]
    assert opened.payload == case["plaintext"][: -2 - case["plaintext"][-2]]
    if high != bytes(len(high)):  # a receiver that has not followed infers another high half
        with drops(DropReason.BAD_ICV):
            InboundSa(parameters).open(packet[:4] + b"\0\0\0\1" + packet[8:])


# AES-CBC: the ESP packets of RFC 3602 have no ICV; one is put behind them

RFC3602 = load("rfc3602-esp.json")


@pytest.mark.parametrize(
    ("suite", "digest"), [(CBC_SHA256, "sha256"), (CBC_SHA1, "sha1")], ids=["sha256", "sha1"]
)
@pytest.mark.parametrize("case", RFC3602, ids=lambda case: str(case["case"]))
def test_rfc3602_packets(case, suite, digest):
    key = bytes(range(suite.integrity_key_length))
    packet = case["packet"] + hmac.digest(key, case["packet"], digest)[: suite.icv_length]
    spi, sequence = int.from_bytes(packet[:4]), int.from_bytes(packet[4:8])
    parameters = SaParameters(spi, suite, case["key"], key)
    opened = InboundSa(parameters).open(packet)
    assert opened == (case["payload"], case["next_header"], sequence, True)
    sa = OutboundSa(parameters, random_bytes=lambda n: packet[8 : 8 + n], first_sequence=sequence)
    assert sa.seal(case["payload"], case["next_header"]) == packet


def test_rfc3602_packets_one_after_the_other():
    """Each packet chains from its own IV, whatever went through the SA before it."""
    row = CBC_SHA1.protection(RFC3602[0]["key"], None)
    same_key = [case for case in RFC3602 if case["key"] == RFC3602[0]["key"]]
    for case in same_key * 2:
        iv, ciphertext = case["packet"][8:24], case["packet"][24:]
        plaintext = row.decrypt(case["packet"][:8], b"", iv, ciphertext + bytes(12))
        assert plaintext.startswith(case["payload"])


RFC4868_AND_RFC2202 = [
    # suite, key, data, HMAC (RFC 4868 section 2.7.2 AUTH256-1 to -4; RFC 2202 section 3 cases 1, 3)
    (CBC_SHA256, "0b" * 32, b"Hi There", "198a607eb44bfbc69903a0f1cf2bbdc5"),
    (
        CBC_SHA256,
        b"Jefe".hex() * 8,
        b"what do ya want for nothing?",
        "167f928588c5cc2eef8e3093caa0e87c",
    ),
    (CBC_SHA256, "aa" * 32, b"\xdd" * 50, "cdcb1220d1ecccea91e53aba3092f962"),
    (CBC_SHA256, bytes(range(1, 33)).hex(), b"\xcd" * 50, "372efcf9b40b35c2115b1346903d2ef4"),
    (CBC_SHA1, "0b" * 20, b"Hi There", "b617318655057264e28bc0b6"),
    (CBC_SHA1, "aa" * 20, b"\xdd" * 50, "125d7342b9ac11cd91a39af4"),
]


@pytest.mark.parametrize(("suite", "key", "data", "icv"), RFC4868_AND_RFC2202)
def test_hmac_vectors(suite, key, data, icv, drops):
    """The ICV covers the header first and the unsent half of the number last."""
    row = suite.protection(bytes(16), bytes.fromhex(key))
    assert row.decrypt(data[:-4], data[-4:], b"", bytes.fromhex(icv)) == b""
    with drops(DropReason.BAD_ICV):
        row.decrypt(data[:-4], data[-4:], b"", bytes.fromhex(icv[:-2]) + b"\0")


# strongSwan


@pytest.mark.parametrize(
    ("name", "suite"),
    [("strongswan-natt", GCM), ("strongswan-natt-aes128-sha256", CBC_SHA256)],
)
def test_strongswan_captures(name, suite):
    """All 20 ESP packets open, in tunnel mode, with their pings inside."""
    sas = {}
    with (PCAPS / f"{name}.esp_sa").open() as rows:
        for *_, spi, _, key, _, integrity_key in csv.reader(rows):
            parameters = SaParameters(
                int(spi, 16),
                suite,
                bytes.fromhex(key[2:]),
                bytes.fromhex(integrity_key[2:]) or None,
            )
            sas[parameters.spi] = InboundSa(parameters)
    opened = []
    for frame in rdpcap(str(PCAPS / f"{name}.pcap")):
        data = bytes(frame[UDP].payload)
        if frame[UDP].dport == 4500 and any(data[:4]):
            opened.append(sas[int.from_bytes(data[:4])].open(data))
    assert len(opened) == 20
    assert sorted(packet.sequence for packet in opened) == sorted([1, 2, 3, 4, 5] * 4)
    for packet in opened:
        assert packet.verified
        assert packet.next_header == 4
        inner = IP(packet.payload)
        assert inner.proto == 1
        assert inner.len == len(packet.payload) == 84


# Scapy

SCAPY_NAMES = {
    GCM.name: ("AES-GCM", "NULL"),
    CBC_SHA256.name: ("AES-CBC", "SHA2-256-128"),
    CBC_SHA1.name: ("AES-CBC", "HMAC-SHA1-96"),
}
OUTER = {4: IP(src="192.0.2.1", dst="192.0.2.2"), 6: IPv6(src="2001:db8::1", dst="2001:db8::2")}
INNER = {4: IP(src="10.0.0.1", dst="10.0.0.2"), 6: IPv6(src="fd00::1", dst="fd00::2")}
NEXT_HEADER = {4: 4, 6: 41}
VERSIONS = st.sampled_from([4, 6])
HIGH_HALVES = st.sampled_from([0, 1, 0x87654321])


def scapy_sa(parameters, tunnel, high=0):
    crypt, auth = SCAPY_NAMES[parameters.suite.name]
    return SecurityAssociation(
        ESP,
        parameters.spi,
        crypt_algo=crypt,
        crypt_key=parameters.encryption_key,
        auth_algo=auth,
        auth_key=parameters.integrity_key,
        tunnel_header=tunnel,
        esn_en=parameters.esn,
        esn=high,
    )


def whole(parameters, high, low):
    """The sequence number with its high half, if the SA has one."""
    return (high << 32) + low if parameters.esn else low


@settings(deadline=None, max_examples=25)
@given(VERSIONS, VERSIONS, HIGH_HALVES, st.integers(1, 2**32 - 1), st.binary(max_size=200))
def test_scapy_opens_ours_in_tunnel_mode(parameters, outer, inner, high, low, data):
    payload = bytes(INNER[inner] / UDP(sport=1, dport=2) / Raw(data))
    sequence = whole(parameters, high, low)
    sa = OutboundSa(parameters, random_bytes=Random(low).randbytes, first_sequence=sequence)
    packet = sa.seal(payload, NEXT_HEADER[inner])
    tunnel = OUTER[outer]
    carrier = type(tunnel)(bytes(tunnel / ESP(packet)))
    assert bytes(scapy_sa(parameters, tunnel, high).decrypt(carrier)) == payload


@settings(deadline=None, max_examples=25)
@given(VERSIONS, VERSIONS, HIGH_HALVES, st.integers(1, 2**32 - 1), st.binary(max_size=200))
def test_ours_opens_scapys_in_tunnel_mode(parameters, outer, inner, high, low, data):
    packet = INNER[inner] / UDP(sport=1, dport=2) / Raw(data)
    payload = bytes(packet)
    sequence = whole(parameters, high, low)
    sealed = scapy_sa(parameters, OUTER[outer], high).encrypt(packet, seq_num=low)
    opened = InboundSa(parameters, ceiling=sequence - 1).open(bytes(sealed[ESP]))
    assert opened == (payload, NEXT_HEADER[inner], sequence, True)


@settings(deadline=None, max_examples=15)
@given(VERSIONS, st.binary(max_size=200))
def test_transport_mode_both_ways(parameters, version, data):
    packet = OUTER[version] / UDP(sport=1, dport=2) / Raw(data)
    payload = bytes(packet)[-len(packet[UDP]) :]
    sealed = scapy_sa(parameters, None).encrypt(packet.copy())
    assert InboundSa(parameters).open(bytes(sealed[ESP])) == (payload, 17, 1, True)
    ours = OutboundSa(parameters, random_bytes=bytes).seal(payload, 17)
    carrier = type(OUTER[version])(bytes(OUTER[version] / ESP(ours)))
    assert bytes(scapy_sa(parameters, None).decrypt(carrier)[UDP]) == payload
