import pytest
from frames import GATEWAY, OLD, TO_GATEWAY, Keys, gcm

import scapy_mobsec.observer.associations as associations_module
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import OutboundSa, SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.observer.associations import MAX_SPANS, Associations, ObservedSa
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
