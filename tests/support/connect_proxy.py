"""A forward proxy of a few lines: CONNECT, then octets both ways, in pieces as small as wanted."""

import socket

from scapy_mobsec.encap.connect import ConnectServer
from scapy_mobsec.packet.path import Endpoint


class ConnectProxy:
    """One, on a loop. `endpoint`: where it is asked; `asked`: for what.

    `refusal`: the status of what it answers, 0 to make tunnels. `piece`: octets that it passes on
    at once. `names`: the addresses of names that it knows.
    """

    def __init__(self, loop, *, refusal=0, piece=65_536, names=None, address="127.0.0.30"):
        self.asked, self.refusal, self.piece = [], refusal, piece
        self._loop, self._sockets, self._names = loop, [], names or {}
        self._listener = self._keep(socket.create_server((address, 0)))
        self.endpoint = Endpoint.of(*self._listener.getsockname())
        loop.watch(self._listener, self._accept)

    def close(self):
        while self._sockets:
            self._end(self._sockets[0])

    def _accept(self):
        client = self._keep(self._listener.accept()[0])
        http = ConnectServer()
        self._loop.watch(client, lambda: self._ask(client, http))

    def _ask(self, client, http):
        behind = http.receive(client.recv(self.piece))
        if not http.ready:
            return
        self.asked.append(http.seen.authority)
        if self.refusal:
            client.sendall(http.refuse(self.refusal))
            self._end(client)
            return
        host, _, port = http.seen.authority.rpartition(":")
        address = self._names.get(host, host.strip("[]")), int(port)
        server = self._keep(socket.create_connection(address))
        client.sendall(http.accept())
        server.sendall(behind)
        for one, other in ((client, server), (server, client)):
            self._loop.watch(one, lambda one=one, other=other: self._pass_on(one, other))

    def _pass_on(self, one, other):
        data = one.recv(self.piece)
        if data:
            other.sendall(data)
        else:
            self._end(one)
            self._end(other)

    def _keep(self, opened):
        self._sockets.append(opened)
        return opened

    def _end(self, opened):
        self._loop.unwatch(opened)
        opened.close()
        self._sockets.remove(opened)
