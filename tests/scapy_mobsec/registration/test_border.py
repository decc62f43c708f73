"""Checks of texts and lengths at the border."""

import pytest

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.border import check_length, check_text, parse_text


def test_printable_ascii_passes():
    assert parse_text(b"gw.example/x?y", "host") == "gw.example/x?y"
    assert parse_text(b"", "host") == ""
    check_text("gw", 2, "host")


@pytest.mark.parametrize("octets", [b"caf\xe9", b"a\x1b[2J", b"a\0", b"a\n", b"\x7f"])
def test_text_that_a_terminal_should_not_see(octets):
    with pytest.raises(Drop, match="host is not printable ASCII") as caught:
        parse_text(octets, "host")
    assert caught.value.reason is DropReason.POORLY_FORMED
    with pytest.raises(ValueError, match="host"):
        check_text(octets.decode("latin-1"), 255, "host")


def test_text_beyond_its_limit():
    with pytest.raises(ValueError, match="at most 2 octets"):
        check_text("abc", 2, "host")


def test_length():
    check_length(b"abcd", 4, "address")
    with pytest.raises(ValueError, match="address has 3 octets, not 4"):
        check_length(b"abc", 4, "address")
