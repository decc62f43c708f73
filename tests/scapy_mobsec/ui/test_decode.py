"""`mobsec decode` on real captures and on bad days."""

import gzip
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from frames import GATEWAY, OLD, TO_GATEWAY, Bench, gcm
from stories import result_of

from scapy_mobsec.drivers.keyfiles import write_esp_sa
from scapy_mobsec.drivers.memory.packet import ACK, Packet, TcpFields
from scapy_mobsec.drivers.pcap import CaptureWriter
from scapy_mobsec.drivers.pcapng import PcapngWriter
from scapy_mobsec.encap.tcp import wrap_frame
from scapy_mobsec.encap.udp import Content
from scapy_mobsec.packet.ip import TCP
from scapy_mobsec.ui import decode as decode_module
from scapy_mobsec.ui.cli import main
from scapy_mobsec.ui.demo import write_capture

PCAPS = Path(__file__).parents[3] / "pcaps"
GCM, CBC = PCAPS / "strongswan-natt", PCAPS / "strongswan-natt-aes128-sha256"
MOBSEC = [sys.executable, "-m", "scapy_mobsec"]


@pytest.fixture
def run(capsys):
    def run_(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["decode", *map(str, arguments)])
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


@pytest.fixture
def as_json(run):
    def as_json_(*arguments):
        done = run("-T", "json", *arguments)
        assert done.code == 0, done.err
        return json.loads(done.out)

    return as_json_


def keyed(sample):
    return sample.with_suffix(".pcap"), "-k", sample.with_suffix(".esp_sa")


@pytest.mark.parametrize("sample", [GCM, CBC], ids=lambda sample: sample.name)
def test_strongswan_captures_are_verified_and_the_move_is_told(as_json, sample):
    result = as_json(*keyed(sample))
    summary = result["summary"]
    assert (summary["esp"], summary["verified"], summary["ike"]) == (20, 20, 14)
    assert (summary["icv_failed"], summary["no_key"], summary["malformed"]) == (0, 0, 0)
    (move,) = result["moves"]
    assert move["from"] == "192.0.2.2:4500"
    assert move["to"] == "192.0.2.6:4500"
    assert move["peer"] == "203.0.113.2:4500"
    assert not move["signalled"]
    assert len(result["sas"]) == 4
    assert all(sa["key_found"] and sa["verified"] == 5 for sa in result["sas"])


@pytest.mark.parametrize("sample", [GCM, CBC], ids=lambda sample: sample.name)
def test_the_keys_of_the_ike_sa_suffice(as_json, sample):
    result = as_json(sample.with_suffix(".pcap"), "-k", sample.with_suffix(".ike.keys.txt"))
    summary = result["summary"]
    assert (summary["esp"], summary["verified"], summary["ike"]) == (20, 20, 14)
    (move,) = result["moves"]
    assert (move["evidence"], move["signalled"], move["frame"]) == ("mobike", True, 17)
    (ike,) = result["ike"]
    assert [child["keys_derived"] for child in ike["child_sas"]] == [True, True]
    assert ike["identities"] == {"initiator": "mobile@sb", "responder": "gw@sb"}


def test_the_simulated_handover_tells_its_registration(as_json):
    result = as_json(*keyed(PCAPS / "handover-nat"))
    summary = result["summary"]
    assert summary["esp"] == summary["verified"] > 0
    assert summary["registrations"] == len(result["registrations"]) >= 1
    moved = [entry for entry in result["registrations"] if entry["translations"]]
    items = {(item["header"], item["field"], item["nature"]) for item in moved[0]["translations"]}
    assert ("ipv4", "source_address", "address_and_port") in items
    assert moved[0]["code_name"] == "accepted"
    assert all(move["signalled"] for move in result["moves"])


@pytest.fixture
def in_http(tmp_path):
    """The capture of a link in HTTP, one segment missing near the end; and its keys."""
    result = result_of("http")
    packets = result.captures["mobile"]
    missing = max(at for at, (_, packet) in enumerate(packets[:-4]) if len(packet) > 60)
    with open(tmp_path / "http.pcap", "wb") as stream:
        writer = CaptureWriter(stream, 101)
        for time_ns, packet in packets[:missing] + packets[missing + 1 :]:
            writer.write(time_ns, packet)
    with open(tmp_path / "http.esp_sa", "w", encoding="utf-8") as stream:
        write_esp_sa(result.sas, stream)
    return tmp_path / "http"


