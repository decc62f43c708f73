"""The wire format has one definition: this codec and the Scapy layers agree in both directions.

`to_layers` writes a message's values into layers by field name, `from_layers` reads them back the
same way, so that octets and fields are compared, and no code is shared but the numbers.
"""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.mobileip import MobileIP

from contrib_layers import descriptions as d
from contrib_layers import vendor_extensions as x
from contrib_layers.extensions import next_extension
from contrib_layers.numbers import VENDOR_ID, VendorType
from contrib_layers.registration import RREP, RREQ
from scapy_mobsec.registration import description as ours
from scapy_mobsec.registration.description import build_description
from scapy_mobsec.registration.extensions import TranslationItem, build_vendor
from scapy_mobsec.registration.messages import (
    Attempt,
    Extension,
    RegistrationReply,
    RegistrationRequest,
    Report,
    build_reply,
    build_request,
    parse_message,
)


def text(address):
    return str(ip_address(address))


def packed(address):
    return ip_address(address).packed


def to_header(header):
    match header:
        case ours.Ipv4Header(source, destination):
            return d.IPv4Header(src=text(source), dst=text(destination))
        case ours.Ipv6Header(source, destination):
            return d.IPv6Header(src=text(source), dst=text(destination))
        case ours.UdpHeader(source, destination):
            return d.UDPHeader(sport=source, dport=destination)
        case ours.TcpHeader(source, destination):
            return d.TCPHeader(sport=source, dport=destination)
        case ours.EspHeader(spi):
            return d.ESPHeader(spi=spi)
        case ours.AhHeader(spi):
            return d.AHHeader(spi=spi)
        case ours.TlsHeader(certificate, name):
            return d.TLSHeader(certificate=certificate, server_name=name.encode())
        case ours.HttpHeader(method, authority, path, intermediaries, version):
            return d.HTTPHeader(
                version=version,
                method=method.encode(),
                authority=authority.encode(),
                path=path.encode(),
                intermediaries=[name.encode() for name in intermediaries],
            )
        case ours.UnknownHeader(kind, value):
            return d.UnknownHeader(type=kind, value=value)


def from_header(layer):
    match type(layer).__name__:
        case "IPv4Header":
            return ours.Ipv4Header(packed(layer.src), packed(layer.dst))
        case "IPv6Header":
            return ours.Ipv6Header(packed(layer.src), packed(layer.dst))
        case "UDPHeader":
            return ours.UdpHeader(layer.sport, layer.dport)
        case "TCPHeader":
            return ours.TcpHeader(layer.sport, layer.dport)
        case "ESPHeader":
            return ours.EspHeader(layer.spi)
        case "AHHeader":
            return ours.AhHeader(layer.spi)
        case "TLSHeader":
            return ours.TlsHeader(layer.certificate, layer.server_name.decode())
        case "HTTPHeader":
            return ours.HttpHeader(
                layer.method.decode(),
                layer.authority.decode(),
                layer.path.decode(),
                tuple(name.decode() for name in layer.intermediaries),
                layer.version,
            )
        case "UnknownHeader":
            return ours.UnknownHeader(layer.type, layer.value)


def to_headers(description):
    return {"headers": [to_header(header) for header in description]}


def from_headers(layer):
    return tuple(from_header(header) for header in layer.headers)


def to_items(items):
    names = ("code", "flags", "port", "keepalive", "host", "path")
    return {
        "items": [
            d.EncapsulationItem(**{name: getattr(item, name) for name in names}) for item in items
        ]
    }


def from_items(layer):
    return tuple(
        ours.EncapsulationItem(
            item.code,
            int(item.flags),
            item.port,
            item.keepalive,
            item.host.decode(),
            item.path.decode(),
        )
        for item in layer.items
    )


VALUES = {  # field of the message: layer, fields from a value, value from the layer
    "attempt": (
        x.Attempt,
        lambda a: {"number": a.number, "flags": a.flags, "index": a.index, "count": a.count},
        lambda layer: Attempt(layer.number, int(layer.flags), layer.index, layer.count),
    ),
    "sent": (x.Sent, to_headers, from_headers),
    "observed": (x.Observed, to_headers, from_headers),
    "translations": (
        x.Translations,
        lambda items: {
            "items": [
                d.Translation(index=item.index, field=item.field, nature=item.nature)
                for item in items
            ]
        },
        lambda layer: tuple(
            TranslationItem(item.index, item.field, item.nature) for item in layer.items
        ),
    ),
    "supported": (x.Supported, to_items, from_items),
    "selected": (x.Selected, to_items, from_items),
    "challenge": (x.Challenge, lambda value: {"value": value}, lambda layer: layer.value),
    "response": (x.Response, lambda value: {"value": value}, lambda layer: layer.value),
    "report": (
        x.Report,
        lambda r: {"received": r.received, "sent": r.sent, "largest": r.largest_received},
        lambda layer: Report(layer.received, layer.sent, layer.largest),
    ),
    "addresses": (
        x.Addresses,
        lambda addresses: {"addresses": [text(address) for address in addresses]},
        lambda layer: tuple(packed(address) for address in layer.addresses),
    ),
    "home": (
        x.Home,
        lambda value: {"address": text(value)},
        lambda layer: packed(layer.address),
    ),
}


