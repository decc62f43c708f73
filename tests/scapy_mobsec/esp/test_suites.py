"""Each suite against others: published vectors, packets of strongSwan, Scapy in both directions."""

import csv
import hmac
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw
from scapy.utils import rdpcap
from suites import COMBINED, EACH_ALGORITHM, UNVERIFIABLE, VERIFIABLE, WITH_ESN
from vectors import DATA, load

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.ciphers import CIPHERS
from scapy_mobsec.esp.integrity import INTEGRITY
from scapy_mobsec.esp.sa import InboundSa, OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES

PCAPS = Path(__file__).parents[3] / "pcaps"
GCM = SUITES["aes-gcm-16"]
CBC_SHA256 = SUITES["aes-cbc-hmac-sha2-256-128"]
CBC_SHA1 = SUITES["aes-cbc-hmac-sha1-96"]


def test_the_table_is_keyed_by_name_and_cannot_be_changed():
    assert all(suite.name == name for name, suite in SUITES.items())
    with pytest.raises(TypeError):
        SUITES["null"] = GCM


def test_each_cipher_goes_with_each_integrity_algorithm():
    pairs = {f"{cipher}-{integrity}" for cipher in CIPHERS for integrity in INTEGRITY}
    assert pairs | set(COMBINED) == set(VERIFIABLE)
    bits = {f"{cipher}-unknown-{n}" for cipher in CIPHERS for n in (64, 96, 128, 192, 256)}
    assert bits | {f"{cipher}-none" for cipher in CIPHERS} == set(UNVERIFIABLE)


# Whole packets: draft-mcgrew-gcm-test, RFC 7634, RFC 3602

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


GMAC_ESP = {
    # draft-mcgrew-gcm-test-01: the one case of RFC 4543
    "key": "4c80cdefbb5d10da906ac73c3613a63422433c64",
    "header": "0000432100000007",
    "iv": "0000000000000000",
    "plaintext": "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768"
    "696a6b6c6d6e6f707172737401020201",
    "icv": "f2a9a836e155106aa8dcd618e4099aaa",
}


def test_gmac_esp_vector(drops):
    case = {name: bytes.fromhex(text) for name, text in GMAC_ESP.items()}
    parameters = SaParameters(0x4321, SUITES["null-aes-gmac"], case["key"])
    packet = case["header"] + case["iv"] + case["plaintext"] + case["icv"]
    opened = InboundSa(parameters).open(packet)
    # Its next header is 1, though what it carries is an IPv4 packet.
    assert opened == (case["plaintext"][:-4], 1, 7, True)
    assert protected(parameters, case) == case["plaintext"] + case["icv"]
    with drops(DropReason.BAD_ICV):
        InboundSa(parameters).open(packet[:15] + b"\1" + packet[16:])


def protected(parameters, case):
    row = parameters.suite.protection(parameters.encryption_key, None)
    return row.encrypt(case["header"], b"", case["iv"], case["plaintext"])


def test_rfc7634_packet():
    """In both directions, in tunnel mode."""
    text = json.loads((DATA / "rfc7634-esp.json").read_text())
    key, iv, inner, packet = (
        bytes.fromhex(text[name]) for name in ("key_and_salt", "iv", "inner_packet", "esp_packet")
    )
    parameters = SaParameters(int(text["spi"], 16), SUITES["chacha20-poly1305"], key)
    assert InboundSa(parameters).open(packet) == (inner, 4, text["seq"], True)
    padded = inner + b"\1\2\2\4"
    row = parameters.suite.protection(key, None)
    assert packet[:8] + iv + row.encrypt(packet[:8], b"", iv, padded) == packet


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


