"""What packets tell in lines."""

import pytest
from frames import GATEWAY, NEW, TO_MOBILE, Bench, reply, request, signalling

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drops import DropReason
from scapy_mobsec.observer.seen import PacketType
from scapy_mobsec.ui.seen_text import NOT_VERIFIED, link_lines, move_line, packet_lines


@pytest.fixture
def bench():
    return Bench()


def test_a_registration_that_moves(bench):
    asking, answer = signalling(request()), signalling(reply())
    bench.see(bench.up(), bench.up(NEW, payload=asking))
    bench.see(bench.udp(bench.seal(TO_MOBILE, payload=answer), GATEWAY, NEW), after=0.05)
    data, rreq, rrep = bench.packets
    assert list(packet_lines(data)) == []
    assert list(link_lines(rreq)) == [
        "RREQ #1: udp 192.0.2.1:40001 > 203.0.113.2:4500",
        "link 1 moved: udp 198.51.100.2:4500 -> udp 192.0.2.1:40001, peer 203.0.113.2:4500, "
        "by registration",
    ]
    assert list(link_lines(rrep)) == ["RREP #1 accepted USE: round trip 50.000 ms"]


def test_flags_refusals_and_what_was_translated(bench):
    asking = signalling(request(flags=AttemptFlag.PROBE | AttemptFlag.FORCED))
    refusing = signalling(reply(code=133, flags=0))
    bench.see(bench.up(payload=asking), bench.down(payload=refusing))
    rreq, rrep = (next(link_lines(seen)) for seen in bench.packets)
    translated = "source address and port 192.0.2.1:40001 -> 198.51.100.2:4500"
    there = "udp 198.51.100.2:4500 > 203.0.113.2:4500"
    assert rreq == f"RREQ #1 FORCED PROBE: {there}; {translated}"
    assert rrep.startswith("RREP #1 identification mismatch (133): round trip 10.000 ms")


def test_a_reply_without_its_request(bench):
    bench.see(bench.down(payload=signalling(reply())))
    assert list(link_lines(bench.packets[0])) == ["RREP #1 accepted USE: no RREQ seen"]


def test_a_move_that_only_data_shows(bench):
    bench.see(bench.up(), bench.up(NEW))
    assert move_line(bench.packets[1].move).endswith("no registration seen")


def test_what_is_wrong_with_a_packet(bench):
    packet = bench.up()
    bench.see(packet, packet, packet[:-1] + bytes((packet[-1] ^ 1,)))
    bench.see(packet, after=5)
    bench.see(bench.udp(bench.seal(0x5005)))
    lines = [list(packet_lines(seen)) for seen in bench.packets]
    assert lines == [
        [],
        ["captured twice: SPI 0x00001001, sequence 1"],
        ["dropped, bad_icv: integrity check failed"],
        ["REPLAYED: SPI 0x00001001, sequence 1"],
        [],
    ]
    seen = bench.packets[0]
    unverified = seen._replace(opened=seen.opened._replace(verified=False))
    assert list(packet_lines(unverified)) == [NOT_VERIFIED]


def test_a_move_that_is_not_verified(unverified):
    (move,) = unverified.report.moves
    assert move_line(move).endswith("by registration, NOT VERIFIED")


def test_a_number_that_is_too_old_to_tell(bench):
    packet = bench.up()
    bench.see(packet)
    seen = bench.packets[0]._replace(
        type=PacketType.REPEATED, dropped=DropReason.SEQUENCE_FORGOTTEN
    )
    first, second = packet_lines(seen)
    assert first == "TOO OLD TO TELL: SPI 0x00001001, sequence 1"
    assert second.startswith("dropped, sequence_forgotten: ")
