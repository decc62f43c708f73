"""RREQ and RREP: octets, Scapy's ways of stacking, finding and matching, one-line summaries."""

import pytest
from hypothesis import given
from layer_samples import full_reply, full_request, replies, requests
from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ
from scapy.packet import NoPayload, Raw, fuzz
from scapy.sendrecv import sndrcv
from scapy.supersocket import SuperSocket

from contrib_layers.shim import (
    RREP,
    RREQ,
    Attempt,
    EncapsulationItem,
    ESPHeader,
    HTTPHeader,
    IPv4Header,
    Pad,
    Sent,
    Supported,
    TLSHeader,
    Translations,
    UnknownExtension,
)

REQUEST = (
    "01 20 00b4 0a090001 c0000201 0a000002 123456789abcdef0"
    "86 10 0000 00007ed9 0006 00000007 00 00 01 00"
    "86 21 0000 00007ed9 0001 04 0008 0a000002 c0000201 11 0004 1194 1194 32 0004 12345678"
    "86 18 0000 00007ed9 0004 00 06 00 0000 0000 00 01 06 00 0000 0000 00"
)
REPLY = (
    "03 00 00b4 0a090001 c0000201 123456789abcdef0"
    "86 10 0000 00007ed9 0006 00000007 08 00 01 00"
    "86 21 0000 00007ed9 0001 04 0008 c0000201 c6336407 11 0004 1194 ee48 32 0004 9abcdef0"
    "86 0e 0000 00007ed9 0003 00 01 03 01 03 03"
)


def test_octets_of_a_request_and_a_reply():
    assert bytes(MobileIP() / full_request()) == bytes.fromhex(REQUEST)
    assert bytes(MobileIP() / full_reply()) == bytes.fromhex(REPLY)


@given(requests())
def test_requests_come_back_with_their_fields(request_):
    again = RREQ(bytes(request_))
    for name in ("flags", "lifetime", "homeaddr", "haaddr", "coaddr", "id"):
        assert getattr(again, name) == getattr(request_, name)
    assert type(again.payload) is NoPayload
    assert bytes(again) == bytes(request_)


@given(replies())
def test_replies_come_back_with_their_fields(reply):
    again = RREP(bytes(reply))
    for name in ("code", "lifetime", "homeaddr", "haaddr", "id"):
        assert getattr(again, name) == getattr(reply, name)
    assert type(again.payload) is NoPayload
    assert bytes(again) == bytes(reply)


def test_flags_have_the_letters_of_rfc_5944():
    assert [int(RREQ(flags=letter).flags) for letter in "SBDMGrTx"] == [
        1 << n for n in range(7, -1, -1)
    ]
    assert RREQ().flags.D
    assert RREQ(flags=0x82).sprintf("%flags%") == "TS"


def test_codes_have_names():
    assert RREP(code="identification_mismatch").code == 133
    assert RREP(code=134).sprintf("%code%") == "poorly_formed"


@pytest.mark.parametrize("lower", [IP(), IPv6(), Ether() / IP()])
@pytest.mark.parametrize(("message", "kind"), [(RREQ(), 1), (RREP(), 3)])
def test_stacking_sets_ports_and_type(lower, message, kind):
    packet = lower / UDP() / MobileIP() / message
    assert (packet[UDP].sport, packet[UDP].dport, packet[MobileIP].type) == (434, 434, kind)
    again = type(lower)(bytes(packet))
    assert type(again[MobileIP].payload) is type(message)


@pytest.mark.parametrize(("message", "stock"), [(RREQ(), MobileIPRRQ), (RREP(), MobileIPRRP)])
def test_the_stock_class_finds_ours_from_every_layer(message, stock):
    packet = Ether(bytes(Ether() / IP() / UDP() / MobileIP() / message))
    layer = packet
    while layer:
        assert stock in layer
        assert type(layer[stock]) is type(message)
        assert layer[stock] is layer.getlayer(type(message))
        layer = layer.payload
    assert packet.getlayer(stock, lifetime=180) is packet[type(message)]
    assert packet.getlayer(stock, 2) is None


def test_extensions_are_found_from_every_layer():
    packet = Ether(bytes(Ether() / IP() / UDP() / MobileIP() / full_request()))
    assert packet[Sent] is packet[RREQ].extensions[1]
    assert packet[ESPHeader].spi == 0x12345678
    assert Pad not in packet
    request = RREQ(extensions=[Pad(value=b"\0"), Pad(value=b"\0\0")])
    assert request.getlayer(Pad, 2).value == b"\0\0"


def exchange(request, reply, lower=IP, client="10.9.0.1", server="192.0.2.1"):
    def dissected(packet):
        return type(packet)(bytes(packet))

    asked = dissected(lower(src=client, dst=server) / UDP() / MobileIP() / request)
    answer = dissected(lower(src=server, dst=client) / UDP() / MobileIP() / reply)
    return asked, answer


def matches(request, reply, **addresses):
    """As Scapy matches: at every layer, the hash agrees and the reply says that it answers."""
    asked, answer = exchange(request, reply, **addresses)
    verdicts = []
    while asked:
        verdicts.append(bool(asked.hashret() == answer.hashret() and answer.answers(asked)))
        asked, answer = asked.payload, answer.payload
    assert len(set(verdicts)) == 1
    return verdicts[0]