def extension_layer(extension):
    layer, _ = next_extension(extension.octets, 0, [])
    return layer(extension.octets)


def pads(octets):
    """PAD layers that take so many octets in all: full ones first, none shorter than its head."""
    full, rest = divmod(octets, 257)
    sizes = [257] * full + [rest] * (rest > 0)
    if 0 < rest < 10:
        sizes[-2:] = [257 + rest - 10, 10]
    return [x.Pad(value=bytes(size - 10)) for size in sizes]


def to_layers(message):
    """Return the values as layers: in the order that is canonical here, on which nothing hangs."""
    extensions = [
        layer(**fields(getattr(message, name)))
        for name, (layer, fields, _) in VALUES.items()
        if getattr(message, name, None) is not None
    ]
    extensions += [extension_layer(extension) for extension in message.others]
    extensions += pads(message.pad)
    common = {
        "lifetime": message.lifetime,
        "homeaddr": text(message.home_address),
        "haaddr": text(message.home_agent),
        "id": message.identification,
        "extensions": extensions,
    }
    if isinstance(message, RegistrationRequest):
        return RREQ(flags=message.flags, coaddr=text(message.care_of_address), **common)
    return RREP(code=message.code, **common)


def is_value(extension):
    """Whether the layer is (a part of) one of our values, and no extension of somebody else's."""
    return (
        getattr(extension, "vendor_id", None) == VENDOR_ID
        and extension.type == x.NormalVendorExtension().type
        and extension.vendor_type in set(VendorType)
    )


def from_layers(packet):
    values = {
        name: value(packet.joined(layer))
        for name, (layer, _, value) in VALUES.items()
        if packet.joined(layer) is not None
    }
    pad = sum(len(bytes(each)) for each in packet.extensions if isinstance(each, x.Pad))
    others = tuple(
        Extension(each.type, bytes(each)) for each in packet.extensions if not is_value(each)
    )
    values |= {"pad": pad, "others": others}
    addresses = (packed(packet.homeaddr), packed(packet.haaddr))
    if isinstance(packet, RREQ):
        return RegistrationRequest(
            packet.id,
            packet.lifetime,
            *addresses,
            packed(packet.coaddr),
            int(packet.flags),
            **values,
        )
    return RegistrationReply(packet.id, packet.code, packet.lifetime, *addresses, **values)


def dissect(octets):
    """Return the RREQ or RREP layer, without the bindings that install() would change."""
    packet = (RREQ if octets[0] == 1 else RREP)(octets[1:])
    assert not packet.payload
    return packet


def build(message):
    return (
        build_request(message) if isinstance(message, RegistrationRequest) else build_reply(message)
    )


@given(st.data())
@settings(max_examples=150)
def test_our_octets_are_the_layers_octets_and_dissect_to_the_same_fields(requests, replies, data):
    message = data.draw(requests | replies)
    octets = build(message)
    assert bytes(MobileIP() / to_layers(message)) == octets
    packet = dissect(octets)
    assert from_layers(packet) == message
    assert bytes(MobileIP() / packet) == octets


@given(st.data())
@settings(max_examples=100)
def test_what_the_layers_build_in_any_order_parses_to_the_same_fields(requests, replies, data):
    message = data.draw(requests | replies)
    packet = to_layers(message)
    packet.extensions = data.draw(st.permutations(packet.extensions))
    parsed = parse_message(bytes(MobileIP() / packet))
    assert replace(parsed, others=message.others) == message
    assert parsed.others == from_layers(packet).others
    assert Counter(parsed.others) == Counter(message.others)


@given(st.data())
@settings(max_examples=200)
def test_whatever_octets_parse_the_layers_dissect_to_the_same_fields(
    requests, replies, verdict, data
):
    octets = bytearray(build(data.draw(requests | replies)))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(1, len(octets) - 1))] = data.draw(st.integers(0, 255))
    message, _ = verdict(parse_message, bytes(octets))
    if message:
        assert from_layers(dissect(bytes(octets))) == message


@given(st.data())
@settings(max_examples=50)
def test_a_value_cut_anywhere_continues_for_both(request_message, data):
    value = build_description(request_message.sent)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(value) - 1), max_size=4)))
    parts = [value[start:end] for start, end in pairwise([0, *cuts, len(value)])]
    head = build_request(replace(request_message, sent=None))
    octets = head + b"".join(build_vendor(VendorType.SENT, part) for part in parts)
    assert parse_message(octets) == request_message
    assert from_layers(dissect(octets)) == request_message
