"""The SPI table: bounded, no duplicates, no reserved SPI."""

import pytest

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import InboundSa
from scapy_mobsec.esp.spi_table import DuplicateSpiError, SpiTable, SpiTableFullError


@pytest.fixture
def sa(make_parameters):
    return lambda spi: InboundSa(make_parameters(spi=spi))


def test_add_get_remove(sa, drops):
    table = SpiTable()
    entries = [sa(256), sa(0x80000000), sa(0xFFFFFFFF)]
    for entry in entries:
        table.add(entry)
    assert len(table) == 3
    for entry in entries:
        assert table.get(entry.parameters.spi) is entry
        assert table.remove(entry.parameters.spi) is entry
        with drops(DropReason.UNKNOWN_SPI):
            table.get(entry.parameters.spi)
    assert len(table) == 0


@pytest.mark.parametrize("spi", [0, 1, 255, 256, 2**32 - 1, 2**32, -1])
def test_unknown_spi(spi, drops):
    table = SpiTable()
    for look_up in (table.get, table.remove):
        with drops(DropReason.UNKNOWN_SPI):
            look_up(spi)


@pytest.mark.parametrize("spi", [1, 128, 255])
def test_reserved_spi(spi, sa):
    with pytest.raises(ValueError, match="reserved"):
        SpiTable().add(sa(spi))


def test_spi_zero(sa):
    with pytest.raises(ValueError, match="SPI 0"):
        SpiTable().add(sa(0))


def test_duplicate_keeps_the_first(sa):
    table, first = SpiTable(), sa(0x1234)
    table.add(first)
    with pytest.raises(DuplicateSpiError, match="0x00001234"):
        table.add(sa(0x1234))
    assert table.get(0x1234) is first


def test_bounded(sa):
    table = SpiTable(max_entries=3)
    for spi in (256, 257, 258):
        table.add(sa(spi))
    with pytest.raises(SpiTableFullError, match="3 SAs"):
        table.add(sa(259))
    table.remove(257)
    table.add(sa(259))
    assert len(table) == 3
