"""Samples decoded by `mobsec decode`, in this process, and what is wrong about the outcome.

Wrong is an exception, an end with another exit code than 0 and 2 or with more than its one line,
more computing than SECONDS, and what is called verified and is not to the octet what the intact
sample verifies. AH leaves out what routers change: that is compared as zeros.
"""

import csv
import io
import json
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from mutating import Sample

from scapy_mobsec.drivers.capture import read_records
from scapy_mobsec.drivers.keyfiles import FORMATS, read_key_file
from scapy_mobsec.drops import DropReason
from scapy_mobsec.ike.protection import Opener
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.ui import both_ends, cli, decode
from scapy_mobsec.ui.seen_text import NOT_VERIFIED

ROOT = Path(__file__).parents[2]
SECONDS = 20.0
"""Of computing, whatever else the machine does; a mutation takes some thousandths of one."""

PCAPS = ROOT / "pcaps"
DATA = ROOT / "tests" / "data"
TRIPLE_DES = (
    b"0x12345678@192.1.2.45 3des-cbc-hmac96:0x4043434545464649494a4a4c4c4f4f515152525454575758"
)
CCM_TABLE = (
    b"ea684d21597afd36,d9fe2ab22dac23ac,be83fe15f6a9976941870830fe26c014b863b3,"
    b"79e0f4476861a76e64329e787b1c4ff38d732f,"
    b'"AES-CCM-128 with 12 octet ICV [RFC5282]",,,"NONE [RFC4306]"'
)
KEYS_OF_DATA = {
    "02-sunrise-sunset-esp": TRIPLE_DES,
    "espudp1": TRIPLE_DES,
    "ikev2-aes128ccm12": CCM_TABLE,
}
CBC = "strongswan-natt-aes128-sha256"
KEYS_AS_THEY_CAME = (
    f"{CBC}.mobile.log",
    "strongswan-natt.mobile.log",
    "strongswan-natt.keys.txt",
    "strongswan-natt.ikev2_decryption_table",
)
NO_KEYS = (("-k", b""),)
KEY_FILES = ((".ike.keys.txt", "-k"), (".esp_sa", "-k"), (".keylog", "--tls-keys"))

INTACT = "intact"
"""Name of the file with the intact capture."""

VIEWS = (
    *(("-T", "json"),) * 6,
    *(("-T", "csv"),) * 3,
    *(("-q", "-w", "inner.pcapng"), ("-q", "-w", "inner.pcap")) * 2,
    ("-q", "-w", "outer.pcapng", "--keep-outer"),
    ("--both-ends", INTACT),
    ("--ladder", "--svg", "ladder.svg", "--timeline", "--explain"),
    (),
)
"""Options of the views; of so many mutations each has one, and those that tell more come often."""


def samples() -> dict[str, Sample]:
    """All captures of `pcaps/` and of the test data, with all their keys; then key files."""
    paths = [path for path in PCAPS.iterdir() if path.suffix in (".pcap", ".pcapng")]
    found = {}
    for path in sorted(paths) + sorted(DATA.rglob("*.pcap")):
        beside = ((path.with_suffix(suffix), option) for suffix, option in KEY_FILES)
        keys = [(option, keys.read_bytes()) for keys, option in beside if keys.exists()]
        if path.stem in KEYS_OF_DATA:
            keys.append(("-k", KEYS_OF_DATA[path.stem]))
        found[path.name] = Sample(path.name, path.read_bytes(), tuple(keys))
    return found | {sample.name: sample for sample in _samples_of_keys()}


