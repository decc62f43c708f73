"""What the observer tells of each packet at once."""

from frames import GATEWAY, HOME, INNER_HOST, NEW, TO_GATEWAY, TO_MOBILE, reply, request, signalling

from scapy_mobsec.drops import DropReason
from scapy_mobsec.observer.seen import PacketType
from scapy_mobsec.packet.ip import NO_NEXT_HEADER


def test_each_packet_has_its_type(bench):
    good, failed = bench.up(), bytearray(bench.up())
    failed[-1] ^= 1
    bench.see(
        good,
        bench.down(),
        bench.up(next_header=NO_NEXT_HEADER, payload=b"padding"),
        bytes(failed),
        bench.udp(bench.seal(0x5005)),
        bench.udp(b"\xff"),
    )
    types = [seen.type for seen in bench.packets]
    assert types == [
        PacketType.DATA,
        PacketType.DATA,
        PacketType.DUMMY,
        PacketType.ENCRYPTED,
        PacketType.ENCRYPTED,
        PacketType.KEEPALIVE,
    ]
    drops = [seen.dropped for seen in bench.packets]
    assert drops == [None, None, None, DropReason.BAD_ICV, DropReason.UNKNOWN_SPI, None]
    assert [seen.frame for seen in bench.packets] == [1, 2, 3, 4, 5, 6]
    first = bench.packets[0]
    assert (first.spi, first.sequence, first.inner) == (TO_GATEWAY, 1, (HOME, INNER_HOST))
    assert first.sa is not None
    assert first.sa.spi == TO_GATEWAY


def test_a_repeated_number_is_a_replay_or_captured_twice(bench):
    packet = bench.up()
    bench.see(packet, packet)
    bench.see(packet, after=5)
    first, second, third = bench.packets
    assert (first.type, first.dropped) == (PacketType.DATA, None)
    assert (second.type, second.dropped) == (PacketType.REPEATED, None)
    assert (third.type, third.dropped) == (PacketType.REPEATED, DropReason.REPLAYED)


def test_messages_come_with_their_registration_and_its_move(bench):
    asking, answer = signalling(request()), signalling(reply())
    bench.see(
        bench.up(),
        bench.up(NEW, payload=asking),
        bench.udp(bench.seal(TO_MOBILE, payload=answer), GATEWAY, NEW),
    )
    data, rreq, rrep = bench.packets
    assert (data.type, data.registration, data.move) == (PacketType.DATA, None, None)
    assert (rreq.type, rrep.type) == (PacketType.RREQ, PacketType.RREP)
    (entry,) = bench.report.registrations
    assert rreq.registration is rrep.registration is entry
    assert [rreq.move] == bench.report.moves
    assert rrep.move is None


def test_a_malformed_inner_packet_is_told_as_dropped(bench):
    bench.see(bench.up(payload=b"no IP"))
    (seen,) = bench.packets
    assert (seen.type, seen.dropped) == (PacketType.DATA, DropReason.MALFORMED_IP)
    assert seen.inner is None


def test_each_packet_has_its_octets(bench):
    esp, failed, ike = bench.seal(TO_GATEWAY), bytearray(bench.seal(TO_MOBILE)), bytes(17) + b"\x20"
    failed[-1] ^= 1
    bench.see(bench.udp(esp), bench.udp(bytes(failed)), bench.udp(bytes(4) + ike + bytes(10)))
    bench.see(bench.udp(esp), after=5)
    octets = [seen.octets for seen in bench.packets]
    assert octets == [esp, bytes(failed), ike + bytes(10), esp]
    assert [seen.length for seen in bench.packets] == [len(each) for each in octets]
