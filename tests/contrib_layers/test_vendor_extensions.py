"""Our vendor extensions: values over several extensions, and put together again."""

import pytest
from hypothesis import given
from layer_samples import our_extensions
from scapy.packet import Raw

from contrib_layers.shim import (
    RREQ,
    Addresses,
    Attempt,
    Challenge,
    HTTPHeader,
    IPv4Header,
    NormalVendorExtension,
    Pad,
    Report,
    Sent,
    UDPHeader,
)


@given(our_extensions)
def test_our_extensions_come_back_whole_when_joined(some):
    request = RREQ(bytes(RREQ(extensions=some)))
    for extension in some:
        joined = request.joined(type(extension))
        assert type(joined) is type(extension)
        assert bytes(joined) == bytes(extension)


def test_addresses_that_are_no_family_and_address_stay_octets():
    addresses = Addresses(addresses=["192.0.2.1", b"\x05abc"])
    assert Addresses(bytes(addresses)).addresses == ["192.0.2.1", b"\x05abc"]
    cut = Addresses(addresses=[b"\x04\xc0\x00"])
    assert Addresses(bytes(cut)).addresses == [b"\x04\xc0\x00"]


def test_a_value_over_247_octets_continues_in_the_next_extension():
    sent = Sent(headers=[IPv4Header(), HTTPHeader(path=b"/" * 300)])
    request = RREQ(bytes(RREQ(extensions=[sent, Attempt()])))
    first, second, attempt = request.extensions
    assert [type(header) for header in first.headers] == [IPv4Header, Raw]
    assert (type(second), second.sprintf("%vendor_type%")) == (NormalVendorExtension, "sent")
    assert (first.length, second.length) == (255, 8 + len(sent.value_octets()) - 247)
    assert type(attempt) is Attempt
    joined = request.joined(Sent)
    assert joined.parent is None
    assert joined.headers[1].path == b"/" * 300
    assert bytes(joined) == bytes(sent)


def test_a_change_to_the_joined_value_stays_there():
    request = RREQ(bytes(RREQ(extensions=[Sent(headers=[UDPHeader(sport=1)])])))
    request.joined(Sent).headers[0].sport = 2
    assert request[Sent].headers[0].sport == 1


def test_joining_stops_where_another_extension_stands_between():
    request = RREQ(extensions=[Challenge(value=b"a" * 8), Attempt(), Challenge(value=b"b" * 8)])
    assert request.joined(Challenge).value == b"a" * 8
    assert request.joined(Report) is None


def test_two_of_a_type_in_a_row_are_one_value():
    request = RREQ(bytes(RREQ(extensions=[Attempt(), Attempt()])))
    assert [type(extension) for extension in request.extensions] == [Attempt, NormalVendorExtension]
    joined = request.joined(Attempt)
    assert (type(joined), len(joined.value)) == (NormalVendorExtension, 16)


@pytest.mark.parametrize(
    ("size", "lengths"),
    [(0, [8]), (247, [255]), (248, [255, 9]), (494, [255, 255]), (495, [255, 255, 9])],
)
def test_pad_may_repeat(size, lengths):
    request = RREQ(bytes(RREQ(extensions=[Pad(value=bytes(size)), Pad()])))
    assert [extension.length for extension in request.extensions] == [*lengths, 8]
    assert {type(extension) for extension in request.extensions} == {Pad}


def test_other_vendors_are_not_split():
    with pytest.raises(ValueError, match="256 octets are too many"):
        bytes(NormalVendorExtension(vendor_id=9, value=bytes(248)))
