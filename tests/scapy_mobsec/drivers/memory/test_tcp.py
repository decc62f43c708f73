"""TCP by what its users see, and by packet charts of what crossed the wire."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wires import CLIENT, EXTERNAL, SERVER, Streams

from scapy_mobsec.drivers.memory import (
    NO_NATIVE,
    Attacker,
    Delay,
    Direction,
    Duplication,
    Element,
    Firewall,
    Loss,
    Mtu,
    Napt,
    Packet,
    Reordering,
    Tap,
)
from scapy_mobsec.drivers.memory.attacker import drop
from scapy_mobsec.drivers.memory.packet import ACK, FIN, RST, SYN, TcpFields
from scapy_mobsec.packet.ip import TCP
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import Ipv4Header, TcpHeader

NAMES = {SYN: "SYN", ACK: "ACK", FIN: "FIN", RST: "RST"}


def chart(tap):
    """Lines like `25 > SYN` of what passed a tap, milliseconds first."""
    start = tap.packets[0][0]
    lines = []
    for time_ns, packet in tap.packets:
        arrow = ">" if packet.source.address == CLIENT.address else "<"
        flags = "+".join(name for bit, name in NAMES.items() if packet.tcp.flags & bit)
        size = f" {len(packet.payload)}" if packet.payload else ""
        lines.append(f"{(time_ns - start) / 1e6:.0f} {arrow} {flags}{size}")
    return lines


class Losing(Element):
    """Loses the packets with these numbers (from 0) towards the server."""

    def __init__(self, *numbers):
        self._numbers, self._count = numbers, -1

    def forward(self, packet, direction, time_ns):
        if direction is Direction.OUT:
            self._count += 1
            if self._count in self._numbers:
                return []
        return [(0, packet)]


def opened(*chain, **options):
    """A client and a server whose stream is established."""
    play = Streams(*chain, **options)
    user = play.user()
    connection = play.connect(user)
    assert play.network.run_until(lambda: bool(play.accepted and play.accepted[0].stream))
    return play, connection, user


def test_the_handshake_takes_one_round_trip_and_data_follows_at_once():
    tap = Tap()
    play = Streams(tap, Delay(0.025))
    user = play.user()
    play.connect(user).write(b"question")
    play.network.run_for(0.08)
    play.accepted[0].stream.write(b"answer")
    play.network.run_for(1)
    assert user.story == [(50.0, "established"), (105.0, "received 6")]
    assert play.accepted[0].story == [(75.0, "established"), (75.0, "received 8")]
    assert chart(tap) == [
        "0 > SYN",
        "50 < SYN+ACK",
        "50 > ACK 8",
        "100 < ACK",
        "105 < ACK 6",
        "105 > ACK",
    ]


def test_headers_are_told_as_written_and_as_arrived():
    play, connection, _ = opened(Napt(EXTERNAL))
    ip, tcp = connection.headers
    assert ip == Ipv4Header(CLIENT.address, SERVER.address)
    assert tcp == TcpHeader(connection.local.port, 443)
    outer = Endpoint.of(EXTERNAL, 40_000)
    assert play.accepted[0].stream.headers == (
        Ipv4Header(outer.address, SERVER.address),
        TcpHeader(40_000, 443),
    )


@pytest.mark.parametrize(
    ("lost", "arrives"),
    [((), 75), ((0,), 1075), ((0, 1), 3075), ((1,), 325), ((1, 2), 825)],
    ids=["nothing", "SYN", "SYN twice", "data", "data twice"],
)
def test_loss_is_delay(lost, arrives):
    play = Streams(Delay(0.025), Losing(*lost))
    play.connect(play.user()).write(b"octets")
    play.network.run_for(10)
    received = [at for at, what in play.accepted[0].story if what == "received 6"]
    assert received == [arrives]


def test_three_duplicate_acknowledgments_repeat_without_a_timeout():
    play, connection, _ = opened(Delay(0.025), Losing(2))
    start = play.network.elapsed_ns / 1e6
    connection.write(bytes(1460 * 6))
    play.network.run_for(1)
    assert len(play.accepted[0].data) == 1460 * 6
    assert play.accepted[0].story[-1][0] - start < 80


@settings(max_examples=60)
@given(
    st.integers(0, 1 << 30), st.lists(st.integers(1, 6000), min_size=1, max_size=12), st.booleans()
)
def test_octets_arrive_in_order_whatever_the_network_does(seed, sizes, notify):
    chain = [
        Delay(0.01, jitter=0.005),
        Loss(0.3, in_a_row=4),
        Reordering(0.2),
        Duplication(0.1),
        Napt(EXTERNAL),
        Mtu(800, notify=notify),
    ]
    play = Streams(*chain, seed=seed)
    user = play.user()
    connection = play.connect(user)
    sent = b"".join(bytes((index,)) * size for index, size in enumerate(sizes))
    connection.write(sent)
    play.network.run_until(lambda: bool(play.accepted and play.accepted[0].stream), 300)
    play.accepted[0].stream.write(sent[::-1])
    play.network.run_until(
        lambda: len(user.data) == len(play.accepted[0].data) == len(sent), seconds=600
    )
    assert (play.accepted[0].data, user.data) == (sent, sent[::-1])
    connection.close()
    play.network.run_for(300)
    assert play.server.connections == play.client.connections == {}


def test_the_end_by_fin():
    tap = Tap()
    play, connection, user = opened(tap, Delay(0.025))
    tap.packets.clear()
    connection.write(b"last words")
    connection.close()
    connection.write(b"too late")
    play.network.run_for(1)
    assert play.accepted[0].data == b"last words"
    assert play.accepted[0].story[-1][1] == "closed by the peer"
    assert user.story[-1][1] == "closed"
    assert chart(tap) == ["0 > ACK 10", "0 > ACK+FIN", "50 < ACK+FIN", "50 > ACK"]
    assert play.server.connections == play.client.connections == {}


def test_abort_resets_the_peer():
    play, connection, user = opened(Delay(0.025))
    connection.abort()
    play.network.run_for(1)
    assert play.accepted[0].story[-1][1] == "reset"
    assert user.story[-1][1] == "established"  # who aborts is not told


def test_a_reset_behind_lost_octets_is_asked_for_again():
    play, connection, _ = opened(Delay(0.025), Losing(2))
    connection.write(b"lost")
    connection.abort()
    play.network.run_for(1)
    assert play.accepted[0].story[-1][1] == "reset"


def test_half_open_until_somebody_speaks():
    play, _, user = opened(Delay(0.025))
    play.client.forget(CLIENT.address)
    play.network.run_for(1000)
    assert [what for _, what in play.accepted[0].story] == ["established"]
    play.accepted[0].stream.write(b"hello?")
    play.network.run_for(1)
    assert play.accepted[0].story[-1][1] == "reset"
    assert user.story[-1][1] == "established"


@pytest.mark.parametrize("opened_before", [False, True])
def test_silence_times_out(opened_before):
    attacker = Attacker(None if opened_before else drop)
    play = Streams(attacker)
    user = play.user()
    connection = play.connect(user)
    play.network.run_for(1)
    attacker.tactic = drop
    connection.write(b"octets")
    play.network.run_for(200)
    assert user.story[-1][1] == "timed out"
    assert 120_000 <= user.story[-1][0] <= 130_000
    assert play.client.connections == {}


def test_a_reset_with_a_guessed_number_does_nothing():
    attacker = Attacker()
    play, connection, _ = opened(attacker)
    forged = Packet(TCP, connection.local, connection.remote, b"", TcpFields(RST, 12345))
    attacker.inject(forged, Direction.OUT)
    play.network.run_for(1)
    connection.write(b"still here")
    play.network.run_for(1)
    assert play.accepted[0].data == b"still here"


def test_a_reset_by_who_sees_the_numbers_ends_it():
    attacker = Attacker()
    play, connection, _ = opened(attacker)
    connection.write(b"octets")
    play.network.run_for(1)
    last = attacker.recorded[-1][1]  # the bare acknowledgment of the server
    forged = TcpFields(RST, last.tcp.acknowledgment)
    attacker.inject(Packet(TCP, connection.local, connection.remote, b"", forged), Direction.OUT)
    play.network.run_for(1)
    assert play.accepted[0].story[-1][1] == "reset"


@pytest.mark.parametrize(("notify", "seconds"), [(True, 0.3), (False, 6.0)])
def test_smaller_segments_find_their_way(notify, seconds):
    play, connection, _ = opened(Delay(0.025), Mtu(700, notify=notify))
    connection.write(bytes(20_000))
    play.network.run_for(seconds)
    assert len(play.accepted[0].data) == 20_000
    assert connection.segment_size == (660 if notify else 536)


def test_a_nat_that_forgot_breaks_the_stream():
    nat = Napt(EXTERNAL)
    play, connection, user = opened(nat)
    nat.reboot()
    connection.write(b"from another port now")
    play.network.run_for(1)
    assert user.story[-1][1] == "reset"
    assert play.accepted[0].data == b""


def test_a_firewall_that_forgot_swallows_what_comes():
    firewall = Firewall(NO_NATIVE, inbound=False, timeout=10)
    play, _, user = opened(firewall)
    play.network.run_for(20)
    play.accepted[0].stream.write(b"hello?")
    play.network.run_for(200)
    assert (user.data, play.accepted[0].story[-1][1]) == (b"", "timed out")
