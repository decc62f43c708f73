"""`mobsec decode --both-ends`: two captures of one run, and what happened between them."""

import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from heapq import merge
from operator import itemgetter
from typing import Any

from rich.console import Console
from rich.table import Table

from scapy_mobsec.drivers.capture import (
    Record,
    read_records,
)
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.observer.both_ends import (
    BothEnds,
    LinkAtBothEnds,
    Place,
    SaAtBothEnds,
    translations,
)
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.translation import describe_all
from scapy_mobsec.ui.decode import given_keys, given_tls_keys, opened_capture, secrets_into
from scapy_mobsec.ui.tables import add_row, shown, table_of
from scapy_mobsec.ui.views import widen_pipe

TO_SECOND, TO_FIRST, UNKNOWN = "first to second", "second to first", "unknown"


def run_both_ends(
    captures: Sequence[str],
    keys: Sequence[str] | None,
    tls_keys: Sequence[str],
    tcp_ports: Sequence[int],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare two captures, read side by side in the order of time, and print it.

    Raises BadInput for captures and key files that cannot be used.
    """
    messages = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, quiet=quiet)
    key_log, table = given_tls_keys(tls_keys), given_keys(keys, messages)
    both = BothEnds()
    observers = [
        Observer(
            table,
            table.ike_keys,
            tls_keys=key_log,
            tcp_ports=tcp_ports,
            on_packet=partial(both.take, place),
        )
        for place in Place
    ]
    sides = [_records(place, name, key_log) for place, name in zip(Place, captures, strict=True)]
    for _, place, record in merge(*sides, key=itemgetter(0)):
        observer = observers[place]
        observer.feed(record.time_ns, record.data, record.link_type, record.original_length)
    for observer in observers:
        observer.finish()
    links = list(both.links())
    if as_json:
        sys.stdout.write(json.dumps({"links": [_link(link) for link in links]}, indent=2) + "\n")
        return
    console = Console(highlight=False)
    widen_pipe(console)
    if not links:
        console.print("Neither capture has a packet that a key opens.")
    for link in links:
        console.print(_table(link))


def _records(place: Place, name: str, tls_keys: KeyLog) -> Iterator[tuple[int, Place, Record]]:
    with opened_capture(name) as stream:
        for record in read_records(stream, secrets_into(tls_keys, name)):
            yield record.time_ns, place, record


def _by_direction(link: LinkAtBothEnds) -> Iterator[tuple[str, SaAtBothEnds]]:
    of_direction = ((TO_SECOND, link.to_second), (TO_FIRST, link.to_first), (UNKNOWN, link.unknown))
    for direction, sas in of_direction:
        for sa in sas:
            yield direction, sa


def _lost(direction: str, sa: SaAtBothEnds) -> int | None:
    """Packets that the sender's end has and the other has not; None if it is not known whose."""
    if direction == UNKNOWN:
        return None if any(sa.only_at) or not sa.matched else 0
    return sa.only_at[Place.FIRST if direction == TO_SECOND else Place.SECOND]


def _table(link: LinkAtBothEnds) -> Table:
    name = "SAs of no link" if link.link is None else f"Link {link.link}"
    took = link.round_trip_ns
    there_and_back = "" if took is None else f": {took / 1e6:.3f} ms there and back, at least"
    if link.clock_difference_ns is not None:
        clocks = f"{link.clock_difference_ns / 1e6:+.3f} ms"
        there_and_back += f"\nSecond clock: {clocks}, if both ways take the same"
    table = table_of(name + there_and_back, "SA", "Packets, outer headers in the first")
    for direction, sa in shown(table, list(_by_direction(link))):
        lost, (first, second) = _lost(direction, sa), sa.only_at
        lines = [f"0x{sa.spi:08x}, {direction}", f"{sa.matched} in both"]
        alone = [f"{first} in the first alone", f"{second} in the second alone"]
        lines += alone if lost is None else [f"{lost} lost"]
        if sa.unverified:
            lines.append(f"{sa.unverified} NOT VERIFIED")
        if sa.matched:
            lines += _times(direction, sa, link.clock_difference_ns)
        add_row(table, "\n".join(lines), "\n".join(_changes(direction, sa)))
        table.add_section()
    return table


def _times(direction: str, sa: SaAtBothEnds, clocks_ns: int | None) -> list[str]:
    """How long packets took; of one direction alone the clocks cannot be told apart from that."""
    delays = _delays(direction, sa, clocks_ns)
    if delays is not None:
        return [f"took {delays[0] / 1e6:.3f} to {delays[1] / 1e6:.3f} ms"]
    times = f"{sa.least_ns / 1e6:.3f} to {sa.most_ns / 1e6:.3f} ms"
    return ["second minus first:", times, "clock difference included"]


def _delays(direction: str, sa: SaAtBothEnds, clocks_ns: int | None) -> tuple[int, int] | None:
    """The least and the most that the clocks leave, None where nothing tells their difference."""
    if clocks_ns is None or not sa.matched:
        return None
    least, most = sa.least_ns - clocks_ns, sa.most_ns - clocks_ns
    return (least, most) if direction == TO_SECOND else (-most, -least)


def _changes(direction: str, sa: SaAtBothEnds) -> Iterator[str]:
    for change, packets in sa.changes.items():
        told = describe_all(translations(change, sa.spi, to_second=direction != TO_FIRST))
        yield f"{packets} x {change.first}"
        yield from told or ["not translated"]


def _link(link: LinkAtBothEnds) -> dict[str, Any]:
    took = link.round_trip_ns
    return {
        "link": link.link,
        "round_trip_ms": _ms(took),
        "clock_difference_ms": _ms(link.clock_difference_ns),
        "sas": [
            _sa(direction, sa, link.clock_difference_ns) for direction, sa in _by_direction(link)
        ],
    }


def _ms(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / 1e6


def _sa(direction: str, sa: SaAtBothEnds, clocks_ns: int | None) -> dict[str, Any]:
    first, second = sa.only_at
    least, most = _delays(direction, sa, clocks_ns) or (None, None)
    return {
        "spi": f"0x{sa.spi:08x}",
        "direction": direction,
        "in_both": sa.matched,
        "in_first_alone": first,
        "in_second_alone": second,
        "lost": _lost(direction, sa),
        "unverified": sa.unverified,
        "least_difference_ms": sa.least_ns / 1e6 if sa.matched else None,
        "most_difference_ms": sa.most_ns / 1e6 if sa.matched else None,
        "least_delay_ms": _ms(least),
        "most_delay_ms": _ms(most),
        "paths": [
            {
                "packets": packets,
                "first": str(change.first),
                "second": str(change.second),
                "translations": describe_all(
                    translations(change, sa.spi, to_second=direction != TO_FIRST)
                ),
            }
            for change, packets in sa.changes.items()
        ],
    }
