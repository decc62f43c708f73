"""What becomes of the link where not everything passes."""

import pytest
from stories import count, first, told

from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.events import (
    FellBack,
    ProxyRefused,
    Registered,
    RegistrationReceived,
    TraversalDropped,
)

NATIVE, UDP, TCP, TLS, HTTP, _ = Encapsulation


@pytest.mark.parametrize(
    ("name", "ends_on", "dropped", "fell_back"),
    [
        ("firewall", UDP, 0, 0),
        ("oneway", UDP, 0, 0),
        ("fallback", UDP, 1, 1),
        ("udpblocked", TCP, 0, 0),
        ("tls", TLS, 0, 0),
        ("http", HTTP, 0, 0),
        ("proxy", HTTP, 0, 0),
        ("intercepted", TLS, 0, 0),
        ("parallel", UDP, 0, 0),
    ],
)
def test_what_is_used_in_the_end(name, ends_on, dropped, fell_back):
    result, mobile, _ = told(name)
    assert result.path.encapsulation is ends_on
    assert count(mobile, TraversalDropped) == dropped
    assert count(mobile, FellBack) == fell_back
    lost = 30 if fell_back else 3
    assert result.pings - lost <= len(result.inner_mobile) <= result.pings


def test_a_proxy_is_seen_in_the_comparison():
    event = first(told("http")[0].mobile_events, Registered)
    found = {(each.field, each.nature) for each in event.translations}
    assert found == {
        (FieldCode.SOURCE_ADDRESS, NatureCode.PROXIED),
        (FieldCode.HTTP_INTERMEDIARY, NatureCode.PROXIED),
    }


def test_a_forward_proxy_refuses_one_tunnel_and_makes_another():
    _, mobile, other = told("proxy")
    (refused,) = [event for event in mobile if isinstance(event, ProxyRefused)]
    assert refused.path.encapsulation is TCP
    assert refused.reason.endswith("403")
    (received, *_) = [event for event in other if isinstance(event, RegistrationReceived)]
    assert [header.method for header in received.sent[2:4]] == ["CONNECT", "GET"]
    assert [header.method for header in received.observed[2:3]] == ["GET"]


def test_an_interceptor_is_seen_by_both_ends():
    event = first(told("intercepted")[0].mobile_events, Registered)
    for translations in (event.translations, event.reply_translations):
        assert [each.nature for each in translations] == [NatureCode.INTERCEPTED]


def test_all_encapsulations_are_tried_at_once():
    ladder = told("parallel")[0].ladder
    begun = [line for line in ladder if line.startswith("0 ms")]
    assert [line.split("  ")[1].split()[0] for line in begun if "ping" not in line] == [
        "udp",
        "esp",
        "tcp",
        "tcp",
    ]
