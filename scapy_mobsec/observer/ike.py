"""Follows the IKE SAs of a capture: messages in, exchanges, CHILD_SA keys and moves out.

IKEv2 (RFC 7296) is decrypted where its keys are given; MOBIKE (RFC 4555) tells moves. Of IKEv1
what is in clear is told. A message whose ICV is wrong has no place here: it is a drop, and counted.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike import ikev1
from scapy_mobsec.ike.child import IpsecSa
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.ike.message import (
    Header,
    Message,
    in_clear,
    parse_message,
    split_payloads,
)
from scapy_mobsec.ike.nat_detection import Verdict
from scapy_mobsec.ike.numbers import Exchange, NotifyType
from scapy_mobsec.ike.payloads import count_values, parse_payloads
from scapy_mobsec.ike.protection import Opened
from scapy_mobsec.observer.ike_messages import IkeContent, IkeExchange, Reading, SeenMessage
from scapy_mobsec.observer.ike_nat import detections_in, translations_in
from scapy_mobsec.observer.ike_sa import UNKNOWN_SPI, ObservedIkeSa
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.outer import Outer

MAX_IKE_SAS = 4096
MAX_EXCHANGES = 20_000
MAX_OCTETS = 32 << 20
MAX_VALUES = 200_000
"""Octets of all messages, and values in those that no key opens: beyond either of them the content
of the latter is not kept. A value takes many times the octets that it has in a message."""
MAX_RECENT = 16


class Update(NamedTuple):
    """UPDATE_SA_ADDRESSES: an IKE SA and all its CHILD_SAs go from one path to another."""

    sa: ObservedIkeSa
    old: Outer
    new: Outer
    seen: SeenMessage


class IkeTracker:
    """All IKE SAs, told of each other by their SPIs.

    `learn` gets the keys of CHILD_SAs; `on_update` each new UPDATE_SA_ADDRESSES, and returns the
    move that it made; `on_clear` each message that could be read, as if never encrypted.
    """

    def __init__(
        self,
        keys: Iterable[IkeSaKeys],
        *,
        learn: Callable[[IpsecSa], None],
        on_update: Callable[[Update], Move | None],
        on_clear: Callable[[SeenMessage, bytes], None] | None = None,
    ) -> None:
        self.not_kept = 0
        """Exchanges that were counted only."""
        self._keys: dict[tuple[bytes, bytes], IkeSaKeys] = {}
        for each in keys:
            spis = each.initiator_spi, each.responder_spi
            if spis not in self._keys or each.sk_d is not None:
                self._keys[spis] = each
        self._expected = {(spi, UNKNOWN_SPI) for spi, _ in self._keys}
        self._learn, self._on_update, self._on_clear = learn, on_update, on_clear
        self._sas: dict[tuple[bytes, bytes], ObservedIkeSa] = {}
        self._kept = 0
        self._octets = 0
        self._values = 0

    @property
    def sas(self) -> list[ObservedIkeSa]:
        """All IKE SAs, in the order of their first messages."""
        return list(self._sas.values())

    def observe(self, octets: bytes, outer: Outer, frame: int, time_ns: int) -> ObservedIkeSa:
        """Take one message, from its header on; return its SA. Raises Drop if it is unreadable."""
        message = parse_message(octets)
        sa = self._sa_of(message.header, outer)
        digest = hash(message.octets)
        earlier = sa.recent.get(digest)
        if earlier is not None:
            earlier.repeats += 1
            if earlier.outer != outer and _is_update(earlier):
                self._move(sa, outer, earlier)
            return sa
        seen = SeenMessage(frame, time_ns, outer, message.header, (), Reading.CLEAR)
        try:
            whole = (
                _read_v1(seen, message)
                if message.header.major == 1
                else self._read(sa, seen, message)
            )
        except Drop as drop:
            sa.icv_failed += drop.reason is DropReason.BAD_ICV
            raise
        sa.recent[digest] = seen
        if len(sa.recent) > MAX_RECENT:
            sa.recent.popitem(last=False)
        if whole:
            self._take(sa, seen)
        return sa

    # which SA

    def _sa_of(self, header: Header, outer: Outer) -> ObservedIkeSa:
        """Find the SA of a message, or begin one. IKE_SA_INIT asks with a responder SPI of zero.

        An SA is filed under its initiator's SPI, so that its first request is found; where another
        one has that place, under both. Raises Drop(SA_LIMIT).
        """
        spis = header.initiator_spi, header.responder_spi
        place = header.initiator_spi, UNKNOWN_SPI
        outer = _of_initiator(header, outer)
        first = self._sas.get(place)
        if first is None:
            return self._begin(place, ObservedIkeSa(*spis, header.version, outer))
        if first.responder_spi == UNKNOWN_SPI:
            first.responder_spi = header.responder_spi
            first.keys = self._keys.get(spis)
        if header.responder_spi in (UNKNOWN_SPI, first.responder_spi):
            return first
        found = self._sas.get(spis)
        if found is not None:
            return found
        nonces = dict(first.nonces)
        return self._begin(spis, ObservedIkeSa(*spis, header.version, outer, nonces=nonces))

    def _begin(self, place: tuple[bytes, bytes], sa: ObservedIkeSa) -> ObservedIkeSa:
        """File an SA. For those with keys there is always room. Raises Drop(SA_LIMIT)."""
        expected = place in self._keys or place in self._expected
        if len(self._sas) >= MAX_IKE_SAS and not expected:
            raise Drop(DropReason.SA_LIMIT, f"more than {MAX_IKE_SAS} IKE SAs")
        sa.keys = self._keys.get((sa.initiator_spi, sa.responder_spi))
        self._sas[place] = sa
        return sa

    # reading

    def _read(self, sa: ObservedIkeSa, seen: SeenMessage, message: Message) -> bool:
        """Read a message; False: a fragment, of which others are missing. Raises Drop."""
        seen.contents = parse_payloads(message.payloads)
        if message.encrypted is None:
            self._clear(seen, message.octets)
            return True
        opener = sa.ready()
        if opener is None:
            seen.reading = Reading.ENCRYPTED
            return True
        opened = sa.fragments.add(seen.header, opener.open(message))
        if opened is None:
            return False
        seen.reading = Reading.VERIFIED if opened.verified else Reading.UNVERIFIED
        sa.verified += opened.verified
        seen.fragments = opened.total
        seen.contents = parse_payloads(message.payloads[:-1]) + _inside(opened)
        self._clear(seen, in_clear(message, opened.plaintext, opened.first_type))
        return True

    def _clear(self, seen: SeenMessage, octets: bytes) -> None:
        if self._on_clear is not None:
            self._on_clear(seen, octets)

    def _take(self, sa: ObservedIkeSa, seen: SeenMessage) -> None:
        """Put a whole message into its exchange, and draw what follows from it."""
        seen.detections = detections_in(
            seen.header, seen.contents, seen.outer, sa.known_addresses()
        )
        seen.translations = translations_in(seen.detections, seen.contents, seen.outer)
        _tell_made_up(sa, seen)
        exchange, is_new = IkeExchange(seen), True
        if seen.header.major == 2:
            exchange, is_new = sa.pair(seen)
        if is_new:
            self._keep(sa, exchange)
        self._octets += seen.header.length
        if seen.reading in (Reading.VERIFIED, Reading.UNVERIFIED):
            self._follow(sa, seen, exchange)
            return
        if seen.reading is Reading.CLEAR:
            sa.note_init(seen)
        values = sum(map(count_values, seen.contents))
        if self._octets > MAX_OCTETS or self._values + values > MAX_VALUES:
            seen.contents = ()
        else:
            self._values += values

    def _follow(self, sa: ObservedIkeSa, seen: SeenMessage, exchange: IkeExchange) -> None:
        """Draw what follows from a message that was opened."""
        if seen.header.exchange == Exchange.IKE_AUTH:
            sa.outer = _of_initiator(seen.header, seen.outer)
        for parameters in sa.note(seen, exchange):
            self._learn(parameters)
        if sa.replaced_by is not None:
            self._succeed(sa, sa.replaced_by)
        if _is_update(seen):
            self._move(sa, seen.outer, seen)
        elif seen.error and exchange.request and _is_update(exchange.request) and sa.last_move:
            sa.last_move.refused = True
            sa.last_move.verified &= seen.reading is Reading.VERIFIED

    def _keep(self, sa: ObservedIkeSa, exchange: IkeExchange) -> None:
        """Keep an exchange to show, if there is room."""
        if self._kept >= MAX_EXCHANGES:
            self.not_kept += 1
            return
        self._kept += 1
        sa.exchanges.append(exchange)

    # what follows

    def _succeed(self, sa: ObservedIkeSa, spis: tuple[bytes, bytes]) -> None:
        """Begin the IKE SA that replaces one: it takes over the CHILD_SAs (RFC 7296 2.18)."""
        place = spis[0], UNKNOWN_SPI
        if place not in self._sas:
            new = ObservedIkeSa(*spis, sa.version, sa.outer)
            new.inherited = [child for child in sa.all_children() if not child.deleted]
            new.addresses, new.identities = dict(sa.addresses), dict(sa.identities)
            new.mobike, new.last_move = set(sa.mobike), sa.last_move
            new.chosen = sa.chosen_next
            self._begin(place, new)

    def _move(self, sa: ObservedIkeSa, outer: Outer, seen: SeenMessage) -> None:
        new = _of_initiator(seen.header, outer)
        old, sa.outer = sa.outer, new
        sa.last_move = self._on_update(Update(sa, old, new, seen))


def _of_initiator(header: Header, outer: Outer) -> Outer:
    """The path in the direction of the original initiator; in IKEv1 nothing tells who that is."""
    return outer.reversed() if header.major == 2 and not header.from_initiator else outer


def _is_update(seen: SeenMessage) -> bool:
    return not seen.header.is_response and bool(seen.notifies(NotifyType.UPDATE_SA_ADDRESSES))


def _tell_made_up(sa: ObservedIkeSa, seen: SeenMessage) -> None:
    """Take back that an endpoint was translated, once it shows that its sender made it up."""
    of_source = next((each for each in seen.detections if each.of_source), None)
    if of_source is None:
        return
    sender = seen.header.from_initiator, seen.header.responder_spi
    earlier = sa.first_detected.setdefault(sender, seen)
    if any(of_source.is_made_up(each) for each in earlier.detections):
        for message in (earlier, seen):
            message.detections = tuple(
                replace(each, verdict=Verdict.FORCED) if each.of_source else each
                for each in message.detections
            )
            message.translations = translations_in(
                message.detections, message.contents, message.outer
            )


def _read_v1(seen: SeenMessage, message: Message) -> bool:
    encrypted = ikev1.is_encrypted(seen.header)
    seen.reading = Reading.ENCRYPTED if encrypted else Reading.CLEAR
    seen.contents = tuple(ikev1.parse_payload(payload) for payload in message.payloads)
    return True


def _inside(opened: Opened) -> tuple[IkeContent, ...]:
    """What was encrypted. Raises Drop: UNREADABLE where no ICV tells that the key was right."""
    try:
        return parse_payloads(split_payloads(opened.plaintext, 0, opened.first_type))
    except Drop as drop:
        if opened.verified:
            raise
        raise Drop(DropReason.UNREADABLE, str(drop)) from drop
