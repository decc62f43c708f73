import json

from ike import (
    ELSEWHERE,
    GATEWAY,
    IKE_GCM,
    MOBILE,
    SPI_I,
    Talk,
    clear,
    delete,
    fragments,
    init_request,
    keys,
    nat_hashes,
    nonce,
    notify,
    outer,
    sa,
    sealed,
)

from scapy_mobsec.ike.numbers import Exchange, NotifyType, Protocol
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.ui.ike_json import ike_sa_as_json


def shown(talk, number=0):
    return json.loads(json.dumps(ike_sa_as_json(talk.tracker.sas[number])))


def test_an_ike_sa():
    more = [notify(NotifyType.MOBIKE_SUPPORTED)]
    more.append(notify(NotifyType.ADDITIONAL_IP4_ADDRESS, ELSEWHERE.address))
    result = shown(Talk(keys()).init().auth(more=more, answer=more[:1]))
    assert result["initiator_spi"] == b"initiate".hex()
    assert (result["version"], result["initiator"]) == ("2.0", str(MOBILE))
    assert (result["encryption"], result["integrity"]) == ("aes-gcm-16", None)
    assert (result["prf"], result["keys_given"], result["mobike"]) == ("hmac-sha2-256", True, True)
    assert result["identities"] == {"initiator": "x@y"}
    assert result["additional_addresses"] == {"initiator": ["192.0.2.6"]}
    assert (result["verified"], result["icv_failed"], result["problem"]) == (2, 0, None)
    assert (result["replaced_by"], result["deleted"]) == (None, False)


def test_a_child_sa():
    (child,) = shown(Talk(keys()).init().auth())["child_sas"]
    assert (child["initiator_spi"], child["responder_spi"]) == ("0x00000101", "0x00000202")
    assert (child["protocol"], child["mode"], child["esn"]) == ("esp", "tunnel", False)
    assert child["transforms"] == ["aes-gcm-16-256"]
    assert child["initiator_selectors"] == ["198.51.100.2"]
    assert (child["keys_derived"], child["reason"]) == (True, None)
    (unknown,) = shown(Talk(keys(sk_d=None)).init().auth())["child_sas"]
    assert (unknown["keys_derived"], unknown["reason"]) == (False, "SK_d is not given")


def test_an_exchange():
    update = notify(NotifyType.UPDATE_SA_ADDRESSES), notify(NotifyType.COOKIE2, bytes(8))
    hashes = nat_hashes(Endpoint.of("10.0.0.2", 4500), GATEWAY)
    talk = Talk(keys()).see(sealed(keys(), 37, *update, *hashes, mid=2), path=outer(ELSEWHERE))
    (exchange,) = shown(talk)["exchanges"]
    assert (exchange["exchange"], exchange["message_id"]) == ("informational", 2)
    assert (exchange["path_proved"], exchange["response"]) == (None, None)
    request = exchange["request"]
    assert (request["time"], request["frame"], request["encapsulation"]) == (1.0, 1, "udp")
    assert (request["source"], request["from_initiator"]) == (str(ELSEWHERE), True)
    assert (request["reading"], request["fragments"], request["repeats"]) == ("decrypted", 1, 0)
    assert request["payloads"][0] == {"type": "notify", "text": "update_sa_addresses", "data": ""}
    assert request["nat_detection"] == [
        {"end": "source", "verdict": "translated", "observed": str(ELSEWHERE), "sent": None},
        {
            "end": "destination",
            "verdict": "not translated",
            "observed": str(GATEWAY),
            "sent": str(GATEWAY),
        },
    ]
    assert [each["field"] for each in request["translations"]] == ["source_address", "source_port"]


def test_fragments_that_are_missing_are_told():
    first, *_ = fragments(keys(), 37, nonce(bytes(100)))
    assert shown(Talk(keys()).see(first))["lacking_fragments"] == 1
    assert shown(Talk(keys()).init())["lacking_fragments"] == 0


def test_no_key_nor_nonce_is_in_it():
    text = json.dumps(shown(Talk(keys()).init().auth()))
    for secret in (keys().sk_d, keys().sk_ei, b"i" * 32):
        assert secret.hex() not in text


def test_a_re_keyed_sa_names_its_successor():
    talk = Talk(keys()).init().auth()
    asked = sa(IKE_GCM, Protocol.IKE, b"new init"), nonce(bytes(32))
    answered = sa(IKE_GCM, Protocol.IKE, b"new resp"), nonce(bytes(32))
    talk.exchange(Exchange.CREATE_CHILD_SA, asked, answered)
    talk.exchange(37, [delete(Protocol.IKE)], [], mid=3)
    result = shown(talk)
    assert result["replaced_by"] == [b"new init".hex(), b"new resp".hex()]
    assert result["deleted"]
    assert shown(talk, 1)["initiator_spi"] == b"new init".hex()


def test_ikev1_has_no_initiator_flag():
    talk = Talk().see(clear(2, (13, b"who"), version=0x10))
    request = shown(talk)["exchanges"][0]["request"]
    assert request["from_initiator"] is None
    assert request["payloads"] == [{"type": "vendor_id", "text": "77686f", "data": "77686f"}]
    assert shown(Talk().see(init_request()))["responder_spi"] == "0" * 16
    assert SPI_I.hex() == shown(Talk().see(init_request()))["initiator_spi"]
