"""Streams that outlive a move: those of endpoints that were kept, and spare ones (rule 10)."""

import pytest
from play import HTTP, HTTP_POST, INSIDE, NATIVE, OUTSIDE, TCP, TLS, UDP, Play, nat, told
from terminals import HOME, INNER_HOST

from scapy_mobsec.drivers.memory import NO_NATIVE, NO_UDP, Delay, Firewall
from scapy_mobsec.drivers.memory.firewall import Block
from scapy_mobsec.drivers.memory.packet import SYN
from scapy_mobsec.packet.ip import build_ip, parse_ip
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.events import (
    Moved,
    NumbersSkipped,
    PathChosen,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
    StreamLost,
)

STREAM_INTERVAL = 30.0


class TwoInterfaces(Play):
    """X has two: one without translator, which is preferred, and one behind a NAT."""

    def __init__(self, *kinds, spare=True, blocks=(), **options):
        items = tuple(EncapsulationItem(each.code, port=PORTS[each]) for each in kinds)
        super().__init__(items=items, spare=spare, **options)
        self.both = [(self.segment, self.place), (self.place_behind(nat()), INSIDE)]
        self.firewall.blocks = blocks
        self.mobile.move_all(self.both)
        self.wait(1)

    def keep(self, *places):
        """Only these are left."""
        self.begin()
        self.mobile.move_all(places)

    @property
    def handshakes(self):
        """Streams that began since then."""
        packets = self.taps["mobile"].packets
        return sum(bool(packet.tcp and packet.tcp.flags == SYN) for _, packet in packets)

    @property
    def open(self):
        """Local addresses of X's streams."""
        return sorted(ends[0].address for ends in self.mobile.terminal._streams)


class NothingInside(Block):
    """Drops what comes from the interface behind the NAT, or goes there."""

    def matches(self, packet, direction):
        return INSIDE.address in ends(packet)


def ends(packet):
    return packet.source.address, packet.destination.address


PORTS = {NATIVE: 0, UDP: 4500, TCP: 4500, TLS: 443, HTTP: 4500, HTTP_POST: 4500}
each_kind = pytest.mark.parametrize("kind", [TCP, TLS, HTTP, HTTP_POST], ids=str)


@each_kind
def test_from_the_interface_that_is_left_x_goes_on_without_handshake(kind):
    play = TwoInterfaces(kind).wait(300)
    play.keep(play.both[1])
    play.ping_once().wait(0.2)
    assert play.handshakes == 0
    assert play.encapsulation is kind
    received = told(play.other, RegistrationReceived)[-1]
    assert received.attempt == 2
    assert received.sent == play.told(Registered)[-1].sent
    (came, _), *_ = play.mobile.inner[-1:]
    later = 0.05 if kind is not HTTP_POST else 0.1  # its data waits for the answer to the RREQ
    assert (came - play.start) / 1e9 == pytest.approx(later)


def test_without_a_spare_one_stream_is_open_and_the_next_is_opened_at_the_move():
    play = TwoInterfaces(TLS, spare=False)
    assert play.open == [play.place.address]
    play.keep(play.both[1])
    assert play.wait(0.5).handshakes == 1


@each_kind
def test_where_the_other_interface_goes_the_stream_goes_on(kind):
    play = TwoInterfaces(kind, spare=False)
    before = set(play.mobile.terminal._streams)
    play.keep(play.both[0])
    assert play.ping(1) == 10
    assert play.handshakes == 0
    assert set(play.mobile.terminal._streams) == before
    assert play.told(Moved)[-1].new.local.port


def test_an_endpoint_that_looks_the_same_elsewhere_is_another():
    play = TwoInterfaces(TLS)
    elsewhere = play.place_behind(nat(external="192.0.2.129"), outside="192.0.2.129")
    play.keep((elsewhere, INSIDE))
    assert play.wait(1).handshakes == 1
    assert play.ping(1) == 10


def test_both_ends_lose_none_and_y_sees_probes_only():
    play = TwoInterfaces(TLS)
    before = len(told(play.other, RegistrationReceived))
    play.wait(10 * STREAM_INTERVAL)
    assert len(play.open) == len(play.other.terminal._streams) == 2
    assert len(told(play.other, RegistrationReceived)) == before + 2 * 10
    assert play.mobile.terminal.path.local.address == play.place.address
    assert play.told(RegistrationFailed, StreamLost) == []


def reached(play):
    """Numbers of the packets that reached the host behind Y."""
    return [int.from_bytes(parse_ip(packet).payload, "big") for _, packet in play.other.inner]


def send_numbered(play, number):
    play.mobile.send(build_ip(HOME, INNER_HOST, 253, number.to_bytes(4, "big")))


def slow_and_fast(play):
    """Two places of X; its data is not answered."""
    play.other.on_inner = lambda packet: None
    return [
        (play.network.core.segment([Delay(delay), *more], [outside]), Endpoint.of(outside, 4500))
        for delay, outside, *more in (
            (0.1, "198.51.100.20", Firewall(NO_UDP)),
            (0.01, "198.51.100.21"),
        )
    ]


