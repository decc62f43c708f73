"""Which endpoints are usable, in which order, and what is told when that changes."""

import errno
import os
import socket

import pytest

from scapy_mobsec.drivers.live.addresses import (
    AddressMonitor,
    LocalAddress,
    Route,
    local_addresses_for,
    usable_endpoints,
)
from scapy_mobsec.packet.path import Endpoint

PORT = 4500


def packed(text):
    return Endpoint.of(text).address


def local(text, link, since=(0, 0)):
    return LocalAddress(packed(text), link, since)


WIRE, RADIO, OTHER = local("198.51.100.2", 2), local("10.0.0.2", 3), local("172.17.0.1", 4)
WIRE6, LOOPBACK = local("2001:db8::2", 2), local("127.0.0.1", 1)
Y, Y6 = packed("203.0.113.2"), packed("2001:db8:9::2")


class Network:
    """What the kernel would know: addresses, and routes by destination and local address."""

    def __init__(self):
        self.end, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for each in (self.end, self.kernel):
            each.setblocking(False)
        self.list, self.routes = [LOOPBACK, WIRE, RADIO, OTHER, WIRE6], {}
        self.reads, self.fails, self.closed = 0, None, False
        for destination, one, route in (
            (Y, None, Route(RADIO.address)),
            (Y, RADIO, Route(gateway=packed("10.0.0.1"), metric=600)),
            (Y, WIRE, Route(gateway=packed("198.51.100.1"), metric=100)),
            (Y6, None, Route(WIRE6.address)),
            (Y6, WIRE6, Route()),
        ):
            self.routes[destination, one] = route

    def fileno(self):
        return self.end.fileno()

    def take_notices(self):
        self.fail_if_told()
        while True:
            try:
                self.end.recv(1)
            except BlockingIOError:
                return

    def addresses(self):
        self.fail_if_told()
        self.reads += 1
        return self.list

    def route(self, destination, local=None):
        key = local and local._replace(since=(0, 0))
        return self.routes.get((destination, key))

    def fail_if_told(self):
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))

    def close(self):
        self.closed = True


@pytest.fixture
def network():
    network = Network()
    yield network
    network.end.close()
    network.kernel.close()


def usable(network, *destinations):
    return [str(Endpoint(each.address)) for each in usable_endpoints(network, destinations, PORT)]


class TestUsable:
    def test_first_is_what_the_kernel_takes_and_what_has_no_route_is_left_out(self, network):
        assert usable(network, Y) == ["10.0.0.2", "198.51.100.2"]

    def test_then_the_metric_counts(self, network):
        network.routes[Y, OTHER] = Route(metric=50)
        assert usable(network, Y) == ["10.0.0.2", "172.17.0.1", "198.51.100.2"]

    def test_each_destination_in_its_turn_and_each_endpoint_once(self, network):
        assert usable(network, Y6, Y) == ["2001:db8::2", "10.0.0.2", "198.51.100.2"]
        assert usable(network, Y, Y6, Y) == ["10.0.0.2", "198.51.100.2", "2001:db8::2"]

    def test_without_a_route(self, network):
        network.routes.clear()
        assert usable(network, Y, Y6) == []

    def test_a_destination_on_this_machine(self, network):
        network.routes[WIRE.address, None] = Route(WIRE.address, is_local=True)
        assert usable(network, WIRE.address) == ["198.51.100.2", "10.0.0.2", "172.17.0.1"]

    def test_loopback_alone_reaches_loopback(self, network):
        there = packed("127.0.0.5")
        network.routes[there, None] = Route(LOOPBACK.address, is_local=True)
        assert usable(network, there) == ["127.0.0.1"]

    def test_the_port(self, network):
        assert {each.port for each in usable_endpoints(network, [Y], PORT)} == {PORT}


@pytest.fixture
def told():
    return []


@pytest.fixture
def monitor(loop, network, told):
    monitor = AddressMonitor(loop, network, [Y, Y6], PORT, lambda *change: told.append(change))
    yield monitor
    monitor.close()


def at(*locals_):
    return tuple(Endpoint(each.address, PORT) for each in locals_)


class TestMonitor:
    def test_it_knows_them_from_the_start(self, monitor, told):
        assert monitor.endpoints == at(RADIO, WIRE, WIRE6)
        assert not told

    def test_a_change_is_told_with_what_stayed(self, loop, network, monitor, told):
        network.list = [WIRE, WIRE6]
        network.kernel.send(b".")
        assert loop.run(lambda: bool(told), seconds=5)
        assert told == [(at(WIRE, WIRE6), [*at(WIRE, WIRE6)])]
        assert monitor.endpoints == at(WIRE, WIRE6)

    def test_another_order_is_a_change(self, loop, network, monitor, told):
        network.routes[Y, None] = Route(WIRE.address)
        network.kernel.send(b".")
        assert loop.run(lambda: bool(told), seconds=5)
        assert told == [(at(WIRE, RADIO, WIRE6), [*at(WIRE, RADIO, WIRE6)])]

    @pytest.mark.parametrize("what", ["given anew", "another gateway"])
    def test_the_same_address_in_another_network_is_a_change(
        self, loop, network, monitor, told, what
    ):
        if what == "given anew":
            network.list = [RADIO._replace(since=(0, 9)), WIRE, WIRE6]
        else:
            network.routes[Y, RADIO] = Route(gateway=packed("10.0.0.254"), metric=600)
        network.kernel.send(b".")
        assert loop.run(lambda: bool(told), seconds=5)
        assert told == [(at(RADIO, WIRE, WIRE6), [*at(WIRE, WIRE6)])]

    def test_many_notices_at_once_are_read_once(self, loop, network, monitor, told):
        reads = network.reads
        for _ in range(20):
            network.kernel.send(b".")
        assert loop.run(lambda: network.reads > reads, seconds=5)
        assert not loop.run(lambda: network.reads > reads + 1, seconds=0.02)
        assert not told

    @pytest.mark.parametrize("when", ["noticed", "read"])
    def test_a_kernel_that_does_not_say(
        self, loop, network, monitor, told, when, caplog, monkeypatch
    ):
        monkeypatch.setattr("scapy_mobsec.drivers.live.addresses.AGAIN_AFTER", 0.05)
        network.list = [WIRE]
        if when == "read":
            monkeypatch.setattr(network, "take_notices", lambda: network.end.recv(1))
        network.fails = errno.ENOBUFS
        network.kernel.send(b".")
        assert loop.run(lambda: "error=ENOBUFS" in caplog.text, seconds=5)
        network.kernel.send(b".")  # it is not asked again before its time
        assert not loop.run(lambda: len(caplog.records) > 1, seconds=0.02)
        network.fails = None
        assert loop.run(lambda: told == [(at(WIRE), [*at(WIRE)])], seconds=5)

    def test_closed_it_tells_nothing(self, loop, network, told):
        monitor = AddressMonitor(loop, network, [Y], PORT, lambda *change: told.append(change))
        network.list = []
        network.kernel.send(b".")
        loop.run(lambda: monitor._timer is not None, seconds=5)
        monitor.close()
        network.kernel.send(b".")
        assert not loop.run(lambda: bool(told), seconds=0.02)
        assert network.closed


class TestWithoutNetlink:
    def test_loopback(self):
        assert local_addresses_for(packed("127.0.0.1")) == (packed("127.0.0.1"),)

    def test_none_where_it_is_not_reached(self):
        assert local_addresses_for(packed("255.255.255.255")) == ()
