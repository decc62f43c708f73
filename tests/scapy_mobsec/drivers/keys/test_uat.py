"""Rows of Wireshark's tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drivers.keys.lines import BadLine
from scapy_mobsec.drivers.keys.uat import quote, read_rows


def rows(text):
    return list(read_rows(text))


def test_rows_comments_and_blank_lines():
    text = '# made by hand\n\n"a","b"\r\n   # another, with "quotes"\n \t\n "c" ,\t"" , "d e"'
    assert rows(text) == [(3, [b"a", b"b"]), (6, [b"c", b"", b"d e"])]


def test_empty_fields_need_no_quotes():
    assert rows(',"a",,') == [(1, [b"", b"a", b"", b""])]


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (r'"a\x22b"', b'a"b'),
        (r'"\x00\xff\x5C"', b"\0\xff\\"),
        (r'"\"\\"', b'"\\'),
        ('"a # b, c"', b"a # b, c"),
        ('"\u00e9"', b"\xc3\xa9"),
        ('"\udcff"', b"\xff"),
        ('"\u2028\x0c"', "\u2028\x0c".encode()),
    ],
)
def test_what_a_field_holds(text, octets):
    assert rows(text) == [(1, [octets])]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('\n"a', 2, "column 1: unterminated quote"),
        ('"a","b', 1, "column 2: unterminated quote"),
        (r'"a\"', 1, "column 1: unterminated quote"),
        ('"a" b', 1, "column 1: unterminated quote or text behind it"),
        ('"a""b"', 1, "column 1: unterminated quote or text behind it"),
        ("IPv4", 1, "column 1: not in double quotes"),
        ('"a",b', 1, "column 2: not in double quotes"),
        ('"a"\n"b\\n"', 2, "unknown escape"),
        ('"\\x0g"', 1, "unknown escape"),
    ],
)
def test_bad_rows(text, line, reason):
    with pytest.raises(BadLine, match=reason) as error:
        rows(text)
    assert error.value.line == line


def test_octets_without_quotes_where_they_are_expected():
    text = '00fF,"a","",,12'
    assert list(read_rows(text, bare_hex=True)) == [(1, [b"\x00\xff", b"a", b"", b"", b"\x12"])]
    for bad in (text, "0", '"a",0g'):
        with pytest.raises(BadLine, match="not in double quotes"):
            list(read_rows(bad, bare_hex=bad is not text))


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=4))
def test_what_is_quoted_is_read_back(fields):
    text = ",".join(map(quote, fields))
    assert rows(text) == [(1, fields)]
    assert text.isascii()
    assert text.isprintable()


@given(st.text(alphabet='"\\x0,# \n\ra', max_size=40))
def test_only_its_error_escapes(text):
    line = 1
    try:
        assert all(fields for _, fields in read_rows(text))
    except BadLine as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
