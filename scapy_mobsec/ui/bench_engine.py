"""Figures of the other terminal: registrations per second on one core, and what a link costs.

A transaction is a datagram with an RREQ in and the datagram with its RREP out: `receive`, then
`transmits`. The RREQs are X's own, padded and sealed before the clock runs; seconds are those of
the processor. Beside them, in the same run, a bare prototype: it opens the same datagrams, unpacks
values at fixed places and seals a reply of the same length that was built beforehand. It checks,
decides and remembers nothing, so it is the upper bound on this machine.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from itertools import count
from pathlib import Path as FilePath
from statistics import median
from struct import Struct
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from contrib_layers.numbers import NATT_PORT
from scapy_mobsec.esp.sa import InboundSa, OutboundSa, SaParameters
from scapy_mobsec.esp.spi_table import FIRST_SPI, SpiTable
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import Description
from scapy_mobsec.registration.messages import parse_reply
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.terminal.config import LinkParameters, MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.driving import Transmit
from scapy_mobsec.terminal.exchange import PADDED_LENGTHS, Exchange
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.requests import Requests

_ROUND = 1_000
"""Transactions in one round."""

_SAMPLE = 5_000
"""Links that register, at most, where many are there."""

_LOOKUPS = 100_000
_STRIDE = 7_919
_NOW = 1_800_000_000.0
_LIFETIME = 3600
_SUITE = SUITES["aes-gcm-16"]
_SIGNALLING = ip_address("10.255.0.1").packed
_OTHER = Endpoint.of("203.0.113.2", NATT_PORT)
_FIRST_HOME = int(ip_address("10.0.0.1"))
_FIRST_LOCAL = int(ip_address("172.16.0.1"))
_FIRST_OUTSIDE = int(ip_address("198.18.0.1"))
_VALUES = Struct(">12x4s4sHHHHBBH4s4s4sQ10xIBBBx13x4s4s3xHH3xI")
"""Of an RREQ from behind IPv4 and UDP: inner headers, fixed part, ATTEMPT and SENT."""

EXPLANATION = (
    "An RREQ in, its RREP out: carrier, ESP, acceptance, comparison, binding, RREP, ESP.\n"
    "move: the first RREQ of a new attempt, from a new address behind a NAT; answered with a"
    " challenge.\n"
    "refresh: another RREQ of that attempt, on a path that is validated.\n"
    "bare prototype: ESP, values at fixed places, a reply built beforehand, ESP; the upper bound."
)

_Datagram: TypeAlias = tuple[bytes, Path]


@dataclass(frozen=True, slots=True)
class RateFigure:
    """Transactions per second of one kind; `ratio`: of its median to the prototype's."""

    transaction: str
    octets_in: int
    octets_out: int
    median: float
    best: float
    ratio: float


@dataclass(frozen=True, slots=True)
class LinksFigure:
    """Y with so many links: moves per second, each on another link; nanoseconds of a look-up."""

    links: int
    moves: float
    lookup: float


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What one run measured. Octets of memory: of a link, and what its registration adds."""

    rates: tuple[RateFigure, ...]
    links: tuple[LinksFigure, ...]
    link_octets: float
    registration_octets: float


class _Mobile:
    """X's end of link `number`: it writes RREQs as X does, and waits for nothing."""

    def __init__(self, number: int) -> None:
        parameters = _link(number, at_mobile=True)
        self._link = Link(parameters, at_mobile=True, random_bytes=os.urandom)
        configuration = MobileConfiguration(parameters, _OTHER, _LIFETIME)
        self._requests = Requests(configuration, self._link, self._describe, None)
        self._places = count(number)
        self._next_place()

    def _next_place(self) -> None:
        place = next(self._places)
        local = Endpoint((_FIRST_LOCAL + place % (1 << 20)).to_bytes(4), NATT_PORT)
        outside = Endpoint((_FIRST_OUTSIDE + place % (1 << 17)).to_bytes(4), 1024 + place % 64_000)
        self._path = Path(Encapsulation.UDP, local, _OTHER)
        self._path_at_other = Path(Encapsulation.UDP, _OTHER, outside)

    def _describe(self, path: Path) -> Description:
        return describe(path.encapsulation, path.local, path.remote, self._link.outbound_spi())

    def move(self) -> _Datagram:
        """Return the RREQ of a new attempt, from behind a NAT where this X never was."""
        self._next_place()
        self._requests.next_attempt()
        return self.refresh()

    def refresh(self) -> _Datagram:
        """Return an RREQ of the present attempt, as it reaches Y."""
        exchange = Exchange(self._path, _LIFETIME, _NOW, _NOW)
        identification = self._requests.identifications.next(_NOW)
        message = self._requests.write(exchange, identification, None, PADDED_LENGTHS[0])
        return self._link.seal_message(message), self._path_at_other

    def confirm(self, packet: bytes) -> _Datagram:
        """Return the CONFIRM that answers the challenge in a datagram of Y."""
        reply = parse_reply(self._link.mode.unwrap(self._link.inbound[0].open(packet))[1])
        message = self._requests.confirm(reply, self._path, _NOW)
        return self._link.seal_message(message), self._path_at_other