def _samples_of_keys() -> Iterator[Sample]:
    """The keys of strongSwan's captures as they came, and those of one in every format."""
    texts = {name: (PCAPS / name).read_bytes() for name in KEYS_AS_THEY_CAME}
    table = read_key_file(str(PCAPS / f"{CBC}.keys.txt"))
    for each in FORMATS:
        texts[f"{CBC}.{each.endings[0]}"] = each.write(table).text.encode()
    for name, text in texts.items():
        capture = (PCAPS / f"{name.partition('.')[0]}.pcap").read_bytes()
        if text:  # tcpdump has no place for these keys
            yield Sample(name, capture, (("-k", text),), of_keys=True)
    in_tcpdump = (DATA / "tcpdump" / "espudp1.pcap").read_bytes()
    yield Sample("espudp1.secrets", in_tcpdump, (("-k", TRIPLE_DES),), of_keys=True)


class Outcome(NamedTuple):
    """What came of a decoding.

    `verified`: what a good ICV covers, IKE messages, too. `frames`: of ESP and AH among it, with
    whether its content could be read. `written`: inner packets, with whether they are marked as
    not verified.
    """

    code: int
    stdout: str
    stderr: str
    verified: list[bytes]
    frames: list[tuple[int, bool]]
    written: list[tuple[bytes, bool]]


class TooLong(Exception):
    """A decoding does not end."""


def decoded(sample: Sample, view: tuple[str, ...], folder: Path) -> Outcome:
    """Decode a sample as from the command line, with the capture at stdin.

    Keys, and what is written, are in the folder.
    """
    arguments = ["decode", "-"]
    for number, (option, keys) in enumerate(sample.keys or NO_KEYS):
        path = folder / f"keys{number}"
        if not path.exists() or path.read_bytes() != keys:
            path.write_bytes(keys)
        arguments += [option, str(path)]
    files = {name: folder / name for name in view if "." in name}
    for path in files.values():
        path.unlink(missing_ok=True)
    files[INTACT] = folder / INTACT
    arguments += [str(files.get(name, name)) for name in view]
    standard = [io.TextIOWrapper(io.BytesIO(each), "utf-8") for each in (sample.capture, b"", b"")]
    streams = dict(zip(("stdin", "stdout", "stderr"), standard, strict=True))
    verified: list[bytes] = []
    frames: list[tuple[int, bool]] = []
    with _witness(verified, frames), _at_most(SECONDS), patch.multiple(sys, **streams):
        try:
            cli.main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    for stream in standard[1:]:
        stream.flush()
    texts = (stream.buffer.getvalue().decode() for stream in standard[1:])
    inner = [path for name, path in files.items() if name.startswith("inner") and path.exists()]
    written = [each for path in inner for each in _inner_packets(path)]
    return Outcome(code, *texts, verified, frames, written)


def _inner_packets(path: Path) -> Iterator[tuple[bytes, bool]]:
    octets = path.read_bytes()
    for record in read_records(io.BytesIO(octets)):
        end = octets.index(record.data) + len(record.data)
        yield record.data, NOT_VERIFIED.encode() in octets[end : end + 100]