@pytest.mark.parametrize("kind", [TCP, TLS, HTTP], ids=str)
def test_what_follows_a_move_at_once_arrives_although_another_stream_is_faster(kind):
    items = (EncapsulationItem(kind.code, port=PORTS[kind]),)
    play = Play(items=items, spare=True)
    both = slow_and_fast(play)
    play.mobile.move_all(both)
    play.wait(2 * STREAM_INTERVAL)
    for number in range(3):
        play.mobile.move_all(both)
        send_numbered(play, number)
        play.wait(5)
    assert reached(play) == [0, 1, 2]
    assert play.told(StreamLost) == []


def test_what_is_under_way_on_a_slow_stream_arrives_after_the_move_to_a_faster_path():
    play = Play(allow=(UDP, TCP), start=(UDP, TCP), stagger=0.0)
    slow, fast = slow_and_fast(play)
    play.mobile.move_all([slow])
    assert play.wait(20).encapsulation is TCP
    for number in range(20):
        send_numbered(play, number)
        play.wait(0.01)
    play.mobile.move_all([fast, slow])
    assert play.wait(10).encapsulation is UDP
    assert reached(play) == list(range(20))


@pytest.mark.parametrize("stagger", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("kinds", [(UDP, TCP), (TCP,), (TLS,), (HTTP,), (HTTP_POST,)], ids=str)
def test_what_y_sent_on_a_slow_stream_arrives_after_the_move_to_a_faster_path(kinds, stagger):
    """X holds the old interface, and reads its stream up to the RREP: all data came before."""
    items = tuple(EncapsulationItem(each.code, port=PORTS[each]) for each in kinds)
    play = Play(items=items, start=kinds, stagger=stagger)
    slow, fast = slow_and_fast(play)
    play.mobile.move_all([slow])
    play.wait(20)
    for number in range(100):
        if number == 50:
            play.mobile.move_all([fast, slow])
        play.other.send(build_ip(INNER_HOST, HOME, 253, bytes((number,))))
        play.wait(0.01)
    play.wait(5)
    assert play.mobile.terminal.path.local.address == fast[1].address
    came = sorted(parse_ip(packet).payload[0] for _, packet in play.mobile.inner)
    assert came == list(range(100))
    streams = play.mobile.terminal._streams.values()
    local = {stream.opened_path.local.address for stream in streams}
    assert local == (set() if UDP in kinds else {fast[1].address})


def test_a_spare_that_was_closed_is_opened_again():
    play = TwoInterfaces(TLS)
    terminal = play.other.terminal
    for _ in range(4):
        paths = [stream.opened_path for stream in terminal._streams.values()]
        (spare,) = (path for path in paths if path.remote.address == OUTSIDE.address)
        terminal._close(spare, "test", play.network.now)
        play.other.pump()
        play.wait(1)
        assert play.open == [play.place.address]
        play.wait(STREAM_INTERVAL)
        assert len(play.open) == len(terminal._streams) == 2
    assert play.told(StreamLost) == []
    assert len(play.mobile.terminal._counters) <= 4


def test_a_spare_that_is_dead_is_closed_and_nothing_else():
    play = TwoInterfaces(TLS)
    play.firewall.blocks = (NothingInside("nothing from or to there", None),)
    play.wait(STREAM_INTERVAL + 4)
    assert play.open == [play.place.address]
    assert play.ping(1) == 10
    assert play.told(StreamLost, RegistrationFailed, NumbersSkipped) == []
    play.firewall.blocks = ()
    play.wait(2 * STREAM_INTERVAL)
    assert len(play.open) == 2


def test_beside_a_datagram_path_there_is_no_spare_that_can_be_relied_on():
    play = TwoInterfaces(UDP, TLS, start=(TLS,))
    assert len(play.open) == 2
    play.wait(40)
    assert play.encapsulation is UDP
    assert play.told(PathChosen)
    play.begin()
    play.wait(61)
    inside = INSIDE.address
    assert all(inside not in ends(packet) for _, packet in play.taps["mobile"].packets)
    play.keep(play.both[1])
    assert play.wait(1).handshakes == 1


def test_a_translator_before_a_spare_is_none_before_the_current_path():
    play = TwoInterfaces(NATIVE, TLS, start=(TLS,), blocks=(NO_NATIVE,))
    play.wait(2 * STREAM_INTERVAL)
    play.firewall.blocks = ()
    play.wait(2 * STREAM_INTERVAL)
    assert play.encapsulation is NATIVE


def test_better_encapsulations_are_probed_as_often_beside_a_dead_spare():
    play = TwoInterfaces(NATIVE, TLS, start=(TLS,), blocks=(NO_NATIVE,))
    play.wait(4 * STREAM_INTERVAL)
    due = play.mobile.terminal._back_off.due
    play.firewall.blocks = (NO_NATIVE, NothingInside("nothing from or to there", None))
    play.wait(STREAM_INTERVAL + 4)
    assert play.open == [play.place.address]
    assert play.mobile.terminal._back_off.due == due