def _link(number: int, *, at_mobile: bool) -> LinkParameters:
    to_other, to_mobile = (
        SaParameters(FIRST_SPI + 2 * number + each, _SUITE, (2 * number + each).to_bytes(20))
        for each in range(2)
    )
    inbound, outbound = (to_mobile, to_other) if at_mobile else (to_other, to_mobile)
    home = (_FIRST_HOME + number).to_bytes(4)
    return LinkParameters(home, _SIGNALLING, (inbound,), outbound)


def _other_terminal(links: int) -> OtherTerminal:
    terminal = OtherTerminal(OtherConfiguration(max_sas=links), random_bytes=os.urandom)
    for number in range(links):
        terminal.add_link(_link(number, at_mobile=False))
    return terminal


def _register(terminal: OtherTerminal, datagrams: Sequence[_Datagram]) -> tuple[float, int]:
    """Carry out transactions; return how many a second there were, and the octets of an RREP.

    Raises RuntimeError where an RREQ was not answered.
    """
    receive, transmits = terminal.receive, terminal.transmits
    started = time.process_time()
    for data, path in datagrams:
        receive(data, path, _NOW)
        output = transmits(_NOW)
    seconds = time.process_time() - started
    if terminal.drops or len(output) != 1 or not isinstance(output[0], Transmit):
        raise RuntimeError(f"a registration was dropped: {dict(terminal.drops)}")
    while terminal.next_event():
        pass
    return len(datagrams) / seconds, len(output[0].data)


def _moves_round() -> tuple[OtherTerminal, list[_Datagram]]:
    mobile = _Mobile(0)
    return _other_terminal(1), [mobile.move() for _ in range(_ROUND)]


def _refreshes_round() -> tuple[OtherTerminal, list[_Datagram]]:
    terminal, mobile = _other_terminal(1), _Mobile(0)
    terminal.receive(*mobile.move(), _NOW)
    (reply,) = terminal.transmits(_NOW)
    if isinstance(reply, Transmit):
        terminal.receive(*mobile.confirm(reply.data), _NOW)
    return terminal, [mobile.refresh() for _ in range(_ROUND)]


def _prototype(datagrams: Sequence[_Datagram], octets_out: int) -> float:
    """Return how many of the same datagrams the bare prototype handles a second."""
    parameters = _link(0, at_mobile=False)
    inbound = InboundSa(parameters.inbound[0])
    outbound = OutboundSa(_link(0, at_mobile=True).inbound[0], random_bytes=os.urandom)
    reply = bytes(octets_out - outbound.sealed_length(2) + 2)
    started = time.process_time()
    for data, _ in datagrams:
        _VALUES.unpack_from(inbound.open(data).payload)
        outbound.seal(reply, 4)
    return len(datagrams) / (time.process_time() - started)


