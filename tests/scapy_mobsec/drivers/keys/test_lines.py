"""Lines that count, and octets."""

import pytest

from scapy_mobsec.drivers.keys.lines import (
    BadLine,
    numbered_lines,
    octets_after_0x,
    octets_of,
)


def test_blank_lines_and_comments_do_not_count():
    text = "# a\n\nfirst\r\n \t\n  # b\n  second # not a comment \n"
    assert list(numbered_lines(text)) == [(3, "first"), (6, "  second # not a comment ")]


def test_octets():
    assert octets_of("00fFa1", "x") == b"\x00\xff\xa1"
    assert octets_of("", "x") == b""
    assert octets_after_0x("0x00", "x") == octets_after_0x("0X00", "x") == b"\0"


@pytest.mark.parametrize("bad", ["0", "0g", "00 00", "0x00", "\u0661\u0661", "00\n"])
def test_what_is_no_octets_is_not_shown(bad):
    with pytest.raises(ValueError, match=r"^the key: not pairs of hexadecimal digits$"):
        octets_of(bad, "the key")


def test_0x_is_asked_for():
    with pytest.raises(ValueError, match=r"^the key: no 0x"):
        octets_after_0x("00", "the key")


def test_a_bad_line_has_its_number():
    error = BadLine(7, "why")
    assert (error.line, str(error)) == (7, "why")
