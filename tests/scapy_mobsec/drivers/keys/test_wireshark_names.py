"""Names of algorithms in Wireshark's tables: complete, and the same in both directions."""

from pathlib import Path

import pytest

from scapy_mobsec.drivers.keys.wireshark_names import (
    AUTHENTICATIONS,
    ENCRYPTIONS,
    fold,
    names_of,
    suite_named,
    unknown_to_wireshark,
)
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES


def parameters(name):
    suite = SUITES[name]
    key = bytes(min(suite.key_lengths) + suite.salt_length)
    return SaParameters(1, suite, key, bytes(suite.integrity_key_length) or None)


def test_each_suite_goes_by_names_that_are_read_as_that_suite():
    for name, suite in SUITES.items():
        encryption, authentication = names_of(parameters(name))
        ours = ENCRYPTIONS[fold(encryption)].ours, AUTHENTICATIONS[fold(authentication)].ours
        assert suite_named(*ours) is suite


def test_no_two_suites_go_by_the_same_names():
    assert len({names_of(parameters(name)) for name in SUITES}) == len(SUITES)


@pytest.mark.parametrize(
    ("encryption", "authentication"),
    [
        (None, "none"),
        ("aes-cbc", None),
        ("aes-gcm-16", "hmac-sha1-96"),
        ("aes-gcm-16", "unknown-128"),
        (None, None),
        ("chacha20-poly1305", "unknown-128"),
    ],
)
def test_what_is_no_suite(encryption, authentication):
    assert suite_named(encryption, authentication) is None


def test_case_and_blanks_do_not_count():
    assert fold(" AES-GCM with 16 octet ICV [RFC4106]") == fold("aes-gcm WITH 16octet icv[rfc4106]")


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("aes-gcm-8", ""),
        ("3des-cbc-hmac-sha1-96", ""),
        ("aes-ctr-unknown-192", ""),
        ("aes-ccm-16", "no name for aes-ccm-16"),
        ("null-aes-gmac", "no name for null-aes-gmac"),
        ("aes-cbc-aes-xcbc-96", "no name for aes-xcbc-96"),
        ("chacha20-poly1305", "Wireshark 4.0 does not know"),
    ],
)
def test_which_rows_wireshark_cannot_read(name, warning):
    said = unknown_to_wireshark(names_of(parameters(name)))
    assert warning in said
    assert bool(warning) is bool(said)


def test_the_document_has_each_name():
    document = (Path(__file__).parents[4] / "docs" / "decode.md").read_text()
    rows = [line.split("|") for line in document.splitlines() if line.startswith("| `")]
    for name in (*ENCRYPTIONS.values(), *AUTHENTICATIONS.values()):
        if name.ours:
            (row,) = (row for row in rows if f"`{name.ours}`" in row[1])
            written = "none:" if name.written == name.ours else name.written
            assert row[2].startswith(f" {written} ")
