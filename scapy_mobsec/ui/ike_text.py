"""IKE payloads and exchanges in the words of the RFCs, for tables and JSON."""

from enum import IntEnum

from scapy_mobsec.ike import ikev1
from scapy_mobsec.ike.algorithms import name_of
from scapy_mobsec.ike.message import Header
from scapy_mobsec.ike.numbers import (
    AuthMethod,
    ConfigurationType,
    Encryption,
    Exchange,
    IdType,
    Integrity,
    KeyExchange,
    NotifyType,
    PayloadType,
    Protocol,
    PseudoRandom,
    TransformType,
)
from scapy_mobsec.ike.payloads import (
    Authentication,
    Configuration,
    Delete,
    Identity,
    KeyExchangeData,
    Nonce,
    Notify,
    Opaque,
    Proposal,
    SecurityAssociation,
    Selector,
    TrafficSelectors,
    Transform,
    VendorId,
)
from scapy_mobsec.observer.ike_messages import IkeContent
from scapy_mobsec.packet.path import Endpoint, address_text

SHOWN_DATA = 32
"""Octets of unnamed data in a text; JSON has them all where they are told."""

_TRANSFORMS: dict[int, type[IntEnum]] = {
    TransformType.ENCR: Encryption,
    TransformType.PRF: PseudoRandom,
    TransformType.INTEG: Integrity,
    TransformType.KE: KeyExchange,
}
_ADDRESS_LENGTHS: dict[int, int] = {IdType.IPV4_ADDR: 4, IdType.IPV6_ADDR: 16}
_TEXTS = (IdType.FQDN, IdType.RFC822_ADDR)
_ANY_PORTS = (0, 65_535)


def exchange_name(header: Header) -> str:
    """`ike_sa_init`, `main_mode`, ...; `exchange_N` for one without a name."""
    names: type[IntEnum] = ikev1.Exchange if header.major == 1 else Exchange
    return _name(names, header.exchange, "exchange")


def payload_name(content: IkeContent, major: int) -> str:
    """The payload's own name in lower case: `sa`, `idi`, `notify`, `nat_oa`, `payload_N`, ..."""
    if isinstance(content, Opaque):
        names: type[IntEnum] = ikev1.PayloadType if major == 1 else PayloadType
        return _name(names, content.type, "payload")
    if isinstance(content, Identity):
        return "idi" if content.of_initiator else "idr"
    if isinstance(content, TrafficSelectors):
        return "tsi" if content.of_initiator else "tsr"
    return _NAMES[type(content)]


_NAMES: dict[type, str] = {
    SecurityAssociation: "sa",
    KeyExchangeData: "ke",
    Authentication: "auth",
    Nonce: "nonce",
    Notify: "notify",
    Delete: "delete",
    VendorId: "vendor_id",
    Configuration: "cp",
    ikev1.NatHash: "nat_d",
    ikev1.OriginalAddress: "nat_oa",
}


def payload_text(content: IkeContent) -> str:
    """What a payload says, without its name; empty where the name is all."""
    match content:
        case SecurityAssociation():
            return "; ".join(proposal_text(proposal) for proposal in content.proposals)
        case KeyExchangeData():
            return name_of(KeyExchange, content.method)
        case Identity():
            return identity_text(content)
        case Authentication():
            return name_of(AuthMethod, content.method)
        case Notify():
            return notify_text(content)
        case Delete():
            spis = " ".join(spi.hex() for spi in content.spis)
            return f"{_protocol(content.protocol)} {spis}".rstrip()
        case TrafficSelectors():
            return ", ".join(selector_text(selector) for selector in content.selectors)
        case Configuration():
            return name_of(ConfigurationType, content.kind).replace("-", "_")
        case VendorId():
            return ikev1.vendor_name(content.data) or _data(content.data)
        case ikev1.OriginalAddress():
            return address_text(content.address)
        case Opaque(length=length):
            return f"{length} octets"
    return ""


def proposal_text(proposal: Proposal) -> str:
    """Protocol, SPI and the names of all transforms."""
    parts = [_protocol(proposal.protocol), proposal.spi.hex()]
    parts += [transform_text(each) for each in proposal.transforms]
    return " ".join(part for part in parts if part)


def transform_text(transform: Transform) -> str:
    """`aes-gcm-16-256`: the name, and the length of the key in bits where it is told."""
    if transform.type == TransformType.ESN:
        return "esn" if transform.id else ""
    names = _TRANSFORMS.get(transform.type)
    text = name_of(names, transform.id) if names else f"{transform.type}:{transform.id}"
    if transform.type == TransformType.PRF:
        text = f"prf-{text}"
    return f"{text}-{transform.key_length}" if transform.key_length else text


def identity_text(identity: Identity) -> str:
    """An address or a name as such, other identities in hexadecimal digits."""
    if _ADDRESS_LENGTHS.get(identity.kind) == len(identity.data):
        return address_text(identity.data)
    if identity.kind in _TEXTS:
        return identity.data.decode("utf-8", "backslashreplace")
    return f"{name_of(IdType, identity.kind)} {_data(identity.data)}".rstrip()


def notify_text(notify: Notify) -> str:
    """The notification's name with what it holds where that is known."""
    name = _name(NotifyType, notify.kind, "notify")
    match notify.kind:
        case NotifyType.ADDITIONAL_IP4_ADDRESS | NotifyType.ADDITIONAL_IP6_ADDRESS:
            return f"{name} {address_text(notify.data)}"
        case NotifyType.NO_NATS_ALLOWED:
            return f"{name} {_no_nats(notify.data)}"
        case NotifyType.REKEY_SA:
            return f"{name} {_protocol(notify.protocol)} {notify.spi.hex()}"
        case NotifyType.COOKIE | NotifyType.COOKIE2:
            return f"{name} {_data(notify.data)}"
        case NotifyType.INVALID_KE_PAYLOAD if len(notify.data) == 2:
            return f"{name} {name_of(KeyExchange, int.from_bytes(notify.data, 'big'))}"
    return name


def _no_nats(data: bytes) -> str:
    size = (len(data) - 4) // 2
    source = Endpoint(data[:size], int.from_bytes(data[-4:-2], "big"))
    return f"{source} > {Endpoint(data[size : 2 * size], int.from_bytes(data[-2:], 'big'))}"


def selector_text(selector: Selector) -> str:
    """Address or range, then protocol and ports where they are limited."""
    if not selector.first:
        return f"kind {selector.kind}"
    text = address_text(selector.first)
    if selector.last != selector.first:
        text += f"-{address_text(selector.last)}"
    if selector.protocol:
        text += f" protocol {selector.protocol}"
    ports = selector.first_port, selector.last_port
    if ports != _ANY_PORTS:
        text += f" ports {ports[0]}-{ports[1]}"
    return text


def _protocol(number: int) -> str:
    return name_of(Protocol, number).upper()


def _name(numbers: type[IntEnum], number: int, otherwise: str) -> str:
    name = name_of(numbers, number).replace("-", "_")
    return name if not name.isdigit() else f"{otherwise}_{number}"


def _data(data: bytes) -> str:
    """Octets as digits, the first SHOWN_DATA of them."""
    return data[:SHOWN_DATA].hex() + ("..." if len(data) > SHOWN_DATA else "")
