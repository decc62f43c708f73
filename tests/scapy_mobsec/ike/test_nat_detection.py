from hashlib import md5, sha1, sha256

import pytest
from ike import ELSEWHERE, GATEWAY, MOBILE, SPI_I, SPI_R, clear

from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.nat_detection import (
    MAX_HASHES,
    NatDetection,
    Verdict,
    detect,
    detection_hash,
)
from scapy_mobsec.packet.path import Endpoint

HEADER = parse_message(clear(34)).header
PRIVATE = Endpoint.of("10.0.0.2", 4500)


def detected(*hashed, observed=MOBILE, known=(), of_source=True):
    hashes = [each if isinstance(each, bytes) else detection_hash(HEADER, each) for each in hashed]
    return detect(HEADER, hashes, observed, of_source=of_source, known=known)


def test_the_hash_is_over_spis_address_and_port():
    octets = SPI_I + SPI_R + MOBILE.address + (4500).to_bytes(2)
    assert detection_hash(HEADER, MOBILE) == sha1(octets).digest()
    assert detection_hash(HEADER, MOBILE, 16) == md5(octets).digest()
    assert detection_hash(HEADER, MOBILE, 32) == sha256(octets).digest()


def test_the_real_endpoint_is_not_translated():
    found = detected(MOBILE)
    assert (found.verdict, found.observed, found.sent) == (Verdict.NOT_TRANSLATED, MOBILE, MOBILE)


def test_one_of_several_hashes_suffices():
    assert detected(PRIVATE, MOBILE).verdict is Verdict.NOT_TRANSLATED


def test_another_endpoint_is_translated():
    found = detected(PRIVATE)
    assert (found.verdict, found.sent) == (Verdict.TRANSLATED, None)


@pytest.mark.parametrize(
    ("hashed", "known"),
    [
        (Endpoint(MOBILE.address, 500), []),
        (PRIVATE, [b"name", PRIVATE.address]),
        (Endpoint(PRIVATE.address, 500), [PRIVATE.address]),
        (Endpoint(PRIVATE.address, 40_001), [PRIVATE.address]),
    ],
)
def test_what_was_hashed_is_found_among_what_is_known(hashed, known):
    found = detected(hashed, observed=Endpoint(MOBILE.address, 40_001), known=known)
    assert (found.verdict, found.sent) == (Verdict.TRANSLATED, hashed)


@pytest.mark.parametrize("made_up", [Endpoint(MOBILE.address, 0), Endpoint(bytes(4), 0)])
def test_port_zero_is_made_up(made_up):
    assert detected(made_up).verdict is Verdict.FORCED


def test_an_address_at_random_shows_when_its_port_stays_on_the_way_from_500_to_4500():
    random = Endpoint.of("57.12.99.4", 0)
    first = detected(random, observed=Endpoint(GATEWAY.address, 500))
    later = detected(random, observed=GATEWAY)
    assert later.is_made_up(first)
    assert not first.is_made_up(later)
    assert not later.is_made_up(later)
    moved = detected(PRIVATE, observed=GATEWAY)
    assert not moved.is_made_up(first)
    honest = detected(Endpoint(GATEWAY.address, 500), observed=Endpoint(GATEWAY.address, 500))
    assert not later.is_made_up(honest)
    towards = detected(random, observed=GATEWAY, of_source=False)
    assert not towards.is_made_up(first)


@pytest.mark.parametrize("hashes", [[], [b"short"], [bytes(21)]])
def test_without_a_hash_there_is_no_verdict(hashes):
    assert detected(*hashes) is None


def test_ipv6():
    six = Endpoint.of("2001:db8::1", 4500)
    assert detected(six, observed=six).verdict is Verdict.NOT_TRANSLATED
    assert detected(ELSEWHERE, observed=six, known=[ELSEWHERE.address]) == NatDetection(
        True, Verdict.TRANSLATED, six, None, (detection_hash(HEADER, ELSEWHERE),)
    )


def test_hashes_are_bounded():
    many = [bytes([n]) * 20 for n in range(40)]
    assert detected(*many).hashes == tuple(many[:MAX_HASHES])
