"""A terminal on a loop: what comes, what goes, what is saved before, and what waits."""

from os import urandom

import pytest
from terminals import MOBILE_LINK, NEW, OLD, OTHER, OTHER_LINK, PING, PONG, SUPPORTED

from scapy_mobsec.drivers.live import host as live
from scapy_mobsec.drivers.live.host import LiveHost, MobileHost
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.store import StoreError
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.driving import Closed, Transmit
from scapy_mobsec.terminal.events import Moved, Registered, RegistrationReceived
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal


class Wire:
    """Datagrams between two hosts, at once; streams of which nothing is told."""

    def __init__(self):
        self.used, self.sent, self.peer, self.closed = [], [], None, False
        self.streams, self.kept = [], []

    def send(self, transmit):
        self.sent.append(transmit)
        path = transmit.path
        if self.peer:
            back = path._replace(local=path.remote, remote=path.local)
            self.peer.receive(transmit.data, back)

    def use(self, endpoints):
        self.used.append(tuple(endpoints))
        return endpoints

    def close(self):
        self.closed = True


class Streams:
    def __init__(self):
        self.opened, self.kept, self.closed = [], None, False

    def open(self, wanted):
        self.opened.append(wanted)

    def use(self, addresses):
        self.kept = list(addresses)

    def close(self):
        self.closed = True


class Inner:
    def __init__(self):
        self.packets, self.closed = [], False

    def write(self, packet):
        self.packets.append(packet)

    def close(self):
        self.closed = True


class Both:
    """Both terminals, on one loop."""

    def __init__(self, loop, save=None, tap=None, **mobile):
        self.loop, self.events = loop, []
        self.mobile = MobileHost(
            MobileTerminal(MobileConfiguration(MOBILE_LINK, OTHER, **mobile), random_bytes=urandom),
            loop,
            lambda now, event: self.events.append(event),
            save,
            tap,
        )
        self.other = LiveHost(
            OtherTerminal(OtherConfiguration((OTHER_LINK,)), random_bytes=urandom),
            loop,
            lambda now, event: self.events.append(event),
        )
        self.wires = Wire(), Wire()
        self.wires[0].peer, self.wires[1].peer = self.other, self.mobile
        for host, wire in zip((self.mobile, self.other), self.wires, strict=True):
            host.datagrams, host.inner = wire, Inner()

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, condition):
        assert self.loop.run(condition, seconds=5)


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def test_registration_and_data_both_ways(loop):
    both = Both(loop)
    both.mobile.move([OLD])
    both.wait_for(lambda: both.told(Registered))
    both.mobile.send(PING)
    both.other.send(PONG)
    both.wait_for(lambda: both.other.inner.packets and both.mobile.inner.packets)
    assert both.other.inner.packets == [PING]
    assert both.mobile.inner.packets == [PONG]
    assert both.told(Moved)
    assert both.told(RegistrationReceived)


def test_timers_of_the_terminal_are_kept(loop):
    both = Both(loop)
    both.wires[0].peer = None
    both.mobile.move([OLD])
    first = len(both.wires[0].sent)
    both.wait_for(lambda: len(both.wires[0].sent) > first)  # the retransmission


def test_a_move_is_told_to_the_carriers(loop):
    both = Both(loop)
    both.mobile.streams = Streams()
    both.mobile.move([OLD])
    both.mobile.move([NEW, OLD])
    assert both.wires[0].used == [(OLD,), (NEW, OLD)]
    assert both.mobile.streams.kept == [OLD.address]
    both.mobile.move([NEW, OLD], kept=())
    assert both.mobile.streams.kept == []


def test_a_move_to_another_encapsulation(loop):
    both = Both(loop)
    both.mobile.move([OLD])
    both.mobile.move([OLD], allow=SUPPORTED[1:2])
    assert both.mobile.terminal.path.encapsulation is Encapsulation.NATIVE


def test_a_round_of_packets_is_answered_together(loop):
    both = Both(loop)
    both.mobile.move([OLD])
    both.wait_for(lambda: both.told(Registered))
    pumps = []
    pump = both.other.pump
    both.other.pump = lambda: (pumps.append(1), pump())
    for _ in range(10):
        both.mobile.send(PING)
    both.wait_for(lambda: len(both.other.inner.packets) == 10)
    assert len(pumps) == 1


def test_without_streams_one_that_is_to_be_opened_is_closed(loop):
    seen = []
    both = Both(
        loop,
        tap=lambda now, path, data: seen.append(data),
        allow=SUPPORTED,
        start=(Encapsulation.TCP,),
    )
    both.mobile.move([OLD])
    both.wait_for(lambda: Closed("no streams here") in seen)


def test_nothing_leaves_that_is_not_saved(loop, monkeypatch, caplog):
    monkeypatch.setattr(live, "SAVED_AGAIN_AFTER", 0.02)
    saves = []

    def save():
        saves.append(len(both.wires[0].sent))
        both.mobile.terminal.snapshot()
        if len(saves) < 3:
            raise StoreError("x.state: disk full")

    both = Both(loop, save)
    both.mobile.move([OLD])
    both.mobile.send(PING)
    both.wait_for(lambda: both.told(Registered) and both.other.inner.packets)
    assert saves[:3] == [0, 0, 0], "packets left before"
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        'state=unsaved reason="x.state: disk full" again_after=0.02',
        'state=unsaved reason="x.state: disk full" again_after=0.04',
        "state=saved",
    ]


def test_a_full_disk_is_no_busy_loop(loop):
    saves = []

    def save():
        saves.append(1)
        raise StoreError("x.state: disk full")

    both = Both(loop, save)
    both.mobile.move([OLD])
    for _ in range(10):
        both.mobile.send(PING)
    loop.run(seconds=0.1)
    assert len(saves) == 1
    assert not both.wires[0].sent


def test_a_tap_sees_what_comes_and_what_goes(loop):
    seen = []
    both = Both(loop, tap=lambda now, path, data: seen.append(data))
    both.mobile.move([OLD])
    both.wait_for(lambda: both.told(Registered))
    assert isinstance(seen[0], Transmit)
    assert any(isinstance(each, bytes) for each in seen)


def test_a_notice_that_a_datagram_was_too_big(loop):
    both = Both(loop)
    both.mobile.move([OLD])
    both.wait_for(lambda: both.told(Registered))
    before = both.mobile.terminal.inner_mtu
    both.mobile.send(PING)
    both.mobile.pump()
    sent = both.wires[0].sent[-1]
    both.mobile.too_big(1000, sent.path, sent.data)
    both.other.too_big(1000, sent.path, sent.data)
    assert both.mobile.terminal.inner_mtu < before


def test_close(loop):
    both = Both(loop)
    both.mobile.streams = Streams()
    both.mobile.move([OLD])
    both.mobile.close()
    assert both.wires[0].closed
    assert both.mobile.streams.closed
    assert both.mobile.inner.closed
    sent = len(both.wires[0].sent)
    both.mobile.send(PING)
    assert not loop.run(seconds=0.6)  # a retransmission would be due
    assert len(both.wires[0].sent) == sent
