"""The other terminal Y: accepts registrations, moves bindings, and answers on the way they came.

Rules that live here:
- Rule 1, the order of acceptance: ICV and replay window (`esp`), identity of the link, attempt and
  Identification (`binding`), carrier as in SENT, and supported. Any failure is a named drop and
  nothing moves; what is stale, malformed or not supported gets its code, because ESP has proved who
  sent it.
- Rule 14: a Y with snapshots goes on above all numbers that were used, with its bindings.
What a path may get and how it proves itself is in `proving` and `paths`, streams are in
`accepting`, what an RREQ does to the binding in `binding`, a rebinding in `rebinding`, the answers
in `answering`.
"""

from collections.abc import Callable, Iterable

from contrib_layers.numbers import AttemptFlag, MessageType
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.ip import addresses
from scapy_mobsec.packet.path import Encapsulation, Ends, Path
from scapy_mobsec.registration.description import build_description, parse_description
from scapy_mobsec.registration.extensions import build_translations
from scapy_mobsec.registration.flat import (
    RequestValues,
    build_reply_headers,
    build_usual_headers,
    read_request,
)
from scapy_mobsec.registration.messages import build_reply
from scapy_mobsec.registration.transitions import OtherEvent, OtherState
from scapy_mobsec.terminal.accepting import AcceptingTerminal
from scapy_mobsec.terminal.answering import Acceptances, refusal
from scapy_mobsec.terminal.base import Arrival
from scapy_mobsec.terminal.bound_link import BoundLink
from scapy_mobsec.terminal.config import LinkParameters, OtherConfiguration
from scapy_mobsec.terminal.counters import COMMITTED_WITHIN
from scapy_mobsec.terminal.events import (
    BindingEnded,
    EndReason,
    MoveCause,
    RegistrationReceived,
    RegistrationReceivedDraft,
)
from scapy_mobsec.terminal.paths import DATAGRAM, PathState
from scapy_mobsec.terminal.proving import Timer
from scapy_mobsec.terminal.restart import BindingSnapshot, restore, take_snapshot
from scapy_mobsec.terminal.status import LinkStatus, path_statuses, sa_statuses
from scapy_mobsec.translation import build_changes, changes


