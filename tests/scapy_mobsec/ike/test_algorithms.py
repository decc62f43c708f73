import pytest
from ike import AES_CBC_SHA256, AES_GCM_16, proposal

from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.ike.algorithms import (
    UnsupportedAlgorithm,
    integrity_of,
    name_of,
    names_of,
    prf_of,
    suite_named,
    suite_of,
)
from scapy_mobsec.ike.message import Payload
from scapy_mobsec.ike.numbers import Encryption, Integrity, PayloadType
from scapy_mobsec.ike.payloads import parse_payload


def of(*transforms):
    payload = Payload(PayloadType.SA, False, proposal(transforms), 0, 0)
    return parse_payload(payload).proposals[0]


@pytest.mark.parametrize(
    ("transforms", "suite", "length"),
    [
        (AES_GCM_16, "aes-gcm-16", 36),
        ([(1, 20, 128), (3, 0, None)], "aes-gcm-16", 20),
        (AES_CBC_SHA256, "aes-cbc-hmac-sha2-256-128", 16),
        ([(1, 12, 256), (3, 2, None)], "aes-cbc-hmac-sha1-96", 32),
        ([(1, 13, 128), (3, 5, None)], "aes-ctr-aes-xcbc-96", 20),
        ([(1, 15, 256)], "aes-ccm-12", 35),
        ([(1, 28, None)], "chacha20-poly1305", 36),
        ([(1, 3, None), (3, 8, None)], "3des-cbc-aes-cmac-96", 24),
        ([(1, 11, None), (3, 14, None)], "null-hmac-sha2-512-256", 0),
        ([(1, 21, 128)], "null-aes-gmac", 20),
        ([(1, 12, 128)], "aes-cbc-none", 16),
    ],
)
def test_a_proposal_names_a_suite_and_a_key_length(transforms, suite, length):
    assert suite_of(of(*transforms)) == (SUITES[suite], length)


@pytest.mark.parametrize(
    ("transforms", "word"),
    [
        ([], "no encryption"),
        ([(1, 23, 256)], "camellia"),
        ([(1, 4711, None)], "4711"),
        ([(1, 12, 128), (3, 4711, None)], "4711"),
        ([(1, 20, None)], "without a key length"),
        ([(1, 20, 120)], "120 bits"),
        ([(1, 20, 129)], "129 bits"),
    ],
)
def test_what_is_not_decrypted_is_named(transforms, word):
    with pytest.raises(UnsupportedAlgorithm, match=word):
        suite_of(of(*transforms))


def test_names_are_those_of_the_registry_in_lower_case():
    assert name_of(Encryption, 20) == "aes-gcm-16"
    assert name_of(Integrity, 12) == "hmac-sha2-256-128"
    assert name_of(Integrity, 99) == "99"
    assert names_of(of(*AES_CBC_SHA256)) == ("aes-cbc", "hmac-sha2-256-128")
    assert integrity_of(of(*AES_GCM_16)) is None
    assert prf_of(of((2, 5, None))) == "hmac-sha2-256"
    assert prf_of(of()) is None


def test_a_suite_that_is_not_there_is_named():
    with pytest.raises(UnsupportedAlgorithm, match="rot13-rot13 is not decrypted"):
        suite_named("rot13", "rot13")
