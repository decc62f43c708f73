"""Routes of one process: what leaves a local address goes to a translator instead of the server.

A kernel's routing table would do that, but changing it needs rights. The terminal and its captures
know nothing of it, as of any router.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scapy_mobsec.drivers.live.host import Datagrams, LiveHost, Streams
from scapy_mobsec.packet.path import Endpoint, Path
from scapy_mobsec.registration.description import Ipv4Header
from scapy_mobsec.terminal.driving import Established, Input, Open, Transmit


class Detour:
    """Stands between a host and its carriers. `routes`: local address -> that of the translator.

    `server`: the address that the terminal sends to. All are packed.
    """

    def __init__(self, host: LiveHost[Any], server: bytes, routes: Mapping[bytes, bytes]) -> None:
        self._host, self._server, self._routes = host, server, routes

    def carry(self, datagrams: Datagrams, streams: Streams) -> None:
        """Give the host carriers, which are to call `receive` in its place."""
        self._host.datagrams = _DetouredDatagrams(self, datagrams)
        self._host.streams = _DetouredStreams(self, streams)

    def there(self, path: Path) -> Path:
        """Return the path that is really taken."""
        translator = self._routes.get(path.local.address)
        return path if translator is None else _to(translator, path)

    def receive(self, data: Input, path: Path) -> None:
        """Take what came by a carrier."""
        if isinstance(data, Established) and data.wanted:
            data = self._established(data, data.wanted)
        self._host.receive(data, self._seen(path))

    def too_big(self, mtu: int, path: Path, payload: bytes) -> None:
        """Take a notice about a datagram."""
        self._host.too_big(mtu, self._seen(path), payload)

    def _seen(self, path: Path) -> Path:
        return _to(self._server, path) if path.local.address in self._routes else path

    def _established(self, told: Established, wanted: Path) -> Established:
        ip, *further = told.headers
        if isinstance(ip, Ipv4Header) and wanted.local.address in self._routes:
            ip = replace(ip, destination=self._server)
        return replace(told, wanted=self._seen(wanted), headers=(ip, *further))


class _DetouredDatagrams:
    def __init__(self, detour: Detour, datagrams: Datagrams) -> None:
        self._detour, self._datagrams = detour, datagrams

    def send(self, transmit: Transmit) -> None:
        self._datagrams.send(Transmit(transmit.data, self._detour.there(transmit.path)))

    def use(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        return self._datagrams.use(endpoints)

    def close(self) -> None:
        self._datagrams.close()


class _DetouredStreams:
    def __init__(self, detour: Detour, streams: Streams) -> None:
        self._detour, self._streams = detour, streams

    def open(self, wanted: Open) -> None:
        self._streams.open(replace(wanted, path=self._detour.there(wanted.path)))

    def write(self, path: Path, data: bytes) -> None:
        self._streams.write(self._detour.there(path), data)

    def end(self, path: Path) -> None:
        self._streams.end(self._detour.there(path))

    def use(self, addresses: Sequence[bytes]) -> None:
        self._streams.use(addresses)

    def close(self) -> None:
        self._streams.close()


def _to(address: bytes, path: Path) -> Path:
    return path._replace(remote=path.remote._replace(address=address))
