from dataclasses import replace

import pytest
from frames import (
    GATEWAY,
    NEW,
    OLD,
    TO_GATEWAY,
    Bench,
    Keys,
    gcm,
    reply,
    request,
    signalling,
)
from ike import clear, nonce

import scapy_mobsec.observer.ladder as ladder_module
from scapy_mobsec.ike.numbers import Exchange, Protocol
from scapy_mobsec.observer.ike_sa import ObservedChildSa
from scapy_mobsec.observer.ladder import Ladders, Run
from scapy_mobsec.observer.seen import PacketType
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.packet.path import Endpoint

OTHER_HOME = Endpoint.of("10.10.1.9").address
ELSEWHERE = Endpoint.of("198.51.100.77", 500)


def ladders(bench):
    taken = Ladders()
    for seen in bench.packets:
        taken.take(seen)
    return taken


def shape(ladder):
    """Types of signalling, sums of runs."""
    return [row.counts.total() if isinstance(row, Run) else row.type.value for row in ladder.rows]


def ike(source=OLD, spi=b"initiate"):
    octets = clear(Exchange.IKE_SA_INIT, nonce(bytes(32)), spis=(spi, bytes(8)))
    udp = build_udp(source.address, GATEWAY.address, 500, 500, octets)
    return build_ip(source.address, GATEWAY.address, 17, udp)


def of_child(seen, spi):
    """The same IKE message, of an IKE SA with one CHILD_SA."""
    child = ObservedChildSa(
        1, Protocol.ESP, spi.to_bytes(4), bytes(4), None, (None, None), False, None, ""
    )
    return seen._replace(ike=replace(seen.ike, children=[child]))


def test_data_between_signalling_is_counted_by_direction(bench):
    bench.see(bench.up(payload=signalling(request(source=OLD))), bench.up(), bench.down())
    bench.see(bench.down(payload=signalling(reply())), bench.up())
    (ladder,) = ladders(bench).ladders()
    assert shape(ladder) == ["rreq", 2, "rrep", 1]
    assert [kind.forward for kind in ladder.rows[1].counts] == [True, False]
    assert ladder.rows[1].last_time - ladder.rows[1].time_ns == 10_000_000
    assert ladder.rows[0].opened.payload == ladder.rows[0].octets == b""


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
    bench.see(ike(), bench.up(), bench.udp(b"\xff"), ike(ELSEWHERE, b"elsewher"))
    linked, alone = ladders(bench).ladders()
    assert (linked.link, shape(linked)) == (1, ["ike", 2])
    assert (alone.link, shape(alone)) == (None, ["ike"])


def test_what_has_no_sa_ends_the_run_of_its_link(bench):
    bench.see(bench.up(), ike(), bench.up(), ike(NEW), bench.up(NEW), bench.up())
    (ladder,) = ladders(bench).ladders()
    assert shape(ladder) == [1, "ike", 1, "ike", 1, 1]


@pytest.fixture
def neighbours():
    """Two links between two addresses: mobile terminals behind one translator."""
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(0x3003)))
    bench.see(ike(NEW, b"first..."), ike(NEW, b"second.."))
    inner = build_ip(OTHER_HOME, GATEWAY.address, 1, b"ping")
    bench.see(bench.up(NEW), bench.udp(bench.seal(0x3003, inner), NEW._replace(port=40002)))
    return bench


def test_ike_belongs_to_the_link_of_its_child_sas(neighbours):
    first, second, *data = neighbours.packets
    neighbours.packets[:] = [of_child(first, 0x3003), of_child(second, TO_GATEWAY), *data]
    neighbours.packets.append(neighbours.packets[0]._replace(frame=9))
    one, other = ladders(neighbours).ladders()
    assert (one.link, shape(one), one.rows[0].ike.initiator_spi) == (1, ["ike", 1], b"second..")
    assert (other.link, shape(other)) == (2, ["ike", 1, "ike"])


def test_ike_of_which_nothing_tells_the_link_stands_alone(neighbours):
    _, _, *others = ladders(neighbours).ladders()
    assert [(each.ike.initiator_spi, shape(each)) for each in others] == [
        (b"first...", ["ike"]),
        (b"second..", ["ike"]),
    ]


def test_ike_of_other_child_sas_is_not_of_the_link_between_these_addresses(bench):
    bench.see(ike(), bench.up())
    bench.packets[0] = of_child(bench.packets[0], 0x9999)
    assert [(each.link, shape(each)) for each in ladders(bench).ladders()] == [
        (1, [1]),
        (None, ["ike"]),
    ]


def test_a_keepalive_belongs_to_the_link_of_its_endpoints(neighbours):
    neighbours.see(neighbours.udp(b"\xff", NEW._replace(port=40002)))
    taken = {each.link: shape(each) for each in ladders(neighbours).ladders()}
    assert (taken[1], taken[2]) == ([1], [2])


def test_what_no_key_opens_stands_with_the_ike_beside_it(bench):
    bench.see(ike(OLD), bench.native((7).to_bytes(4) + bytes(40)))
    (ladder,) = ladders(bench).ladders()
    assert (ladder.link, ladder.ike, shape(ladder)) == (None, None, ["ike", 1])


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
    bench.see(ike(ELSEWHERE), ike(Endpoint.of("198.51.100.78"), b"elsewher"))
    taken = ladders(bench)
    assert [shape(each) for each in taken.ladders()] == [[2, 1, 1]]
    assert taken.not_kept == 3
