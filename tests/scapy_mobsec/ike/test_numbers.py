"""Scapy's tables, made by others from the same registry, are the witness."""

import pytest
from scapy.contrib import ikev2

from scapy_mobsec.ike import numbers


def squeezed(name):
    name = name.upper().replace("IV2_NOTIFY_", "").replace("IKEV2_", "")
    return "".join(letter for letter in name if letter.isalnum())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (numbers.Exchange, ikev2.IKEv2ExchangeTypes),
        (numbers.NotifyType, ikev2.IKEv2NotifyMessageTypes),
        (numbers.Protocol, ikev2.IKEv2ProtocolTypes),
        (numbers.ConfigurationType, ikev2.IKEv2ConfigurationPayloadCFGTypes),
    ],
)
def test_the_names_are_those_of_the_registry(ours, theirs):
    known = {number: squeezed(name) for number, name in theirs.items()}
    assert {number.value: squeezed(number.name) for number in ours if number in known} == {
        number: name for number, name in known.items() if number in list(ours)
    }


@pytest.mark.parametrize(
    ("kind", "ours", "words"),
    [
        (1, numbers.Encryption, {"AES_GCM_16": "AES-GCM-16ICV", "TRIPLE_DES": "3DES"}),
        (2, numbers.PseudoRandom, {"AES_CMAC": "PRF_AES128_CMAC", "AES_XCBC": "PRF_AES128_XCBC"}),
        (3, numbers.Integrity, {"HMAC_SHA2_256_128": "SHA2-256-128", "AES_XCBC_96": "AES-XCBC-96"}),
        (4, numbers.KeyExchange, {"MODP_2048": "2048MODPgr", "CURVE25519": "curve25519gr"}),
    ],
)
def test_transforms_have_the_numbers_of_the_registry(kind, ours, words):
    theirs = ikev2.IKEv2TransformAlgorithms[kind]
    assert {theirs[ours[name]] for name in words} == set(words.values())
