import pytest
from frames import GATEWAY, NEW, OLD
from shown import CAPTURES, EXPECTED, printed, shown

import scapy_mobsec.ui.timeline as timeline_module
from scapy_mobsec.ui.timeline import print_timeline


@pytest.mark.parametrize("name", CAPTURES)
def test_whole_captures(name):
    text = printed(print_timeline, shown(name).report)
    assert text == (EXPECTED / f"{name}.timeline.txt").read_text()


@pytest.mark.parametrize("width", [80, 132])
def test_charts_fill_the_width_and_no_more(width):
    for line in printed(print_timeline, shown("ipv6").report, width=width).splitlines():
        assert len(line) <= width


def test_a_narrow_terminal_gets_a_chart_all_the_same():
    text = printed(print_timeline, shown("nat64").report, width=20)
    assert "|████      |" in text


def test_ascii_where_the_output_cannot_take_blocks():
    text = printed(print_timeline, shown("nat64").report, encoding="ascii")
    assert "|####" in text


def test_bars_lie_where_their_times_are(bench):
    bench.see(bench.up(), after=0)
    bench.see(bench.up(), bench.up(), after=0.25)
    bench.see(bench.up(NEW), bench.up(NEW), after=0.25)
    lines = printed(print_timeline, bench.report, width=58).splitlines()
    assert lines == [
        "Link 1: data from +0.000 to +1000.000 ms, one column is 50.000 ms",
        f"udp {OLD} > {GATEWAY}",
        "|███████████         | +0.000 to +500.000 ms, 3 packets",
        f"udp {NEW} > {GATEWAY}",
        "|               █████| +750.000 to +1000.000 ms, 2 packets",
        f"Move at +750.000 ms: gap to {GATEWAY} 250.000 ms, back not known",
    ]


def test_one_packet_and_none(bench):
    assert printed(print_timeline, bench.report) == "No data that a key opens.\n"
    bench.see(bench.up())
    lines = printed(print_timeline, bench.report).splitlines()
    assert lines[0] == "Link 1: data from +0.000 to +0.000 ms"
    assert lines[2].endswith("| +0.000 to +0.000 ms, 1 packet")


def test_what_is_too_much_is_told(bench, monkeypatch):
    monkeypatch.setattr(timeline_module, "MAX_ROWS", 1)
    bench.see(bench.up(), bench.up(NEW), bench.up(OLD))
    assert "and 2 more" in printed(print_timeline, bench.report)


def test_what_is_not_verified_says_so(unverified):
    lines = printed(print_timeline, unverified.report, width=120).splitlines()
    assert [line.endswith("NOT VERIFIED") for line in lines if "|" in line] == [True, True]
    assert lines[-1].endswith("back not known, NOT VERIFIED")
