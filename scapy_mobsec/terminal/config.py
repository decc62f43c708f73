"""What a terminal is told at its start. Keys are in `SaParameters` and `AhParameters`, which do not
show them.
"""

from dataclasses import dataclass, field

from contrib_layers.numbers import LIFETIME_INFINITE, NATT_PORT, EncapsulationCode
from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.modes.tunnel import Tunnel
from scapy_mobsec.terminal.signalling import ModeSettings

MAX_STREAMS = 4096
"""Open streams of Y in all, where its configuration says nothing else."""


@dataclass(frozen=True, slots=True)
class AhSas:
    """The AH SAs of a link. `inbound`: towards this end, `outbound`: the one to send with."""

    inbound: tuple[AhParameters, ...]
    outbound: AhParameters


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
        """Raises ValueError where families differ, or a key or every SA is missing."""
        if len(self.home_address) != len(self.signalling_address):
            raise ValueError("home and signalling address are of different families")
        if self.outbound is None and (self.inbound or self.ah is None):
            raise ValueError("a link needs an SA to send with")
        esp = (*self.inbound, self.outbound) if self.outbound else ()
        if not all(sa.verifiable for sa in esp):
            raise ValueError("a link needs the integrity keys of all its SAs")


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
        if len(self.tls_verify) not in (0, 32):
            raise ValueError("a SHA-256 has 32 octets")
        if not 0 < self.lifetime <= LIFETIME_INFINITE:
            raise ValueError(f"lifetime {self.lifetime} is not in 1..{LIFETIME_INFINITE}")
        if self.nat64_prefix is not None and len(self.nat64_prefix) != 12:
            raise ValueError("a NAT64 prefix has 12 octets here")
        allowed = {item.code for item in self.allow}
        if not allowed or len(allowed) < len(self.allow):
            raise ValueError("allow names no encapsulation, or one of them twice")
        if any(each.code not in allowed for each in self.start):
            raise ValueError("start names an encapsulation that is not allowed")
        if self.forced and self.link.outbound is None:
            raise ValueError("traversal is forced, but there is no ESP SA")


@dataclass(frozen=True, slots=True)
class OtherConfiguration:
    """`supported`: what Y takes, best first. `max_lifetime`: seconds that it grants at most.

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
        """Raises ValueError for a lifetime that an RREP cannot grant."""
        if not 0 < self.max_lifetime <= LIFETIME_INFINITE:
            raise ValueError(f"lifetime {self.max_lifetime} is not in 1..{LIFETIME_INFINITE}")
