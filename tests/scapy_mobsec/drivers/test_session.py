"""What sniff gives with a MobsecSession: one packet a frame, its octets, and what is in it."""

import gc
import pickle
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import scapy.all
from frames import (
    GATEWAY,
    NEW,
    OLD,
    TO_GATEWAY,
    TO_MOBILE,
    Bench,
    ah,
    gcm,
    request,
    signalling,
)
from scapy.config import conf
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.sendrecv import AsyncSniffer, sniff
from scapy.utils import wrpcap
from sniffing import ETHERNET, count, sniffed, table_for
from stories import result_of

import contrib_layers
from contrib_layers import RREP, RREQ
from scapy_mobsec import MobsecSession, load_keys
from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.drivers.scenarios import SCENARIOS
from scapy_mobsec.drivers.seen_layers import Completed, SeenAH, SeenESP
from scapy_mobsec.observer.seen import PacketType
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.ui.demo import write_capture

PCAPS = Path(__file__).parents[3] / "pcaps"
SAMPLES = sorted(PCAPS.glob("*.pcap*"))
PING = bytes(IP(src="10.10.1.1", dst="10.10.2.1") / ICMP() / b"ping")
KEYS = table_for(gcm(TO_GATEWAY), gcm(TO_MOBILE), ah(TO_GATEWAY))


@pytest.fixture(autouse=True)
def loud(monkeypatch):
    """Scapy hides exceptions of sessions and dissectors otherwise."""
    monkeypatch.setattr(conf, "debug_dissector", True)


class Pings(Bench):
    """What nothing else is said of is a ping that Scapy can dissect."""

    def seal(self, spi, payload=PING, **options):
        return super().seal(spi, payload, **options)

    def by_ah(self, spi, payload=PING, **options):
        return super().by_ah(spi, payload=payload, **options)


@pytest.fixture
def bench():
    return Pings()


def sample(name, keys, **options):
    capture = str(PCAPS / f"{name}.pcap")
    return sniff(offline=capture, session=MobsecSession(PCAPS / keys), quiet=True, **options)


def octets_in(capture):
    with open_capture(capture) as stream:
        return [record.data for record in read_records(stream)]


def test_the_registrations_of_a_handover_are_there():
    packets = sample("handover-nat", "handover-nat.esp_sa")
    assert len(packets) == 67
    assert (len(packets[RREQ]), len(packets[RREP])) == (6, 3)
    assert all(packet[ESP].verified and not packet[ESP].fault for packet in packets)
    asking = packets[RREQ][0]
    assert (asking[ESP].spi, asking[ESP].seq, asking[RREQ].coaddr) == (
        0x2265B2F5,
        1,
        "198.51.100.2",
    )
    assert asking[IP:2].time == asking.time
    assert "verified  = True" in asking.show(dump=True)


@pytest.mark.parametrize("name", ["strongswan-natt", "strongswan-natt-aes128-sha256"])
def test_keys_of_ike_open_the_esp_that_it_agrees_on(name):
    packets = sample(name, f"{name}.ike.keys.txt")[ESP]
    assert len(packets) == 20
    assert all(packet[ESP].verified and ICMP in packet for packet in packets)


def registrations(session, capture):
    """How many RREQs and RREPs there are in a capture, as its observer tells packet by packet."""
    types = Counter()
    observer = session._keys.observer(lambda seen: types.update([seen.type]))
    with open_capture(capture) as stream:
        for record in read_records(stream):
            observer.feed(record.time_ns, record.data, record.link_type)
    observer.finish()
    assert session.observer.report().summary == observer.report().summary
    return types[PacketType.RREQ], types[PacketType.RREP]


@pytest.mark.parametrize("name", SCENARIOS)
def test_of_each_scenario_all_that_decode_shows(name, tmp_path):
    """And the octets stay those of the wire, also where streams carry ESP."""
    capture, copy = tmp_path / "run.pcapng", tmp_path / "copy.pcap"
    keys, _ = write_capture(result_of(name), capture)
    session = MobsecSession(load_keys(keys), tls_keys=capture)
    packets = sniff(offline=str(capture), session=session, quiet=True)
    found = count(packets, RREQ), count(packets, RREP)
    assert found == registrations(session, capture)
    assert min(found)
    wrpcap(str(copy), packets)
    assert octets_in(copy) == octets_in(capture)


