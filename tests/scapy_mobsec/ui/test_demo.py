import io
import re
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from scapy_mobsec.drivers.capture import read_records
from scapy_mobsec.drivers.scenarios import SCENARIOS, run
from scapy_mobsec.ui.demo import (
    DemoError,
    comments,
    folded,
    print_scenarios,
    run_demo,
    story,
    write_capture,
)

PCAPS = Path(__file__).parents[3] / "pcaps"
UNIT = re.compile(r"[│ ]*(ms|s|octets|pings|translations)\b")


def shown(scenario="handover", write=None):
    stream = io.StringIO()
    run_demo(scenario, Console(file=stream, width=80), write)
    return stream.getvalue()


def test_the_handover_is_shown_with_its_translations():
    text = shown()
    assert "NAT 192.0.2.1" in text
    assert "registered in 50.000 ms" in text
    assert "source address and port 10.0.0.2:4500" in text


def test_the_sample_capture_is_what_the_demo_writes(tmp_path):
    text = shown(write=tmp_path / "handover-nat.pcap")
    assert "mobsec decode" in text
    for name in ("handover-nat.pcap", "handover-nat.esp_sa"):
        assert (tmp_path / name).read_bytes() == (PCAPS / name).read_bytes()


@pytest.mark.parametrize("name", SCENARIOS)
def test_topology_ladder_and_outcome_of_each_scenario(name):
    text = shown(name)
    for part in ("internet", "X ", "RREQ #1", "RREP #", "attempt 1", "Outcome: "):
        assert part in text


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_fits_a_terminal(name):
    """What stands on a long line stands on short ones, too: every word is whole."""
    scenario = SCENARIOS[name]
    result = run(scenario)
    whole = " ".join(story(scenario.sentence, result, 1000)).split()
    for width in (80, 72):
        lines = list(story(scenario.sentence, result, width))
        assert max(map(len, lines)) <= width
        words = " ".join(line.removeprefix("│  ") for line in lines).split()
        assert words == whole
        for line, following in pairwise(lines):
            assert not (line[-1:].isdigit() and UNIT.match(following)), line


def test_a_wide_terminal_needs_fewer_lines():
    scenario = SCENARIOS["flapping"]
    result = run(scenario)
    lines = list(story(scenario.sentence, result, 200))
    assert [line for line in lines if "10.0.0.2:4500  RREP #2 code 0 USE 2 translations" in line]
    assert len(lines) < len(list(story(scenario.sentence, result, 80)))


def test_scenarios_are_listed_one_a_line():
    stream = io.StringIO()
    print_scenarios(Console(file=stream))
    words = [line.split(maxsplit=1) for line in stream.getvalue().splitlines()]
    assert words == [[one.name, one.sentence] for one in SCENARIOS.values()]


def test_an_unknown_scenario_names_the_list():
    with pytest.raises(DemoError, match="no scenario 'nonsense'"):
        shown("nonsense")


@pytest.mark.parametrize(
    ("ladder", "seen"),
    [
        (["a  data 76"] * 2, ["a  data 76"] * 2),
        (["a  data 76"] * 5, ["a  data 76"] * 2 + ["... 3 more"]),
        (["b  RREQ #1"] * 3, ["b  RREQ #1"] * 3),
        (["b  98 octets, RREQ #1"] * 3, ["b  98 octets, RREQ #1"] * 3),
        (["c  98 octets, data 5", "c  ACK", "c  98 octets"], ["c  98 octets, data 5", "c  ACK"]),
    ],
)
def test_data_in_a_row_is_folded(ladder, seen):
    found = list(folded(ladder))
    assert found[: len(seen)] == seen
    assert found[len(seen) :] in ([], ["... 1 more"])


def test_comments_tell_every_event_at_a_packet_of_its_time():
    result = run(SCENARIOS["open"])
    told = comments(result)
    assert sum(map(len, told.values())) == len(result.mobile_events) + len(result.other_events)
    assert told[0][0].startswith("mobile terminal, +0.000 ms: moved: udp 198.51.100.2:4500")
    reply = next(number for number, line in enumerate(result.ladder) if "RREP #1" in line)
    assert "mobile terminal, +50.000 ms: registered in 50.000 ms" in told[reply]


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_kinds_of_captures_have_the_same_packets(tmp_path, name):
    result = run(SCENARIOS[name])
    for capture in (tmp_path / "x.pcap", tmp_path / "x.pcapng"):
        write_capture(result, capture)
        with capture.open("rb") as stream:
            records = [(record.time_ns, record.data) for record in read_records(stream)]
        assert records == result.captures[result.shown]
    text = (tmp_path / "x.pcapng").read_bytes().decode(errors="replace")
    for line in (line for told in comments(result).values() for line in told):
        assert line in text


@pytest.mark.parametrize("name", ["", "x.esp_sa", "x.keylog"])
def test_a_name_that_is_none_for_a_capture(name):
    with pytest.raises(DemoError, match="no name for a capture"):
        shown(write=Path(name))


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(DemoError, match="No such file"):
        shown(write=tmp_path / "missing" / "x.pcap")


def test_what_is_done_to_the_network_stands_between_the_packets():
    lines = shown("fallback").splitlines()
    (change,) = (number for number, line in enumerate(lines) if line.endswith("---"))
    assert lines[change] == "  2000 ms  --- the firewall changes: no native IPsec ---"
    assert lines[change + 1] == "  2000 ms  esp 198.51.100.2 > 203.0.113.2  ping 20"


def test_the_shown_link_is_named():
    assert "Packets at the mobile terminal, " in shown("open")
    assert "Packets at the other terminal, " in shown("race")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_picture_can_be_printed_in_any_encoding(encoding):
    stream = io.BytesIO()
    console = Console(file=io.TextIOWrapper(stream, encoding=encoding))
    run_demo("open", console, None)
    console.file.flush()
    assert ("├─ " if encoding == "utf-8" else "+- ") in stream.getvalue().decode(encoding)


def test_keys_of_another_capture_are_not_overwritten(tmp_path):
    keys = tmp_path / "mine.esp_sa"
    keys.write_text("mine")
    with pytest.raises(DemoError, match="is there already"):
        shown(write=tmp_path / "mine.pcap")
    assert keys.read_text() == "mine"


def test_a_pcapng_by_its_name_in_capitals(tmp_path):
    shown(write=tmp_path / "X.PCAPNG")
    assert (tmp_path / "X.PCAPNG").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


def test_comments_have_the_time_of_the_capture():
    told = comments(run(SCENARIOS["race"]))
    assert told[0][0].startswith("mobile terminal, -25.000 ms: moved: ")
    assert told[0][1] == "other terminal, +0.000 ms: RREQ of attempt 1 accepted, by udp"


def test_secrets_of_tls_are_written_beside_a_capture_or_into_it(tmp_path):
    text = shown("tls", write=tmp_path / "x.pcap")
    key_log = (tmp_path / "x.keylog").read_text()
    assert f"--tls-keys {tmp_path / 'x.keylog'}" in text
    assert key_log.startswith("CLIENT_HANDSHAKE_TRAFFIC_SECRET ")
    assert "--tls-keys" not in shown("tls", write=tmp_path / "z.pcapng")
    assert key_log.encode() in (tmp_path / "z.pcapng").read_bytes()
    shown("open", write=tmp_path / "w.pcap")
    assert {path.name for path in tmp_path.glob("*.keylog")} == {"x.keylog"}
