"""decode, ladder, inner and translations: of captures, of packets, and of a crafted pair."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from frames import TO_GATEWAY, TO_MOBILE, Bench, gcm
from rich.console import Console
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.ipsec import ESP
from scapy.layers.mobileip import MobileIP
from scapy.plist import SndRcvList
from scapy.sendrecv import sniff
from scapy.utils import rdpcap, wrpcap
from shown import CAPTURES, EXPECTED
from sniffing import table_for
from stories import result_of

from contrib_layers import RREP, RREQ, Attempt, ESPHeader, IPv4Header, Observed, Sent, UDPHeader
from contrib_layers import Translation as TranslationItem
from contrib_layers import Translations as TranslationItems
from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec import MobsecSession, Observer, decode, inner, ladder, load_keys, translations
from scapy_mobsec.drivers.capture import CaptureError, open_capture, read_records
from scapy_mobsec.ui.demo import write_capture
from scapy_mobsec.ui.packet_output import InnerOutput

PCAPS = Path(__file__).parents[3] / "pcaps"
HANDOVER, HANDOVER_KEYS = str(PCAPS / "handover-nat.pcap"), PCAPS / "handover-nat.esp_sa"
KEYS = table_for(gcm(TO_GATEWAY), gcm(TO_MOBILE))


def read(name, keys):
    """The packets of a sample, as a session gives them."""
    return sniff(offline=str(PCAPS / name), session=MobsecSession(PCAPS / keys), quiet=True)


@pytest.fixture(scope="module")
def handover():
    return read("handover-nat.pcap", "handover-nat.esp_sa")


@pytest.fixture(scope="module")
def strongswan():
    return read("strongswan-natt.pcap", "strongswan-natt.ike.keys.txt")


def drawn(source, *arguments, width=80):
    stream = io.StringIO()
    ladder(source, *arguments, console=Console(file=stream, width=width, highlight=False))
    return stream.getvalue()


def test_decode_of_packets_is_that_of_their_capture(handover):
    """They remember the keys that they were opened with."""
    of_packets, of_file = decode(handover), decode(HANDOVER, HANDOVER_KEYS)
    assert of_packets.json() == of_file.json()
    assert of_file.report.summary.registrations == 3
    assert repr(of_file).startswith("67 packets, 67 ESP (67 verified), 3 registrations, 2 moves\n")
    assert "RREQ" in repr(of_packets)


@pytest.mark.parametrize("width", [80, 200])
def test_a_report_is_as_wide_as_the_terminal(handover, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = repr(decode(handover)).splitlines()
    assert max(map(len, lines)) <= width
    assert "\x1b" not in "".join(lines)


def test_keys_may_be_given_for_packets_that_have_none():
    packets = rdpcap(HANDOVER)
    assert decode(packets).report.summary.no_key == 67
    assert decode(packets, HANDOVER_KEYS).report.summary.verified == 67
    assert decode(packets, load_keys(HANDOVER_KEYS)).report.summary.verified == 67


def test_packets_may_come_from_a_generator(handover):
    """They are looked at twice, for their keys and to decode them."""
    assert decode(packet for packet in handover).json() == decode(handover).json()
    assert translations(iter(handover)) == translations(handover)
    assert len(inner(filter(None, handover))) == 67


@pytest.mark.parametrize("source", [b"octets", [b"octets"], 7, None, io.BytesIO(b"octets")])
def test_what_is_no_source_is_said(source):
    with pytest.raises(TypeError, match="not the name of a capture, nor packets: "):
        decode(source)


def test_part_of_a_capture_is_decoded_with_what_was_learnt_in_the_rest(strongswan):
    assert decode(strongswan[ESP]).report.summary.verified == 20
    assert len(inner(strongswan[ESP])) == 20
    assert decode(strongswan[ESP][0]).report.summary.packets == 1


def test_packets_of_several_sessions_need_their_keys(handover, strongswan):
    both = handover[:2] + strongswan[ESP]
    with pytest.raises(ValueError, match="packets of several sessions: give their keys"):
        decode(both)
    assert decode(both, [HANDOVER_KEYS, PCAPS / "strongswan-natt.esp_sa"]).report.summary.verified


def test_streams_are_decoded_from_their_packets(tmp_path):
    capture = tmp_path / "run.pcapng"
    keys, _ = write_capture(result_of("tls"), capture)
    of_file = decode(capture, keys)
    session = MobsecSession(keys, tls_keys=capture)
    packets = sniff(offline=str(capture), session=session, quiet=True)
    assert of_file.report.summary.registrations
    assert decode(packets).json() == of_file.json()


def test_what_waits_behind_a_gap_is_decoded_too():
    bench, at, segments = Bench(), 1000, []
    for _ in range(3):
        esp = bench.seal(TO_GATEWAY)
        piece = (len(esp) + 2).to_bytes(2) + esp
        segment = TCP(sport=40_000, dport=4500, seq=at, flags="PA") / (
            b"" if segments else b"IKETCP"
        )
        segments.append(IP(src="198.51.100.2", dst="203.0.113.2") / segment / piece)
        at += len(segments[-1][TCP].payload)
    assert decode([segments[0], segments[2]], KEYS).report.summary.verified == 2


def test_captures_that_end_early_or_are_none(tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(Path(HANDOVER).read_bytes()[:-7])
    with pytest.warns(UserWarning, match=r"cut\.pcap: the last record is cut off"):
        assert decode(cut, HANDOVER_KEYS).report.summary.packets == 66
    cut.write_bytes(b"nonsense")
    with pytest.raises(CaptureError, match=r"cut\.pcap: not a capture file"):
        decode(cut)
    with pytest.raises(CaptureError, match=r"^none\.pcap: cannot be opened: No such file"):
        decode("none.pcap")


@pytest.mark.parametrize("name", [name for name in CAPTURES if (PCAPS / f"{name}.pcap").exists()])
def test_the_ladder_is_that_of_the_command(name):
    packets = read(f"{name}.pcap", f"{name}.esp_sa")
    first, _, rest = drawn(packets).partition("\n")
    assert first.startswith(f"{len(packets)} packets")
    assert rest == (EXPECTED / f"{name}.ladder.txt").read_text()


def test_a_ladder_goes_to_stdout(handover, capsys):
    ladder(handover)
    assert "RREQ #2 [udp]" in capsys.readouterr().out


def test_what_had_no_room_in_a_ladder_is_said(handover, monkeypatch):
    monkeypatch.setattr("scapy_mobsec.observer.ladder.MAX_ROWS", 3)
    with pytest.warns(UserWarning, match="packets had no room in the ladder"):
        drawn(handover)


def test_inner_packets_are_those_that_the_command_writes(handover, tmp_path):
    packets = inner(handover)
    wrpcap(str(tmp_path / "inner.pcap"), packets, nano=True)
    with open_capture(tmp_path / "inner.pcap") as stream:
        written = [(each.time_ns, each.data) for each in read_records(stream)]
    stream = io.BytesIO()
    output = InnerOutput(stream, comments=False)
    observer = Observer(load_keys(HANDOVER_KEYS), on_packet=output.take)
    with open_capture(HANDOVER) as capture:
        for record in read_records(capture):
            observer.feed(record.time_ns, record.data, record.link_type)
    stream.seek(0)
    assert written == [(each.time_ns, each.data) for each in read_records(stream)]
    assert len(packets[RREQ]) == 6


def test_inner_packets_have_our_layers_without_a_session():
    script = (
        "from scapy_mobsec import inner\nfrom contrib_layers import RREQ\n"
        f"assert len(inner({HANDOVER!r}, {str(HANDOVER_KEYS)!r})[RREQ]) == 6"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_is_not_verified_is_no_inner_packet():
    name = "strongswan-natt-aes128-sha256"
    unverified = table_for()
    for row in load_keys(PCAPS / f"{name}.esp_sa").rows:
        unverified.add(type(row)(spi=row.spi, suite=row.suite, encryption_key=row.encryption_key))
    with pytest.warns(UserWarning, match="20 packets are left out, as they are not verified"):
        assert not inner(PCAPS / f"{name}.pcap", unverified)


def test_translations_of_all_messages(handover):
    found = translations(handover)
    assert [(each.message, each.frame) for each in found if each.message.startswith("RREQ")] == [
        ("RREQ #1", 1),
        ("RREQ #2", 24),
        ("RREQ #3", 47),
    ]
    assert found[1].translations[0].observed == "192.0.2.1"
    assert found[1].translations[0].nature is NatureCode.ADDRESS_AND_PORT
    assert {each.field for each in found.translations} == {
        FieldCode.SOURCE_ADDRESS,
        FieldCode.SOURCE_PORT,
        FieldCode.DESTINATION_ADDRESS,
        FieldCode.DESTINATION_PORT,
    }
    lines = repr(found).splitlines()
    assert lines[1] == "    nothing: no translator on the way"
    assert lines[3] == "    source address and port 10.0.0.2:4500 -> 192.0.2.1:37880"


def test_translations_that_ike_tells(strongswan):
    found = translations(strongswan)
    assert [each.frame for each in found] == [1, 2, 17, 19]
    text = repr(found)
    assert "    source address and port ? -> 192.0.2.2:500\n" in text
    assert "INFORMATIONAL #3: UPDATE_SA_ADDRESSES" in text


def test_translations_of_refused_requests_stand_among_the_others(tmp_path):
    capture = tmp_path / "run.pcapng"
    keys, _ = write_capture(result_of("stale"), capture)
    refused = {entry.asked.frame for entry in decode(capture, keys).report.refused}
    frames = [each.frame for each in translations(capture, keys=keys)]
    assert frames == sorted(frames)
    assert refused
    assert refused < set(frames[:-1])


def test_translations_without_messages():
    assert repr(translations(rdpcap(HANDOVER))) == "no messages"


def asked(**fields):
    wrote = [
        IPv4Header(src="10.0.0.2", dst="203.0.113.2"),
        UDPHeader(sport=4500, dport=4500),
        ESPHeader(spi=1),
    ]
    extensions = [Attempt(number=7), Sent(headers=wrote)]
    return IP() / UDP() / MobileIP() / RREQ(id=7, extensions=extensions, **fields)


def answered(*extensions):
    return IP() / UDP() / MobileIP() / RREP(id=7, extensions=[Attempt(number=7), *extensions])


def test_translations_of_a_crafted_rreq_by_its_rrep():
    q = asked()
    q[Sent].headers[1].sport = 31337
    seen = [
        IPv4Header(src="192.0.2.1", dst="203.0.113.2"),
        UDPHeader(sport=40001, dport=4500),
        ESPHeader(spi=1),
    ]
    (found,) = translations(q, answered(Observed(headers=seen)))
    assert [(each.sent, each.observed) for each in found.translations] == [
        ("10.0.0.2", "192.0.2.1"),
        ("31337", "40001"),
    ]
    told = TranslationItems(
        items=[TranslationItem(index=0, field="source_address", nature="address")]
    )
    assert (
        repr(translations(q, answered(told))).splitlines()[1] == "    source address 10.0.0.2 -> ?"
    )
    assert repr(translations(q, answered())) == (
        "RREQ #7: IPv4 10.0.0.2 > 203.0.113.2 / UDP 31337 > 4500 / ESP 0x00000001\n"
        "    not known: the RREP does not tell"
    )


def test_translations_that_do_not_fit_are_told_so():
    nonsense = TranslationItem(index=9, field="source_address", nature="address")
    found = translations(asked(), answered(TranslationItems(items=[nonsense])))
    assert repr(found).splitlines()[1] == (
        "    not known: the RREP has TRANSLATIONS that do not fit the SENT"
    )


def test_an_rrep_to_another_rreq_tells_nothing(handover):
    with pytest.raises(ValueError, match="the RREP answers another RREQ"):
        translations(handover[RREQ][0], handover[RREP][1])


def test_translations_of_sniffed_ones(handover):
    (found,) = translations(handover[RREQ][2], handover[RREP][1])
    assert found.translations[0].observed == "192.0.2.1"


@pytest.mark.parametrize(
    ("q", "a", "what"),
    [
        (IP() / UDP(), answered(), "no packet with an RREQ"),
        (asked(), IP() / UDP(), "no packet with an RREP"),
        (HANDOVER, answered(), "no packet with an RREQ"),
        (
            IP() / UDP() / MobileIP() / RREQ(flags=0, extensions=[Sent(length=99)]),
            answered(),
            "RREQ",
        ),
    ],
)
def test_what_is_no_pair_is_said(q, a, what):
    with pytest.raises(ValueError, match=what):
        translations(q, a)


def test_pairs_of_sr(handover):
    pairs = SndRcvList([(handover[RREQ][0], handover[RREP][0])])
    assert decode(pairs).report.summary.registrations == 1
