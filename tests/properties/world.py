"""The network, the two terminals and the attacker of a plan, and the order in which things happen.

    X -- loss, reordering, duplication -- delay -- firewall -- translator -- attacker -- tap -- Y

First the steps of the plan, with losses and attacks, while X pings a host behind Y. Then losses and
attacks stop, what the attacker still holds comes, and 120 s of calm begin. What either end has to
keep over a restart is on disk when it says so.
"""

from dataclasses import replace
from ipaddress import ip_address

from plans import BLOCKS, Burst, Deregister, Move, Place, Plan, Reboot, Restart

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.drivers.memory import (
    SECOND,
    Attacker,
    Delay,
    Direction,
    Duplication,
    Firewall,
    ForwardProxy,
    Host,
    Interceptor,
    Loss,
    MemoryNetwork,
    MobileHost,
    Mtu,
    Napt,
    Nat64,
    Ports,
    Reordering,
    Rewriting,
    Tap,
    Upgrade,
)
from scapy_mobsec.drivers.memory.nat import Dependence
from scapy_mobsec.drivers.simulation import HOME, INNER_HOST, OTHER_TERMINAL, SIGNALLING
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.icmp import echo_reply, echo_request
from scapy_mobsec.packet.ip import TCP, build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.config import LinkParameters, MobileConfiguration, OtherConfiguration
from scapy_mobsec.terminal.counters import MobileSnapshot
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal

TO_OTHER = SaParameters(0x1111, SUITES["aes-gcm-16"], bytes(range(20)))
TO_MOBILE = SaParameters(0x2222, SUITES["aes-gcm-16"], bytes(range(20, 40)))
SUPPORTED = tuple(EncapsulationItem(code, port=4500) for code in EncapsulationCode)
NAT64_PREFIX = ip_address("64:ff9b::").packed[:12]
ATTACKER = Endpoint.of("198.51.100.66", 666)
TLS_PORT = 443

PING_EVERY = 0.3
PROXY = Endpoint.of("203.0.113.9", 3128)

CALM = 120.0
HELD = 4.0
"""Seconds that the attacker keeps a packet at most."""


