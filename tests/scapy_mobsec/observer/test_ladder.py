from frames import GATEWAY, NEW, OLD, reply, request, signalling
from ike import init_request

import scapy_mobsec.observer.ladder as ladder_module
from scapy_mobsec.observer.ladder import Ladders, Run
from scapy_mobsec.observer.seen import PacketType
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.packet.path import Endpoint

ELSEWHERE = Endpoint.of("198.51.100.77", 500)


def ladders(bench):
    taken = Ladders()
    for seen in bench.packets:
        taken.take(seen)
    return taken


def shape(ladder):
    """Types of signalling, sums of runs."""
    return [row.counts.total() if isinstance(row, Run) else row.type.value for row in ladder.rows]


def ike(source=OLD):
    udp = build_udp(source.address, GATEWAY.address, 500, 500, init_request())
    return build_ip(source.address, GATEWAY.address, 17, udp)


def test_data_between_signalling_is_counted_by_direction(bench):
    bench.see(bench.up(payload=signalling(request(source=OLD))), bench.up(), bench.down())
    bench.see(bench.down(payload=signalling(reply())), bench.up())
    (ladder,) = ladders(bench).ladders()
    assert shape(ladder) == ["rreq", 2, "rrep", 1]
    assert [kind.forward for kind in ladder.rows[1].counts] == [True, False]
    assert ladder.rows[1].last_time - ladder.rows[1].time_ns == 10_000_000
    assert ladder.rows[0].opened.payload == b""


def test_a_move_begins_a_new_run(bench):
    bench.see(bench.up(), bench.up(), bench.up(NEW), bench.down(NEW))
    (ladder,) = ladders(bench).ladders()
    assert shape(ladder) == [2, 2]
    assert ladder.rows[1].move is bench.report.moves[0]


def test_a_run_is_of_one_path(bench):
    late = bench.up()
    bench.see(bench.up(), bench.up(NEW), late, bench.up(NEW))
    (ladder,) = ladders(bench).ladders()
    assert shape(ladder) == [1, 1, 1, 1]
    assert [row.move is not None for row in ladder.rows] == [False, True, False, False]


def test_what_has_no_sa_stands_with_the_link_of_these_addresses(bench):
    bench.see(ike(), bench.up(), bench.udp(b"\xff"), ike(ELSEWHERE))
    linked, alone = ladders(bench).ladders()
    assert (linked.link, shape(linked)) == (1, ["ike", 2])
    assert (alone.link, shape(alone)) == (None, ["ike"])


def test_what_has_no_sa_ends_the_run_of_its_link(bench):
    bench.see(bench.up(), ike(), bench.up(), ike(NEW), bench.up(NEW), bench.up())
    (ladder,) = ladders(bench).ladders()
    assert shape(ladder) == [1, "ike", 1, "ike", 1, 1]


def test_a_wrong_icv_is_of_no_link_until_addresses_tell(bench):
    good = bench.up()
    altered = good[:-1] + bytes([good[-1] ^ 1])
    bench.see(good, altered)
    (ladder,) = ladders(bench).ladders()
    kinds = [kind for row in ladder.rows for kind in row.counts]
    assert [(kind.type, kind.forward) for kind in kinds] == [
        (PacketType.DATA, True),
        (PacketType.ENCRYPTED, None),
    ]


def test_rows_and_ladders_are_bounded(bench, monkeypatch):
    monkeypatch.setattr(ladder_module, "MAX_ROWS", 3)
    monkeypatch.setattr(ladder_module, "MAX_LADDERS", 2)
    monkeypatch.setattr(ladder_module, "MAX_KINDS", 1)
    bench.see(bench.up(), bench.up(), bench.down(), bench.up(), bench.down())
    bench.see(ike(ELSEWHERE), ike(Endpoint.of("198.51.100.78")))
    taken = ladders(bench)
    assert [shape(each) for each in taken.ladders()] == [[2, 1, 1]]
    assert taken.not_kept == 3
