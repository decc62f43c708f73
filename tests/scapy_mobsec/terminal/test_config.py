"""Configuration is checked where it is made, and shows no keys."""

from dataclasses import replace
from ipaddress import ip_address
from math import inf, nan

import pytest
from terminals import (
    AH_LINKS,
    AH_ONLY_LINKS,
    AH_TO_MOBILE,
    CBC_SAS,
    MOBILE_LINK,
    OTHER,
    TO_MOBILE,
    TO_OTHER,
)

from contrib_layers.numbers import EncapsulationCode
from scapy_mobsec.packet.path import Encapsulation, Endpoint
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration


def test_keys_are_not_shown():
    text = repr(MobileConfiguration(AH_LINKS[0], OTHER)) + repr(OtherConfiguration((MOBILE_LINK,)))
    assert "spi=" in text
    assert repr(TO_MOBILE.encryption_key) not in text
    assert "_key=" not in text


def test_home_and_signalling_address_are_of_one_family():
    with pytest.raises(ValueError, match="families"):
        replace(MOBILE_LINK, signalling_address=ip_address("2001:db8::1").packed)


def test_a_link_verifies_what_it_receives():
    with pytest.raises(ValueError, match="integrity"):
        replace(MOBILE_LINK, inbound=(replace(CBC_SAS[0], integrity_key=None),))


def test_a_certificate_is_demanded_by_its_sha256():
    with pytest.raises(ValueError, match="tls_verify is not 0 or 32 octets"):
        MobileConfiguration(MOBILE_LINK, OTHER, tls_verify=bytes(20))


def test_a_link_has_an_sa_to_send_with():
    for changes in ({"ah": None}, {"inbound": (TO_MOBILE,)}):
        with pytest.raises(ValueError, match="SA to send with"):
            replace(AH_ONLY_LINKS[0], **changes)


def test_forced_traversal_needs_esp():
    MobileConfiguration(AH_LINKS[0], OTHER, forced=True)
    with pytest.raises(ValueError, match="no ESP SA"):
        MobileConfiguration(AH_ONLY_LINKS[0], OTHER, forced=True)


UDP, HTTP = EncapsulationItem(EncapsulationCode.UDP), EncapsulationItem(EncapsulationCode.HTTP)
NO_HOSTS = [None, b"", b"abc", "10.1.2.3", "1::2", bytes(4), bytes(16), b"\xe0\0\0\1"]
NO_LIFETIMES = [None, "60", True, 0, -1, 1.5, 65_536, nan]
NO_COUNTS = [None, "x", True, 0, -1, 1.5, nan]
NO_SECONDS = [None, "x", True, -1, -inf, inf, nan, 1e9]
NO_FLAGS = [None, "x", 1]
NO_DECIDERS = [None, "OTHER", 1]
NO_REMOTES = [
    None,
    (OTHER.address, OTHER.port),
    *(Endpoint(address, 4500) for address in NO_HOSTS),
    *(Endpoint(OTHER.address, port) for port in (None, 0, -1, 70_000, 1.5)),
]
NO_ITEMS = [
    None,
    UDP,
    (),
    [UDP],
    (None,),
    (Encapsulation.UDP,),
    ("udp",),
    (EncapsulationItem(9),),
    (UDP, EncapsulationItem(99)),
    (replace(HTTP, path="a"),),
    (replace(HTTP, path="/a b"),),
    (UDP,) * 17,
]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("link", [None, MOBILE_LINK.home_address]),
        ("other_terminal", NO_REMOTES),
        ("lifetime", NO_LIFETIMES),
        ("last_attempt", [None, "x", -1, 1.5, 2**32, 2**40]),
        ("allow", [*NO_ITEMS, (UDP, UDP)]),
        ("start", [None, Encapsulation.UDP, ("udp",), (None,), (Encapsulation.TCP,)]),
        ("stagger", NO_SECONDS),
        ("decider", NO_DECIDERS),
        ("forced", NO_FLAGS),
        ("keepalive", NO_SECONDS),
        ("nat64_prefix", [b"", bytes(11), "64:ff9b:1:2:"]),
        ("other_addresses", [None, *((one,) for one in NO_HOSTS)]),
        ("spare", NO_FLAGS),
        ("proxy", NO_REMOTES[1:]),
        ("tls_verify", [None, bytes(20), "a" * 32]),
    ],
)
def test_what_x_cannot_act_on_is_refused_by_the_name_of_its_field(field, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field} "):
            MobileConfiguration(**{"link": MOBILE_LINK, "other_terminal": OTHER, field: value})


LONG_ITEMS = (replace(HTTP, host="h" * 120, path="/" + "p" * 120),) * 16


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("links", [None, MOBILE_LINK, (None,)]),
        ("supported", NO_ITEMS),
        ("max_lifetime", NO_LIFETIMES),
        ("max_sas", NO_COUNTS),
        ("max_streams", NO_COUNTS),
        ("decider", NO_DECIDERS),
        ("forced", NO_FLAGS),
        ("addresses", [None, *((one,) for one in NO_HOSTS), (OTHER.address,) * 17]),
        ("names", ["abc", (5,), (b"abc",), ("\xe4",), ("UPPER.example",), ("a" * 254,)]),
        ("alternates", ["x", *((one,) for one in NO_REMOTES)]),
    ],
)
def test_what_y_cannot_say_or_act_on_is_refused_by_the_name_of_its_field(field, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field} "):
            OtherConfiguration(**{field: value})


def test_what_y_supports_fits_into_a_reply():
    OtherConfiguration(supported=LONG_ITEMS[:15])
    with pytest.raises(ValueError, match="3984 octets"):
        OtherConfiguration(supported=LONG_ITEMS)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("home_address", NO_HOSTS),
        ("signalling_address", NO_HOSTS),
        ("inbound", [None, TO_MOBILE, [TO_MOBILE], (None,), (AH_TO_MOBILE,)]),
        ("outbound", [b"key", AH_TO_MOBILE]),
        ("mode", [None, "tunnel"]),
        ("ah", [AH_TO_MOBILE]),
    ],
)
def test_what_no_link_can_be_is_refused_by_the_name_of_its_field(field, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field} "):
            replace(MOBILE_LINK, **{field: value})


def test_both_ends_of_a_link_have_addresses_of_their_own():
    with pytest.raises(ValueError, match="are the same"):
        replace(MOBILE_LINK, signalling_address=MOBILE_LINK.home_address)


def test_keys_serve_one_direction():
    both = replace(TO_OTHER, spi=TO_MOBILE.spi, esn=True)
    with pytest.raises(ValueError, match="those of the outbound"):
        replace(MOBILE_LINK, inbound=(TO_MOBILE, both))
    ah = AH_LINKS[0].ah
    with pytest.raises(ValueError, match="those of the outbound"):
        replace(ah, inbound=(replace(ah.outbound, spi=7),))
    for wrong in ({"inbound": ah.outbound}, {"outbound": TO_OTHER}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(ah, **wrong)
