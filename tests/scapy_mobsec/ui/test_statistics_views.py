from frames import NEW
from shown import printed

from scapy_mobsec.ui.statistics_views import data_table, keepalives_table, pause_lines


def table(made):
    return printed(lambda console: console.print(made), width=120)


def test_data_path_by_path(bench):
    bench.see(bench.up(payload=bytes([0x45]) + bytes(999)), bench.up(), bench.up(NEW))
    lines = table(data_table(bench.report.statistics, bench.report.first_time)).splitlines()
    rows = [line for line in lines if "udp" in line]
    assert len(rows) == 2
    assert "198.51.100.2:4500 > 203.0.113.2:4500" in rows[0]
    assert "+0.000000 s to +0.010000 s" in lines[lines.index(rows[0]) + 1]


def test_keepalives(bench):
    for after in (1, 20, 30):
        bench.see(bench.udp(b"\xff"), after=after)
    text = table(keepalives_table(bench.report.statistics))
    assert "20.000 to 30.000 s (25.000 s)" in text


def test_nothing_is_no_table(bench):
    assert data_table(bench.report.statistics, 0) is None
    assert keepalives_table(bench.report.statistics) is None
    assert pause_lines(None) == []


def test_pauses_with_what_is_missing(bench):
    bench.see(bench.up())
    bench.up()
    bench.see(bench.up(NEW), after=0.2)
    (handover,) = bench.report.statistics.handovers
    assert pause_lines(handover) == ["gap to peer 200.000 ms, 1 missing"]


def test_data_that_is_not_verified(unverified):
    statistics = unverified.report.statistics
    assert table(data_table(statistics, 0)).count("1 NOT VERIFIED") == 2
    (handover,) = statistics.handovers
    assert pause_lines(handover) == ["gap to peer 20.000 ms, NOT VERIFIED"]
