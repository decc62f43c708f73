"""What an event of a terminal tells a person, in one line, or one more for each translation."""

from collections.abc import Iterable

from scapy_mobsec.terminal.events import (
    AhTranslated,
    BindingEnded,
    BindingMoved,
    CertificateRefused,
    ChallengeAnswered,
    CountersCorrected,
    Deregistered,
    Event,
    FellBack,
    InnerMtuLowered,
    KeepaliveLost,
    MappingChanged,
    Moved,
    NumbersSkipped,
    PacketDropped,
    PathChosen,
    PathRejected,
    PathValidated,
    ProxyRefused,
    RaceSuspected,
    Rebound,
    Registered,
    RegistrationFailed,
    RegistrationReceived,
    Renewed,
    Resumed,
    StreamLost,
    Suspended,
    TraversalDropped,
)
from scapy_mobsec.translation import describe_all
from scapy_mobsec.ui.views import code_text


def event_text(event: Event) -> str:
    """Return the text of any event."""
    return _mobile_text(event) or _other_text(event)


def _mobile_text(event: Event) -> str:
    match event:
        case Moved():
            return f"moved: {event.new or 'no way left'}, attempt {event.attempt}"
        case Registered():
            text = f"registered in {_milliseconds(event.rtt)}"
            return _with_lines(text, describe_all(event.reply_translations))
        case Renewed():
            return f"renewed for {event.lifetime} s"
        case ChallengeAnswered():
            asked = "" if event.solicited else " that came unasked"
            return f"answered a challenge{asked}"
        case TraversalDropped():
            return f"traversal dropped: {event.new}"
        case PathChosen():
            return f"path chosen: {event.new}"
        case FellBack():
            return f"fell back: {event.new} ({event.reason.value})"
        case InnerMtuLowered():
            return f"inner MTU {event.old} -> {event.new}"
        case MappingChanged():
            return "the translator changed its mapping"
        case KeepaliveLost():
            return "keepalive lost"
        case StreamLost():
            return f"stream lost: {event.reason}"
        case CertificateRefused():
            return f"certificate refused: {event.path}, SHA-256 {event.sha256.hex()}"
        case ProxyRefused():
            return f"no tunnel: {event.path}, {event.reason}"
        case NumbersSkipped():
            return f"{event.count} sequence numbers skipped"
        case CountersCorrected():
            return f"counters corrected, attempt {event.attempt}"
        case AhTranslated():
            return "no reply by AH: translated or filtered, by ESP from now on"
        case RegistrationFailed():
            code = "" if event.code is None else f" ({code_text(event.code)})"
            return f"attempt {event.attempt} failed: {event.reason.value}{code}"
        case Deregistered():
            return "de-registered"
    return ""


def _other_text(event: Event) -> str:
    match event:
        case RegistrationReceived():
            carrier = event.path.encapsulation.value
            text = f"RREQ of attempt {event.attempt} accepted, by {carrier}"
            return _with_lines(text, describe_all(event.translations))
        case BindingMoved():
            return f"binding moved: {event.new}"
        case BindingEnded():
            return f"binding ended: {event.reason.value}"
        case PathValidated():
            return f"path validated in {_milliseconds(event.seconds)}"
        case PathRejected():
            return f"path rejected: {event.path}"
        case Suspended():
            return f"suspended: {event.path}"
        case Resumed():
            return f"resumed: {event.path}, {event.waiting} packets waited"
        case Rebound():
            return f"rebound: {event.new}"
        case RaceSuspected():
            return f"race suspected: {event.current} and {event.candidate}"
        case PacketDropped():
            return f"dropped: {event.reason.value}"
    return ""


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"


def _with_lines(text: str, lines: Iterable[str]) -> str:
    return "\n".join([text, *lines])
