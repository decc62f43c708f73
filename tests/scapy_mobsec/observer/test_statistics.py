import pytest
from frames import (
    GATEWAY,
    HOME,
    INNER_HOST,
    NEW,
    OLD,
    TO_GATEWAY,
    TO_MOBILE,
    Bench,
    Keys,
    gcm,
    reply,
    request,
    signalling,
)

import scapy_mobsec.observer.statistics as statistics_module
from scapy_mobsec.packet.ip import build_ip

MS = 1_000_000
REKEYED = 0x3003


def handovers(bench):
    return bench.report.statistics.handovers


def moved(bench, lost=0):
    """Data both ways every 10 ms, a move with a registration of 50 ms, data again."""
    for _ in range(3):
        bench.see(bench.up(), bench.down(), after=0.005)
    for _ in range(lost):
        bench.down()
    bench.see(bench.up(NEW, payload=signalling(request())), after=0.1)
    bench.see(bench.down(NEW, payload=signalling(reply())), after=0.05)
    bench.see(bench.up(NEW), bench.down(NEW), after=0.01)


def test_the_pause_of_both_directions(bench):
    moved(bench)
    (handover,) = handovers(bench)
    assert handover.move is bench.report.moves[0]
    assert handover.to_peer.duration_ns == 165 * MS
    assert handover.from_peer.duration_ns == 170 * MS
    assert handover.to_peer.before.interval_ns == 10 * MS
    assert handover.from_peer.after.outer.destination_endpoint == NEW


def test_what_was_lost_at_a_move_and_not_what_signals(bench):
    moved(bench, lost=4)
    (handover,) = handovers(bench)
    assert (handover.to_peer.missing, handover.from_peer.missing) == (0, 4)
    assert [sa.seen.missing() for sa in bench.report.sas] == [0, 4]


def test_a_move_that_the_gateway_shows_first_has_the_same_directions(bench):
    bench.see(bench.up(), bench.down())
    bench.see(bench.down(NEW), after=0.2)
    bench.see(bench.up(NEW), after=0.05)
    (handover,) = handovers(bench)
    assert handover.move.moved == "destination"
    assert handover.to_peer.duration_ns == 260 * MS
    assert handover.from_peer.duration_ns == 200 * MS


def test_a_late_packet_counts_for_the_path_it_came_by(bench):
    late = bench.up()
    bench.see(bench.up(), bench.up(NEW))
    bench.see(late)
    (link,) = bench.report.statistics.links
    assert [span.packets for span in link.forward] == [2, 1]
    assert [sa.reordered for sa in bench.report.sas] == [1]
    assert handovers(bench)[0].to_peer.duration_ns == 0


def test_a_late_packet_by_an_unknown_path_begins_nothing(bench):
    late = bench.up(NEW)
    bench.see(bench.up(), late)
    (link,) = bench.report.statistics.links
    assert [span.packets for span in link.forward] == [1]


def test_a_re_keyed_sa_goes_on_in_its_direction_and_tells_no_loss():
    bench = Bench(keys=Keys(gcm(TO_GATEWAY), gcm(TO_MOBILE), gcm(REKEYED)))
    bench.see(bench.up(), bench.down())
    inner = build_ip(INNER_HOST, HOME, 1, b"pong")
    bench.see(bench.udp(bench.seal(REKEYED, payload=inner), GATEWAY, NEW))
    (handover,) = handovers(bench)
    assert [sa.forward for sa in bench.report.sas] == [True, False, False]
    assert handover.from_peer.duration_ns == 10 * MS
    assert handover.from_peer.missing is None
    assert handover.to_peer.after is None


def test_no_data_before_or_after_is_no_pause(bench):
    bench.see(bench.up(payload=signalling(request(source=OLD))))
    bench.see(bench.up(NEW))
    (handover,) = handovers(bench)
    assert handover.to_peer.duration_ns is None
    assert handover.from_peer.duration_ns is None
    assert handover.from_peer.missing is None


def test_data_may_go_by_the_new_path_before_the_move_is_told(bench):
    registered = {"number": 1, "source": OLD}
    bench.see(bench.up(payload=signalling(request(**registered))))
    bench.see(bench.down(payload=signalling(reply())), bench.up(), bench.down())
    bench.see(bench.up(NEW), after=0.1)
    assert bench.report.moves == []
    bench.see(bench.down(NEW), after=0.3)
    (handover,) = handovers(bench)
    assert handover.move.moved == "destination"
    durations = handover.to_peer.duration_ns, handover.from_peer.duration_ns
    assert durations == (110 * MS, 400 * MS)


def test_back_and_forth_are_pauses_of_their_own(bench):
    bench.see(bench.up())
    bench.see(bench.up(NEW), after=0.2)
    bench.see(bench.up(OLD), after=0.3)
    assert [each.to_peer.duration_ns for each in handovers(bench)] == [200 * MS, 300 * MS]


def test_the_rate_is_that_of_the_inner_packets(bench):
    packet = build_ip(bytes(4), bytes([1] * 4), 17, bytes(980))
    bench.see(*(bench.up(payload=packet) for _ in range(11)), after=0.1)
    (span,) = bench.report.statistics.links[0].forward
    assert (span.packets, span.octets) == (11, 11_000)
    assert span.bits_per_second == pytest.approx(80_000)


def test_two_packets_are_one_interval(bench):
    packet = build_ip(bytes(4), bytes([1] * 4), 17, bytes(980))
    bench.see(bench.up(), bench.up(payload=packet), after=1)
    (span,) = bench.report.statistics.links[0].forward
    assert span.bits_per_second == pytest.approx(8_000)


