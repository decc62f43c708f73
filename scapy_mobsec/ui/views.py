"""Reports as tables for people. Views only render; nothing is decided here."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from contrib_layers.numbers import AttemptFlag, HeaderType, ReplyCode
from scapy_mobsec.observer.associations import ObservedSa
from scapy_mobsec.observer.links import Evidence, Move
from scapy_mobsec.observer.registrations import Registration, Sighting
from scapy_mobsec.observer.report import Report, Summary
from scapy_mobsec.registration.description import Description, HeaderDescriptor
from scapy_mobsec.translation import Translation, describe_all, show_header
from scapy_mobsec.ui.ike_views import ike_tables
from scapy_mobsec.ui.statistics_views import data_table, keepalives_table, pause_lines
from scapy_mobsec.ui.tables import add_row, at_text, shown, table_of

PIPED_WIDTH = 132


def widen_pipe(console: Console) -> None:
    """Let a console that is no terminal be as wide as tables like to be."""
    if not console.is_terminal:
        console.width = PIPED_WIDTH


def print_report(report: Report, console: Console, *, summary_only: bool = False) -> None:
    """Print what a report holds; only the parts that have something to say."""
    widen_pipe(console)
    console.print(summary_line(report.summary), soft_wrap=not console.is_terminal)
    if summary_only:
        return
    start = report.first_time
    parts = (
        _registrations("Registrations", report.registrations, start),
        _registrations("Refused registrations", report.refused, start),
        _moves(report, start),
        data_table(report.statistics, start),
        keepalives_table(report.statistics),
        *ike_tables(report.ike, start),
        _sas(report.sas, start),
        _drops(report),
    )
    for part in parts:
        if part is not None:
            console.print()
            console.print(part)


def summary_line(summary: Summary) -> Text:
    """The counts that are not zero, in one line."""
    carried = f"{summary.esp} ESP" + (f", {summary.ah} AH" if summary.ah else "")
    opened = _counts(summary, ("verified", "unverified", "icv_failed", "no_key"))
    among = ("replayed", "duplicates", "ike", "keepalives", "tls", "malformed", "cut_by_capture")
    rest = (*among, "registrations", "moves")
    line = f"{summary.packets} {_words('packets', summary.packets)}, {carried}"
    if opened:
        line += f" ({opened})"
    others = _counts(summary, rest)
    text = Text(f"{line}, {others}" if others else line, style="bold")
    if summary.icv_failed:
        text.append("  ICV FAILURES", style="bold red")
    if summary.unverified:
        text.append("  NOT VERIFIED", style="bold red")
    return text


def _counts(summary: Summary, names: Iterable[str]) -> str:
    values = ((name, getattr(summary, name)) for name in names)
    return ", ".join(f"{value} {_words(name, value)}" for name, value in values if value)


def _words(name: str, value: int) -> str:
    spelled = {
        "icv_failed": "ICV failed",
        "ike": "IKE",
        "tls": "TLS",
        "no_key": "without key",
        "cut_by_capture": "cut short by the capture",
    }
    words = spelled.get(name, name)
    return words[:-1] if value == 1 and words.endswith("s") else words


def _registrations(title: str, entries: list[Registration], start: int) -> Table | None:
    if not entries:
        return None
    table = table_of(title, "Attempt", "What", "Detail")
    for entry in shown(table, entries):
        attempt = entry.request.attempt
        assert attempt is not None
        flags = " ".join(flag.name or "" for flag in AttemptFlag if attempt.flags & flag)
        name = f"#{attempt.number}.{attempt.index}" + (f" {flags}" if flags else "")
        for row, (what, detail) in enumerate(_registration_rows(entry, start)):
            add_row(table, "" if row else name, what, detail)
        table.add_section()
    return table


def _registration_rows(entry: Registration, start: int) -> Iterable[tuple[str, Text | str]]:
    asked, reply = entry.asked, entry.reply
    at = f"{at_text(asked.time_ns, start)}, frame {asked.frame}, SPI 0x{asked.spi:08x}"
    yield "RREQ", f"{at}{_mark(asked)}"
    yield "sent", description_line(entry.request.sent or ())
    if entry.observed is not None:
        yield "observed", description_line(entry.observed)
    yield "captured", description_line(asked.captured)
    yield "translated", _translations(entry.translations, untranslated_text(entry))
    if entry.told is not None and entry.told != entry.translations:
        text = _translations(entry.told, "nothing")
        yield "RREP tells", Text.assemble(text, "  CONTRADICTS WHAT IT OBSERVED")
    if reply is None or entry.answered is None or entry.round_trip_ns is None:
        yield "RREP", Text("not in this capture", style="yellow")
        return
    at = f"{at_text(entry.answered.time_ns, start)}, frame {entry.answered.frame}"
    took = f"RTT {entry.round_trip_ns / 1e6:.3f} ms"
    yield "RREP", f"{code_text(reply.code)}, {at}, {took}{_mark(entry.answered)}"
    if entry.reply_translations:
        yield "on return", _translations(entry.reply_translations)


def untranslated_text(entry: Registration) -> str:
    """What it means that an RREQ has no translations."""
    if not entry.request.sent:
        return "not known: the RREQ has no SENT"
    known = entry.observed is not None or entry.told is not None
    where = "no translator on the way" if known else "no translator before the point of capture"
    return f"nothing: {where}"


def _mark(sighting: Sighting) -> str:
    return "" if sighting.verified else "  NOT VERIFIED"


def description_line(description: Description) -> str:
    """The headers of a description, outermost first."""
    return " / ".join(_header_text(header) for header in description)


def _header_text(header: HeaderDescriptor) -> str:
    known = header.type in HeaderType.__members__.values()
    name = HeaderType(header.type).name.replace("V", "v") if known else f"type {header.type}"
    return f"{name} {show_header(header)}"


def code_text(code: int) -> str:
    """The name of a reply code, with its number where it refuses."""
    if code == ReplyCode.ACCEPTED:
        return "accepted"
    known = code in ReplyCode.__members__.values()
    name = ReplyCode(code).name.lower().replace("_", " ") if known else "unknown code"
    return f"{name} ({code})"


def _translations(translations: tuple[Translation, ...], nothing: str = "") -> Text:
    if not translations:
        return Text(nothing, style="green")
    return Text("\n".join(describe_all(translations)), style="bold yellow")


_TOLD_BY = {Evidence.MOBIKE: "by MOBIKE", Evidence.VALIDATION: "by validation"}


def told_by(move: Move) -> str:
    """Return what told a move, and that it is not verified."""
    text = _TOLD_BY.get(move.evidence, "by registration")
    if move.refused:
        text += ", REFUSED"
    elif not move.signalled:
        text = "no registration seen"
    return text if move.verified else f"{text}, NOT VERIFIED"


def _moves(report: Report, start: int) -> Table | None:
    if not report.moves:
        return None
    handovers = {id(each.move): each for each in report.statistics.handovers}
    table = table_of("Moves", "Time", "Endpoints", "How")
    for move in shown(table, report.moves):
        peer = "both ends moved" if move.peer is None else f"peer {move.peer}"
        told = told_by(move)
        old, new = move.old.carrier, move.new.carrier
        add_row(
            table,
            at_text(move.time_ns, start),
            f"{old} {move.left} -> {new} {move.reached}\n{peer}",
            f"{told}\nframe {move.frame}, link {move.link}\n"
            + "\n".join(
                [
                    " ".join(f"0x{spi:08x}" for spi in move.spis),
                    *pause_lines(handovers.get(id(move))),
                ]
            ),
        )
    return table


def _sas(sas: list[ObservedSa], start: int) -> Table | None:
    if not sas:
        return None
    table = table_of("Security associations", "SPI", "Link", "Packets", "Suite, outer path")
    for sa in shown(table, sas):
        add_row(
            table,
            f"0x{sa.spi:08x}",
            "" if sa.link is None else str(sa.link),
            _sa_counts(sa),
            Text("\n").join(
                [
                    Text(sa.suite) if sa.suite else Text("no key", style="yellow"),
                    *(
                        Text(f"{each.outer}, {each.packets} from {at_text(each.first_time, start)}")
                        for each in sa.spans
                    ),
                ]
            ),
        )
    return table


def _sa_counts(sa: ObservedSa) -> Text:
    text = Text(str(sa.packets))
    for name, style in (
        ("verified", "green"),
        ("unverified", "bold red"),
        ("icv_failed", "bold red"),
        ("no_key", "yellow"),
        ("replayed", "bold yellow"),
        ("duplicates", ""),
    ):
        value = getattr(sa, name)
        if value:
            text.append(f"\n{value} {_words(name, value)}", style=style)
    for name, value in (("reordered", sa.reordered), ("missing", sa.seen.missing())):
        if value and sa.key_found:
            text.append(f"\n{value} {name}")
    return text


def _drops(report: Report) -> Table | None:
    if not report.drops:
        return None
    table = table_of("Drops", "Reason", "Count", "Meaning")
    for reason, count in sorted(report.drops.items(), key=lambda item: -item[1]):
        add_row(table, reason.name.lower(), str(count), reason.value)
    return table