def _rates(seconds: float) -> tuple[RateFigure, ...]:
    kinds: dict[str, Callable[[], tuple[OtherTerminal, list[_Datagram]]]] = {
        "move": _moves_round,
        "refresh": _refreshes_round,
    }
    names = ("bare prototype", *kinds)
    rates: dict[str, list[float]] = {name: [] for name in names}
    octets = dict.fromkeys(names, (0, 0))
    ends = time.monotonic() + seconds
    while len(rates["move"]) < 3 or time.monotonic() < ends:
        for name, prepare in kinds.items():
            terminal, datagrams = prepare()
            rate, octets_out = _register(terminal, datagrams)
            rates[name].append(rate)
            octets[name] = len(datagrams[-1][0]), octets_out
        rates[names[0]].append(_prototype(datagrams, octets_out))
        octets[names[0]] = octets[name]
    bound = median(rates[names[0]])
    return tuple(
        RateFigure(name, *octets[name], median(found), max(found), median(found) / bound)
        for name, found in rates.items()
    )


def _links(counts: Sequence[int]) -> tuple[tuple[LinksFigure, ...], float, float]:
    """Measure the largest number of links first, while no memory is free to be used again."""
    figures: list[LinksFigure] = []
    link_octets = registration_octets = 0.0
    for links in sorted(counts, reverse=True):
        sample = [_Mobile(number) for number in range(0, links, -(-links // _SAMPLE))]
        first = [mobile.move() for mobile in sample]
        moves = [each.move() for _ in range(-(-_ROUND // len(sample))) for each in sample]
        before = _resident()
        terminal = _other_terminal(links)
        added = _resident()
        _register(terminal, first)
        if not figures:
            link_octets = (added - before) / links
            registration_octets = (_resident() - added) / len(sample)
        rate = _register(terminal, moves)[0]
        figures.append(LinksFigure(links, rate, _lookup(links)))
    return tuple(reversed(figures)), link_octets, registration_octets


def _lookup(links: int) -> float:
    """Return the nanoseconds of a look-up in an SPI table, in no order that helps."""
    table = SpiTable(links)
    for number in range(links):
        table.add(InboundSa(_link(number, at_mobile=False).inbound[0]))
    spis = [FIRST_SPI + 2 * (number * _STRIDE % links) for number in range(_LOOKUPS)]
    get = table.get
    started = time.process_time()
    for spi in spis:
        get(spi)
    return (time.process_time() - started) / _LOOKUPS * 1e9


def _resident() -> int:
    """Return the octets of memory that this process has (Linux, proc(5))."""
    pages = int(FilePath("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def engine_figures(links: int = 100_000, seconds: float = 10.0) -> EngineFigures:
    """Measure with 1, 1,000 and `links` links; `seconds` for the rates, preparations included."""
    counts = sorted({1, min(1_000, links), links})
    figures, link_octets, registration_octets = _links(counts)
    return EngineFigures(_rates(seconds), figures, link_octets, registration_octets)


def bench_engine(console: Console, figures: EngineFigures, as_json: bool = False) -> None:
    """Show the figures as tables for people, or as one JSON object for programs."""
    if as_json:
        console.print_json(data={"unit": "1/s", "engine": asdict(figures)})
        return
    table = Table(title="The other terminal, transactions per second and core")
    table.add_column("transaction")
    for name in ("octets in", "octets out", "median", "best", "of the prototype"):
        table.add_column(name, justify="right")
    for rate in figures.rates:
        octets = str(rate.octets_in), str(rate.octets_out)
        rates = f"{rate.median:,.0f}", f"{rate.best:,.0f}", f"{rate.ratio:.0%}"
        table.add_row(rate.transaction, *octets, *rates)
    console.print(table)
    console.print(EXPLANATION)
    table = Table(title="With many links")
    for name in ("links", "moves per second", "look-up, ns"):
        table.add_column(name, justify="right")
    for each in figures.links:
        table.add_row(f"{each.links:,}", f"{each.moves:,.0f}", f"{each.lookup:.0f}")
    console.print(table)
    console.print(
        f"Memory: {figures.link_octets:,.0f} octets a link,"
        f" {figures.registration_octets:,.0f} more once it is registered"
        f" (resident, with {figures.links[-1].links:,} links)."
    )
