"""TLS by its timing, its certificate, what is on the wire, and octets that are none of it."""

from hashlib import sha256

import pytest
from wires import Streams, in_tls

from scapy_mobsec.drivers.memory import Delay, Tap
from scapy_mobsec.drivers.memory.tls import TlsClient, client_hello
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.encap.tls import Content, TlsReader, plain_record
from scapy_mobsec.registration.description import TlsHeader

CERTIFICATE = b"a certificate"
IN_CLEAR = plain_record(Content.APPLICATION_DATA, bytes(40))
UNKNOWN = plain_record(Content.HANDSHAKE, client_hello(bytes(32), bytes(32), ""))


def served(*elements):
    return Streams(*elements, Delay(0.025), layer=in_tls(CERTIFICATE))


def test_one_round_trip_more_and_a_certificate():
    play = served()
    user = play.user()
    stream = TlsClient(user, play.network, "vpn.example")
    play.connect(stream)
    stream.write(b"early")
    play.network.run_for(0.2)
    (accepted,) = play.accepted
    assert user.story == [(100.0, "established")]
    assert accepted.story == [(125.0, "established"), (125.0, "received 5")]
    header = TlsHeader(sha256(CERTIFICATE).digest(), "vpn.example")
    assert user.stream.headers[2:] == accepted.stream.headers[2:] == (header,)
    accepted.stream.write(bytes(40_000))
    play.network.run_for(1)
    assert user.data == bytes(40_000)
    assert (user.stream.local, user.stream.remote.port) == (stream.local, 443)
    user.stream.close()
    play.network.run_for(1)
    assert accepted.story[-1][1] == "closed by the peer"


def test_what_is_said_is_read_with_the_key_log_alone():
    tap = Tap()
    play = served(tap)
    stream = TlsClient(play.user(), play.network, "vpn.example")
    play.connect(stream)
    stream.write(b"a secret")
    play.network.run_for(1)
    keys = KeyLog()
    keys.read(play.network.tls_keys.text().splitlines())
    reader, said = TlsReader(keys), b""
    for _, packet in tap.packets:
        said += reader.receive(packet.payload, from_client=packet.destination.port == 443)
        assert b"a secret" not in packet.payload
    assert (said, reader.server_name, reader.certificate) == (
        b"a secret",
        "vpn.example",
        CERTIFICATE,
    )


def test_the_same_seed_gives_the_same_octets():
    def octets(seed):
        tap = Tap()
        play = Streams(tap, seed=seed, layer=in_tls(CERTIFICATE))
        play.connect(TlsClient(play.user(), play.network))
        play.network.run_for(1)
        return tap.capture()

    assert octets(1) == octets(1) != octets(2)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"IKETCP", "record of type 73"),
        (b"GET / HTTP/1.1\r\n\r\n", "record of type 71"),
        (IN_CLEAR, "data before the hello"),
        (plain_record(Content.HANDSHAKE, b"\x14\0\0\0"), "handshake message 20 in clear"),
        (UNKNOWN, "no secrets"),
    ],
)
def test_a_client_that_does_not_speak_this_tls(octets, reason):
    play = served()
    user = play.user()
    play.connect(user).write(octets)
    play.network.run_for(1)
    assert user.story[-1][1] == "reset"
    assert [what for _, what in play.accepted[0].story] == [f"not TLS: {reason}"]


def test_a_server_that_does_not_speak_tls():
    play = Streams(Delay(0.025))
    user = play.user()
    play.connect(TlsClient(user, play.network))
    play.network.run_for(0.1)
    play.accepted[0].stream.write(b"SSH-2.0")
    play.network.run_for(1)
    assert [what for _, what in user.story] == ["not TLS: record of type 83"]
