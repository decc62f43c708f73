"""Keys and the packets that they are for."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec.drivers.keys import table as table_module
from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.esp.integrity import INTEGRITY
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.ike.keys import IkeSaKeys

GCM = SUITES["aes-gcm-16"]
A, B = bytes([10, 1, 2, 3]), bytes([192, 0, 2, 1])
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"
IKE = IkeSaKeys(b"initiate", b"response", "aes-gcm-16", None, None, b"i" * 20, b"r" * 20)


def row(family=None, source="*", destination="*", spi="0x1001", key=b"\x11", **more):
    return KeyRow(
        family=family,
        source=AddressPattern.of(source),
        destination=AddressPattern.of(destination),
        spi=SpiPattern.of(spi),
        suite=more.pop("suite", GCM),
        encryption_key=key * 20,
        **more,
    )


def table_of(*rows, warnings=()):
    table = KeyTable()
    for each in rows:
        table.add(each)
    table.warnings += warnings
    return table


def spis(table, source=A, destination=B, spi=0x1001):
    family = 4 if len(source) == 4 else 6
    return [entry.spi for entry in table.candidates(family, source, destination, spi)]


class TestLookUp:
    def test_family(self):
        table = table_of(row(4, spi="1"), row(6, spi="2"), row(spi="3"))
        assert [spis(table, A, B, spi) for spi in (1, 2, 3)] == [[1], [], [3]]
        assert [spis(table, A6, B6, spi) for spi in (1, 2, 3)] == [[], [2], [3]]

    def test_addresses(self):
        table = table_of(row(4, "10.1.*", "192.0.2.0/24"))
        assert spis(table, A, B) == [0x1001]
        assert spis(table, B, A) == []
        assert spis(table, A, A) == []
        assert spis(table, B, B) == []

    def test_addresses_of_one_moment_are_not_compared_but_spis_are(self):
        table = table_of(row(4, "10.1.2.3", "192.0.2.1", anywhere=True))
        assert spis(table, B, A) == spis(table, A6, B6) == [0x1001]
        assert spis(table, A, B, 0x1002) == []

    def test_wildcard_rows_come_after_the_exact_ones_and_fit_any_spi(self):
        table = table_of(
            row(spi="*", key=b"\x22"), row(spi="0x0000100*", key=b"\x33"), row(spi="0x1001")
        )
        keys = [entry.encryption_key[0] for entry in table.candidates(4, A, B, 0x1001)]
        assert keys == [0x11, 0x22, 0x33]
        assert spis(table, spi=0x1002) == [0x1002, 0x1002]
        assert spis(table, spi=0x2002) == [0x2002]
        assert spis(table, spi=0) == []

    def test_exact_spis_are_known(self):
        table = table_of(row(spi="*"), row(spi="0x0000200*"), row(spi="4097"))
        assert table.knows_spi(0x1001)
        assert not table.knows_spi(0x2001)

    def test_duplicates_collapse(self):
        table = table_of(row(origin="1"), row(origin="2"), row(4, "10.*", origin="3"), IKE, IKE)
        assert [entry.origin for entry in table.rows] == ["1", "3"]
        assert spis(table) == [0x1001]
        assert table.ike_keys == [IKE]

    def test_tables_are_joined(self):
        table = KeyTable()
        table.extend(table_of(row(), warnings=["x"]))
        table.extend(table_of(row(), row(spi="2"), IKE))
        assert (len(table.rows), table.ike_keys, table.warnings) == (2, [IKE], ["x"])
        assert table.knows_spi(2)

    @given(st.integers(1, 2**32 - 1), st.booleans())
    def test_look_up_agrees_with_going_through_the_rows(self, spi, six):
        table = table_of(
            row(4, spi="0x1*******"), row(spi="*", key=b"\x22"),
            row(6, "::1", spi=str(spi)), row(4, "10.1.2.0/28", spi=str(spi)),
        )  # fmt: skip
        packet = (6, A6, B6, spi) if six else (4, A, B, spi)
        expected = {entry.parameters(spi) for entry in table.rows if entry.matches(*packet)}
        assert set(table.candidates(*packet)) == expected


def test_rows_are_bounded(monkeypatch):
    monkeypatch.setattr(table_module, "MAX_ROWS", 2)
    table = table_of(row(), row(spi="2"), IKE)
    with pytest.raises(ValueError, match="more than 2 rows"):
        table.add(row(spi="3"))
    joined = table_of(row(spi="3"))
    joined.extend(table)
    assert len(joined.rows) == 3


def test_keys_must_fit_the_suite():
    with pytest.raises(ValueError, match="encryption key of 40 octets"):
        row(key=b"xx")


@pytest.mark.parametrize("length", [1, 10, 20, 32, 64, 65, 200])
@pytest.mark.parametrize("name", ["hmac-md5-96", "hmac-sha1-96", "hmac-sha2-256-128"])
def test_hmac_keys_may_have_any_length(name, length):
    key = bytes(range(length))
    digest = {"md5": "md5", "sha1": "sha1", "sha2": "sha256"}[name.split("-")[1]]
    made = row(suite=INTEGRITY[name], key=b"", integrity_key=key).parameters(7)
    icv = made.suite.keyed(made.integrity_key)(b"covered")
    assert icv == hmac.new(key, b"covered", digest).digest()[: made.suite.icv_length]
    packet = b"\0\0\0\7\0\0\0\1" + bytes([1, 2, 2, 59])
    packet += hmac.new(key, packet, digest).digest()[: made.suite.icv_length]
    esp = row(suite=SUITES[f"null-{name}"], key=b"", integrity_key=key).parameters(7)
    opened = InboundSa(esp).open(packet)
    assert (opened.next_header, opened.verified) == (59, True)


def test_other_integrity_keys_and_none_may_not():
    for name, key in (("aes-cmac-96", b"short"), ("hmac-sha1-96", b"")):
        with pytest.raises(ValueError, match="integrity key of"):
            row(suite=INTEGRITY[name], key=b"", integrity_key=key)


def test_keys_do_not_show():
    table = table_of(row(key=b"k"), IKE)
    assert b"k" * 4 not in repr(table.rows).encode()
    assert "iiii" not in repr(table.ike_keys) + repr(table)


def test_a_table_tells_what_it_holds():
    table = KeyTable()
    assert repr(table) == "<KeyTable: empty>"
    table.add(row())
    table.add(IKE)
    assert repr(table) == "<KeyTable: 1 SA, 1 IKE SA>"
    table.add(row(spi="0x1002"))
    assert repr(table) == "<KeyTable: 2 SAs, 1 IKE SA>"


def test_a_row_is_named_by_its_place_or_its_spi():
    assert str(row(origin="file:3")) == "file:3"
    assert str(row()) == "SPI 0x00001001"
