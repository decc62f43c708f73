import pytest
from ike import GATEWAY, MOBILE, clear, nat_hashes, notify, outer

from scapy_mobsec.ike.ikev1 import NatHash
from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.nat_detection import Verdict, detection_hash
from scapy_mobsec.ike.numbers import Exchange, NotifyType
from scapy_mobsec.ike.payloads import parse_payload
from scapy_mobsec.observer.ike_nat import detections_in, translations_in
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.translation import as_json, describe_all

PRIVATE = Endpoint.of("10.0.0.2", 4500)
SIX = Endpoint.of("2001:db8::2", 4500)


def judged(*items, seen=None, known=()):
    message = parse_message(clear(Exchange.INFORMATIONAL, *items))
    contents = [parse_payload(each) for each in message.payloads]
    path = seen or outer()
    detections = detections_in(message.header, contents, path, known)
    verdicts = [each.verdict for each in detections]
    return verdicts, describe_all(translations_in(detections, contents, path))


@pytest.mark.parametrize(
    ("source", "destination", "verdicts", "texts"),
    [
        (MOBILE, GATEWAY, [Verdict.NOT_TRANSLATED] * 2, []),
        (
            PRIVATE,
            GATEWAY,
            [Verdict.TRANSLATED, Verdict.NOT_TRANSLATED],
            ["source address and port ? -> 198.51.100.2:4500"],
        ),
        (
            MOBILE,
            PRIVATE,
            [Verdict.NOT_TRANSLATED, Verdict.TRANSLATED],
            ["destination address and port ? -> 203.0.113.2:4500"],
        ),
        (Endpoint(MOBILE.address, 0), GATEWAY, [Verdict.FORCED, Verdict.NOT_TRANSLATED], []),
    ],
)
def test_both_ends_are_judged(source, destination, verdicts, texts):
    assert judged(*nat_hashes(source, destination)) == (verdicts, texts)


def test_an_address_that_the_end_told_of_is_found():
    _, texts = judged(*nat_hashes(PRIVATE, GATEWAY), known=[PRIVATE.address])
    assert texts == ["source address 10.0.0.2 -> 198.51.100.2"]


def test_a_port_alone():
    seen = outer(Endpoint(MOBILE.address, 40_001))
    assert judged(*nat_hashes(MOBILE, GATEWAY), seen=seen)[1] == ["source port 4500 -> 40001"]
    forwarded = nat_hashes(MOBILE, Endpoint(GATEWAY.address, 500))
    assert judged(*forwarded)[1] == ["destination port 500 -> 4500"]


def test_no_nats_allowed_has_the_endpoints_in_clear():
    data = PRIVATE.address + GATEWAY.address + (4500).to_bytes(2) * 2
    assert judged(notify(NotifyType.NO_NATS_ALLOWED, data)) == (
        [],
        ["source address 10.0.0.2 -> 198.51.100.2"],
    )
    same = MOBILE.address + GATEWAY.address + (4500).to_bytes(2) * 2
    assert judged(notify(NotifyType.NO_NATS_ALLOWED, same)) == ([], [])


def test_what_is_not_known_is_empty():
    message = parse_message(clear(Exchange.INFORMATIONAL, *nat_hashes(PRIVATE, SIX)))
    contents = [parse_payload(each) for each in message.payloads]
    path = outer(MOBILE, SIX)
    translations = translations_in(
        detections_in(message.header, contents, path, ()), contents, path
    )
    assert [as_json(each)["sent"] for each in translations] == ["", ""]
    assert [as_json(each)["header"] for each in translations] == ["ipv4", "udp"]


def test_ikev1_hashes_the_destination_first():
    header = parse_message(clear(2, version=0x10)).header
    contents = [
        NatHash(detection_hash(header, GATEWAY, 16)),
        NatHash(detection_hash(header, PRIVATE, 16)),
    ]
    found = detections_in(header, contents, outer(), ())
    assert [(each.of_source, each.verdict) for each in found] == [
        (True, Verdict.TRANSLATED),
        (False, Verdict.NOT_TRANSLATED),
    ]


def test_without_hashes_there_is_nothing_to_say():
    assert judged(notify(16384)) == ([], [])
