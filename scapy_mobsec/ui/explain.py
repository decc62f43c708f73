"""`--explain`: one plain sentence for each move, for people who do not know the protocols."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec.observer.ike_messages import whole_round_trip_ns
from scapy_mobsec.observer.ike_sa import ObservedIkeSa
from scapy_mobsec.observer.links import Evidence, Move
from scapy_mobsec.observer.registrations import Registration
from scapy_mobsec.observer.report import Report
from scapy_mobsec.observer.statistics import Handover, Interruption
from scapy_mobsec.registration.description import Ipv4Header, Ipv6Header
from scapy_mobsec.translation import Translation, endpoint_text
from scapy_mobsec.ui.views import code_text

NOT_VERIFIED = "NOT VERIFIED, without an integrity key anybody may have written"
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
    explainer = _Explainer(report)
    return list(map(explainer.sentence, report.statistics.handovers)) or ["No link moved."]


class _Explainer:
    """Finds what a report holds about each move."""

    def __init__(self, report: Report) -> None:
        self._report = report
        entries = sorted((*report.registrations, *report.refused), key=_frame)
        self._told = {id(entry.move): entry for entry in entries if entry.move is not None}
        self._links = {sa.spi: sa.link for sa in report.sas if sa.link is not None}
        self._registered: defaultdict[int, list[Registration]] = defaultdict(list)
        """By link, what was accepted, in the order of the capture."""
        for entry in entries:
            link = self._links.get(entry.asked.spi)
            if link is not None and entry.accepted:
                self._registered[link].append(entry)

    def sentence(self, handover: Handover) -> str:
        """Tell of one move."""
        move = handover.move
        at = (move.time_ns - self._report.first_time) / 1e6
        entry, before = self._answered(self._told.get(id(move))), self._before(move)
        parts = [
            f"{_who(move, before)} {_what(move)}{_how(move, entry)}",
            self._network(move, entry, before),
            *_pauses(handover, self._round_trip(move, entry, before), entry or before),
        ]
        told = [each for each in (entry, before) if each is not None]
        verified = handover.verified and all(each.verified for each in told)
        mark = "" if verified else f"{NOT_VERIFIED} some of this: "
        return f"+{at:.3f} ms, link {move.link}: {mark}{'; '.join(part for part in parts if part)}."

    def _answered(self, entry: Registration | None) -> Registration | None:
        """Of a registration that had to be asked for again, the first one that was answered."""
        if entry is None or entry.reply is not None or entry.request.attempt is None:
            return entry
        asked = self._registered.get(self._links.get(entry.asked.spi) or 0, [])
        same = (
            each
            for each in asked[bisect_left(asked, entry.asked.frame, key=_frame) :]
            if each.request.attempt is not None
            and each.request.attempt.number == entry.request.attempt.number
        )
        return next((each for each in same if each.reply is not None), entry)

    def _before(self, move: Move) -> Registration | None:
        """The link's last registration before a move."""
        entries = self._registered.get(move.link, [])
        place = bisect_left(entries, move.frame, key=_frame)
        return entries[place - 1] if place else None

    def _network(self, move: Move, entry: Registration | None, before: Registration | None) -> str:
        """What the network does to the new path's packets."""
        if entry is not None:
            return _registered_text(entry)
        for sa in self._report.ike:
            for exchange in sa.exchanges:
                seen = exchange.request
                if seen is not None and seen.frame == move.frame and seen.detections:
                    return network_text(seen.translations)
        text = network_text(None)
        if before is not None and before.request.sent:
            text += f" (its last registration told: {_registered_text(before)})"
        return text

    def _round_trip(
        self, move: Move, entry: Registration | None, before: Registration | None
    ) -> int | None:
        """That of the registration, or of the one before, or of IKE; None where none is known."""
        for each in (entry, before):
            if each is not None and each.whole_round_trip_ns is not None:
                return each.whole_round_trip_ns
        exchanges = (sa.exchanges for sa in self._report.ike if self._is_of(sa, move))
        known = (took for each in exchanges if (took := whole_round_trip_ns(each)) is not None)
        return next(known, None)

    def _is_of(self, sa: ObservedIkeSa, move: Move) -> bool:
        """Whether an IKE SA made the SAs that moved; its addresses tell if it could not be read."""
        if sa.child_spis:
            return any(self._links.get(spi) == move.link for _, spi in sa.child_spis)
        ends = {sa.outer.source, sa.outer.destination}
        return any(ends == {path.source, path.destination} for path in (move.old, move.new))


