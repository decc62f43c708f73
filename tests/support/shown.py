"""What the observer makes of whole captures: samples, and scenarios as their link showed them."""

import io
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from stories import result_of

from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.drivers.keyfiles import KeyTable, read_keys, write_esp_sa
from scapy_mobsec.observer.ladder import Ladders
from scapy_mobsec.observer.observer import Observer, Report
from scapy_mobsec.ui.diagram import diagrams

ROOT = Path(__file__).parents[2]
EXPECTED = ROOT / "tests" / "data" / "shown"
CAPTURES = ("handover-nat", "strongswan-natt", "nat64")
"""Two samples and a scenario, whose views are in EXPECTED, 80 columns wide."""


class Shown(NamedTuple):
    """A report, and all that on_packet got."""

    report: Report
    packets: list

    @property
    def diagrams(self):
        ladders = Ladders()
        for seen in self.packets:
            ladders.take(seen)
        return diagrams(ladders.ladders(), self.report)


@cache
def shown(name, side=None):
    """Observe a sample, or the capture of a scenario at one of its sides (None: the shown one)."""
    sample = ROOT / "pcaps" / f"{name}.pcap"
    if sample.exists():
        with sample.with_suffix(".esp_sa").open() as text, open_capture(sample) as stream:
            keys = read_keys(text, name)
            frames = [(each.time_ns, each.data, each.link_type) for each in read_records(stream)]
    else:
        result = result_of(name)
        text = io.StringIO()
        write_esp_sa(result.sas, text)
        text.seek(0)
        keys = read_keys(text, name)
        frames = [(*each, 101) for each in result.captures[side or result.shown]]
    table = KeyTable()
    table.extend(keys)
    packets = []
    observer = Observer(table, on_packet=packets.append)
    for frame in frames:
        observer.feed(*frame)
    observer.finish()
    return Shown(observer.report(), packets)


def printed(show, *arguments, width=80, encoding="utf-8"):
    """What a view prints; its console comes last."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    show(*arguments, Console(file=stream, width=width, highlight=False, markup=False))
    stream.flush()
    return raw.getvalue().decode(encoding)
