"""Carriers and endpoints as people write them, in files, on command lines and in sessions.

    carrier     NAME [:PORT] | NAME [:HOST] [:PORT] [/PATH]      udp:4500  https:vpn.example.net/m
    listener    native | NAME:ADDRESS:PORT                       udp:[::]:4500
    endpoint    ADDRESS [:PORT]                                  203.0.113.2:4500
    target      ADDRESS [:PORT] | HOST [:PORT]                   vpn.example.net:4500

IPv6 addresses stand in brackets where a port follows. Errors are ValueErrors without the text,
which may be a secret in the wrong place.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from contrib_layers.numbers import ITEM_INSIDE_TLS, NATT_PORT, EncapsulationCode
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem

_LABEL = r"[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PATH = re.compile(r"/[!-~]*")


class _Name(NamedTuple):
    encapsulation: Encapsulation
    default_port: int = 0
    inside_tls: bool = False


_NAMES = {
    "native": _Name(Encapsulation.NATIVE),
    "udp": _Name(Encapsulation.UDP),
    "tcp": _Name(Encapsulation.TCP),
    "tls": _Name(Encapsulation.TLS, 443),
    "http": _Name(Encapsulation.HTTP, 80),
    "https": _Name(Encapsulation.HTTP, 443, inside_tls=True),
    "http-post": _Name(Encapsulation.HTTP_POST, 80),
    "https-post": _Name(Encapsulation.HTTP_POST, 443, inside_tls=True),
}
CARRIER_NAMES = tuple(_NAMES)
"""https and https-post are http and http-post inside TLS."""

_WITH_HOST = frozenset(Encapsulation) - {Encapsulation.NATIVE, Encapsulation.UDP}
_WITH_PATH = frozenset({Encapsulation.HTTP, Encapsulation.HTTP_POST})


class Target(NamedTuple):
    """A host, by an address or a name as written, and a port."""

    host: str
    port: int

    @property
    def is_name(self) -> bool:
        """Whether the host is to be looked up."""
        return not _is_address(self.host)


@dataclass(frozen=True, slots=True)
class Listener:
    """What a gateway takes and where. `endpoint`: None for native, else port 0 may be any."""

    encapsulation: Encapsulation
    endpoint: Endpoint | None = None
    inside_tls: bool = False

    @property
    def needs_certificate(self) -> bool:
        """Whether TLS begins on its streams."""
        return self.inside_tls or self.encapsulation is Encapsulation.TLS


def parse_carrier(text: str) -> EncapsulationItem:
    """Read a carrier; https is http with the flag for TLS. Port 0: the one that is dialed.

    Without a port: 443 with TLS, 80 of http and http-post, else 0. Raises ValueError.
    """
    head, slash, rest = text.partition("/")
    name, path = _name(head.partition(":")[0]), slash + rest
    host, port = _host_and_port(head.partition(":")[2])
    if head.endswith(":"):
        raise ValueError("nothing follows the colon")
    if name.encapsulation is Encapsulation.NATIVE and (host or port is not None):
        raise ValueError("native has no port")
    if host and name.encapsulation not in _WITH_HOST:
        raise ValueError(f"{name.encapsulation.value} takes a port alone, and no host")
    if path and (name.encapsulation not in _WITH_PATH or not _PATH.fullmatch(path)):
        raise ValueError("a path follows http alone, in printable ASCII without spaces")
    return EncapsulationItem(
        name.encapsulation.code,
        ITEM_INSIDE_TLS if name.inside_tls else 0,
        name.default_port if port is None else port,
        host=host.lower(),
        path=path,
    )


def parse_carriers(texts: str | Iterable[str]) -> tuple[EncapsulationItem, ...]:
    """Read one carrier or more, each encapsulation at most once. Raises ValueError."""
    items = tuple(map(parse_carrier, [texts] if isinstance(texts, str) else texts))
    if len({item.code for item in items}) < len(items):
        raise ValueError("an encapsulation is named twice")
    return items


def encapsulations_of(items: Iterable[EncapsulationItem]) -> tuple[Encapsulation, ...]:
    """Return the encapsulations of carriers that were read, in their order."""
    return tuple(Encapsulation[EncapsulationCode(item.code).name] for item in items)


def carrier_text(item: EncapsulationItem) -> str:
    """Write a carrier so that `parse_carrier` reads the same."""
    (encapsulation,) = encapsulations_of([item])
    inside_tls = bool(item.flags & ITEM_INSIDE_TLS)
    text = next(
        name
        for name, each in _NAMES.items()
        if each.encapsulation is encapsulation and each.inside_tls is inside_tls
    )
    if item.host:
        text += f":{item.host}"
    if item.port != _NAMES[text.partition(":")[0]].default_port:
        text += f":{item.port}"
    return text + item.path


def parse_listener(text: str) -> Listener:
    """Read a listener. Raises ValueError."""
    head, colon, rest = text.partition(":")
    name = _name(head)
    if name.encapsulation is Encapsulation.NATIVE:
        if colon:
            raise ValueError("native has neither address nor port")
        return Listener(name.encapsulation)
    endpoint = _endpoint(rest)
    if endpoint is None:
        raise ValueError("not of the form NAME:ADDRESS:PORT")
    return Listener(name.encapsulation, endpoint, name.inside_tls)


def parse_endpoint(text: str, default_port: int = NATT_PORT) -> Endpoint:
    """Read the endpoint of a host. Raises ValueError."""
    target = parse_target(text, default_port)
    if target.is_name:
        raise ValueError("not of the form ADDRESS or ADDRESS:PORT")
    return Endpoint.of(*target)


def parse_target(text: str, default_port: int = NATT_PORT) -> Target:
    """Read a target; an IPv6 address alone needs no brackets. Raises ValueError."""
    if _is_address(text):
        return Target(text, default_port)
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        host, port = address, _port(rest[1:]) if rest.startswith(":") else None
        if bracket and _is_address(host) and ":" in host and (port is not None or not rest):
            return Target(host, port or default_port)
        raise ValueError("not of the form [ADDRESS]:PORT")
    host, port = _host_and_port(text)
    if not host:
        raise ValueError("not of the form ADDRESS:PORT or HOST:PORT")
    return Target(host, port or default_port)


def _name(text: str) -> _Name:
    if text not in _NAMES:
        raise ValueError(f"its name is none of {', '.join(_NAMES)}")
    return _NAMES[text]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= 65_535):
        raise ValueError("the port is not in 1..65535")
    return int(text)


def _host_and_port(text: str) -> tuple[str, int | None]:
    """Split `HOST`, `PORT` or `HOST:PORT`; what is missing is "" or None."""
    host, colon, port = text.rpartition(":")
    if not colon and not text.isdecimal():
        host, port = text, ""
    if (host or colon) and (len(host) > 253 or not _HOST.fullmatch(host)):
        raise ValueError("not the name of a host")
    return host, _port(port) if port or colon else None


def _endpoint(text: str) -> Endpoint | None:
    address, _, port = text.rpartition(":")
    if address.startswith("[") and address.endswith("]") and ":" in address:
        address = address[1:-1]
    elif ":" in address:
        return None
    if not _is_address(address):
        return None
    return Endpoint.of(address, 0 if port == "0" else _port(port))
