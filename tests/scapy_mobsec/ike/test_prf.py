import hmac

import pytest

from scapy_mobsec.ike.prf import PRFS, prf_plus

KEY = b"k" * 20
XCBC_KEY = bytes(range(16))
CMAC_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")


@pytest.mark.parametrize(
    ("length", "mac"),
    [
        (0, "75f0251d528ac01c4573dfd584d79f29"),
        (3, "5b376580ae2f19afe7219ceef172756f"),
        (16, "d2a246fa349b68a79998a4394ff7a263"),
        (20, "47f51b4564966215b8985c63055ed308"),
        (32, "f54f0ec8d2b9f3d36807734bd5283fd4"),
    ],
)
def test_aes_xcbc_as_in_rfc_3566_section_4_6(length, mac):
    assert PRFS["aes-xcbc"](XCBC_KEY, bytes(range(length))).hex() == mac


def test_aes_cmac_as_in_rfc_4493_section_4():
    assert PRFS["aes-cmac"](CMAC_KEY, b"").hex() == "bb1d6929e95937287fa37d129b756746"


@pytest.mark.parametrize(
    ("name", "digest", "length"),
    [
        ("hmac-md5", "md5", 16),
        ("hmac-sha1", "sha1", 20),
        ("hmac-sha2-256", "sha256", 32),
        ("hmac-sha2-384", "sha384", 48),
        ("hmac-sha2-512", "sha512", 64),
    ],
)
def test_hmac_as_python_has_it(name, digest, length):
    key = bytes(range(length))
    assert PRFS[name](key, b"data") == hmac.digest(key, b"data", digest)
    with pytest.raises(ValueError, match=f"not {length}"):
        PRFS[name](key + b"k", b"data")


def test_prf_plus_chains_its_blocks():
    prf = PRFS["hmac-sha1"]
    first = prf(KEY, b"seed\x01")
    second = prf(KEY, first + b"seed\x02")
    third = prf(KEY, second + b"seed\x03")
    assert prf_plus(prf, KEY, b"seed", 50) == (first + second + third)[:50]


def test_prf_plus_ends_after_255_blocks():
    prf = PRFS["hmac-md5"]
    assert len(prf_plus(prf, bytes(16), b"", 255 * 16)) == 255 * 16
    with pytest.raises(ValueError, match="yields no"):
        prf_plus(prf, bytes(16), b"", 255 * 16 + 1)


def test_a_key_of_a_wrong_length_is_a_value_error():
    with pytest.raises(ValueError, match="32 octets"):
        prf_plus(PRFS["aes-cmac"], bytes(32), b"", 16)
