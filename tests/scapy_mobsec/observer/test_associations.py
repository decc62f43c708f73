from dataclasses import replace

import pytest
from frames import GATEWAY, OLD, TO_GATEWAY, Keys, ah, gcm

import scapy_mobsec.observer.associations as associations_module
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.ah import OutboundAh
from scapy_mobsec.esp.replay import ReplayWindow
from scapy_mobsec.esp.sa import OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.observer.associations import (
    ESN_HIGHS,
    MAX_ESN_TRIES,
    MAX_SPANS,
    Associations,
    ObservedSa,
)
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Encapsulation

OUTER = Outer(Encapsulation.UDP, OLD.address, 4500, GATEWAY.address, 4500)
INNER = build_ip(b"\x0a\x0a\x01\x01", b"\x0a\x0a\x02\x01", 1, b"ping")
CBC = SUITES["aes-cbc-hmac-sha2-256-128"]


def cbc(integrity_key=bytes(32), key=b"k" * 16):
    return SaParameters(TO_GATEWAY, CBC, key, integrity_key)


def sealed(parameters, payload=INNER, next_header=4):
    return OutboundSa(parameters, random_bytes=bytes).seal(payload, next_header)


def opened_in(associations, packet, outer=OUTER):
    return associations.open(int.from_bytes(packet[:4]), packet, outer)


def failure(associations, packet):
    with pytest.raises(Drop) as caught:
        opened_in(associations, packet)
    return caught.value.reason


def test_no_key():
    associations = Associations(Keys())
    assert failure(associations, sealed(gcm(TO_GATEWAY))) is DropReason.UNKNOWN_SPI
    (sa,) = associations
    assert (sa.no_key, sa.packets, sa.key_found, sa.suite) == (1, 1, False, None)


def test_a_wrong_icv_is_not_opened_by_the_same_key_without_integrity():
    associations = Associations(Keys(cbc(None), cbc()))
    good = sealed(cbc())
    assert opened_in(associations, good)[1].verified
    bad = good[:-1] + bytes([good[-1] ^ 1])
    assert failure(associations, bad) is DropReason.BAD_ICV
    (sa,) = associations
    assert (sa.verified, sa.unverified, sa.icv_failed) == (1, 0, 1)


def test_a_key_is_found_by_one_good_icv_among_several_for_the_spi():
    associations = Associations(Keys(gcm(TO_GATEWAY, 1), gcm(TO_GATEWAY, 2), gcm(TO_GATEWAY, 3)))
    sa, opened = opened_in(associations, sealed(gcm(TO_GATEWAY, 2)))
    assert opened.payload == INNER
    assert sa.key_found
    assert [entry.key_found for entry in associations] == [True]


def test_a_wrong_key_is_not_found():
    associations = Associations(Keys(gcm(TO_GATEWAY, 1)))
    assert failure(associations, sealed(gcm(TO_GATEWAY, 2))) is DropReason.BAD_ICV
    (sa,) = associations
    assert (sa.icv_failed, sa.key_found) == (1, False)


def test_failures_before_the_first_good_icv_stay_with_the_sa():
    associations = Associations(Keys(gcm(TO_GATEWAY)))
    good = sealed(gcm(TO_GATEWAY))
    failure(associations, good[:-1] + bytes([good[-1] ^ 1]))
    opened_in(associations, good)
    (sa,) = associations
    assert (sa.packets, sa.icv_failed, sa.verified) == (2, 1, 1)


def test_two_sas_with_one_spi_and_different_keys_are_two():
    associations = Associations(Keys(gcm(TO_GATEWAY, 1), gcm(TO_GATEWAY, 2)))
    first, _ = opened_in(associations, sealed(gcm(TO_GATEWAY, 1)))
    second, _ = opened_in(associations, sealed(gcm(TO_GATEWAY, 2)))
    assert first is not second
    assert [sa.verified for sa in associations] == [1, 1]


def test_without_integrity_key_it_is_unverified_and_no_key_is_found():
    associations = Associations(Keys(cbc(None)))
    sa, opened = opened_in(associations, sealed(cbc()))
    assert (sa.unverified, sa.verified, sa.key_found, opened.verified) == (1, 0, False, False)


def test_a_verifying_key_is_preferred():
    associations = Associations(Keys(cbc(None), cbc()))
    sa, opened = opened_in(associations, sealed(cbc()))
    assert opened.verified
    assert sa.key_found


@pytest.mark.parametrize(
    ("payload", "next_header"), [(b"\x00" * 20, 4), (INNER, 200)], ids=["no IP", "next header"]
)
def test_nonsense_without_integrity_key_is_no_key(payload, next_header):
    associations = Associations(Keys(cbc(None)))
    packet = sealed(cbc(), payload, next_header)
    assert failure(associations, packet) is DropReason.UNREADABLE
    (sa,) = associations
    assert (sa.no_key, sa.unverified) == (1, 0)


# Extended sequence numbers: only their lower half is sent


def esn(name="aes-gcm-16", *, high=0, spi=TO_GATEWAY):
    suite = SUITES[name]
    key = bytes(range(min(suite.key_lengths) + suite.salt_length))
    integrity_key = bytes(suite.integrity_key_length) or None
    return SaParameters(spi, suite, key, integrity_key, True, high)


def numbered(parameters, sequence):
    sender = OutboundSa(parameters, random_bytes=bytes, first_sequence=sequence)
    return sender.seal(INNER, 4)


def sequences(associations, parameters, numbers):
    packets = [numbered(parameters, number) for number in numbers]
    return [opened_in(associations, packet)[1].sequence for packet in packets]


