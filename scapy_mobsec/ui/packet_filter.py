"""`-Y key=value,value ... key!=value,value`: which packets are shown, and which parts of a report.

All terms must hold, and of one term any of its values, or with `!=` none. A filter chooses what is
shown; everything is followed and counted all the same.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from scapy_mobsec.observer.associations import ObservedSa
from scapy_mobsec.observer.ike_messages import IkeExchange
from scapy_mobsec.observer.ike_sa import ObservedIkeSa
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.observer.registrations import Registration
from scapy_mobsec.observer.report import Report
from scapy_mobsec.observer.seen import PacketType, SeenPacket
from scapy_mobsec.packet.path import Encapsulation

MAX_SELECTED = 65_536
"""Messages of a kind that are remembered as chosen: more than a report lists."""

Test: TypeAlias = Callable[[SeenPacket], bool]


class FilterError(ValueError):
    """A filter that cannot be read; one line for people."""


class PacketFilter:
    """What a packet must be. Without terms every packet passes."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """`texts`: each one or more terms with spaces between. Raises FilterError."""
        self._tests = [_test(term) for text in texts for term in text.split()]

    def __bool__(self) -> bool:
        return bool(self._tests)

    def passes(self, seen: SeenPacket) -> bool:
        """Whether a packet is shown."""
        return all(test(seen) for test in self._tests)


def _test(term: str) -> Test:
    key, equals, values = term.partition("=")
    negated = key.endswith("!")
    make = _KEYS.get(key.removesuffix("!"))
    if not equals or make is None:
        raise FilterError(f"filter {term!r}: not KEY=VALUE with a key of {', '.join(_KEYS)}")
    test = make(values.split(","))
    return (lambda seen: not test(seen)) if negated else test


def _of_type(values: Sequence[str]) -> Test:
    names = [each.value for each in PacketType]
    for value in values:
        if value not in names:
            raise FilterError(f"filter type={value}: not one of {', '.join(names)}")
    types = {PacketType(value) for value in values}
    return lambda seen: seen.type in types


def _of_encapsulation(values: Sequence[str]) -> Test:
    names = [*(each.value for each in Encapsulation), "ah"]
    for value in values:
        if value not in names:
            raise FilterError(f"filter encap={value}: not one of {', '.join(names)}")
    return lambda seen: seen.outer.carrier in values


def _of_spi(values: Sequence[str]) -> Test:
    spis = {_spi(value) for value in values}
    return lambda seen: seen.spi in spis


def _spi(value: str) -> int:
    digits = value.removeprefix("0x")
    base = 10 if digits == value else 16
    if digits.isascii() and digits.isalnum():
        try:
            spi = int(digits, base)
        except ValueError:
            spi = 0
        if 0 < spi < 2**32:
            return spi
    raise FilterError(f"filter spi={value}: not an SPI, like 0x1a2b3c4d or a decimal number")


def _of_inner(values: Sequence[str]) -> Test:
    networks = [_network(value) for value in values]

    def is_inside(seen: SeenPacket) -> bool:
        ends = [ip_address(address) for address in seen.inner or ()]
        return any(end in network for end in ends for network in networks)

    return is_inside


def _network(value: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value, strict=False)
    except ValueError as error:
        raise FilterError(f"filter inner={value}: not an address or ADDRESS/BITS") from error


_KEYS: dict[str, Callable[[Sequence[str]], Test]] = {
    "type": _of_type,
    "spi": _of_spi,
    "encap": _of_encapsulation,
    "inner": _of_inner,
}


class Selection:
    """Which parts of a report have a packet that a filter passed."""

    def __init__(self, packet_filter: PacketFilter) -> None:
        self._everything = not packet_filter
        self._sas: dict[int, ObservedSa] = {}
        self._asked: set[int] = set()
        """Frames of RREQs, for their registrations."""
        self._frames: set[int] = set()
        """Of moves and of IKE messages."""
        self._carried: set[Outer] = set()
        """Paths of keepalives and dummy packets."""

    def take(self, seen: SeenPacket) -> None:
        """Note a packet that passed."""
        if self._everything:
            return
        if seen.sa is not None:
            self._sas[id(seen.sa)] = seen.sa
        if seen.type in (PacketType.KEEPALIVE, PacketType.DUMMY):
            self._carried.add(seen.outer)
        if seen.registration is not None and len(self._asked) < MAX_SELECTED:
            self._asked.add(seen.registration.asked.frame)
        tells = seen.move is not None or seen.type is PacketType.IKE
        if tells and len(self._frames) < MAX_SELECTED:
            self._frames.add(seen.frame)

    def of(self, report: Report) -> Report:
        """The report with the chosen parts alone. Its counts and drops are those of everything."""
        if self._everything:
            return report
        return replace(
            report,
            sas=[sa for sa in report.sas if id(sa) in self._sas],
            registrations=self._registrations(report.registrations),
            refused=self._registrations(report.refused),
            moves=[move for move in report.moves if move.frame in self._frames],
            ike=[replace(sa, exchanges=kept) for sa in report.ike if (kept := self._of_ike(sa))],
            statistics=report.statistics.part(
                {sa.link for sa in self._sas.values()}, self._frames, self._carried
            ),
        )

    def _registrations(self, entries: list[Registration]) -> list[Registration]:
        return [entry for entry in entries if entry.asked.frame in self._asked]

    def _of_ike(self, sa: ObservedIkeSa) -> list[IkeExchange]:
        return [
            exchange
            for exchange in sa.exchanges
            if any(seen.frame in self._frames for seen in exchange.messages)
        ]
