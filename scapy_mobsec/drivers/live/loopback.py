"""Both terminals on the loopback interface, with real sockets, and networks between them.

    X  127.10.0.2 -- home:   NAT 127.0.2.1, 25 ms each way --------+
    X  127.20.0.2 -- mobile: NAT 127.0.2.2, 25 ms -----------------+
    X  127.30.0.2 -- hotel:  TCP alone, NAT 127.0.2.3, 25 ms ------+-- 127.0.113.2  Y -- 10.10.2.1
    X  127.40.0.2 -- office: an HTTP proxy alone, 127.0.2.4, 25 ms +
    X  127.51.100.2 -- nothing between ----------------------------+

Nothing of it needs rights: `Detour` and `Translator` are what routes and routers do elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from errno import EADDRINUSE
from ipaddress import ip_address
from math import inf
from os import urandom

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.drivers.live.datagrams import Datagrams
from scapy_mobsec.drivers.live.detour import Detour
from scapy_mobsec.drivers.live.frames import Frames
from scapy_mobsec.drivers.live.host import LiveHost, MobileHost
from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.streams import Streams
from scapy_mobsec.drivers.live.translator import Translator
from scapy_mobsec.drivers.memory.chart import chart
from scapy_mobsec.drivers.memory.http_relay import Rewriting
from scapy_mobsec.drivers.scenarios.scenario import ScenarioResult
from scapy_mobsec.drivers.simulation import HOME, INNER_HOST, SIGNALLING
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.spi_table import FIRST_SPI
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.icmp import echo_reply, echo_request
from scapy_mobsec.packet.ip import parse_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path, address_text
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.config import LinkParameters, MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.events import Event, Moved, PathChosen, Registered
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.translation import Translation

DELAY = 0.025
PING_INTERVAL = 0.005
STAY = 1.4
LAST_PINGS_BEFORE = 0.3
"""Seconds: each way, between pings of each side, in each network, and before the end."""

PORTS = (4500, 8080), (14500, 18080)
"""UDP and TCP, HTTP: the second ones where the first are in use."""

SERVER = ip_address("127.0.113.2").packed


@dataclass(frozen=True, slots=True)
class Place:
    """A network of X. `gate`: address of the translator there, "" without one."""

    name: str
    sentence: str
    address: str
    gate: str = ""
    outside: str = ""
    udp: bool = False
    tcp: bool = False
    http: Rewriting | None = None


PLACES = (
    Place("home", "a NAT", "127.10.0.2", "127.10.0.1", "127.0.2.1", udp=True, tcp=True),
    Place("mobile", "another NAT", "127.20.0.2", "127.20.0.1", "127.0.2.2", udp=True, tcp=True),
    Place("hotel", "TCP alone, behind a NAT", "127.30.0.2", "127.30.0.1", "127.0.2.3", tcp=True),
    Place(
        "office",
        "HTTP alone, through a proxy",
        "127.40.0.2",
        "127.40.0.1",
        "127.0.2.4",
        http=Rewriting(via="office-proxy"),
    ),
    Place("open", "nothing in between", "127.51.100.2"),
)


@dataclass(frozen=True, slots=True)
class Stay:
    """What a move cost, in seconds since it; None where nothing came.

    `path`, `translations`: as registered last. `to_other`: until data of X was behind Y.
    `to_mobile`: until data of Y was at X. `round_trip`: of the network.
    """

    place: Place
    path: Path | None
    translations: tuple[Translation, ...]
    to_other: float | None
    to_mobile: float | None
    round_trip: float


@dataclass(frozen=True, slots=True)
class LoopbackResult:
    """A run, as one of the simulated internet is told, and what each move cost."""

    story: ScenarioResult
    stays: tuple[Stay, ...]


def run_on_loopback() -> LoopbackResult:
    """Let X go through all places, and return what happened; it takes as long as it does.

    Raises OSError where the ports are in use.
    """
    try:
        return _run(*PORTS[0])
    except OSError as error:
        if error.errno != EADDRINUSE:
            raise
    return _run(*PORTS[1])


class _Side:
    """A terminal, what it told, and what lies behind it: it answers pings, and pings the other.

    All times are nanoseconds since the Unix epoch. `sent`: of its pings, by number. `asked`: number
    and time of those that came. `answers`: what was answered.
    """

    def __init__(self, loop: Loop, address: bytes, peer: bytes) -> None:
        self.log: list[tuple[int, Event]] = []
        self.sent: list[int] = []
        self.asked: list[tuple[int, int]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.frames = Frames()
        self.send: Callable[[bytes], None] = lambda packet: None
        self._loop, self._address, self._peer = loop, address, peer

    def tell(self, now: float, event: Event) -> None:
        """Keep an event."""
        self.log.append((_nanoseconds(now), event))

    def write(self, packet: bytes) -> None:
        """Take an inner packet."""
        time_ns = _nanoseconds(self._loop.now)
        if answer := echo_reply(packet):
            self.asked.append((int.from_bytes(parse_ip(packet).payload[6:8]), time_ns))
            self.send(answer)
        else:
            self.answers.append((time_ns, packet))

    def close(self) -> None:
        """Nothing is open."""

    def ping_until(self, end: float) -> None:
        """Ping the other side until then, steadily."""
        now = self._loop.now
        if now < end:
            number = len(self.sent)
            self.sent.append(_nanoseconds(now))
            self.send(echo_request(self._address, self._peer, number))
            self._loop.at(now + PING_INTERVAL, lambda: self.ping_until(end))


def _first_after(moved: int, sender: _Side, receiver: _Side) -> float | None:
    """Return how long after a move data first came that was sent after it, in seconds."""
    came = (time for number, time in receiver.asked if sender.sent[number] >= moved)
    first = min((time for time in came if time >= moved), default=None)
    return None if first is None else (first - moved) / 1e9


def moves_of(log: Sequence[tuple[int, Event]]) -> list[int]:
    """Return when X moved."""
    return [time for time, event in log if isinstance(event, Moved)]


def _stays(x: _Side, y: _Side) -> Iterator[Stay]:
    moves = moves_of(x.log)
    for place, moved, end in zip(PLACES, moves, [*moves[1:], inf], strict=True):
        told = [event for time, event in x.log if moved <= time < end]
        registered = [event for event in told if isinstance(event, Registered)]
        chosen = [event.new for event in told if isinstance(event, PathChosen)]
        last = registered[-1] if registered else None
        path = last.path if last else None
        yield Stay(
            place,
            chosen[-1] if chosen else path,
            last.translations if last else (),
            _first_after(moved, x, y),
            _first_after(moved, y, x),
            2 * DELAY if place.gate else 0.0,
        )


def _run(port: int, http_port: int) -> LoopbackResult:
    sas = _new_sa(), _new_sa()
    with ExitStack() as closing:
        loop = Loop()
        closing.callback(loop.close)
        x, y = _Side(loop, HOME, INNER_HOST), _Side(loop, INNER_HOST, HOME)
        items = _items(port, http_port)
        _open_other(loop, y, sas, items, closing)
        mobile = _open_mobile(loop, x, sas, items, closing)
        for place in PLACES:
            if place.gate:
                closing.callback(_translator(loop, place, port, http_port).close)
        start = loop.now
        end = start + STAY * len(PLACES) - LAST_PINGS_BEFORE
        for number, place in enumerate(PLACES):
            mobile.move([Endpoint.of(place.address, port)], kept=())
            if number == 0:
                x.ping_until(end)
                loop.run(lambda: bool(y.log), seconds=STAY)
                y.ping_until(end)
            loop.run(seconds=start + (number + 1) * STAY - loop.now)
        stays = tuple(_stays(x, y))
        packets = {"mobile": x.frames.packets(), "other": y.frames.packets()}
        story = ScenarioResult(
            mobile_events=x.log,
            other_events=y.log,
            inner_mobile=x.answers,
            inner_other=y.answers,
            captures={
                name: [(time_ns, packet.octets()) for time_ns, packet in seen]
                for name, seen in packets.items()
            },
            sas=sas,
            tls_keys="",
            picture=picture(),
            shown="mobile",
            ladder=chart(packets["mobile"], sas, moves_of(x.log)[0]),
            notes=[
                (time_ns, f"X is at {stay.place.name}: {stay.place.sentence}")
                for time_ns, stay in zip(moves_of(x.log), stays, strict=True)
            ],
            path=mobile.terminal.path,
            pings=len(x.sent),
        )
        return LoopbackResult(story, stays)


def picture() -> str:
    """Draw the places, and Y."""
    lines = ["loopback"]
    for place in PLACES:
        way = f"{DELAY * 1e3:.0f} ms, {place.outside} ── " if place.gate else ""
        lines.append(f"├─ {way}X {place.address} ({place.name}: {place.sentence})")
    return "\n".join([*lines, f"└─ Y {address_text(SERVER)}"])


def _items(port: int, http_port: int) -> tuple[EncapsulationItem, ...]:
    return (
        EncapsulationItem(EncapsulationCode.UDP, port=port, keepalive=20),
        EncapsulationItem(EncapsulationCode.TCP, port=port),
        EncapsulationItem(EncapsulationCode.HTTP, port=http_port),
    )


def _open_other(
    loop: Loop,
    side: _Side,
    sas: tuple[SaParameters, SaParameters],
    items: tuple[EncapsulationItem, ...],
    closing: ExitStack,
) -> LiveHost[OtherTerminal]:
    to_other, to_mobile = sas
    link = LinkParameters(HOME, SIGNALLING, (to_other,), to_mobile)
    terminal = OtherTerminal(OtherConfiguration((link,), items), random_bytes=urandom)
    host = LiveHost(terminal, loop, side.tell, tap=side.frames)
    host.inner, side.send = side, host.send
    closing.callback(host.close)
    datagrams = Datagrams(loop, host.receive, host.too_big)
    host.datagrams = datagrams
    datagrams.listen([Endpoint(SERVER, items[0].port)])
    streams = Streams(loop, host.receive)
    host.streams = streams
    for item in items[1:]:
        streams.listen(Endpoint(SERVER, item.port))
    return host


def _open_mobile(
    loop: Loop,
    side: _Side,
    sas: tuple[SaParameters, SaParameters],
    items: tuple[EncapsulationItem, ...],
    closing: ExitStack,
) -> MobileHost:
    to_other, to_mobile = sas
    configuration = MobileConfiguration(
        LinkParameters(HOME, SIGNALLING, (to_mobile,), to_other),
        Endpoint(SERVER, items[0].port),
        allow=tuple(replace(item, keepalive=0) for item in items),
        start=(Encapsulation.UDP, Encapsulation.TCP, Encapsulation.HTTP),
    )
    terminal = MobileTerminal(configuration, random_bytes=urandom)
    host = MobileHost(terminal, loop, side.tell, tap=side.frames)
    host.inner, side.send = side, host.send
    closing.callback(host.close)
    routes = {
        ip_address(place.address).packed: ip_address(place.gate).packed
        for place in PLACES
        if place.gate
    }
    detour = Detour(host, SERVER, routes)
    detour.carry(
        Datagrams(loop, detour.receive, detour.too_big),
        Streams(loop, detour.receive),
    )
    return host


def _translator(loop: Loop, place: Place, port: int, http_port: int) -> Translator:
    gate, outside = (ip_address(each).packed for each in (place.gate, place.outside))
    tcp = ((port,) if place.tcp else ()) + ((http_port,) if place.http else ())
    udp = (port,) if place.udp else ()
    return Translator(loop, gate, outside, SERVER, DELAY, udp, tcp, place.http)


def _new_sa() -> SaParameters:
    spi = FIRST_SPI + int.from_bytes(urandom(3))
    return SaParameters(spi, SUITES["aes-gcm-16"], urandom(20))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