@pytest.mark.parametrize(
    "addresses", [{}, {"lower": IPv6, "client": "2001:db8::2", "server": "2001:db8::1"}]
)
@pytest.mark.parametrize("check", [True, False])
def test_a_reply_answers_by_the_low_word_of_the_identification(monkeypatch, addresses, check):
    for setting in ("checkIPaddr", "checkIPsrc"):
        monkeypatch.setattr(conf, setting, check)
    request = RREQ(id=0x1111111122222222, extensions=[Attempt()])
    assert matches(request, RREP(id=0x1111111122222222), **addresses)
    assert matches(request, RREP(id=0x9999999922222222, code=133), **addresses)
    assert not matches(request, RREP(id=0x1111111122222223), **addresses)
    assert not matches(request, RREQ(id=0x1111111122222222), **addresses)


def test_requests_answer_nothing_and_replies_only_requests():
    assert not RREQ(id=1).answers(RREQ(id=1))
    assert not RREP(id=1).answers(RREP(id=1))
    assert not RREQ(id=1).answers(RREP(id=1))
    assert RREP(id=1).answers(MobileIPRRQ(id=1))


class Peer(SuperSocket):
    """Answers request 2, and each one with a reply to somebody else before."""

    nonblocking_socket = True

    def __init__(self):
        self.replies = []

    def send(self, packet):
        for number in [99, 2] if packet[RREQ].id == 2 else [99]:
            self.replies.append(exchange(packet[RREQ], RREP(id=number))[1])

    def recv(self, _size=0, **_):
        return self.replies.pop(0) if self.replies else None

    def close(self):
        pass

    @staticmethod
    def select(sockets, _remain=None):
        return [peer for peer in sockets if not isinstance(peer, Peer) or peer.replies]


def test_sr_finds_the_reply_among_others():
    requests = [exchange(RREQ(id=number), RREP())[0] for number in (1, 2)]
    answered, unanswered = sndrcv(Peer(), requests, timeout=0.3, verbose=0)
    assert [(asked[RREQ].id, answer[RREP].id) for asked, answer in answered] == [(2, 2)]
    assert [asked[RREQ].id for asked in unanswered] == [1]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (full_request(), "RREQ #7 via udp 10.0.0.2:4500 > 192.0.2.1:4500"),
        (
            full_reply(),
            "RREP #7 USE accepted via udp 192.0.2.1:4500 > 198.51.100.7:61000, "
            "translated: source address, source port",
        ),
        (
            RREQ(
                extensions=[
                    Attempt(number=9, flags="PROBE+OTHER_PORT"),
                    Sent(headers=[IPv4Header(src="10.0.0.2", dst="192.0.2.1"), ESPHeader()]),
                ]
            ),
            "RREQ #9 PROBE+OTHER_PORT via native 10.0.0.2 > 192.0.2.1",
        ),
        (RREQ(coaddr="10.0.0.2", haaddr="192.0.2.1"), "RREQ 10.0.0.2 > 192.0.2.1"),
        (RREQ(extensions=[Sent(), Attempt()]), "RREQ #1 0.0.0.0 > 0.0.0.0"),
        (RREQ(extensions=[Attempt(), Attempt()]), "RREQ 0.0.0.0 > 0.0.0.0"),
        (RREP(), "RREP accepted"),
        (RREP(code=133, extensions=[Attempt()]), "RREP #1 identification mismatch"),
        (RREP(code=77, extensions=[Translations()]), "RREP 77, no translation"),
    ],
)
def test_summaries(message, words):
    assert message.summary() == words
    assert (IP() / UDP() / MobileIP() / message).summary() == f"IP / UDP / MobileIP / {words}"


@given(requests())
def test_a_summary_is_one_line(request_):
    assert "\n" not in RREQ(bytes(request_)).summary()


def test_octets_that_stay_raw_are_seen_in_the_summary():
    request = RREQ(bytes(RREQ(extensions=[UnknownExtension(type=100)])))
    assert request[Raw].load == b"\x64\x00"
    assert request.summary() == "RREQ 0.0.0.0 > 0.0.0.0 / Raw"


def test_a_layer_survives_pickling():
    import pickle

    request = MobileIP() / full_request()
    assert bytes(pickle.loads(pickle.dumps(request))) == bytes(request)


@pytest.mark.parametrize(
    "message",
    [
        RREQ(extensions=[Supported(items=[EncapsulationItem() for _ in range(4)])]),
        RREQ(extensions=[Sent(headers=[TLSHeader(), HTTPHeader(), ESPHeader()])]),
    ],
    ids=["items", "headers"],
)
def test_whole_messages_can_be_fuzzed(message):
    for _ in range(100):
        octets = bytes(fuzz(message))
        assert bytes(RREQ(octets)) == octets


def test_what_scripts_for_the_stock_layer_do_with_fields():
    message = RREQ(flags=0x22, id=77)
    assert message.sprintf("%MobileIPRRQ.id% {MobileIPRRQ:%RREQ.id%}") == "77 77"
    assert (hex(message.flags), f"{message.flags:02x}", f"{message.flags}") == ("0x22", "22", "TD")
    assert bytes([message.flags]) == b"\x22"
