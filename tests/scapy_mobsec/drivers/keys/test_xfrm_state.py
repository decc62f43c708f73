"""What `ip xfrm state` prints."""

import io

import pytest
from key_samples import K16, K20, K32, XFRM, table_of

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys
from scapy_mobsec.drivers.keys import own_toml, xfrm_state
from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.keys.table import KeyRow
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def read(text):
    return read_keys(io.StringIO(text), "keys")


def state(*lines, protocol="esp", spi="0x00001001"):
    head = f"src 10.0.0.1 dst 10.0.0.2\n\tproto {protocol} spi {spi} reqid 1 mode tunnel\n"
    return head + "\treplay-window 0\n" + "".join(f"\t{line}\n" for line in lines)


def test_states():
    table = read(XFRM)
    (gcm,) = table.candidates(4, A, B, 0x1001)
    assert gcm == SaParameters(
        0x1001, SUITES["aes-gcm-16"], bytes.fromhex(K20), esn=True, esn_high=2
    )
    (cbc,) = table.candidates(6, bytes(16), bytes(16), 0x1002)
    suite = SUITES["aes-cbc-hmac-sha2-256-128"]
    assert cbc == SaParameters(0x1002, suite, bytes.fromhex(K16), bytes.fromhex(K32))
    (ah,) = table.ah_candidates(4, A, B, 0x1003)
    assert ah == AhParameters(0x1003, AH_SUITES["hmac-sha1-96"], bytes.fromhex(K20))
    assert [row.origin for row in table.rows] == ["keys:1", "keys:11", "keys:16"]
    assert str(table.rows[1].source) == "fe80::1"


def test_addresses_are_not_compared():
    assert read(XFRM).candidates(4, B, bytes(4), 0x1001)


def test_with_statistics():
    text = f"""\
src 10.0.0.1 dst 10.0.0.2
\tproto esp spi 0x00001001(4097) reqid 16385(0x00004001) mode tunnel
\treplay-window 0 seq 0x00000000 flag esn (0x00180080)
\tauth-trunc hmac(sha256) 0x{K32} (256 bits) 96
\tenc cbc(aes) 0x{K16} (128 bits)
\tlifetime config:
\t  limit: soft (INF)(bytes), hard (INF)(bytes)
\tlifetime current:
\t  0(bytes), 0(packets)
\t  add 2026-11-24 12:00:00 use -
\tstats:
\t  replay-window 0 replay 0 failed 0
"""
    (row,) = read(text).rows
    assert (row.suite.name, row.esn) == ("aes-cbc-hmac-sha2-256-96", True)


def test_on_one_line_and_pasted_without_tabs():
    lines = XFRM.splitlines()
    one_line = "\\".join(lines[:5]) + "\\\n"
    pasted = "\n".join(line.strip() for line in lines)
    assert read(one_line).rows[0].encryption_key == bytes.fromhex(K20)
    assert read(pasted).rows == read(XFRM).rows


def test_quoted_names_as_they_are_typed():
    text = state(f"aead 'rfc4106(gcm(aes))' 0x{K20} 64", f"auth 'hmac(sha1)' 0x{K20}")
    assert read(text).rows[0].suite.name == "aes-gcm-8"


@pytest.mark.parametrize(
    ("lines", "suite"),
    [
        (["aead rfc4106(gcm(aes)) 0x{20} 96"], "aes-gcm-12"),
        (["aead rfc4309(ccm(aes)) 0x{19} 128"], "aes-ccm-16"),
        (["aead rfc7539esp(chacha20,poly1305) 0x{36} 128"], "chacha20-poly1305"),
        (["aead rfc4543(gcm(aes)) 0x{20} 128"], "null-aes-gmac"),
        (["auth hmac(sha256) 0x{32}", "enc cbc(aes) 0x{16}"], "aes-cbc-hmac-sha2-256-96"),
        (["auth hmac(sha512) 0x{64}", "enc aes 0x{16}"], "aes-cbc-hmac-sha2-512-256"),
        (["auth hmac(sha1) 0x{20}", "auth-trunc hmac(sha256) 0x{32} 128", "enc cbc(aes) 0x{16}"],
         "aes-cbc-hmac-sha2-256-128"),
        (["auth-trunc cmac(aes) 0x{16} 96", "enc rfc3686(ctr(aes)) 0x{20}"],
         "aes-ctr-aes-cmac-96"),
        (["auth-trunc hmac(md5) 0x{16} 96", "enc cbc(des3_ede) 0x{24}"], "3des-cbc-hmac-md5-96"),
        (["auth-trunc hmac(sha384) 0x{48} 192", "enc ecb(cipher_null) 0x"],
         "null-hmac-sha2-384-192"),
        (["enc cbc(aes) 0x{16}"], "aes-cbc-none"),
        (["auth-trunc digest_null 0x 0", "enc cbc(aes) 0x{16}"], "aes-cbc-none"),
    ],
)  # fmt: skip
def test_algorithms(lines, suite):
    keys = {f"{{{n}}}": "5a" * n for n in (16, 19, 20, 24, 32, 36, 48, 64)}
    for place, key in keys.items():
        lines = [line.replace(place, key) for line in lines]
    (row,) = read(state(*lines)).rows
    assert row.suite.name == suite


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (state(f"aead rfc4106(gcm(aes)) 0x{K20} 80"), "its algorithms are not decrypted"),
        (state(f"enc cbc(twofish) 0x{K16}"), "its algorithms are not decrypted"),
        (state(f"auth-trunc hmac(sha1) 0x{K20} 160", protocol="ah"), "its algorithms are not"),
        (state("auth-trunc digest_null 0x 0", protocol="ah"), "its algorithms are not"),
        (state(), "it has no keys yet"),
        (state(f"enc cbc(aes) 0x{K16}", spi="0x00000000"), "it has no keys yet"),
        (state("aead rfc4106(gcm(aes)) <<Keys hidden>> 128"), "its keys are hidden"),
    ],
)
def test_what_is_not_used_is_a_warning(text, reason):
    table = read(text + XFRM)
    assert len(table.rows) == 3
    assert table.warnings[0].startswith(f"keys:1: skipped, {reason}")


