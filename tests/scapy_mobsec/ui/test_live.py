"""`mobsec decode -i` over a packet socket that is played here."""

import io
import re
from types import SimpleNamespace

import pytest
from frames import NEW, TO_GATEWAY, Bench, request, signalling

from scapy_mobsec.drivers.capture import CaptureError, Record
from scapy_mobsec.drivers.keyfiles import write_esp_sa
from scapy_mobsec.ui import live
from scapy_mobsec.ui.cli import main
from scapy_mobsec.ui.live import LiveLines


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, bench):
    """Runs mobsec decode -i on frames; an exception among them is raised."""
    keys = tmp_path / "keys.esp_sa"
    with keys.open("w") as stream:
        write_esp_sa(bench.keys.parameters, stream)

    class Played:
        def __init__(self, interface, bpf):
            if interface != "eth0":
                raise CaptureError(f"{interface}: no such interface")
            self.asked = interface, bpf

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def records(self):
            for number, frame in enumerate(Played.frames):
                if not isinstance(frame, bytes):
                    raise frame
                yield Record(number * 10**6, 101, frame, len(frame))

        def lost(self):
            return Played.missing

    def run_(*arguments, frames=(), lost=0):
        Played.frames, Played.missing = frames, lost
        monkeypatch.setattr(live, "PacketSocket", Played)
        with pytest.raises(SystemExit) as stopped:
            main(["decode", "-k", str(keys), *map(str, arguments)])
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


def registering(bench):
    return bench.up(), bench.up(NEW, payload=signalling(request())), bench.up(NEW)


def test_a_line_for_each_message_and_move_and_the_report_at_the_end(run, bench):
    done = run("-i", "eth0", frames=[*registering(bench), KeyboardInterrupt()])
    assert (done.code, done.err) == (0, "mobsec: listening on eth0; Ctrl-C ends it\n")
    first, second, report, *_ = done.out.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.001000  RREQ #1: udp .*", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.001000  link 1 moved: .*", second)
    assert report == "3 packets, 3 ESP (3 verified), 1 registration, 1 move"


def test_it_ends_with_the_count_and_tells_what_was_lost(run, bench):
    done = run("-i", "eth0", "-c", 2, "-q", frames=[*registering(bench)], lost=7)
    assert (done.code, done.out) == (0, "2 packets, 2 ESP (2 verified), 1 registration, 1 move\n")
    assert done.err == ("mobsec: warning: 7 frames came faster than they were read, and are lost\n")


def test_json_alone(run, bench):
    done = run("-i", "eth0", "-T", "json", "-c", 3, frames=registering(bench))
    assert done.code == 0
    assert done.out.startswith("{")


def test_written_as_captured(run, bench, tmp_path):
    written = tmp_path / "seen.pcapng"
    options = "-i", "eth0", "-c", 3, "-w", written, "--keep-outer"
    assert run(*options, frames=registering(bench)).code == 0
    assert b"link 1 moved" in written.read_bytes()


def test_the_report_comes_also_when_the_interface_goes(run, bench):
    gone = CaptureError("eth0: Network is down")
    done = run("-i", "eth0", "-q", frames=[*registering(bench), gone])
    assert done.code == 2
    assert done.out.startswith("3 packets")
    assert done.err == "mobsec: eth0: Network is down\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-i", "eth9"], "eth9: no such interface"),
        (["-i", "eth0", "x.pcap"], "-i decodes an interface, not captures"),
        (["-f", "udp", "x.pcap"], "-f filters what -i captures"),
    ],
)
def test_there_is_no_capturing(run, arguments, text):
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert done.err.count("\n") == 1


def test_what_is_not_verified_is_marked(bench):
    bench.see(*registering(bench))
    seen = bench.packets[1]
    assert seen.spi == TO_GATEWAY
    stream = io.StringIO()
    LiveLines(stream).take(seen._replace(opened=seen.opened._replace(verified=False)))
    assert all("  NOT VERIFIED: " in line for line in stream.getvalue().splitlines())
