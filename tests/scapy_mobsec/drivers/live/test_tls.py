"""Both sides of TLS on streams in memory: who sees what, sessions that go on, and what is wrong."""

import ssl
from hashlib import sha256

import pytest
from certificates import Certificate

from scapy_mobsec.drivers.live.tls import (
    MAX_SESSIONS,
    ClientTls,
    ServerTls,
    TlsClient,
    TlsServer,
    certificate_sha256,
)
from scapy_mobsec.drivers.memory.tls import client_hello
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.encap.tls import Content, TlsReader, plain_record
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import TlsHeader

SERVER = "203.0.113.2:443", "y.example"
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class End:
    """One end of a wire without delay; `flights`: how often it said something."""

    local = remote = Endpoint.of("192.0.2.1", 1)
    headers = ()

    def __init__(self):
        self.waiting, self.state, self.flights = b"", "open", 0

    def write(self, data):
        assert data
        self.waiting += data

    def close(self):
        self.state = "closed"

    def abort(self):
        self.state = "aborted"


class User:
    def __init__(self):
        self.data, self.stream, self.reasons = b"", None, []

    def established(self, stream):
        self.stream = stream

    def received(self, data):
        self.data += data

    def closed(self, reason):
        self.reasons.append(reason)


class Wire:
    """A client and a server."""

    def __init__(self, client, server, *, name=SERVER, piece=1 << 20):
        self.ends, self.users = (End(), End()), (User(), User())
        layers = TlsClient(self.users[0], client, name), TlsServer(self.users[1], server)
        self.layers, self.piece, self.said = layers, piece, []

    def open(self):
        for layer, end in zip(self.layers, self.ends, strict=True):
            layer.established(end)
        return self.run()

    def run(self):
        """Let go what was said until nothing more is said."""
        while any(end.waiting for end in self.ends):
            for end, other in zip(self.ends, self.layers[::-1], strict=True):
                data, end.waiting = end.waiting, b""
                end.flights += bool(data)
                self.said.append((end is self.ends[0], data))
                for start in range(0, len(data), self.piece):
                    other.received(data[start : start + self.piece])
        return self

    @property
    def flights(self):
        return self.ends[0].flights + self.ends[1].flights


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificate):
    return ServerTls(certificate.certificate, certificate.key)


@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_what_is_said_and_seen(certificate, server, version, piece):
    client = ClientTls()
    client.context.maximum_version = version
    wire = Wire(client, server, piece=piece)
    wire.layers[0].write(b"early ")
    wire.open()
    wire.layers[0].write(b"up" * 20_000)
    wire.layers[1].write(b"down")
    wire.run()
    assert wire.users[1].data == b"early " + b"up" * 20_000
    assert wire.users[0].data == b"down"
    seen = (TlsHeader(certificate.sha256, "y.example"),)
    assert [user.stream.headers for user in wire.users] == [seen, seen]


def test_without_a_name(certificate, server):
    wire = Wire(ClientTls(), server, name=("203.0.113.2:443", "")).open()
    seen = (TlsHeader(certificate.sha256, ""),)
    assert [user.stream.headers for user in wire.users] == [seen, seen]


@pytest.mark.parametrize(("version", "flights"), [(V1_2, (4, 3)), (V1_3, (4, 4))])
def test_the_next_connection_goes_on_with_the_session(certificate, server, version, flights):
    client = ClientTls()
    client.context.maximum_version = version
    first, second = Wire(client, server).open(), Wire(client, server).open()
    assert (first.layers[0].is_resumed, second.layers[0].is_resumed) == (False, True)
    assert (first.flights, second.flights) == flights
    assert second.users[0].stream.headers == (TlsHeader(certificate.sha256, "y.example"),)
    elsewhere = Wire(client, server, name=("203.0.113.9:443", "y.example")).open()
    assert not elsewhere.layers[0].is_resumed


def test_sessions_are_bounded(server):
    client = ClientTls()
    for number in range(MAX_SESSIONS + 3):
        Wire(client, server, name=(str(number), "")).open()
    kept = [bool(client.session((str(each), ""))) for each in range(MAX_SESSIONS + 3)]
    assert kept == [False] * 3 + [True] * MAX_SESSIONS
    for name in ("3", "new"):
        Wire(client, server, name=(name, "")).open()
    assert client.session(("3", ""))  # asked again, so it is not the oldest
    assert not client.session(("4", ""))


def test_a_server_that_forgot_the_session_makes_a_new_one(certificate, server):
    client = ClientTls()
    Wire(client, server).open()
    restarted = ServerTls(certificate.certificate, certificate.key)
    again = Wire(client, restarted).open()
    assert not again.layers[0].is_resumed
    assert again.users[1].stream
    assert Wire(client, restarted).open().layers[0].is_resumed


