"""Carriers and endpoints as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrib_layers.numbers import ITEM_INSIDE_TLS, EncapsulationCode
from scapy_mobsec.drivers.live.carrier_texts import (
    CARRIER_NAMES,
    Listener,
    Target,
    carrier_text,
    encapsulations_of,
    parse_carrier,
    parse_carriers,
    parse_endpoint,
    parse_listener,
    parse_target,
)
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem

NATIVE, UDP, TCP, TLS, HTTP, HTTP_POST = EncapsulationCode

CARRIERS = {
    "native": EncapsulationItem(NATIVE),
    "udp": EncapsulationItem(UDP),
    "udp:4501": EncapsulationItem(UDP, port=4501),
    "tcp": EncapsulationItem(TCP),
    "tcp:443": EncapsulationItem(TCP, port=443),
    "tcp:vpn.example.net:443": EncapsulationItem(TCP, port=443, host="vpn.example.net"),
    "tls": EncapsulationItem(TLS, port=443),
    "http": EncapsulationItem(HTTP, port=80),
    "http:192.0.2.1:8080": EncapsulationItem(HTTP, port=8080, host="192.0.2.1"),
    "https": EncapsulationItem(HTTP, ITEM_INSIDE_TLS, 443),
    "https/a/b": EncapsulationItem(HTTP, ITEM_INSIDE_TLS, 443, path="/a/b"),
    "https:vpn.example.net/a:1/": EncapsulationItem(
        HTTP, ITEM_INSIDE_TLS, 443, host="vpn.example.net", path="/a:1/"
    ),
    "http-post:8080": EncapsulationItem(HTTP_POST, port=8080),
    "https-post": EncapsulationItem(HTTP_POST, ITEM_INSIDE_TLS, 443),
}


@pytest.mark.parametrize("text", CARRIERS)
def test_a_carrier_is_read_and_written(text):
    assert parse_carrier(text) == CARRIERS[text]
    assert carrier_text(CARRIERS[text]) == text


def test_all_names_of_encapsulations_are_names_of_carriers():
    assert {each.value for each in Encapsulation} < set(CARRIER_NAMES)
    for name in CARRIER_NAMES:
        (encapsulation,) = encapsulations_of([parse_carrier(name)])
        assert name.replace("https", "http") == encapsulation.value


def test_a_host_is_in_lower_case():
    assert parse_carrier("https:VPN.Example.net").host == "vpn.example.net"


BAD_CARRIERS = {
    "": "its name is none of native, udp,",
    "ftp": "its name is none of",
    "UDP": "its name is none of",
    "udp:": "nothing follows the colon",
    "http:/a": "nothing follows the colon",
    "udp:0": "the port is not in 1..65535",
    "udp:65536": "the port is not in 1..65535",
    "udp:\u0661": "the port is not in",
    "tcp:a:b": "the port is not in",
    "native:4500": "native has no port",
    "udp:192.0.2.1:4500": "udp takes a port alone",
    "tcp:443/a": "a path follows http alone",
    "http/a b": "a path follows http alone",
    "http:-a:80": "not the name of a host",
    "http::80": "not the name of a host",
}


@pytest.mark.parametrize("text", BAD_CARRIERS)
def test_what_is_no_carrier_is_refused_with_a_reason(text):
    with pytest.raises(ValueError, match=f"^{BAD_CARRIERS[text]}"):
        parse_carrier(text)


def test_several_carriers_are_a_text_or_a_list():
    assert parse_carriers("udp:4500") == (EncapsulationItem(UDP, port=4500),)
    assert parse_carriers(["udp", "https"]) == (CARRIERS["udp"], CARRIERS["https"])
    assert encapsulations_of(parse_carriers(["tls", "udp"])) == (
        Encapsulation.TLS,
        Encapsulation.UDP,
    )
    with pytest.raises(ValueError, match="named twice"):
        parse_carriers(["http", "https"])


LISTENERS = {
    "native": Listener(Encapsulation.NATIVE),
    "udp:0.0.0.0:4500": Listener(Encapsulation.UDP, Endpoint.of("0.0.0.0", 4500)),
    "udp:[::]:4500": Listener(Encapsulation.UDP, Endpoint.of("::", 4500)),
    "tcp:127.0.0.1:0": Listener(Encapsulation.TCP, Endpoint.of("127.0.0.1", 0)),
    "tls:[::1]:443": Listener(Encapsulation.TLS, Endpoint.of("::1", 443)),
    "https:0.0.0.0:443": Listener(Encapsulation.HTTP, Endpoint.of("0.0.0.0", 443), True),
}


@pytest.mark.parametrize("text", LISTENERS)
def test_a_listener_is_read(text):
    listener = parse_listener(text)
    assert listener == LISTENERS[text]
    assert listener.needs_certificate is text.startswith(("tls", "https"))


BAD_LISTENERS = """
udp udp:4500 udp:::4500 udp:[0.0.0.0]:4500 tcp:0.0.0.0: native: tcp:a:1 udp:[::] udp:[]:1
udp:fe80::1%eth0:1 udp:0.0.0.0:65536 icmp:0.0.0.0:1
"""


@pytest.mark.parametrize("text", ["", *BAD_LISTENERS.split()])
def test_what_is_no_listener_is_refused(text):
    with pytest.raises(ValueError, match=r"not of the form|the port|native has|its name"):
        parse_listener(text)


TARGETS = {
    "203.0.113.2": Target("203.0.113.2", 4500),
    "203.0.113.2:500": Target("203.0.113.2", 500),
    "2001:db8::1": Target("2001:db8::1", 4500),
    "[2001:db8::1]": Target("2001:db8::1", 4500),
    "[2001:db8::1]:500": Target("2001:db8::1", 500),
    "vpn.example.net": Target("vpn.example.net", 4500),
    "vpn.example.net:500": Target("vpn.example.net", 500),
}


@pytest.mark.parametrize("text", TARGETS)
def test_a_target_is_read(text):
    target = parse_target(text)
    assert target == TARGETS[text]
    assert target.is_name is text.startswith("vpn")
    if target.is_name:
        with pytest.raises(ValueError, match="not of the form ADDRESS"):
            parse_endpoint(text)
    else:
        assert parse_endpoint(text) == Endpoint.of(*target)


BAD_TARGETS = """
4500 :4500 [::1 [::1]4500 [::1]: [192.0.2.1]:1 [::1]:0 a:1:2 fe80::1%eth0 a..b a: [::1]x
"""


@pytest.mark.parametrize("text", ["", "a b", "a" * 254, *BAD_TARGETS.split()])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(ValueError, match=r"not of the form|the port|not the name"):
        parse_target(text)


PIECES = st.lists(
    st.sampled_from([*CARRIER_NAMES, ":", "/", "[", "]", "::1", "0.0.0.0", "443", "a.b", "%", " "])
)


@given(text=PIECES.map("".join) | st.text())
@pytest.mark.parametrize("parse", [parse_carrier, parse_listener, parse_target, parse_endpoint])
def test_any_text_is_read_or_a_value_error_without_it(parse, text):
    refusal, found = "", None
    try:
        found = parse(text)
    except ValueError as error:
        refusal = str(error)
    assert len(text) < 12 or text not in refusal
    if isinstance(found, EncapsulationItem):
        assert parse_carrier(carrier_text(found)) == found