def test_a_link_in_http(as_json, run, in_http):
    result = as_json(*keyed(in_http))
    (entry,) = result["registrations"]
    kinds = ["ipv4", "tcp", "http", "esp"]
    assert [header["type"] for header in entry["captured"]] == kinds
    assert [header["type"] for header in entry["reply"]["captured"]] == kinds
    paths = [path for sa in result["sas"] for path in sa["paths"]]
    assert {path["encapsulation"] for path in paths} == {"http"}
    assert result["drops"] == {"tcp_gap": 1}
    text = run(*keyed(in_http)).out
    assert "http 198.51.100.2:49152 > 203.0.113.2:80" in text
    assert "tcp_gap" in text


def test_the_documented_keys_are_there(as_json):
    result = as_json(*keyed(PCAPS / "handover-nat"))
    document = (PCAPS.parent / "docs" / "decode.md").read_text()
    named = [result["summary"], result["sas"][0], result["sas"][0]["paths"][0]]
    named += [result["registrations"][0], result["registrations"][0]["reply"], result["moves"][0]]
    for key in {key for part in [result, *named] for key in part}:
        assert f"`{key}`" in document, key


def test_text_shows_the_same_story(run):
    done = run(*keyed(PCAPS / "handover-nat"))
    assert done.code == 0
    assert "source address and port" in done.out
    for words in ("Registrations", "accepted", "Moves", "by registration"):
        assert words in done.out


def test_without_keys_the_users_wireshark_tables_are_read_and_said(run, monkeypatch, tmp_path):
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(tmp_path))
    shutil.copy(GCM.with_suffix(".esp_sa"), tmp_path / "esp_sa")
    done = run("-T", "json", GCM.with_suffix(".pcap"))
    assert json.loads(done.out)["summary"]["verified"] == 20
    assert str(tmp_path / "esp_sa") in done.err


def test_without_any_key(run, monkeypatch, tmp_path):
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    done = run("-T", "json", GCM.with_suffix(".pcap"))
    summary = json.loads(done.out)["summary"]
    assert (summary["esp"], summary["no_key"], summary["verified"]) == (20, 20, 0)
    assert "no keys given" in done.err


def test_count_and_quiet(as_json, run):
    assert as_json(*keyed(GCM), "-c", 6)["summary"]["packets"] == 6
    done = run("-q", *keyed(GCM))
    assert len(done.out.splitlines()) == 1
    assert done.err == ""


def test_several_captures_and_keys_are_one_observation(as_json):
    result = as_json("-r", *keyed(GCM), *keyed(CBC), "-c", 60)
    assert result["summary"]["verified"] > 20
    assert len(result["sas"]) > 4


def test_capture_and_keys_from_stdin():
    capture = GCM.with_suffix(".pcap").read_bytes()
    keys = GCM.with_suffix(".esp_sa").read_bytes()
    for arguments, given in (
        (["-", "-k", GCM.with_suffix(".esp_sa")], gzip.compress(capture)),
        ([GCM.with_suffix(".pcap"), "-k", "-"], keys),
    ):
        command = [*MOBSEC, "decode", "-T", "json", *map(str, arguments)]
        done = subprocess.run(command, input=given, capture_output=True, timeout=60)
        assert json.loads(done.stdout)["summary"]["verified"] == 20


