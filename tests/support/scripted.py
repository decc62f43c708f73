"""X against a scripted Y, in virtual time without a network: what comes in, what must go out."""

from dataclasses import dataclass, replace
from random import Random

from terminals import MOBILE_LINK, NEW, OTHER, OTHER_LINK, START, events

from contrib_layers.numbers import AttemptFlag, EncapsulationCode
from scapy_mobsec.esp.sa import InboundSa, OutboundSa
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import (
    RegistrationReply,
    RegistrationRequest,
    build_reply,
    parse_request,
)
from scapy_mobsec.registration.outer import describe
from scapy_mobsec.terminal.config import MobileConfiguration
from scapy_mobsec.terminal.driving import Open, Transmit
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.paths import DATAGRAM
from scapy_mobsec.terminal.signalling import Inner

NATIVE, UDP, TCP, TLS, HTTP, HTTP_POST = Encapsulation
USE, PROBE = AttemptFlag.USE, AttemptFlag.PROBE


def items(*encapsulations):
    """Encapsulation items with nothing but their code."""
    return tuple(EncapsulationItem(each.code) for each in encapsulations)


@dataclass
class Out:
    """One thing that X did; `request` of an RREQ, else None."""

    at: float
    path: Path
    what: str
    data: bytes = b""
    request: RegistrationRequest | None = None

    def __str__(self):
        return f"{(self.at - START) * 1e3:.0f} {self.path.encapsulation.value} {self.what}"


class Script:
    """Says what Y would say; opens what X sends."""

    def __init__(self, *allow, seed=1, snapshot=None, link=MOBILE_LINK, **configuration):
        self.now = START
        self.random = Random(seed)
        given = {"keepalive": 0, "stagger": 0.05, "allow": items(*(allow or (UDP,)))}
        self.mobile = MobileTerminal(
            MobileConfiguration(link, OTHER, **{**given, **configuration}),
            random_bytes=lambda length: b"\x7f\xff"[:length],
            snapshot=snapshot,
        )
        self.link = Link(OTHER_LINK, at_mobile=False, random_bytes=self.random.randbytes)
        self.reader = InboundSa(OTHER_LINK.inbound[0], window=0)
        self.outs = []
        self.open = []
        self.streams = {}

    def move(self, *endpoints):
        self.mobile.move(endpoints or (NEW,), self.now)
        self.collect()

    def send(self, packet):
        self.mobile.send(packet, self.now)
        self.collect()

    def wait(self, seconds):
        """Let X's timers run."""
        end = self.now + seconds
        while (due := self.mobile.timer()) is not None and due <= end:
            self.now = max(due, self.now)
            self.mobile.handle_timer(self.now)
            self.collect()
        self.now = end

    def collect(self):
        for output in self.mobile.transmits(self.now):
            self.outs.append(self.read(output))

    def read(self, output):
        if not isinstance(output, Transmit):
            what = "open" if isinstance(output, Open) else "close"
            return Out(self.now, output.path, what)
        data = output.data
        if data == b"\xff":
            return Out(self.now, output.path, "0xFF")
        if output.path.encapsulation not in DATAGRAM:
            if data[:6] == b"IKETCP":
                return Out(self.now, output.path, "prefix", data)
            data = data[2:]
        inner, octets = self.link.mode.unwrap(self.reader.open(data))
        if inner is not Inner.SIGNALLING:
            return Out(self.now, output.path, inner.value, data)
        request = parse_request(octets)
        attempt = request.attempt
        flags = "".join(f" {flag.name}" for flag in AttemptFlag if attempt.flags & flag)
        what = f"RREQ #{attempt.number} {attempt.index + 1}/{attempt.count}{flags}"
        return Out(self.now, output.path, what, data, request)

    def took(self):
        """Return the lines of what X did since the last call."""
        lines = [str(out) for out in self.outs]
        self.open, self.outs = self.outs, []
        return lines

    def last(self, encapsulation=None, flags=None):
        """Return the last RREQ, of one encapsulation, with these flags."""
        return [
            out
            for out in (*self.open, *self.outs)
            if out.request
            and encapsulation in (None, out.path.encapsulation)
            and (flags is None or out.request.attempt.flags == flags)
        ][-1]

    def reply(self, out, *, flags=USE, seen=None, path=None, **changes):
        """Answer an RREQ of X; `seen`: X's endpoint as Y sees it, None without translation."""
        request, path = out.request, path or out.path
        spi = MOBILE_LINK.outbound.spi
        outside = seen or path.local
        given = {
            "identification": request.identification,
            "code": 0,
            "lifetime": request.lifetime,
            "home_address": request.home_address,
            "home_agent": request.home_agent,
            "attempt": replace(request.attempt, flags=int(flags)),
            "sent": describe(path.encapsulation, path.remote, outside, 0x2222),
            "observed": describe(path.encapsulation, outside, path.remote, spi),
            "supported": items(*Encapsulation),
            "selected": items(path.encapsulation),
        }
        self.give(build_reply(RegistrationReply(**{**given, **changes})), path)

    def give(self, message, path):
        self.receive(self.link.seal_message(message), path)

    def give_data(self, packet, path):
        self.receive(self.link.seal_data(packet), path)

    def receive(self, data, path):
        if path.encapsulation not in DATAGRAM:
            data = (len(data) + 2).to_bytes(2, "big") + data
        self.tell(data, path)

    def tell(self, data, path):
        self.mobile.receive(data, path, self.now)
        self.collect()

    def events(self, *kinds):
        """Take X's events, of these kinds alone if any is named."""
        return [one for one in events(self.mobile) if not kinds or isinstance(one, kinds)]

    def native(self, local=NEW):
        return Path(NATIVE, Endpoint(local.address), Endpoint(OTHER.address))

    def fresh(self):
        """Let the scripted Y have numbers that X did not see."""
        self.link.outbound = OutboundSa(
            OTHER_LINK.outbound, random_bytes=self.random.randbytes, first_sequence=10_000
        )


def code(encapsulation):
    return EncapsulationCode[encapsulation.name]
