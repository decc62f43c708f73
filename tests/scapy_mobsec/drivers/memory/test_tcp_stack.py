"""Which connection a segment is for, and what is said where there is none."""

import pytest
from wires import CLIENT, SERVER, Streams

from scapy_mobsec.drivers.memory import Delay
from scapy_mobsec.drivers.memory.packet import ACK, RST, SYN, Packet, TcpFields
from scapy_mobsec.drivers.memory.tcp_stack import TcpStack
from scapy_mobsec.packet.ip import TCP


def test_nobody_listens():
    play = Streams(Delay(0.025))
    user = play.user()
    play.connect(user, port=80)
    play.network.run_for(1)
    assert user.story == [(50.0, "refused")]


def test_local_ports():
    play = Streams()
    first, second = (play.connect(play.user()) for _ in range(2))
    assert first.local.port != second.local.port
    with pytest.raises(ValueError, match="in use"):
        play.connect(play.user(), local=first.local.port)
    assert play.connect(play.user(), local=4500).local == CLIENT


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (SYN, TcpFields(RST | ACK, 0, 101 + 6)),
        (ACK, TcpFields(RST, 7)),
        (RST, None),
        (RST | ACK, None),
    ],
)
def test_segments_of_no_connection_are_reset_but_not_resets(flags, answer):
    sent = []
    stack = TcpStack(Streams().network, sent.append)
    stack.receive(Packet(TCP, CLIENT, SERVER, b"octets", TcpFields(flags, 100, 7)))
    assert [packet.tcp for packet in sent] == ([answer] if answer else [])
    assert all(packet.destination == CLIENT for packet in sent)


def test_forget_concerns_one_address():
    play = Streams()
    connection = play.connect(play.user())
    play.client.forget(SERVER.address)
    assert play.client.connections == {(connection.local, connection.remote): connection}
    play.client.forget(CLIENT.address)
    assert play.client.connections == {}
