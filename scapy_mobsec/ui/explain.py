"""`--explain`: one plain sentence for each move, for people who do not know the protocols."""

from collections.abc import Iterable, Iterator, Sequence

from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec.observer.ike_messages import whole_round_trip_ns
from scapy_mobsec.observer.links import Evidence, Move
from scapy_mobsec.observer.registrations import Registration
from scapy_mobsec.observer.report import Report
from scapy_mobsec.observer.statistics import Handover, Interruption
from scapy_mobsec.translation import Translation, endpoint_text
from scapy_mobsec.ui.views import code_text

_CARRIERS = {
    "native": "plain ESP",
    "ah": "AH",
    "udp": "UDP",
    "tcp": "TCP",
    "tls": "TLS",
    "http": "HTTP",
    "http-post": "HTTP requests",
}
_WHOSE = {
    FieldCode.SOURCE_ADDRESS: "its address",
    FieldCode.SOURCE_PORT: "its port",
    FieldCode.DESTINATION_ADDRESS: "the address that it sends to",
    FieldCode.DESTINATION_PORT: "the port that it sends to",
}


def sentences(report: Report) -> list[str]:
    """What happened at each move, in the order of time; without moves it says that."""
    told = {
        id(entry.move): entry
        for entry in (*report.registrations, *report.refused)
        if entry.move is not None
    }
    handovers = report.statistics.handovers
    if not handovers:
        return ["No link moved."]
    return [_sentence(handover, told.get(id(handover.move)), report) for handover in handovers]


def _sentence(handover: Handover, entry: Registration | None, report: Report) -> str:
    move = handover.move
    at = (move.time_ns - report.first_time) / 1e6
    parts = [f"{_what(move)}{_how(move, entry)}", network_text(_translations(move, entry, report))]
    round_trip = entry.whole_round_trip_ns if entry is not None else _ike_round_trip(move, report)
    parts += _pauses(handover, round_trip)
    return f"+{at:.3f} ms, link {move.link}: {'; '.join(part for part in parts if part)}."


def _ike_round_trip(move: Move, report: Report) -> int | None:
    for sa in report.ike:
        if sa.last_move is move:
            return whole_round_trip_ns(sa.exchanges)
    return None


def _what(move: Move) -> str:
    who = "the mobile terminal" if move.evidence is not Evidence.DATA else "one end"
    old, new = _carrier(move.old.carrier), _carrier(move.new.carrier)
    if move.moved == "encapsulation":
        return f"{who} stayed where it was and went on by {new} instead of {old}"
    if move.moved == "both":
        ends = f"to {move.new.destination_endpoint}, instead of from {move.old.source_endpoint}"
        text = f"{who} now sends from {move.new.source_endpoint} {ends}"
        text += f" to {move.old.destination_endpoint}"
    elif move.left.address == move.reached.address:
        text = f"{who} kept its address and shows another port, {move.reached} after {move.left}"
    else:
        text = f"{who} went from {move.left} to {move.reached}"
    return text if old == new else f"{text}, by {new} instead of {old}"


def _carrier(name: str) -> str:
    return _CARRIERS.get(name, name)


def _how(move: Move, entry: Registration | None) -> str:
    if move.evidence is Evidence.MOBIKE:
        return ", told so by IKE, and was refused" if move.refused else ", and told so by IKE"
    if move.refused and entry is not None and entry.reply is not None:
        return f", asked to be registered there, and was refused ({code_text(entry.reply.code)})"
    if move.evidence is Evidence.VALIDATION:
        return ", and proved its path, which the one before was not"
    if move.evidence is Evidence.REGISTRATION:
        return ", and registered there"
    if move.signalled:
        return ", with data first and its registration after"
    return ", and no message told so: data alone came from there"


