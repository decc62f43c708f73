"""One IKE SA of a capture: what opens it, what its messages told, and the CHILD_SAs they made."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from scapy_mobsec.ike.algorithms import UnsupportedAlgorithm, integrity_of, names_of, prf_of
from scapy_mobsec.ike.child import IpsecSa, KeySeed, Underivable, derive_child_sa
from scapy_mobsec.ike.fragments import FragmentedMessages
from scapy_mobsec.ike.keys import SPI_LENGTH, IkeSaKeys
from scapy_mobsec.ike.numbers import Exchange, NotifyType, Protocol
from scapy_mobsec.ike.payloads import (
    Delete,
    Identity,
    KeyExchangeData,
    Nonce,
    Proposal,
    SecurityAssociation,
    TrafficSelectors,
)
from scapy_mobsec.ike.protection import Opener
from scapy_mobsec.observer.ike_messages import IkeExchange, SeenMessage
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.outer import Outer

MAX_CHILDREN = 4096
MAX_OPEN_EXCHANGES = 16
MAX_ADDRESSES = 64
MAX_CHOSEN = 16
"""Transforms of a chosen proposal."""

UNKNOWN_SPI = bytes(SPI_LENGTH)
_ADDITIONAL = (NotifyType.ADDITIONAL_IP4_ADDRESS, NotifyType.ADDITIONAL_IP6_ADDRESS)

C = TypeVar("C")


@dataclass(slots=True)
class ObservedChildSa:
    """A CHILD_SA as two messages agreed on it.

    The SPI of an end is the one that this end of the IKE SA receives with. selectors: of the
    original initiator's side and of the other one. reason: why no keys follow, empty if they do.
    """

    frame: int
    protocol: int
    initiator_spi: bytes
    responder_spi: bytes
    proposal: Proposal
    selectors: tuple[TrafficSelectors | None, TrafficSelectors | None]
    transport_mode: bool
    replaces: bytes | None
    """The SPI that REKEY_SA names."""
    reason: str
    deleted: bool = False


@dataclass(slots=True)
class ObservedIkeSa:
    """An IKE SA; of version 1 only SPIs (cookies), exchanges and endpoints are known.

    addresses: by end (True: the initiator) what its ADDITIONAL_*_ADDRESS told last. outer: how the
    newest message came that says where the SA is, in the initiator's direction. problem: why
    messages with keys cannot be opened.
    """

    initiator_spi: bytes
    responder_spi: bytes
    version: int
    outer: Outer
    exchanges: list[IkeExchange] = field(default_factory=list)
    children: list[ObservedChildSa] = field(default_factory=list)
    identities: dict[bool, Identity] = field(default_factory=dict)
    addresses: dict[bool, tuple[bytes, ...]] = field(default_factory=dict)
    mobike: set[bool] = field(default_factory=set)
    chosen: Proposal | None = None
    keys: IkeSaKeys | None = field(default=None, repr=False)
    opener: Opener | None = field(default=None, repr=False)
    problem: str = ""
    verified: int = 0
    icv_failed: int = 0
    last_move: Move | None = None
    inherited: list[ObservedChildSa] = field(default_factory=list)
    """CHILD_SAs of the IKE SA that this one replaces."""
    replaced_by: tuple[bytes, bytes] | None = None
    chosen_next: Proposal | None = None
    """The algorithms of the IKE SA that replaces this one."""
    deleted: bool = False
    nonces: dict[bool, bytes] = field(default_factory=dict, repr=False)
    """Of IKE_SA_INIT, by end."""
    fragments: FragmentedMessages = field(default_factory=FragmentedMessages)
    under_way: OrderedDict[tuple[bool, int], IkeExchange] = field(default_factory=OrderedDict)
    """By who asked (True: the initiator) and message id, the newest."""
    recent: OrderedDict[int, SeenMessage] = field(default_factory=OrderedDict)
    """By hash of the octets, to know repeated ones."""
    first_detected: dict[tuple[bool, bytes], SeenMessage] = field(default_factory=dict)
    """The first message with NAT detection, by sender and responder SPI in it."""
    offered: SeenMessage | None = None
    """The request of IKE_AUTH with SA: its answer may come exchanges later (EAP)."""

    @property
    def uses_mobike(self) -> bool:
        """Whether both ends told that they support it."""
        return len(self.mobike) == 2

    @property
    def prf(self) -> str | None:
        """Its pseudorandom function, None where neither keys nor IKE_SA_INIT tell."""
        if self.keys is not None and self.keys.prf is not None:
            return self.keys.prf
        return prf_of(self.chosen) if self.chosen else None

    @property
    def algorithms(self) -> tuple[str | None, str | None]:
        """Encryption and integrity, as the keys or else IKE_SA_INIT tell."""
        if self.opener is not None and self.keys is not None:
            told = integrity_of(self.chosen) if self.chosen else None
            return self.keys.encryption, self.keys.integrity or told
        try:
            return names_of(self.chosen) if self.chosen else (None, None)
        except UnsupportedAlgorithm:
            return None, None

    def ready(self) -> Opener | None:
        """Return what opens messages, None without; `problem` says why keys do not serve."""
        if self.opener is None and self.keys is not None:
            try:
                told = integrity_of(self.chosen) if self.chosen else None
                self.opener = Opener(self.keys, told)
                self.problem = ""
            except UnsupportedAlgorithm as error:
                self.problem = str(error)
        return self.opener

    # exchanges

    def pair(self, seen: SeenMessage) -> tuple[IkeExchange, bool]:
        """Put a message into its exchange, whichever comes first; tell whether that is new."""
        header = seen.header
        key = header.from_initiator != header.is_response, header.message_id
        exchange = self.under_way.get(key)
        if exchange is not None and exchange.take(seen):
            return exchange, False
        exchange = IkeExchange()
        exchange.take(seen)
        self.under_way[key] = exchange
        if len(self.under_way) > MAX_OPEN_EXCHANGES:
            self.under_way.popitem(last=False)
        return exchange, True

    def all_children(self) -> list[ObservedChildSa]:
        """The CHILD_SAs that are its own, whoever made them."""
        return [*self.inherited, *self.children]

    def known_addresses(self) -> list[bytes]:
        """What the two ends told of themselves: identities and additional addresses."""
        told = [address for addresses in self.addresses.values() for address in addresses]
        return [*told, *(each.data for each in self.identities.values())]

    @property
    def child_spis(self) -> list[tuple[int, int]]:
        """Protocol and SPI of all its ESP and AH SAs, those of the newest CHILD_SA last."""
        return [
            (child.protocol, int.from_bytes(spi, "big"))
            for child in self.all_children()
            for spi in (child.initiator_spi, child.responder_spi)
        ]

    # what messages tell

    def note(self, seen: SeenMessage, exchange: IkeExchange) -> list[IpsecSa]:
        """Take what an opened message tells. Returns the keys that follow from it."""
        sender = seen.header.from_initiator
        for identity in _all(seen, Identity):
            self.identities[identity.of_initiator] = identity
        if seen.notifies(NotifyType.MOBIKE_SUPPORTED):
            self.mobike.add(sender)
        self._note_addresses(seen, sender)
        self._note_deletes(seen, sender)
        kind = seen.header.exchange
        if kind == Exchange.IKE_AUTH:
            if _first(seen, SecurityAssociation) and not seen.header.is_response:
                self.offered = seen
            elif self.offered and seen.header.is_response:
                return self._note_child(self.offered, seen, self.nonces.get)
        elif kind == Exchange.CREATE_CHILD_SA and exchange.request and exchange.response:
            return self._note_created(exchange.request, exchange.response)
        return []

    def note_init(self, seen: SeenMessage) -> None:
        """Take what IKE_SA_INIT tells. Nobody vouches for it: what was agreed first stays."""
        if seen.header.exchange != Exchange.IKE_SA_INIT or self.chosen is not None:
            return
        sender = seen.header.from_initiator
        nonce, sa = _first(seen, Nonce), _first(seen, SecurityAssociation)
        if nonce is None or sa is None:
            return
        if not seen.header.is_response:
            self.nonces[sender] = nonce.data
        elif seen.header.responder_spi != UNKNOWN_SPI and _is_choice(sa):
            self.nonces[sender] = nonce.data
            self.chosen = sa.proposals[0]

    def _note_addresses(self, seen: SeenMessage, sender: bool) -> None:
        """RFC 4555 section 3.6: each message replaces the list of its sender."""
        told = tuple(each.data for kind in _ADDITIONAL for each in seen.notifies(kind))
        if told or seen.notifies(NotifyType.NO_ADDITIONAL_ADDRESSES):
            self.addresses[sender] = told[:MAX_ADDRESSES]

    def _note_deletes(self, seen: SeenMessage, sender: bool) -> None:
        """An SPI in a Delete is one that its sender receives with (RFC 7296 section 3.11)."""
        for delete in _all(seen, Delete):
            self.deleted |= delete.protocol == Protocol.IKE
            for child in self.all_children():
                spi = child.initiator_spi if sender else child.responder_spi
                child.deleted |= child.protocol == delete.protocol and spi in delete.spis

    def _note_created(self, request: SeenMessage, response: SeenMessage) -> list[IpsecSa]:
        asked, answered = _first(request, Nonce), _first(response, Nonce)
        sa = _first(response, SecurityAssociation)
        if asked is None or answered is None or sa is None:
            return []
        if sa.proposals[0].protocol == Protocol.IKE:
            offer = _offer(request, sa.proposals[0])
            spis = offer.spi if offer else b"", sa.proposals[0].spi
            if all(len(spi) == SPI_LENGTH for spi in spis):
                self.replaced_by, self.chosen_next = spis, sa.proposals[0]
            return []
        of_initiator = request.header.from_initiator
        nonces = {of_initiator: asked.data, not of_initiator: answered.data}
        return self._note_child(request, response, nonces.get)

    def _note_child(
        self, request: SeenMessage, response: SeenMessage, nonce: Callable[[bool], bytes | None]
    ) -> list[IpsecSa]:
        """Add the CHILD_SA that a response agreed to. `nonce`: of an end of the IKE SA."""
        answer = _first(response, SecurityAssociation)
        offer = _offer(request, answer.proposals[0]) if answer else None
        if answer is None or offer is None or len(self.children) >= MAX_CHILDREN:
            return []
        self.offered = None
        chosen = answer.proposals[0]
        asks = request.header.from_initiator
        spis = (offer.spi, chosen.spi) if asks else (chosen.spi, offer.spi)
        selectors = _selectors(response, asks)
        transport = bool(response.notifies(NotifyType.USE_TRANSPORT_MODE))
        rekeyed = request.notifies(NotifyType.REKEY_SA)
        reason = ""
        keys: Sequence[IpsecSa] = ()
        try:
            keys = self._derive(request, response, offer, chosen, nonce(asks), nonce(not asks))
        except Underivable as error:
            reason = str(error)
        child = ObservedChildSa(
            response.frame,
            chosen.protocol,
            *spis,
            chosen,
            selectors,
            transport,
            rekeyed[0].spi if rekeyed else None,
            reason,
        )
        self.children.append(child)
        return list(keys)

    def _derive(
        self,
        request: SeenMessage,
        response: SeenMessage,
        offer: Proposal,
        chosen: Proposal,
        asking: bytes | None,
        answering: bytes | None,
    ) -> Sequence[IpsecSa]:
        """Return the ESP SAs of both directions. Raises Underivable."""
        if _first(response, KeyExchangeData) is not None:
            raise Underivable("perfect forward secrecy: a Diffie-Hellman secret goes into its keys")
        if self.keys is None or self.keys.sk_d is None:
            raise Underivable("SK_d is not given")
        if asking is None or answering is None:
            raise Underivable("IKE_SA_INIT, which has the nonces, is not in the capture")
        if self.prf is None:
            raise Underivable("the prf is not known: IKE_SA_INIT is not in the capture")
        return derive_child_sa(KeySeed(self.prf, self.keys.sk_d, asking, answering), offer, chosen)


def _all(seen: SeenMessage, kind: type[C]) -> list[C]:
    return [each for each in seen.contents if isinstance(each, kind)]


def _first(seen: SeenMessage, kind: type[C]) -> C | None:
    return next(iter(_all(seen, kind)), None)


def _is_choice(sa: SecurityAssociation) -> bool:
    """Whether it can be an answer: one transform of each type (RFC 7296 section 2.7)."""
    types = [each.type for each in sa.proposals[0].transforms]
    return len(types) <= MAX_CHOSEN and len(set(types)) == len(types)


def _offer(request: SeenMessage, chosen: Proposal) -> Proposal | None:
    """The proposal that was chosen, as it was offered: by its number (RFC 7296 section 3.3.1)."""
    sa = _first(request, SecurityAssociation)
    proposals = sa.proposals if sa else ()
    same = (each for each in proposals if each.number == chosen.number)
    return next((each for each in same if each.protocol == chosen.protocol), None)


def _selectors(
    response: SeenMessage, asks: bool
) -> tuple[TrafficSelectors | None, TrafficSelectors | None]:
    """TSi and TSr are of the exchange's two ends: turned to those of the IKE SA."""
    found = {each.of_initiator: each for each in _all(response, TrafficSelectors)}
    return found.get(asks), found.get(not asks)