def test_other_protocols_and_policies_are_passed_over():
    policy = (
        "src 10.0.0.0/8 dst 10.0.0.0/8\n\tdir out priority 383615\n"
        "\ttmpl src 10.0.0.1 dst 10.0.0.2\n\t\tproto esp reqid 1 mode tunnel\n"
    )
    table = read(state("comp deflate 0x", protocol="comp") + XFRM + policy)
    assert (len(table.rows), table.warnings) == (3, [])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (state(f"aead rfc4106(gcm(aes)) 0x{K16} 128"), 1, "encryption key of 16 octets"),
        (state("enc cbc(aes) abcdef"), 4, "enc key: no 0x"),
        (state("enc cbc(aes) 0xabcde"), 4, "enc key: not pairs"),
        (state("enc cbc(aes)"), 4, "enc: no name and key"),
        (state(f"enc cbc(aes) 0x{K16} 12345678901"), 4, "enc: not a number"),
        (state(spi="0x123456789"), 2, "spi: not a number"),
        (state(f"enc cbc(aes) 0x{K16}").replace("10.0.0.1", "10.0.0.256"), 1, "src: not an"),
        (state(f"enc cbc(aes) 0x{K16}").replace("10.0.0.2", "here"), 1, "dst: not an address"),
    ],
)
def test_bad_states_are_told_by_line(text, line, reason):
    with pytest.raises(KeyFileError, match=f"^keys:{line}: .*{reason}"):
        read(text)


def test_states_are_written_as_ip_prints_them():
    table = read(XFRM)
    text = xfrm_state.write(table).text
    kept = [line for line in XFRM.splitlines() if line.split()[0] in ("src", "aead", "enc")]
    assert [line for line in text.splitlines() if line.split()[0] in ("src", "aead", "enc")] == kept
    assert read(text).rows == table.rows


def test_what_cannot_be_written_is_named():
    spi, star = SpiPattern.of("1"), SpiPattern.of("*")
    key = b"k" * 16
    rows = (
        KeyRow(spi=star, suite=SUITES["aes-cbc-none"], encryption_key=key, origin="a:1"),
        KeyRow(spi=spi, suite=SUITES["aes-cbc-unknown-96"], encryption_key=key, origin="a:2"),
        KeyRow(spi=spi, suite=SUITES["aes-cbc-hmac-sha1-96"], encryption_key=key, origin="a:3"),
    )
    assert xfrm_state.write(table_of(*rows)).warnings == [
        "a:1: left out, a state has one SPI",
        "a:2: left out, aes-cbc-unknown-96 has no name there, or a key is not known",
        "a:3: left out, aes-cbc-hmac-sha1-96 has no name there, or a key is not known",
    ]


def test_addresses_that_are_not_single_ones_become_unspecified():
    row = own_toml.read(
        f'[[esp]]\nspi = "1"\nsuite = "aes-gcm-16"\nencryption_key = "{K20}"\n'
        'source = "2001:db8::/32"\ndestination = "2001:db8::1"\n',
        "keys",
    ).rows[0]
    text = xfrm_state.write(table_of(row)).text
    assert text.startswith("src :: dst 2001:db8::1\n")
    assert read(text).rows[0].source == AddressPattern()
