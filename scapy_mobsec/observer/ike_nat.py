"""What translators did to IKE messages, in the terms of `translation`.

NAT_DETECTION (RFC 7296 section 2.23) and NAT-D (RFC 3947 section 3.2) hash what the sender took
for the endpoints: the value is shown where it could be found. NO_NATS_ALLOWED (RFC 4555 section
3.9) has them in clear.
"""

from collections.abc import Iterable, Sequence

from contrib_layers.numbers import FieldCode, HeaderType, NatureCode
from scapy_mobsec.ike.ikev1 import NatHash
from scapy_mobsec.ike.message import Header
from scapy_mobsec.ike.nat_detection import NatDetection, Verdict, detect
from scapy_mobsec.ike.numbers import NotifyType
from scapy_mobsec.ike.payloads import Notify
from scapy_mobsec.observer.ike_messages import IkeContent
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.packet.path import Encapsulation, Endpoint, address_text
from scapy_mobsec.translation import Translation, compare

_NO_SPI = 0


def detections_in(
    header: Header, contents: Sequence[IkeContent], outer: Outer, known: Sequence[bytes]
) -> tuple[NatDetection, ...]:
    """Judge the hashes of a message, of its source first.

    `known`: packed addresses that its two ends told to have.
    """
    of_source = _data(contents, NotifyType.NAT_DETECTION_SOURCE_IP)
    of_destination = _data(contents, NotifyType.NAT_DETECTION_DESTINATION_IP)
    hashes = [each.data for each in contents if isinstance(each, NatHash)]
    if hashes:
        of_destination, of_source = hashes[:1], hashes[1:]
    both = (
        detect(header, of_source, outer.source_endpoint, of_source=True, known=known),
        detect(header, of_destination, outer.destination_endpoint, of_source=False, known=known),
    )
    return tuple(each for each in both if each is not None)


def translations_in(
    detections: Iterable[NatDetection], contents: Sequence[IkeContent], outer: Outer
) -> tuple[Translation, ...]:
    """Tell what was changed on the way to the point of capture; "" for what is not known."""
    sent = _sent(contents)
    if sent is not None:
        return _changes(outer, *sent)
    translations: list[Translation] = []
    for detection in detections:
        if detection.verdict is not Verdict.TRANSLATED:
            continue
        if detection.sent is None:
            translations += _unknown(detection, outer)
        elif detection.of_source:
            translations += _changes(outer, detection.sent, outer.destination_endpoint)
        else:
            translations += _changes(outer, outer.source_endpoint, detection.sent)
    return tuple(translations)


def _data(contents: Iterable[IkeContent], kind: NotifyType) -> list[bytes]:
    return [each.data for each in contents if isinstance(each, Notify) and each.kind == kind]


def _sent(contents: Iterable[IkeContent]) -> tuple[Endpoint, Endpoint] | None:
    """What NO_NATS_ALLOWED holds: both addresses, both ports (RFC 4555 section 4.2.6)."""
    data = next(iter(_data(contents, NotifyType.NO_NATS_ALLOWED)), None)
    if data is None:
        return None
    size = (len(data) - 4) // 2
    ports = data[2 * size :]
    return (
        Endpoint(data[:size], int.from_bytes(ports[:2], "big")),
        Endpoint(data[size : 2 * size], int.from_bytes(ports[2:], "big")),
    )


def _changes(outer: Outer, source: Endpoint, destination: Endpoint) -> tuple[Translation, ...]:
    sent = Outer(outer.encapsulation, *source, *destination)
    return compare(sent.description(_NO_SPI), outer.description(_NO_SPI))


def _unknown(detection: NatDetection, outer: Outer) -> tuple[Translation, Translation]:
    """Address or port or both of an end were changed, from what is not known."""
    if detection.of_source:
        fields = FieldCode.SOURCE_ADDRESS, FieldCode.SOURCE_PORT
    else:
        fields = FieldCode.DESTINATION_ADDRESS, FieldCode.DESTINATION_PORT
    observed, nature = detection.observed, NatureCode.ADDRESS_AND_PORT
    ip = HeaderType.IPV4 if len(observed.address) == 4 else HeaderType.IPV6
    above = HeaderType.UDP if outer.encapsulation is Encapsulation.UDP else HeaderType.TCP
    return (
        Translation(0, fields[0], nature, "", address_text(observed.address), ip),
        Translation(1, fields[1], nature, "", str(observed.port), above),
    )
