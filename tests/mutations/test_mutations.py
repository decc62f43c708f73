"""Some mutations of every sample (CI runs `run.py` for many more), and whether faults are seen."""

import subprocess
import sys
from pathlib import Path

import decoding
import pytest
from decoding import KEYS_OF_DATA, VIEWS, Judge, decoded, samples
from mutating import split

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.esp.sa import InboundSa, Opened
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.ui import packet_output

SAMPLES = samples()
RUN = Path(__file__).with_name("run.py")
SEEDS = range(1, 101)
BY_JSON = [seed for seed in SEEDS if VIEWS[seed % len(VIEWS)] == ("-T", "json")]


@pytest.mark.parametrize("name", SAMPLES)
def test_no_mutation_gives_a_traceback_a_hang_or_a_false_verified(name, tmp_path):
    judge = Judge(SAMPLES[name], tmp_path)
    found = {seed: faults for seed in SEEDS if (faults := judge.faults(seed))}
    assert not found


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_itself_has_no_fault(name, tmp_path, monkeypatch):
    judge = Judge(SAMPLES[name], tmp_path)
    monkeypatch.setattr(decoding.Sample, "mutated", lambda sample, seed: sample)
    assert not [fault for number in range(len(VIEWS)) for fault in judge.faults(number)]


def test_each_sample_with_keys_is_opened(tmp_path):
    for sample in SAMPLES.values():
        outcome = decoded(sample, VIEWS[0], tmp_path)
        is_unverified = KEYS_OF_DATA.get(Path(sample.name).stem) == decoding.TRIPLE_DES
        assert bool(outcome.verified) == (bool(sample.keys) and not is_unverified), sample.name


@pytest.mark.parametrize("name", SAMPLES)
def test_mutations_differ_from_the_sample_and_each_other_and_are_the_same_again(name):
    sample = SAMPLES[name]
    made = [sample.mutated(seed) for seed in SEEDS]
    assert made == [sample.mutated(seed) for seed in SEEDS]
    assert len(set(made) - {sample}) > 50


@pytest.mark.parametrize("name", SAMPLES)
def test_records_are_put_together_as_they_were(name):
    start, records, frame = split(SAMPLES[name].capture)
    assert records
    again = start + b"".join(frame(prefix, data) for prefix, data in records)
    assert split(again)[:2] == (start, records)
    if name.endswith(".pcap") and SAMPLES[name].keys:
        assert again == SAMPLES[name].capture


@pytest.fixture
def judge(tmp_path):
    return Judge(SAMPLES["handover-nat.pcap"], tmp_path)


def test_a_false_verified_is_seen(judge, monkeypatch):
    whole = InboundSa.open

    def open_(self, packet):
        try:
            return whole(self, packet)
        except Drop as drop:
            if drop.reason is not DropReason.BAD_ICV:
                raise
            return Opened(b"", 59, 1, True)

    monkeypatch.setattr(InboundSa, "open", open_)
    found = [fault for seed in SEEDS for fault in judge.faults(seed)]
    assert any(fault.startswith("verified, and not in the sample") for fault in found)


def test_an_exception_is_seen(judge, monkeypatch):
    monkeypatch.setattr(Observer, "feed", lambda *_: {}["missing"])
    assert "KeyError" in judge.faults(BY_JSON[0])[0]


def test_a_hang_is_seen(judge, monkeypatch):
    def feed(*_):
        while True:
            pass

    monkeypatch.setattr(Observer, "feed", feed)
    monkeypatch.setattr(decoding, "SECONDS", 0.05)
    assert "TooLong" in judge.faults(BY_JSON[0])[0]


def test_an_inner_packet_without_its_mark_is_seen(tmp_path, monkeypatch):
    judge = Judge(SAMPLES["espudp1.pcap"], tmp_path)
    assert not [fault for seed in SEEDS for fault in judge.faults(seed)]
    monkeypatch.setattr(packet_output, "NOT_VERIFIED", "fine")
    assert any(
        fault.startswith("written without a mark") for seed in SEEDS for fault in judge.faults(seed)
    )


@pytest.mark.parametrize("stderr", ["", "Traceback\n", "mobsec: a\nmobsec: b\n"])
def test_an_end_with_exit_code_2_has_one_line(judge, monkeypatch, stderr):
    outcome = decoding.Outcome(2, "", stderr, [], [], [])
    monkeypatch.setattr(decoding, "decoded", lambda *_: outcome)
    assert judge.faults(1)
    fine = outcome._replace(stderr="mobsec: warning: a\nmobsec: b\n")
    monkeypatch.setattr(decoding, "decoded", lambda *_: fine)
    assert not judge.faults(1)


def test_the_command_prints_a_line_for_each_sample():
    command = [sys.executable, str(RUN), "--mutations", "3", "espudp1.pcap", "ah.pcap"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == [
        "espudp1.pcap: 3 mutations, 0 with faults",
        "ah.pcap: 3 mutations, 0 with faults",
        "2 samples, 6 mutations, 0 with faults",
    ]
    assert done.returncode == 0
