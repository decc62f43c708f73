"""Open, Close and Transmit on stream paths; Established and Closed at both ends."""

from hashlib import sha256

import pytest
from puppet import Puppet
from wires import CLIENT, EXTERNAL, SERVER

from scapy_mobsec.drivers.memory import Delay, Host, MemoryNetwork, MobileHost, Napt
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import Ipv4Header, TcpHeader, TlsHeader
from scapy_mobsec.terminal.driving import Close, Closed, Established, Open, Transmit

CERTIFICATE = b"a certificate"
NAME = "y.example"


class Play:
    """X behind a NAT; Y with TCP 80 and TLS 443."""

    def __init__(self):
        self.network = MemoryNetwork()
        self.segment = self.network.core.segment([Delay(0.025), Napt(EXTERNAL)], [EXTERNAL])
        self.mobile, self.other = (
            MobileHost(self.network, Puppet()),
            Host(self.network, Puppet()),
        )
        self.mobile.attach(self.segment, CLIENT)
        self.other.attach(self.network.core, SERVER)
        self.other.listen(80)
        self.other.listen(443, CERTIFICATE)

    def do(self, host, *outputs):
        host.terminal.outputs += outputs
        host.pump()
        self.network.run_for(1)

    def open(self, encapsulation=Encapsulation.TCP, port=80):
        """Open a stream; return what was wanted, and the path of it at both ends."""
        ends = Endpoint(CLIENT.address), Endpoint(SERVER.address, port)
        wanted = Path(encapsulation, *ends)
        self.do(self.mobile, Open(wanted, tls=port == 443, server_name=NAME))
        return wanted, *(host.terminal.came[-1][1] for host in (self.mobile, self.other))

    def came(self, host):
        return [data for data, *_ in host.terminal.came]


@pytest.fixture
def play():
    return Play()


@pytest.mark.parametrize(
    ("encapsulation", "port", "at_other", "milliseconds"),
    [
        (Encapsulation.TCP, 80, Encapsulation.TCP, (50, 75)),
        (Encapsulation.HTTP, 80, Encapsulation.TCP, (50, 75)),
        (Encapsulation.TLS, 443, Encapsulation.TLS, (100, 125)),
        (Encapsulation.HTTP, 443, Encapsulation.TLS, (100, 125)),
        (Encapsulation.HTTP_POST, 443, Encapsulation.TLS, (100, 125)),
    ],
)
def test_open(play, encapsulation, port, at_other, milliseconds):
    start = play.network.now
    wanted, mine, theirs = play.open(encapsulation, port)
    ((opened, _, mine_at),), ((accepted, _, theirs_at),) = (
        play.mobile.terminal.came,
        play.other.terminal.came,
    )
    assert mine == wanted._replace(local=mine.local)
    assert mine.local.port
    outer = Endpoint.of(EXTERNAL, 40_000)
    assert theirs == Path(at_other, wanted.remote, outer)
    tls = (TlsHeader(sha256(CERTIFICATE).digest(), NAME),) if port == 443 else ()
    sent = Ipv4Header(CLIENT.address, SERVER.address), TcpHeader(mine.local.port, port), *tls
    observed = Ipv4Header(outer.address, SERVER.address), TcpHeader(outer.port, port), *tls
    assert opened == Established(wanted, sent)
    assert accepted == Established(None, observed)
    times = [round((at - start) * 1000) for at in (mine_at, theirs_at)]
    assert tuple(times) == milliseconds


def test_octets_both_ways(play):
    _, mine, theirs = play.open(Encapsulation.TLS, 443)
    play.do(play.mobile, Transmit(b"one ", mine), Transmit(b"two", mine))
    play.do(play.other, Transmit(b"three", theirs))
    assert b"".join(play.came(play.other)[1:]) == b"one two"
    assert play.came(play.mobile)[1:] == [b"three"]


def test_close_is_told_to_the_other_end_only(play):
    _, mine, theirs = play.open()
    play.do(play.mobile, Transmit(b"last", mine), Close(mine), Transmit(b"lost", mine))
    assert play.came(play.other)[1:] == [b"last", Closed("closed by the peer")]
    assert len(play.came(play.mobile)) == 1
    play.do(play.other, Transmit(b"lost", theirs), Close(theirs))
    assert len(play.came(play.mobile)) == 1


def test_what_comes_after_close_is_not_told(play):
    _, mine, theirs = play.open()
    play.other.terminal.outputs.append(Transmit(b"on its way", theirs))
    play.other.pump()
    play.do(play.mobile, Close(mine))
    assert len(play.came(play.mobile)) == 1


def test_refused(play):
    wanted = Path(Encapsulation.TCP, Endpoint(CLIENT.address), Endpoint(SERVER.address, 81))
    play.do(play.mobile, Open(wanted))
    ((closed, path, _),) = play.mobile.terminal.came
    assert (closed, path) == (Closed("refused"), wanted)


def test_without_the_address(play):
    wanted = Path(Encapsulation.TCP, Endpoint.of("10.0.0.9"), Endpoint(SERVER.address, 80))
    play.do(play.mobile, Open(wanted))
    ((closed, path, _),) = play.mobile.terminal.came
    assert (closed, path) == (Closed("address is not there"), wanted)


def test_opening_is_given_up(play):
    wanted = Path(Encapsulation.TCP, Endpoint(CLIENT.address), Endpoint(SERVER.address, 80))
    play.do(play.mobile, Open(wanted), Close(wanted))
    assert play.mobile.terminal.came == []
    assert [data for data in play.came(play.other) if data == Closed("reset")] == []


def test_a_move_leaves_half_open_streams_behind(play):
    _, _, theirs = play.open()
    play.mobile.move(play.segment, Endpoint.of("10.0.0.3", 4500))
    play.network.run_for(10)
    assert len(play.came(play.mobile)) == len(play.came(play.other)) == 1
    assert play.mobile._streams.open == {}
    play.mobile.move(play.segment, CLIENT)
    play.do(play.other, Transmit(b"hello?", theirs))
    assert play.came(play.other)[1:] == [Closed("reset")]
