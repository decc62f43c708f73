from dataclasses import replace

from frames import Keys, gcm

import scapy_mobsec.observer.learnt_keys as learnt_module
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.observer.learnt_keys import LearntKeys

PLACE = 4, bytes(4), bytes(4)
AH = AhParameters(9, AH_SUITES["hmac-sha1-96"], bytes(20))


def test_what_is_learnt_comes_behind_what_was_given():
    keys = LearntKeys(Keys(gcm(7)))
    assert list(keys.candidates(*PLACE, 8)) == []
    assert not keys.knows_spi(8)
    keys.learn(gcm(8))
    keys.learn(gcm(7, octet=1))
    keys.learn(gcm(7))
    assert list(keys.candidates(*PLACE, 8)) == [gcm(8)]
    assert list(keys.candidates(*PLACE, 7)) == [gcm(7), gcm(7, octet=1)]
    assert keys.knows_spi(7)
    assert keys.knows_spi(8)


def test_ah_is_apart_from_esp():
    keys = LearntKeys(Keys())
    keys.learn(AH)
    assert list(keys.ah_candidates(*PLACE, 9)) == [AH]
    assert list(keys.candidates(*PLACE, 9)) == []
    assert not keys.knows_spi(9)
    given = LearntKeys(Keys(AH))
    given.learn(AH)
    given.learn(gcm(9))
    assert list(given.ah_candidates(*PLACE, 9)) == [AH]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(learnt_module, "MAX_LEARNT", 3)
    monkeypatch.setattr(learnt_module, "MAX_OF_ONE_SPI", 2)
    keys = LearntKeys(Keys())
    for spi in range(1, 9):
        keys.learn(gcm(spi))
    assert len(keys) == 3
    assert not keys.knows_spi(5)
    for octet in range(5):
        keys.learn(replace(gcm(8, octet=octet)))
    assert list(keys.candidates(*PLACE, 8)) == [gcm(8, octet=3), gcm(8, octet=4)]
