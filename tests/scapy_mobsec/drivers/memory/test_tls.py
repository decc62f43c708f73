"""TLS by its timing, its certificate, and what it makes of octets that are none."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wires import Streams

from scapy_mobsec.drivers.memory import Delay
from scapy_mobsec.drivers.memory.tls import (
    Content,
    Records,
    TlsClient,
    TlsError,
    TlsServer,
    record,
)
from scapy_mobsec.registration.description import TlsHeader

CERTIFICATE = b"a certificate"


def served():
    return Streams(Delay(0.025), layer=lambda user: TlsServer(user, CERTIFICATE))


def test_one_round_trip_more_and_a_certificate():
    play = served()
    user = play.user()
    stream = TlsClient(user, "vpn.example")
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


@pytest.mark.parametrize("octets", [b"IKETCP", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_client_that_does_not_speak_tls(octets):
    play = served()
    user = play.user()
    play.connect(user).write(octets)
    play.network.run_for(1)
    assert user.story[-1][1] == "reset"
    assert [what for _, what in play.accepted[0].story] == [f"not TLS: record of type {octets[0]}"]


@pytest.mark.parametrize(
    "octets",
    [record(Content.APPLICATION_DATA, b"x"), record(Content.HANDSHAKE, b"\x14")],
    ids=["data", "finished"],
)
def test_records_out_of_place(octets):
    play = served()
    user = play.user()
    play.connect(user).write(octets)
    play.network.run_for(1)
    assert user.story[-1][1] == "reset"


def test_a_server_that_does_not_speak_tls():
    play = Streams(Delay(0.025))
    user = play.user()
    play.connect(TlsClient(user))
    play.network.run_for(0.1)
    play.accepted[0].stream.write(b"SSH-2.0")
    play.network.run_for(1)
    assert [what for _, what in user.story] == ["not TLS: record of type 83"]


@given(st.lists(st.tuples(st.sampled_from(Content), st.binary(max_size=40))), st.data())
def test_records_in_any_cutting(records, data):
    octets = b"".join(record(*one) for one in records)
    reader, found = Records(), []
    while octets:
        cut = data.draw(st.integers(1, len(octets)))
        found += reader.feed(octets[:cut])
        octets = octets[cut:]
    assert found == records


def test_what_is_no_record():
    with pytest.raises(TlsError):
        Records().feed(b"\x99")
