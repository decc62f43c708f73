"""Scapy packets for the observer: their times and link types, and what it opens them with."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike, fspath
from typing import TypeAlias

from scapy.config import conf
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet
from scapy.utils import EDecimal

from scapy_mobsec.drivers.keyfiles import KeyTable, load_keys, read_key_log
from scapy_mobsec.encap.key_log import KeyLog
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.observer.associations import KeySource
from scapy_mobsec.observer.observer import Observer
from scapy_mobsec.observer.seen import SeenPacket

Paths: TypeAlias = str | PathLike[str] | Iterable[str | PathLike[str]]
Keys: TypeAlias = KeyTable | Paths
"""Keys, or the names of the files that have them."""

_UNKNOWN_LINK_TYPE = -1
_PORTS = range(1, 1 << 16)


@dataclass(frozen=True, slots=True)
class ObserverKeys:
    """What an observer opens packets with, and where it reads streams in any case."""

    source: KeySource
    ike_keys: tuple[IkeSaKeys, ...]
    tls_keys: KeyLog = field(repr=False)
    tcp_ports: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, keys: Keys | None, tls_keys: Paths | None = None, tcp_ports: Iterable[int] = ()
    ) -> "ObserverKeys":
        """Read what is given by its file's name.

        Raises KeyFileError, OSError; TypeError for what is no keys, ValueError for no TCP ports.
        """
        ports = tuple(tcp_ports)
        if not all(isinstance(port, int) and port in _PORTS for port in ports):
            raise ValueError(f"tcp_ports are numbers from 1 to 65535, not {tcp_ports!r}")
        table = keys if isinstance(keys, KeyTable) else load_keys(*_names(keys))
        key_log = KeyLog()
        for name in _names(tls_keys):
            read_key_log(name, key_log)
        return cls(table, tuple(table.ike_keys), key_log, ports)

    def observer(self, on_packet: Callable[[SeenPacket], None] | None = None) -> Observer:
        """Make an observer that has seen nothing yet."""
        return Observer(
            self.source,
            self.ike_keys,
            tls_keys=self.tls_keys,
            tcp_ports=self.tcp_ports,
            on_packet=on_packet,
        )


def feed(observer: Observer, packet: Packet, octets: bytes | None = None) -> None:
    """Give an observer a packet. octets: those of the wire, if not what it builds.

    How long it was on the wire counts as long as it is what was captured.
    """
    if octets is None:
        # Of a record without octets, Scapy makes a header with its defaults.
        dissected = packet.original or packet.raw_packet_cache
        octets = bytes(packet) if dissected or packet.wirelen is None else b""
    changed = packet.original and packet.original != octets
    link_type = conf.l2types.layer2num.get(type(packet), _UNKNOWN_LINK_TYPE)
    time_ns = round(Decimal(packet.time) * 10**9)
    observer.feed(time_ns, octets, link_type, None if changed else packet.wirelen)


def packet_time(time_ns: int) -> EDecimal:
    """The time of a Scapy packet, exact to the nanosecond."""
    return EDecimal(Decimal(time_ns).scaleb(-9))


def ip_packet(octets: bytes) -> Packet:
    """Dissect an IPv4 or IPv6 packet."""
    return (IPv6 if octets[0] >> 4 == 6 else IP)(octets)


def _names(paths: Paths | None) -> Iterator[str]:
    """All names. Raises TypeError, which shows nothing of what was given: that may be keys."""
    several = (paths,) if isinstance(paths, str | PathLike) else () if paths is None else paths
    is_several = isinstance(several, Iterable) and not isinstance(several, Mapping | bytes)
    for path in several if is_several else (several,):
        if not isinstance(path, str | PathLike):
            what = "a table of load_keys, or names of files"
            raise TypeError(f"keys are {what}, not {type(path).__name__}")
        yield fspath(path)
