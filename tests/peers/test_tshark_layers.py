"""tshark reads our messages: its fields equal ours, in clear and inside ESP in UDP.

Two things it reads in another way (4.0.17), so they are made to fit: it takes the one-octet padding
of RFC 5944 for an extension with a length, so padding comes in pairs, at the end; and of the types
with the long form it knows 36 and 38 only.
"""

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from layer_samples import (
    full_reply,
    full_request,
    layer,
    our_extensions,
    replies,
    requests,
    standard_extensions,
    uint,
    unknown_extensions,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.mobileip import MobileIP

from contrib_layers.extensions import EXTENSIONS, Authentication
from contrib_layers.numbers import MessageType
from contrib_layers.shim import (
    RREQ,
    CriticalVendorExtension,
    LongExtension,
    MobileNodeNAI,
    OneBytePadding,
    UDPTunnelReply,
    UDPTunnelRequest,
    UnknownExtension,
)
from contrib_layers.vendor_extensions import VENDOR_EXTENSIONS

BATCH = 100

generalized_authentication = layer(
    LongExtension, type=st.just(36), subtype=uint(8), value=st.binary(min_size=5, max_size=300)
)
extensions = st.builds(
    lambda ours, others, pairs: ours + others + [OneBytePadding(), OneBytePadding()] * pairs,
    our_extensions,
    st.lists(standard_extensions | generalized_authentication | unknown_extensions, max_size=5),
    st.integers(0, 2),
)


def batch(strategy):
    """Some examples, the same ones each time."""
    examples = []

    @seed(1)
    @settings(max_examples=BATCH, phases=[Phase.generate], database=None)
    @given(strategy)
    def collect(example):
        examples.append(example)

    collect()
    return examples


@pytest.fixture(scope="module")
def messages():
    """RREQs and RREPs as they were dissected from their octets."""
    crafted = [
        full_request(),
        full_reply(),
        *batch(requests(extensions)),
        *batch(replies(extensions)),
    ]
    return [type(message)(bytes(message)) for message in crafted]


def fixed_fields(message):
    """tshark's fields of the fixed part, from ours: (name, value in hex)."""
    request = isinstance(message, RREQ)
    yield "mip.type", f"{MessageType.RREQ if request else MessageType.RREP:02x}"
    if request:
        yield "mip.flags", f"{int(message.flags):02x}"
        for letter, bit in zip("sbdmgvtx", f"{int(message.flags):08b}", strict=True):
            yield f"mip.{letter}", bit
    else:
        yield "mip.code", f"{message.code:02x}"
    yield "mip.life", f"{message.lifetime:04x}"
    yield "mip.homeaddr", address(message.homeaddr)
    yield "mip.haaddr", address(message.haaddr)
    if request:
        yield "mip.coa", address(message.coaddr)
    yield "mip.ident", f"{message.id:016x}"


def address(text):
    return bytes(map(int, text.split("."))).hex()


def extension_fields(extension):
    """tshark's fields of one extension, from ours."""
    yield "mip.ext.type", f"{extension.type:02x}"
    if isinstance(extension, LongExtension):
        yield "mip.ext.auth.subtype", f"{extension.subtype:02x}"
        yield "mip.ext.len", f"{extension.length:04x}"
        yield "mip.auth.spi", extension.value[:4].hex()
        yield "mip.auth.auth", extension.value[4:].hex()
    elif isinstance(extension, CriticalVendorExtension):
        yield "mip.ext.cvse.reserved", f"{extension.reserved:02x}"
        yield "mip.ext.len", f"{extension.length:04x}"
        yield "mip.ext.cvse.vendor_id", f"{extension.vendor_id:08x}"
        yield "mip.ext.cvse.vendor_type", f"{extension.vendor_type:04x}"
        yield "mip.ext.cvse.vendor_value", extension.value.hex()
    else:
        yield "mip.ext.len", f"{extension.length:02x}"
        yield from short_form_fields(extension)


def short_form_fields(extension):
    if isinstance(extension, Authentication):
        yield "mip.auth.spi", f"{extension.spi:08x}"
        yield "mip.auth.auth", extension.authenticator.hex()
    elif isinstance(extension, UDPTunnelRequest):
        yield "mip.ext.utrq.subtype", f"{extension.subtype:02x}"
        yield "mip.ext.utrq.reserved1", f"{extension.reserved1:02x}"
        yield "mip.ext.utrq.f", f"{extension.F:x}"
        yield "mip.ext.utrq.r", f"{extension.R:x}"
        yield "mip.ext.utrq.reserved2", f"{extension.reserved2:x}"
        yield "mip.ext.utrq.encaptype", f"{extension.encapsulation:02x}"
        yield "mip.ext.utrq.reserved3", f"{extension.reserved3:04x}"
    elif isinstance(extension, UDPTunnelReply):
        yield "mip.ext.utrp.subtype", f"{extension.subtype:02x}"
        yield "mip.ext.utrp.code", f"{extension.code:02x}"
        yield "mip.ext.utrp.f", f"{extension.F:x}"
        yield "mip.ext.utrp.reserved", f"{extension.reserved:x}"
        yield "mip.ext.utrp.keepalive", f"{extension.keepalive:04x}"
    elif isinstance(extension, MobileNodeNAI):
        yield "mip.nai", extension.nai.hex()
    elif isinstance(extension, UnknownExtension):
        yield "mip.extension", extension.value.hex()
    else:
        yield "mip.ext.nvse.reserved", f"{extension.vendor_reserved:04x}"
        yield "mip.ext.nvse.vendor_id", f"{extension.vendor_id:08x}"
        yield "mip.ext.nvse.vendor_type", f"{extension.vendor_type:04x}"
        yield "mip.ext.nvse.vendor_value", extension.value_octets().hex()


def ours(message):
    fields = list(fixed_fields(message))
    padding = [e for e in message.extensions if isinstance(e, OneBytePadding)]
    for extension in message.extensions[: len(message.extensions) - len(padding)]:
        fields += extension_fields(extension)
    fields += [("mip.ext.type", "00"), ("mip.ext.len", "00")] * (len(padding) // 2)
    return [(name, value) for name, value in fields if value]


def tsharks(packet):
    (message,) = (proto for proto in packet.iter("proto") if proto.get("name") == "mip")
    return [
        (field.get("name"), field.get("value").lower())
        for field in message.iter("field")
        if field.get("name") not in ("", "mip.ext.utrq.flags", "mip.ext.utrp.flags")
        and field.get("value")
    ]


def carried(message, number):
    """The message between home and gateway; over IPv6 every third time."""
    lower = IP(src="10.9.0.1", dst="192.0.2.1")
    if number % 3 == 0:
        lower = IPv6(src="2001:db8:9::1", dst="2001:db8::1")
    return lower / UDP() / MobileIP() / message


def test_the_batch_has_every_kind_of_extension(messages):
    kinds = {type(extension) for message in messages for extension in message.extensions}
    known = {*EXTENSIONS.values(), *VENDOR_EXTENSIONS.values()}
    assert kinds == known | {OneBytePadding, UnknownExtension, LongExtension}


def test_in_clear(pdml, messages):
    packets = pdml([carried(message, number) for number, message in enumerate(messages)])
    for message, packet in zip(messages, packets, strict=True):
        assert tsharks(packet) == ours(message)


def test_inside_esp_in_udp(pdml, messages):
    spi, key = 0x12345678, bytes(range(36))
    association = SecurityAssociation(
        ESP,
        spi=spi,
        crypt_algo="AES-GCM",
        crypt_key=key,
        tunnel_header=IP(src="10.0.0.2", dst="192.0.2.1"),
        nat_t_header=UDP(sport=40000, dport=4500),
    )
    algorithms = f'"AES-GCM with 16 octet ICV [RFC4106]","0x{key.hex()}","NULL",""'
    packets = pdml(
        [association.encrypt(carried(message, n)) for n, message in enumerate(messages)],
        *("-o", "esp.enable_encryption_decode:TRUE"),
        *("-o", "esp.enable_authentication_check:TRUE"),
        *("-o", f'uat:esp_sa:"IPv4","*","*","0x{spi:08x}",{algorithms}'),
    )
    for message, packet in zip(messages, packets, strict=True):
        assert tsharks(packet) == ours(message)
        (icv_good,) = (f for f in packet.iter("field") if f.get("name") == "esp.icv_good")
        assert icv_good.get("show") == "1"
