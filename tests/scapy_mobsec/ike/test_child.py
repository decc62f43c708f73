import json
from dataclasses import replace

import pytest
from ike import AES_CBC_SHA256, AES_GCM_16, NONCE_I, NONCE_R, SK_D, proposal

from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.ike.child import KeySeed, Underivable, derive_child_sa
from scapy_mobsec.ike.message import Payload
from scapy_mobsec.ike.numbers import PayloadType, Protocol
from scapy_mobsec.ike.payloads import parse_payload
from scapy_mobsec.ike.prf import PRFS, prf_plus

SEED = KeySeed("hmac-sha2-256", SK_D, NONCE_I, NONCE_R)
KEYMAT = prf_plus(PRFS["hmac-sha2-256"], SK_D, NONCE_I + NONCE_R, 200)


def of(transforms, spi, protocol=Protocol.ESP):
    payload = Payload(PayloadType.SA, False, proposal(transforms, protocol, spi), 0, 0)
    return parse_payload(payload).proposals[0]


def derive(transforms, seed=SEED, spis=(b"\0\0\1\1", b"\0\0\2\2"), protocol=Protocol.ESP):
    return derive_child_sa(
        seed, of(transforms, spis[0], protocol), of(transforms, spis[1], protocol)
    )


def test_combined_mode_takes_key_and_salt_for_each_direction():
    there, back = derive(AES_GCM_16)
    assert (there.spi, back.spi) == (0x202, 0x101)
    assert there.encryption_key == KEYMAT[:36]
    assert back.encryption_key == KEYMAT[36:72]
    assert there.integrity_key is None
    assert not there.esn


def test_the_encryption_key_comes_before_the_integrity_key():
    there, back = derive(AES_CBC_SHA256)
    assert (there.encryption_key, there.integrity_key) == (KEYMAT[:16], KEYMAT[16:48])
    assert (back.encryption_key, back.integrity_key) == (KEYMAT[48:64], KEYMAT[64:96])


@pytest.mark.parametrize(("number", "esn"), [(0, False), (1, True)])
def test_esn_as_chosen(number, esn):
    there, back = derive((*AES_GCM_16, (5, number, None)))
    assert there.esn is back.esn is esn
    assert isinstance(there, SaParameters)


@pytest.mark.parametrize(
    ("number", "name", "length"), [(12, "hmac-sha2-256-128", 32), (9, "aes-128-gmac", 20)]
)
def test_ah_has_integrity_keys_only(number, name, length):
    there, back = derive([(3, number, None), (5, 1, None)], protocol=Protocol.AH)
    suite = AH_SUITES[name]
    assert there == AhParameters(0x202, suite, KEYMAT[:length], True)
    assert back == AhParameters(0x101, suite, KEYMAT[length : 2 * length], True)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"transforms": [(1, 23, 256)]}, "camellia-cbc is not decrypted"),
        ({"transforms": AES_GCM_16, "protocol": Protocol.IKE}, "protocol 1"),
        ({"transforms": [(3, 4711, None)], "protocol": Protocol.AH}, "AH with 4711"),
        ({"transforms": [], "protocol": Protocol.AH}, "AH with none"),
        ({"transforms": AES_GCM_16, "seed": replace(SEED, prf="hmac-tiger")}, "hmac-tiger"),
        ({"transforms": AES_GCM_16, "spis": (b"\0\0\1\1", b"8 octets")}, "SPI of 8 octets"),
        ({"transforms": AES_GCM_16, "spis": (bytes(4), b"\0\0\2\2")}, "SPI 0"),
        ({"transforms": AES_GCM_16, "seed": replace(SEED, prf="aes-cmac")}, "key"),
    ],
)
def test_what_cannot_be_derived_says_why(options, word):
    with pytest.raises(Underivable, match=word) as caught:
        derive(**options)
    assert SK_D.hex() not in str(caught.value)


def test_no_secret_shows():
    assert json.dumps(repr(SEED)) == "\"KeySeed(prf='hmac-sha2-256')\""