def registers_at(bench, where, number, after):
    bench.see(
        bench.up(where, payload=signalling(request(number=number, source=where))), after=after
    )
    bench.see(bench.down(where, payload=signalling(reply(number=number))), after=0.05)


THIRD = NEW._replace(port=7)


def test_back_on_a_path_after_another_one_without_data(bench):
    for path, number in ((OLD, 1), (NEW, 2)):
        registers_at(bench, path, number, after=0.1)
        for _ in range(3):
            bench.see(bench.up(path), bench.down(path), after=0.05)
    registers_at(bench, THIRD, 3, after=1)
    registers_at(bench, NEW, 4, after=5)
    for _ in range(2):
        bench.see(bench.up(NEW), bench.down(NEW), after=0.05)
    first, second, third = handovers(bench)
    assert first.to_peer.duration_ns == 250 * MS
    assert second.to_peer.duration_ns is second.from_peer.duration_ns is None
    assert third.to_peer.duration_ns == third.from_peer.duration_ns == 6_200 * MS
    assert (third.to_peer.after.first_time - third.move.time_ns) == 100 * MS
    (link,) = bench.report.statistics.links
    for spans in (link.forward, link.backward):
        assert [span.packets for span in spans] == [3, 3, 2]
        assert spans[1].outer == spans[2].outer
        assert spans[1].last_time < third.move.time_ns < spans[2].first_time


def test_back_with_data_first(bench):
    registers_at(bench, OLD, 1, after=0.1)
    bench.see(bench.up(), bench.down(), after=0.05)
    registers_at(bench, NEW, 2, after=0.1)
    bench.see(bench.down(), bench.down(), after=0.02)
    bench.see(bench.up(), after=4)
    registers_at(bench, OLD, 3, after=0.5)
    bench.see(bench.down(), after=0.05)
    away, back = handovers(bench)
    assert away.to_peer.after is away.from_peer.after is None
    assert back.to_peer.duration_ns == 4_240 * MS
    assert back.from_peer.duration_ns == 4_600 * MS
    (link,) = bench.report.statistics.links
    assert [span.packets for span in link.forward] == [1, 1]
    assert [span.packets for span in link.backward] == [3, 1]
    registers_at(bench, NEW, 4, after=1)
    bench.see(bench.up(NEW))
    assert [span.packets for span in link.forward] == [1, 1, 1]


def test_data_by_the_old_path_may_begin_after_the_move_was_told(bench):
    registers_at(bench, OLD, 1, after=0.1)
    registers_at(bench, NEW, 2, after=0.1)
    bench.see(bench.down(), after=0.02)
    bench.see(bench.down(NEW), after=0.03)
    (handover,) = handovers(bench)
    assert handover.from_peer.duration_ns == 30 * MS


def test_what_was_under_way_at_a_move_belongs_to_the_stay_before(bench):
    registers_at(bench, OLD, 1, after=0.1)
    bench.see(bench.up(), bench.down(), after=0.05)
    registers_at(bench, NEW, 2, after=0.1)
    bench.see(bench.down(), bench.down(), after=0.02)
    bench.down()
    bench.see(bench.down(NEW), after=0.1)
    (link,) = bench.report.statistics.links
    assert [(span.packets, span.octets) for span in link.backward] == [(3, 72), (1, 24)]
    (handover,) = handovers(bench)
    assert handover.from_peer.duration_ns == 100 * MS
    assert handover.from_peer.missing == 1


def test_one_packet_has_no_rate_and_no_interval(bench):
    bench.see(bench.up())
    (span,) = bench.report.statistics.links[0].forward
    assert span.bits_per_second is span.interval_ns is None


def test_intervals_of_keepalives_and_dummies(bench):
    bench.see(bench.udp(b"\xff"), after=1)
    bench.see(bench.udp(b"\xff"), after=20)
    bench.see(bench.udp(b"\xff"), after=22)
    bench.see(bench.down(payload=b"", next_header=59))
    keepalives, dummies = bench.report.statistics.keepalives.values()
    assert (keepalives.count, keepalives.interval_ns) == (3, 21_000 * MS)
    assert (keepalives.shortest, keepalives.longest) == (20_000 * MS, 22_000 * MS)
    assert (dummies.count, dummies.interval_ns, dummies.shortest) == (1, None, None)
    assert bench.report.statistics.links == []


def test_what_is_kept_is_bounded(bench, monkeypatch):
    monkeypatch.setattr(statistics_module, "MAX_SPANS", 2)
    monkeypatch.setattr(statistics_module, "MAX_MOVES", 2)
    monkeypatch.setattr(statistics_module, "MAX_KEEPALIVE_PATHS", 1)
    for _ in range(3):
        bench.see(bench.up(OLD), bench.up(NEW), bench.udp(b"\xff"), bench.udp(b"\xff", NEW))
    statistics = bench.report.statistics
    assert len(statistics.links[0].forward) == 2
    assert len(statistics.handovers) == 2
    assert len(statistics.keepalives) == 1


def test_a_part_of_it(bench):
    moved(bench)
    bench.see(bench.udp(b"\xff"))
    whole = bench.report.statistics
    assert whole.part({1}, {bench.report.moves[0].frame}, whole.keepalives).links == whole.links
    nothing = whole.part(set(), set(), set())
    assert nothing.links == nothing.handovers == []
    assert nothing.keepalives == {}
