"""How data flowed, as tables for people."""

from rich.table import Table
from rich.text import Text

from scapy_mobsec.observer.statistics import Handover, Interruption, Statistics
from scapy_mobsec.ui.tables import add_row, at_text, shown, table_of


def data_table(statistics: Statistics, start_ns: int) -> Table | None:
    """The data of all links, path by path in the order of time."""
    rows = [(link.number, span) for link in statistics.links for span in link]
    if not rows:
        return None
    rows.sort(key=lambda row: (row[0], row[1].first_time))
    table = table_of("Data", "Link", "Path", "Packets", "Octets", "Mbit/s")
    for number, span in shown(table, rows):
        rate = span.bits_per_second
        times = f"{at_text(span.first_time, start_ns)} to {at_text(span.last_time, start_ns)}"
        counts = str(span.packets), str(span.octets), "" if rate is None else f"{rate / 1e6:.3f}"
        path = Text(f"{span.outer}\n{times}")
        if span.unverified:
            path.append(f"\n{span.unverified} NOT VERIFIED", style="bold red")
        add_row(table, str(number), path, *counts)
    return table


def keepalives_table(statistics: Statistics) -> Table | None:
    """NAT keepalives and dummy packets, path by path."""
    if not statistics.keepalives:
        return None
    table = table_of("Keepalives", "Path", "Packets", "Interval (mean)")
    for outer, each in shown(table, list(statistics.keepalives.items())):
        text = ""
        if each.interval_ns is not None and each.shortest is not None and each.longest is not None:
            text = f"{each.shortest / 1e9:.3f} to {each.longest / 1e9:.3f} s"
            text += f" ({each.interval_ns / 1e9:.3f} s)"
        add_row(table, str(outer), str(each.count), text)
    return table


def pause_lines(handover: Handover | None) -> list[str]:
    """How long a move stopped the data of both directions, a line each; none where unknown."""
    if handover is None:
        return []
    both = ("to", handover.to_peer), ("from", handover.from_peer)
    return [f"gap {name} peer {text}" for name, each in both if (text := _pause_text(each))]


def _pause_text(interruption: Interruption) -> str:
    duration, missing = interruption.duration_ns, interruption.missing
    if duration is None:
        return ""
    text = f"{duration / 1e6:.3f} ms"
    if missing:
        text += f", {missing} missing"
    return text if interruption.verified else f"{text}, NOT VERIFIED"
