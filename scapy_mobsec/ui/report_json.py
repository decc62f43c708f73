"""A report as one JSON object. The shape is documented in docs/decode.md and stays stable.

Times are Unix seconds, durations milliseconds, addresses and endpoints text, SPIs hex text.
"""

from dataclasses import asdict, fields
from enum import IntEnum
from typing import Any

from contrib_layers.numbers import AttemptFlag, EncapsulationCode, HeaderType, ReplyCode
from scapy_mobsec.observer.associations import ObservedSa, PathSpan
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.registrations import Registration, Sighting
from scapy_mobsec.observer.report import Report
from scapy_mobsec.observer.statistics import Handover
from scapy_mobsec.packet.path import address_text
from scapy_mobsec.registration.description import (
    Description,
    EncapsulationItem,
    HeaderDescriptor,
    Ipv4Header,
    Ipv6Header,
)
from scapy_mobsec.translation import as_json
from scapy_mobsec.ui.ike_json import ike_sa_as_json
from scapy_mobsec.ui.statistics_json import (
    interruption_as_json,
    keepalives_as_json,
    links_as_json,
    outer_as_json,
)

Json = dict[str, Any]


def report_as_json(report: Report) -> Json:
    """The object that `mobsec decode -T json` prints."""
    handovers = {id(each.move): each for each in report.statistics.handovers}
    return {
        "summary": asdict(report.summary),
        "sas": [_sa(sa) for sa in report.sas],
        "registrations": [_registration(entry) for entry in report.registrations],
        "refused": [_registration(entry) for entry in report.refused],
        "moves": [_move(move, handovers.get(id(move))) for move in report.moves],
        "links": links_as_json(report.statistics),
        "keepalives": keepalives_as_json(report.statistics),
        "ike": [ike_sa_as_json(sa) for sa in report.ike],
        "drops": {reason.name.lower(): count for reason, count in report.drops.items()},
        "not_kept": report.not_kept,
        "replies_without_request": report.replies_without_request,
    }


def _seconds(time_ns: int) -> float:
    return time_ns / 1e9


def _spi(spi: int) -> str:
    return f"0x{spi:08x}"


def _sa(sa: ObservedSa) -> Json:
    return {
        "spi": _spi(sa.spi),
        "link": sa.link,
        "suite": sa.suite,
        "key_found": sa.key_found,
        "packets": sa.packets,
        "verified": sa.verified,
        "unverified": sa.unverified,
        "icv_failed": sa.icv_failed,
        "no_key": sa.no_key,
        "replayed": sa.replayed,
        "duplicates": sa.duplicates,
        "reordered": sa.reordered,
        "missing": sa.seen.missing(),
        "highest_sequence": sa.seen.highest,
        "paths": [_span(span) for span in sa.spans],
    }


def _span(span: PathSpan) -> Json:
    return {
        **outer_as_json(span.outer),
        "first_time": _seconds(span.first_time),
        "last_time": _seconds(span.last_time),
        "packets": span.packets,
    }


def _move(move: Move, handover: Handover | None) -> Json:
    return {
        "time": _seconds(move.time_ns),
        "frame": move.frame,
        "link": move.link,
        "spis": [_spi(spi) for spi in move.spis],
        "moved": move.moved,
        "from": str(move.left),
        "to": str(move.reached),
        "peer": None if move.peer is None else str(move.peer),
        "old": outer_as_json(move.old),
        "new": outer_as_json(move.new),
        "signalled": move.signalled,
        "evidence": move.evidence.value,
        "refused": move.refused,
        "verified": move.verified,
        "interruption": interruption_as_json(handover),
    }


def _registration(entry: Registration) -> Json:
    request, reply = entry.request, entry.reply
    attempt = request.attempt
    assert attempt is not None
    return {
        **_sighting(entry.asked),
        "identification": f"0x{request.identification:016x}",
        "attempt": attempt.number,
        "index": attempt.index,
        "flags": [flag.name for flag in AttemptFlag if attempt.flags & flag],
        "home_address": address_text(entry.home_address),
        "home_agent": address_text(request.home_agent),
        "care_of_address": address_text(request.care_of_address),
        "lifetime": request.lifetime,
        "sent": _description(request.sent or ()),
        "observed": None if entry.observed is None else _description(entry.observed),
        "translations": [as_json(item) for item in entry.translations],
        "told": None if entry.told is None else [as_json(item) for item in entry.told],
        "supported": _items(request.supported),
        "round_trip_ms": None if entry.round_trip_ns is None else entry.round_trip_ns / 1e6,
        "whole_round_trip_ms": (
            None if entry.whole_round_trip_ns is None else entry.whole_round_trip_ns / 1e6
        ),
        "code": None if reply is None else reply.code,
        "code_name": None if reply is None else _name(ReplyCode, reply.code, "code"),
        "reply": _reply(entry),
    }


def _reply(entry: Registration) -> Json | None:
    reply, sighting, translations = entry.reply, entry.answered, entry.reply_translations
    if reply is None or sighting is None:
        return None
    return {
        **_sighting(sighting),
        "lifetime": reply.lifetime,
        "sent": None if reply.sent is None else _description(reply.sent),
        "translations": (
            None if translations is None else [as_json(item) for item in translations]
        ),
        "supported": _items(reply.supported),
        "selected": _items(reply.selected),
    }


def _sighting(sighting: Sighting) -> Json:
    return {
        "time": _seconds(sighting.time_ns),
        "frame": sighting.frame,
        "spi": _spi(sighting.spi),
        "verified": sighting.verified,
        "captured": _description(sighting.captured),
    }


def _name(numbers: type[IntEnum], number: int, otherwise: str) -> str:
    """The number's name in lower case; `otherwise_N` for one without a name."""
    try:
        return numbers(number).name.lower()
    except ValueError:
        return f"{otherwise}_{number}"


def _description(description: Description) -> list[Json]:
    return [_header(header) for header in description]


def _header(header: HeaderDescriptor) -> Json:
    """`type` and the descriptor's own fields, addresses and octets as text."""
    shown: Json = {"type": _name(HeaderType, header.type, "type")}
    for slot in fields(header):
        value = getattr(header, slot.name)
        if slot.name == "spi":
            value = _spi(value)
        elif isinstance(header, Ipv4Header | Ipv6Header):
            value = address_text(value)
        elif isinstance(value, bytes):
            value = value.hex()
        if slot.name != "type":
            shown[slot.name] = value
    return shown


def _items(items: tuple[EncapsulationItem, ...] | None) -> list[Json] | None:
    if items is None:
        return None
    return [{**asdict(item), "code": encapsulation_name(item.code)} for item in items]


def encapsulation_name(code: int) -> str:
    """Name of an encapsulation code; `code-N` for one that is not known."""
    return _name(EncapsulationCode, code, "code").replace("_", "-")
