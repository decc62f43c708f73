"""Messages of every kind for tests of the layers: hypothesis strategies and one full message."""

from hypothesis import strategies as st

from contrib_layers.numbers import (
    LONG_EXTENSION_TYPES,
    EncapsulationCode,
    FieldCode,
    NatureCode,
    VendorType,
)
from contrib_layers.shim import (
    RREP,
    RREQ,
    Addresses,
    AHHeader,
    Attempt,
    Challenge,
    CriticalVendorExtension,
    EncapsulationItem,
    ESPHeader,
    ForeignHomeAuthentication,
    Home,
    HTTPHeader,
    IPv4Header,
    IPv6Header,
    LongExtension,
    MobileForeignAuthentication,
    MobileHomeAuthentication,
    MobileNodeNAI,
    NormalVendorExtension,
    Observed,
    OneBytePadding,
    Pad,
    Report,
    Response,
    Selected,
    Sent,
    Supported,
    TCPHeader,
    TLSHeader,
    Translation,
    Translations,
    UDPHeader,
    UDPTunnelReply,
    UDPTunnelRequest,
    UnknownExtension,
    UnknownHeader,
)


def uint(bits):
    return st.integers(0, 2**bits - 1)


def layer(cls, **fields):
    return st.fixed_dictionaries(fields).map(lambda values: cls(**values))


ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).map(str)
text = st.text("abcdefghij.-/", max_size=12).map(str.encode)

headers = st.one_of(
    layer(IPv4Header, src=ipv4, dst=ipv4),
    layer(IPv6Header, src=ipv6, dst=ipv6),
    layer(UDPHeader, sport=uint(16), dport=uint(16)),
    layer(TCPHeader, sport=uint(16), dport=uint(16)),
    layer(ESPHeader, spi=uint(32)),
    layer(AHHeader, spi=uint(32)),
    layer(TLSHeader, certificate=st.binary(min_size=32, max_size=32), server_name=text),
    layer(
        HTTPHeader,
        version=uint(8),
        method=text,
        authority=text,
        path=st.binary(max_size=300),
        intermediaries=st.lists(text, max_size=3),
    ),
    layer(UnknownHeader, type=st.integers(130, 255), value=st.binary(max_size=20)),
)
items = layer(
    EncapsulationItem,
    code=st.sampled_from(EncapsulationCode).map(int),
    flags=uint(8),
    port=uint(16),
    keepalive=uint(16),
    host=text,
    path=text,
)
translations = layer(
    Translation,
    index=uint(8),
    field=st.sampled_from(FieldCode).map(int),
    nature=st.sampled_from(NatureCode).map(int),
)
OURS = {
    VendorType.SENT: layer(Sent, headers=st.lists(headers, max_size=8)),
    VendorType.OBSERVED: layer(Observed, headers=st.lists(headers, max_size=8)),
    VendorType.TRANSLATIONS: layer(Translations, items=st.lists(translations, max_size=4)),
    VendorType.SUPPORTED: layer(Supported, items=st.lists(items, max_size=6)),
    VendorType.SELECTED: layer(Selected, items=st.lists(items, max_size=2)),
    VendorType.ATTEMPT: layer(
        Attempt,
        number=uint(32),
        flags=uint(8),
        index=uint(8),
        count=uint(8),
        reserved=uint(8),
    ),
    VendorType.CHALLENGE: layer(Challenge, value=st.binary(min_size=8, max_size=8)),
    VendorType.RESPONSE: layer(Response, value=st.binary(min_size=8, max_size=8)),
    VendorType.PAD: layer(Pad, value=uint(9).map(bytes)),
    VendorType.REPORT: layer(Report, received=uint(32), sent=uint(32), largest=uint(16)),
    VendorType.ADDRESSES: layer(Addresses, addresses=st.lists(ipv4 | ipv6, max_size=5)),
    VendorType.HOME: layer(Home, address=ipv6),
}
our_extensions = st.lists(st.sampled_from(VendorType), unique=True).flatmap(
    lambda types: st.tuples(*(OURS[kind] for kind in types)).map(list)
)


