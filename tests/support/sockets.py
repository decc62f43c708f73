"""Terminals on real UDP sockets, for tests: one loop over all of them, bounded in time."""

import select
import socket
import time

from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path


def bound_socket(address, port=0):
    """A UDP socket at an address, and its endpoint."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((address, port))
    udp.setblocking(False)
    return udp, Endpoint.of(*udp.getsockname()[:2])


class SocketHost:
    """One terminal with its sockets; the same look as `Host` of the network in memory."""

    def __init__(self, terminal, sockets, on_inner=lambda packet: None):
        """`sockets`: endpoint -> socket."""
        self.terminal, self.sockets, self.on_inner = terminal, sockets, on_inner
        self.log, self.inner = [], []

    def move(self, endpoint):
        self.terminal.move([endpoint], time.time())
        self.pump()

    def send(self, packet):
        self.terminal.send(packet, time.time())
        self.pump()

    def pump(self):
        for transmit in self.terminal.transmits(time.time()):
            remote = transmit.path.remote
            self.sockets[transmit.path.local].sendto(
                transmit.data, (str(Endpoint(remote.address)), remote.port)
            )
        while (event := self.terminal.next_event()) is not None:
            self.log.append((time.time_ns(), event))
        for packet in self.terminal.received():
            self.inner.append((time.time_ns(), packet))
            self.on_inner(packet)

    def read(self, udp):
        data, (address, port, *_) = udp.recvfrom(65535)
        local = next(endpoint for endpoint, one in self.sockets.items() if one is udp)
        path = Path(Encapsulation.UDP, local, Endpoint.of(address, port))
        self.terminal.receive(data, path, time.time())
        self.pump()


def run_until(hosts, condition, seconds=5.0):
    """Serve the hosts until the condition holds; False if it did not in that time."""
    end = time.monotonic() + seconds
    owners = {udp: host for host in hosts for udp in host.sockets.values()}
    while not condition():
        left = end - time.monotonic()
        if left <= 0:
            return False
        timers = [due - time.time() for host in hosts if (due := host.terminal.timer())]
        readable, _, _ = select.select(list(owners), [], [], max(0, min([left, *timers])))
        for udp in readable:
            owners[udp].read(udp)
        for host in hosts:
            due = host.terminal.timer()
            if due is not None and due <= time.time():
                host.terminal.handle_timer(time.time())
                host.pump()
    return True