def test_a_truncated_capture_is_decoded_as_far_as_it_goes(run, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(GCM.with_suffix(".pcap").read_bytes()[:-50])
    done = run("-T", "json", cut, "-k", GCM.with_suffix(".esp_sa"))
    assert done.code == 0
    assert json.loads(done.out)["summary"]["packets"] == 33
    assert done.err.startswith(f"mobsec: warning: {cut}: ")


def test_what_came_before_the_damage_is_printed(run, tmp_path):
    damaged = tmp_path / "damaged.pcap"
    damaged.write_bytes(GCM.with_suffix(".pcap").read_bytes() + b"\xff" * 64)
    done = run("-T", "json", damaged, "-k", GCM.with_suffix(".esp_sa"))
    assert done.code == 2
    assert json.loads(done.out)["summary"]["verified"] == 20
    assert done.err.startswith(f"mobsec: {damaged}: ")


def test_keys_with_a_byte_order_mark(as_json, tmp_path):
    keys = tmp_path / "esp_sa"
    keys.write_bytes(b"\xef\xbb\xbf" + GCM.with_suffix(".esp_sa").read_bytes())
    assert as_json(GCM.with_suffix(".pcap"), "-k", keys)["summary"]["verified"] == 20


@pytest.mark.parametrize("given", ["", "\ufeff", "# none\r\n"])
def test_that_no_keys_came_is_said(run, tmp_path, monkeypatch, given):
    empty = tmp_path / "esp_sa"
    empty.write_text(given, encoding="utf-8")
    for name in ("-", empty):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        done = run("-q", GCM.with_suffix(".pcap"), "-k", name)
        assert (done.code, done.err) == (0, f"mobsec: warning: {name}: no keys in it\n")


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_full_disk_is_one_line(kind):
    command = [*MOBSEC, "decode", "-T", kind, *map(str, keyed(GCM))]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "mobsec: cannot write: No space left on device\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"plain text, no capture", "not a capture"), (None, "Is a directory")],
    ids=["empty", "wrong", "directory"],
)
def test_unusable_captures_are_one_line_and_exit_code_2(run, tmp_path, content, reason):
    path = tmp_path / "x.pcap"
    path.mkdir() if content is None else path.write_bytes(content)
    done = run(path, "-k", GCM.with_suffix(".esp_sa"))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mobsec: {path}: ")
    assert done.err.count("\n") == 1
    assert reason in done.err


@pytest.mark.parametrize(
    "row",
    [
        '"IPv4","*","*","0x1","AES-GCM with 16 octet ICV [RFC4106]","0xzz","NULL",""',
        '"IPv4","*","*","0x1","AES-GMC","0x00","NULL",""',
        '"IPv4","*"',
    ],
)
def test_a_bad_row_is_file_line_and_reason(run, tmp_path, row):
    keys = tmp_path / "esp_sa"
    keys.write_text(f"# comment\n{row}\n")
    done = run(GCM.with_suffix(".pcap"), "-k", keys)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mobsec: {keys}:2: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None], ids=["binary", "missing"])
def test_unusable_key_files_are_one_line(run, tmp_path, content):
    keys = tmp_path / "esp_sa"
    if content is not None:
        keys.write_bytes(content)
    done = run(GCM.with_suffix(".pcap"), "-k", keys)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mobsec: {keys}: ")
    assert done.err.count("\n") == 1


def test_ctrl_c_prints_what_is_known(monkeypatch, capsys):
    records = decode_module.read_records

    def interrupted(*arguments):
        for number, record in enumerate(records(*arguments)):
            if number == 10:
                raise KeyboardInterrupt
            yield record

    monkeypatch.setattr(decode_module, "read_records", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main(["decode", "-T", "json", *map(str, keyed(GCM))])
    captured = capsys.readouterr()
    assert stopped.value.code == 130
    assert json.loads(captured.out)["summary"]["packets"] == 10
    assert "interrupted after 10 packets" in captured.err


def test_sigint_while_waiting_for_a_pipe_ends_cleanly():
    # Where the tests run in the background, SIGINT is ignored, and children inherit that.
    command = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"sys.argv = ['mobsec', 'decode', '-', '-k', {str(GCM.with_suffix('.esp_sa'))!r}]; "
        "from scapy_mobsec.__main__ import run; run()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(GCM.with_suffix(".pcap").read_bytes())
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)  # it has read what there is and waits for more
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"34 packets" in out


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m scapy_mobsec decode {PCAPS / 'handover-nat.pcap'} -k "
    command += f"{PCAPS / 'handover-nat.esp_sa'} | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_a_long_file_has_a_progress_bar_on_a_terminal_only(tmp_path, monkeypatch):
    data = GCM.with_suffix(".pcap").read_bytes()
    long = tmp_path / "long.pcap"
    long.write_bytes(data[:24] + data[24:] * 1500)
    arguments = ["decode", str(long), "-k", "/dev/null", "-q", "-c", "50000"]
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [*MOBSEC, *[argument for argument in arguments if argument != "-q"]],
        stdout=subprocess.DEVNULL,
        stderr=secondary,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(secondary)
    shown = io.BytesIO()
    while True:
        try:
            piece = os.read(primary, 4096)
        except OSError:
            break
        if not piece:
            break
        shown.write(piece)
    assert process.wait(timeout=30) == 0
    assert b"long.pcap" in shown.getvalue()
    piped = subprocess.run([*MOBSEC, *arguments], capture_output=True, timeout=60)
    assert piped.stderr == b""


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), ("<&-", 2)])
def test_closed_standard_streams_are_no_traceback(closed, code):
    source = "-" if closed == "<&-" else str(GCM.with_suffix(".pcap"))
    command = f"{sys.executable} -m scapy_mobsec decode {source} -k "
    command += f"{GCM.with_suffix('.esp_sa')} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


