"""What a terminal tells its user, as frozen events with figures.

Of `MobileTerminal`: Moved, Registered, Renewed, ChallengeAnswered, PathChosen, TraversalDropped,
FellBack, InnerMtuLowered, MappingChanged, KeepaliveLost, StreamLost, CertificateRefused,
ProxyRefused, CountersCorrected, AhTranslated, RegistrationFailed, Deregistered. Of
`OtherTerminal`: RegistrationReceived, BindingMoved, BindingEnded, PathValidated, PathRejected,
Suspended, Resumed, Rebound, RaceSuspected. Of both: NumbersSkipped, PacketDropped. Inner packets do
not come as events but by `received()`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.description import (
    Description,
    EncapsulationItem,
    parse_description,
)
from scapy_mobsec.registration.draft import draft_of
from scapy_mobsec.registration.extensions import parse_translations
from scapy_mobsec.translation import Translation, from_items


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
class ChallengeAnswered:
    """X proved to Y that it receives on this path; `solicited` unless no RREQ asked for it."""

    attempt: int
    path: Path
    solicited: bool


@dataclass(frozen=True, slots=True)
class PathChosen:
    """Y uses another path of the same attempt from now on, because X asked it to (USE).

    `rtt`: seconds from this RREQ to its RREP.
    """

    attempt: int
    old: Path | None
    new: Path
    rtt: float


@dataclass(frozen=True, slots=True)
class TraversalDropped(PathChosen):
    """... and on this one ESP goes as it is."""


class FallBackReason(Enum):
    """Why X left a path; the value is the sentence a person reads."""

    NO_ANSWER = "data went one way, and probes had no answer"
    DATA_LOST = "less than half of the data arrived"


@dataclass(frozen=True, slots=True)
class FellBack:
    """X went back to the path that worked before."""

    attempt: int
    old: Path
    new: Path
    reason: FallBackReason


@dataclass(frozen=True, slots=True)
class InnerMtuLowered:
    """Inner packets must be shorter in this attempt: octets of the longest one, before and now."""

    attempt: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class MappingChanged:
    """Y sees X's packets come from elsewhere than before; a new attempt follows."""

    attempt: int
    path: Path
    before: Description
    observed: Description


@dataclass(frozen=True, slots=True)
class KeepaliveLost:
    """No probe of the current path was answered; a new attempt follows."""

    attempt: int
    path: Path


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The stream of the current path was closed; a new attempt follows."""

    attempt: int
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class CertificateRefused:
    """X gave a stream up: the certificate inside its TLS is not the one that is demanded.

    `sha256`: of the certificate that X saw. Other paths of the attempt go on.
    """

    attempt: int
    path: Path
    sha256: bytes


@dataclass(frozen=True, slots=True)
class ProxyRefused:
    """A forward proxy makes no tunnel for a stream. Other paths of the attempt go on."""

    attempt: int
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class NumbersSkipped:
    """A terminal left out numbers: the other one may refuse lower ones after a restart."""

    count: int


@dataclass(frozen=True, slots=True)
class CountersCorrected:
    """Y found X's counters stale; X goes on above Y's, with attempt number `attempt`."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AhTranslated:
    """No RREQ by AH was answered: an address is translated (or AH is filtered, or two packets were
    lost, which looks the same). X registers by the ESP SA of the link.
    """

    attempt: int
    path: Path


class FailureReason(Enum):
    """Why an attempt failed; the value is the sentence a person reads."""

    NO_REPLY = "no reply"
    AH_ALONE = "no reply by AH, and there is no ESP SA to register by"
    REFUSED = "refused by the other terminal"
    CERTIFICATE = "no way left but one with another certificate"
    UNSUPPORTED = "no way left but one that the other terminal does not support"
    PROXY = "no way left but one that a proxy refuses"


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
    """Y accepted an RREQ and answers it. `lifetime`: seconds granted.

    SENT, OBSERVED and TRANSLATIONS are kept as octets, and read only where somebody asks.
    """

    home_address: bytes
    attempt: int
    identification: int
    path: Path
    lifetime: int
    sent_octets: bytes
    observed_octets: bytes
    translation_octets: bytes

    @property
    def sent(self) -> Description:
        """The headers of the RREQ as X wrote them."""
        return parse_description(self.sent_octets)

    @property
    def observed(self) -> Description:
        """The headers of the RREQ as Y saw them."""
        return parse_description(self.observed_octets)

    @property
    def translations(self) -> tuple[Translation, ...]:
        """What changed between the two."""
        items = parse_translations(self.translation_octets)
        return from_items(items, self.sent, self.observed)


class MoveCause(Enum):
    """Why Y has another current path; the value is the sentence a person reads."""

    REQUEST = "first request of a newer attempt"
    RESPONSE = "validated, and the current path was not"
    USE = "the mobile terminal asked for it"
    REBINDING = "the translator changed its mapping"
    FAILURE = "the path before it failed"


@dataclass(frozen=True, slots=True)
class BindingMoved:
    """Y sends data of this link to another path from now on."""

    home_address: bytes
    attempt: int
    old: Path | None
    new: Path
    cause: MoveCause = MoveCause.REQUEST


@dataclass(frozen=True, slots=True)
class PathValidated:
    """A path answered its challenge after `seconds`."""

    home_address: bytes
    path: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class PathRejected:
    """A path did not answer its challenge in time. Octets of ESP packets that passed it."""

    home_address: bytes
    path: Path
    received_octets: int
    sent_octets: int


@dataclass(frozen=True, slots=True)
class Suspended:
    """The current path is lost, and no other has proved itself: data waits."""

    home_address: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class Resumed:
    """There is a current path again; `waiting` packets of data go out on it."""

    home_address: bytes
    path: Path
    waiting: int


@dataclass(frozen=True, slots=True)
class Rebound:
    """A translator changed its mapping: proved by the new path after `seconds`."""

    home_address: bytes
    old: Path
    new: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class RaceSuspected:
    """Data came from a second place, and both answered: somebody copies packets.

    `pause`: seconds until such a thing is looked into again.
    """

    home_address: bytes
    current: Path
    candidate: Path
    pause: float


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


RegistrationReceivedDraft, BindingMovedDraft = map(draft_of, (RegistrationReceived, BindingMoved))
"""For those two that each move brings about."""

Event: TypeAlias = (
    Moved
    | Registered
    | Renewed
    | ChallengeAnswered
    | PathChosen
    | FellBack
    | InnerMtuLowered
    | MappingChanged
    | KeepaliveLost
    | StreamLost
    | CertificateRefused
    | ProxyRefused
    | NumbersSkipped
    | CountersCorrected
    | AhTranslated
    | RegistrationFailed
    | Deregistered
    | RegistrationReceived
    | BindingMoved
    | BindingEnded
    | PathValidated
    | PathRejected
    | Suspended
    | Resumed
    | Rebound
    | RaceSuspected
    | PacketDropped
)
