"""Names of suites, put together and taken apart."""

import pytest

from scapy_mobsec.drivers.keys.names import (
    COMBINED,
    INTEGRITY_OF_KEY_LENGTH,
    find_suite,
    parts_of,
)
from scapy_mobsec.esp.integrity import INTEGRITY
from scapy_mobsec.esp.suites import SUITES


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_each_suite_has_parts_that_find_it(suite):
    encryption, integrity = parts_of(suite)
    assert find_suite(encryption, integrity) is suite
    assert (integrity is None) == (suite.name in COMBINED)


def test_parts():
    assert parts_of(SUITES["null-aes-gmac"]) == ("null-aes-gmac", None)
    assert parts_of(SUITES["null-aes-cmac-96"]) == ("null", "aes-cmac-96")
    assert parts_of(SUITES["3des-cbc-unknown-96"]) == ("3des-cbc", "unknown-96")


def test_what_is_no_suite():
    assert find_suite("aes-cbc") is None
    assert find_suite("aes-gcm-16", "hmac-sha1-96") is None


def test_key_lengths_tell_what_has_such_keys():
    for length, name in INTEGRITY_OF_KEY_LENGTH.items():
        assert INTEGRITY[name].key_length == length
