"""Packets that are written from what sockets carry: a capture of them reads as any other."""

from scapy_mobsec.drivers.live import frames as live
from scapy_mobsec.drivers.live.frames import Frames
from scapy_mobsec.drivers.memory.packet import ACK, FIN, PSH, SYN
from scapy_mobsec.packet.ip import ESP, UDP
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.driving import Close, Closed, Established, Open, Transmit

X, Y = Endpoint.of("127.0.0.2", 4500), Endpoint.of("127.0.0.3", 4500)
DATAGRAMS = Path(Encapsulation.UDP, X, Y)
WANTED = Path(Encapsulation.TCP, Endpoint(X.address), Y)
STREAM = Path(Encapsulation.TCP, Endpoint(X.address, 50_000), Y)
ESTABLISHED = Established(WANTED, ())


def test_datagrams_both_ways():
    frames = Frames()
    frames(1.5, DATAGRAMS, Transmit(b"there", DATAGRAMS))
    frames(1.0, DATAGRAMS, b"back")
    native = DATAGRAMS._replace(encapsulation=Encapsulation.NATIVE)
    frames(2.0, native, b"esp")
    (first, back), (second, there), (_, esp) = frames.packets()
    assert (first, second) == (1_000_000_000, 1_500_000_000)
    assert back[:4] == (UDP, Y, X, b"back")
    assert there[:4] == (UDP, X, Y, b"there")
    assert esp.protocol == ESP


def test_a_stream_is_a_whole_conversation():
    frames = Frames()
    frames(1.0, WANTED, Open(WANTED))
    frames(2.0, STREAM, ESTABLISHED)
    frames(3.0, STREAM, Transmit(b"question", STREAM))
    frames(4.0, STREAM, b"answer")
    frames(5.0, STREAM, Close(STREAM))
    told = [(time_ns // 10**9, p.source, p.payload, *p.tcp) for time_ns, p in frames.packets()]
    assert told == [
        (1, STREAM.local, b"", SYN, 0, 0),
        (2, Y, b"", SYN | ACK, 0, 1),
        (2, STREAM.local, b"", ACK, 1, 1),
        (3, STREAM.local, b"question", PSH | ACK, 1, 1),
        (4, Y, b"answer", PSH | ACK, 1, 9),
        (5, STREAM.local, b"", FIN | ACK, 9, 7),
    ]
    for _, packet in frames.packets():
        assert packet.octets()[9] == 6


def test_an_accepted_stream_was_opened_by_the_other_side():
    frames = Frames()
    frames(1.0, STREAM, Established(None, ()))
    frames(2.0, STREAM, Closed("closed by peer"))
    syn, _, _, end = (packet for _, packet in frames.packets())
    assert (syn.source, end.source) == (Y, Y)
    assert end.tcp.flags == FIN | ACK


def test_many_octets_are_many_segments():
    frames = Frames()
    frames(1.0, STREAM, ESTABLISHED)
    frames(2.0, STREAM, Transmit(bytes(range(250)) * 14, STREAM))
    segments = [packet for _, packet in frames.packets() if packet.payload]
    assert [len(each.payload) for each in segments] == [1400, 1400, 700]
    assert [each.tcp.sequence for each in segments] == [1, 1401, 2801]
    assert b"".join(each.payload for each in segments) == bytes(range(250)) * 14


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(live, "MAX_PACKETS", 3)
    frames = Frames()
    for _ in range(5):
        frames(1.0, DATAGRAMS, b"octets")
    assert len(frames.packets()) == 3


def test_octets_of_a_stream_that_was_never_opened_are_left_out():
    frames = Frames()
    frames(1.0, STREAM, b"octets")
    assert not frames.packets()
