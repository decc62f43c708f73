"""TCP streams put together: any cutting, order and repetition; gaps, ends, bounds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scapy_mobsec import reassembly
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.tcp import TcpFlag, TcpSegment
from scapy_mobsec.reassembly import MAX_TENTATIVE_OCTETS, NEVER, TcpStreams
from scapy_mobsec.tcp_direction import (
    MAX_STREAM_OCTETS,
    MAX_WAIT_FOR_BEGINNING_NS,
    MAX_WAIT_NS,
    Stamp,
)

X, Y = bytes([10, 0, 0, 2]), bytes([203, 0, 113, 2])
SYN, FIN, RST, ACK = TcpFlag.SYN, TcpFlag.FIN, TcpFlag.RST, TcpFlag.ACK


class Capture:
    """Segments from X's port 40000 (or another) to Y's port 4500, or back, one each millisecond."""

    def __init__(self, *, tentative=False):
        self.streams = TcpStreams()
        self.tentative = tentative
        self.frame = 0
        self.time_ns = 0
        self.octets = b""
        self.pieces = []

    def see(self, sequence, octets=b"", flags=ACK, *, port=40_000, back=False, after=1_000_000):
        self.frame += 1
        self.time_ns += after
        ends = (Y, X) if back else (X, Y)
        ports = (4500, port) if back else (port, 4500)
        segment = TcpSegment(*ports, sequence % (1 << 32), flags, octets)
        stamp = Stamp(self.frame, self.time_ns)
        return self.take(self.streams.add(*ends, segment, stamp, tentative=self.tentative))

    def take(self, found):
        self.pieces = [each.piece for each in found]
        self.octets += b"".join(piece.octets for piece in self.pieces)
        return self

    @property
    def gaps(self):
        return self.streams.drops[DropReason.TCP_GAP]


def opened(sequence=1000, *, port=40_000, **options):
    """A connection whose next octet has `sequence`."""
    return Capture(**options).see(sequence - 1, flags=SYN, port=port)


def first_of(streams):
    return streams._connections.get(next(iter(streams._connections)))


@st.composite
def segments(draw):
    """Octets, where they begin, and parts that cover them: overlapping, twice, in any order."""
    octets = draw(st.binary(min_size=1, max_size=300))
    places = st.integers(0, len(octets))
    cuts = sorted({0, len(octets), *draw(st.lists(places, max_size=12))})
    parts = list(itertools.pairwise(cuts))
    more = draw(st.lists(st.tuples(places, places), max_size=8))
    parts += [(min(pair), max(pair)) for pair in more]
    near_the_wrap = st.integers((1 << 32) - 320, (1 << 32) + 5)
    first = draw(st.integers(0, (1 << 32) - 1) | near_the_wrap)
    return octets, first, draw(st.permutations(parts))


@given(segments())
def test_any_cutting_order_and_repetition_gives_the_same_octets(drawn):
    octets, first, parts = drawn
    capture = opened(first)
    for start, end in parts:
        capture.see(first + start, octets[start:end])
        assert octets.startswith(capture.octets)
        assert all(piece.follows for piece in capture.pieces)
    assert capture.octets == octets
    assert capture.streams.octets == 0
    assert not capture.streams.drops


@given(st.lists(st.tuples(st.integers(0, 1 << 32), st.binary(max_size=9), st.integers(0, 31))))
def test_any_segments_are_taken_and_accounted_for(drawn):
    capture = Capture()
    for sequence, octets, flags in drawn:
        capture.see(sequence, octets, flags)
    capture.take(capture.streams.finish())
    assert capture.streams.octets == 0


@given(segments())
def test_so_it_does_where_the_beginning_was_not_captured(drawn):
    octets, first, parts = drawn
    capture = Capture()
    for start, end in parts:
        capture.see(first + start, octets[start:end])
    capture.take(capture.streams.finish())
    assert (capture.octets, capture.gaps, capture.streams.octets) == (octets, 0, 0)


def test_both_directions_are_apart():
    capture = opened().see(7, flags=SYN | ACK, back=True)
    assert capture.see(1000, b"IKETCP").see(8, b"answer", back=True).octets == b"IKETCPanswer"


def test_a_piece_is_there_when_all_before_it_is():
    capture = opened().see(1003, b"def").see(1000, b"abc")
    assert [(p.octets, p.stamp.frame) for p in capture.pieces] == [(b"abc", 3), (b"def", 3)]


def test_what_came_out_first_counts():
    assert opened().see(1000, b"abc").see(1001, b"XYZd").octets == b"abcZd"


def test_a_longer_repetition_of_what_is_held_counts():
    assert opened().see(1001, b"b").see(1001, b"bcd").see(1001, b"b").see(1000, b"a").octets == (
        b"abcd"
    )


def test_a_gap_is_waited_for_then_told_and_nothing_made_up():
    capture = opened().see(1003, b"def", after=2 * MAX_WAIT_NS)
    capture.see(1006, b"ghi", after=MAX_WAIT_NS)
    assert (capture.octets, capture.gaps) == (b"", 0)
    capture.see(1009, b"j", after=2)
    assert (capture.octets, capture.gaps) == (b"defghij", 1)
    assert [piece.follows for piece in capture.pieces] == [False, True, True]
    assert [piece.stamp.frame for piece in capture.pieces] == [2, 3, 4]
    assert capture.see(1000, b"abc").octets == b"defghij"


def test_a_gap_in_a_stream_that_goes_on_is_no_reason_to_leave_it():
    capture = opened().see(9000, b"forged")
    for number in range(5):
        capture.see(1000 + number, b"x", after=MAX_WAIT_NS)
    assert (capture.octets, capture.gaps) == (b"xxxxx", 0)


def test_at_the_end_of_the_capture_nothing_is_waited_for():
    capture = opened().see(1003, b"def").see(1009, b"jkl")
    capture.take(capture.streams.finish())
    assert (capture.octets, capture.gaps, capture.streams.octets) == (b"defjkl", 2, 0)


def test_a_direction_holds_no_more_than_a_mebibyte():
    capture, octets = opened(), bytes(1400)
    for number in range(1000):
        capture.see(2000 + 1400 * number, octets)
        assert capture.streams.octets <= MAX_STREAM_OCTETS
    assert capture.gaps == 1
    assert len(capture.octets) == 1_400_000


def test_tiny_segments_count_for_more_than_their_octets():
    capture = opened()
    for number in range(10_000):
        capture.see(2000 + 2 * number, b"x")
    assert capture.gaps == capture.octets.count(b"x") > 1000


def test_all_directions_together_are_bounded(monkeypatch):
    monkeypatch.setattr(reassembly, "MAX_OCTETS", 10_000)
    capture = Capture()
    for port in range(1, 30):
        capture.see(999, flags=SYN, port=port).see(2000, bytes(1000), port=port)
        assert capture.streams.octets <= 10_000
    assert capture.gaps == 21


def test_connections_are_bounded(monkeypatch):
    monkeypatch.setattr(reassembly, "MAX_CONNECTIONS", 10)
    capture = Capture()
    for port in range(1, 16):
        capture.see(999, flags=SYN, port=port).see(2000, b"held", port=port)
    assert len(capture.streams) == 10
    assert capture.streams.octets == 10 * (4 + 128)
    assert capture.streams.drops == {DropReason.STREAM_LIMIT: 5, DropReason.TCP_GAP: 5}
    assert len(capture.octets) == 5 * 4
    assert len(capture.streams.take_over()) == 5


def test_connections_that_are_wanted_keep_their_places(monkeypatch):
    monkeypatch.setattr(reassembly, "MAX_CONNECTIONS", 10)
    capture = opened(port=1)
    capture.streams.keep(first_of(capture.streams))
    capture.see(1000, b"a", port=1)
    for port in range(2, 30):
        capture.see(999, flags=SYN, port=port)
    assert capture.see(1001, b"b", port=1).octets == b"ab"
    capture.see(1002, flags=FIN, port=1).see(5, flags=SYN, back=True, port=1)
    capture.see(6, flags=FIN, back=True, port=1)
    for port in range(2, 30):
        capture.see(999, flags=SYN, port=port)
    assert not capture.streams.knows((X, 1), (Y, 4500))


def test_without_a_syn_it_begins_with_the_lowest_octets_of_a_second():
    capture = Capture().see(500).see(1003, b"d").see(1000, b"abc")
    assert (capture.octets, len(capture.streams)) == (b"", 1)
    capture.see(1004, b"e", after=MAX_WAIT_FOR_BEGINNING_NS)
    assert [(piece.octets, piece.follows) for piece in capture.pieces] == [
        (b"abc", False),
        (b"d", True),
        (b"e", True),
    ]
    assert [piece.stamp.frame for piece in capture.pieces] == [3, 3, 4]
    assert capture.see(1005, b"f").see(900, b"late").octets == b"abcdef"
    assert (capture.gaps, capture.streams.octets) == (0, 0)


def test_without_a_syn_not_much_is_held():
    capture = Capture()
    for number in range(60):
        capture.see(1000 + 1400 * number, bytes(1400))
    assert (len(capture.octets), capture.gaps) == (60 * 1400, 0)


@pytest.mark.parametrize("after", [1, 2 * MAX_WAIT_FOR_BEGINNING_NS])
def test_a_syn_that_was_captured_late_is_no_gap(after):
    capture = Capture().see(1000, b"abc").see(1005, b"f").see(999, flags=SYN, after=after)
    assert capture.see(1003, b"de").octets == b"abcdef"
    assert (capture.gaps, len(capture.streams)) == (0, 1)


def test_what_waits_in_a_silent_direction_is_given_up_too():
    capture = opened().see(0, flags=SYN, back=True).see(1003, b"d")
    capture.see(1, b"back", back=True, after=MAX_WAIT_NS // 2)
    due = capture.streams.due
    assert due == 3_000_000 + MAX_WAIT_NS
    assert capture.take(capture.streams.expire(due)).octets == b"back"
    assert capture.take(capture.streams.expire(due + 1)).octets == b"backd"
    assert (capture.gaps, capture.streams.due) == (1, NEVER)


def test_a_gap_that_was_filled_is_not_given_up():
    capture = opened().see(1003, b"d").see(1000, b"abc").see(1006, b"g", after=MAX_WAIT_NS - 1)
    assert capture.streams.expire(2 * MAX_WAIT_NS) == []
    assert capture.take(capture.streams.expire(3 * MAX_WAIT_NS)).octets == b"abcdg"


def test_after_fin_nothing_counts_until_the_next_syn():
    capture = opened().see(1003, b"d", flags=FIN | ACK).see(1000, b"abc")
    assert capture.see(1004, b"late").see(1000, b"abc").octets == b"abcd"
    assert capture.see(50, flags=SYN).see(51, b"new").octets == b"abcdnew"


@pytest.mark.parametrize("sequence", [1000, 1001, 1003 + MAX_STREAM_OCTETS, 1000 - (1 << 30)])
def test_a_fin_that_a_receiver_would_ignore_ends_nothing(sequence):
    capture = opened().see(1000, b"ab").see(sequence, flags=FIN | ACK)
    assert capture.see(1002, b"cd").octets == b"abcd"
    assert capture.see(1004, flags=FIN | ACK).see(1004, b"e").octets == b"abcd"
    capture.streams.finish()
    assert capture.gaps == 0


def test_a_fin_before_the_beginning_ends_nothing():
    capture = Capture().see(1003, b"d").see(999, flags=FIN | ACK).see(1000, b"abc")
    capture.take(capture.streams.finish()).take(capture.streams.finish())
    assert capture.see(1004, b"e").octets == b"abcde"


@pytest.mark.parametrize("distance", [-500, 1 << 20, 1 << 31])
def test_a_stray_syn_begins_nothing(distance):
    capture = opened().see(1000, b"ab").see(1002 + distance, flags=SYN).see(1002, b"c")
    assert capture.see(1003 + distance, b"forged").see(1003, b"d").octets == b"abcd"
    assert len(capture.streams) == 1


@pytest.mark.parametrize("more", ["octets", "answer", "both"])
def test_the_same_ports_again(more):
    """What waits is told before, and neither end of the new connection is taken for the old one."""
    capture = opened().see(1000, b"a").see(1003, b"d").see(90_000, flags=SYN)
    assert (capture.octets, capture.gaps) == (b"a", 0)
    if more != "octets":
        capture.see(70_000, flags=SYN | ACK, back=True)
    if more != "answer":
        capture.see(90_001, b"new")
    assert capture.gaps == 1
    if more == "answer":
        capture.see(90_001, b"new")
    capture.see(90_004, b"er")
    assert (capture.octets, len(capture.streams)) == (b"adnewer", 1)
    assert capture.see(70_001, b"!", back=True).octets == b"adnewer" + b"!" * (more != "octets")


def test_behind_an_end_a_syn_alone_begins_anew():
    capture = opened().see(1000, b"a", flags=FIN | ACK).see(90_000, flags=SYN).see(90_004, b"w")
    assert capture.octets == b"a"
    assert capture.see(90_001, b"new").octets == b"aneww"


def test_a_connection_that_is_over_is_told_once():
    capture = opened().see(7, flags=SYN | ACK, back=True).see(1000, b"ab", flags=FIN | ACK)
    assert capture.streams.take_over() == []
    capture.see(8, flags=FIN | ACK, back=True)
    (connection,) = capture.streams.take_over()
    assert connection.is_over
    assert capture.see(1003).streams.take_over() == []
    assert connection.opener == (X, 40_000)


def test_a_repeated_syn_begins_nothing_new():
    assert opened().see(1000, b"ab").see(999, flags=SYN).see(1002, b"c").octets == b"abc"


@pytest.mark.parametrize(("sequence", "octets"), [(1002, b"ab"), (1003, b"abc"), (5, b"abc")])
def test_rst_counts_with_the_number_that_is_next(sequence, octets):
    capture = opened().see(1000, b"ab").see(sequence, flags=RST).see(1002, b"c")
    assert capture.octets == octets


def test_a_syn_with_octets():
    assert Capture().see(999, b"ab", flags=SYN).see(1002, b"c").octets == b"abc"


def test_what_is_ignored_is_neither_held_nor_found():
    capture = opened()
    found = capture.streams.add(X, Y, TcpSegment(40_000, 4500, 1000, ACK, b"GET"), Stamp(2, 2))
    capture.see(2000, b"held")
    capture.streams.ignore(found[0].connection)
    assert capture.streams.octets == 0
    assert capture.see(1003, b"more").see(7, b"back", back=True).octets == b""
    assert capture.streams.finish() == []


def test_what_is_lost_of_a_tentative_connection_does_not_count(monkeypatch):
    monkeypatch.setattr(reassembly, "MAX_CONNECTIONS", 1)
    capture = opened(tentative=True).see(1003, b"d").see(1004, b"e", after=2 * MAX_WAIT_NS)
    capture.see(999, flags=SYN, port=7)
    assert (capture.octets, len(capture.streams), capture.streams.drops) == (b"de", 1, {})


def test_of_a_tentative_connection_little_is_held():
    capture = opened(tentative=True)
    most = MAX_TENTATIVE_OCTETS // (1000 + 128)
    for number in range(most + 1):
        assert len(capture.streams) == 1
        capture.see(2000 + 1000 * number, bytes(1000))
    assert (len(capture.streams), capture.streams.octets) == (0, 0)


def test_an_ignored_tentative_connection_is_forgotten():
    capture = opened(tentative=True)
    assert capture.streams.knows((X, 40_000), (Y, 4500))
    connection = first_of(capture.streams)
    capture.see(7, flags=SYN).see(8).streams.ignore(connection)
    assert capture.streams.knows((Y, 4500), (X, 40_000))
    capture.streams.ignore(first_of(capture.streams))
    assert not capture.streams.knows((X, 40_000), (Y, 4500))
