"""NATs by mapping and filtering behaviour (RFC 4787), port forwarding, and NAT64.

UDP and TCP are mapped by port. Native ESP and AH have none: with `native` the NAT remembers one
inner address for each remote address, whatever the SPI; without it they are dropped.
Deviation from RFC 5382: TCP mappings live as long as UDP ones and do not follow the connection.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from itertools import chain, islice
from random import Random

from scapy_mobsec.drivers.memory.expiring import Expiring
from scapy_mobsec.drivers.memory.network import SECOND, ChanceElement, Direction, Place
from scapy_mobsec.drivers.memory.packet import NATIVE, Packet
from scapy_mobsec.kinds import PORT, a, many, number, optional, whole
from scapy_mobsec.packet.ip import ICMP, ICMPV6, TCP, UDP
from scapy_mobsec.packet.path import Endpoint

_FIRST_PORT = 40_000
_LOWEST_PORT = 1024
_PORTS = 65_536

WELL_KNOWN_PREFIX = "64:ff9b::"
"""Of NAT64 (RFC 6052 section 2.1)."""


class Dependence(Enum):
    """What a mapping, or what it lets in, depends on (RFC 4787 sections 4.1 and 5)."""

    ENDPOINT_INDEPENDENT = "endpoint independent"
    ADDRESS = "address dependent"
    ADDRESS_AND_PORT = "address and port dependent"

    def key(self, remote: Endpoint) -> Endpoint | None:
        """Return what of a remote endpoint counts."""
        if self is Dependence.ENDPOINT_INDEPENDENT:
            return None
        return remote if self is Dependence.ADDRESS_AND_PORT else Endpoint(remote.address)


class Ports(Enum):
    """How a NAT chooses the outer port (RFC 4787 section 4.2)."""

    SEQUENTIAL = "sequential"
    RANDOM = "random"
    PRESERVED = "preserved"


_Key = tuple[int, Endpoint, Endpoint | None]
_Outer = tuple[int, Endpoint]


@dataclass(slots=True)
class _Mapping:
    """`admitted`: what was sent to, by what of it counts."""

    key: _Key
    inner: Endpoint
    outer: Endpoint
    admitted: Expiring[Endpoint | None, bool]
    forwarded: bool = False

    @property
    def outer_key(self) -> _Outer:
        """By what a packet from outside finds it."""
        protocol, _, remote = self.key
        if protocol in NATIVE and remote:  # one for each remote address: that is all there is
            return protocol, Endpoint(self.outer.address + remote.address)
        return protocol, self.outer


class Napt(ChanceElement):
    """A NAT that translates source address and port, and drops what it has no mapping for.

    external: its address, or a pool of them (an inner address keeps its own one: "paired").
    ports: how outer ports are chosen, or the very numbers. timeout: seconds without a packet from
    the inside after which a mapping is gone, None for never. native: pass ESP and AH. forwards:
    where packets to (protocol, port) of the first external address go (port forwarding, DNAT).
    Where no port is left, the packet is dropped, and counted in `exhausted` and in the label.
    """

    def __init__(
        self,
        external: str | Sequence[str],
        ports: Ports | Iterable[int] = Ports.SEQUENTIAL,
        *,
        mapping: Dependence = Dependence.ENDPOINT_INDEPENDENT,
        filtering: Dependence = Dependence.ENDPOINT_INDEPENDENT,
        timeout: float | None = None,
        native: bool = False,
        forwards: Mapping[tuple[int, int], Endpoint] | None = None,
    ) -> None:
        """Raises ValueError for what no NAT has; numbers of an iterator are not looked at."""
        super().__init__()
        pool = (external,) if isinstance(external, str) else external
        many(a(str), least=1, inside=Sequence).check("external", pool)
        a(Ports, Iterable).check("ports", ports)
        if isinstance(ports, Sequence):
            many(PORT, least=1, inside=Sequence).check("ports", ports)
        a(Dependence).check("mapping", mapping)
        a(Dependence).check("filtering", filtering)
        optional(number(0)).check("timeout", timeout)
        for _, port in forwards or ():
            whole(0, _PORTS - 1).check("forwards", port)
        self.exhausted = 0
        self._pool = [ip_address(address).packed for address in pool]
        self._preserves = ports is Ports.PRESERVED
        self._by_chance = ports is Ports.RANDOM
        self._numbers: Iterator[int] | None = None
        if not isinstance(ports, Ports):
            self._numbers = iter(ports)
        elif ports is not Ports.RANDOM:
            self._numbers = _sequential_ports()
        self.mapping, self.filtering = mapping, filtering
        self._lifetime = float("inf") if timeout is None else timeout * SECOND
        self._native = native
        self._forwards = dict(forwards or {})
        self.reboot()

    def placed(self, place: Place) -> None:
        super().placed(place)
        if self._numbers is None:
            self._numbers = _random_ports(self._random)

    def reboot(self) -> None:
        """Forget all mappings but the configured ones."""
        self._by_key: Expiring[_Key, _Mapping] = Expiring(self._lifetime, self._ended)
        self._by_inner: dict[_Outer, _Mapping] = {}  # the configured ones, which do not end
        self._by_outer: dict[_Outer, _Mapping] = {}
        self._full: set[tuple[int, bytes]] = set()  # until a mapping ends
        self._paired: dict[bytes, bytes] = {}
        for (protocol, port), inner in self._forwards.items():
            outer = Endpoint(self._pool[0], port)
            mapping = self._new_mapping((protocol, inner, None), inner, outer)
            mapping.forwarded = True
            self._by_inner[protocol, inner] = self._by_outer[mapping.outer_key] = mapping

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        self._by_key.purge(time_ns)
        if packet.too_big:
            outcome = self._error(packet, direction, time_ns)
        elif packet.protocol not in (UDP, TCP) and not (self._native and packet.protocol in NATIVE):
            return []
        elif direction is Direction.OUT:
            outcome = self._out(packet, time_ns)
        else:
            outcome = self._in(packet, time_ns)
        return [(0, outcome)] if outcome else []

    def label(self) -> str:
        text = f"NAT {', '.join(str(Endpoint(address)) for address in self._pool)}"
        words = [
            f"{name} {behaviour.value}"
            for name, behaviour in (("maps", self.mapping), ("filters", self.filtering))
            if behaviour is not Dependence.ENDPOINT_INDEPENDENT
        ]
        words += [
            f"{protocol}/{port} to {inner}" for (protocol, port), inner in self._forwards.items()
        ]
        if self.exhausted:
            words.append(f"packets without a port: {self.exhausted}")
        return f"{text} ({'; '.join(words)})" if words else text

    # the two ways of a packet

    def _out(self, packet: Packet, time_ns: int) -> Packet | None:
        remote = packet.destination
        mapping = self._mapping_of(packet.protocol, packet.source, remote, time_ns)
        if mapping is None:
            return None
        if not mapping.forwarded:
            self._by_key.put(mapping.key, mapping, time_ns)
        mapping.admitted.put(self.filtering.key(remote), True, time_ns)
        return packet._replace(source=mapping.outer)

    def _in(self, packet: Packet, time_ns: int) -> Packet | None:
        outer, remote = packet.destination, packet.source
        if packet.protocol in NATIVE:
            mapping = self._native_mapping(packet.protocol, outer, remote)
        else:
            mapping = self._by_outer.get((packet.protocol, outer))
        if mapping is None:
            return None
        admitted = mapping.admitted.get(self.filtering.key(remote), time_ns)
        if not mapping.forwarded and not admitted:
            return None
        return packet._replace(destination=mapping.inner)

    def _error(self, packet: Packet, direction: Direction, time_ns: int) -> Packet | None:
        """Translate an ICMP error with the packet that it is about (RFC 5508 section 4)."""
        if packet.too_big is None:
            return None
        original, outwards = packet.too_big.original, direction is Direction.OUT
        about = original.destination if outwards else original.source
        remote = original.source if outwards else original.destination
        mapping = self._find(original.protocol, about, remote, time_ns, outwards=outwards)
        if mapping is None:
            return None
        if outwards:
            original = original._replace(destination=mapping.outer)
            source, destination = Endpoint(mapping.outer.address), packet.destination
        else:
            original = original._replace(source=mapping.inner)
            source, destination = packet.source, Endpoint(mapping.inner.address)
        notice = packet.too_big._replace(original=original)
        return packet._replace(source=source, destination=destination, too_big=notice)

    # mappings

    def _find(
        self, protocol: int, about: Endpoint, remote: Endpoint, time_ns: int, *, outwards: bool
    ) -> _Mapping | None:
        if outwards:
            return self._known(self._key(protocol, about, remote), time_ns)
        if protocol in NATIVE:
            return self._native_mapping(protocol, about, remote)
        return self._by_outer.get((protocol, about))

    def _mapping_of(
        self, protocol: int, inner: Endpoint, remote: Endpoint, time_ns: int
    ) -> _Mapping | None:
        key = self._key(protocol, inner, remote)
        if mapping := self._known(key, time_ns):
            return mapping
        address = self._external_of(inner.address)
        if protocol in NATIVE:
            outer = Endpoint(address)
            if self._native_mapping(protocol, outer, remote):
                return None  # another host of the inside talks to this remote address
        else:
            found = self._free_endpoint(protocol, address, inner.port)
            if found is None:
                self.exhausted += 1
                return None
            outer = found
        mapping = self._new_mapping(key, inner, outer)
        self._by_outer[mapping.outer_key] = mapping
        return mapping

    def _known(self, key: _Key, time_ns: int) -> _Mapping | None:
        return self._by_inner.get(key[:2]) or self._by_key.get(key, time_ns)

    def _ended(self, mapping: _Mapping) -> None:
        del self._by_outer[mapping.outer_key]
        self._full.clear()

    def _native_mapping(self, protocol: int, outer: Endpoint, remote: Endpoint) -> _Mapping | None:
        mapping = self._by_outer.get((protocol, Endpoint(outer.address + remote.address)))
        return mapping or self._by_outer.get((protocol, outer))

    def _new_mapping(self, key: _Key, inner: Endpoint, outer: Endpoint) -> _Mapping:
        return _Mapping(key, inner, outer, Expiring(self._lifetime))

    def _key(self, protocol: int, inner: Endpoint, remote: Endpoint) -> _Key:
        if protocol in NATIVE:
            return (protocol, inner, Endpoint(remote.address))
        return (protocol, inner, self.mapping.key(remote))

    def _external_of(self, inner: bytes) -> bytes:
        if inner not in self._paired:
            self._paired[inner] = self._pool[len(self._paired) % len(self._pool)]
        return self._paired[inner]

    def _free_endpoint(self, protocol: int, address: bytes, wanted: int) -> Endpoint | None:
        """Return one that no mapping has, None if there is none left."""
        if self._numbers is None:
            self._numbers = _random_ports(self._random)
        if self._preserves and (protocol, Endpoint(address, wanted)) not in self._by_outer:
            return Endpoint(address, wanted)
        if (protocol, address) in self._full:
            return None
        numbers: Iterable[int] = islice(self._numbers, _PORTS)
        if self._by_chance:  # from a random one on (RFC 6056 section 3.3.1)
            start = next(self._numbers)
            numbers = chain(range(start, _PORTS), range(_LOWEST_PORT, start))
        for port in numbers:
            outer = Endpoint(address, port)
            if (protocol, outer) not in self._by_outer:
                return outer
        self._full.add((protocol, address))
        return None


class Nat64(Napt):
    """A stateful NAT64 (RFC 6146) between IPv6 inside and IPv4 outside; other IPv6 passes as it is.

    IPv4 addresses are the last 4 octets behind a /96 `prefix` (RFC 6052). UDP without a checksum
    is dropped, and so is all but UDP and TCP.
    """

    def __init__(
        self,
        external: str | Sequence[str],
        ports: Ports | Iterable[int] = Ports.SEQUENTIAL,
        *,
        prefix: str = WELL_KNOWN_PREFIX,
        filtering: Dependence = Dependence.ENDPOINT_INDEPENDENT,
        timeout: float | None = None,
    ) -> None:
        super().__init__(external, ports, filtering=filtering, timeout=timeout)
        self._prefix = ip_address(prefix).packed[:12]

    def forward(
        self, packet: Packet, direction: Direction, time_ns: int
    ) -> Sequence[tuple[int, Packet]]:
        to_ipv4 = packet.destination.address.startswith(self._prefix)
        if len(packet.source.address) == 16 and not (to_ipv4 and direction is Direction.OUT):
            return [(0, packet)]
        if not packet.checksum:
            return []
        if direction is Direction.OUT:
            return super().forward(self._to_ipv4(packet), direction, time_ns)
        return [
            (delay_ns, self._to_ipv6(outcome))
            for delay_ns, outcome in super().forward(packet, direction, time_ns)
        ]

    def label(self) -> str:
        return super().label().replace("NAT", "NAT64", 1)

    def _to_ipv4(self, packet: Packet) -> Packet:
        packet = packet._replace(destination=self._stripped(packet.destination))
        if packet.too_big is None:
            return packet
        original = packet.too_big.original
        original = original._replace(source=self._stripped(original.source))
        notice = packet.too_big._replace(original=original, mtu=packet.too_big.mtu - 20)
        return packet._replace(protocol=ICMP, too_big=notice)

    def _to_ipv6(self, packet: Packet) -> Packet:
        packet = packet._replace(source=self._prefixed(packet.source))
        if packet.too_big is None:
            return packet
        original = packet.too_big.original
        original = original._replace(destination=self._prefixed(original.destination))
        notice = packet.too_big._replace(original=original, mtu=packet.too_big.mtu + 20)
        return packet._replace(protocol=ICMPV6, too_big=notice)

    def _stripped(self, endpoint: Endpoint) -> Endpoint:
        return Endpoint(endpoint.address[12:], endpoint.port)

    def _prefixed(self, endpoint: Endpoint) -> Endpoint:
        return Endpoint(self._prefix + endpoint.address, endpoint.port)


def nat64_address(ipv4: str, prefix: str = WELL_KNOWN_PREFIX) -> str:
    """Return the IPv6 address, as text, by which a host behind NAT64 reaches an IPv4 address."""
    return str(Endpoint(ip_address(prefix).packed[:12] + ip_address(ipv4).packed))


def port_forwarding(
    external: str,
    inner: str,
    *,
    udp: Sequence[int] = (),
    tcp: Sequence[int] = (),
    native: bool = False,
) -> Napt:
    """Make a NAT with a gateway behind it, reached by forwarded ports (DNAT)."""
    forwards = {
        (protocol, port): Endpoint.of(inner, port)
        for protocol, ports in ((UDP, udp), (TCP, tcp))
        for port in ports
    }
    if native:
        forwards |= {(protocol, 0): Endpoint.of(inner) for protocol in NATIVE}
    return Napt(external, native=native, forwards=forwards)


def random_ports(seed: int) -> Iterator[int]:
    """Yield the ports that a NAPT chooses at random, the same ones for the same seed."""
    return _random_ports(Random(seed))


def _random_ports(random: Random) -> Iterator[int]:
    while True:
        yield random.randrange(_LOWEST_PORT, _PORTS)


def _sequential_ports() -> Iterator[int]:
    while True:
        yield from range(_FIRST_PORT, _PORTS)