def _frame(entry: Registration) -> int:
    return entry.asked.frame


def _who(move: Move, before: Registration | None) -> str:
    """Data alone does not tell who moves, unless one of the ends has registered."""
    known = move.evidence is not Evidence.DATA
    if before is not None and move.peer is not None:
        known = known or _destination(before) == move.peer.address
    return "the mobile terminal" if known else "one end"


def _destination(entry: Registration) -> bytes | None:
    """The other terminal's address, as captured."""
    headers = (each for each in entry.asked.captured if isinstance(each, Ipv4Header | Ipv6Header))
    return next((each.destination for each in headers), None)


def _what(move: Move) -> str:
    old, new = _carrier(move.old.carrier), _carrier(move.new.carrier)
    if move.moved == "encapsulation":
        return f"stayed where it was and went on by {new} instead of {old}"
    if move.moved == "both":
        ends = f"to {move.new.destination_endpoint}, instead of from {move.old.source_endpoint}"
        text = f"now sends from {move.new.source_endpoint} {ends}"
        text += f" to {move.old.destination_endpoint}"
    elif move.left.address == move.reached.address:
        text = f"kept its address and shows another port, {move.reached} after {move.left}"
    else:
        text = f"went from {move.left} to {move.reached}"
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
        if entry is not None and entry.reply is None:
            return ", and asked to be registered there, of which no reply was seen"
        return ", and registered there"
    if move.signalled:
        return ", with data first and its registration after"
    text = ", which no message told: data alone shows it"
    if move.left.address == move.reached.address and move.moved != "encapsulation":
        text += ", as where a translator (NAT) makes a new mapping"
    return text


def _registered_text(entry: Registration) -> str:
    """What a registration tells of the network: as far as the other terminal, if that told it."""
    if not entry.request.sent:
        return network_text(None)
    if entry.observed is None and entry.told is None and not entry.translations:
        return "nothing before the point of capture changes its addresses or ports"
    return network_text(entry.translations)


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


def _pauses(
    handover: Handover, round_trip: int | None, entry: Registration | None
) -> Iterator[str]:
    """Data to the end that stayed, and back. entry: tells which end that is, if both did."""
    move = handover.move
    told = None if _is_silent(move) else move.time_ns
    there = _pause(handover.to_peer, told, round_trip)
    back = _pause(handover.from_peer, told, round_trip)
    peer = move.peer or move.new.destination_endpoint
    if move.moved == "encapsulation" and entry and _destination(entry) == move.new.source:
        peer, there, back = move.new.source_endpoint, back, there
    if there == back:
        yield f"data to {peer} and back {there}"
    else:
        yield f"data to {peer} {there}"
        yield f"data back {back}"


def _is_silent(move: Move) -> bool:
    """Whether no message told a move."""
    return move.evidence is Evidence.DATA and not move.signalled


def _pause(interruption: Interruption, told_ns: int | None, round_trip: int | None) -> str:
    """Data in one direction. told_ns: when a message told the move, None if none did."""
    before, after, duration = interruption.before, interruption.after, interruption.duration_ns
    if duration is None or before is None or after is None:
        return "was not seen both before and after"
    text = f"paused for {_time(duration, round_trip)}"
    if told_ns is not None:
        late = after.first_time - told_ns
        when = "after" if late >= 0 else "before"
        text += f", and went on {_time(abs(late), round_trip)} {when} the move was told"
    usual = before.interval_ns
    if usual:
        text += f" (before, a packet came every {usual / 1e6:.3f} ms)"
    if interruption.missing:
        numbers = "sequence number" + "s" * (interruption.missing != 1)
        text += f", with {interruption.missing} {numbers} missing in between"
    return text


def _time(time_ns: int, round_trip: int | None) -> str:
    text = f"{time_ns / 1e6:.3f} ms"
    return f"{text} = {time_ns / round_trip:.1f} round trips" if round_trip else text
