"""All formats: told by content, nothing shown, nothing lost there and back."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_samples import KEY_LIST, SAMPLES, XFRM, mutations, table_of, tables

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys
from scapy_mobsec.drivers.keys import charon_log
from scapy_mobsec.drivers.keys.formats import FORMATS, format_of_name, reader_of
from scapy_mobsec.drivers.keys.table import KeyTable

SECRET = "5ec2e7" * 16
BY_NAME = {each.name: each for each in FORMATS}


def read(text):
    return read_keys(io.StringIO(text), "keys")


def said(text):
    """All that is shown of a file: error, warnings, representations, losses in other formats."""
    try:
        table = read(text)
    except KeyFileError as error:
        return _checked(str(error))
    shown = [*table.warnings, repr(table.rows), repr(table.ike_keys), *map(str, table.rows)]
    for each in FORMATS:
        written = each.write(table)
        shown += [*written.warnings, repr(written)]
    return "\n".join(shown)


def _checked(line):
    assert re.fullmatch(r"keys:\d+: [^\n]*", line)
    return line


def test_samples_are_of_all_formats_and_whole():
    assert set(SAMPLES) == {*BY_NAME, "charon-log"}
    for text in SAMPLES.values():
        table = read(text)
        assert table.rows or table.ike_keys
        assert not table.warnings


@pytest.mark.parametrize("name", SAMPLES)
def test_formats_are_told_by_content(name):
    expected = charon_log.read if name == "charon-log" else BY_NAME[name].read
    before = "" if name == "toml" else "\n \n"
    assert reader_of(f"# comment\n{before}{SAMPLES[name]}") is expected


def test_a_log_of_several_programs_is_told():
    line = "Nov 24 12:00:00 host charon: 09[IKE] <v2|1> IKE_SA v2[1] state change\n"
    assert reader_of(f"Nov 24 11:59:59 host kernel: booted\n{line}") is charon_log.read


@pytest.mark.parametrize("text", ["", "# only this\n", "hello\n", "[section]\n", "a = 1\n"])
def test_others_are_none(text):
    assert reader_of(text) is None


def test_names_tell_what_to_write():
    names = {
        "x.toml": "toml",
        "a/keys.txt": "key-list",
        "x.keys.txt": "key-list",
        "x.xfrm": "xfrm",
        "esp_sa": "esp_sa",
        "a/x.esp_sa": "esp_sa",
        "ikev2_decryption_table": "ikev2_decryption_table",
        "x.tcpdump": "tcpdump",
    }
    assert {name: format_of_name(name).name for name in names} == names
    for name in ("x.txt", "toml.d", "-", "", "x.esp_sa.bak"):
        assert format_of_name(name) is None


@pytest.mark.parametrize("name", SAMPLES)
def test_no_mutation_gives_more_than_one_line_nor_shows_a_key(name):
    for text in mutations(SAMPLES[name], 500, name):
        shown = said(text)
        for key in ("a1a1a1a1a1", "b2b2b2b2b2", "c3c3c3c3c3", "d4d4d4d4d4"):
            assert key not in shown


@pytest.mark.parametrize("name", SAMPLES)
def test_a_key_in_any_wrong_place_is_not_shown(name):
    text = SAMPLES[name]
    if name == "charon-log":
        lines = text.splitlines(keepends=True)
        text = "".join(lines[57:122] + lines[217:260])
    words = re.finditer(r"[^\s\",=\[\]:@/]+", text)
    places = [word.span() for word in words if not re.fullmatch("[0-9A-F]{2}", word[0])]
    assert len(places) > 5
    for start, end in places:
        for secret in (SECRET, f"0x{SECRET}"):
            assert SECRET not in said(text[:start] + secret + text[end:])


@given(tables())
def test_toml_holds_everything(table):
    written = BY_NAME["toml"].write(table)
    assert not written.warnings
    back = read(written.text)
    assert set(back.rows) == set(table.rows)
    assert back.ike_keys == table.ike_keys
    assert (written.sas, written.ike_sas) == (len(table.rows), len(table.ike_keys))


@given(tables(), st.sampled_from(FORMATS))
def test_what_was_written_is_read_and_written_the_same_again(table, each):
    written = each.write(table)
    back = read(written.text)
    assert not back.warnings
    again = each.write(back)
    assert again.text == written.text
    assert (again.sas, again.ike_sas) == (written.sas, written.ike_sas)


@given(tables(), st.sampled_from(FORMATS))
def test_each_entry_is_written_or_named_in_a_warning(table, each):
    for entry in (*table.rows, *table.ike_keys):
        written = each.write(table_of(entry))
        assert written.sas + written.ike_sas == 1 or len(written.warnings) == 1


@pytest.mark.parametrize("name", ["xfrm", "key-list", "toml"])
@pytest.mark.parametrize("sample", [XFRM, KEY_LIST], ids=["xfrm", "key-list"])
def test_there_by_way_of_another_format_and_back(sample, name):
    table = read(sample)
    other = read(BY_NAME[name].write(table).text)
    kinds = [
        {(row.spi, row.suite, row.encryption_key, row.integrity_key, row.esn, row.esn_high)
         for row in each.rows}
        for each in (table, other)
    ]  # fmt: skip
    assert kinds[0] == kinds[1]


def test_an_empty_table_is_empty_everywhere():
    for each in FORMATS:
        written = each.write(KeyTable())
        assert (written.text, written.warnings) == ("", [])
