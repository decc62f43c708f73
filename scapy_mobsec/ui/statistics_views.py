"""How data flowed, as tables for people."""

from rich.table import Table

from scapy_mobsec.observer.statistics import Handover, Interruption, Statistics
from scapy_mobsec.ui.tables import add_row, at_text, shown, table_of


def data_table(statistics: Statistics, start_ns: int) -> Table | None:
    """The data of all links, path by path in the order of time."""
    rows = [(link.number, span) for link in statistics.links for span in link]
    if not rows:
        return None
    rows.sort(key=lambda row: (row[0], row[1].first_time))
    table = table_of("Data", "Link", "Path", "From", "To", "Packets", "Octets", "Mbit/s")
    for number, span in shown(table, rows):
        rate = span.bits_per_second
        times = (at_text(each, start_ns) for each in (span.first_time, span.last_time))
        counts = str(span.packets), str(span.octets), "" if rate is None else f"{rate / 1e6:.3f}"
        add_row(table, str(number), str(span.outer), *times, *counts)
    return table


def keepalives_table(statistics: Statistics) -> Table | None:
    """NAT keepalives and dummy packets, path by path."""
    if not statistics.keepalives:
        return None
    table = table_of("Keepalives", "Path", "Packets", "Interval", "Shortest", "Longest")
    for outer, each in shown(table, list(statistics.keepalives.items())):
        intervals = (each.interval_ns, each.shortest, each.longest)
        texts = ("" if time is None else f"{time / 1e9:.3f} s" for time in intervals)
        add_row(table, str(outer), str(each.count), *texts)
    return table


def pause_lines(handover: Handover | None) -> list[str]:
    """How long a move stopped the data of both directions, a line each; none where unknown."""
    if handover is None:
        return []
    both = ("to peer", handover.to_peer), ("from peer", handover.from_peer)
    return [f"{name}: {text}" for name, each in both if (text := _pause_text(each))]


def _pause_text(interruption: Interruption) -> str:
    duration, missing = interruption.duration_ns, interruption.missing
    if duration is None:
        return ""
    text = f"no data for {duration / 1e6:.3f} ms"
    return f"{text}, {missing} missing" if missing else text
