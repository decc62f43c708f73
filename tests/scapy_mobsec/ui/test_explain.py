from dataclasses import replace

import pytest
from frames import (
    GATEWAY,
    NEW,
    OLD,
    TO_GATEWAY,
    TO_MOBILE,
    Bench,
    Keys,
    gcm,
    reply,
    request,
    signalling,
)
from shown import CAPTURES, EXPECTED, WITH_IKE_KEYS, shown

from contrib_layers.numbers import FieldCode, HeaderType, NatureCode
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.translation import Translation
from scapy_mobsec.ui.explain import network_text, sentences

INSIDE = Endpoint.of("10.0.0.2", 4500)
OTHER_PORT = OLD._replace(port=31337)


@pytest.mark.parametrize("name", CAPTURES)
def test_whole_captures(name):
    text = "\n".join(sentences(shown(name).report)) + "\n"
    assert text == (EXPECTED / f"{name}.explain.txt").read_text()


def test_no_move(bench):
    bench.see(bench.up())
    assert sentences(bench.report) == ["No link moved."]


def explained(bench):
    (sentence,) = sentences(bench.report)
    return sentence


def test_another_port_alone(bench):
    bench.see(bench.up(), bench.up(OTHER_PORT))
    assert (
        "one end kept its address and shows another port, 198.51.100.2:31337 after "
        "198.51.100.2:4500, which no message told: data alone shows it, as where a translator "
        "(NAT) makes a new mapping; what the network changes there is not known; data"
        in explained(bench)
    )


def test_another_encapsulation(bench):
    bench.see(bench.up(), bench.native(bench.seal(TO_MOBILE), GATEWAY, OLD))
    assert "one end stayed where it was and went on by plain ESP instead of UDP" in explained(bench)


def test_refused(bench):
    bench.see(bench.up(), bench.up(NEW, payload=signalling(request(source=INSIDE))))
    bench.see(bench.down(NEW, payload=signalling(reply(code=129))))
    assert (
        "asked to be registered there, and was refused (administratively prohibited (129))"
        in explained(bench)
    )


def test_a_copy_of_the_request_that_came_first():
    sentence = sentences(shown("race", "other").report)[1]
    assert "and proved its path, which the one before was not" in sentence
    assert "and went on 50.000 ms before the move was told" in sentence


def test_a_move_that_the_reply_tells_has_the_translations_of_its_request():
    (sentence,) = sentences(shown("twointerfaces").report)
    assert "nothing on the way changes its addresses or ports" in sentence


def test_data_first(bench):
    bench.see(bench.up(), bench.up(NEW), bench.up(NEW, payload=signalling(request())))
    assert "with data first and its registration after" in explained(bench)


def test_without_sent_the_network_is_not_known(bench):
    bench.see(bench.up(), bench.up(NEW, payload=signalling(request(sent=None))))
    assert "what the network changes there is not known" in explained(bench)


def test_pauses_in_ms_and_round_trips_and_what_is_missing(bench):
    for _ in range(3):
        bench.see(bench.up(), bench.down(), after=0.005)
    bench.up(), bench.up()
    bench.see(bench.up(NEW, payload=signalling(request())), after=0.035)
    bench.see(bench.down(NEW, payload=signalling(reply())), after=0.05)
    bench.see(bench.up(NEW))
    sentence = explained(bench)
    assert (
        "data to 203.0.113.2:4500 paused for 100.000 ms = 2.0 round trips, and went on 60.000 ms "
        "= 1.2 round trips after the move was told (before, a packet came every 10.000 ms), "
        "with 2 sequence numbers missing in between; data back was not seen both before and after."
        in sentence
    )
    assert "nothing before the point of capture changes its addresses or ports" in sentence


def registered(bench, **observed):
    """A registration with a round trip of 40 ms, and data both ways."""
    bench.see(bench.up(payload=signalling(request(source=INSIDE))), after=0.01)
    bench.see(bench.down(payload=signalling(reply(**observed))), after=0.04)
    bench.see(bench.up(), bench.down(), after=0.005)


def test_a_rebinding_is_of_the_mobile_terminal_and_in_round_trips(bench):
    registered(bench)
    bench.see(bench.down(OTHER_PORT), bench.up(OTHER_PORT), after=0.08)
    assert explained(bench) == (
        "+130.000 ms, link 1: the mobile terminal kept its address and shows another port, "
        "198.51.100.2:31337 after 198.51.100.2:4500, which no message told: data alone shows it, "
        "as where a translator (NAT) makes a new mapping; what the network changes there is not "
        "known (its last registration told: an address translator (NAT) replaces its address "
        "10.0.0.2 by 198.51.100.2); data to 203.0.113.2:4500 paused for 165.000 ms "
        "= 4.1 round trips; data back paused for 80.000 ms = 2.0 round trips."
    )


def test_a_refused_registration_is_not_the_last_one(bench):
    registered(bench)
    bench.see(bench.up(payload=signalling(request(8, 2, source=OLD))))
    bench.see(bench.down(payload=signalling(reply(8, 2, code=129))))
    bench.see(bench.down(OTHER_PORT))
    assert "registration told: an address translator (NAT) replaces" in explained(bench)


def test_who_moves_without_a_registration_is_not_known(bench):
    bench.see(bench.up(), bench.up(NEW))
    assert ": one end went from" in explained(bench)


