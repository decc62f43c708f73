"""What a terminal is told at its start. Keys are in `SaParameters`, which does not show them."""

from dataclasses import dataclass, field

from contrib_layers.numbers import LIFETIME_INFINITE, NATT_PORT, EncapsulationCode
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.modes.tunnel import Tunnel
from scapy_mobsec.terminal.signalling import ModeSettings


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """One link, as one of its ends sees it.

    `home_address`: inner address of the mobile terminal, which identifies the link.
    `signalling_address`: inner address of the other terminal; its port 434 takes registrations.
    Both packed, of one family. `inbound`: SAs towards this end, `outbound`: the one to send with.
    `mode`: how inner packets lie in them, the same at both ends.
    """

    home_address: bytes
    signalling_address: bytes
    inbound: tuple[SaParameters, ...]
    outbound: SaParameters
    mode: ModeSettings = field(default_factory=Tunnel)

    def __post_init__(self) -> None:
        """Raises ValueError where families differ or a key is missing."""
        if len(self.home_address) != len(self.signalling_address):
            raise ValueError("home and signalling address are of different families")
        if not all(sa.verifiable for sa in (*self.inbound, self.outbound)):
            raise ValueError("a link needs the integrity keys of all its SAs")


@dataclass(frozen=True, slots=True)
class MobileConfiguration:
    """`other_terminal`: outer endpoint of Y as dialed. `lifetime`: seconds to ask for.

    `last_attempt`: highest attempt number that was ever used on this link.
    """

    link: LinkParameters
    other_terminal: Endpoint
    lifetime: int = 3600
    last_attempt: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for a lifetime that an RREQ cannot ask for."""
        if not 0 < self.lifetime <= LIFETIME_INFINITE:
            raise ValueError(f"lifetime {self.lifetime} is not in 1..{LIFETIME_INFINITE}")


@dataclass(frozen=True, slots=True)
class OtherConfiguration:
    """`supported`: what Y takes, best first. `max_lifetime`: seconds that it grants at most."""

    links: tuple[LinkParameters, ...] = ()
    supported: tuple[EncapsulationItem, ...] = (
        EncapsulationItem(EncapsulationCode.UDP, port=NATT_PORT, keepalive=20),
    )
    max_lifetime: int = 3600
    max_sas: int = 65_536

    def __post_init__(self) -> None:
        """Raises ValueError for a lifetime that an RREP cannot grant."""
        if not 0 < self.max_lifetime <= LIFETIME_INFINITE:
            raise ValueError(f"lifetime {self.max_lifetime} is not in 1..{LIFETIME_INFINITE}")