def authentication(cls):
    return layer(cls, spi=uint(32), authenticator=st.binary(max_size=20))


standard_extensions = st.one_of(
    authentication(MobileHomeAuthentication),
    authentication(MobileForeignAuthentication),
    authentication(ForeignHomeAuthentication),
    layer(
        UDPTunnelRequest,
        subtype=uint(8),
        reserved1=uint(8),
        F=uint(1),
        R=uint(1),
        reserved2=uint(6),
        encapsulation=uint(8),
        reserved3=uint(16),
    ),
    layer(
        UDPTunnelReply,
        subtype=uint(8),
        code=uint(8),
        F=uint(1),
        reserved=uint(15),
        keepalive=uint(16),
    ),
    layer(MobileNodeNAI, nai=text),
    layer(
        CriticalVendorExtension,
        reserved=uint(8),
        vendor_id=st.integers(1, 4000),
        vendor_type=uint(16),
        value=st.binary(max_size=300),
    ),
    layer(
        NormalVendorExtension,
        vendor_reserved=uint(16),
        vendor_id=st.integers(1, 4000),
        vendor_type=uint(16),
        value=st.binary(max_size=247),
    ),
)
long_extensions = layer(
    LongExtension,
    type=st.sampled_from(sorted(LONG_EXTENSION_TYPES - {CriticalVendorExtension.type.default})),
    subtype=uint(8),
    value=st.binary(max_size=300),
)
unknown_extensions = layer(
    UnknownExtension, type=st.integers(200, 255), value=st.binary(max_size=20)
)
extensions = st.builds(
    lambda ours, others, padding: ours + others + [OneBytePadding()] * padding,
    our_extensions,
    st.lists(standard_extensions | long_extensions | unknown_extensions, max_size=4),
    st.integers(0, 3),
)


def requests(extensions=extensions):
    return layer(
        RREQ,
        flags=uint(8),
        lifetime=uint(16),
        homeaddr=ipv4,
        haaddr=ipv4,
        coaddr=ipv4,
        id=uint(64),
        extensions=extensions,
    )


def replies(extensions=extensions):
    return layer(
        RREP,
        code=uint(8),
        lifetime=uint(16),
        homeaddr=ipv4,
        haaddr=ipv4,
        id=uint(64),
        extensions=extensions,
    )


@st.composite
def near_misses(draw, packets):
    """The octets of a packet, some of them changed, cut off or added."""
    octets = bytearray(bytes(draw(packets)))
    for _ in range(draw(st.integers(0, 4))):
        if octets:
            octets[draw(st.integers(0, len(octets) - 1))] = draw(uint(8))
    cut = draw(st.integers(0, len(octets)))
    return bytes(octets[:cut]) + draw(st.binary(max_size=4))


def full_request():
    """An RREQ of attempt 7 through UDP, with what a terminal usually says."""
    return RREQ(
        homeaddr="10.9.0.1",
        haaddr="192.0.2.1",
        coaddr="10.0.0.2",
        id=0x123456789ABCDEF0,
        extensions=[
            Attempt(number=7),
            Sent(
                headers=[
                    IPv4Header(src="10.0.0.2", dst="192.0.2.1"),
                    UDPHeader(sport=4500, dport=4500),
                    ESPHeader(spi=0x12345678),
                ]
            ),
            Supported(items=[EncapsulationItem(code="native"), EncapsulationItem(code="udp")]),
        ],
    )


def full_reply():
    """The RREP to it, after a NAT changed source address and port."""
    return RREP(
        homeaddr="10.9.0.1",
        haaddr="192.0.2.1",
        id=0x123456789ABCDEF0,
        extensions=[
            Attempt(number=7, flags="USE"),
            Sent(
                headers=[
                    IPv4Header(src="192.0.2.1", dst="198.51.100.7"),
                    UDPHeader(sport=4500, dport=61000),
                    ESPHeader(spi=0x9ABCDEF0),
                ]
            ),
            Translations(
                items=[
                    Translation(index=0, field="source_address", nature="address_and_port"),
                    Translation(index=1, field="source_port", nature="address_and_port"),
                ]
            ),
        ],
    )
