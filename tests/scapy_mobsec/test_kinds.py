"""Kinds of values: what they hold, and what their errors say and do not say."""

from collections.abc import Sequence
from math import inf, nan
from types import SimpleNamespace

import pytest

from scapy_mobsec.kinds import (
    BOOLEAN,
    HOST_ADDRESS,
    PORT,
    a,
    check_fields,
    many,
    number,
    octets,
    optional,
    text,
    whole,
)


@pytest.mark.parametrize(
    ("kind", "of_it", "others"),
    [
        (whole(1, 3), [1, 3], [0, 4, 2.0, True, "2", None]),
        (number(0), [0, 1e300], [-0.1, inf, nan, "1", None, False]),
        (number(0, 1), [0.0, 1], [1.01, -1]),
        (octets(0, 4), [b"", b"abcd"], [b"abc", "abcd", None]),
        (text(3), ["", "abc"], ["abcd", "\xe4", "a\n", b"a", None]),
        (a(str, int), ["", 1], [b"", None]),
        (optional(octets(1)), [None, b"a"], [b""]),
        (many(PORT), [(), (1, 65_535)], [[1], (0,), 1, None]),
        (many(PORT, least=1, most=2), [(1,), (1, 2)], [(), (1, 2, 3)]),
        (many(PORT, inside=Sequence), [[1], (1,)], [["1"], "1", {1}]),
        (BOOLEAN, [True, False], [0, 1, None]),
        (HOST_ADDRESS, [b"\x0a\0\0\1", b"\x20" + bytes(15)], [bytes(4), b"\xff" + bytes(15), b"a"]),
    ],
)
def test_what_is_of_a_kind(kind, of_it, others):
    assert all(map(kind.holds, of_it))
    assert not any(map(kind.holds, others))


def test_the_error_names_the_field_and_shows_no_key():
    thing = SimpleNamespace(port=70_000, key=b"secret", size=1.5)
    with pytest.raises(ValueError, match=r"^port is not a whole number in 1..65535: 70000$"):
        check_fields(thing, port=PORT, key=octets(4))
    with pytest.raises(ValueError, match=r"^key is not 4 or 8 octets: bytes$"):
        check_fields(thing, key=octets(4, 8))
    with pytest.raises(ValueError, match=r"^size is not a tuple of 1 to 2, each a number from 0: "):
        check_fields(thing, size=many(number(0), least=1, most=2))
    check_fields(thing, port=whole(0, 80_000), size=number(1.5, 2))
