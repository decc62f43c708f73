from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ike import NONCE_I, chain, clear, keys, nonce, notify, sealed, sealed_octets

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.integrity import INTEGRITY
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.ike.algorithms import UnsupportedAlgorithm, suite_named
from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.numbers import Exchange, PayloadType
from scapy_mobsec.ike.protection import Opener

ITEMS = nonce(NONCE_I), notify(16396)
COMBINED = [name for name in SUITES if name.startswith(("aes-gcm", "aes-ccm", "chacha20"))]
CIPHERS = "aes-cbc", "aes-ctr", "3des-cbc"
PAIRS = [(name, None) for name in COMBINED] + list(product(CIPHERS, INTEGRITY))


@pytest.mark.parametrize(("encryption", "integrity"), PAIRS)
@pytest.mark.parametrize("initiator", [True, False])
def test_each_suite_of_esp_opens_ike(encryption, integrity, initiator):
    sa_keys = keys(encryption, integrity)
    message = parse_message(sealed(sa_keys, Exchange.IKE_AUTH, *ITEMS, initiator=initiator))
    opened = Opener(sa_keys, None).open(message)
    assert (opened.first_type, opened.plaintext) == chain(ITEMS)
    assert (opened.verified, opened.number, opened.total) == (True, 1, 1)


@pytest.mark.parametrize(("encryption", "integrity"), PAIRS)
def test_any_octet_changed_is_told(encryption, integrity):
    sa_keys = keys(encryption, integrity)
    octets = sealed(sa_keys, Exchange.IKE_AUTH, *ITEMS)
    opener = Opener(sa_keys, None)
    for at in (0, 8, 18, 23, 30, len(octets) - 30, len(octets) - 1):
        changed = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
        with pytest.raises(Drop) as caught:
            opener.open(parse_message(changed))
        assert caught.value.reason in (DropReason.BAD_ICV, DropReason.MALFORMED_IKE)


def test_the_keys_are_of_the_direction():
    octets = sealed(keys(), Exchange.IKE_AUTH, *ITEMS, initiator=True)
    turned = octets[:19] + bytes([octets[19] ^ 0x08]) + octets[20:]
    with pytest.raises(Drop) as caught:
        Opener(keys(), None).open(parse_message(turned))
    assert caught.value.reason is DropReason.BAD_ICV


def test_integrity_can_be_told_by_ike_sa_init():
    sa_keys = keys("aes-cbc", "hmac-sha1-96")
    octets = sealed(sa_keys, Exchange.IKE_AUTH, *ITEMS)
    unnamed = replace(sa_keys, integrity=None)
    assert Opener(unnamed, "hmac-sha1-96").open(parse_message(octets)).verified
    with pytest.raises(UnsupportedAlgorithm):
        Opener(unnamed, None)


def test_without_integrity_keys_nothing_is_verified():
    octets = sealed(keys("aes-cbc", "hmac-sha1-96"), Exchange.IKE_AUTH, *ITEMS)
    forged = octets[:-1] + bytes([octets[-1] ^ 1])
    opener = Opener(keys("aes-cbc", "hmac-sha1-96", sk_ai=None, sk_ar=None), None)
    assert not opener.verifies
    opened = opener.open(parse_message(forged))
    assert (opened.plaintext, opened.verified) == (chain(ITEMS)[1], False)


@pytest.mark.parametrize("change", [{"sk_ei": bytes(7), "sk_er": bytes(7)}, {"sk_ai": b"k" * 3}])
def test_keys_of_a_wrong_length_are_refused_without_showing_them(change):
    if "sk_ai" in change:
        change = {**change, "sk_ar": b"k" * 3}
    with pytest.raises(UnsupportedAlgorithm, match=r"key of [37] octets"):
        Opener(keys("aes-cbc", "hmac-sha1-96", **change), None)


@pytest.mark.parametrize("fragment", [(1, 1), (1, 3), (2, 3), (3, 3)])
def test_a_fragment_tells_its_number(fragment):
    suite = suite_named("aes-gcm-16", None)
    octets = sealed_octets(keys(), suite, Exchange.IKE_AUTH, 40, b"part", fragment)
    opened = Opener(keys(), None).open(parse_message(octets))
    assert (opened.plaintext, opened.number, opened.total) == (b"part", *fragment)


@pytest.mark.parametrize("fragment", [(0, 2), (3, 2), (0, 0)])
def test_fragment_numbers_that_cannot_be_are_malformed(fragment):
    suite = suite_named("aes-gcm-16", None)
    octets = sealed_octets(keys(), suite, Exchange.IKE_AUTH, 40, b"part", fragment)
    with pytest.raises(Drop) as caught:
        Opener(keys(), None).open(parse_message(octets))
    assert caught.value.reason is DropReason.MALFORMED_IKE


@pytest.mark.parametrize("length", [0, 8, 24, 25])
def test_a_body_too_short_for_its_suite_is_malformed(length):
    octets = clear(Exchange.IKE_AUTH, (PayloadType.SK, bytes(length)))
    with pytest.raises(Drop) as caught:
        Opener(keys(), None).open(parse_message(octets))
    assert caught.value.reason in (DropReason.MALFORMED_IKE, DropReason.BAD_ICV)
    assert (caught.value.reason is DropReason.BAD_ICV) is (length == 25)


def test_ciphertext_that_is_not_whole_blocks_is_malformed():
    octets = clear(Exchange.IKE_AUTH, (PayloadType.SK, bytes(16 + 17 + 12)))
    with pytest.raises(Drop) as caught:
        Opener(keys("aes-cbc", "hmac-sha1-96"), None).open(parse_message(octets))
    assert caught.value.reason is DropReason.MALFORMED_IKE


def test_padding_may_be_any_but_not_longer_than_what_there_is():
    octets = sealed(keys(), Exchange.IKE_AUTH, *ITEMS, padding=17)
    assert Opener(keys(), None).open(parse_message(octets)).plaintext == chain(ITEMS)[1]
    assert Opener(keys(), None).open(parse_message(sealed(keys(), 37))).plaintext == b""
    suite = suite_named("aes-gcm-16", None)
    bad = sealed_octets(keys(), suite, 37, 0, b"\x09", initiator=True)
    with pytest.raises(Drop) as caught:
        Opener(keys(), None).open(parse_message(_resealed(bad)))
    assert caught.value.reason is DropReason.MALFORMED_IKE


def _resealed(octets):
    """The same message with a padding length of 9 behind one octet."""
    suite, sa_keys = suite_named("aes-gcm-16", None), keys()
    protection = suite.protection(sa_keys.sk_ei, None)
    head, iv = octets[:32], octets[32:40]
    return head + iv + protection.encrypt(head, b"", iv, b"\x00\x09")


@given(st.binary(max_size=90), st.sampled_from([PayloadType.SK, PayloadType.SKF]))
def test_only_drop_leaves_the_opener(body, kind):
    opener = Opener(keys("aes-cbc", "hmac-sha1-96", sk_ai=None, sk_ar=None), None)
    with suppress(Drop):
        opener.open(parse_message(clear(Exchange.INFORMATIONAL, (kind, body))))
