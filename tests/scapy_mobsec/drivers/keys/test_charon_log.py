"""strongSwan's log."""

import io
import re

import pytest
from key_samples import PCAPS

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys
from scapy_mobsec.drivers.keys import charon_log

NAMES = ("strongswan-natt", "strongswan-natt-aes128-sha256")
CBC_LOG = (PCAPS / f"{NAMES[1]}.mobile.log").read_text()


def read(text):
    return read_keys(io.StringIO(text), "log")


def secrets_of(table):
    rows = {(row.spi, row.suite, row.encryption_key, row.integrity_key) for row in table.rows}
    ike = {
        (keys.initiator_spi, keys.responder_spi, keys.encryption, keys.integrity, keys.sk_ei,
         keys.sk_er, keys.sk_ai, keys.sk_ar, keys.sk_d)
        for keys in table.ike_keys
    }  # fmt: skip
    return rows, ike


@pytest.mark.parametrize("name", NAMES)
def test_a_log_has_the_keys_that_the_list_has(name):
    log = read((PCAPS / f"{name}.mobile.log").read_text())
    listed = read((PCAPS / f"{name}.keys.txt").read_text())
    assert secrets_of(log) == secrets_of(listed)
    assert len(log.rows) == 4
    assert log.ike_keys[0].prf == "hmac-sha2-256"
    assert not log.warnings
    assert [str(row.source) for row in log.rows][::2] == ["203.0.113.2"] * 2


@pytest.mark.parametrize(
    ("start", "group"),
    [
        ("Nov 24 12:00:00 host charon: ", r"\1[\2] "),
        ("Nov 24 12:00:00 host charon-systemd[123]: ", r"\1[\2] <v2|1> "),
        ("2026-11-24T12:00:00 ", r"\1[\g<2>1] "),
        ("", r"\1[\2] "),
    ],
)
def test_lines_may_begin_otherwise(start, group):
    text = re.sub(r"(?m)^\S+ (\d\d)\[([A-Z]{3})\] ", start + group, CBC_LOG)
    assert secrets_of(read(text)) == secrets_of(read(CBC_LOG))


def test_threads_may_alternate():
    lines = CBC_LOG.splitlines(keepends=True)
    other = "1795402990.405 99[NET] received packet: from 192.0.2.1[500] to 192.0.2.2[500]\n"
    assert secrets_of(read(other.join(lines))) == secrets_of(read(CBC_LOG))


def test_at_the_responder_the_spis_follow_the_keys():
    lines = CBC_LOG.splitlines(keepends=True)
    places = [at for at, line in enumerate(lines) if "natd_chunk" in line]
    told = next(lines[at : at + 3] for at in places if "40 90 48" in lines[at + 1])
    asked = [line.replace("40 90 48 EB B6 16 4B 6A", "00 00 00 00 00 00 00 00") for line in told]
    for at in places:
        lines[at] = "\n"
    begin = next(at for at, line in enumerate(lines) if "SKEYSEED" in line)
    end = next(at for at, line in enumerate(lines) if "Sk_pr secret" in line) + 3
    text = "".join([*lines[:begin], *asked, *lines[begin:end], *told, *lines[end:]])
    assert secrets_of(read(text)) == secrets_of(read(CBC_LOG))


def test_esn_is_told_by_the_proposal():
    assert not any(row.esn for row in read(CBC_LOG).rows)
    text = CBC_LOG.replace("HMAC_SHA2_256_128/NO_EXT_SEQ", "HMAC_SHA2_256_128/EXT_SEQ")
    assert all(row.esn for row in read(text).rows)


@pytest.mark.parametrize(
    ("old", "new", "reason", "sas", "ike_sas"),
    [
        ("natd_chunk", "other", "does not tell the SPIs of this IKE SA", 4, 0),
        ("proposal: IKE:AES_CBC_128", "proposal: IKE:X", "all keys and algorithms", 4, 0),
        ("Sk_ei secret", "other", "all keys and algorithms of this IKE SA", 4, 0),
        ("proposal: ESP:AES_CBC_128", "proposal: ESP:X", "is not told or not decrypted", 0, 1),
        ("selected proposal: ESP", "x", "is not told or not decrypted", 0, 1),
        ("parsed CREATE_CHILD_SA", "x", "does not tell which end began", 2, 1),
    ],
)
def test_what_a_log_does_not_tell_is_said(old, new, reason, sas, ike_sas):
    table = read(CBC_LOG.replace(old, new))
    assert (len(table.rows), len(table.ike_keys)) == (sas, ike_sas)
    assert any(reason in warning for warning in table.warnings)


def test_a_log_without_keys_says_which_levels_it_takes():
    text = "".join(line for line in CBC_LOG.splitlines(keepends=True) if " => " not in line)
    assert read(text).warnings == ["log:1: no keys in this log: levels ike = 4, chd = 4"]


def test_an_sa_that_is_installed_again_is_not_another_one():
    assert CBC_LOG.count("SPI 0x96964b02") == 2
    assert len(read(CBC_LOG).rows) == 4


def test_a_dump_that_breaks_off_is_no_key():
    lines = CBC_LOG.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if "encryption responder key" in line)
    del lines[at + 1]
    with pytest.raises(KeyFileError, match=r"^log:\d+: .*encryption key of 0 octets"):
        read("".join(lines))


def test_a_line_of_a_dump_that_is_not_the_next_one_is_no_part_of_a_key():
    lines = CBC_LOG.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if "integrity responder key" in line)
    lines[at + 1] = lines[at + 2]
    first, *others = read("".join(lines)).rows
    assert first.integrity_key is None
    assert all(row.integrity_key for row in others)


def test_threads_are_bounded(monkeypatch):
    monkeypatch.setattr(charon_log, "MAX_THREADS", 2)
    with pytest.raises(KeyFileError, match=r"^log:\d+: more than 2 threads"):
        read(CBC_LOG)
