"""Ciphers alone, against the vectors of their RFCs."""

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from vectors import load

from scapy_mobsec.esp.ciphers import CIPHERS

RFC3602 = load("rfc3602-esp.json")

RFC3686 = [
    # section 6, vectors 1, 2, 3, 4, 7: key, nonce, IV, plaintext, ciphertext
    (
        "ae6852f8121067cc4bf7a5765577f39e",
        "00000030",
        "0000000000000000",
        b"Single block msg",
        "e4095d4fb7a7b3792d6175a3261311b8",
    ),
    (
        "7e24067817fae0d743d6ce1f32539163",
        "006cb6db",
        "c0543b59da48d90b",
        bytes(range(32)),
        "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
    ),
    (
        "7691be035e5020a8ac6e618529f9a0dc",
        "00e0017b",
        "27777f3f4a1786f0",
        bytes(range(36)),
        "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f",
    ),
    (
        "16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515",
        "00000048",
        "36733c147d6d93cb",
        b"Single block msg",
        "4b55384fe259c9c84e7935a003cbe928",
    ),
    (
        "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104",
        "00000060",
        "db5672c97aa8f0b2",
        b"Single block msg",
        "145ad01dbf824ec7560863dc71e3e0c0",
    ),
]


@pytest.mark.parametrize(("key", "nonce", "iv", "plaintext", "ciphertext"), RFC3686)
def test_rfc3686_vectors(key, nonce, iv, plaintext, ciphertext):
    cipher = CIPHERS["aes-ctr"].make(bytes.fromhex(key + nonce))
    assert cipher.encrypt(bytes.fromhex(iv), plaintext).hex() == ciphertext
    assert cipher.decrypt(bytes.fromhex(iv), bytes.fromhex(ciphertext)) == plaintext


def test_rfc3602_packets_one_after_the_other():
    """Each packet chains from its own IV, whatever went through the SA before it."""
    cipher = CIPHERS["aes-cbc"].make(RFC3602[0]["key"])
    same_key = [case for case in RFC3602 if case["key"] == RFC3602[0]["key"]]
    for case in same_key * 2:
        iv, ciphertext = case["packet"][8:24], case["packet"][24:]
        plaintext = cipher.decrypt(iv, ciphertext)
        assert plaintext.startswith(case["payload"])
        assert cipher.encrypt(iv, plaintext) == ciphertext


def test_3des_packets_one_after_the_other():
    key = bytes(range(24))
    cipher = CIPHERS["3des-cbc"].make(key)
    for number in range(1, 5):
        iv, plaintext = bytes((number,)) * 8, bytes(range(8 * number))
        expected = Cipher(TripleDES(key), modes.CBC(iv)).encryptor().update(plaintext)
        assert cipher.encrypt(iv, plaintext) == expected
        assert cipher.decrypt(iv, expected) == plaintext


def test_null_changes_nothing():
    cipher = CIPHERS["null"].make(b"")
    assert cipher.encrypt(b"", b"data") == cipher.decrypt(b"", b"data") == b"data"


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        CIPHERS["null"] = CIPHERS["aes-cbc"]