def _translations(
    move: Move, entry: Registration | None, report: Report
) -> Sequence[Translation] | None:
    """What the network does to the new path's packets, None where nothing tells."""
    if entry is not None:
        return entry.translations if entry.request.sent else None
    for sa in report.ike:
        for exchange in sa.exchanges:
            seen = exchange.request
            if seen is not None and seen.frame == move.frame and seen.detections:
                return seen.translations
    return None


def network_text(translations: Sequence[Translation] | None) -> str:
    """What is done to the packets of one end on their way, in plain words. None: not known."""
    if translations is None:
        return "what the network changes there is not known"
    if not translations:
        return "nothing on the way changes its addresses or ports"
    return " and ".join(dict.fromkeys(_changes(translations)))


def _changes(translations: Iterable[Translation]) -> Iterator[str]:
    """By nature: who is on the way, and what it does."""
    together: dict[bool, Translation] = {}
    for each in translations:
        nature, of_source = each.nature, each.field in _SOURCE
        if nature is NatureCode.ADDRESS_AND_PORT:
            if of_source not in together:
                together[of_source] = each
                continue
            address = together.pop(of_source)
            end = "its address and port" if of_source else "the address and port that it sends to"
            sent = address.sent and endpoint_text(address.sent, each.sent)
            shown = endpoint_text(address.observed, each.observed)
            yield f"an address translator (NAT) {_replaces(end, sent, shown)}"
        elif nature is NatureCode.PROTOCOL:
            family = "IPv6" if ":" in each.observed else "IPv4"
            yield f"a translator (NAT64) makes {family} packets of its packets"
        elif nature is NatureCode.PROXIED:
            yield "a proxy ends its connection and makes one of its own"
        elif nature is NatureCode.INTERCEPTED:
            yield "somebody on the way opens TLS and shows a certificate of its own"
        elif nature is NatureCode.REWRITTEN:
            yield "a proxy rewrites its HTTP request"
        else:
            kind = "a port" if nature is NatureCode.PORT else "an address"
            whose = _WHOSE.get(each.field, "a header")
            yield f"{kind} translator (NAT) {_replaces(whose, each.sent, each.observed)}"
    for each in together.values():
        whose = _WHOSE[each.field]
        yield f"an address translator (NAT) {_replaces(whose, each.sent, each.observed)}"


def _replaces(what: str, sent: str, shown: str) -> str:
    """What its sender wrote is not always known."""
    return f"replaces {what} {sent} by {shown}" if sent else f"replaces {what} by {shown}"


_SOURCE = frozenset({FieldCode.SOURCE_ADDRESS, FieldCode.SOURCE_PORT})


def _pauses(handover: Handover, round_trip: int | None) -> Iterator[str]:
    moved_ns = handover.move.time_ns
    there = _pause(handover.to_peer, moved_ns, round_trip)
    back = _pause(handover.from_peer, moved_ns, round_trip)
    peer = handover.move.peer or handover.move.new.destination_endpoint
    if there == back:
        yield f"data to {peer} and back {there}"
    else:
        yield f"data to {peer} {there}"
        yield f"data back {back}"


def _pause(interruption: Interruption, moved_ns: int, round_trip: int | None) -> str:
    before, after, duration = interruption.before, interruption.after, interruption.duration_ns
    if duration is None or before is None or after is None:
        return "was not seen both before and after"
    paused = _time(duration, round_trip)
    late = after.first_time - moved_ns
    told = f"{_time(abs(late), round_trip)} {'after' if late >= 0 else 'before'} the move was told"
    usual = before.interval_ns
    text = f"paused for {paused}, and went on {told}"
    if usual:
        text += f" (before, a packet came every {usual / 1e6:.3f} ms)"
    if interruption.missing:
        text += f", with {interruption.missing} missing in between"
    return text


def _time(time_ns: int, round_trip: int | None) -> str:
    text = f"{time_ns / 1e6:.3f} ms"
    return f"{text} = {time_ns / round_trip:.1f} round trips" if round_trip else text
