"""Wireshark's ikev2_decryption_table."""

import io

import pytest
from hypothesis import given
from key_samples import IKEV2_TABLE, K16, K20, K32, PCAPS, ike_keys, table_of

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys
from scapy_mobsec.drivers.keys import ikev2_table
from scapy_mobsec.drivers.keys.ikev2_table import ENCRYPTIONS, INTEGRITIES
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.ike.keys import IkeSaKeys

SPIS = "7c2b8a492a2ce89a,409048ebb6164b6a"


def read(text):
    return read_keys(io.StringIO(text), "keys")


def test_rows():
    cbc, gcm = read(IKEV2_TABLE).ike_keys
    key, integrity_key = bytes.fromhex(K16), bytes.fromhex(K32)
    assert cbc == IkeSaKeys(
        bytes.fromhex("7c2b8a492a2ce89a"),
        bytes.fromhex("409048ebb6164b6a"),
        "aes-cbc",
        "hmac-sha2-256-128",
        None,
        key,
        key,
        integrity_key,
        integrity_key,
    )
    assert (gcm.encryption, gcm.integrity, gcm.sk_ai) == ("aes-gcm-16", None, None)


def test_a_row_of_wiresharks_own_tests_has_empty_columns():
    names = '"AES-CCM-128 with 12 octet ICV [RFC5282]",,,"NONE [RFC4306]"'
    (keys,) = read(f"{SPIS},{'ab' * 19},{'cd' * 19},{names}\n").ike_keys
    assert keys.encryption == "aes-ccm-12"


@pytest.mark.parametrize("name", ["strongswan-natt", "strongswan-natt-aes128-sha256"])
def test_tables_of_real_runs_are_written_as_they_were(name):
    text = (PCAPS / f"{name}.ikev2_decryption_table").read_text()
    assert ikev2_table.write(read(text)).text == text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f'{SPIS},{K16},{K16},"AES-CBC-128 [RFC3602]",{K32},{K32},"HMAC","x"', "9 columns, not 8"),
        (f'{SPIS},{K16},{K16},"AES-CBC",{K32},{K32},"NONE [RFC4306]"', "encryption: not a name"),
        (f'{SPIS},{K16},{K16},"AES-CBC-128 [RFC3602]",{K32},{K32},"HMAC"', "integrity: not a name"),
        (f'{SPIS},{K20},{K20},"AES-CBC-128 [RFC3602]",{K32},{K32},"HMAC_SHA2_256_128 [RFC4868]"',
         "SK_ei of 20 octets, not 16"),
        (f'{SPIS},{K16},{K16},"AES-CBC-128 [RFC3602]",{K20},{K32},"HMAC_SHA2_256_128 [RFC4868]"',
         "SK_ai or SK_ar of 20 octets, not 32"),
        (f'{SPIS},{K16},{K20},"AES-CBC-128 [RFC3602]",{K32},{K32},"HMAC_SHA2_256_128 [RFC4868]"',
         "SK_ei and SK_er differ"),
        (f'{SPIS}00,{K16},{K16},"AES-CBC-128 [RFC3602]",{K32},{K32},"HMAC_SHA2_256_128 [RFC4868]"',
         "IKE SPI of 9 octets"),
        (f'{SPIS},{K16}0,{K16},"AES-CBC-128 [RFC3602]",{K32},{K32},"NONE [RFC4306]"', "column 3"),
    ],
)  # fmt: skip
def test_bad_rows_are_told_by_line_and_column(row, reason):
    with pytest.raises(KeyFileError, match=f"^keys:3: .*{reason}"):
        read(f"{IKEV2_TABLE}{row}\n")


def test_what_is_not_decrypted_is_a_warning():
    row = f'{SPIS},{K16},{K16},"AES-CBC-128 [RFC3602]",,,"HMAC_MD5_128 [RFC4595]"\n'
    table = read(row)
    assert not table.ike_keys
    assert table.warnings == [
        "keys:1: skipped, AES-CBC-128 [RFC3602] with HMAC_MD5_128 [RFC4595] is not decrypted"
    ]


@given(ike_keys())
def test_what_has_names_in_wireshark_is_read_back(keys):
    written = ikev2_table.write(table_of(keys))
    suite = SUITES[f"{keys.encryption}-{keys.integrity}" if keys.integrity else keys.encryption]
    length = len(keys.sk_ei) - suite.salt_length
    named = (keys.encryption, length) in ENCRYPTIONS.values()
    assert written.ike_sas == (named and keys.integrity in INTEGRITIES.values())
    for back in read(written.text).ike_keys:
        assert (back.sk_d, back.prf) == (None, None)
        for field in ("initiator_spi", "encryption", "integrity", "sk_ei", "sk_er", "sk_ai"):
            assert getattr(back, field) == getattr(keys, field)
        assert any("SK_d" in warning for warning in written.warnings) == (keys.sk_d is not None)


def test_an_integrity_algorithm_that_is_not_known_is_said():
    keys = IkeSaKeys(b"initiate", b"response", "aes-cbc", None, None, b"k" * 16, b"k" * 16)
    assert ikev2_table.write(table_of(keys)).warnings == [
        f"IKE SA {b'initiate'.hex()} {b'response'.hex()}: left out, "
        "its integrity algorithm is not known"
    ]