def test_the_other_terminal_is_not_taken_for_the_mobile_one(bench):
    registered(bench)
    moved = GATEWAY._replace(port=4600)
    bench.see(bench.udp(bench.seal(TO_MOBILE), moved, OLD))
    assert ": one end kept its address and shows another port, 203.0.113.2:4600" in explained(bench)


def test_a_registration_of_another_link_tells_nothing_of_this_one():
    bench = Bench(Keys(gcm(TO_GATEWAY), gcm(TO_MOBILE), gcm(0x3003)))
    registered(bench)
    inner = build_ip(Endpoint.of("10.10.1.9").address, GATEWAY.address, 1, b"ping")
    for source in (NEW, NEW._replace(port=40002)):
        bench.see(bench.udp(bench.seal(0x3003, inner), source))
    sentence = explained(bench)
    assert "link 2: one end kept" in sentence
    assert "round trip" not in sentence
    assert "registration" not in sentence


def test_a_request_that_was_repeated_has_the_translations_of_the_one_that_was_answered(bench):
    asked = signalling(request(source=INSIDE))
    bench.see(bench.up(), bench.up(NEW, payload=asked), bench.up(NEW, payload=asked))
    observed = request(source=NEW).sent
    bench.see(bench.down(NEW, payload=signalling(reply(observed=observed))), after=0.07)
    sentence = explained(bench)
    assert "replaces its address and port 10.0.0.2:4500 by 192.0.2.1:40001" in sentence
    text = sentences(shown("loss", "mobile").report)[0]
    assert "nothing on the way changes its addresses or ports" in text


def test_data_goes_to_the_other_terminal_also_where_its_reply_tells_the_move():
    (sentence,) = sentences(shown("udpblocked").report)
    assert "data to 203.0.113.2:4500 paused" in sentence
    assert "data back was not seen" in sentence


def test_nobody_knows_what_is_behind_the_capture_without_a_reply(bench):
    bench.see(bench.up(), bench.up(NEW, payload=signalling(request(source=NEW))))
    assert "nothing before the point of capture changes its addresses" in explained(bench)


def test_round_trips_are_of_ike_whether_it_can_be_read_or_not():
    for name in ("strongswan-natt", WITH_IKE_KEYS):
        (sentence,) = sentences(shown(name).report)
        assert "data to 203.0.113.2:4500 paused for 1230.080 ms = 107.5 round trips" in sentence


def changed(field, nature, sent="a", observed="b", header=HeaderType.IPV4):
    return Translation(0, field, nature, sent, observed, header)


@pytest.mark.parametrize(
    ("translations", "text"),
    [
        (None, "what the network changes there is not known"),
        (
            [
                changed(FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS_AND_PORT, "", "::1"),
                changed(FieldCode.SOURCE_PORT, NatureCode.ADDRESS_AND_PORT, "", "2"),
            ],
            "an address translator (NAT) replaces its address and port by [::1]:2",
        ),
        ([], "nothing on the way changes its addresses or ports"),
        (
            [changed(FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS)],
            "an address translator (NAT) replaces its address a by b",
        ),
        (
            [changed(FieldCode.DESTINATION_PORT, NatureCode.PORT, "1", "2")],
            "a port translator (NAT) replaces the port that it sends to 1 by 2",
        ),
        (
            [
                changed(FieldCode.DESTINATION_ADDRESS, NatureCode.ADDRESS_AND_PORT),
                changed(FieldCode.DESTINATION_PORT, NatureCode.ADDRESS_AND_PORT, "1", "2"),
            ],
            "an address translator (NAT) replaces the address and port that it sends to a:1 by b:2",
        ),
        (
            [changed(FieldCode.WHOLE_HEADER, NatureCode.PROTOCOL, "a > b", "::1 > ::2")],
            "a translator (NAT64) makes IPv6 packets of its packets",
        ),
        (
            [
                changed(FieldCode.SOURCE_ADDRESS, NatureCode.PROXIED),
                changed(FieldCode.HTTP_INTERMEDIARY, NatureCode.PROXIED),
                changed(FieldCode.TLS_CERTIFICATE, NatureCode.INTERCEPTED),
                changed(FieldCode.HTTP_REQUEST, NatureCode.REWRITTEN),
            ],
            "a proxy ends its connection and makes one of its own and somebody on the way opens "
            "TLS and shows a certificate of its own and a proxy rewrites its HTTP request",
        ),
    ],
)
def test_each_nature_in_plain_words(translations, text):
    assert network_text(translations) == text


def test_a_translation_of_which_one_half_is_told_is_not_left_out():
    half = [changed(FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS_AND_PORT)]
    assert network_text(half) == "an address translator (NAT) replaces its address a by b"


def test_what_is_not_verified_says_so_first(unverified):
    (sentence,) = sentences(unverified.report)
    assert sentence.startswith("+10.000 ms, link 1: NOT VERIFIED, without an integrity key anybody")


def test_a_move_told_by_an_unverified_registration_alone_says_so(bench):
    bench.see(bench.up(), bench.up(NEW, payload=signalling(request())))
    (entry,) = bench.report.registrations
    assert "NOT VERIFIED" not in explained(bench)
    entry.asked = replace(entry.asked, verified=False)
    assert "NOT VERIFIED" in explained(bench)
