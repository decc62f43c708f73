"""Serial arithmetic and the NTP time stamp."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.registration.serial import (
    is_newer,
    is_newer_attempt,
    is_newer_identification,
    ntp_timestamp,
)


@pytest.mark.parametrize(
    ("number", "other", "newer"),
    [  # RFC 1982 section 5.2, SERIAL_BITS = 8
        (1, 0, True),
        (44, 0, True),
        (100, 0, True),
        (100, 44, True),
        (200, 100, True),
        (255, 200, True),
        (0, 255, True),
        (100, 255, True),
        (0, 200, True),
        (44, 200, True),
        (0, 100, False),
        (7, 7, False),
    ],
)
def test_the_examples_of_the_rfc(number, other, newer):
    assert is_newer(number, other, 8) is newer


def test_half_the_circle_apart_is_not_comparable():
    assert not is_newer(128, 0, 8)
    assert not is_newer(0, 128, 8)
    assert not is_newer_attempt(1 << 31, 0)
    assert not is_newer_identification(0, 1 << 63)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
def test_attempts_go_around(number, step):
    later = (number + step) % 2**32
    assert is_newer_attempt(later, number)
    assert not is_newer_attempt(number, later)


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**63 - 1))
def test_identifications_go_around(number, step):
    later = (number + step) % 2**64
    assert is_newer_identification(later, number)
    assert not is_newer_identification(number, later)


@pytest.mark.parametrize(
    ("now", "stamp"),
    [
        (0.0, 2_208_988_800 << 32),  # RFC 5905 figure 4: first day UNIX
        (0.5, 2_208_988_800 << 32 | 1 << 31),
        (0.25 + 2**-20, 2_208_988_800 << 32 | 1 << 30 | 1 << 12),
        (63_072_000.0, 2_272_060_800 << 32),  # first day UTC
        (2_085_978_495.0, (2**32 - 1) << 32),
        (2_085_978_496.0, 0),  # 7 February 2036: era 1 begins
    ],
)
def test_ntp_timestamp(now, stamp):
    assert ntp_timestamp(now) == stamp


def test_newer_across_the_ntp_era():
    before, after = ntp_timestamp(2_085_978_495.5), ntp_timestamp(2_085_978_496.5)
    assert after < before
    assert is_newer_identification(after, before)
