"""strongSwan's names of algorithms."""

import pytest

from scapy_mobsec.drivers.keys.names import COMBINED
from scapy_mobsec.drivers.keys.strongswan import (
    cipher_of,
    integrity_of,
    name_of,
    name_of_cipher,
    prf_of,
)
from scapy_mobsec.esp.ciphers import CIPHERS
from scapy_mobsec.esp.integrity import INTEGRITY
from scapy_mobsec.ike.prf import PRFS


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("AES_CBC_128", "aes-cbc"),
        ("AES_GCM_16_256", "aes-gcm-16"),
        ("AES_GCM_16", "aes-gcm-16"),
        ("AES_CCM_8_192", "aes-ccm-8"),
        ("CHACHA20_POLY1305_256", "chacha20-poly1305"),
        ("NULL_AES_GMAC_128", "null-aes-gmac"),
        ("3DES_CBC", "3des-cbc"),
        ("NULL", "null"),
        ("BLOWFISH_CBC_128", None),
        ("AES_GCM_17_128", None),
        ("", None),
    ],
)
def test_ciphers(name, ours):
    assert cipher_of(name) == ours


def test_all_that_there_is_goes_there_and_back():
    for cipher in (*CIPHERS, *COMBINED):
        assert cipher_of(name_of_cipher(cipher, 32)) == cipher
    for integrity in INTEGRITY:
        assert integrity_of(name_of(integrity)) == integrity
    for prf in PRFS:
        assert prf_of(name_of(prf, prf=True)) == prf


def test_key_lengths_are_told_where_they_may_differ():
    assert name_of_cipher("aes-cbc", 24) == "AES_CBC_192"
    assert name_of_cipher("3des-cbc", 24) == "3DES_CBC"
    assert name_of("hmac-sha2-256-128") == "HMAC_SHA2_256_128"
    assert (integrity_of("HMAC"), prf_of("HMAC_SHA1_96")) == (None, None)