@pytest.mark.parametrize("closing", [0, 1])
def test_the_end_is_told_to_the_other_side_behind_all_that_was_said(server, closing):
    wire = Wire(ClientTls(), server).open()
    wire.layers[closing].write(b"last")
    wire.layers[closing].close()
    wire.run()
    other = wire.users[1 - closing]
    assert (other.data, other.reasons) == (b"last", ["closed by the peer"])
    assert wire.users[closing].reasons == []
    assert [end.state for end in wire.ends] == ["closed", "closed"]


def test_what_is_written_after_the_end_is_lost(server):
    wire = Wire(ClientTls(), server).open()
    wire.layers[0].close()
    wire.layers[0].write(b"lost")
    wire.run()
    assert wire.users[1].data == b""
    assert wire.users[0].reasons == []


def test_closed_before_it_is_open(server):
    wire = Wire(ClientTls(), server)
    wire.layers[0].established(wire.ends[0])
    wire.layers[0].close()
    assert wire.ends[0].state == "closed"


def test_what_is_not_tls_ends_it_with_an_alert(server):
    wire = Wire(ClientTls(), server)
    wire.layers[1].established(wire.ends[1])
    wire.layers[1].received(b"GET / HTTP/1.1\r\n\r\n")
    assert wire.users[1].reasons == ["TLS: http request"]
    assert wire.ends[1].state == "closed"
    assert wire.users[1].stream is None


def test_a_forged_record_ends_it(server):
    wire = Wire(ClientTls(), server).open()
    wire.layers[0].received(b"\x17\x03\x03\x00\x20" + bytes(32))
    (reason,) = wire.users[0].reasons
    assert reason.startswith("TLS: decryption failed")
    assert wire.ends[0].waiting  # the alert
    assert wire.ends[0].state == "closed"


def test_nothing_older_than_tls_1_2_and_no_renegotiation(server):
    for context in (ClientTls().context, server.context):
        assert context.minimum_version is V1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    "name", [b"a\tb.example", b"\xff\xfe.example", b"y.example" * 28 + b"abcd"]
)
def test_names_that_cannot_be_shown(server, name, capfd):
    wire = Wire(ClientTls(), server)
    wire.layers[1].established(wire.ends[1])
    hello = client_hello(bytes(32), bytes(range(1, 33)), "x" * len(name))
    record = plain_record(Content.HANDSHAKE, hello.replace(b"x" * len(name), name))
    wire.layers[1].received(record)
    assert wire.layers[1].headers == (TlsHeader(server.certificate_sha256, ""),)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [".y.example", "y..example", "a" * 64 + ".example"])
def test_names_that_cannot_be_asked_for(server, name):
    with pytest.raises(ValueError, match=r".*"):
        Wire(ClientTls(), server, name=("203.0.113.2:443", name))


def test_secrets_go_to_the_key_log(certificate, tmp_path):
    log = tmp_path / "keys.log"
    server = ServerTls(certificate.certificate, certificate.key)
    Wire(ClientTls(str(log)), server).open()
    by_client = log.read_text()
    assert "CLIENT_TRAFFIC_SECRET_0 " in by_client
    assert log.stat().st_mode & 0o777 == 0o600
    log.unlink()
    Wire(ClientTls(), ServerTls(certificate.certificate, certificate.key, str(log))).open()
    assert "SERVER_TRAFFIC_SECRET_0 " in log.read_text()


@pytest.mark.parametrize("resumed", [False, True])
def test_what_is_written_is_read_again_with_the_key_log(certificate, server, tmp_path, resumed):
    log = tmp_path / "keys.log"
    client = ClientTls(str(log))
    if resumed:
        Wire(client, server).open()
    wire = Wire(client, server)
    wire.open()
    for layer in wire.layers:
        layer.write(b"data" * 10_000)
    wire.run()
    assert wire.layers[0].is_resumed is resumed
    keys = KeyLog()
    keys.read(log.read_text().splitlines())
    reader = TlsReader(keys)
    read = {True: b"", False: b""}
    for from_client, octets in wire.said:
        read[from_client] += reader.receive(octets, from_client=from_client)
    assert read == {True: b"data" * 10_000, False: b"data" * 10_000}
    assert reader.server_name == "y.example"
    if resumed:  # then none is sent; both ends have it from before
        assert reader.certificate == b""
    else:
        assert sha256(reader.certificate).digest() == certificate.sha256


def test_bad_files(certificate, tmp_path):
    other = Certificate(tmp_path, "other.example")
    with pytest.raises(OSError, match="key values mismatch"):
        ServerTls(certificate.certificate, other.key)
    with pytest.raises(FileNotFoundError):
        ServerTls(certificate.certificate, str(tmp_path / "no.key"))
    with pytest.raises(OSError, match=r".*"):
        ClientTls(str(tmp_path))


def test_the_digest_is_that_of_the_first_certificate(certificate, tmp_path):
    other = Certificate(tmp_path, "issuer.example")
    with open(certificate.certificate) as first, open(other.certificate) as second:
        chain = "a comment\n" + first.read() + second.read()
    assert certificate_sha256(chain) == certificate.sha256
    for text in ("", "-----BEGIN CERTIFICATE-----"):
        with pytest.raises(ValueError, match="no certificate"):
            certificate_sha256(text)
