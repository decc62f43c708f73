"""Kinds of values in the files of a gateway and a mobile terminal, for pydantic.

What is wrong is told in the words of this program and never with the value, which may be a secret.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo

from scapy_mobsec.drivers.keys.lines import octets_of
from scapy_mobsec.drivers.keys.sa_patterns import SpiPattern
from scapy_mobsec.drivers.live import carrier_texts
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.choice import Decider

AUTO = "auto"
ENVIRONMENT = "environment"
DECIDERS = {"gateway": Decider.OTHER, "mobile": Decider.MOBILE, "fixed": Decider.FIXED}

_NAT64_PREFIX_BITS = 96


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that settings are read from: the context of the validation."""

    file: Path


def _text(parse: Callable[[str], Any], wanted: str = "") -> BeforeValidator:
    """A text that `parse` reads; `wanted`: what it is, if the parser's errors show the text."""

    def validate(value: object) -> Any:
        if not isinstance(value, str):
            raise ValueError("not a text")
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"not {wanted}" if wanted else str(error)) from None

    return BeforeValidator(validate)


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _file(text: object, info: ValidationInfo) -> Path:
    origin = info.context
    if not isinstance(text, str) or not text or not text.isprintable():
        raise ValueError("not the name of a file")
    return (origin.file.parent if isinstance(origin, Origin) else Path()) / text


def _address(text: str) -> IPv4Address | IPv6Address:
    if "%" in text:
        raise ValueError("an address of one interface")
    return ip_address(text)


def _spi(text: str) -> int:
    spi = SpiPattern.of(text)
    if not spi.exact:
        raise ValueError("not a single SPI")
    return spi.value


def _nat64_prefix(text: str) -> bytes:
    network = ip_network(text)
    if network.version != 6 or network.prefixlen != _NAT64_PREFIX_BITS:
        raise ValueError("not of 96 bits")
    return network.network_address.packed[:12]


def _sha256(text: str) -> bytes:
    octets = octets_of(text.replace(":", ""), "tls_verify")
    if len(octets) != 32:
        raise ValueError("not of 32 octets")
    return octets


def parse_proxy(text: str) -> carrier_texts.Target:
    """Read the URL of a forward proxy. Raises ValueError without the text."""
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
    except ValueError:
        raise ValueError("not of the form http://HOST:PORT") from None
    if "@" in url.netloc:
        raise ValueError("a proxy that wants a password is not supported")
    if url.scheme != "http" or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("not of the form http://HOST:PORT")
    return carrier_texts.parse_target(url.netloc, 80)


def _proxy(text: str) -> carrier_texts.Target | str:
    return text if text == ENVIRONMENT else parse_proxy(text)


def _start(text: str) -> Encapsulation:
    return carrier_texts.encapsulations_of([carrier_texts.parse_carrier(text)])[0]


def _decider(text: str) -> Decider:
    if text not in DECIDERS:
        raise ValueError("unknown")
    return DECIDERS[text]


def _local(value: object) -> object:
    return () if value == AUTO else _one_or_more(value)


OneOrMore = BeforeValidator(_one_or_more)
OrAuto = BeforeValidator(_local)
Address: TypeAlias = Annotated[
    IPv4Address | IPv6Address, _text(_address, "an IPv4 or IPv6 address")
]
Interface: TypeAlias = Annotated[
    IPv4Interface | IPv6Interface, _text(ip_interface, "an address with a prefix, as 10.10.1.1/24")
]
Network: TypeAlias = Annotated[
    IPv4Network | IPv6Network, _text(ip_network, "a network, as 10.10.0.0/16")
]
File: TypeAlias = Annotated[Path, BeforeValidator(_file)]
Spi: TypeAlias = Annotated[int, _text(_spi, 'an SPI, as "0x1234abcd"')]
Sha256: TypeAlias = Annotated[bytes, _text(_sha256, "a SHA-256 in 64 hexadecimal digits")]
Nat64Prefix: TypeAlias = Annotated[
    bytes, _text(_nat64_prefix, 'an IPv6 prefix of 96 bits, as "64:ff9b::/96"')
]
Target: TypeAlias = Annotated[carrier_texts.Target, _text(carrier_texts.parse_target)]
Proxy: TypeAlias = Annotated[carrier_texts.Target | str, _text(_proxy)]
OuterEndpoint: TypeAlias = Annotated[Endpoint, _text(carrier_texts.parse_endpoint)]
Listener: TypeAlias = Annotated[carrier_texts.Listener, _text(carrier_texts.parse_listener)]
Carrier: TypeAlias = Annotated[EncapsulationItem, _text(carrier_texts.parse_carrier)]
Start: TypeAlias = Annotated[Encapsulation, _text(_start)]
Choice: TypeAlias = Annotated[Decider, _text(_decider, f"one of {', '.join(DECIDERS)}")]
Port: TypeAlias = Annotated[int, Field(ge=0, le=65_535)]
