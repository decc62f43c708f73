import pytest
from frames import GATEWAY, NEW, OLD, TO_GATEWAY, TO_MOBILE, reply, request, signalling
from ike import init_request

import scapy_mobsec.ui.packet_filter as filter_module
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.ui.packet_filter import FilterError, PacketFilter, Selection


@pytest.fixture
def talk(bench):
    """Data, a move with its registration, IKE, a keepalive, and something without a key."""
    ike = build_udp(OLD.address, GATEWAY.address, 500, 500, init_request())
    bench.see(bench.up(), bench.native(bench.seal(TO_MOBILE), GATEWAY, OLD))
    bench.see(bench.up(NEW, payload=signalling(request())))
    bench.see(bench.down(NEW, payload=signalling(reply())))
    bench.see(build_ip(OLD.address, GATEWAY.address, 17, ike), bench.udp(b"\xff"))
    bench.see(bench.native((7).to_bytes(4) + bytes(40)))
    return bench


@pytest.mark.parametrize(
    ("texts", "frames"),
    [
        ([], [1, 2, 3, 4, 5, 6, 7]),
        (["type=rreq"], [3]),
        (["type=rreq,rrep,ike"], [3, 4, 5]),
        (["encap=native"], [2, 7]),
        (["encap=native", "type=data"], [2]),
        (["encap=native type=data"], [2]),
        (["type=data,rreq", "type=rreq,ike"], [3]),
        ([f"spi={TO_GATEWAY:#x}"], [1, 3]),
        ([f"spi={TO_MOBILE},7"], [2, 4, 7]),
        (["inner=10.10.2.0/24"], [1, 2]),
        (["inner=10.10.1.1"], [1, 2, 3, 4]),
        (["inner=2001:db8::/32"], []),
        (["type!=data"], [3, 4, 5, 6, 7]),
        (["type!=data,ike"], [3, 4, 6, 7]),
        (["type!=data encap!=udp"], [7]),
        ([f"type=data spi!={TO_MOBILE}"], [1]),
        (["inner!=10.10.2.0/24"], [3, 4, 5, 6, 7]),
    ],
)
def test_what_passes(talk, texts, frames):
    packet_filter = PacketFilter(texts)
    assert bool(packet_filter) == bool(texts)
    assert [seen.frame for seen in talk.packets if packet_filter.passes(seen)] == frames


@pytest.mark.parametrize(
    "text",
    [
        "type",
        "type=",
        "type=RREQ",
        "typ=rreq",
        "=rreq",
        "!=rreq",
        "!type=rreq",
        "type!!=rreq",
        "type!",
        "type!=",
        "encap=gre",
        "spi=0x",
        "spi=0xg",
        "spi=0",
        "spi=4294967296",
        "spi=1_0",
        "spi=\u0661",
        "spi=-1",
        "inner=10.0.0.0/33",
        "inner=host",
        "type=rreq,",
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_it(text):
    with pytest.raises(FilterError, match=r"^filter ") as raised:
        PacketFilter([text])
    assert "\n" not in str(raised.value)


def part(bench, *texts):
    packet_filter, report = PacketFilter(texts), bench.report
    selection = Selection(packet_filter)
    for seen in bench.packets:
        if packet_filter.passes(seen):
            selection.take(seen)
    return selection.of(report)


def test_a_report_keeps_what_a_passing_packet_belongs_to(talk):
    whole = talk.report
    assert part(talk) == whole
    rrep = part(talk, "type=rrep")
    assert rrep.registrations == whole.registrations
    assert [sa.spi for sa in rrep.sas] == [TO_MOBILE]
    assert (rrep.moves, rrep.ike) == ([], [])
    assert rrep.summary == whole.summary
    assert rrep.drops == whole.drops


def test_moves_ike_and_keepalives(talk):
    rreq = part(talk, "type=rreq")
    assert rreq.moves == [move for move in talk.report.moves if move.signalled]
    assert [each.move for each in rreq.statistics.handovers] == rreq.moves
    assert len(part(talk, "type=ike").ike[0].exchanges) == 1
    assert len(part(talk, "type=keepalive").statistics.keepalives) == 1
    native = part(talk, "encap=udp", "type=data")
    assert native.registrations == native.ike == []
    assert native.statistics.keepalives == {}


def test_what_is_remembered_is_bounded(talk, monkeypatch):
    monkeypatch.setattr(filter_module, "MAX_SELECTED", 0)
    part_of_it = part(talk, "type=rreq,ike")
    assert part_of_it.registrations == part_of_it.moves == part_of_it.ike == []
