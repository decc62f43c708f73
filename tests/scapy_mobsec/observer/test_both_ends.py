"""Two places of the simulated network: loss, translations and round trip as they are there."""

from functools import partial
from heapq import merge

import pytest
from frames import GATEWAY, HOME, INNER_HOST, NEW, OLD, TO_GATEWAY, TO_MOBILE, Bench, Keys, gcm
from stories import result_of

from scapy_mobsec.observer import both_ends
from scapy_mobsec.observer.both_ends import BothEnds, Place, translations
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.translation import describe_all

OFFSET_NS = 3_000_000_000
ROUND_TRIP_NS = 50_000_000


def compared(result, offset_ns=0):
    """Both taps of a scenario, the second with a clock that is wrong."""
    both = BothEnds()
    observers = [Observer(Keys(*result.sas), on_packet=partial(both.take, each)) for each in Place]
    sides = (
        [(time_ns + place * offset_ns, place, packet) for time_ns, packet in result.captures[tap]]
        for place, tap in zip(Place, ("mobile", "other"), strict=True)
    )
    for time_ns, place, packet in merge(*sides):
        observers[place].feed(time_ns, packet, 101)
    return list(both.links())


@pytest.mark.parametrize("offset_ns", [0, OFFSET_NS, -OFFSET_NS])
def test_directions_and_round_trip_do_not_depend_on_the_clocks(offset_ns):
    result = result_of("handover")
    (link,) = compared(result, offset_ns)
    assert [sa.spi for sa in link.to_second] == [result.sas[0].spi]
    assert [sa.spi for sa in link.to_first] == [result.sas[1].spi]
    assert (link.unknown, link.round_trip_ns) == ([], ROUND_TRIP_NS)
    assert link.clock_difference_ns == offset_ns
    (there,), (back,) = link.to_second, link.to_first
    assert there.least_ns == there.most_ns == ROUND_TRIP_NS // 2 + offset_ns
    assert back.least_ns == back.most_ns == -ROUND_TRIP_NS // 2 + offset_ns
    assert there.only_at == back.only_at == (0, 0)


def test_each_translator_is_told_in_the_direction_of_its_packets():
    (link,) = compared(result_of("handover"))
    (there,), (back,) = link.to_second, link.to_first
    told = [describe_all(translations(each, 7, to_second=True)) for each in there.changes]
    assert told == [
        [],
        ["source address and port 10.0.0.2:4500 -> 192.0.2.1:37880"],
        ["source address and port 192.168.1.2:4500 -> 192.0.2.129:63948"],
    ]
    told = [describe_all(translations(each, 7, to_second=False)) for each in back.changes]
    assert told[1] == ["destination address and port 192.0.2.1:37880 -> 10.0.0.2:4500"]
    assert sum(there.changes.values()) == there.matched


def test_what_the_network_lost_is_lost():
    result = result_of("loss")
    (link,) = compared(result)
    (there,), (back,) = link.to_second, link.to_first
    sizes = {tap: len(packets) for tap, packets in result.captures.items()}
    lost, lost_back = there.only_at[0], back.only_at[1]
    assert lost > 10
    assert lost_back > 10
    assert there.only_at[1] == back.only_at[0] == 0
    # What the ends of the run lost has no later number to show it.
    assert sizes["mobile"] - there.matched - back.matched >= lost
    assert sizes["other"] - there.matched - back.matched >= lost_back


def seen_by(bench, *packets):
    bench.packets.clear()
    bench.see(*packets)
    return list(bench.packets)


def test_what_one_end_saw_while_the_other_did_not_run_is_not_lost():
    bench, both = Bench(), BothEnds()
    for seen in seen_by(bench, *(bench.up() for _ in range(10))):
        if seen.sequence <= 8:
            both.take(Place.FIRST, seen)
        if seen.sequence in (3, 4, 6, 8, 9, 10):
            both.take(Place.SECOND, seen)
    (link,) = both.links()
    (sa,) = link.to_second
    assert (sa.matched, sa.only_at, link.round_trip_ns) == (4, (2, 0), None)


def test_two_sas_of_one_spi_are_told_apart_whatever_becomes_of_their_addresses():
    """Two receivers chose the same SPI; a translator is between the two captures."""
    keys, both = Keys(gcm(TO_GATEWAY, 1), gcm(TO_GATEWAY, 2)), BothEnds()
    other = GATEWAY._replace(port=4501)
    ends = Bench(keys), Bench(keys)
    for number in range(1, 6):
        for octet, to in ((1, GATEWAY), (2, other)):
            esp = ends[0].seal(TO_GATEWAY, octet=octet)
            both.take(Place.FIRST, *seen_by(ends[0], ends[0].udp(esp, OLD, to)))
            if number != octet + 1:  # the second of the one is lost, the third of the other
                both.take(Place.SECOND, *seen_by(ends[1], ends[1].udp(esp, NEW, to)))
    sas = [sa for link in both.links() for sa in link.to_second + link.unknown]
    assert [(sa.spi, sa.matched, sa.only_at) for sa in sas] == [(TO_GATEWAY, 4, (1, 0))] * 2
    for sa, to in zip(sas, (GATEWAY, other), strict=True):
        ((change, packets),) = sa.changes.items()
        assert (packets, change.first.destination_endpoint) == (4, to)
        assert (change.first.source_endpoint, change.second.source_endpoint) == (OLD, NEW)


