"""Serial numbers: attempt numbers (32 bits), Identification (64 bits) and its time stamp."""

NTP_EPOCH = 2_208_988_800
"""Seconds from the NTP epoch (1900) to the Unix epoch (RFC 5905 section 6)."""

_MASK32, _HALF32 = (1 << 32) - 1, 1 << 31
_MASK64, _HALF64 = (1 << 64) - 1, 1 << 63


def is_newer(number: int, other: int, bits: int) -> bool:
    """Tell whether `number` comes after `other` (RFC 1982 section 3.2, SERIAL_BITS = `bits`).

    Two numbers exactly half the circle apart are not comparable: neither is newer.
    """
    return 0 < (number - other) % (1 << bits) < 1 << (bits - 1)


def is_newer_attempt(number: int, other: int) -> bool:
    """Compare attempt numbers (32 bits)."""
    return 0 < (number - other) & _MASK32 < _HALF32


def is_newer_identification(number: int, other: int) -> bool:
    """Compare values of Identification (64 bits)."""
    return 0 < (number - other) & _MASK64 < _HALF64


def ntp_timestamp(now: float) -> int:
    """Return `now` (seconds since the Unix epoch) in the 64-bit NTP format.

    32 bits of seconds since 1900, which wrap with the NTP era (2036), and 32 bits of fraction
    (RFC 5905 section 6, RFC 5944 section 5.7.1). Deviation: the bits of the fraction that the
    clock does not have are zero and not random; ESP protects the value.
    """
    return (int(now * (1 << 32)) + (NTP_EPOCH << 32)) & _MASK64
