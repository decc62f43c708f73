"""IKE SAs of a report as tables for people."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from scapy_mobsec.ike.algorithms import name_of
from scapy_mobsec.ike.nat_detection import NatDetection, Verdict
from scapy_mobsec.ike.numbers import NotifyType, PayloadType, Protocol
from scapy_mobsec.ike.payloads import Notify, Opaque, TrafficSelectors
from scapy_mobsec.observer.ike_messages import IkeContent, IkeExchange, Reading, SeenMessage
from scapy_mobsec.observer.ike_sa import ObservedChildSa, ObservedIkeSa
from scapy_mobsec.translation import describe_all
from scapy_mobsec.ui.ike_text import (
    exchange_name,
    identity_text,
    payload_name,
    payload_text,
    selector_text,
    transform_text,
)
from scapy_mobsec.ui.tables import MAX_ROWS, add_row, at_text, shown, table_of

_HASHES = (NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP)


def ike_tables(sas: list[ObservedIkeSa], start_ns: int) -> list[Table]:
    """A table of exchanges for each IKE SA, and one of all CHILD_SAs."""
    tables = [_exchanges(sa, start_ns) for sa in sas[:MAX_ROWS]]
    children = [(sa, child) for sa in sas for child in sa.children]
    if children:
        table = table_of("CHILD_SAs", "SPIs", "What", "Keys")
        for sa, child in shown(table, children):
            add_row(table, *_child_row(sa, child))
        tables.append(table)
    return tables


def _exchanges(sa: ObservedIkeSa, start_ns: int) -> Table:
    table = table_of(_title(sa), "Message", "Payloads")
    for exchange in shown(table, sa.exchanges):
        name = exchange_name(exchange.messages[0].header).upper()
        if sa.version >> 4 != 1:
            name += f" #{exchange.messages[0].header.message_id}"
        for seen in exchange.messages:
            title = f"{name} response" if seen is exchange.response else name
            add_row(table, f"{title}\n{_sighting(seen, start_ns)}", _message(seen, exchange))
        table.add_section()
    return table


def _title(sa: ObservedIkeSa) -> str:
    version = f"IKEv{sa.version >> 4}"
    lines = [f"{version} {sa.initiator_spi.hex()} {sa.responder_spi.hex()}"]
    ends = [str(sa.outer.source_endpoint), str(sa.outer.destination_endpoint)]
    for place, end in enumerate((True, False)):
        if end in sa.identities:
            ends[place] = f"{identity_text(sa.identities[end])} ({ends[place]})"
    algorithms = ", ".join(each for each in (*sa.algorithms, sa.prf and f"prf-{sa.prf}") if each)
    lines.append(" > ".join(ends) + (f", {algorithms}" if algorithms else ""))
    notes = [
        "MOBIKE" if sa.uses_mobike else "",
        f"{sa.verified} verified" if sa.verified else "",
        f"{sa.icv_failed} ICV FAILED" if sa.icv_failed else "",
        f"fragments missing of {len(sa.fragments)}" if len(sa.fragments) else "",
        f"keys do not serve: {sa.problem}" if sa.problem else "",
        "deleted" if sa.deleted else "",
    ]
    if sa.replaced_by:
        spis = " ".join(spi.hex() for spi in sa.replaced_by)
        notes.append(f"re-keyed to {spis}, whose keys need a Diffie-Hellman secret: give them too")
    text = ", ".join(note for note in notes if note)
    return "\n".join([*lines, text] if text else lines)


def _sighting(seen: SeenMessage, start_ns: int) -> str:
    lines = [f"{at_text(seen.time_ns, start_ns)}, frame {seen.frame}", str(seen.outer)]
    if seen.fragments > 1:
        lines.append(f"of {seen.fragments} fragments")
    if seen.repeats:
        lines.append(f"repeated {seen.repeats}x")
    return "\n".join(lines)


def _message(seen: SeenMessage, exchange: IkeExchange) -> Text:
    """The payloads of a message, and what they tell of the network."""
    texts = [each for each in (_payload(each, seen.header.major) for each in seen.contents) if each]
    text = Text(", ".join(texts) or "no payloads")
    if seen.reading is Reading.ENCRYPTED:
        text = Text("encrypted", style="yellow") if not texts else text
    if seen.reading is Reading.UNVERIFIED:
        text.append("  NOT VERIFIED", style="bold red")
    for line in _network(seen.detections):
        text.append(f"\n{line}", style="green")
    for line in describe_all(seen.translations):
        text.append(f"\ntranslated: {line}", style="bold yellow")
    if seen is exchange.response and exchange.path_proved is not None:
        proved = exchange.path_proved
        said = "COOKIE2 came back: path proved" if proved else "COOKIE2 DID NOT COME BACK"
        text.append(f"\n{said}", style="green" if proved else "bold red")
    return text


def _payload(content: IkeContent, major: int) -> str:
    name = payload_name(content, major).upper().replace("_", "-" if major == 1 else "_")
    text = payload_text(content)
    if isinstance(content, Notify):
        if content.kind in _HASHES:
            return ""
        kind, _, rest = text.partition(" ")
        return f"N({kind.upper()}{' ' + rest if rest else ''})"
    if isinstance(content, Opaque) and content.type in (PayloadType.SK, PayloadType.SKF):
        return f"{name} encrypted, {text}"
    short = {"IDI": "IDi", "IDR": "IDr", "TSI": "TSi", "TSR": "TSr"}.get(name, name)
    return f"{short} {text}".rstrip()


def _network(detections: Iterable[NatDetection]) -> Iterable[str]:
    """What NAT detection says where nothing was translated: changes are told as translations."""
    for detection in detections:
        end = "source" if detection.of_source else "destination"
        if detection.verdict is Verdict.NOT_TRANSLATED:
            yield f"NAT detection: {end} not translated"
        elif detection.verdict is Verdict.FORCED:
            yield f"NAT detection: {end} made up, to force UDP encapsulation"


def _child_row(sa: ObservedIkeSa, child: ObservedChildSa) -> tuple[str | Text, ...]:
    spis = f"> 0x{child.responder_spi.hex()}\n< 0x{child.initiator_spi.hex()}"
    if child.replaces:
        spis += f"\nreplaces 0x{child.replaces.hex()}"
    ours, theirs = (_selectors(each) for each in child.selectors)
    mode = "transport" if child.transport_mode else "tunnel"
    keys = Text(child.reason or "derived from SK_d", style="yellow" if child.reason else "green")
    if child.deleted:
        keys.append("\ndeleted", style="")
    at = f"frame {child.frame}, IKE {sa.initiator_spi.hex()}"
    names = " ".join(filter(None, map(transform_text, child.proposal.transforms)))
    protocol = name_of(Protocol, child.protocol).upper()
    return spis, f"{protocol} {names}, {mode}\n{ours} = {theirs}\n{at}", keys


def _selectors(selectors: TrafficSelectors | None) -> str:
    return ", ".join(selector_text(each) for each in selectors.selectors) if selectors else "?"
