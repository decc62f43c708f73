"""Wireshark's esp_sa tables: rows, look-up, errors, writing."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drivers.keyfiles import KeyFileError, read_keys, write_esp_sa
from scapy_mobsec.drivers.keys import table
from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.integrity import GMACS
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES

DATA = Path(__file__).parents[3] / "data"
PCAPS = Path(__file__).parents[4] / "pcaps"

GCM = "AES-GCM with 16 octet ICV [RFC4106]"
CBC = "AES-CBC [RFC3602]"
SHA1 = "HMAC-SHA-1-96 [RFC2404]"
SHA256 = "HMAC-SHA-256-128 [RFC4868]"

A, B = bytes([10, 1, 2, 3]), bytes([192, 0, 2, 1])
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"


def row(
    protocol="IPv4",
    source="*",
    destination="*",
    spi="0x1001",
    encryption=GCM,
    key="0x" + "11" * 20,
    authentication="NULL",
    integrity="",
    *more,
):
    columns = (protocol, source, destination, spi, encryption, key, authentication, integrity)
    return ",".join(f'"{column}"' for column in (*columns, *more)) + "\n"


def read(*rows):
    return read_keys(io.StringIO("".join(rows)), "keys")


def spis(table, source=A, destination=B, spi=0x1001):
    family = 4 if len(source) == 4 else 6
    return [entry.spi for entry in table.candidates(family, source, destination, spi)]


def complaints(text):
    """Return the error and all warnings as one text."""
    try:
        return "\n".join(read(text).warnings)
    except KeyFileError as error:
        return str(error)


class TestSuites:
    @pytest.mark.parametrize(
        ("encryption", "key", "authentication", "integrity", "suite"),
        [
            (GCM, 20, "NULL", 0, "aes-gcm-16"),
            (GCM, 28, "NULL", 0, "aes-gcm-16"),
            (GCM, 36, "NULL", 0, "aes-gcm-16"),
            (CBC, 16, SHA256, 32, "aes-cbc-hmac-sha2-256-128"),
            (CBC, 24, SHA256, 32, "aes-cbc-hmac-sha2-256-128"),
            (CBC, 32, SHA1, 20, "aes-cbc-hmac-sha1-96"),
            (CBC, 16, "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]", 32,
             "aes-cbc-hmac-sha2-256-96"),
            (CBC, 16, "HMAC-SHA-384-192 [RFC4868]", 48, "aes-cbc-hmac-sha2-384-192"),
            ("AES-CTR [RFC3686]", 20, "HMAC-SHA-512-256 [RFC4868]", 64,
             "aes-ctr-hmac-sha2-512-256"),
            ("TripleDES-CBC [RFC2451]", 24, "HMAC-MD5-96 [RFC2403]", 16, "3des-cbc-hmac-md5-96"),
            ("AES-GCM with 8 octet ICV [RFC4106]", 20, "NULL", 0, "aes-gcm-8"),
            ("AES-GCM with 12 octet ICV [RFC4106]", 20, "NULL", 0, "aes-gcm-12"),
            ("ChaCha20 with Poly1305 [RFC7634]", 36, "NULL", 0, "chacha20-poly1305"),
            ("aes-ccm-12", 19, "NULL", 0, "aes-ccm-12"),
            ("null-aes-gmac", 20, "NULL", 0, "null-aes-gmac"),
            (CBC, 32, "AES-CMAC-96", 16, "aes-cbc-aes-cmac-96"),
            ("aes-cbc[rfc3602]", 16, " hmac-sha-1-96  [RFC2404]", 20, "aes-cbc-hmac-sha1-96"),
        ],
    )  # fmt: skip
    def test_names_of_wireshark(self, encryption, key, authentication, integrity, suite):
        keys = bytes(range(key)), bytes(range(100, 100 + integrity))
        table = read(
            row("ANY", "*", "*", "4097", encryption, "0x" + keys[0].hex(), authentication,
                "0X" + keys[1].hex())
        )  # fmt: skip
        expected = SaParameters(0x1001, SUITES[suite], keys[0], keys[1] or None)
        assert table.candidates(4, A, B, 0x1001) == [expected]
        assert not table.warnings

    @pytest.mark.parametrize(
        ("authentication", "integrity", "suite"),
        [
            (SHA256, "", "aes-cbc-hmac-sha2-256-128"),
            (SHA1, "0x", "aes-cbc-hmac-sha1-96"),
            ("aes-cmac-96", "", "aes-cbc-aes-cmac-96"),
            ("NULL", "", "aes-cbc-none"),
            ("NULL", "0x12", "aes-cbc-none"),
            ("ANY 64 bit authentication [no checking]", "", "aes-cbc-unknown-64"),
            ("ANY 96 bit authentication [no checking]", "", "aes-cbc-unknown-96"),
            ("ANY 128 bit authentication [no checking]", "0x12", "aes-cbc-unknown-128"),
            ("ANY 256 bit authentication [no checking]", "", "aes-cbc-unknown-256"),
        ],
    )
    def test_without_integrity_key(self, authentication, integrity, suite):
        table = read(row("IPv4", "*", "*", "*", CBC, "a key of 16 char", authentication, integrity))
        expected = SaParameters(9, SUITES[suite], b"a key of 16 char", None)
        assert table.candidates(4, A, B, 9) == [expected]
        assert not expected.verifiable

    @pytest.mark.parametrize(
        ("encryption", "authentication"),
        [
            (GCM, SHA256),
            ("AES-GCM [RFC4106]", "NULL"),
            ("AES-GCM [RFC4106]", "ANY 256 bit authentication [no checking]"),
            (GCM, "ANY 128 bit authentication [no checking]"),
            ("TWOFISH-CBC", SHA1),
            ("BLOWFISH-CBC [RFC2451]", "NULL"),
            ("AES-GCM with IIV and 16 octet ICV [RFC4106 & RFC8750]", "NULL"),
            (CBC, "MAC-RIPEMD-160-96 [RFC2857]"),
            ("NULL", "MAC-RIPEMD-160-96 [RFC2857]"),
            (CBC, "aes-128-gmac"),
        ],
    )
    def test_what_is_not_decrypted_is_skipped_with_a_warning(self, encryption, authentication):
        bad = row("IPv4", "*", "*", "*", encryption, "0x1234", authentication, "0x5678")
        table = read(bad, row())
        assert table.warnings == [
            f"keys:1: skipped, {encryption} with {authentication} is not decrypted"
        ]
        assert spis(table) == [0x1001]

    def test_the_length_of_the_icv_beside_the_older_name_of_gcm(self):
        for bits, icvs in ((64, [8, 12]), (96, [12]), (128, [16])):
            authentication = f"ANY {bits} bit authentication [no checking]"
            table = read(row(encryption="AES-GCM [RFC4106]", authentication=authentication))
            found = table.candidates(4, A, B, 0x1001)
            assert [each.suite.name for each in found] == [f"aes-gcm-{icv}" for icv in icvs]

    @pytest.mark.parametrize(
        ("authentication", "suite"),
        [
            (SHA256, "hmac-sha2-256-128"),
            (SHA1, "hmac-sha1-96"),
            ("aes-cmac-96", "aes-cmac-96"),
            ("AES-XCBC-96", "aes-xcbc-96"),
        ],
    )
    def test_without_encryption_it_is_for_esp_and_for_ah(self, authentication, suite):
        key = bytes(range(AH_SUITES[suite].key_length))
        table = read(
            row("IPv4", "*", "*", "7", "NULL", "ignored", authentication, "0x" + key.hex()),
            row(spi="0x1001"),
        )
        esp = SaParameters(7, SUITES[f"null-{suite}"], b"", key)
        assert table.ah_candidates(4, A, B, 7) == [AhParameters(7, AH_SUITES[suite], key)]
        assert table.candidates(4, A, B, 7) == [esp]
        assert table.ah_candidates(6, A6, B6, 7) == []
        assert table.ah_candidates(4, A, B, 0x1001) == []
        assert spis(table) == [0x1001]

    def test_without_encryption_and_without_a_key_it_is_esp_unverified(self):
        table = read(row("IPv4", "*", "*", "7", "NULL", "", SHA1, ""))
        (found,) = table.candidates(4, A, B, 7)
        assert (found.suite.name, found.verifiable) == ("null-hmac-sha1-96", False)
        assert table.ah_candidates(4, A, B, 7) == []

    @pytest.mark.parametrize(
        ("more", "esn", "high"),
        [
            (["32-bit"], False, 0),
            (["32-bit", "7"], False, 0),
            (["64-BIT"], True, 0),
            (["64-bit", ""], True, 0),
            (["64-bit", "0x1F"], True, 31),
            (["64-bit", "ffffffff"], True, 2**32 - 1),
        ],
    )
    def test_esn(self, more, esn, high):
        for columns in ((GCM, "11" * 20, "NULL", ""), ("NULL", "", SHA1, "0x" + "11" * 20)):
            encryption, key, *authentication = columns
            table = read(row("IPv4", "*", "*", "1", encryption, "0x" + key, *authentication, *more))
            found = [*table.candidates(4, A, B, 1), *table.ah_candidates(4, A, B, 1)]
            assert {(entry.esn, entry.esn_high) for entry in found} == {(esn, high)}


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "octets"),
        [
            ("0x" + "ab" * 16, b"\xab" * 16),
            ("0XAB" + "ab" * 15, b"\xab" * 16),
            ("0x1" + "ab" * 15, b"\1" + b"\xab" * 15),
            ("sixteen letters!", b"sixteen letters!"),
            (r"\x22fifteen letters", b'"fifteen letters'),
            (r"\x00\xffxxxxxxxxxxxxxx", b"\0\xff" + b"x" * 14),
            (" blanks  count  ", b" blanks  count  "),
        ],
    )
    def test_hexadecimal_or_text(self, text, octets):
        integrity = "x" * 20
        table = read(row("IPv4", "*", "*", "1", CBC, text, SHA1, integrity))
        assert table.rows[0].encryption_key == octets
        assert table.rows[0].integrity_key == b"x" * 20

    def test_keys_do_not_show(self):
        table = read(row("IPv4", "*", "*", "1", CBC, "sixteen letters!", SHA1, "x" * 20))
        assert "sixteen" not in repr(table.rows)
        assert "xxx" not in repr(table.rows)


class TestErrors:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (row("IPv5"), "protocol: not a name"),
            (row(source="10.1.2.300"), "source address: not an address"),
            (row(source="2001:db8::1"), "source address: not an IPv4 address"),
            (row("IPv6", destination="10.0.0.0/8"), "destination address: not an IPv6 address"),
            (row(destination=""), "destination address: not an address"),
            (row(destination="\u0661"), "destination address: not an address"),
            (row(spi="0x123456789"), "SPI: neither"),
            (row(encryption="AES-GCM"), "encryption: not a name that Wireshark knows"),
            (row(encryption=""), "encryption: not a name that Wireshark knows"),
            (row(authentication="HMAC"), "authentication: not a name that Wireshark knows"),
            (row(key="0x12345g"), "encryption key: not hexadecimal digits"),
            (row(key="0x" + "11" * 16), "encryption key of 16 octets"),
            (row(key="0x"), "encryption key of 0 octets"),
            (row(encryption=CBC, key="k" * 16, authentication=SHA1, integrity="0x\u0661"),
             "authentication key: not hexadecimal digits"),
            (row(encryption=CBC, key="k" * 16, authentication="aes-cmac-96", integrity="short"),
             "integrity key of 5 octets"),
            (row(encryption="NULL", authentication="aes-128-gmac"), "integrity key of 0 octets"),
            (row() [:-4] + "\n", "7 columns, not 8 or 10"),
            (row()[:-1] + ',"32-bit","0","more"\n', "11 columns, not 8 or 10"),
            (row()[:-1] + ',"48-bit"\n', "sequence number length: not a name"),
            (row()[:-1] + ',"64-bit","x"\n', "upper half of the extended sequence number: not a"),
            (row()[:-1] + ',"64-bit","-1"\n', "upper half of the extended sequence number: not a"),
            (row()[:-1] + ',"64-bit","100000000"\n', "upper half of the extended sequence number"),
            (row()[:-2] + "\n", "column 8: unterminated quote"),
        ],
    )  # fmt: skip
    def test_bad_rows_are_told_by_file_line_and_column(self, bad, reason):
        with pytest.raises(KeyFileError, match=f"^keys:3: .*{reason}"):
            read("# comment\n", row(), bad, row("nonsense"))

    @given(st.data())
    def test_no_text_shows_what_a_row_holds(self, data):
        columns = ["IPv4", "*", "*", "0x1001", CBC, "\u00e9" * 8, SHA1, "\u00e9" * 10]
        place = data.draw(st.integers(0, 8))
        columns.insert(place, "SECRET")
        del columns[data.draw(st.integers(0, 8))]
        said = complaints(row(*columns))
        assert "SECRET" not in said
        assert "\u00e9" not in said

    @given(st.lists(st.text(alphabet='IPv46*0x1./:a\\"', max_size=8), min_size=7, max_size=11))
    def test_only_key_file_errors_escape(self, columns):
        said = complaints(",".join(f'"{column}"' for column in columns))
        assert not said or said.startswith("keys:1: ")

    def test_rows_are_bounded(self, monkeypatch):
        monkeypatch.setattr(table, "MAX_ROWS", 3)
        assert len(read(row(), row(spi="1"), row(spi="2")).rows) == 3
        with pytest.raises(KeyFileError, match="keys:4: more than 3 rows"):
            read(*(row(spi=str(number)) for number in range(1, 5)))


class TestWrite:
    @staticmethod
    def written(*sas):
        stream = io.StringIO()
        warnings = write_esp_sa(sas, stream)
        return stream.getvalue(), warnings

    @pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
    def test_rows_of_each_suite_are_read_back_for_both_families(self, suite):
        esn = suite.name.startswith("aes-c")
        keys = (
            bytes(range(max(suite.key_lengths) + suite.salt_length)),
            (bytes(range(suite.integrity_key_length)) or None),
        )
        sa = SaParameters(0x101, suite, *keys, esn, 0xABC if esn else 0)
        text, _ = self.written(sa, SaParameters(0x202, SUITES["aes-gcm-16"], bytes(20)))
        table = read(text)
        assert table.candidates(4, A, B, 0x101) == [sa]
        assert table.candidates(6, A6, B6, 0x101) == [sa]
        assert table.knows_spi(0x202)
        assert not table.warnings

    @pytest.mark.parametrize("cipher", ["aes-cbc", "aes-ctr", "3des-cbc", "null"])
    def test_without_the_integrity_key_the_row_tells_the_length_of_the_icv(self, cipher):
        suite = SUITES[f"{cipher}-hmac-sha2-384-192"]
        sa = SaParameters(0x101, suite, bytes(max(suite.key_lengths) + suite.salt_length))
        text, warnings = self.written(sa)
        assert '"ANY 192 bit authentication [no checking]"' in text
        (found,) = read(text).candidates(4, A, B, 0x101)
        assert found == replace(sa, suite=SUITES[f"{cipher}-unknown-192"])
        assert not warnings

    @pytest.mark.parametrize("suite", AH_SUITES.values(), ids=lambda suite: suite.name)
    @pytest.mark.parametrize("esn", [False, True])
    def test_rows_of_ah_are_read_back(self, suite, esn):
        key = bytes(range(suite.key_length))
        sa = AhParameters(0x101, suite, key, esn, 5 if esn else 0)
        esp = []
        if suite.name not in GMACS:
            of_esp = SUITES[f"null-{suite.name}"]
            esp = [SaParameters(0x101, of_esp, b"", key, esn, 5 if esn else 0)]
        text, _ = self.written(sa, *esp)
        assert text.count('"IPv') == 2
        table = read(text)
        assert table.ah_candidates(4, A, B, 0x101) == [sa]
        assert table.ah_candidates(6, A6, B6, 0x101) == [sa]
        assert table.candidates(4, A, B, 0x101) == esp

    def test_what_wireshark_cannot_read_is_said_in_the_file_and_to_the_caller(self):
        ccm = SaParameters(0x101, SUITES["aes-ccm-8"], bytes(19))
        text, warnings = self.written(ccm, replace(ccm, spi=0x102))
        assert warnings == ["Wireshark has no name for aes-ccm-8"]
        assert text.startswith('# Wireshark has no name for aes-ccm-8\n"IPv4"')
        assert text.count("#") == 1

    def test_that_an_older_wireshark_has_no_esn_is_said(self):
        gcm = SaParameters(0x101, SUITES["aes-gcm-16"], bytes(20))
        text, warnings = self.written(gcm, replace(gcm, spi=0x102, esn=True))
        (warning,) = warnings
        assert "does not know extended sequence numbers" in warning
        assert text.splitlines()[2] == f"# {warning}"

    def test_that_wireshark_takes_the_first_of_two_with_one_spi_is_said(self):
        gcm = SaParameters(0x101, SUITES["aes-gcm-16"], bytes(20))
        other = replace(gcm, encryption_key=bytes(range(20)))
        text, warnings = self.written(gcm, gcm, replace(gcm, spi=0x102), other)
        assert warnings == ["of several rows with SPI 0x00000101 Wireshark takes the first"]
        assert text.splitlines()[4] == f"# {warnings[0]}"
        assert not self.written(gcm, gcm)[1]

    def test_exactly_as_wireshark_writes_it(self):
        stream = io.StringIO()
        write_esp_sa([SaParameters(0x101, SUITES["aes-gcm-16"], bytes(range(20)))], stream)
        assert stream.getvalue() == "".join(
            row(family, spi="0x00000101", key="0x" + bytes(range(20)).hex())
            for family in ("IPv4", "IPv6")
        )

    def test_a_suite_without_a_name(self):
        unknown = replace(SUITES["aes-gcm-16"], name="x")
        with pytest.raises(ValueError, match="no name for x"):
            write_esp_sa([SaParameters(1, unknown, bytes(20))], io.StringIO())


@pytest.mark.parametrize(
    ("name", "suite"),
    [
        ("strongswan-natt.esp_sa", "aes-gcm-16"),
        ("strongswan-natt-aes128-sha256.esp_sa", "aes-cbc-hmac-sha2-256-128"),
    ],
)
def test_tables_of_real_runs(name, suite):
    with open(PCAPS / name) as stream:
        table = read_keys(stream, name)
    assert [entry.suite.name for entry in table.rows] == [suite] * 4
    assert not table.warnings
