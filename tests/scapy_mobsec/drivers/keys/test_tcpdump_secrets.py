"""Secrets of `tcpdump -E`."""

import io

import pytest
from key_samples import K16, TCPDUMP, table_of

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys
from scapy_mobsec.drivers.keys import tcpdump_secrets
from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.keys.table import KeyRow
from scapy_mobsec.esp.suites import SUITES

K24 = "d4" * 24


def read(text):
    return read_keys(io.StringIO(text), "keys")


def test_secrets():
    first, second = read(TCPDUMP).rows
    assert (first.spi.value, str(first.destination), first.family) == (0x1001, "192.0.2.1", 4)
    assert (first.suite.name, first.encryption_key.hex()) == ("3des-cbc-unknown-96", K24)
    assert (second.spi.value, str(second.destination), second.family) == (4098, "2001:db8::1", 6)
    assert second.suite.name == "aes-cbc-none"
    assert first.anywhere
    assert second.anywhere


@pytest.mark.parametrize(
    ("algorithm", "secret", "suite"),
    [
        ("3des-cbc-hmac96", "0x" + K24, "3des-cbc-unknown-96"),
        ("3DES-CBC-HMAC96", "twenty-four letters here", "3des-cbc-unknown-96"),
        ("des-ede3-cbc", "0x" + K24, "3des-cbc-none"),
        ("aes128-cbc-hmac96", "a key of 16 char", "aes-cbc-unknown-96"),
        ("aes256-hmac96", "0x" + K16 * 2, "aes-cbc-unknown-96"),
    ],
)
def test_algorithms_and_text(algorithm, secret, suite):
    (row,) = read(f"0X9@10.0.0.1   {algorithm}:{secret}\n").rows
    assert row.suite.name == suite
    assert row.encryption_key == (
        bytes.fromhex(secret[2:]) if secret.startswith("0x") else secret.encode()
    )


def test_on_one_line_with_commas_as_on_the_command_line():
    assert read(TCPDUMP.strip().replace("\n", ",")).rows == read(TCPDUMP).rows


def test_a_secret_for_all():
    (row,) = read(f"aes128-cbc-hmac96:0x{K16}\n").rows
    assert (str(row.spi), str(row.destination)) == ("*", "*")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1@10.0.0.1 des-cbc-hmac96:0x0011223344556677", "des is not decrypted"),
        ("1@10.0.0.1 blowfish-cbc:secret", "blowfish is not decrypted"),
        ("1@10.0.0.1 rc3-cbc:secret", "rc3 is not decrypted"),
        ("1@10.0.0.1 cast128-cbc:secret", "cast128 is not decrypted"),
        ("1@10.0.0.1 none:secret", "none is not decrypted"),
        ("file /etc/secrets", "another file is named: give that one itself"),
        ("ikev2 I 0x7c2b8a492a2ce89a 0x409048ebb6164b6a sha1:0x00 aes128:0x00", "secrets of IKE"),
    ],
)
def test_what_it_cannot_do_is_said(line, reason):
    table = read(f"{line}\n{TCPDUMP}")
    assert len(table.rows) == 2
    assert table.warnings[0].startswith(f"keys:1: skipped, {reason}")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1@10.0.0.1 aes128-cbc", "neither SPI@ADDRESS"),
        ("1@10.0.0.1 aes129-cbc:secret", "algorithm: not one that tcpdump has"),
        ("1@10.0.0.1 aes128-cbc:secret", "aes-cbc: secret of 6 octets, not 16"),
        ("1@10.0.0.1 aes128-cbc:0x0", "secret: not pairs of hexadecimal digits"),
        ("x@10.0.0.1 aes128-cbc:0x" + K16, "SPI: not a number"),
        ("0@10.0.0.1 aes128-cbc:0x" + K16, "SPI: not in 1"),
        ("1@here aes128-cbc:0x" + K16, "address: not an address"),
    ],
)
def test_bad_lines_are_told(line, reason):
    with pytest.raises(KeyFileError, match=f"^keys:4: .*{reason}"):
        read(f"# comment\n{TCPDUMP}{line}\n")


def test_secrets_are_written_as_tcpdump_takes_them():
    table = read(TCPDUMP + f"aes128-cbc-hmac96:0x{K16}\n")
    text = tcpdump_secrets.write(table).text
    assert text.splitlines() == [
        f"0x00001001@192.0.2.1 3des-cbc-hmac96:0x{K24}",
        f"0x00001002@2001:db8::1 aes128-cbc:0x{K16}",
        f"aes128-cbc-hmac96:0x{K16}",
    ]
    assert read(text).rows == table.rows


def test_what_is_lost_is_named():
    here = {"spi": SpiPattern.of("1"), "destination": AddressPattern.of("10.0.0.1")}
    rows = (
        KeyRow(suite=SUITES["aes-gcm-16"], encryption_key=bytes(20), origin="a:1", **here),
        KeyRow(suite=SUITES["aes-cbc-unknown-128"], encryption_key=bytes(16), origin="a:2", **here),
        KeyRow(
            suite=SUITES["aes-cbc-unknown-96"],
            encryption_key=bytes(16),
            spi=SpiPattern.of("1"),
            origin="a:3",
        ),
        KeyRow(
            suite=SUITES["aes-cbc-hmac-sha1-96"],
            encryption_key=bytes(16),
            integrity_key=bytes(20),
            esn=True,
            origin="a:4",
            **here,
        ),
    )
    assert tcpdump_secrets.write(table_of(*rows)).warnings == [
        "a:1: left out, tcpdump does not decrypt aes-gcm-16",
        "a:2: left out, tcpdump does not decrypt aes-cbc-unknown-128",
        "a:3: left out, tcpdump wants one SPI and one destination address",
        "a:4: without its integrity key",
        "a:4: without its extended sequence numbers",
    ]
