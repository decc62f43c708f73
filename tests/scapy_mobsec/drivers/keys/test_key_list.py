"""Plain lists of keys."""

import io

import pytest
from hypothesis import given
from key_samples import K16, K20, K32, KEY_LIST, PCAPS, ike_keys, rows, table_of

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys
from scapy_mobsec.drivers.keys import key_list
from scapy_mobsec.esp.ah import AH_SUITES
from scapy_mobsec.ike.keys import IkeSaKeys

IKE = "[IKE] alg=AES_GCM_16_128\nSPIi = 7c2b8a492a2ce89a\nSPIr = 409048ebb6164b6a\n"


def read(text):
    return read_keys(io.StringIO(text), "keys")


def test_sections():
    table = read(KEY_LIST)
    key, integrity_key = bytes.fromhex(K16), bytes.fromhex(K32)
    assert table.ike_keys == [
        IkeSaKeys(
            bytes.fromhex("7c2b8a492a2ce89a"),
            bytes.fromhex("409048ebb6164b6a"),
            "aes-cbc",
            "hmac-sha2-256-128",
            None,
            key,
            key,
            *[integrity_key] * 3,
        )
    ]
    assert [row.spi.value for row in table.rows] == [0x1001, 0x1002]
    assert {row.suite.name for row in table.rows} == {"aes-cbc-hmac-sha2-256-128"}
    assert [row.origin for row in table.rows] == ["keys:10"] * 2


@pytest.mark.parametrize("name", ["strongswan-natt", "strongswan-natt-aes128-sha256"])
def test_lists_of_real_runs(name):
    table = read((PCAPS / f"{name}.keys.txt").read_text())
    assert (len(table.rows), len(table.ike_keys), table.warnings) == (4, 1, [])


def test_ah_and_what_this_program_adds():
    text = (
        f"[AH 7] alg=HMAC_SHA1_96 esn=yes esn_high=3\n1->2 spi = 00000007\n1->2 integ = {K20}\n"
        f"[ESP] alg=AES_CBC integ=UNKNOWN_96\na->b spi = 0x8\na->b enc = 0x{K16}\n"
    )
    ah, esp = read(text.replace("0x8", "08")).rows
    assert (ah.suite, ah.esn, ah.esn_high) == (AH_SUITES["hmac-sha1-96"], True, 3)
    assert (esp.suite.name, esp.spi.value) == ("aes-cbc-unknown-96", 8)


def test_integrity_that_nothing_tells_is_not_known_of_ike():
    text = IKE.replace("GCM_16", "CBC") + f"Sk_ei = {K16}\nSk_er = {K16}\nSk_ai = {K16}\n"
    (keys,) = read(f"{text}Sk_ar = {K16}\n").ike_keys
    assert keys.integrity is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"[ESP]\na->b spi = 01\na->b enc = {K16}\n", "alg is not told or not known"),
        (f"[ESP] alg=X\na->b spi = 01\na->b enc = {K16}\n", "alg is not told or not known"),
        (f"[ESP] alg=AES_CBC_128\na->b spi = 01\na->b enc = {K16}\n", "its algorithms are not"),
        (
            f"[ESP] alg=AES_GCM_16_128 integ=HMAC_SHA1_96\na->b spi = 01\na->b enc = {K20}\n",
            "its algorithms are not decrypted",
        ),
        (f"[AH] alg=X\na->b spi = 01\na->b integ = {K16}\n", "its algorithms are not decrypted"),
        (f"{IKE.replace('AES_GCM_16_128', 'X')}Sk_ei = 00\nSk_er = 00\n", "alg is not told"),
    ],
)
def test_what_is_not_decrypted_is_a_warning(text, reason):
    table = read(text + KEY_LIST)
    assert len(table.rows) == 2
    assert table.warnings[0].startswith(f"keys:1: skipped, {reason}")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (IKE, 1, "no Sk_ei in this section"),
        (f"{IKE}Sk_ei = 0\n", 4, "Sk_ei: not pairs of hexadecimal digits"),
        (f"{IKE}nonsense\n", 4, "neither a section"),
        (f"{IKE}a->b Sk_ei = 00\n", 4, "A->B before the name is for ESP and AH"),
        (f"[ESP] alg=AES_CBC_128\nspi = {K16}\n", 2, "A->B before the name"),
        (f"[ESP] alg=AES_CBC_128\na->b enc = {K16}\n", 1, "no spi for a direction"),
        (f"[ESP] alg=AES_GCM_16_128\na->b spi = 01\na->b enc = {K16}\n", 1, "key of 16 octets"),
        (f"[ESP] alg=AES_GCM_16_128\na->b spi = 00\na->b enc = {K20}\n", 1, "not an SPI"),
        (f"[ESP] alg=AES_GCM_16_128 esn_high=x\na->b spi = 01\na->b enc = {K20}\n", 1, "esn_high"),
        (f"{IKE}Sk_ei = 00\nSk_er = 0000\n", 1, "differ in length"),
    ],
)
def test_bad_lines_are_told(text, line, reason):
    with pytest.raises(KeyFileError, match=f"^keys:{line}: .*{reason}"):
        read(text)


@given(ike_keys())
def test_keys_of_ike_are_read_back(keys):
    assert read(key_list.write(table_of(keys)).text).ike_keys == [keys]


@given(rows())
def test_rows_are_read_back_without_their_addresses(row):
    written = key_list.write(table_of(row))
    assert bool(written.sas) == row.spi.exact
    for back in read(written.text).rows:
        assert back.parameters(back.spi.value) == row.parameters(row.spi.value)