AFTER_3 = 3 << 32
AFTER_4 = 4 << 32
ACROSS = [AFTER_3 - 2, AFTER_3 + 1, AFTER_3 - 1, AFTER_3 + 2**30, AFTER_4 - 2**30 - 1, AFTER_4 + 5]
JOINED = ["aes-gcm-16", "aes-ccm-8", "null-hmac-sha1-96", "aes-cbc-aes-cmac-96"]


@pytest.mark.parametrize(
    "name", ["aes-gcm-16", "aes-ccm-8", "null-hmac-sha1-96", "aes-cbc-aes-cmac-96"]
)
@pytest.mark.parametrize("first", [0, 1, 2])
def test_esn_of_an_sa_that_is_joined_late(name, first):
    """Whichever packet comes first, on this side of the wrap or on that."""
    parameters = esn(name)
    numbers = ACROSS[first:]
    associations = Associations(Keys(parameters))
    assert sequences(associations, parameters, numbers) == numbers
    (sa,) = associations
    assert (sa.verified, sa.icv_failed, sa.key_found) == (len(numbers), 0, True)


def test_esn_begins_where_the_key_says(monkeypatch):
    monkeypatch.setattr(associations_module, "ESN_HIGHS", range(0))
    number = (0xABCDEF << 32) + 7
    assert failure(Associations(Keys(esn())), numbered(esn(), number)) is DropReason.BAD_ICV
    keyed = esn(high=0xABCDEF)
    assert sequences(Associations(Keys(keyed)), keyed, [number, number + 1]) == [number, number + 1]


def test_esn_of_ah_that_is_joined_late():
    parameters = replace(ah(TO_GATEWAY), esn=True)
    number = (5 << 32) + 9
    sender = OutboundAh(parameters, first_sequence=number)
    associations = Associations(Keys(parameters), ah=True)
    for expected in (number, number + 1):
        packet = sender.seal(b"data", 17, OLD.address, GATEWAY.address)
        sa, opened = associations.open(TO_GATEWAY, packet, OUTER)
        assert (opened.sequence, sa.verified) == (expected, expected - number + 1)


@pytest.fixture
def tried(monkeypatch):
    """Upper halves that were tried."""
    halves, expect = [], ReplayWindow.expect
    monkeypatch.setattr(
        ReplayWindow, "expect", lambda self, high: halves.append(high) or expect(self, high)
    )
    return halves


def test_upper_halves_are_not_tried_without_end(monkeypatch, tried):
    """A packet that another key sealed makes work a few times only, for one SA and for all."""
    monkeypatch.setattr(associations_module, "MAX_ESN_TRIES_IN_ALL", 6)
    associations = Associations(Keys(*(esn(spi=spi) for spi in (0x101, 0x102, 0x103))))
    counts = []
    for spi in (0x101, 0x102, 0x103):
        for _ in range(MAX_ESN_TRIES + 1):
            tried.clear()
            assert failure(associations, sealed(gcm(spi, 99))) is DropReason.BAD_ICV
            counts.append(len(tried))
    assert [count > 1 for count in counts] == [True] * 4 + [False] + [True] * 2 + [False] * 8
    assert set(counts[:4]) == {1 + len(ESN_HIGHS)}


def test_upper_halves_are_not_tried_without_esn(tried):
    plain = gcm(TO_GATEWAY)
    late = numbered(replace(plain, esn=True), (1 << 32) + 1)
    assert failure(Associations(Keys(plain)), late) is DropReason.BAD_ICV
    assert tried == [0]


def test_without_integrity_key_the_upper_half_is_what_the_key_says():
    name = "aes-cbc-hmac-sha1-96"
    unverified = replace(esn(name, high=3), integrity_key=None)
    packet = numbered(esn(name), (2 << 32) + 7)
    sa, opened = opened_in(Associations(Keys(unverified)), packet)
    assert (opened.sequence, opened.verified, sa.unverified) == ((3 << 32) + 7, False, 1)


def test_the_number_of_sas_is_bounded_and_nothing_is_lost_from_the_counts(monkeypatch):
    monkeypatch.setattr(associations_module, "MAX_SAS", 1)
    associations = Associations(Keys(gcm(2), gcm(3)))
    opened_in(associations, sealed(gcm(2)))
    assert failure(associations, sealed(gcm(3))) is DropReason.SA_LIMIT
    assert failure(associations, sealed(gcm(4))) is DropReason.UNKNOWN_SPI
    assert len(associations) == 2
    assert (associations.overflow.verified, associations.overflow.no_key) == (1, 0)
    assert failure(associations, sealed(gcm(5))) is DropReason.UNKNOWN_SPI
    assert (len(associations), associations.overflow.no_key) == (2, 1)


def test_a_late_packet_counts_for_the_path_it_came_by():
    sa = ObservedSa(1)
    other = OUTER._replace(source_port=4501)
    assert not sa.note_path(OUTER, 10, newest=True)
    assert sa.note_path(other, 20, newest=True)
    assert not sa.note_path(OUTER, 30, newest=False)
    assert not sa.note_path(OUTER._replace(source_port=1), 40, newest=False)
    assert [(span.outer, span.packets) for span in sa.spans] == [(OUTER, 2), (other, 1)]


def test_spans_are_bounded():
    sa = ObservedSa(1)
    for port in range(1, MAX_SPANS + 10):
        sa.note_path(OUTER._replace(source_port=port), port, newest=True)
    assert len(sa.spans) == MAX_SPANS
