"""Hypothesis strategies for registration messages, and one message that is written out."""

import string

import pytest
from hypothesis import strategies as st

from contrib_layers.numbers import FieldCode, HeaderType, NatureCode, VendorType
from scapy_mobsec.drops import Drop
from scapy_mobsec.registration.description import (
    AhHeader,
    EncapsulationItem,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
    UdpHeader,
    UnknownHeader,
)
from scapy_mobsec.registration.messages import (
    Attempt,
    Extension,
    RegistrationReply,
    RegistrationRequest,
    Report,
    TranslationItem,
)

OCTET = st.integers(0, 0xFF)
PORT = st.integers(0, 0xFFFF)
WORD = st.integers(0, 0xFFFF_FFFF)
IPV4 = st.binary(min_size=4, max_size=4)
IPV6 = st.binary(min_size=16, max_size=16)
COOKIE = st.binary(min_size=8, max_size=8)
TEXT = st.text(string.ascii_letters + string.digits + "./:-_ ", max_size=60)

LAST = st.builds(EspHeader, WORD) | st.builds(AhHeader, WORD)
HEADER = st.one_of(
    LAST,
    st.builds(Ipv4Header, IPV4, IPV4),
    st.builds(Ipv6Header, IPV6, IPV6),
    st.builds(UdpHeader, PORT, PORT),
    st.builds(TcpHeader, PORT, PORT),
    st.builds(TlsHeader, st.binary(min_size=32, max_size=32), TEXT),
    st.builds(HttpHeader, TEXT, TEXT, TEXT, st.lists(TEXT, max_size=4).map(tuple), OCTET),
    st.builds(UnknownHeader, OCTET.filter(lambda kind: kind not in set(HeaderType)), st.binary()),
)
DESCRIPTION = st.builds(lambda first, last: (*first, last), st.lists(HEADER, max_size=6), LAST)
ITEMS = st.lists(
    st.builds(EncapsulationItem, st.integers(0, 3), st.sampled_from([0, 2]), PORT, PORT, TEXT)
    | st.builds(EncapsulationItem, st.integers(4, 255), OCTET, PORT, PORT, TEXT, TEXT),
    max_size=6,
).map(tuple)
TRANSLATIONS = st.lists(
    st.builds(TranslationItem, OCTET, st.sampled_from(FieldCode), st.sampled_from(NatureCode)),
    max_size=6,
).map(tuple)


def _extension(kind: int, value: bytes) -> Extension:
    return Extension(kind, bytes((kind, len(value))) + value)


def _vendor(value: bytes, vendor: int, vendor_type: int) -> Extension:
    head = b"\0\0" + vendor.to_bytes(4, "big") + vendor_type.to_bytes(2, "big")
    return _extension(134, head + value)


VALUE = st.binary(max_size=247)
OTHERS = st.lists(
    st.just(Extension(0, b"\0"))
    | st.builds(_extension, st.sampled_from([32, 33, 34, 44, 131, 144]), VALUE)
    | st.builds(_extension, st.integers(128, 255).filter(lambda kind: kind != 134), VALUE)
    | st.builds(_vendor, VALUE, WORD.filter(lambda vendor: vendor != 32473), PORT)
    | st.builds(
        _vendor, VALUE, st.just(32473), PORT.filter(lambda kind: kind not in set(VendorType))
    ),
    max_size=4,
).map(tuple)
PAD = st.just(0) | st.integers(10, 1500)


def _maybe(strategy):
    return st.none() | strategy


BOTH = {
    "identification": st.integers(0, 2**64 - 1),
    "lifetime": PORT,
    "home_address": IPV4,
    "home_agent": IPV4,
    "attempt": _maybe(st.builds(Attempt, WORD, OCTET, OCTET, OCTET)),
    "sent": _maybe(DESCRIPTION),
    "supported": _maybe(ITEMS),
    "challenge": _maybe(COOKIE),
    "response": _maybe(COOKIE),
    "report": _maybe(st.builds(Report, WORD, WORD, PORT)),
    "addresses": _maybe(st.lists(IPV4 | IPV6, max_size=4).map(tuple)),
    "home": _maybe(IPV6),
    "pad": PAD,
    "others": OTHERS,
}


@pytest.fixture(scope="session")
def verdict():
    """Return what a parser makes of octets: (value, None), or (None, Drop) with a detail."""

    def parse_with(parse, *octets):
        try:
            return parse(*octets), None
        except Drop as drop:
            return None, drop

    return parse_with


@pytest.fixture(scope="session")
def requests():
    """Strategy: RREQs with any of what they may carry."""
    return st.builds(RegistrationRequest, care_of_address=IPV4, flags=OCTET, **BOTH)


@pytest.fixture(scope="session")
def replies():
    """Strategy: RREPs with any of what they may carry."""
    return st.builds(
        RegistrationReply,
        code=OCTET,
        observed=_maybe(DESCRIPTION),
        translations=_maybe(TRANSLATIONS),
        selected=_maybe(ITEMS),
        **BOTH,
    )


@pytest.fixture(scope="session")
def request_message():
    """The RREQ of a move behind a NAT, in UDP."""
    return RegistrationRequest(
        identification=0xEEF5_1E00_0000_0007,
        lifetime=600,
        home_address=bytes((10, 1, 0, 2)),
        home_agent=bytes((192, 0, 2, 1)),
        care_of_address=bytes((10, 0, 0, 2)),
        attempt=Attempt(7, flags=1, index=0, count=2),
        sent=(
            Ipv4Header(bytes((10, 0, 0, 2)), bytes((192, 0, 2, 1))),
            UdpHeader(4500, 4500),
            EspHeader(0x1234_5678),
        ),
        supported=(EncapsulationItem(0), EncapsulationItem(4, 1, 0, 20, "gw", "/x")),
    )


@pytest.fixture(scope="session")
def request_octets():
    """The same, written out by hand from the format."""
    return bytes.fromhex(
        "01 20 0258 0a010002 c0000201 0a000002 eef51e0000000007"  # RFC 5944 section 3.3
        "86 10 0000 00007ed9 0006  00000007 01 00 02 00"  # ATTEMPT
        "86 21 0000 00007ed9 0001"  # SENT
        "04 0008 0a000002 c0000201"
        "11 0004 1194 1194"
        "32 0004 12345678"
        "86 1c 0000 00007ed9 0004"  # SUPPORTED
        "00 06 00 0000 0000 00"
        "04 0a 01 0000 0014 02 6777 2f78"
    )