def session_for(path):
    tls_keys = [*path.parent.glob(f"{path.stem}.keylog")]
    if path.suffix == ".pcapng":
        tls_keys.append(path)
    return MobsecSession(path.with_suffix(".esp_sa"), tls_keys=tls_keys)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_are_decrypted_and_written_as_they_were_read(path, tmp_path):
    session = session_for(path)
    packets = sniff(offline=str(path), session=session, quiet=True)
    found = count(packets, RREQ), count(packets, RREP)
    assert found == registrations(session, path)
    assert min(found) or "strongswan" in path.name
    wrpcap(str(tmp_path / "copy.pcap"), packets)
    assert octets_in(tmp_path / "copy.pcap") == octets_in(path)


def test_a_wrong_icv_is_told_and_nothing_of_it_shown(bench):
    good, failed = bench.up(), bytearray(bench.up())
    failed[-1] ^= 1
    one, other = sniffed([good, bytes(failed)], KEYS)
    assert (one[ESP].verified, ICMP in one, IP in one[ESP].payload) == (True, True, True)
    assert (other[ESP].verified, other[ESP].fault) == (False, "WRONG ICV: integrity check failed")
    assert not other[ESP].payload
    assert other.summary().endswith("/ ESP 0x00001001 #2 (WRONG ICV)")
    assert "WRONG ICV" in other.show(dump=True)
    assert bytes(other) == bytes(failed)


def test_without_a_key_packets_stay_as_scapy_dissects_them(bench):
    octets = bench.up()
    (packet,) = sniffed([octets], table_for())
    assert packet[ESP].verified is None
    assert packet[ESP].fault == "no SA with this SPI"
    assert packet[ESP].fields.items() >= IP(octets)[ESP].fields.items()
    assert not packet[ESP].payload


def test_what_no_integrity_key_vouches_for_is_shown_with_a_mark():
    name = "strongswan-natt-aes128-sha256"
    keys = load_keys(PCAPS / f"{name}.esp_sa")
    unverified = table_for()
    for row in keys.rows:
        unverified.add(type(row)(spi=row.spi, suite=row.suite, encryption_key=row.encryption_key))
    packets = sniff(
        offline=str(PCAPS / f"{name}.pcap"), session=MobsecSession(unverified), quiet=True
    )
    packet = packets[ESP][0]
    assert ICMP in packet
    assert packet[ESP].verified is False
    assert "/ ESP (NOT VERIFIED) / IP / ICMP" in packet.summary()


def test_a_replay_and_a_second_capture_are_not_shown(bench):
    octets = bench.up()
    first, twice, replayed = (
        sniffed([octets, octets, octets], KEYS, apart=0)[:2]
        + sniffed([octets, octets], KEYS, apart=5 * 10**9)[1:]
    )
    assert ICMP in first
    assert (twice[ESP].verified, twice[ESP].fault, ICMP in twice) == (True, "captured twice", False)
    assert replayed[ESP].fault == "REPLAYED: sequence number already seen"
    assert ICMP not in replayed


def test_esp_in_udp_on_any_port_and_native(bench):
    elsewhere = bench.udp(bench.seal(TO_GATEWAY), NEW, GATEWAY)
    to_443 = bench.udp(bench.seal(TO_GATEWAY), OLD._replace(port=5000), GATEWAY._replace(port=443))
    native = bench.native(bench.seal(TO_GATEWAY))
    packets = sniffed([elsewhere, to_443, native], KEYS)
    assert [packet[ESP].seq for packet in packets] == [1, 2, 3]
    assert all(ICMP in packet for packet in packets)
    assert [bytes(packet) for packet in packets] == [elsewhere, to_443, native]


def test_ah_with_what_it_protects(bench):
    good = bench.by_ah(TO_GATEWAY)
    failed = bytearray(bench.by_ah(TO_GATEWAY))
    failed[-1] ^= 1
    one, other = sniffed([good, bytes(failed)], KEYS)
    assert (one[AH].spi, one[AH].seq, one[AH].verified) == (TO_GATEWAY, 1, True)
    assert isinstance(one[AH].payload, IP)
    assert (other[AH].verified, ICMP in other) == (False, False)
    assert "AH (WRONG ICV)" in other.summary()
    assert [bytes(one), bytes(other)] == [good, bytes(failed)]


