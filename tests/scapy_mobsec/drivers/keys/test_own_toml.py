"""This program's own key files."""

import io
import re
from pathlib import Path

import pytest
from key_samples import K16, K20, K32, TOML

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys
from scapy_mobsec.drivers.keys import own_toml
from scapy_mobsec.esp.ah import AH_SUITES

ESP = f'[[esp]]\nspi = "1"\nsuite = "aes-gcm-16"\nencryption_key = "{K20}"\n'
IKE = (
    '[[ike]]\ninitiator_spi = "7c2b8a492a2ce89a"\nresponder_spi = "409048ebb6164b6a"\n'
    f'encryption = "aes-cbc"\nsk_ei = "{K16}"\nsk_er = "{K16}"\n'
)


def read(text):
    return read_keys(io.StringIO(text), "keys")


def test_tables():
    table = read(TOML)
    esp, ah = table.rows
    assert (str(esp.source), str(esp.destination), esp.family) == ("10.0.0.0/8", "192.0.2.1", 4)
    assert (esp.esn, esp.anywhere, esp.origin) == (True, False, "keys:1")
    assert (esp.encryption_key.hex(), esp.integrity_key.hex()) == (K16, K32)
    assert (ah.suite, str(ah.spi), ah.origin) == (
        AH_SUITES["hmac-sha1-96"],
        "0x0000100*",
        "keys:11",
    )
    (ike,) = table.ike_keys
    assert (ike.sk_d.hex(), ike.prf) == (K32, "hmac-sha2-256")


def test_only_what_must_be_there():
    (row,) = read(ESP).rows
    assert (row.family, str(row.source), row.esn, row.anywhere) == (None, "*", False, False)
    (keys,) = read(IKE).ike_keys
    assert (keys.integrity, keys.prf, keys.sk_ai, keys.sk_d) == (None, None, None, None)


def test_what_is_written_of_a_sample_is_the_sample():
    assert own_toml.write(read(TOML)).text.strip() == TOML.strip()


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (ESP + "x\n", 5, "not TOML"),
        (ESP + "x = " + "[" * 5000, 1, "not TOML"),
        (ESP + "esn_high = " + "9" * 5000, 1, "not TOML"),
        (ESP + "[other]\n", 1, "other tables than"),
        (ESP + ESP.replace('spi = "1"', ""), 5, "no spi"),
        (ESP.replace('"1"', '"0"'), 1, "spi: not readable"),
        (ESP.replace('"1"', "1"), 1, "spi: not of type str"),
        (ESP.replace("aes-gcm-16", "aes-gcm-17"), 1, "suite: not a name that is known"),
        (ESP.replace(K20, K20[:-1]), 1, "encryption_key: not pairs"),
        (ESP.replace(K20, K16), 1, "encryption key of 16 octets"),
        (ESP + 'integrity_key = "00"\n', 1, "has no integrity key"),
        (ESP + "family = 5\n", 1, "family: neither 4 nor 6"),
        (ESP + "esn = 1\n", 1, "esn: not of type bool"),
        (ESP + "esn_high = true\n", 1, "esn_high: not of type int"),
        (ESP + "esn_high = -1\n", 1, "upper half of a number"),
        (ESP + 'source = "10.0.0.256"\n', 1, "source: not readable"),
        (ESP + 'note = "x"\n', 1, "1 keys that this kind of table does not have"),
        (ESP.replace("[[esp]]", "[[ah]]"), 1, "suite: not a name that is known"),
        (IKE.replace("aes-cbc", "aes"), 1, "encryption: not a name that is known"),
        (IKE + 'integrity = "x"\n', 1, "integrity: not a name that is known"),
        (IKE.replace("cbc", "gcm-16") + 'integrity = "hmac-sha1-96"\n', 1, "integrity: not"),
        (IKE + 'prf = "x"\n', 1, "prf: not a name that is known"),
        (IKE.replace("sk_er", "sk_ai"), 1, "no SPI, sk_ei or sk_er"),
        (IKE.replace("409048ebb6164b6a", "40"), 1, "IKE SPI of 1 octets"),
        (IKE + 'spi = "1"\n', 1, "1 keys that this kind"),
        ("[[esp]]\n[[esp]]\n", 1, "no suite"),
        ("[[esp]]\n[esp.x]\n", 1, "no suite"),
    ],
)  # fmt: skip
def test_bad_files_are_told_by_the_line_of_the_table(text, line, reason):
    with pytest.raises(KeyFileError, match=f"^keys:{line}: .*{reason}"):
        read(text)


@pytest.mark.parametrize("text", ["esp = 1", "ike = {}", "esp = [1]", 'ah = ["x"]'])
def test_other_shapes_are_refused(text):
    with pytest.raises(ValueError, match="not"):
        own_toml.read(text, "keys")


def test_a_row_in_another_way_of_writing_is_read_without_its_line():
    inline = f'esp = [{{spi = "1", suite = "aes-gcm-16", encryption_key = "{K20}"}}]'
    assert own_toml.read(inline, "keys").rows == read(ESP).rows


def test_the_document_has_what_is_read():
    document = (Path(__file__).parents[4] / "docs" / "keys.md").read_text()
    example = re.search(r"^```toml\n(.*?)^```", document, re.MULTILINE | re.DOTALL)[1]
    example = example.replace('suite = "aes-gcm-16"', 'suite = "aes-cbc-hmac-sha2-256-128"')
    for key in (K16, K32, K20, K16, K16):
        example = example.replace('"..."', f'"{key}"', 1)
    table = read(example)
    assert (len(table.rows), len(table.ike_keys)) == (2, 1)
