"""Combined mode algorithms: Wycheproof, short ICVs against the long one, and what GMAC covers."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from vectors import load

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import InboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES

GCM = load("wycheproof/aes_gcm_96_128.json")
CCM = load("wycheproof/aes_ccm.json")
CHACHA20 = load("wycheproof/chacha20_poly1305.json")
WYCHEPROOF = [
    *(("aes-gcm-16", case) for case in GCM),
    *((f"aes-ccm-{len(case['tag'])}", case) for case in CCM),
    *(("chacha20-poly1305", case) for case in CHACHA20),
]


def id_of(value):
    return str(value["tcId"]) if isinstance(value, dict) else value


@pytest.mark.parametrize(("name", "case"), WYCHEPROOF, ids=id_of)
def test_wycheproof(name, case, drops):
    suite = SUITES[name]
    salt = case["iv"][: suite.salt_length]
    iv = case["iv"][suite.salt_length :]
    row, protected = suite.protection(case["key"] + salt, None), case["ct"] + case["tag"]
    if case["result"] == "valid":
        assert row.decrypt(case["aad"], b"", iv, protected) == case["msg"]
        assert row.encrypt(case["aad"], b"", iv, case["msg"]) == protected
    else:
        with drops(DropReason.BAD_ICV):
            row.decrypt(case["aad"], b"", iv, protected)


def test_wycheproof_has_both_kinds():
    counts = []
    for cases in (GCM, CCM, CHACHA20):
        results = [case["result"] for case in cases]
        counts.append((results.count("valid"), results.count("invalid")))
    assert counts == [(116, 81), (210, 81), (250, 60)]


ESP_SHAPED = [case for case in GCM if len(case["aad"]) == 8 and any(case["aad"][:4])]


@pytest.mark.parametrize("case", ESP_SHAPED, ids=id_of)
def test_wycheproof_as_esp_packet(case, drops):
    """The ICV passes; what then stops the packet is that the plaintext is no ESP plaintext."""
    spi = int.from_bytes(case["aad"][:4])
    sa = InboundSa(SaParameters(spi, SUITES["aes-gcm-16"], case["key"] + case["iv"][:4]))
    packet = case["aad"] + case["iv"][4:] + case["ct"] + case["tag"]
    with drops(DropReason.BAD_PADDING):
        sa.open(packet)
    with drops(DropReason.BAD_ICV):
        sa.open(packet[:-1] + bytes([packet[-1] ^ 1]))


@pytest.mark.parametrize("icv", [8, 12])
@given(key=st.binary(min_size=36, max_size=36), data=st.binary(max_size=100))
def test_a_short_icv_is_the_beginning_of_the_long_one(icv, key, data):
    row = SUITES[f"aes-gcm-{icv}"].protection(key, None)
    header, iv = b"\0\0\1\0\0\0\0\1", bytes(range(8))
    whole = AESGCM(key[:32]).encrypt(key[32:] + iv, data, header)
    protected = whole[: len(data) + icv]
    assert row.encrypt(header, b"", iv, data) == protected
    assert row.decrypt(header, b"", iv, protected) == data


def test_gmac_encrypts_nothing_and_covers_all(drops):
    row = SUITES["null-aes-gmac"].protection(bytes(20), None)
    header, high, iv = b"\0\0\1\0\0\0\0\1", b"\0\0\0\2", bytes(range(8))
    protected = row.encrypt(header, high, iv, b"in the clear")
    assert protected[:-16] == b"in the clear"
    assert row.decrypt(header, high, iv, protected) == b"in the clear"
    parts = [header, high, iv, protected]
    for number, part in enumerate(parts):
        for position in range(len(part)):
            changed = part[:position] + bytes([part[position] ^ 1]) + part[position + 1 :]
            with drops(DropReason.BAD_ICV):
                row.decrypt(*parts[:number], changed, *parts[number + 1 :])