def test_esp_behind_ah(bench):
    packet = bench.by_ah(TO_GATEWAY, payload=bench.seal(TO_GATEWAY), next_header=50)
    (seen,) = sniffed([packet], KEYS)
    assert (seen[AH].verified, seen[ESP].verified, seen[ESP].seq) == (True, True, 1)
    assert seen[AH].payload is seen[ESP]
    assert ICMP in seen[ESP]
    assert bytes(seen) == packet


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("way", ["udp", "native", "ah"])
def test_a_fragmented_packet_is_with_the_fragment_that_completes_it(
    bench, way, reverse, monkeypatch
):
    monkeypatch.setattr(conf, "debug_dissector", False)  # Scapy takes any fragment for AH
    inner = build_ip(GATEWAY.address, OLD.address, 1, bytes(2000))
    if way == "ah":
        whole = IP(bench.by_ah(TO_GATEWAY, payload=inner))
    else:
        whole = IP(getattr(bench, way)(bench.seal(TO_GATEWAY, payload=inner)))
    whole.flags = 0
    fragments = [bytes(each) for each in whole.fragment(1000)]
    if reverse:
        fragments.reverse()
    *before, last = sniffed(fragments, KEYS)
    assert len(before) == 2
    assert not any(Completed in each for each in before)
    beginning = last if reverse else before[0]
    protected = AH if way == "ah" else ESP
    assert beginning.getlayer(protected, 2 if reverse else 1).fault.startswith("not read: ")
    (unit,) = last[Completed].units
    assert last[protected] is unit
    assert unit.verified
    assert len(unit[ICMP].original) == 2000
    assert [bytes(each) for each in [*before, last]] == fragments


def test_link_padding_stays_behind(bench):
    frame = bytes(12) + b"\x08\x00" + bench.up() + b"padding"
    (packet,) = sniffed([frame], KEYS, link_type=ETHERNET)
    assert isinstance(packet, Ether)
    assert ICMP in packet
    assert bytes(packet) == bytes(packet.copy()) == frame


def stream(*pieces, sport=40_000):
    """Segments of a stream to TCP port 4500, one for each piece."""
    at, segments = 1000, []
    for piece in pieces:
        to = IP(src="198.51.100.2", dst="203.0.113.2")
        segments.append(bytes(to / TCP(sport=sport, dport=4500, seq=at, flags="PA") / piece))
        at += len(piece)
    return segments


def framed(esp):
    return (len(esp) + 2).to_bytes(2) + esp


def test_a_segment_that_completes_several_packets_has_them_all(bench):
    data = bench.seal(TO_GATEWAY)
    asking = bench.seal(TO_GATEWAY, payload=signalling(request()))
    octets = b"IKETCP" + framed(data) + framed(asking)
    segments = stream(octets[:30], octets[30:])
    first, second = sniffed(segments, KEYS)
    assert Completed not in first
    assert [unit.verified for unit in second[Completed].units] == [True, True]
    assert ICMP in second[Completed].units[0]
    assert second[ESP:2].seq == second[Completed].units[1].seq == 2
    assert bytes(second[ESP:2]) == asking
    assert RREQ in second
    assert second[RREQ].underlayer.underlayer.underlayer.src == "10.10.1.1"
    assert "[ESP / IP / ICMP" in second.summary()
    assert "|###[ Mobile IP Registration Request ]###" in second.show(dump=True)
    assert [bytes(first), bytes(second)] == segments


def test_esp_in_a_segment_that_was_there_before_is_not_read_again(bench):
    segments = stream(b"IKETCP", framed(bench.seal(TO_GATEWAY)))
    _, first, again = sniffed([*segments, segments[1]], KEYS)
    assert first[ESP].verified
    assert (again[ESP].verified, Completed in again) == (None, False)
    assert again[ESP].fault.startswith("not read: ")
    assert [bytes(first), bytes(again)] == [segments[1]] * 2
    again[TCP].payload.frames[0].length = 99
    assert bytes(again)[40:42] == bytes((0, 99))


def typed(command):
    """What a command makes in a Scapy shell."""
    return eval(command, {**vars(scapy.all), **vars(contrib_layers)})