def test_packets_that_no_key_opens_and_repeated_ones_do_not_count():
    bench, both = Bench(), BothEnds()
    packet = bench.up()
    for seen in seen_by(bench, packet, packet, bench.udp(bench.seal(0x5005))):
        both.take(Place.FIRST, seen)
        both.take(Place.SECOND, seen)
    (link,) = both.links()
    assert [(sa.spi, sa.matched) for sa in link.unknown] == [(TO_GATEWAY, 1)]


def test_what_the_second_capture_alone_has_is_of_no_link():
    bench, both = Bench(), BothEnds()
    both.take(Place.SECOND, *seen_by(bench, bench.down()))
    (link,) = both.links()
    assert (link.link, [sa.spi for sa in link.unknown]) == (None, [TO_MOBILE])


@pytest.mark.parametrize(("waiting", "matched"), [(3, 0), (4, 4)])
def test_what_waits_for_the_other_end_is_bounded(monkeypatch, waiting, matched):
    monkeypatch.setattr(both_ends, "MAX_WAITING", waiting)
    bench, both = Bench(), BothEnds()
    packets = seen_by(bench, *(bench.up() for _ in range(4)))
    for place in Place:
        for seen in packets if place is Place.FIRST or waiting == 4 else packets[:1]:
            both.take(place, seen)
    (link,) = both.links()
    assert link.unknown[0].matched == matched


def test_sas_and_outer_headers_are_bounded(monkeypatch):
    monkeypatch.setattr(both_ends, "MAX_SAS", 1)
    monkeypatch.setattr(both_ends, "MAX_CHANGES", 1)
    bench, both = Bench(), BothEnds()
    for seen in seen_by(bench, bench.up(), bench.up(NEW), bench.down()):
        both.take(Place.FIRST, seen)
        both.take(Place.SECOND, seen)
    (link,) = both.links()
    (sa,) = link.unknown
    ((change, packets),) = sa.changes.items()
    assert (sa.matched, packets) == (2, 1)
    assert (change.first.source_endpoint, change.first.destination_endpoint) == (OLD, GATEWAY)


MS = 1_000_000
REKEYED = 0x3003


def passed(both, packets, delay_ms, lost, to=Place.SECOND):
    """Packets that go from one place to the other, some of them not all the way."""
    for seen in packets:
        both.take(Place(1 - to), seen)
        if seen.sequence not in lost:
            both.take(to, seen._replace(time_ns=seen.time_ns + delay_ms * MS))


def rekeyed():
    """Packets of a link's SAs: two up, one after the other, and one down."""
    bench = Bench(keys=Keys(gcm(TO_GATEWAY), gcm(TO_MOBILE), gcm(REKEYED)))
    old, down = (seen_by(bench, *(make() for _ in range(9))) for make in (bench.up, bench.down))
    inner = build_ip(HOME, INNER_HOST, 1, b"ping")
    seal = partial(bench.seal, REKEYED, payload=inner)
    return old, seen_by(bench, *(bench.udp(seal()) for _ in range(9))), down


@pytest.mark.parametrize("to", Place)
def test_re_keyed_sas_keep_their_direction_however_long_they_take(to):
    both, (old, new, down) = BothEnds(), rekeyed()
    passed(both, old, 20, (3, 4, 5), to)
    passed(both, new, 200, (6,), to)
    passed(both, down, 20, (7, 8), Place(1 - to))
    (link,) = both.links()
    up, back = (link.to_second, link.to_first)[:: 1 if to is Place.SECOND else -1]
    assert [sa.spi for sa in up] == [TO_GATEWAY, REKEYED]
    assert [sa.spi for sa in back] == [TO_MOBILE]
    assert [sa.only_at[1 - to] for sa in up] == [3, 1]
    assert back[0].only_at[to] == 2
    assert (link.round_trip_ns, link.clock_difference_ns) == (40 * MS, 0)


@pytest.mark.parametrize("to", Place)
def test_losses_tell_the_direction_of_traffic_that_goes_one_way(to):
    both, (old, new, _) = BothEnds(), rekeyed()
    passed(both, old, 20, (), to)
    passed(both, new, 200, (6,), to)
    (link,) = both.links()
    told = link.to_second if to is Place.SECOND else link.to_first
    assert [sa.spi for sa in told] == [TO_GATEWAY, REKEYED]
    assert link.round_trip_ns is link.clock_difference_ns is None


def test_where_both_captures_lack_something_nothing_tells_the_direction():
    both, (old, _, _) = BothEnds(), rekeyed()
    passed(both, old[:5], 20, (3,))
    passed(both, old[5:], 20, (7,), Place.FIRST)
    (link,) = both.links()
    assert [sa.only_at for sa in link.unknown] == [(1, 1)]
