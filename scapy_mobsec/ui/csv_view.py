"""`-T csv`: one line for each packet of mobile IPsec, written as soon as it was observed."""

import csv
from functools import lru_cache
from typing import TextIO

from scapy_mobsec.drops import Drop
from scapy_mobsec.esp.sa import Opened
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.observer.seen import PacketType, SeenPacket
from scapy_mobsec.packet.ip import IPV4, IPV6, parse_ip
from scapy_mobsec.packet.path import address_text
from scapy_mobsec.ui.message_text import message_text

COLUMNS = (
    "time",
    "frame",
    "type",
    "link",
    "spi",
    "sequence",
    "encapsulation",
    "source",
    "destination",
    "length",
    "verified",
    "dropped",
    "inner_source",
    "inner_destination",
    "protocol",
    "inner_length",
    "message",
)

MAX_TEXTS = 4096
"""Paths and addresses whose texts are remembered: most packets have those of the one before."""

Cell = str | int | None


class CsvView:
    """Writes packets to a text stream. The first line names the columns."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def take(self, seen: SeenPacket) -> None:
        """Write a packet. An empty cell: not known, or not there."""
        outer, opened = seen.outer, seen.opened
        cells: list[Cell] = [
            f"{seen.time_ns // 10**9}.{seen.time_ns % 10**9:09d}",
            seen.frame,
            seen.type.value,
            seen.sa.link if seen.sa is not None and opened is not None else None,
            None if seen.spi is None else f"0x{seen.spi:08x}",
            seen.sequence,
            *_outside(outer),
            seen.length,
            _verified(seen),
            None if seen.dropped is None else seen.dropped.name.lower(),
            *_inner(opened),
            None if seen.message is None else message_text(seen.message),
        ]
        self._writer.writerow(cells)


@lru_cache(MAX_TEXTS)
def _outside(outer: Outer) -> tuple[str, str, str]:
    return outer.carrier, str(outer.source_endpoint), str(outer.destination_endpoint)


_address = lru_cache(MAX_TEXTS)(address_text)


def _verified(seen: SeenPacket) -> Cell:
    """Empty for what is not ESP or AH."""
    if seen.type in (PacketType.IKE, PacketType.KEEPALIVE):
        return None
    return "true" if seen.opened is not None and seen.opened.verified else "false"


def _inner(opened: Opened | None) -> list[Cell]:
    """Source, destination, protocol and length; in transport mode there are no addresses."""
    if opened is None:
        return [None] * 4
    if opened.next_header not in (IPV4, IPV6):
        return [None, None, opened.next_header, len(opened.payload)]
    try:
        ip = parse_ip(opened.payload)
    except Drop:
        return [None, None, None, len(opened.payload)]
    return [_address(ip.source), _address(ip.destination), ip.protocol, len(opened.payload)]