def test_formats_and_commands_know_the_layers_by_scapys_names(bench):
    frames = [
        bytes(12) + b"\x08\x00" + each + b"link" for each in (bench.up(), bench.by_ah(TO_GATEWAY))
    ]
    esp, ah = sniffed(frames, KEYS, link_type=ETHERNET)
    assert esp.sprintf("%ESP.seq% %ESP.verified% {ESP:%ICMP.type%}") == "1 True echo-request"
    assert ah.sprintf("%AH.seq% %AH.verified% {AH:yes}") == "1 True yes"
    assert [bytes(typed(each.command())) for each in (esp, ah)] == frames
    assert repr(esp).count("<ESP ") == 1


def test_formats_and_commands_of_a_segment_that_completes_packets(bench):
    octets = b"IKETCP" + framed(bench.seal(TO_GATEWAY))
    segments = stream(octets[:30], octets[30:])
    _, packet = sniffed(segments, KEYS)
    assert packet.sprintf("%TCP.sport% %ESP.seq% %ESP.nothing%") == "40000 1 ??"
    assert bytes(typed(packet.command())) == segments[1]


def test_a_stream_with_a_wrong_key_is_told_too(bench):
    segments = stream(b"IKETCP" + framed(bench.seal(TO_GATEWAY)))
    (packet,) = sniffed(segments, table_for(gcm(TO_GATEWAY, octet=9)))
    assert (packet[ESP].verified, ICMP in packet) == (False, False)
    assert bytes(packet) == segments[0]


def test_what_waits_behind_a_gap_is_added_at_the_end(bench):
    pieces = [framed(bench.seal(TO_GATEWAY)) for _ in range(3)]
    segments = stream(b"IKETCP" + pieces[0], *pieces[1:])
    del segments[1]
    first, last = sniffed(segments, KEYS)
    assert [unit.seq for unit in first[Completed].units] == [1]
    assert [unit.seq for unit in last[Completed].units] == [3]
    assert [bytes(first), bytes(last)] == segments


@pytest.mark.parametrize("order", [1, -1], ids=["short-first", "short-last"])
def test_of_several_captures_the_last_to_end_finishes(bench, tmp_path, order):
    """What one of them holds back is no gap yet when the other ends."""
    pieces = [framed(bench.seal(TO_GATEWAY)) for _ in range(3)]
    segments = stream(b"IKETCP" + pieces[0], *pieces[1:])
    late = [segments[0], segments[2], segments[2], segments[1]]
    other = bytes(IP() / UDP(sport=9, dport=9))
    names = []
    for name, frames in (("short", [other] * 2), ("late", late)):
        names.append(str(tmp_path / f"{name}.pcap"))
        wrpcap(names[-1], [IP(frame) for frame in frames])
    session = MobsecSession(KEYS)
    sniff(offline=names[::order], session=session, quiet=True)
    assert session.observer.report().summary.verified == 3


def test_a_session_that_was_stopped_finishes_with_the_next_capture(bench):
    pieces = [framed(bench.seal(TO_GATEWAY)) for _ in range(3)]
    first, _, last = stream(b"IKETCP" + pieces[0], *pieces[1:])
    session = MobsecSession(KEYS)
    sniffed([first, last], session, count=1)
    packets = sniffed([last], session)
    assert Completed in packets[0]


def test_live_who_stops_sniffing_finishes(bench):
    pieces = [framed(bench.seal(TO_GATEWAY)) for _ in range(3)]
    first, _, last = stream(b"IKETCP" + pieces[0], *pieces[1:])
    session = MobsecSession(KEYS)
    packets = [session.process(IP(octets)) for octets in (first, last)]
    assert Completed not in packets[1]
    session.finish()
    assert Completed in packets[1]


def test_packets_that_nobody_keeps_are_not_kept(bench):
    session = MobsecSession(KEYS)
    sniffed(stream(b"IKETCP", framed(bench.seal(TO_GATEWAY))), session, store=False)
    gc.collect()
    assert not session._segments


def test_options_of_sniff(bench):
    octets = [bench.up(), bench.up(payload=signalling(request())), bench.up()]
    assert len(sniffed(octets, KEYS, count=2)) == 2
    seen = []
    sniffed(octets, KEYS, store=False, prn=lambda packet: seen.append(RREQ in packet))
    assert seen == [False, True, False]
    only = sniffed(octets, KEYS, lfilter=lambda packet: RREQ in packet)
    assert [packet[ESP].seq for packet in only] == [2]
    assert len(sniffed(octets, KEYS, stop_filter=lambda packet: RREQ in packet)) == 2


