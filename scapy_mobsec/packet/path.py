"""Where a packet comes from and goes to: encapsulation, endpoint, path.

Endpoints and paths are named tuples, because tables of them are asked several times a packet:
their hashes and comparisons cost a tenth of those of a dataclass.
"""

from enum import Enum
from ipaddress import ip_address
from typing import NamedTuple, TypeAlias

from contrib_layers.numbers import EncapsulationCode


class Encapsulation(Enum):
    """How an ESP packet is carried, cheapest first (the order of choice)."""

    NATIVE = "native"
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    HTTP = "http"
    HTTP_POST = "http-post"

    __hash__ = object.__hash__  # members are singletons; the one of Enum is not in C

    @property
    def code(self) -> EncapsulationCode:
        """Its number in an encapsulation item."""
        return EncapsulationCode[self.name]


def address_text(address: bytes) -> str:
    """Write a packed IPv4 (4 octets) or IPv6 (16 octets) address as people do."""
    return str(ip_address(address))


class Endpoint(NamedTuple):
    """A packed IPv4 or IPv6 address with a port; port 0 where the encapsulation has none."""

    address: bytes
    port: int = 0

    @classmethod
    def of(cls, address: str, port: int = 0) -> "Endpoint":
        """Make one from the address as text. Raises ValueError if it is not an address."""
        return cls(ip_address(address).packed, port)

    def __str__(self) -> str:
        text = address_text(self.address)
        if not self.port:
            return text
        return f"[{text}]:{self.port}" if len(self.address) == 16 else f"{text}:{self.port}"


Ends: TypeAlias = tuple[Endpoint, Endpoint]
"""Local and remote endpoint."""


class Path(NamedTuple):
    """One encapsulation between one local and one remote endpoint, seen from the local side.

    `ah`: native carries AH instead of ESP.
    """

    encapsulation: Encapsulation
    local: Endpoint
    remote: Endpoint
    ah: bool = False

    @property
    def ends(self) -> Ends:
        """What tells streams apart: of one, the encapsulation shows only later."""
        return self.local, self.remote

    def __str__(self) -> str:
        carried = "ah" if self.ah else self.encapsulation.value
        return f"{carried} {self.local} > {self.remote}"
