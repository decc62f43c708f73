import ike
import pytest
from frames import (
    GATEWAY,
    HOME,
    INNER_HOST,
    NEW,
    OLD,
    RAW_IP,
    START,
    TO_GATEWAY,
    TO_MOBILE,
    Bench,
    Keys,
    ah,
    gcm,
)
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import ipsec
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6

import scapy_mobsec.observer.observer as observer_module
from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.ah import OutboundAh
from scapy_mobsec.esp.sa import OutboundSa
from scapy_mobsec.ike.numbers import Protocol
from scapy_mobsec.observer import recent_frames
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.seen import PacketType
from scapy_mobsec.observer.sequences import SeenSequences
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.packet.path import Encapsulation


def test_ah_counts_apart_and_its_spis_are_others_than_those_of_esp():
    bench = Bench(Keys(gcm(TO_GATEWAY), ah(TO_GATEWAY)))
    good = bench.by_ah(TO_GATEWAY)
    elsewhere = good[:12] + NEW.address + good[16:]
    cut = build_ip(OLD.address, GATEWAY.address, 51, bytes(11))
    summary = bench.see(bench.up(), elsewhere, good, bench.by_ah(0x5005), cut)
    assert (summary.esp, summary.ah, summary.malformed) == (1, 3, 1)
    assert (summary.verified, summary.icv_failed, summary.no_key) == (2, 1, 1)
    assert bench.report.drops == {
        DropReason.BAD_ICV: 1,
        DropReason.UNKNOWN_SPI: 1,
        DropReason.MALFORMED_AH: 1,
    }
    assert [(sa.spi, sa.suite) for sa in bench.report.sas] == [
        (TO_GATEWAY, "aes-gcm-16"),
        (TO_GATEWAY, "hmac-sha2-256-128"),
        (0x5005, None),
    ]


def test_a_replay_of_ah():
    bench = Bench(Keys(ah(TO_GATEWAY)))
    packet = bench.by_ah(TO_GATEWAY)
    bench.see(packet, packet, after=2)
    assert bench.report.drops == {DropReason.REPLAYED: 1}


def test_an_identical_frame_within_a_second_is_a_duplicate(bench):
    packet = bench.up()
    summary = bench.see(packet, packet, after=0.5)
    assert (summary.verified, summary.duplicates, summary.replayed) == (2, 1, 0)


def test_an_identical_frame_later_is_a_replay(bench):
    packet = bench.up()
    summary = bench.see(packet, packet, after=1.5)
    assert (summary.verified, summary.duplicates, summary.replayed) == (2, 0, 1)
    assert bench.report.drops == {DropReason.REPLAYED: 1}


def test_a_number_below_those_remembered_is_neither_data_nor_a_replay(bench):
    first = bench.up()
    bench.see(first)
    (sa,) = bench.report.sas
    sa.seen = SeenSequences(max_runs=2)
    packets = [bench.up() for _ in range(7)]
    bench.see(*packets[1::2])
    bench.see(first, after=5)
    bench.see(packets[2], packets[4], after=5)
    kinds = [(seen.type, seen.dropped) for seen in bench.packets[-3:]]
    too_old = PacketType.REPEATED, DropReason.SEQUENCE_FORGOTTEN
    assert kinds == [too_old, too_old, (PacketType.DATA, None)]
    assert (sa.replayed, sa.seen.missing()) == (0, 1)
    assert bench.report.drops == {DropReason.SEQUENCE_FORGOTTEN: 2}


def test_the_same_esp_in_a_different_frame_is_a_replay(bench):
    esp = bench.seal(TO_GATEWAY)
    summary = bench.see(bench.udp(esp, OLD), bench.udp(esp, NEW))
    assert (summary.duplicates, summary.replayed) == (0, 1)


def test_duplicates_of_what_no_key_opens_are_counted_too(bench):
    packet = bench.udp(bench.seal(0x5005))
    summary = bench.see(packet, packet)
    assert (summary.no_key, summary.duplicates) == (2, 1)


def test_on_a_known_flow_unknown_spis_are_esp(bench):
    source = OLD.__class__(OLD.address, 1024)
    gateway = GATEWAY.__class__(GATEWAY.address, 2048)
    unknown = bench.udp(bench.seal(0x5005), source, gateway)
    known = bench.udp(bench.seal(TO_GATEWAY), source, gateway)
    keepalive = bench.udp(b"\xff", source, gateway)
    summary = bench.see(unknown, known, unknown, keepalive)
    assert (summary.esp, summary.verified, summary.no_key, summary.keepalives) == (2, 1, 1, 1)


