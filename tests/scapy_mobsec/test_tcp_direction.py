"""One direction of a stream; more in test_reassembly.py, where there are connections of it."""

from scapy_mobsec.packet.tcp import TcpFlag, TcpSegment
from scapy_mobsec.tcp_direction import MAX_WAIT_NS, Direction, Stamp


def segment(sequence, octets=b"", flags=TcpFlag.ACK):
    return TcpSegment(1, 2, sequence, flags, octets)


def taken(direction, *segments):
    pieces = [piece for each in segments for piece in direction.add(each, Stamp(1, 5))]
    return b"".join(piece.octets for piece in pieces)


def test_what_is_held_and_since_when():
    direction = Direction()
    assert taken(direction, segment(9, flags=TcpFlag.SYN), segment(12, b"cd")) == b""
    assert (direction.waits, direction.octets, direction.due) == (True, 130, 5 + MAX_WAIT_NS)
    assert taken(direction, segment(10, b"ab")) == b"abcd"
    assert (direction.waits, direction.octets, direction.due) == (False, 0, None)


def test_a_syn_of_another_stream():
    direction = Direction()
    syn = segment(9, flags=TcpFlag.SYN)
    assert not direction.is_of_another(syn)
    taken(direction, segment(12, b"cd"))
    assert [direction.is_of_another(segment(number)) for number in (9, 11, 12)] == [False] * 2 + [
        True
    ]
    taken(direction, syn)
    assert [direction.is_of_another(segment(number)) for number in (9, 8)] == [False, True]
    assert direction.is_next(segment(10))
