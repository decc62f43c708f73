"""The command line as a shell sees it: output, error line, exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scapy_mobsec.ui.cli import main

SAMPLE = Path(__file__).parents[3] / "pcaps" / "handover-nat"
READ = ["decode", f"{SAMPLE}.pcap", "-k", f"{SAMPLE}.esp_sa"]
HEAVY = ("scapy.packet", "numpy", "cryptography")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    captured = capsys.readouterr()
    return stopped.value.code, captured.out, captured.err


@pytest.mark.parametrize("arguments", [["--help"], ["decode", "--help"], ["bench", "--help"]])
def test_help_is_given_without_importing_anything_heavy(arguments):
    script = (
        "import sys\n"
        "from scapy_mobsec.ui.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        f"finally:\n    assert not [name for name in {HEAVY} if name in sys.modules]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_version(capsys):
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.startswith("mobsec ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["decode"], "no capture given"),
        (["decode", "-", "-k", "-"], "stdin (-) can be read only once"),
        (["decode", "-", "-r", "-"], "stdin (-) can be read only once"),
        (["decode", "x.pcap", "-c", "0"], "Invalid value for '-c'"),
        (["decode", "x.pcap", "-c", "many"], "Invalid value for '-c'"),
        (["decode", "x.pcap", "-T", "xml"], "Invalid value for '-T'"),
        (["decode", "--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["decode", "/nonexistent/x.pcap", "-k", "/dev/null"], "/nonexistent/x.pcap: "),
        (["demo", "handover"], "--simulate"),
        (["demo", "--simulate", "nonsense"], "no scenario 'nonsense': mobsec demo --list"),
    ],
)
def test_wrong_use_is_one_line_on_stderr_and_exit_code_2(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("mobsec: ")
    assert message in err


def test_scenarios_are_listed(capsys):
    code, out, err = run(capsys, "demo", "--list")
    assert (code, err) == (0, "")
    assert out.startswith("handover ")


@pytest.mark.parametrize(("columns", "width"), [(None, 80), ("60", 60), ("150", 150)])
def test_a_demonstration_is_as_wide_as_columns_says_where_there_is_no_terminal(columns, width):
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    if columns:
        environment["COLUMNS"] = columns
    command = [sys.executable, "-m", "scapy_mobsec", "demo", "--simulate", "symmetric"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert width - 20 < max(map(len, done.stdout.splitlines())) <= width


def test_no_arguments_shows_the_help(capsys):
    code, out, _ = run(capsys)
    assert code == 2
    assert "decode" in out


@pytest.mark.parametrize(
    "arguments",
    [
        READ,
        [*READ, "--ladder", "--timeline", "--explain"],
        [*READ, "-T", "csv"],
        [*READ, "-T", "json"],
        [*READ, "-q", "-w", "-"],
        [*READ, "-q", "-w", "-", "--keep-outer"],
        ["decode", "--both-ends", READ[1], *READ[1:]],
        ["demo", "--list"],
    ],
    ids=lambda arguments: " ".join(each for each in arguments if "/" not in each),
)
def test_where_nobody_reads_it_ends_without_a_word(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as stdout:
        command = [sys.executable, "-m", "scapy_mobsec", *arguments]
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("option", [["-T", "csv"], ["-q", "-w", "-", "--keep-outer"]])
def test_where_nobody_reads_on_it_ends_without_a_word(option):
    command = [sys.executable, "-m", "scapy_mobsec", *READ, *[READ[1]] * 15, *option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)  # a pipe holds 64 KiB, and there is more to come
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


def test_where_nobody_reads_the_report_beside_packets_either(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as stderr, (tmp_path / "inner.pcapng").open("wb") as stdout:
        command = [sys.executable, "-m", "scapy_mobsec", *READ, "-w", "-"]
        done = subprocess.run(command, stdout=stdout, stderr=stderr, check=False)
    assert done.returncode == 0
    assert (tmp_path / "inner.pcapng").stat().st_size > 5000