def test_outer_fragments_are_put_together(bench):
    whole = bench.up()
    head, body = whole[:20], whole[20:]

    def fragment(offset, data, more):
        flags = (offset // 8) | (0x2000 if more else 0)
        length = (20 + len(data)).to_bytes(2)
        return head[:2] + length + head[4:6] + flags.to_bytes(2) + head[8:] + data

    summary = bench.see(fragment(32, body[32:], False), fragment(0, body[:32], True))
    assert (summary.packets, summary.esp, summary.verified) == (2, 1, 1)


@pytest.mark.parametrize("version", [4, 6])
def test_ah_in_fragments_is_put_together_as_scapy_made_it(version):
    parameters = ah(TO_GATEWAY)
    sender = ipsec.SecurityAssociation(
        ipsec.AH,
        spi=TO_GATEWAY,
        auth_algo="SHA2-256-128",
        auth_key=parameters.integrity_key,
    )
    payload = UDP(sport=9, dport=9) / bytes(3000)
    if version == 4:
        whole = sender.encrypt(IP(src="198.51.100.2", dst="203.0.113.2", id=77) / payload)
        fragments = fragment(whole, fragsize=1000)
    else:
        whole = sender.encrypt(IPv6(src="2001:db8::1", dst="2001:db8::2") / payload)
        outside = IPv6(src=whole.src, dst=whole.dst, nh=44)
        fragments = fragment6(outside / IPv6ExtHdrFragment(nh=51, id=77) / whole.payload, 1000)
    bench = Bench(Keys(parameters))
    summary = bench.see(*map(bytes, reversed(fragments)))
    assert len(fragments) > 2
    assert (summary.ah, summary.verified, summary.icv_failed) == (1, 1, 0)
    (sa,) = bench.report.sas
    assert sa.spans[0].outer.ah


def test_frames_cut_by_the_capture_are_not_called_malformed(bench):
    packet = bench.up()
    bench.observer.feed(START, packet[:40], RAW_IP, len(packet))
    report = bench.report
    assert report.drops == {DropReason.CUT_BY_CAPTURE: 1}
    assert report.summary.cut_by_capture == 1
    assert report.summary.malformed == 0


def test_bad_padding_under_a_good_icv_is_verified_and_malformed(bench):
    esp = bench.seal(TO_GATEWAY)
    inbound_key = gcm(TO_GATEWAY)
    protection = inbound_key.suite.protection(inbound_key.encryption_key, None)
    plaintext = protection.decrypt(esp[:8], b"", esp[8:16], esp[16:])
    bent = bytearray(plaintext)
    bent[-2] = 255
    forged = esp[:16] + protection.encrypt(esp[:8], b"", esp[8:16], bytes(bent))
    summary = bench.see(bench.udp(forged))
    assert (summary.verified, summary.malformed) == (1, 1)
    assert bench.report.drops == {DropReason.BAD_PADDING: 1}


@pytest.mark.parametrize("inner", [b"", b"\x45" + bytes(10), bytes(19)])
def test_a_short_inner_packet_is_malformed(bench, inner):
    summary = bench.see(bench.up(payload=inner))
    assert (summary.verified, summary.malformed) == (1, 1)


def test_esp_shorter_than_its_header_is_malformed(bench):
    summary = bench.see(bench.native(b"\x00\x00\x10\x01\x00"))
    assert (summary.esp, summary.malformed) == (0, 1)
    assert bench.report.drops == {DropReason.ESP_TOO_SHORT: 1}


def test_an_unknown_link_layer_is_a_named_drop(bench):
    bench.observer.feed(START, b"frame", 65_000)
    assert bench.report.drops == {DropReason.UNKNOWN_LINK_TYPE: 1}


def test_memory_for_frames_and_flows_is_bounded(bench, monkeypatch):
    monkeypatch.setattr(recent_frames, "MAX_RECENT_FRAMES", 4)
    monkeypatch.setattr(observer_module, "MAX_FLOWS", 4)
    bench.see(*(bench.up(OLD.__class__(OLD.address, port)) for port in range(1, 20)), after=0.001)
    assert len(bench.observer._recent) == 4
    assert len(bench.observer._flows) == 4


SEEDS = [
    pytest_bench.up() if index else pytest_bench.native(pytest_bench.seal(TO_GATEWAY))
    for pytest_bench in [Bench()]
    for index in range(2)
]


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255))))
def test_nothing_but_counts_comes_of_mutations(packet, changes):
    octets = bytearray(packet)
    for position, change in changes:
        octets[position % len(octets)] ^= change
    observer = Observer(Keys(gcm(TO_GATEWAY), gcm(TO_MOBILE)))
    observer.feed(START, bytes(octets), RAW_IP)
    assert observer.report().summary.packets == 1
    if bytes(octets[-60:]) != packet[-60:]:
        assert observer.report().summary.verified == 0


@given(st.binary(max_size=200), st.sampled_from([0, 1, 12, 101, 108, 113, 228, 229, 276, 9999]))
def test_nothing_but_counts_comes_of_noise(octets, link_type):
    observer = Observer(Keys(gcm(TO_GATEWAY)))
    observer.feed(START, octets, link_type)
    assert observer.report().summary.packets == 1