@pytest.fixture
def in_tls(tmp_path):
    """Return the arguments for a capture with TLS, without its secrets, and the file of them."""
    keys, key_log = write_capture(result_of("tls"), tmp_path / "x.pcap")
    return (tmp_path / "x.pcap", "-k", keys), key_log


def test_tls_is_read_with_a_key_log(as_json, in_tls):
    arguments, key_log = in_tls
    without, told = as_json(*arguments), as_json(*arguments, "--tls-keys", key_log)
    assert (without["summary"]["tls"], told["summary"]["tls"]) == (1, 0)
    assert told["summary"]["verified"] == told["summary"]["esp"] > without["summary"]["esp"]
    assert "tls" in {path["encapsulation"] for sa in told["sas"] for path in sa["paths"]}
    assert without == as_json(*arguments, "--tls-keys", os.devnull)


def test_tls_is_read_with_the_secrets_in_a_capture(as_json, in_tls, tmp_path):
    (_, *keys), key_log = in_tls
    write_capture(result_of("tls"), tmp_path / "x.pcapng")
    told = as_json(tmp_path / "x.pcapng", *keys)
    assert told == as_json(tmp_path / "x.pcap", *keys, "--tls-keys", key_log)


def test_secrets_in_a_capture_that_are_wrong_are_a_warning(run, tmp_path):
    capture = tmp_path / "x.pcapng"
    with capture.open("wb") as stream:
        PcapngWriter(stream, tls_keys="nonsense\n")
    done = run(capture, "-k", GCM.with_suffix(".esp_sa"))
    assert done.code == 0
    assert "warning: " in done.err
    assert "TLS secrets: line 1: not a label" in done.err


@pytest.mark.parametrize("content", [None, b"nonsense\n", b"\xff\xfe\xfd", b"\0"])
def test_a_key_log_that_is_none(run, tmp_path, content):
    key_log = tmp_path / "x.keylog"
    if content is not None:
        key_log.write_bytes(content)
    done = run(*keyed(GCM), "--tls-keys", key_log)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mobsec: {key_log}: ")
    assert done.err.count("\n") == 1


def test_a_tcp_port_that_is_asked_for_is_read(run, as_json, tmp_path):
    capture, keys = tmp_path / "x.pcap", tmp_path / "x.esp_sa"
    frame = wrap_frame(Content.ESP, Bench().seal(TO_GATEWAY))
    ends = OLD._replace(port=999), GATEWAY._replace(port=9000)
    with capture.open("wb") as stream:
        CaptureWriter(stream).write(1, Packet(TCP, *ends, frame, TcpFields(ACK, 1, 1)).octets())
    with keys.open("w") as stream:
        write_esp_sa([gcm(TO_GATEWAY)], stream)
    arguments = (capture, "-k", keys)
    assert as_json(*arguments)["summary"]["esp"] == 0
    assert as_json(*arguments, "--tcp-port", 80, "--tcp-port", 9000)["summary"]["verified"] == 1
    assert run(*arguments, "--tcp-port", 70_000).code == 2
