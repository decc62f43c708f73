"""What a terminal is told at its start, and checks then: a value that a message cannot carry, or a
terminal cannot act on, is a ValueError here and nowhere later. Keys are in `SaParameters` and
`AhParameters`, which do not show them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from contrib_layers.numbers import (
    LIFETIME_INFINITE,
    NATT_PORT,
    EncapsulationCode,
    VendorType,
)
from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.kinds import (
    BOOLEAN,
    HOST_ADDRESS,
    PORT,
    Kind,
    a,
    check_fields,
    many,
    number,
    octets,
    optional,
    text,
    whole,
)
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import MAX_ITEMS, EncapsulationItem, build_items
from scapy_mobsec.registration.extensions import MAX_ADDRESSES, build_vendor
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.modes.tunnel import Tunnel
from scapy_mobsec.terminal.signalling import ModeSettings

MAX_STREAMS = 4096
"""Open streams of Y in all, where its configuration says nothing else."""

S = TypeVar("S", SaParameters, AhParameters)


def _endpoint(port: Kind) -> Kind:
    return Kind(
        f"an Endpoint whose address is {HOST_ADDRESS.wanted} and whose port is {port.wanted}",
        lambda value: (
            isinstance(value, Endpoint)
            and HOST_ADDRESS.holds(value.address)
            and port.holds(value.port)
        ),
    )


def _is_known(item: object) -> bool:
    if not isinstance(item, EncapsulationItem) or item.code not in tuple(EncapsulationCode):
        return False
    return not item.path or (item.path.startswith("/") and " " not in item.path)


LOCAL_ENDPOINT = _endpoint(whole(0, 65_535))
_REMOTE_ENDPOINT = _endpoint(PORT)
_LIFETIME = whole(1, LIFETIME_INFINITE)
_COUNT = whole(1, 0xFFFF_FFFF)
_SECONDS = number(0, 65_535)
_ITEMS = many(
    Kind("an EncapsulationItem of a known code, its path empty or from / on", _is_known),
    least=1,
    most=MAX_ITEMS,
)
_HOST_NAME = text(253)  # without its last dot, RFC 1035 section 2.3.4 has 255 octets of labels
_NAME = Kind(
    f"{_HOST_NAME.wanted}, in lower case",
    lambda value: _HOST_NAME.holds(value) and value == value.lower(),
)


@dataclass(frozen=True, slots=True)
class AhSas:
    """The AH SAs of a link. `inbound`: towards this end, `outbound`: the one to send with."""

    inbound: tuple[AhParameters, ...]
    outbound: AhParameters

    def __post_init__(self) -> None:
        """Raises ValueError for anything but SAs of AH, or keys that serve both directions."""
        check_fields(self, inbound=many(a(AhParameters)), outbound=a(AhParameters))
        _check_directions(self.inbound, self.outbound)


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """One link, as one of its ends sees it.

    `home_address`: inner address of the mobile terminal, which identifies the link.
    `signalling_address`: inner address of the other terminal; its port 434 takes registrations.
    Both packed, of one family. `inbound`: SAs towards this end, `outbound`: the one to send with.
    `mode`: how inner packets lie in them, the same at both ends. `ah`: if there are AH SAs, X
    registers by them first; a link without ESP has no others.
    """

    home_address: bytes
    signalling_address: bytes
    inbound: tuple[SaParameters, ...]
    outbound: SaParameters | None
    mode: ModeSettings = field(default_factory=Tunnel)
    ah: AhSas | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for fields of another kind, addresses that are the same or of two
        families, and where a key or every SA is missing, or keys serve both directions.
        """
        check_fields(
            self,
            home_address=HOST_ADDRESS,
            signalling_address=HOST_ADDRESS,
            inbound=many(a(SaParameters)),
            outbound=optional(a(SaParameters)),
            mode=a(ModeSettings),
            ah=optional(a(AhSas)),
        )
        if len(self.home_address) != len(self.signalling_address):
            raise ValueError("home and signalling address are of different families")
        if self.home_address == self.signalling_address:
            raise ValueError("home and signalling address are the same")
        if self.outbound is None and (self.inbound or self.ah is None):
            raise ValueError("a link needs an SA to send with")
        esp = (*self.inbound, self.outbound) if self.outbound else ()
        if not all(sa.verifiable for sa in esp):
            raise ValueError("a link needs the integrity keys of all its SAs")
        if self.outbound:
            _check_directions(self.inbound, self.outbound)


