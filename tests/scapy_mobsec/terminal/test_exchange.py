"""Retransmission times, padding and Identification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminals import NEW, path_at_mobile

from scapy_mobsec.registration.serial import is_newer_identification, ntp_timestamp
from scapy_mobsec.terminal.exchange import Exchange, IdentificationSource


def middle(length):
    """Randomness that makes no jitter."""
    return b"\x7f\xff"[:length]


def transmissions(random_bytes):
    """When an RREQ without reply is sent, and how long its ESP packet is at least."""
    exchange = Exchange(path_at_mobile(NEW), lifetime=60, started=0.0, next_transmission=0.0)
    sent = []
    while exchange.next_transmission < exchange.gives_up:
        assert exchange.deadline == exchange.next_transmission
        now = exchange.next_transmission
        sent.append((now, exchange.padded_length))
        exchange.transmitted(len(sent), now, random_bytes)
    assert exchange.deadline == exchange.gives_up == 32.0
    return sent, exchange


def test_the_interval_doubles_from_half_a_second_to_eight():
    sent, exchange = transmissions(middle)
    assert [round(now, 2) for now, _ in sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5, 31.5]
    assert [length for _, length in sent] == [1200, 1200] + 6 * [500]
    assert list(exchange.outstanding) == list(range(1, 9))


@pytest.mark.parametrize(("octets", "factor"), [(b"\0\0", 0.9), (b"\xff\xff", 1.1)])
def test_jitter_is_a_tenth(octets, factor):
    sent, exchange = transmissions(lambda length: octets)
    assert sent[1][0] == pytest.approx(0.5 * factor)
    assert sent[5][0] - sent[4][0] == pytest.approx(8 * factor)
    assert len(exchange.outstanding) <= 9


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_identification_rises_whatever_the_clock_does(steps):
    source, now, last = IdentificationSource(), 1.8e9, None
    for step in steps:
        now += step
        value = source.next(now)
        assert last is None or is_newer_identification(value, last)
        assert value == ntp_timestamp(now) or value == (last + 1) % 2**64
        last = value


def test_identification_goes_on_above_what_it_is_told():
    source = IdentificationSource()
    source.skip(ntp_timestamp(3e9))
    assert source.next(1.8e9) == ntp_timestamp(3e9) + 1
    source.skip(5)
    assert source.next(1.8e9) == ntp_timestamp(3e9) + 2
