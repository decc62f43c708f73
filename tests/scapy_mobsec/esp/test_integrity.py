"""Integrity algorithms against the vectors of their RFCs."""

import pytest

from scapy_mobsec.esp.integrity import INTEGRITY

MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CMAC_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
COUNTING = bytes(range(16))
QUESTION = b"what do ya want for nothing?"

VECTORS = [
    # RFC 2202 section 2, cases 1 and 3
    ("hmac-md5-96", b"\x0b" * 16, b"Hi There", "9294727a3638bb1c13f48ef8"),
    ("hmac-md5-96", b"\xaa" * 16, b"\xdd" * 50, "56be34521d144c88dbb8c733"),
    # RFC 2202 section 3, cases 1 and 3
    ("hmac-sha1-96", b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6"),
    ("hmac-sha1-96", b"\xaa" * 20, b"\xdd" * 50, "125d7342b9ac11cd91a39af4"),
    # RFC 4868 section 2.7.2
    ("hmac-sha2-256-128", b"\x0b" * 32, b"Hi There", "198a607eb44bfbc69903a0f1cf2bbdc5"),
    ("hmac-sha2-256-128", b"Jefe" * 8, QUESTION, "167f928588c5cc2eef8e3093caa0e87c"),
    ("hmac-sha2-256-128", b"\xaa" * 32, b"\xdd" * 50, "cdcb1220d1ecccea91e53aba3092f962"),
    (
        "hmac-sha2-256-128",
        bytes(range(1, 33)),
        b"\xcd" * 50,
        "372efcf9b40b35c2115b1346903d2ef4",
    ),
    ("hmac-sha2-256-96", b"\x0b" * 32, b"Hi There", "198a607eb44bfbc69903a0f1"),
    (
        "hmac-sha2-384-192",
        b"\x0b" * 48,
        b"Hi There",
        "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
    ),
    (
        "hmac-sha2-384-192",
        b"Jefe" * 12,
        QUESTION,
        "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d",
    ),
    (
        "hmac-sha2-384-192",
        b"\xaa" * 48,
        b"\xdd" * 50,
        "809f439be00274321d4a538652164b53554a508184a0c316",
    ),
    (
        "hmac-sha2-512-256",
        b"\x0b" * 64,
        b"Hi There",
        "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
    ),
    (
        "hmac-sha2-512-256",
        b"Jefe" * 16,
        QUESTION,
        "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454",
    ),
    (
        "hmac-sha2-512-256",
        b"\xaa" * 64,
        b"\xdd" * 50,
        "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8",
    ),
    # RFC 3566 section 4.6
    ("aes-xcbc-96", COUNTING, b"", "75f0251d528ac01c4573dfd5"),
    ("aes-xcbc-96", COUNTING, bytes(range(3)), "5b376580ae2f19afe7219cee"),
    ("aes-xcbc-96", COUNTING, bytes(range(16)), "d2a246fa349b68a79998a439"),
    ("aes-xcbc-96", COUNTING, bytes(range(20)), "47f51b4564966215b8985c63"),
    ("aes-xcbc-96", COUNTING, bytes(range(32)), "f54f0ec8d2b9f3d36807734b"),
    ("aes-xcbc-96", COUNTING, bytes(range(34)), "becbb3bccdb518a30677d548"),
    ("aes-xcbc-96", COUNTING, bytes(1000), "f0dafee895db30253761103b"),
    # RFC 4493 section 4, cut as in RFC 4494
    ("aes-cmac-96", CMAC_KEY, b"", "bb1d6929e95937287fa37d12"),
    ("aes-cmac-96", CMAC_KEY, MESSAGE[:16], "070a16b46b4d4144f79bdd9d"),
    ("aes-cmac-96", CMAC_KEY, MESSAGE[:40], "dfa66747de9ae63030ca3261"),
    ("aes-cmac-96", CMAC_KEY, MESSAGE, "51f0bebf7e3b9d92fc497417"),
]


@pytest.mark.parametrize(("name", "key", "data", "icv"), VECTORS)
def test_vectors(name, key, data, icv):
    row = INTEGRITY[name]
    assert (row.key_length, row.icv_length) == (len(key), len(icv) // 2)
    keyed = row.keyed(key)
    assert [keyed(data).hex() for _ in range(2)] == [icv, icv]


def test_each_algorithm_has_a_vector():
    assert {name for name, *_ in VECTORS} == set(INTEGRITY)
    assert all(row.name == name for name, row in INTEGRITY.items())
