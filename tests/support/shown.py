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
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.report import Report
from scapy_mobsec.ui.decode import given_keys
from scapy_mobsec.ui.diagram import diagrams

ROOT = Path(__file__).parents[2]
EXPECTED = ROOT / "tests" / "data" / "shown"
WITH_IKE_KEYS = "strongswan-natt.ike"
CAPTURES = ("handover-nat", "strongswan-natt", WITH_IKE_KEYS, "nat64")
"""Samples and a scenario, whose views are in EXPECTED, 80 columns wide."""


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
    """Observe a sample, with the keys of its SAs or of IKE, or the capture of a scenario.

    side: of a scenario, at which of its ends; None: the one that it shows.
    """
    sample = ROOT / "pcaps" / f"{name.removesuffix('.ike')}.pcap"
    if sample.exists():
        keys = sample.with_suffix(".ike.keys.txt" if name == WITH_IKE_KEYS else ".esp_sa")
        table = given_keys([str(keys)], Console(quiet=True))
        with open_capture(sample) as stream:
            frames = [(each.time_ns, each.data, each.link_type) for each in read_records(stream)]
    else:
        result = result_of(name)
        text = io.StringIO()
        write_esp_sa(result.sas, text)
        text.seek(0)
        table = KeyTable()
        table.extend(read_keys(text, name))
        frames = [(*each, 101) for each in result.captures[side or result.shown]]
    packets = []
    observer = Observer(table, table.ike_keys, on_packet=packets.append)
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