RFC4868_AND_RFC2202 = [
    # suite, key, data, HMAC (RFC 4868 section 2.7.2 AUTH256-1; RFC 2202 section 3 case 1)
    (CBC_SHA256, b"\x0b" * 32, b"Hi There", "198a607eb44bfbc69903a0f1cf2bbdc5"),
    (CBC_SHA1, b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6"),
]


@pytest.mark.parametrize(("suite", "key", "data", "icv"), RFC4868_AND_RFC2202)
def test_hmac_vectors(suite, key, data, icv, drops):
    """The ICV covers the header first and the unsent half of the number last."""
    row = suite.protection(bytes(16), key)
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


# 3DES of the tests of tcpdump, whose integrity key nobody knows

TCPDUMP_KEY = bytes.fromhex("4043434545464649494a4a4c4c4f4f515152525454575758")


@pytest.mark.parametrize(
    ("name", "outer", "pings"), [("02-sunrise-sunset-esp", IP, 8), ("espudp1", UDP, 8)]
)
@pytest.mark.parametrize("suite", ["3des-cbc-unknown-96", "3des-cbc-hmac-sha1-96"])
def test_3des_of_tcpdump(name, outer, pings, suite):
    sa = InboundSa(SaParameters(0x12345678, SUITES[suite], TCPDUMP_KEY))
    frames = rdpcap(str(DATA / "tcpdump" / f"{name}.pcap"))
    opened = [sa.open(bytes(frame[outer].payload)) for frame in frames]
    assert len(opened) == pings
    for packet in opened:
        inner = IP(packet.payload)
        assert (packet.next_header, packet.verified) == (4, False)
        assert (inner.src, inner.dst, inner[ICMP].type) == ("192.0.2.1", "192.0.1.1", 8)


# Scapy

SCAPY_CIPHERS = {
    "aes-cbc": "AES-CBC",
    "aes-ctr": "AES-CTR",
    "3des-cbc": "3DES",
    "null": "NULL",
    "aes-gcm-16": "AES-GCM",
    "aes-ccm-16": "AES-CCM",
    "chacha20-poly1305": "CHACHA20-POLY1305",
    "null-aes-gmac": "AES-NULL-GMAC",
}
SCAPY_INTEGRITY = {
    "": "NULL",
    "hmac-sha1-96": "HMAC-SHA1-96",
    "hmac-sha2-256-128": "SHA2-256-128",
    "hmac-sha2-384-192": "SHA2-384-192",
    "hmac-sha2-512-256": "SHA2-512-256",
    "hmac-md5-96": "HMAC-MD5-96",
    "aes-cmac-96": "AES-CMAC-96",
}
SCAPY_NAMES = {
    "aes-ccm-8": ("AES-CCM", "NULL"),
    "aes-ccm-12": ("AES-CCM", "NULL"),
} | {
    f"{cipher}-{integrity}".rstrip("-"): (SCAPY_CIPHERS[cipher], SCAPY_INTEGRITY[integrity])
    for cipher in SCAPY_CIPHERS
    for integrity in SCAPY_INTEGRITY
}
OUTER = {4: IP(src="192.0.2.1", dst="192.0.2.2"), 6: IPv6(src="2001:db8::1", dst="2001:db8::2")}
INNER = {4: IP(src="10.0.0.1", dst="10.0.0.2"), 6: IPv6(src="fd00::1", dst="fd00::2")}
NEXT_HEADER = {4: 4, 6: 41}
VERSIONS = st.sampled_from([4, 6])
HIGH_HALVES = st.sampled_from([0, 1, 0x87654321])


@pytest.fixture(
    params=[
        *((name, False) for name in EACH_ALGORITHM if name in SCAPY_NAMES),
        *((name, True) for name in WITH_ESN if name in SCAPY_NAMES),
    ],
    ids=lambda param: param[0] + ("-esn" if param[1] else ""),
    scope="module",
)
def parameters(request, make_parameters):
    """Parameters with each algorithm that Scapy has and does right."""
    name, esn = request.param
    return make_parameters(name, esn=esn)


def scapy_sa(parameters, tunnel, high=0):
    crypt, auth = SCAPY_NAMES[parameters.suite.name]
    combined = parameters.suite.name.startswith("aes-ccm")
    return SecurityAssociation(
        ESP,
        parameters.spi,
        crypt_algo=crypt,
        crypt_key=parameters.encryption_key,
        crypt_icv_size=parameters.suite.icv_length if combined else None,
        auth_algo=auth,
        auth_key=parameters.integrity_key,
        tunnel_header=tunnel,
        esn_en=parameters.esn,
        esn=high,
    )


def whole(parameters, high, low):
    """The sequence number with its high half, if the SA has one."""
    return (high << 32) + low if parameters.esn else low


@settings(deadline=None, max_examples=8)
@given(VERSIONS, VERSIONS, HIGH_HALVES, st.integers(1, 2**32 - 1), st.binary(max_size=200))
def test_scapy_opens_ours_in_tunnel_mode(parameters, outer, inner, high, low, data):
    payload = bytes(INNER[inner] / UDP(sport=1, dport=2) / Raw(data))
    sequence = whole(parameters, high, low)
    sa = OutboundSa(parameters, random_bytes=Random(low).randbytes, first_sequence=sequence)
    packet = sa.seal(payload, NEXT_HEADER[inner])
    tunnel = OUTER[outer]
    carrier = type(tunnel)(bytes(tunnel / ESP(packet)))
    assert bytes(scapy_sa(parameters, tunnel, high).decrypt(carrier)) == payload


@settings(deadline=None, max_examples=8)
@given(VERSIONS, VERSIONS, HIGH_HALVES, st.integers(1, 2**32 - 1), st.binary(max_size=200))
def test_ours_opens_scapys_in_tunnel_mode(parameters, outer, inner, high, low, data):
    packet = INNER[inner] / UDP(sport=1, dport=2) / Raw(data)
    payload = bytes(packet)
    sequence = whole(parameters, high, low)
    sealed = scapy_sa(parameters, OUTER[outer], high).encrypt(packet, seq_num=low)
    opened = InboundSa(parameters, ceiling=sequence - 1).open(bytes(sealed[ESP]))
    assert opened == (payload, NEXT_HEADER[inner], sequence, True)


@settings(deadline=None, max_examples=5)
@given(VERSIONS, st.binary(max_size=200))
def test_transport_mode_both_ways(parameters, version, data):
    packet = OUTER[version] / UDP(sport=1, dport=2) / Raw(data)
    payload = bytes(packet)[-len(packet[UDP]) :]
    sealed = scapy_sa(parameters, None).encrypt(packet.copy())
    assert InboundSa(parameters).open(bytes(sealed[ESP])) == (payload, 17, 1, True)
    ours = OutboundSa(parameters, random_bytes=bytes).seal(payload, 17)
    carrier = type(OUTER[version])(bytes(OUTER[version] / ESP(ours)))
    assert bytes(scapy_sa(parameters, None).decrypt(carrier)[UDP]) == payload