@contextmanager
def _witness(verified: list[bytes], frames: list[tuple[int, bool]]) -> Iterator[None]:
    """Note what an observer takes for verified."""

    class Witness(Observer):
        def __init__(self, *arguments, on_packet=None, **options):
            def take(seen):
                is_read = seen.opened is not None
                if seen.opened.verified if is_read else seen.dropped is DropReason.BAD_PADDING:
                    frames.append((seen.frame, is_read))
                    octets = without_mutable(seen.octets) if seen.outer.ah else seen.octets
                    verified.append(octets)
                if on_packet is not None:
                    on_packet(seen)

            super().__init__(*arguments, on_packet=take, **options)

    whole = Opener.open

    def open_(self, message):
        opened = whole(self, message)
        if opened.verified:
            verified.append(message.octets)
        return opened

    observers = [patch.object(module, "Observer", Witness) for module in (decode, both_ends)]
    with observers[0], observers[1], patch.object(Opener, "open", open_):
        yield


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise TooLong after so many seconds of computing."""

    def stop(*_):
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def without_mutable(packet: bytes) -> bytes:
    """An IP packet with zeros for what routers change (RFC 4302 section 3.3.3.1), no options."""
    octets = bytearray(packet)
    changing = (1, 6, 7, 8, 10, 11) if packet[0] >> 4 == 4 else (1, 2, 3, 7)
    for at in changing:
        octets[at] = 0
    if packet[0] >> 4 == 6:
        octets[0] = 6 << 4
    return bytes(octets)


def payload(packet: bytes) -> bytes:
    """What an IP packet carries: its header is made anew, of the outer one, in transport mode."""
    return packet[20 if packet[0] >> 4 == 4 else 40 :]


class Judge:
    """Tells what is wrong with mutations of one sample."""

    def __init__(self, sample: Sample, folder: Path) -> None:
        self._sample, self._folder = sample, folder
        (folder / INTACT).write_bytes(sample.capture)
        intact = decoded(sample, VIEWS[0], folder)
        self._verified = set(intact.verified)
        written = decoded(sample, ("-q", "-w", "inner.pcapng"), folder)
        self._inner = {payload(packet) for packet, is_marked in written.written if not is_marked}

    def faults(self, seed: int) -> list[str]:
        """What is wrong with the mutation of a seed, by the view that the seed chooses."""
        view = VIEWS[seed % len(VIEWS)]
        sample = self._sample.mutated(seed)
        try:
            outcome = decoded(sample, view, self._folder)
        except (Exception, TooLong):
            return [traceback.format_exc()]
        lies = [octets for octets in outcome.verified if octets not in self._verified]
        found = [f"verified, and not in the sample: {octets.hex()}" for octets in lies]
        found += _faults_of_end(outcome)
        if outcome.code == 0 or outcome.stdout:
            found += _faults_of_report(outcome, view)
        unmarked = [packet for packet, is_marked in outcome.written if not is_marked]
        made_up = [packet for packet in unmarked if payload(packet) not in self._inner]
        if sample.keys != self._sample.keys:
            # A wrong encryption key makes nonsense of what the right integrity key verifies.
            made_up = unmarked[sum(is_read for _, is_read in outcome.frames) :]
        return found + [f"written without a mark: {packet.hex()}" for packet in made_up]


def _faults_of_end(outcome: Outcome) -> list[str]:
    lines = outcome.stderr.splitlines()
    found = [f"stderr: {line}" for line in lines if not line.startswith("mobsec: ")]
    errors = [line for line in lines if "warning: " not in line]
    if outcome.code not in (0, 2) or len(errors) != (outcome.code == 2):
        found.append(f"exit code {outcome.code} with {errors}")
    if any("cannot write" in line for line in errors):
        found.append(errors[0])
    return found


def _faults_of_report(outcome: Outcome, view: tuple[str, ...]) -> list[str]:
    """Where a view tells more as verified than the observer told."""
    frames = sorted(frame for frame, is_read in outcome.frames if is_read)
    if view == ("-T", "csv"):
        rows = csv.DictReader(io.StringIO(outcome.stdout))
        shown = [row for row in rows if row["verified"] == "true" and row["spi"]]
        told = sorted(int(row["frame"]) for row in shown)
        return [] if told == frames else [f"CSV tells {told} as verified, not {frames}"]
    if view != ("-T", "json"):
        return []
    report = json.loads(outcome.stdout)
    found = []
    if report["summary"]["verified"] != len(outcome.frames):
        found.append(f"{report['summary']['verified']} are verified, not {len(outcome.frames)}")
    for entry in [*report["registrations"], *report["refused"]]:
        for message in (entry, entry["reply"]):
            if message and message["verified"] and message["frame"] not in frames:
                found.append(f"registration of frame {message['frame']}, which is not verified")
    in_ike = sum(sa["verified"] for sa in report["ike"])
    if in_ike > len(outcome.verified) - len(outcome.frames):
        found.append(f"{in_ike} of IKE are verified")
    return found