def test_an_async_sniffer():
    name = "handover-nat"
    session = MobsecSession(PCAPS / f"{name}.esp_sa")
    sniffer = AsyncSniffer(offline=str(PCAPS / f"{name}.pcap"), session=session, quiet=True)
    sniffer.start()
    sniffer.join(timeout=30)
    assert len(sniffer.results[RREQ]) == 6


def test_copies_keep_what_was_seen_and_pickles_the_wire(bench):
    octets = bench.up(payload=signalling(request()))
    (packet,) = sniffed([octets], KEYS)
    copied = packet.copy()
    assert copied.summary() == packet.summary()
    assert (copied[ESP].verified, copied[ESP].keys) == (True, packet[ESP].keys)
    assert bytes(copied) == octets
    pickled = pickle.dumps(packet)
    assert gcm(TO_GATEWAY).encryption_key not in pickled
    assert gcm(TO_GATEWAY).encryption_key not in pickle.dumps(packet[ESP])
    again = pickle.loads(pickled)
    assert (bytes(again), again.time) == (octets, packet.time)
    assert RREQ not in again
    assert RREQ in MobsecSession(KEYS).process(again)


def test_a_changed_header_is_built_around_the_same_esp(bench):
    (packet,) = sniffed([bench.up()], KEYS)
    packet[IP].ttl = 3
    del packet[IP].chksum
    changed = IP(bytes(packet))
    assert changed.ttl == 3
    assert bytes(changed[UDP]) == bytes(packet[UDP])
    assert changed[ESP].data == packet[ESP].data


def damaged(frame, random):
    """A frame some of whose octets are others, or which is shorter, or as it was."""
    octets = bytearray(frame)
    for _ in range(random.choice([0, 0, 1, 3])):
        octets[random.randrange(len(octets))] ^= random.randrange(1, 256)
    return bytes(octets[: random.choice([len(octets)] * 9 + [random.randrange(1, len(octets))])])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_of_damaged_captures_every_octet_stays_and_nothing_false_is_verified(
    path, seed, monkeypatch
):
    """Without sniff, which hides exceptions of a session."""
    monkeypatch.setattr(conf, "debug_dissector", False)
    link_layer = Ether if "strongswan" in path.name else IP
    frames = [frame for frame in octets_in(path) if link_layer is Ether or frame[0] >> 4 == 4]
    random = Random(seed)
    intact, session = session_for(path), session_for(path)
    true = {
        bytes(unit.payload)
        for frame in frames
        for unit in units_of(intact.process(link_layer(frame)))
        if unit.verified
    }
    assert true
    captured = [damaged(frame, random) for frame in frames if random.random() > 0.05]
    packets = [
        session.process(dissected) for each in captured if (dissected := whole(link_layer, each))
    ]
    session.finish()
    for packet in packets:
        assert bytes(packet) == packet.original
        for unit in units_of(packet):
            assert not unit.verified or bytes(unit.payload) in true


def whole(link_layer, octets):
    """The frame dissected, None where Scapy has no packet for so few octets."""
    try:
        return link_layer(octets)
    except Exception:
        return None


def units_of(packet):
    if Completed in packet:
        return packet[Completed].units
    layers = packet.getlayer(SeenESP), packet.getlayer(SeenAH)
    return [layer for layer in layers if layer]


def test_what_scapy_cannot_dissect_is_raw(monkeypatch):
    monkeypatch.setattr(conf, "debug_dissector", False)
    (packet,) = sniffed([Bench().up(next_header=1, payload=b"no")], KEYS)
    assert packet[ESP].verified
    assert packet[ESP].payload == Raw(b"no")


def test_what_was_captured_counts_and_of_crafted_packets_what_they_build(bench):
    captured = IP(bench.up())
    captured[UDP].remove_payload()
    assert ICMP in MobsecSession(KEYS).process(captured)
    crafted = IP(src="198.51.100.2") / UDP(sport=4500, dport=4500) / ESP(bench.seal(TO_GATEWAY))
    packet = MobsecSession(KEYS).process(crafted)
    assert packet[ESP].verified
    assert ICMP in packet


def test_a_session_needs_keys():
    with pytest.raises(TypeError, match="a session needs keys"):
        MobsecSession(None)


def test_keys_that_cannot_be_read_are_said(tmp_path):
    bad = tmp_path / "keys"
    bad.write_text("nonsense\n")
    with pytest.raises(Exception, match=r"keys:1: no key file \(toml, "):
        MobsecSession(bad)
