"""What the network did, case by case: every nature, the combinations, and what people read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrib_layers.numbers import NOT_IN_SENT, FieldCode, HeaderType, NatureCode
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import (
    AhHeader,
    EspHeader,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
    UdpHeader,
    UnknownHeader,
    ip_udp_esp,
)
from scapy_mobsec.registration.extensions import (
    MAX_TRANSLATIONS,
    TranslationItem,
    build_translations,
)
from scapy_mobsec.translation import (
    Translation,
    _changes,
    as_json,
    build_changes,
    changes,
    compare,
    describe,
    describe_all,
    from_items,
)


def ip(source, destination):
    packed = [Endpoint.of(text).address for text in (source, destination)]
    return (Ipv4Header if len(packed[0]) == 4 else Ipv6Header)(*packed)


X, Y = "10.0.0.2", "192.0.2.1"
NAT = "203.0.113.9"
ESP = EspHeader(0x1234_5678)
PLAIN = ip(X, Y)
UDP = UdpHeader(4500, 4500)
TCP = TcpHeader(50000, 443)
TLS = TlsHeader(b"\xaa" * 32, "gw.example")
OTHER_TLS = TlsHeader(b"\xbb" * 32, "gw.example")
GET = HttpHeader("GET", "gw.example", "/.well-known/masque/udp/192.0.2.1/4500/")
CONNECT = HttpHeader("CONNECT", "gw.example:443", "")
UNKNOWN = UnknownHeader(200, b"abc")

S, D, SP, DP, WHOLE, CERT, REQUEST, VIA = FieldCode
ADDRESS, PORT, BOTH, PROTOCOL, PROXIED, INTERCEPTED, REWRITTEN = NatureCode
NEW = NOT_IN_SENT

CASES = {
    "nothing": ((PLAIN, UDP, ESP), (PLAIN, UDP, ESP), []),
    "basic NAT": ((PLAIN, ESP), (ip(NAT, Y), ESP), [(0, S, ADDRESS)]),
    "NAT that keeps the port": ((PLAIN, UDP, ESP), (ip(NAT, Y), UDP, ESP), [(0, S, ADDRESS)]),
    "NAPT": (
        (PLAIN, UDP, ESP),
        (ip(NAT, Y), UdpHeader(40001, 4500), ESP),
        [(0, S, BOTH), (1, SP, BOTH)],
    ),
    "NAPT for TCP": (
        (PLAIN, TCP, TLS, ESP),
        (ip(NAT, Y), TcpHeader(40001, 443), TLS, ESP),
        [(0, S, BOTH), (1, SP, BOTH)],
    ),
    "port only": ((PLAIN, UDP, ESP), (PLAIN, UdpHeader(40001, 4500), ESP), [(1, SP, PORT)]),
    "DNAT": ((PLAIN, UDP, ESP), (ip(X, "10.9.9.9"), UDP, ESP), [(0, D, ADDRESS)]),
    "DNAT with port forwarding": (
        (PLAIN, UDP, ESP),
        (ip(X, "10.9.9.9"), UdpHeader(4500, 14500), ESP),
        [(0, D, BOTH), (1, DP, BOTH)],
    ),
    "destination port only": (
        (PLAIN, UDP, ESP),
        (PLAIN, UdpHeader(4500, 14500), ESP),
        [(1, DP, PORT)],
    ),
    "NAPT and DNAT": (
        (PLAIN, UDP, ESP),
        (ip(NAT, "10.9.9.9"), UdpHeader(40001, 4500), ESP),
        [(0, S, BOTH), (0, D, ADDRESS), (1, SP, BOTH)],
    ),
    "source address and destination port": (
        (PLAIN, UDP, ESP),
        (ip(NAT, Y), UdpHeader(4500, 14500), ESP),
        [(0, S, ADDRESS), (1, DP, PORT)],
    ),
    "twice NAPT": (
        (PLAIN, UDP, ESP),
        (ip(NAT, "10.9.9.9"), UdpHeader(40001, 14500), ESP),
        [(0, S, BOTH), (0, D, BOTH), (1, SP, BOTH), (1, DP, BOTH)],
    ),
    "NPTv6": (
        (ip("fd00::2", "2001:db8::1"), UDP, ESP),
        (ip("2001:db8:1::2", "2001:db8::1"), UDP, ESP),
        [(0, S, ADDRESS)],
    ),
    "NAT64": (
        (ip("2001:db8:1::2", "64:ff9b::c000:201"), UDP, ESP),
        (ip(NAT, Y), UDP, ESP),
        [(0, WHOLE, PROTOCOL)],
    ),
    "NAT64 and port": (
        (ip("2001:db8:1::2", "64:ff9b::c000:201"), UDP, ESP),
        (ip(NAT, Y), UdpHeader(40001, 4500), ESP),
        [(0, WHOLE, PROTOCOL), (1, SP, PORT)],
    ),
    "NAT46, native": (
        (PLAIN, ESP),
        (ip("2001:db8::2", "2001:db8::1"), ESP),
        [(0, WHOLE, PROTOCOL)],
    ),
    "intercepted TLS": (
        (PLAIN, TCP, TLS, ESP),
        (ip(NAT, Y), TcpHeader(40001, 443), OTHER_TLS, ESP),
        [(0, S, BOTH), (1, SP, BOTH), (2, CERT, INTERCEPTED)],
    ),
    "intercepted TLS that rewrites HTTP": (
        (PLAIN, TCP, TLS, GET, ESP),
        (PLAIN, TCP, OTHER_TLS, HttpHeader("GET", "gw.example", "/"), ESP),
        [(2, CERT, INTERCEPTED), (3, REQUEST, REWRITTEN)],
    ),
    "intercepted TLS by a proxy that says so": (
        (PLAIN, TCP, TLS, GET, ESP),
        (
            ip(NAT, Y),
            TCP,
            OTHER_TLS,
            HttpHeader(GET.method, GET.authority, GET.path, ("Via",)),
            ESP,
        ),
        [(0, S, PROXIED), (2, CERT, INTERCEPTED), (3, VIA, PROXIED)],
    ),
    "another server name under the same certificate": (
        (PLAIN, TCP, TLS, ESP),
        (PLAIN, TCP, TlsHeader(TLS.certificate_sha256, "other.example"), ESP),
        [(2, WHOLE, PROXIED)],
    ),
    "method rewritten": (
        (PLAIN, TCP, GET, ESP),
        (PLAIN, TCP, HttpHeader("POST", GET.authority, GET.path), ESP),
        [(2, REQUEST, REWRITTEN)],
    ),
    "version rewritten": (
        (PLAIN, TCP, GET, ESP),
        (PLAIN, TCP, HttpHeader("GET", GET.authority, GET.path, (), 0x10), ESP),
        [(2, REQUEST, REWRITTEN)],
    ),
    "Host rewritten and Via added": (
        (PLAIN, TCP, GET, ESP),
        (
            ip(NAT, Y),
            TcpHeader(40001, 443),
            HttpHeader("GET", "inner.example", GET.path, ("Via", "X-Forwarded-For")),
            ESP,
        ),
        [(0, S, PROXIED), (1, SP, PROXIED), (2, REQUEST, REWRITTEN), (2, VIA, PROXIED)],
    ),
    "intermediary, nothing else changed": (
        (PLAIN, TCP, GET, ESP),
        (PLAIN, TCP, HttpHeader("GET", GET.authority, GET.path, ("Via",)), ESP),
        [(2, VIA, PROXIED)],
    ),
    "answer of another status": (
        (PLAIN, TCP, HttpHeader("", "", "101"), ESP),
        (PLAIN, TCP, HttpHeader("", "", "200"), ESP),
        [(2, REQUEST, REWRITTEN)],
    ),
    "reverse proxy in front that ends TLS": (
        (PLAIN, TCP, TLS, GET, ESP),
        (
            ip("10.9.0.1", "10.9.0.2"),
            TcpHeader(41000, 8080),
            HttpHeader("GET", "gw.example", GET.path, ("X-Forwarded-For",)),
            ESP,
        ),
        [
            (0, S, PROXIED),
            (0, D, PROXIED),
            (1, SP, PROXIED),
            (1, DP, PROXIED),
            (2, WHOLE, PROXIED),
            (3, VIA, PROXIED),
        ],
    ),
    "silent TLS offload in front": (
        (PLAIN, TCP, TLS, ESP),
        (ip("10.9.0.1", "10.9.0.2"), TcpHeader(41000, 4500), ESP),
        [(0, S, BOTH), (0, D, BOTH), (1, SP, BOTH), (1, DP, BOTH), (2, WHOLE, PROXIED)],
    ),
    "forward proxy by CONNECT": (
        (ip(X, "10.0.0.254"), TcpHeader(50000, 3128), CONNECT, TLS, GET, ESP),
        (ip(NAT, Y), TcpHeader(40001, 443), TLS, GET, ESP),
        [
            (0, S, PROXIED),
            (0, D, PROXIED),
            (1, SP, PROXIED),
            (1, DP, PROXIED),
            (2, WHOLE, PROXIED),
        ],
    ),
    "forward proxy by CONNECT without TLS: the GET is the one that stays": (
        (ip(X, "10.0.0.254"), TcpHeader(50000, 3128), CONNECT, GET, ESP),
        (ip(NAT, Y), TcpHeader(50000, 3128), GET, ESP),
        [(0, S, PROXIED), (0, D, PROXIED), (2, WHOLE, PROXIED)],
    ),
    "forward proxy over IPv6": (
        (ip("2001:db8:1::2", "2001:db8:1::254"), TcpHeader(50000, 3128), CONNECT, ESP),
        (ip(NAT, Y), TcpHeader(50000, 443), ESP),
        [(0, WHOLE, PROXIED), (1, DP, PROXIED), (2, WHOLE, PROXIED)],
    ),
    "HTTP removed": ((PLAIN, TCP, GET, ESP), (PLAIN, TCP, ESP), [(2, WHOLE, PROXIED)]),
    "HTTP added": ((PLAIN, TCP, ESP), (PLAIN, TCP, GET, ESP), [(NEW, WHOLE, PROXIED)]),
    "HTTP added by an intermediary that says so": (
        (PLAIN, TCP, ESP),
        (ip(NAT, Y), TCP, HttpHeader("POST", "gw", "/", ("Via",)), ESP),
        [(0, S, PROXIED), (NEW, WHOLE, PROXIED)],
    ),
    "UDP added": ((PLAIN, ESP), (ip(NAT, Y), UDP, ESP), [(0, S, ADDRESS), (NEW, WHOLE, PROXIED)]),
    "tunnel added: the inner IP header is the one that was sent": (
        (PLAIN, UDP, ESP),
        (ip("198.51.100.1", "198.51.100.2"), PLAIN, UDP, ESP),
        [(NEW, WHOLE, PROXIED)],
    ),
    "tunnel removed, NAPT inside": (
        (ip("198.51.100.1", "198.51.100.2"), PLAIN, UDP, ESP),
        (ip(NAT, Y), UdpHeader(40001, 4500), ESP),
        [(0, WHOLE, PROXIED), (1, S, BOTH), (2, SP, BOTH)],
    ),
    "port belongs to the IP header before it": (
        (PLAIN, UDP, PLAIN, TCP, ESP),
        (ip(NAT, Y), UDP, PLAIN, TcpHeader(40001, 443), ESP),
        [(0, S, ADDRESS), (3, SP, PORT)],
    ),
    "UDP to TCP": (
        (PLAIN, UDP, ESP),
        (PLAIN, TCP, ESP),
        [(1, WHOLE, PROXIED), (NEW, WHOLE, PROXIED)],
    ),
    "ESP to AH": ((PLAIN, ESP), (PLAIN, AhHeader(1)), [(1, WHOLE, PROXIED), (NEW, WHOLE, PROXIED)]),
    "another SPI": ((PLAIN, ESP), (PLAIN, EspHeader(1)), [(1, WHOLE, PROXIED)]),
    "unknown header changed": (
        (UNKNOWN, ESP),
        (UnknownHeader(200, b"abd"), ESP),
        [(0, WHOLE, PROXIED)],
    ),
    "unknown headers of different types": (
        (UNKNOWN, ESP),
        (UnknownHeader(201, b"abc"), ESP),
        [(0, WHOLE, PROXIED), (NEW, WHOLE, PROXIED)],
    ),
    "two orders: what SENT has nearest the end stays": (
        (UDP, TCP),
        (TCP, UDP),
        [(0, WHOLE, PROXIED), (NEW, WHOLE, PROXIED)],
    ),
    "totally different": (
        (PLAIN, UDP, ESP),
        (UNKNOWN, TCP, TLS, AhHeader(1)),
        [(index, WHOLE, PROXIED) for index in (0, 1, 2, NEW, NEW, NEW, NEW)],
    ),
    "nothing was sent": ((), (PLAIN, ESP), [(NEW, WHOLE, PROXIED)] * 2),
    "nothing was observed": ((PLAIN, ESP), (), [(0, WHOLE, PROXIED), (1, WHOLE, PROXIED)]),
}


@pytest.mark.parametrize(("sent", "observed", "expected"), CASES.values(), ids=CASES)
def test_compare(sent, observed, expected):
    translations = compare(sent, observed)
    assert [(each.index, each.field, each.nature) for each in translations] == expected
    items = changes(sent, observed)
    assert [(each.index, each.field, each.nature) for each in items] == expected
    assert from_items(items, sent, observed) == translations


HEADERS = [PLAIN, ip(NAT, Y), ip("::1", "::2"), UDP, UdpHeader(1, 4500), TCP, TLS, OTHER_TLS]
HEADERS += [GET, CONNECT, HttpHeader("GET", "gw", "/", ("Via",)), ESP, AhHeader(1), UNKNOWN]
DESCRIPTION = st.lists(st.sampled_from(HEADERS), max_size=16).map(tuple)


@given(DESCRIPTION, DESCRIPTION)
@settings(max_examples=200)
def test_any_two_descriptions(sent, observed):
    items = changes(sent, observed)
    assert (items == ()) == (sent == observed)
    assert len(items) <= MAX_TRANSLATIONS
    places = [(item.index, item.field) for item in items]
    assert places == sorted(places)
    in_sent = [place for place in places if place[0] != NEW]
    assert len(set(in_sent)) == len(in_sent)
    assert all(describe(each) for each in compare(sent, observed))


def show(name):
    sent, observed, _ = CASES[name]
    return compare(sent, observed)


def test_values_to_show():
    assert show("NAPT") == (
        Translation(0, S, BOTH, X, NAT, HeaderType.IPV4),
        Translation(1, SP, BOTH, "4500", "40001", HeaderType.UDP),
    )
    assert show("NAT64") == (
        Translation(
            0,
            WHOLE,
            PROTOCOL,
            "2001:db8:1::2 > 64:ff9b::c000:201",
            "203.0.113.9 > 192.0.2.1",
            HeaderType.IPV6,
        ),
    )
    assert show("UDP added")[1] == Translation(
        NEW, WHOLE, PROXIED, "", "4500 > 4500", HeaderType.UDP
    )
    (unknown,) = show("unknown header changed")
    assert (unknown.header, unknown.sent) == (200, "3 octets")


def test_json():
    assert as_json(show("intercepted TLS")[2]) == {
        "header": "tls",
        "field": "tls_certificate",
        "nature": "intercepted",
        "sent": "aa" * 32,
        "observed": "bb" * 32,
    }
    assert as_json(show("NAPT")[0])["nature"] == "address_and_port"
    assert as_json(show("unknown header changed")[0])["header"] == "unknown_200"


LINES = {
    "nothing": [],
    "basic NAT": ["source address 10.0.0.2 -> 203.0.113.9"],
    "NAPT": ["source address and port 10.0.0.2:4500 -> 203.0.113.9:40001"],
    "NAPT and DNAT": [
        "source address and port 10.0.0.2:4500 -> 203.0.113.9:40001",
        "destination address 192.0.2.1 -> 10.9.9.9",
    ],
    "twice NAPT": [
        "source address and port 10.0.0.2:4500 -> 203.0.113.9:40001",
        "destination address and port 192.0.2.1:4500 -> 10.9.9.9:14500",
    ],
    "NAT64 and port": [
        "ipv6 header 2001:db8:1::2 > 64:ff9b::c000:201 -> 203.0.113.9 > 192.0.2.1 (protocol)",
        "source port 4500 -> 40001",
    ],
    "forward proxy by CONNECT without TLS: the GET is the one that stays": [
        "source address 10.0.0.2 -> 203.0.113.9 (proxied)",
        "destination address 10.0.0.254 -> 192.0.2.1 (proxied)",
        "http header removed: CONNECT gw.example:443 HTTP/1.1 (proxied)",
    ],
    "intermediary, nothing else changed": ["http intermediary added: Via (proxied)"],
    "answer of another status": ["http request 101 HTTP/1.1 -> 200 HTTP/1.1 (rewritten)"],
    "HTTP added by an intermediary that says so": [
        "source address 10.0.0.2 -> 203.0.113.9 (proxied)",
        "http header added: POST gw / HTTP/1.1, Via (proxied)",
    ],
    "another server name under the same certificate": [
        f"tls header gw.example {'aa' * 32} -> other.example {'aa' * 32} (proxied)"
    ],
    "nothing was sent": [
        "ipv4 header added: 10.0.0.2 > 192.0.2.1 (proxied)",
        "esp header added: 0x12345678 (proxied)",
    ],
    "ESP to AH": [
        "esp header removed: 0x12345678 (proxied)",
        "ah header added: 0x00000001 (proxied)",
    ],
}


@pytest.mark.parametrize(("name", "lines"), LINES.items(), ids=LINES)
def test_lines_for_people(name, lines):
    assert describe_all(show(name)) == lines


def test_ipv6_endpoint_in_a_line():
    sent = (ip("2001:db8::2", "2001:db8::1"), UDP, ESP)
    observed = (ip("2001:db8:1::9", "2001:db8::1"), UdpHeader(40001, 4500), ESP)
    assert describe_all(compare(sent, observed)) == [
        "source address and port [2001:db8::2]:4500 -> [2001:db8:1::9]:40001"
    ]


def test_an_address_whose_port_is_not_named_has_its_own_line():
    assert describe_all(show("NAPT")[:1]) == ["source address 10.0.0.2 -> 203.0.113.9"]
    assert describe_all(show("NAPT")[1:]) == ["source port 4500 -> 40001"]
    assert len(describe_all([*show("NAPT"), show("NAPT")[1]])) == 2


def test_items_of_a_peer_without_its_observation():
    (translation,) = from_items([TranslationItem(0, S, ADDRESS)], (PLAIN, ESP), ())
    assert describe(translation) == "source address 10.0.0.2 -> ?"


@pytest.mark.parametrize(
    ("item", "detail"),
    [
        (TranslationItem(3, S, ADDRESS), "header 3, which is not there"),
        (TranslationItem(254, WHOLE, PROXIED), "header 254, which is not there"),
        (TranslationItem(NEW, WHOLE, PROXIED), "header 255, which is not there"),
        (TranslationItem(0, SP, PORT), "SOURCE_PORT, which header type 4 has not"),
        (TranslationItem(1, CERT, INTERCEPTED), "TLS_CERTIFICATE, which header type 17 has not"),
        (TranslationItem(2, S, ADDRESS), "SOURCE_ADDRESS, which header type 50 has not"),
    ],
)
def test_items_of_a_peer_that_make_no_sense(item, detail):
    with pytest.raises(Drop, match=detail) as caught:
        from_items([item], (PLAIN, UDP, ESP), (PLAIN, UDP, ESP))
    assert caught.value.reason is DropReason.POORLY_FORMED


def test_of_two_headers_of_one_kind_the_one_nearest_the_end_is_matched():
    ip, other = (
        Ipv4Header(b"\x0a\0\0\2", b"\xcb\0\x71\2"),
        Ipv4Header(b"\7\7\7\7", b"\x08\x08\x08\x08"),
    )
    sent = (ip, UdpHeader(1, 2), EspHeader(3))
    observed = (other, ip, EspHeader(3))
    told = [(item.index, item.field, item.observed) for item in compare(sent, observed)]
    assert told == [
        (1, FieldCode.WHOLE_HEADER, ""),
        (NOT_IN_SENT, FieldCode.WHOLE_HEADER, "7.7.7.7 > 8.8.8.8"),
    ]
    back = [(item.index, item.field) for item in compare(observed, sent)]
    assert back == [(0, FieldCode.WHOLE_HEADER), (NOT_IN_SENT, FieldCode.WHOLE_HEADER)]


def usual(size):
    address, number = st.sampled_from([bytes(size), b"\1" * size]), st.integers(0, 1)
    return st.tuples(address, number, address, number, number)


def built(sent, observed):
    return build_changes(sent, Endpoint(*observed[:2]), Endpoint(*observed[2:4]), observed[4])


@given(st.sampled_from([4, 16]).flatmap(lambda size: st.tuples(usual(size), usual(size))))
def test_usual_headers_are_compared_as_all_others(values):
    """Which of their fields differ is a question that is answered only once."""
    sent, observed = (ip_udp_esp(*each) for each in values)
    found = _changes(sent, observed)
    assert changes(sent, observed) == found
    assert built(*values) == build_translations(found)


def test_usual_headers_of_two_families_are_compared_as_all_others():
    values = (bytes(4), 1, bytes(4), 2, 3), (bytes(16), 1, bytes(16), 2, 3)
    found = _changes(*(ip_udp_esp(*each) for each in values))
    assert built(*values) == build_translations(found) != b""


def test_an_endpoint_of_which_nothing_is_known_is_a_question_mark():
    nature = NatureCode.ADDRESS_AND_PORT
    lines = describe_all(
        [
            Translation(0, FieldCode.SOURCE_ADDRESS, nature, "", "192.0.2.1", HeaderType.IPV4),
            Translation(1, FieldCode.SOURCE_PORT, nature, "", "4500", HeaderType.UDP),
        ]
    )
    assert lines == ["source address and port ? -> 192.0.2.1:4500"]