def test_no_scapy_object_is_made(bench, monkeypatch):
    from scapy.packet import Packet

    def refuse(*arguments, **options):
        raise AssertionError("a Scapy object per data packet")

    monkeypatch.setattr(Packet, "__init__", refuse)
    assert bench.see(bench.up(), bench.down()).verified == 2


def test_other_ip_traffic_is_counted_as_packets_only(bench):
    summary = bench.see(build_ip(OLD.address, GATEWAY.address, 6, bytes(20)))
    assert (summary.packets, summary.esp, summary.malformed) == (1, 0, 0)


def test_without_a_key_the_outer_paths_are_shown_all_the_same():
    bench = Bench(Keys())
    bench.see(bench.up(OLD), bench.up(OLD), bench.up(NEW))
    (sa,) = bench.report.sas
    assert [span.packets for span in sa.spans] == [2, 1]
    assert bench.report.moves == []


def test_forged_packets_add_no_path_to_an_sa_whose_key_is_found(bench):
    bench.see(bench.up(OLD), bench.up(NEW, octet=9))
    (sa,) = bench.report.sas
    assert len(sa.spans) == 1


def test_the_same_frames_again_from_another_file_are_duplicates(bench):
    packets = [bench.up() for _ in range(5)]
    bench.see(*packets, after=1)
    bench.time_ns = START
    summary = bench.see(*packets, after=1)
    assert (summary.duplicates, summary.replayed) == (5, 0)


@pytest.mark.parametrize("next_header", [0, 6, 17, 50, 59, 255])
def test_an_empty_payload_is_verified(bench, next_header):
    summary = bench.see(bench.up(payload=b"", next_header=next_header))
    assert (summary.verified, summary.malformed) == (1, 0)


def ike_frames(*messages):
    """Frames of IKE messages, each with who sent it from where."""
    for octets, source in messages:
        ends = (source, GATEWAY) if octets[19] & 0x08 else (GATEWAY, source)
        datagram = build_udp(*(e.address for e in ends), *(e.port for e in ends), bytes(4) + octets)
        yield build_ip(*(each.address for each in ends), 17, datagram)


@pytest.mark.parametrize(
    "transforms", [ike.AES_GCM_16, ike.AES_CBC_SHA256, (*ike.AES_GCM_16, (5, 1, None))]
)
def test_esp_is_opened_by_the_keys_of_ike(transforms):
    messages, learnt = ike.agreed(transforms)
    bench = Bench(Keys(), [ike.keys()])
    sender = OutboundSa(learnt[0], random_bytes=bytes)
    esp = bench.udp(sender.seal(build_ip(HOME, INNER_HOST, 1, b"ping"), 4))
    before = bench.see(esp)
    assert (before.verified, before.no_key) == (0, 1)
    summary = bench.see(*ike_frames(*((each, OLD) for each in messages)), esp)
    assert (summary.verified, summary.ike, bench.report.ike[0].verified) == (1, 4, 2)


@pytest.mark.parametrize("native", [False, True])
def test_mobike_moves_the_link_of_its_sas(native):
    messages, learnt = ike.agreed()
    bench = Bench(Keys(), [ike.keys()])
    carry = bench.native if native else bench.udp
    sender = OutboundSa(learnt[0], random_bytes=bytes)
    inner = build_ip(HOME, INNER_HOST, 1, b"ping")
    bench.see(*ike_frames(*((each, OLD) for each in messages)), carry(sender.seal(inner, 4)))
    update = ike.sealed(ike.keys(), 37, ike.notify(16400), mid=2)
    bench.see(*ike_frames((update, NEW)), carry(sender.seal(inner, 4), NEW))
    (move,) = bench.report.moves
    assert (move.signalled, move.frame, move.spis) == (True, 6, [0x202])
    assert move.new.encapsulation is (Encapsulation.NATIVE if native else Encapsulation.UDP)


def test_ah_is_opened_by_the_keys_of_ike_and_moves_by_mobike():
    messages, learnt = ike.agreed([(3, 12, None)], Protocol.AH)
    bench = Bench(Keys(), [ike.keys()])
    sender = OutboundAh(learnt[0])
    packets = [sender.seal(b"", 59, place.address, GATEWAY.address) for place in (OLD, NEW)]
    bench.see(*ike_frames(*((each, OLD) for each in messages)), packets[0])
    update = ike.sealed(ike.keys(), 37, ike.notify(16400), mid=2)
    summary = bench.see(*ike_frames((update, NEW)), packets[1])
    assert (summary.ah, summary.verified) == (2, 2)
    (move,) = bench.report.moves
    assert (move.frame, move.spis, move.new.carrier) == (6, [0x202], "ah")


def test_ike_that_cannot_be_is_a_drop(bench):
    bench.see(bench.udp(bytes(32)))
    assert bench.report.drops == {DropReason.MALFORMED_IKE: 1}
    assert bench.report.summary.malformed == 1