@dataclass(frozen=True, slots=True)
class MobileConfiguration:
    """What X may do, and how it begins.

    `other_terminal`: outer endpoint of Y as dialed; `other_addresses`: its other outer addresses,
    packed. `lifetime`: seconds to ask for. `last_attempt`: highest attempt number that was ever
    used on this link.
    `allow`: encapsulations with Y's parameters for them, a floor against downgrade; port 0 is the
    one dialed. `start`: what a move begins with; (): udp if allowed, else all. `stagger`: seconds
    between the first RREQs of different encapsulations, 0 = together. `decider`: who chooses.
    `forced`: keep the traversal even without translation, so no AH either. `keepalive`: seconds
    between signs of life on a datagram path, fewer if Y says so, 0 = none. `nat64_prefix`: 12
    octets (RFC 6052 section 2.2) that Y's IPv4 address goes behind where X has only IPv6.
    `spare`: while the current path is a stream, keep one open from each other local endpoint too.
    `tls_verify`: SHA-256 that the certificate inside TLS must have; b"": TLS is camouflage, and who
    intercepts it is only reported. `proxy`: a forward proxy that all streams go through (CONNECT).
    """

    link: LinkParameters
    other_terminal: Endpoint
    lifetime: int = 3600
    last_attempt: int = 0
    allow: tuple[EncapsulationItem, ...] = (EncapsulationItem(EncapsulationCode.UDP),)
    start: tuple[Encapsulation, ...] = ()
    stagger: float = 0.05
    decider: Decider = Decider.OTHER
    forced: bool = False
    keepalive: float = 20.0
    nat64_prefix: bytes | None = None
    other_addresses: tuple[bytes, ...] = ()
    spare: bool = False
    tls_verify: bytes = b""
    proxy: Endpoint | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what an RREQ cannot ask for, or X cannot begin with."""
        check_fields(
            self,
            link=a(LinkParameters),
            other_terminal=_REMOTE_ENDPOINT,
            lifetime=_LIFETIME,
            last_attempt=whole(0, 0xFFFF_FFFF),
            allow=_ITEMS,
            start=many(a(Encapsulation)),
            stagger=_SECONDS,
            decider=a(Decider),
            forced=BOOLEAN,
            keepalive=_SECONDS,
            nat64_prefix=optional(octets(12)),
            other_addresses=many(HOST_ADDRESS),
            spare=BOOLEAN,
            tls_verify=octets(0, 32),
            proxy=optional(_REMOTE_ENDPOINT),
        )
        allowed = {item.code for item in self.allow}
        if len(allowed) < len(self.allow):
            raise ValueError("allow names an encapsulation twice")
        if any(each.code not in allowed for each in self.start):
            raise ValueError("start names an encapsulation that is not allowed")
        if self.forced and self.link.outbound is None:
            raise ValueError("traversal is forced, but there is no ESP SA")


@dataclass(frozen=True, slots=True)
class OtherConfiguration:
    """`supported`: what Y takes beside AH, best first. `max_lifetime`: seconds that it grants.

    `max_sas`, `max_streams`: how many it has in all. `decider`: who chooses the encapsulation;
    `forced`: traversal even without translation.
    `addresses`: Y's other outer addresses, packed, to be told; `names`: its names, in lower case,
    for HTTP. `alternates`: other endpoints that it can answer from, for NAT tests.
    """

    links: tuple[LinkParameters, ...] = ()
    supported: tuple[EncapsulationItem, ...] = (
        EncapsulationItem(EncapsulationCode.UDP, port=NATT_PORT, keepalive=20),
    )
    max_lifetime: int = 3600
    max_sas: int = 65_536
    max_streams: int = MAX_STREAMS
    decider: Decider = Decider.OTHER
    forced: bool = False
    addresses: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()
    alternates: tuple[Endpoint, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for what an RREP cannot say, or Y cannot act on."""
        check_fields(
            self,
            links=many(a(LinkParameters)),
            supported=_ITEMS,
            max_lifetime=_LIFETIME,
            max_sas=_COUNT,
            max_streams=_COUNT,
            decider=a(Decider),
            forced=BOOLEAN,
            addresses=many(HOST_ADDRESS, most=MAX_ADDRESSES),
            names=many(_NAME),
            alternates=many(_REMOTE_ENDPOINT),
        )
        build_vendor(VendorType.SUPPORTED, build_items(self.supported))  # whether it fits


def _check_directions(inbound: Iterable[S], outbound: S) -> None:
    """An SA is for one direction, and so are its keys (RFC 4301 section 4.1): a cipher that counts
    would use a nonce twice.
    """
    if any(replace(outbound, spi=each.spi, esn=each.esn) == each for each in inbound):
        raise ValueError("keys of an inbound SA are those of the outbound one")
