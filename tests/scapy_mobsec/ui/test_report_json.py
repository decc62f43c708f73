import json

from frames import GATEWAY, NEW, OLD, TO_GATEWAY, Bench, Keys, gcm, reply, request, signalling
from ike import init_request

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import (
    EncapsulationItem,
    EspHeader,
    HttpHeader,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
    UnknownHeader,
)
from scapy_mobsec.ui.report_json import encapsulation_name, report_as_json

INSIDE = Endpoint.of("10.0.0.2", 4500)
V6 = Endpoint.of("2001:db8::1").address


def shown(bench):
    """The report as it comes out of JSON again."""
    return json.loads(json.dumps(report_as_json(bench.report)))


def test_an_empty_report():
    result = shown(Bench())
    assert set(result["summary"].values()) == {0}
    for part in ("sas", "registrations", "refused", "moves"):
        assert result[part] == []
    assert result["drops"] == {}


def test_a_registration():
    bench = Bench()
    items = (EncapsulationItem(1, port=4500, keepalive=20), EncapsulationItem(99))
    ask = request(supported=items, flags=AttemptFlag.FORCED)
    bench.see(bench.up(OLD), bench.up(NEW, payload=signalling(ask)))
    bench.see(bench.down(NEW, payload=signalling(reply(selected=items[:1]))), after=0.05)
    result = shown(bench)
    (entry,) = result["registrations"]
    assert entry["identification"] == "0x0000000000000007"
    assert (entry["home_address"], entry["flags"]) == ("10.10.1.1", ["FORCED"])
    assert entry["sent"][1] == {"type": "udp", "source_port": 40001, "destination_port": 4500}
    assert entry["sent"] == entry["captured"]
    assert [item["code"] for item in entry["supported"]] == ["udp", "code-99"]
    assert (entry["translations"], entry["round_trip_ms"]) == ([], 50.0)
    assert (entry["code"], entry["code_name"]) == (0, "accepted")
    assert entry["reply"]["selected"][0]["keepalive"] == 20
    (move,) = result["moves"]
    assert (move["from"], move["to"], move["peer"]) == (str(OLD), str(NEW), str(GATEWAY))
    assert (move["signalled"], move["evidence"]) == (True, "registration")


def test_a_translation_has_five_keys():
    bench = Bench()
    inside = request(source=INSIDE)
    bench.see(bench.up(NEW, payload=signalling(inside)))
    first = shown(bench)["registrations"][0]["translations"][0]
    assert first == {
        "header": "ipv4",
        "field": "source_address",
        "nature": "address_and_port",
        "sent": "10.0.0.2",
        "observed": "192.0.2.1",
    }


def test_refusals_and_codes_nobody_knows():
    bench = Bench()
    bench.see(bench.up(payload=signalling(request())))
    bench.see(bench.down(payload=signalling(reply(code=77))))
    (entry,) = shown(bench)["refused"]
    assert (entry["code"], entry["code_name"]) == (77, "code_77")


def test_every_kind_of_header_is_text():
    bench = Bench()
    headers = (
        Ipv6Header(V6, V6),
        TcpHeader(1, 443),
        TlsHeader(bytes(32), "gw.example"),
        HttpHeader("GET", "gw.example", "/", ("Via",)),
        UnknownHeader(77, b"\x01"),
        EspHeader(TO_GATEWAY),
    )
    bench.see(bench.up(payload=signalling(request(sent=headers))))
    sent = shown(bench)["registrations"][0]["sent"]
    assert [header["type"] for header in sent] == ["ipv6", "tcp", "tls", "http", "type_77", "esp"]
    assert sent[0]["source"] == "2001:db8::1"
    assert sent[2]["certificate_sha256"] == "00" * 32
    assert sent[3]["intermediaries"] == ["Via"]
    assert sent[5]["spi"] == "0x00001001"


def test_no_key_octets():
    bench = Bench(Keys(gcm(TO_GATEWAY, 0xAB)))
    bench.see(bench.up(octet=0xAB))
    text = json.dumps(report_as_json(bench.report)) + repr(bench.report)
    assert bench.report.summary.verified == 1
    for key in ("abab", r"\xab\xab"):
        assert key not in text


def test_encapsulation_names():
    assert [encapsulation_name(code) for code in range(7)] == [
        *("native", "udp", "tcp", "tls", "http", "http-post"),
        "code-6",
    ]


def test_ike_is_in_the_report():
    bench = Bench()
    bench.see(bench.udp(bytes(4) + init_request()))
    (entry,) = shown(bench)["ike"]
    assert entry["exchanges"][0]["exchange"] == "ike_sa_init"


def test_a_move_that_is_not_verified(unverified):
    assert [move["verified"] for move in shown(unverified)["moves"]] == [False]
