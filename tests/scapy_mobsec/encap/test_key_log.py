"""Key logs: what is read, what is stepped over, what is wrong, and the bound."""

import pytest

from scapy_mobsec.encap import key_log
from scapy_mobsec.encap.key_log import KeyLog, Secrets

RANDOM = bytes(range(32))
SECRETS = Secrets(b"\1" * 32, b"\2" * 32, b"\3" * 48, b"\4" * 48)
OTHERS = [
    "# a comment",
    "",
    f"CLIENT_RANDOM {'00' * 32} {'11' * 48}",
    f"EXPORTER_SECRET {'00' * 32} {'11' * 32}",
    "CLIENT_RANDOM 00 00",
]


def test_what_is_written_is_read_again():
    log, again = KeyLog(), KeyLog()
    assert not log
    log.add(RANDOM, SECRETS)
    again.read(["", *log.text().upper().splitlines(), *OTHERS])
    assert again.text() == log.text()
    assert again
    assert again.secrets_of(RANDOM) == SECRETS
    assert again.secrets_of(bytes(32)) is None
    assert "\\x01" not in repr(SECRETS)


def test_a_connection_with_a_secret_missing_has_none():
    log, partly = KeyLog(), KeyLog()
    log.add(RANDOM, SECRETS)
    partly.read(log.text().splitlines()[:3])
    assert partly.secrets_of(RANDOM) is None


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "SERVER_TRAFFIC_SECRET_0 00 00",
        f"SERVER_TRAFFIC_SECRET_0 {'00' * 32}",
        f"SERVER_TRAFFIC_SECRET_0 {'00' * 32} {'00' * 31}",
        f"SERVER_TRAFFIC_SECRET_0 {'00' * 32} {'0' * 63}",
        f"SERVER_TRAFFIC_SECRET_0 {'00' * 32} {'00' * 32} more",
        '"IPv4","*","*","0x1","NULL","","NULL",""',
    ],
)
def test_a_wrong_line_is_named(line):
    with pytest.raises(ValueError, match="line 2: "):
        KeyLog().read(["# first", line])


def test_how_many_are_kept(monkeypatch):
    monkeypatch.setattr(key_log, "MAX_CONNECTIONS", 1)
    log = KeyLog()
    log.add(RANDOM, SECRETS)
    log.add(RANDOM, SECRETS)
    with pytest.raises(ValueError, match="more than 1 connections"):
        log.add(bytes(32), SECRETS)
