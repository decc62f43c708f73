"""No command destroys what it reads, or what it writes beside."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from scapy_mobsec.ui.cli import main
from scapy_mobsec.ui.written import CannotWrite, check_outputs

PCAPS = Path(__file__).parents[3] / "pcaps"
DECODE = ["decode", "in.pcap", "-k", "in.esp_sa", "--tls-keys", "in.keylog"]
PICTURE = ["--ladder", "--svg"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WIRESHARK_CONFIG_DIR", raising=False)
    for suffix in (".pcap", ".esp_sa"):
        shutil.copy(PCAPS / f"handover-nat{suffix}", f"in{suffix}")
    Path("in.keylog").write_text("# no secrets\n")
    Path("tables").mkdir()
    shutil.copy("in.esp_sa", "tables/esp_sa")
    os.link("in.pcap", "linked.pcap")
    os.symlink("in.esp_sa", "linked.esp_sa")
    os.symlink("picture.svg", "dangling.svg")
    return tmp_path


@pytest.fixture
def run(capsys, folder):
    def run_(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([*DECODE, "-w", "in.pcap"], "in.pcap: is read"),
        ([*DECODE, "-w", "./in.pcap"], "./in.pcap: is read"),
        ([*DECODE, "-w", "linked.pcap"], "linked.pcap: is read"),
        ([*DECODE, "-w", "linked.esp_sa"], "linked.esp_sa: is read"),
        ([*DECODE, "-w", "in.keylog"], "in.keylog: is read"),
        ([*DECODE, *PICTURE, "in.pcap"], "in.pcap: is read"),
        ([*DECODE, *PICTURE, "in.esp_sa"], "in.esp_sa: is read"),
        ([*DECODE, "-k", "tables", "-w", "tables/esp_sa"], "tables/esp_sa: is read"),
        ([*DECODE, *PICTURE, "one", "-w", "one"], "one: cannot be written twice"),
        ([*DECODE, *PICTURE, "dangling.svg", "-w", "picture.svg"], "cannot be written twice"),
        ([*DECODE, *PICTURE, "-"], "--svg writes a file, not stdout"),
        (["decode", "none.pcap", "-k", "in.esp_sa", "-w", "linked.pcap"], "none.pcap: cannot be"),
        (["decode", "in.keylog", "-k", "in.esp_sa", "-w", "in.pcap"], "not a capture file"),
        (["decode", "in.pcap", "-k", "none.esp_sa", "-w", "linked.esp_sa"], "none.esp_sa: No such"),
        (["decode", "-k", "in.esp_sa", "-i", "none0", "-w", "in.pcap"], "none0"),
        (["decode", "--both-ends", "in.pcap", "linked.pcap", "--svg", "x"], "--both-ends has"),
        (["keys", "convert", "in.esp_sa", "linked.esp_sa"], "linked.esp_sa: is read"),
        (["keys", "convert", "tables", "tables/"], "tables/esp_sa: is read"),
    ],
)
def test_nothing_is_destroyed(run, folder, arguments, text):
    before = contents(folder)
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert contents(folder) == before


def test_the_users_own_tables_are_read_too(run, folder, monkeypatch):
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", "tables")
    before = contents(folder)
    assert "is read" in run("decode", "in.pcap", "-w", "tables/esp_sa").err
    assert contents(folder) == before


def test_files_of_a_demo_are_several(run, folder):
    Path("demo.pcap").touch()
    os.link("demo.pcap", "demo.esp_sa")
    done = run("demo", "--simulate", "-w", "demo.pcap")
    assert done.code == 2
    assert "demo.esp_sa: cannot be written twice" in done.err
    assert Path("demo.pcap").read_bytes() == b""


def test_a_capture_without_packets_is_written(run):
    Path("empty.pcap").write_bytes(Path("in.pcap").read_bytes()[:24])
    assert run("decode", "empty.pcap", "-k", "in.esp_sa", "-w", "out.pcap").code == 0
    assert len(Path("out.pcap").read_bytes()) == 24


def test_what_keeps_nothing_can_be_named_twice(folder):
    check_outputs(["-", "-", os.devnull, os.devnull], ["-", os.devnull])
    with pytest.raises(CannotWrite):
        check_outputs(["new", "./new"], [])
