"""What X and Y tell of the translators on the way."""

import pytest
from stories import count, told

from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal.events import Rebound, Registered, TraversalDropped

NATIVE, UDP, *_ = Encapsulation


def natures(event):
    return {translation.nature for translation in event.translations}


@pytest.mark.parametrize(
    ("name", "ends_on", "dropped", "nature"),
    [
        ("handover", UDP, 0, NatureCode.ADDRESS_AND_PORT),
        ("open", NATIVE, 1, None),
        ("forced", UDP, 0, None),
        ("doublenat", UDP, 1, NatureCode.ADDRESS_AND_PORT),
        ("symmetric", UDP, 1, NatureCode.ADDRESS_AND_PORT),
        ("otherport", UDP, 0, NatureCode.ADDRESS_AND_PORT),
        ("nat64", UDP, 0, NatureCode.PROTOCOL),
        ("ipv6", NATIVE, 3, None),
        ("rebinding", UDP, 0, NatureCode.ADDRESS_AND_PORT),
    ],
)
def test_what_is_told(name, ends_on, dropped, nature):
    result, mobile, _ = told(name)
    assert result.path.encapsulation is ends_on
    assert count(mobile, TraversalDropped) == dropped
    found = set().union(*(natures(event) for event in mobile if isinstance(event, Registered)))
    assert (nature in found) if nature else not found
    assert len(result.inner_mobile) >= result.pings - 3


def test_behind_two_nats_the_outer_one_is_seen():
    _, mobile, _ = told("doublenat")
    event = [event for event in mobile if isinstance(event, Registered)][-1]
    (source,) = [one for one in event.translations if one.field is FieldCode.SOURCE_ADDRESS]
    assert (source.sent, source.observed) == ("10.0.0.2", "192.0.2.1")


def test_a_forgotten_mapping_is_a_rebinding_at_y():
    _, _, other = told("rebinding")
    (event,) = [event for event in other if isinstance(event, Rebound)]
    assert event.old.remote.address == event.new.remote.address
    assert event.old.remote.port != event.new.remote.port


def test_no_packet_has_the_usual_port():
    lines = told("otherport")[0].ladder
    assert not any(":4500" in line for line in lines)
    assert all("203.0.113.2:443" in line for line in lines)
