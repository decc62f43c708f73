"""`mobsec decode --both-ends` on the two taps of a scenario."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from stories import result_of

from scapy_mobsec.drivers.capture import CaptureWriter
from scapy_mobsec.drivers.keyfiles import write_esp_sa
from scapy_mobsec.ui.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def taps(tmp_path):
    result = result_of("loss")
    for tap, packets in result.captures.items():
        with (tmp_path / f"{tap}.pcap").open("wb") as stream:
            writer = CaptureWriter(stream)
            for time_ns, packet in packets:
                writer.write(time_ns, packet)
    with (tmp_path / "keys.esp_sa").open("w") as stream:
        write_esp_sa(result.sas, stream)
    return tmp_path


@pytest.fixture
def run(capsys, taps, monkeypatch):
    monkeypatch.chdir(taps)

    def run_(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["decode", "--both-ends", "-k", "keys.esp_sa", *map(str, arguments)])
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


def test_loss_of_each_direction_as_json(run):
    done = run("-T", "json", "mobile.pcap", "other.pcap")
    assert (done.code, done.err) == (0, "")
    (link,) = json.loads(done.out)["links"]
    there, back = link["sas"]
    assert (there["direction"], back["direction"]) == ("first to second", "second to first")
    assert there["lost"] == there["in_first_alone"] > 10
    assert back["lost"] == back["in_second_alone"] > 10
    assert link["round_trip_ms"] == pytest.approx(50)
    assert link["clock_difference_ms"] == 0
    assert there["least_delay_ms"] == back["least_delay_ms"] == pytest.approx(25)
    assert there["least_delay_ms"] <= there["most_delay_ms"]
    assert sum(path["packets"] for path in there["paths"]) == there["in_both"]


def test_for_people(run):
    done = run("mobile.pcap", "other.pcap")
    assert done.code == 0
    assert "Link 1: 50.000 ms there and back, at least" in done.out
    for text in (
        "first to second",
        "second to first",
        " lost",
        "not translated",
        "Second clock: +0.000 ms",
        "took 25.000 to",
    ):
        assert text in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_what_is_not_verified_says_so(run):
    name = str(ROOT / "tests" / "data" / "tcpdump" / "espudp1.pcap")
    keys = Path("keys.tcpdump")
    key = "4043434545464649494a4a4c4c4f4f515152525454575758"
    keys.write_text(f"0x12345678@192.1.2.45 3des-cbc-hmac96:0x{key}")
    assert "16 NOT VERIFIED" in run("-k", keys, name, name).out
    (link,) = json.loads(run("-k", keys, "-T", "json", name, name).out)["links"]
    assert [sa["unverified"] for sa in link["sas"]] == [16]
    assert "NOT VERIFIED" not in run("mobile.pcap", "other.pcap").out


def test_one_capture_twice_has_no_direction(run):
    done = run("-T", "json", "mobile.pcap", "mobile.pcap")
    (link,) = json.loads(done.out)["links"]
    assert {sa["direction"] for sa in link["sas"]} == {"unknown"}
    assert {sa["lost"] for sa in link["sas"]} == {0}
    assert {sa["least_delay_ms"] for sa in link["sas"]} == {None}
    assert link["round_trip_ms"] is link["clock_difference_ms"] is None
    assert "clock difference included" in run("mobile.pcap", "mobile.pcap").out


def test_a_truncated_end_is_a_warning(run, taps):
    cut = taps / "cut.pcap"
    cut.write_bytes((taps / "other.pcap").read_bytes()[:-5])
    done = run("-q", "mobile.pcap", cut)
    assert done.code == 0
    assert "the last record is cut off" in done.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["mobile.pcap"], "--both-ends compares two captures"),
        (["mobile.pcap", "other.pcap", "-w", "x.pcap"], "--both-ends has tables and JSON"),
        (["mobile.pcap", "nowhere.pcap"], "nowhere.pcap: cannot be opened"),
        (["mobile.pcap", "keys.esp_sa"], "keys.esp_sa: not a capture file"),
    ],
)
def test_there_is_no_comparing(run, arguments, text):
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert done.err.count("\n") == 1