class OtherTerminal(AcceptingTerminal):
    """Y, the end that stays: a host or a security gateway with any number of links."""

    def __init__(
        self,
        configuration: OtherConfiguration,
        *,
        random_bytes: Callable[[int], bytes],
        snapshots: Iterable[BindingSnapshot] = (),
    ) -> None:
        """`random_bytes` has the shape and strength of os.urandom. `snapshots`: the last one of
        each link of an earlier terminal with the same SAs, to go on from there.
        """
        super().__init__(configuration, random_bytes)
        self._acceptances = Acceptances(configuration)
        saved = {snapshot.home_address: snapshot for snapshot in snapshots}
        for parameters in configuration.links:
            self.add_link(parameters, saved.get(parameters.home_address))

    def add_link(self, parameters: LinkParameters, snapshot: BindingSnapshot | None = None) -> None:
        """Serve another link, from where `snapshot` left it.

        Raises ValueError if home address or an SPI is in use, there is no room, or the snapshot is
        of other SAs.
        """
        if parameters.home_address in self._homes:
            raise ValueError("home address is in use")
        link = BoundLink(parameters, self._random_bytes)
        if snapshot:
            restore(link, snapshot)
        self._add_link(link)
        self._homes[link.home_address] = link
        if snapshot:
            self._wind_expiry(link)

    def snapshots(self) -> tuple[BindingSnapshot, ...]:
        """Return those links that changed since the last call; see `snapshot_due`."""
        return tuple(take_snapshot(link) for link in self._saved())

    def path(self, home_address: bytes) -> Path | None:
        """Return the path that data to a home address is sent on. Raises KeyError."""
        return self._homes[home_address].path

    def state(self, home_address: bytes) -> OtherState:
        """Return where the binding of a home address stands. Raises KeyError."""
        return self._homes[home_address].binding.state

    @property
    def home_addresses(self) -> tuple[bytes, ...]:
        """The home addresses of all links."""
        return tuple(self._homes)

    def status(self, home_address: bytes) -> LinkStatus:
        """Return how a link stands. Raises KeyError."""
        link = self._homes[home_address]
        return LinkStatus(
            home_address,
            link.binding.state,
            link.binding.last_attempt,
            link.path,
            path_statuses(link, link.states()),
            sa_statuses(link),
            len(link.waiting),
            link.expires,
        )

    def send(self, packet: bytes, now: float) -> None:
        try:
            link = self._homes.get(addresses(packet)[1])
            if link is None:
                raise Drop(DropReason.UNKNOWN_HOME)
            self._send_or_queue(link, packet, now)
        except Drop as drop:
            self._dropped(drop, None)

    def _handle_other(self, what: Timer, key: bytes | Ends, now: float) -> None:
        if what is Timer.EXPIRY and isinstance(key, bytes):
            link = self._homes[key]
            link.binding.expire()
            link.expires = None
            self._unsave(link, now + COMMITTED_WITHIN)
            self._end(link, EndReason.EXPIRED, now)
        else:
            super()._handle_other(what, key, now)

    # RREQ in

    def _receive_message(
        self, link: BoundLink, message: bytes, arrival: Arrival, now: float
    ) -> None:
        if message[:1] != _RREQ:
            raise Drop(DropReason.UNEXPECTED_MESSAGE, "not an RREQ")
        try:
            request = read_request(message)
            event = self._check(link, request, arrival[0])
        except Drop as drop:
            path = arrival[0]
            self._dropped(drop, path)
            reply = refusal(message, drop.reason, link.binding, now)
            if reply:
                octets, state = build_reply(reply), link.state_of(path)
                self._send_reply(link, octets, path, state, now, refuses=True)
            return
        if request.flags & _CONFIRM:
            link.binding.accept(request, None)
            self._receive_response(link, request.response or b"", arrival[0], now)
        else:
            self._accept(link, request, event, arrival, now)

    def _check(self, link: BoundLink, request: RequestValues, path: Path) -> OtherEvent | None:
        """Apply the rules of acceptance that follow ICV and replay window; return what the RREQ
        does. Raises Drop.
        """
        if request.home_address != link.identity:
            raise Drop(DropReason.WRONG_IDENTITY)
        if request.home not in (link.told_home, link.home_address):
            raise Drop(DropReason.WRONG_IDENTITY, "HOME")
        if path.encapsulation not in DATAGRAM and not self._may_be_path(link, path):
            raise Drop(DropReason.WRONG_IDENTITY, "the stream is of another link")
        if request.missing:
            raise Drop(DropReason.POORLY_FORMED, f"no {request.missing}")
        proven = link.proven(path, request.number) if request.flags & _USE else False
        event = link.binding.check(request, proven)
        carrier = request.carrier
        if not _arrives_as(request, path):
            name = carrier.value if carrier else "unknown"
            raise Drop(DropReason.CARRIER_MISMATCH, f"sent as {name}")
        if not path.ah and carrier not in self._supported:
            raise Drop(DropReason.UNKNOWN_CARRIER, "not supported")
        return event

    def _accept(
        self,
        link: BoundLink,
        request: RequestValues,
        event: OtherEvent | None,
        arrival: Arrival,
        now: float,
    ) -> None:
        """Take over an RREQ that passed all checks, tell of it and answer it. Raises Drop."""
        path, spi, octets, known = arrival
        binding = link.binding
        suspended = binding.machine.state is _SUSPENDED
        if request.number != binding.last_attempt:
            link.paths.clear()
            link.unanswered.begin()
            known = known and link.kept(path)
        binding.accept(request, event)
        self._unsave(link, now + COMMITTED_WITHIN)
        lifetime, longest = request.lifetime, self._configuration.max_lifetime
        if lifetime > longest:
            lifetime = longest
        state = self._admit(link, path, known, octets)
        source = self._answer_from(path, request.flags) if request.flags & _ELSEWHERE else path
        observed, translations, findings = self._compare(link, state, request, spi, source)
        received = RegistrationReceivedDraft()
        received.home_address = link.home_address
        received.attempt = request.number
        received.identification = request.identification
        received.path = path
        received.lifetime = lifetime
        received.sent_octets = request.sent
        received.observed_octets, received.translation_octets = observed, translations
        received.__class__ = RegistrationReceived
        self._tell(received)
        if event is _MOVE or event is _RENEW:
            link.lifetime = lifetime
            self._set_expiry(link, now)
        elif event is OtherEvent.DEREGISTER:
            self._unsave(link)  # at once: X asks no more, and would not mend what a restart undoes
            link.expires = None
            self._wind_expiry(link)
            self._end(link, EndReason.DEREGISTERED, now)
        if event is _MOVE:
            self._move(link, state, MoveCause.REQUEST, suspended=suspended)
            self._wind_challenge(link, state, now)
        elif event is OtherEvent.CHOOSE and state is not link.current:
            self._move(link, state, MoveCause.USE, suspended=suspended)
        self._answer(link, request, lifetime, findings, source, state, now)
        if link.waiting:
            self._flush(link)

    def _end(self, link: BoundLink, reason: EndReason, now: float) -> None:
        self._end_streams(link.streams.values(), now)
        if link.current or link.suspended:
            self._clear(link)
            self._tell(BindingEnded(link.home_address, reason))

    def _compare(
        self,
        link: BoundLink,
        state: PathState,
        request: RequestValues,
        spi: int,
        source: Path,
    ) -> tuple[bytes, bytes, bytes]:
        """Return OBSERVED and TRANSLATIONS, and all that an RREP from `source` says of headers.

        On the same datagram path it is mostly the same again.
        """
        path, forced = state.path, request.flags & _FORCED
        asked = (request.sent, spi, source, link.paths.passed, forced)
        if state.found and state.found[0] == asked:
            return state.found[1]
        outbound_spi = link.outbound_spi(source)
        if source is path and path.encapsulation is _UDP:
            near, far = path.local, path.remote
            headers, observed = build_usual_headers(near, far, outbound_spi, spi)
        else:
            observed = build_description(self._describe(path, spi, arrived=True))
            sent = build_description(self._describe(source, outbound_spi, arrived=False))
            headers = build_reply_headers(sent, observed)
        if request.usual and path.encapsulation is _UDP:
            translations = build_changes(request.usual, path.remote, path.local, spi)
        else:
            found = changes(parse_description(request.sent), parse_description(observed))
            translations = build_translations(found)
        passed = (source.encapsulation, *link.paths.passed)
        findings = headers + self._acceptances.advice(translations, passed, forced)
        if path.encapsulation in DATAGRAM:  # the headers of a stream may change
            state.found = asked, (observed, translations, findings)
        return observed, translations, findings

    # RREP out

    def _answer(
        self,
        link: BoundLink,
        request: RequestValues,
        lifetime: int,
        findings: bytes,
        source: Path,
        state: PathState,
        now: float,
    ) -> None:
        """Answer an accepted RREQ on the way it came, with a challenge until it is validated."""
        flags = link.reply_flags(state) | (_FORCED if self._configuration.forced else 0)
        challenge = None if state.validated else self._challenged(link, state, now)[0]
        octets = challenge.octets if challenge else None
        report = state.report(request.reports)
        message = self._acceptances.write(request, lifetime, flags, findings, report, octets)
        if challenge:
            challenge.message = message
        self._send_reply(link, message, source, state, now, wants_response=challenge is not None)

    def _answer_from(self, path: Path, flags: int) -> Path:
        """Return the path of the answer: another port or address of Y's if X asks for it.

        A stream has no other end, so there the answer goes the way of the RREQ.
        """
        if path.encapsulation not in DATAGRAM:
            return path
        for flag, same_address in ((_OTHER_ADDRESS, False), (_OTHER_PORT, True)):
            if flags & flag:
                for endpoint in self._configuration.alternates:
                    of_family = len(endpoint.address) == len(path.local.address)
                    same = endpoint.address == path.local.address
                    if of_family and endpoint != path.local and same is same_address:
                        return path._replace(local=endpoint)
        return path


def _arrives_as(request: RequestValues, path: Path) -> bool:
    """Tell whether what was sent so may arrive on `path`: a reverse proxy may end TLS."""
    if path.ah:
        return request.by_ah
    sent, arrived = request.carrier, path.encapsulation
    return sent is arrived or (sent is Encapsulation.TLS and arrived is Encapsulation.TCP)


_RREQ = bytes((MessageType.RREQ,))
_CONFIRM, _FORCED = int(AttemptFlag.CONFIRM), int(AttemptFlag.FORCED)
_OTHER_PORT, _OTHER_ADDRESS = int(AttemptFlag.OTHER_PORT), int(AttemptFlag.OTHER_ADDRESS)
_ELSEWHERE, _USE = _OTHER_PORT | _OTHER_ADDRESS, int(AttemptFlag.USE)
_UDP, _SUSPENDED = Encapsulation.UDP, OtherState.SUSPENDED
_MOVE, _RENEW = OtherEvent.MOVE, OtherEvent.RENEW
