"""What a terminal tells its user, as frozen events with figures.

Of `MobileTerminal`: Moved, Registered, Renewed, CountersCorrected, RegistrationFailed,
Deregistered. Of `OtherTerminal`: RegistrationReceived, BindingMoved, BindingEnded. Of both:
PacketDropped. Inner packets do not come as events but by `received()`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.description import Description, EncapsulationItem
from scapy_mobsec.translation import Translation


@dataclass(frozen=True, slots=True)
class Moved:
    """X starts an attempt from another local endpoint; `new` is None without a usable one."""

    attempt: int
    old: Path | None
    new: Path | None


@dataclass(frozen=True, slots=True)
class Registered:
    """Y uses the path from now on.

    `rtt`: seconds from this RREQ to its RREP. `sent` and `observed`: the RREQ as X wrote it and as
    Y saw it. `translations`: what Y says changed between them. `reply_translations`: what X finds
    by itself, from the RREP as Y wrote it and as it arrived.
    """

    attempt: int
    path: Path
    rtt: float
    lifetime: int
    sent: Description
    observed: Description
    translations: tuple[Translation, ...]
    reply_translations: tuple[Translation, ...]
    supported: tuple[EncapsulationItem, ...]
    selected: tuple[EncapsulationItem, ...]

    @property
    def encapsulation(self) -> Encapsulation:
        """How ESP packets travel on the path."""
        return self.path.encapsulation


@dataclass(frozen=True, slots=True)
class Renewed:
    """Y granted another lifetime; nothing moved."""

    attempt: int
    rtt: float
    lifetime: int


@dataclass(frozen=True, slots=True)
class CountersCorrected:
    """Y found X's counters stale; X goes on above Y's, with attempt number `attempt`."""

    attempt: int


class FailureReason(Enum):
    """Why an attempt failed; the value is the sentence a person reads."""

    NO_REPLY = "no reply"
    REFUSED = "refused by the other terminal"


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """An attempt ended without registration; another one follows. `code`: of the refusing RREP."""

    attempt: int
    reason: FailureReason
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Deregistered:
    """X has ended its registration; `confirmed` unless Y did not answer."""

    attempt: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class RegistrationReceived:
    """Y accepted an RREQ and answers it. `lifetime`: seconds granted."""

    home_address: bytes
    attempt: int
    identification: int
    path: Path
    lifetime: int
    sent: Description
    observed: Description
    translations: tuple[Translation, ...]


@dataclass(frozen=True, slots=True)
class BindingMoved:
    """Y sends data of this link to another path from now on."""

    home_address: bytes
    attempt: int
    old: Path | None
    new: Path


class EndReason(Enum):
    """Why a binding has no current path any more; the value is the sentence a person reads."""

    EXPIRED = "lifetime over"
    DEREGISTERED = "de-registered"


@dataclass(frozen=True, slots=True)
class BindingEnded:
    """Y has no path to this home address any more; the SAs stay."""

    home_address: bytes
    reason: EndReason


@dataclass(frozen=True, slots=True)
class PacketDropped:
    """A packet was not accepted, or not sent. `path`: where it came from, None if it was ours."""

    reason: DropReason
    detail: str
    path: Path | None


Event: TypeAlias = (
    Moved
    | Registered
    | Renewed
    | CountersCorrected
    | RegistrationFailed
    | Deregistered
    | RegistrationReceived
    | BindingMoved
    | BindingEnded
    | PacketDropped
)
