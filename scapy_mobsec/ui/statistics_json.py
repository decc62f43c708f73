"""How data flowed, as parts of the JSON object. Durations in milliseconds, None: not known."""

from typing import Any

from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.observer.statistics import (
    DataSpan,
    Handover,
    Interruption,
    Keepalives,
    LinkData,
    Statistics,
)

Json = dict[str, Any]


def outer_as_json(outer: Outer) -> Json:
    """A path in the direction of its packets."""
    return {
        "encapsulation": outer.carrier,
        "source": str(outer.source_endpoint),
        "destination": str(outer.destination_endpoint),
    }


def interruption_as_json(handover: Handover | None) -> Json | None:
    """How long a move stopped the data towards the end that stayed, and from it."""
    if handover is None:
        return None
    return {
        "to_peer": _interruption(handover.to_peer, handover.move.time_ns),
        "from_peer": _interruption(handover.from_peer, handover.move.time_ns),
    }


def links_as_json(statistics: Statistics) -> list[Json]:
    """The data of each link, path by path."""
    return [_link(link) for link in statistics.links if any(link)]


def keepalives_as_json(statistics: Statistics) -> list[Json]:
    """NAT keepalives and dummy packets, path by path."""
    return [_keepalives(outer, each) for outer, each in statistics.keepalives.items()]


def _interruption(interruption: Interruption, moved_ns: int) -> Json | None:
    duration, after = interruption.duration_ns, interruption.after
    if duration is None or after is None or interruption.before is None:
        return None
    return {
        "ms": duration / 1e6,
        "after_move_ms": (after.first_time - moved_ns) / 1e6,
        "interval_before_ms": _ms(interruption.before.interval_ns),
        "missing": interruption.missing,
        "verified": interruption.verified,
    }


def _link(link: LinkData) -> Json:
    spans = sorted(link, key=lambda span: span.first_time)
    return {"link": link.number, "paths": [_span(span) for span in spans]}


def _span(span: DataSpan) -> Json:
    return {
        **outer_as_json(span.outer),
        "first_time": span.first_time / 1e9,
        "last_time": span.last_time / 1e9,
        "packets": span.packets,
        "unverified": span.unverified,
        "octets": span.octets,
        "bits_per_second": span.bits_per_second,
    }


def _keepalives(outer: Outer, keepalives: Keepalives) -> Json:
    return {
        **outer_as_json(outer),
        "first_time": keepalives.first_time / 1e9,
        "last_time": keepalives.last_time / 1e9,
        "packets": keepalives.count,
        "interval_ms": _ms(keepalives.interval_ns),
        "shortest_ms": _ms(keepalives.shortest),
        "longest_ms": _ms(keepalives.longest),
    }


def _ms(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / 1e6