class World:
    """A plan at work; `judge` is told what happens (see `judging`)."""

    def __init__(self, plan: Plan, judge) -> None:
        self.plan, self.judge = plan, judge
        self.network = MemoryNetwork(plan.seed)
        self.random = self.network.new_random()
        self.tap, self.sent = Tap("at Y"), 0
        self.losses = [Loss(plan.loss, in_a_row=8)]
        self.losses += [Reordering(plan.reordering), Duplication(plan.duplication)]
        self.attacker = Attacker(self.attack if plan.attacks else None)
        self.translators = {}
        self.segments = [self.segment(*each) for each in enumerate(plan.places)]
        self.configuration = self.mobile_configuration()
        self.saved_mobile, self.saved_other = self.first_snapshot(), {}
        if plan.proxy:
            near = self.network.core.segment([], ["203.0.113.9"])
            ForwardProxy(self.network, near, PROXY, ports=(TLS_PORT, OTHER_TERMINAL.port))
        self.mobile = MobileHost(self.network, self.new_mobile(), name="X")
        self.other = self.other_host()
        self.mobile.save, self.other.save = self.save_mobile, self.save_other
        judge.watch_mobile(self)
        judge.watch_other(self)

    def mobile_configuration(self) -> MobileConfiguration:
        link = LinkParameters(HOME, SIGNALLING, (TO_MOBILE,), TO_OTHER)
        ports = {"tls": TLS_PORT}
        allow = tuple(
            EncapsulationItem(Encapsulation(each).code, port=ports.get(each, 0))
            for each in self.plan.allow
        )
        start = tuple(Encapsulation(each) for each in self.plan.start)
        return MobileConfiguration(
            link,
            OTHER_TERMINAL,
            allow=allow,
            start=start,
            decider=Decider[self.plan.decider],
            nat64_prefix=NAT64_PREFIX,
            proxy=PROXY if self.plan.proxy else None,
        )

    def first_snapshot(self) -> MobileSnapshot | None:
        """What X has from before, if its clock was ahead then."""
        ahead = self.plan.clock_ahead
        last = ntp_timestamp(self.network.now + ahead)
        return MobileSnapshot(0, last, 1, ((TO_MOBILE.spi, 0),)) if ahead else None

    def new_mobile(self) -> MobileTerminal:
        random_bytes, saved = self.network.new_random().randbytes, self.saved_mobile
        return MobileTerminal(self.configuration, random_bytes=random_bytes, snapshot=saved)

    def new_other(self) -> OtherTerminal:
        link = LinkParameters(HOME, SIGNALLING, (TO_OTHER,), TO_MOBILE)
        configuration = OtherConfiguration(
            (link,), supported=SUPPORTED, decider=Decider[self.plan.decider]
        )
        random_bytes, saved = self.network.new_random().randbytes, self.saved_other.values()
        return OtherTerminal(configuration, random_bytes=random_bytes, snapshots=saved)

    def other_host(self) -> Host[OtherTerminal]:
        other = Host(self.network, self.new_other(), on_inner=self.answer, name="Y")
        other.listen(OTHER_TERMINAL.port)
        other.listen(TLS_PORT, b"certificate")
        near = self.network.core.segment([self.tap, self.attacker], ["203.0.113.2"])
        other.attach(near, OTHER_TERMINAL)
        return other

    def segment(self, index: int, place: Place):
        """Build a place, with all that lies between it and the rest."""
        chain = [*self.losses, Delay(place.delay)]
        if place.mtu:
            chain.append(Mtu(place.mtu, place.notifies))
        if place.block:
            chain.append(Firewall(BLOCKS[place.block]))
        if place.intercepts:
            chain.append(Interceptor({TLS_PORT}, certificate=b"another"))
        if place.refuses_upgrade:
            refusing = Rewriting(via="a", upgrade=Upgrade.REFUSE)
            chain.append(Interceptor({OTHER_TERMINAL.port}, rewriting=refusing))
        outside = self.outside(index)
        if place.translator == "nat64":
            self.translators[index] = [Nat64(outside, Ports[place.ports])]
        elif place.translator != "none":
            behaviour = {
                "ports": Ports[place.ports],
                "mapping": Dependence[place.mapping],
                "filtering": Dependence[place.filtering],
                "native": place.passes_native,
            }
            addresses = ["100.64.0.2", outside][place.translator == "nat" :]
            self.translators[index] = [Napt(address, **behaviour) for address in addresses]
        chain += self.translators.get(index, [])
        return self.network.core.segment(chain, [outside])

    def outside(self, index: int) -> str:
        """The address by which the rest knows a place."""
        translated = self.plan.places[index].translator != "none"
        return f"192.0.2.{index + 1}" if translated else f"198.51.100.{index + 1}"

    def inside(self, index: int, interface: int) -> Endpoint:
        """Where one of X's interfaces is in a place; behind NATs it is the same everywhere."""
        translator = self.plan.places[index].translator
        if translator == "nat64":
            return Endpoint.of(f"2001:db8::{interface}:2", 4500)
        behind_nat = f"10.0.{interface}.2"
        return Endpoint.of(behind_nat if translator != "none" else self.outside(index), 4500)

    # what happens

    def run(self) -> None:
        """Let everything happen."""
        self.move(0)
        for step in self.plan.steps:
            self.ping_for(step.after)
            self.do(step)
            self.judge.look(self)
        self.ping_for(1.0)
        self.attacker.tactic = None
        for index in range(3):
            self.losses[index].probability = 0.0
        self.network.run_for(HELD)
        self.calm()
        self.judge.end(self)

    def do(self, step) -> None:
        match step:
            case Move():
                self.move(*step.places)
            case Deregister():
                self.deregister()
            case Restart():
                self.restart(step.end)
            case Reboot():
                for nat in self.translators.get(step.place, ()):
                    nat.reboot()
            case Burst():
                for _ in range(step.packets):
                    self.other.send(build_ip(INNER_HOST, HOME, 253, bytes(1300)))

    def move(self, *places: int) -> None:
        """Go where all these places are, or nowhere."""
        self.places = {self.inside(place, number): place for number, place in enumerate(places)}
        self.mobile.move_all([(self.segments[at], where) for where, at in self.places.items()])

    def deregister(self) -> None:
        self.places = {}
        if self.mobile.terminal.state not in (MobileState.DETACHED, MobileState.DEREGISTERING):
            self.mobile.terminal.deregister(self.network.now)
            self.mobile.pump()

    def restart(self, ends: str) -> None:
        """Let X or Y go on from what it has on disk."""
        if ends == "Y":
            self.other.restart(self.new_other())
            self.judge.watch_other(self)
        else:
            if self.plan.clock_ahead:
                self.saved_mobile = replace(self.saved_mobile, identification=None)
            self.mobile.restart(self.new_mobile())
            self.judge.watch_mobile(self)
            self.move(*self.places.values())

    def save_mobile(self) -> None:
        self.saved_mobile = self.mobile.terminal.snapshot()

    def save_other(self) -> None:
        for snapshot in self.other.terminal.snapshots():
            self.saved_other[snapshot.home_address] = snapshot

    def ping_for(self, seconds: float) -> None:
        self.ping()
        while seconds > 0:
            pause = min(seconds, PING_EVERY if seconds < 10 else 2.0)
            self.network.run_for(pause)
            self.ping()
            seconds -= pause

    def ping(self) -> None:
        self.sent += 1
        self.mobile.send(echo_request(HOME, INNER_HOST, self.sent % 65_536))

    def answer(self, packet: bytes) -> None:
        if answer := echo_reply(packet):
            self.other.send(answer)

    # the end

    def calm(self) -> None:
        """Wait until X is registered and answers come; then until the end, and look again."""
        start = self.network.elapsed_ns
        self.recovered = None
        while self.recovered is None and self.seconds_since(start) < CALM:
            if self.passes_data():
                self.recovered = self.seconds_since(start)
        self.network.run_for(max(0.0, CALM - self.seconds_since(start)))
        self.recovered_still = self.passes_data() or self.passes_data()
        self.network.run_until(self.agreed, 2.0)

    def passes_data(self) -> bool:
        """Tell whether an echo request, sent now, is answered within 2 s, and X is registered."""
        before = len(self.mobile.inner)
        self.ping()
        number = self.sent.to_bytes(2, "big")
        return self.network.run_until(
            lambda: any(
                packet[9] == 1 and packet[26:28] == number
                for _, packet in self.mobile.inner[before:]
            ),
            2.0,
        ) and self.mobile.terminal.state in (MobileState.REGISTERED, MobileState.REFRESHING)

    def seconds_since(self, start_ns: int) -> float:
        return (self.network.elapsed_ns - start_ns) / SECOND

    def agreed(self) -> bool:
        """Tell whether Y's path is the one that X uses, as far as a translator lets us know."""
        mobile, other = self.mobile.terminal.path, self.other.terminal.path(HOME)
        if mobile is None or other is None or mobile.encapsulation is not other.encapsulation:
            return False
        if mobile.remote == PROXY:
            return other.remote.address == PROXY.address
        at = mobile.local.address
        place = next(place for where, place in self.places.items() if where.address == at)
        if other.remote.address != ip_address(self.outside(place)).packed:
            return False
        return self.plan.places[place].translator != "none" or other.remote == mobile.local

    # the attacker

    def attack(self, attacker, packet, direction):
        """Do to some datagrams what the plan says, each time one thing."""
        random = self.random
        if packet.protocol == TCP or packet.too_big or random.random() >= self.plan.attack_rate:
            return [(0, packet)]
        return getattr(self, f"_{random.choice(self.plan.attacks)}")(packet, direction)

    def _source(self, packet):
        return ATTACKER._replace(port=0) if not packet.source.port else ATTACKER

    def _copy(self, packet, direction):
        return [(0, packet), (0, packet._replace(source=self._source(packet)))]

    def _race(self, packet, direction):
        return [(0, packet._replace(source=self._source(packet))), (SECOND // 100, packet)]

    def _replay(self, packet, direction):
        source = self.random.choice([packet.source, self._source(packet)])
        return [(0, packet), (self._later(), packet._replace(source=source))]

    def _rewrite(self, packet, direction):
        if direction is Direction.OUT or self.random.random() < 0.5:
            return [(0, packet._replace(source=self._source(packet)))]
        port = self.random.randrange(1, 65_536) if packet.source.port else 0
        return [(0, packet._replace(source=packet.source._replace(port=port)))]

    def _corrupt(self, packet, direction):
        octets = bytearray(packet.payload)
        octets[self.random.randrange(len(octets))] ^= 1 << self.random.randrange(8)
        return [(0, packet._replace(payload=bytes(octets)))]

    def _inject(self, packet, direction):
        sa = TO_OTHER if direction is Direction.IN else TO_MOBILE
        number = self.random.getrandbits(32).to_bytes(4, "big")
        octets = sa.spi.to_bytes(4, "big") + number + self.random.randbytes(64)
        return [(0, packet._replace(payload=octets)), (0, packet)]

    def _hold(self, packet, direction):
        return [(self._later(), packet)]

    def _reflect(self, packet, direction):
        self.attacker.inject(
            packet._replace(source=packet.destination, destination=packet.source), direction.back
        )
        return [(0, packet)]

    def _drop(self, packet, direction):
        return []

    def _later(self):
        return round(self.random.uniform(0, HELD) * SECOND)
