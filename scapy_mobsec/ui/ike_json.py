"""IKE SAs of a report as JSON. The shape is documented in docs/decode.md. Keys are never in it."""

from typing import Any

from scapy_mobsec.ike.nat_detection import NatDetection
from scapy_mobsec.ike.numbers import Protocol, TransformType
from scapy_mobsec.ike.payloads import Notify, TrafficSelectors, VendorId
from scapy_mobsec.observer.ike_messages import IkeContent, IkeExchange, SeenMessage
from scapy_mobsec.observer.ike_sa import ObservedChildSa, ObservedIkeSa
from scapy_mobsec.packet.path import address_text
from scapy_mobsec.translation import as_json
from scapy_mobsec.ui.ike_text import (
    exchange_name,
    identity_text,
    payload_name,
    payload_text,
    selector_text,
    transform_text,
)

Json = dict[str, Any]


def ike_sa_as_json(sa: ObservedIkeSa) -> Json:
    """One IKE SA, with its CHILD_SAs and exchanges."""
    encryption, integrity = sa.algorithms
    return {
        "initiator_spi": sa.initiator_spi.hex(),
        "responder_spi": sa.responder_spi.hex(),
        "version": f"{sa.version >> 4}.{sa.version & 15}",
        "initiator": str(sa.outer.source_endpoint),
        "responder": str(sa.outer.destination_endpoint),
        "encryption": encryption,
        "integrity": integrity,
        "prf": sa.prf,
        "keys_given": sa.keys is not None,
        "problem": sa.problem or None,
        "verified": sa.verified,
        "icv_failed": sa.icv_failed,
        "lacking_fragments": len(sa.fragments),
        "identities": {_end(end): identity_text(each) for end, each in sa.identities.items()},
        "mobike": sa.uses_mobike,
        "additional_addresses": {
            _end(end): [address_text(each) for each in told] for end, told in sa.addresses.items()
        },
        "replaced_by": [spi.hex() for spi in sa.replaced_by] if sa.replaced_by else None,
        "deleted": sa.deleted,
        "child_sas": [_child(child) for child in sa.children],
        "exchanges": [_exchange(exchange) for exchange in sa.exchanges],
    }


def _end(is_initiator: bool) -> str:
    return "initiator" if is_initiator else "responder"


def _child(child: ObservedChildSa) -> Json:
    esn = child.proposal.chosen(TransformType.ESN)
    transforms = [transform_text(each) for each in child.proposal.transforms]
    return {
        "frame": child.frame,
        "protocol": Protocol(child.protocol).name.lower(),
        "initiator_spi": f"0x{child.initiator_spi.hex()}",
        "responder_spi": f"0x{child.responder_spi.hex()}",
        "transforms": [text for text in transforms if text],
        "esn": esn is not None and bool(esn.id),
        "mode": "transport" if child.transport_mode else "tunnel",
        "initiator_selectors": _selectors(child.selectors[0]),
        "responder_selectors": _selectors(child.selectors[1]),
        "replaces": f"0x{child.replaces.hex()}" if child.replaces else None,
        "keys_derived": not child.reason,
        "reason": child.reason or None,
        "deleted": child.deleted,
    }


def _selectors(selectors: TrafficSelectors | None) -> list[str]:
    return [selector_text(each) for each in selectors.selectors] if selectors else []


def _exchange(exchange: IkeExchange) -> Json:
    request, response = exchange.request, exchange.response
    header = exchange.messages[0].header
    return {
        "exchange": exchange_name(header),
        "message_id": header.message_id,
        "path_proved": exchange.path_proved,
        "request": _message(request) if request else None,
        "response": _message(response) if response else None,
    }


def _message(seen: SeenMessage) -> Json:
    return {
        "time": seen.time_ns / 1e9,
        "frame": seen.frame,
        "encapsulation": seen.outer.encapsulation.value,
        "source": str(seen.outer.source_endpoint),
        "destination": str(seen.outer.destination_endpoint),
        "from_initiator": seen.header.from_initiator if seen.header.major == 2 else None,
        "reading": seen.reading.value,
        "payloads": [_payload(each, seen.header.major) for each in seen.contents],
        "nat_detection": [_detection(each) for each in seen.detections],
        "translations": [as_json(each) for each in seen.translations],
        "fragments": seen.fragments,
        "repeats": seen.repeats,
    }


def _payload(content: IkeContent, major: int) -> Json:
    shown: Json = {"type": payload_name(content, major), "text": payload_text(content)}
    if isinstance(content, Notify | VendorId):
        shown["data"] = content.data.hex()
    return shown


def _detection(detection: NatDetection) -> Json:
    return {
        "end": "source" if detection.of_source else "destination",
        "verdict": detection.verdict.value,
        "observed": str(detection.observed),
        "sent": str(detection.sent) if detection.sent else None,
    }
