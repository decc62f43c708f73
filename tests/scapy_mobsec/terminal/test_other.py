"""Y: acceptance in its order, moves, answers, lifetimes, many links."""

from dataclasses import replace
from random import Random

import pytest
from terminals import (
    AH_LINKS,
    AH_ONLY_LINKS,
    ELSEWHERE,
    HOME,
    MOBILE_LINK,
    NEW,
    OLD,
    OTHER,
    OTHER_LINK,
    PING,
    PONG,
    SIGNALLING,
    START,
    SUPPORTED,
    TO_MOBILE,
    TO_OTHER,
    TRANSLATED,
    Pair,
    a_request,
    drops,
    events,
    path_at_other,
    with_attempt,
)

from contrib_layers.numbers import (
    LIFETIME_INFINITE,
    AttemptFlag,
    EncapsulationCode,
    FieldCode,
    NatureCode,
    ReplyCode,
)
from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.packet.ip import build_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import EspHeader, Ipv4Header
from scapy_mobsec.registration.extensions import Extension, parse_translations
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    build_reply,
    build_request,
    parse_reply,
    parse_request,
)
from scapy_mobsec.registration.outer import describe, describe_ah
from scapy_mobsec.registration.serial import ntp_timestamp
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.config import (
    LinkParameters,
    MobileConfiguration,
    OtherConfiguration,
)
from scapy_mobsec.terminal.events import (
    BindingEnded,
    BindingMoved,
    EndReason,
    RegistrationReceived,
)
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import Transport
from scapy_mobsec.terminal.modes.tunnel import Tunnel
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.proving import Timer

PATH = path_at_other(TRANSLATED)
SAME = {"identification": ntp_timestamp(START)}
LATER = {"identification": ntp_timestamp(START) + 1}


@pytest.fixture
def pair():
    """Y has bound the link to TRANSLATED by attempt 5, and the path is validated."""
    pair = Pair()
    pair.confirm(*pair.request(**with_attempt(5)))
    events(pair.other)
    pair.now += 1
    return pair


def reply_to(pair, source=TRANSLATED, **changes):
    (transmit,) = pair.request(source, **changes)
    assert transmit.path == path_at_other(source)
    return replace(parse_reply(pair.read_reply(transmit)), challenge=None)


def expiry(pair):
    """When the lifetime of the binding is over."""
    return pair.other._timers._times.get((Timer.EXPIRY, HOME))


def test_an_accepted_request_moves_at_once_and_is_told():
    pair = Pair()
    pair.request(pad=1000, **with_attempt(5))
    received, moved = events(pair.other)
    assert received == RegistrationReceived(
        home_address=HOME,
        attempt=5,
        identification=ntp_timestamp(START),
        path=PATH,
        lifetime=3600,
        sent_octets=received.sent_octets,
        observed_octets=received.observed_octets,
        translation_octets=received.translation_octets,
    )
    assert received.sent == describe(Encapsulation.UDP, NEW, OTHER, TO_OTHER.spi)
    assert received.observed == describe(Encapsulation.UDP, TRANSLATED, OTHER, TO_OTHER.spi)
    assert [(one.sent, one.observed) for one in received.translations] == [
        ("10.0.0.2", "192.0.2.1"),
        ("4500", "31337"),
    ]
    assert moved == BindingMoved(HOME, 5, None, PATH)
    pair.other.send(PONG, pair.now)
    assert pair.from_other().path == PATH


def test_the_reply_says_all():
    reply = reply_to(Pair(), attempt=Attempt(5, index=2, count=3))
    assert reply == RegistrationReply(
        identification=ntp_timestamp(START),
        code=0,
        lifetime=3600,
        home_address=HOME,
        home_agent=OTHER.address,
        attempt=Attempt(5, AttemptFlag.USE, 2, 3),
        sent=describe(Encapsulation.UDP, OTHER, TRANSLATED, TO_MOBILE.spi),
        observed=describe(Encapsulation.UDP, TRANSLATED, OTHER, TO_OTHER.spi),
        translations=reply.translations,
        supported=OtherConfiguration().supported,
        selected=OtherConfiguration().supported,
    )
    assert [(one.index, one.field, one.nature) for one in reply.translations] == [
        (0, FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS_AND_PORT),
        (1, FieldCode.SOURCE_PORT, NatureCode.ADDRESS_AND_PORT),
    ]


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"home_address": bytes(4)}, DropReason.WRONG_IDENTITY, None),
        ({"home": bytes(15) + b"1"}, DropReason.WRONG_IDENTITY, None),
        (with_attempt(4), DropReason.STALE_ATTEMPT, 133),
        ({**with_attempt(6), **SAME}, DropReason.STALE_IDENTIFICATION, 133),
        (
            {**with_attempt(6), "sent": (Ipv4Header(bytes(4), bytes(4)), EspHeader(1))},
            DropReason.CARRIER_MISMATCH,
            None,
        ),
        ({"attempt": None}, DropReason.POORLY_FORMED, 134),
        ({**with_attempt(6), "sent": None}, DropReason.POORLY_FORMED, 134),
        ({"others": (Extension(1, b"\x01\x00"),)}, DropReason.POORLY_FORMED, 134),
        (
            {"others": (Extension(38, bytes((38, 0, 0, 6)) + bytes(6)),)},
            DropReason.UNKNOWN_CRITICAL_VENDOR_EXTENSION,
            140,
        ),
    ],
)
def test_a_refused_request_is_named_moves_nothing_and_gets_its_code(pair, changes, reason, code):
    answers = pair.request(ELSEWHERE, **changes)
    assert drops(pair.other) == [reason]
    assert pair.other.path(HOME) == PATH
    assert [parse_reply(pair.read_reply(answer)).code for answer in answers] == (
        [code] if code else []
    )
    assert all(answer.path == path_at_other(ELSEWHERE) for answer in answers)


def test_code_133_holds_the_counters_of_y(pair):
    pair.now += 1000
    reply = reply_to(pair, identification=0x99, **with_attempt(3, AttemptFlag.FORCED))
    assert reply.identification >> 32 == ntp_timestamp(pair.now) >> 32
    assert reply.identification & 0xFFFF_FFFF == 0x99
    assert reply.attempt == Attempt(5, 0)
    assert (reply.lifetime, reply.observed) == (0, None)


def test_code_134_copies_what_can_be_read(pair):
    reply = reply_to(pair, attempt=Attempt(6, index=1, count=2), sent=None)
    assert reply.attempt == Attempt(6, 0, 1, 2)
    assert reply.identification == ntp_timestamp(pair.now)
    pair.give_message(build_request(a_request(pair.now))[:24] + b"\x01")
    reply = parse_reply(pair.read_reply(pair.from_other()))
    assert (reply.code, reply.attempt) == (134, Attempt(5))


@pytest.mark.parametrize("message", [b"", b"\x01", bytes(40)])
def test_what_is_no_request_at_all_gets_no_answer(pair, message):
    pair.give_message(message)
    assert set(drops(pair.other)) <= {DropReason.UNEXPECTED_MESSAGE, DropReason.POORLY_FORMED}
    assert pair.other.transmits(pair.now) == []


def test_a_reply_is_no_request(pair):
    pair.give_message(build_reply(reply_to(pair, **with_attempt(6))))
    assert drops(pair.other) == [DropReason.UNEXPECTED_MESSAGE]
    assert pair.other.transmits(pair.now) == []


def test_the_same_attempt_renews_only(pair):
    reply = reply_to(pair, ELSEWHERE, **with_attempt(5))
    assert reply.attempt == Attempt(5, 0)  # accepted, but not the current path: no USE
    assert pair.other.path(HOME) == PATH
    assert [type(event) for event in events(pair.other)] == [RegistrationReceived]
    assert expiry(pair) == pair.now + 3600
    assert reply_to(pair, **with_attempt(5), **LATER).attempt.flags == AttemptFlag.USE


def test_another_request_on_the_same_path_is_answered_as_if_it_were_the_first():
    """What a path remembers of the last RREQ and its RREP serves the same question alone."""
    alternates = (OTHER._replace(port=4501),)
    configuration = OtherConfiguration((OTHER_LINK,), alternates=alternates)

    def new_pair():
        pair = Pair()
        pair.other = OtherTerminal(configuration, random_bytes=pair.random.randbytes)
        return pair

    def headers(pair, number, source, flag):
        (transmit,) = pair.request(
            attempt=Attempt(5, int(flag)),
            identification=ntp_timestamp(START) + number,
            sent=describe(Encapsulation.UDP, source, OTHER, TO_OTHER.spi),
        )
        reply = parse_reply(pair.read_reply(transmit))
        (received, *_) = events(pair.other)
        assert (reply.observed, reply.translations) == (
            received.observed,
            parse_translations(received.translation_octets),
        )
        return reply.sent, reply.observed, reply.translations, reply.selected

    pair, answers = new_pair(), set()
    elsewhere = AttemptFlag.OTHER_PORT
    asked = [(NEW, 0), (TRANSLATED, 0), (NEW, 0), (NEW, elsewhere), (NEW, 0), (TRANSLATED, 0)]
    for number, (source, flag) in enumerate(asked):
        answer = headers(pair, number, source, flag)
        assert answer == headers(new_pair(), number, source, flag)
        answers.add(answer)
    assert len(answers) == len(set(asked))


@pytest.mark.parametrize("flag", [AttemptFlag.PROBE, AttemptFlag.USE])
def test_probe_and_use_move_nothing_and_are_answered(pair, flag):
    reply = reply_to(pair, ELSEWHERE, **with_attempt(6, flag))
    assert (reply.code, reply.attempt) == (0, Attempt(6, 0))
    assert pair.other.path(HOME) == PATH
    assert expiry(pair) == START + 3600
    assert reply_to(
        pair, ELSEWHERE, **with_attempt(6), identification=ntp_timestamp(pair.now) + 1
    ).attempt == Attempt(6, AttemptFlag.USE)
    assert pair.other.path(HOME) == path_at_other(ELSEWHERE)


@pytest.mark.parametrize("changes", [{}, {"response": bytes(8)}], ids=["malformed", "well-formed"])
def test_confirm_is_never_answered(pair, changes):
    assert pair.request(**with_attempt(6, AttemptFlag.CONFIRM), **changes) == []
    assert drops(pair.other) in ([DropReason.POORLY_FORMED], [DropReason.STALE_ATTEMPT])


def test_deregistration_clears_the_path_and_keeps_the_sas(pair):
    reply = reply_to(pair, lifetime=0, **with_attempt(5))
    assert (reply.code, reply.lifetime, reply.attempt) == (0, 0, Attempt(5, 0))
    assert events(pair.other)[-1] == BindingEnded(HOME, EndReason.DEREGISTERED)
    reply_to(pair, lifetime=0, **with_attempt(5), **LATER)  # a retransmission is answered
    assert [type(event) for event in events(pair.other)] == [RegistrationReceived]
    assert pair.other.state(HOME) is OtherState.UNBOUND
    assert pair.other.timer() is None
    pair.other.send(PONG, pair.now)
    assert drops(pair.other) == [DropReason.NO_PATH]
    pair.to_other(pair.as_mobile.seal_data(PING))
    assert pair.other.received() == [PING]
    pair.now += 1
    refused = reply_to(pair, **with_attempt(5))
    assert (refused.code, refused.attempt.number) == (133, 5)
    assert drops(pair.other) == [DropReason.UNEXPECTED_MESSAGE]
    assert reply_to(pair, **with_attempt(6)).code == 0
    assert pair.other.path(HOME) == PATH


def test_expiry(pair):
    assert pair.other.timer() == START + 3600
    pair.other.handle_timer(START + 3599)
    assert pair.other.path(HOME) == PATH
    pair.other.handle_timer(START + 3600)
    assert events(pair.other) == [BindingEnded(HOME, EndReason.EXPIRED)]
    assert pair.other.path(HOME) is None
    pair.now += 4000
    assert reply_to(pair, **with_attempt(5)).attempt == Attempt(5, AttemptFlag.USE)
    assert pair.other.path(HOME) == PATH


def test_renewal_puts_the_expiry_off(pair):
    reply_to(pair, lifetime=600, **with_attempt(5))
    assert expiry(pair) == pair.now + 600
    pair.other.handle_timer(START + 599)
    assert pair.other.path(HOME) == PATH


@pytest.mark.parametrize(
    ("longest", "asked", "granted"),
    [
        (3600, 60, 60),
        (3600, LIFETIME_INFINITE, 3600),
        (LIFETIME_INFINITE, LIFETIME_INFINITE, 65535),
    ],
)
def test_lifetime_is_granted_up_to_a_limit(longest, asked, granted):
    pair = Pair(max_lifetime=longest)
    assert reply_to(pair, lifetime=asked).lifetime == granted
    assert expiry(pair) == (None if granted == LIFETIME_INFINITE else pair.now + granted)


def test_data_from_anywhere_is_delivered_and_moves_nothing(pair):
    pair.to_other(pair.as_mobile.seal_data(PING), ELSEWHERE)
    assert pair.other.received() == [PING]
    assert pair.other.path(HOME) == PATH
    assert events(pair.other) == []


def test_data_to_nobody(pair):
    pair.other.send(build_ip(HOME, OLD.address, 1, b""), pair.now)
    pair.other.send(b"", pair.now)
    assert drops(pair.other) == [DropReason.UNKNOWN_HOME, DropReason.MALFORMED_IP]


def many_links(number):
    for index in range(number):
        home = (10 << 24 | 1 << 16 | index).to_bytes(4, "big")
        yield LinkParameters(
            home,
            OTHER_LINK.signalling_address,
            (replace(TO_OTHER, spi=0x10000 + index),),
            replace(TO_MOBILE, spi=0x20000 + index),
        )


def test_many_links_are_told_apart_by_spi():
    links = tuple(many_links(300))
    other = OtherTerminal(OtherConfiguration(links), random_bytes=Random(1).randbytes)
    packet = build_ip(OLD.address, links[7].home_address, 1, b"")
    other.send(packet, START)
    assert drops(other) == [DropReason.NO_PATH]
    with pytest.raises(ValueError, match="home address"):
        other.add_link(links[7])
    with pytest.raises(ValueError, match="SPI"):
        other.add_link(replace(links[7], home_address=OLD.address))


def test_sas_are_bounded():
    with pytest.raises(ValueError, match="full"):
        OtherTerminal(OtherConfiguration(tuple(many_links(3)), max_sas=2), random_bytes=bytes)


HOME_V6, SIGNALLING_V6 = (Endpoint.of(f"2001:db8:1::{n}").address for n in (1, 2))


@pytest.mark.parametrize(
    ("mode", "told", "accepted"),
    [
        (Transport(), HOME_V6, [HOME_V6]),
        (L2tp(1, 2), HOME_V6, [HOME_V6]),
        (Tunnel(), None, [HOME_V6, None]),
    ],
)
def test_an_ipv6_home_address_is_told_where_no_inner_header_shows_it(mode, told, accepted):
    at_mobile, at_other = (
        replace(link, home_address=HOME_V6, signalling_address=SIGNALLING_V6, mode=mode)
        for link in (MOBILE_LINK, OTHER_LINK)
    )
    mobile = MobileTerminal(MobileConfiguration(at_mobile, OTHER), random_bytes=bytes)
    other = OtherTerminal(OtherConfiguration((at_other,)), random_bytes=bytes)
    reader = Link(at_other, at_mobile=False, random_bytes=bytes)
    mobile.move([NEW], START)
    for _ in range(2):  # RREQ and CONFIRM
        (out,) = mobile.transmits(START)
        request = reader.mode.unwrap(reader.inbound[0].open(out.data))[1]
        assert parse_request(request).home == told
        other.receive(out.data, path_at_other(NEW), START)
        for reply in other.transmits(START):
            mobile.receive(reply.data, out.path, START)
    assert not drops(other)
    assert other.path(HOME_V6) == path_at_other(NEW)
    forger = Link(at_mobile, at_mobile=True, random_bytes=bytes)
    forger.skip(100)
    for number, home in enumerate((HOME_V6, SIGNALLING_V6, None), 2):
        request = a_request(
            START + number, home_address=bytes(4), home=home, **with_attempt(number)
        )
        other.receive(forger.seal_message(build_request(request)), path_at_other(OLD), START)
        assert drops(other) == ([] if home in accepted else [DropReason.WRONG_IDENTITY])


def test_another_link_cannot_register_this_home_address():
    """The SA that a request came by must be one of the link that it names."""
    links = tuple(many_links(2))
    pair = Pair()
    for link in links:
        pair.other.add_link(link)
    pair.as_mobile = pair._forger(
        replace(links[0], inbound=(), outbound=links[0].inbound[0]), at_mobile=True
    )
    assert pair.request(home_address=links[1].home_address) == []
    assert drops(pair.other) == [DropReason.WRONG_IDENTITY]
    pair.as_mobile.mode = pair._forger(OTHER_LINK, at_mobile=True).mode
    assert pair.request() == []
    assert drops(pair.other) == [DropReason.OUTSIDE_POLICY]


def test_a_link_that_cannot_be_served_leaves_nothing_behind():
    pair = Pair()
    used = pair.other._sas._by_spi.copy()
    taken = SaParameters(next(iter(used)), SUITES["aes-gcm-16"], bytes(20))
    fresh = SaParameters(3000, SUITES["aes-gcm-16"], bytes(20))
    out = SaParameters(4000, SUITES["aes-gcm-16"], bytes(range(20)))
    home = Endpoint.of("10.10.1.77").address
    with pytest.raises(ValueError, match="in use"):
        pair.other.add_link(LinkParameters(home, SIGNALLING, (fresh, taken), out))
    assert pair.other._sas._by_spi == used
    pair.other.add_link(LinkParameters(home, SIGNALLING, (fresh,), out))
    assert pair.other.path(home) is None


def test_an_infinite_renewal_ends_the_expiry():
    pair = Pair(max_lifetime=65535)
    reply_to(pair, lifetime=60, **with_attempt(5))
    assert expiry(pair) == START + 60
    reply_to(pair, lifetime=65535, **with_attempt(5), **LATER)
    assert expiry(pair) is None


@pytest.mark.parametrize("by_ah", [False, True])
def test_what_was_sent_by_ah_arrives_by_ah_alone(by_ah):
    link = Link(AH_LINKS[0], at_mobile=True, random_bytes=bytes)
    other = OtherTerminal(OtherConfiguration((AH_LINKS[1],), SUPPORTED), random_bytes=bytes)
    ends = Endpoint(NEW.address), Endpoint(OTHER.address)
    path = Path(Encapsulation.NATIVE, *ends, ah=by_ah)
    of_ah, of_esp = describe_ah(*ends, 0x1111), describe(Encapsulation.NATIVE, *ends, 0x1111)
    back = path._replace(local=path.remote, remote=path.local)
    for sent, reasons in (
        (of_esp if by_ah else of_ah, [DropReason.CARRIER_MISMATCH]),
        (of_ah if by_ah else of_esp, []),
    ):
        request = build_request(a_request(sent=sent))
        other.receive(link.seal_message(request, path), back, START)
        assert drops(other) == reasons
    (reply,) = other.transmits(START)
    assert reply.path == back


def test_what_is_not_supported_is_refused_and_moves_nothing():
    pair = Pair(supported=tuple(one for one in SUPPORTED if one.code != EncapsulationCode.UDP))
    (reply,) = pair.request(NEW)
    assert parse_reply(pair.read_reply(reply)).code == ReplyCode.ADMINISTRATIVELY_PROHIBITED
    assert drops(pair.other) == [DropReason.UNKNOWN_CARRIER]
    assert pair.other.path(HOME) is None
    assert pair.other.state(HOME) is OtherState.UNBOUND


def test_ah_needs_no_encapsulation():
    link = Link(AH_LINKS[0], at_mobile=True, random_bytes=bytes)
    other = OtherTerminal(OtherConfiguration((AH_LINKS[1],)), random_bytes=bytes)
    path = Path(Encapsulation.NATIVE, Endpoint(OTHER.address), Endpoint(NEW.address), ah=True)
    back = path._replace(local=path.remote, remote=path.local)
    request = build_request(a_request(sent=describe_ah(*back.ends, 0x1111)))
    other.receive(link.seal_message(request, back), path, START)
    assert not drops(other)
    assert other.path(HOME) == path


def test_a_link_with_an_ah_spi_in_use_leaves_nothing_behind():
    other = OtherTerminal(OtherConfiguration((AH_ONLY_LINKS[1],)), random_bytes=bytes)
    link = replace(AH_LINKS[1], home_address=OLD.address)
    with pytest.raises(ValueError, match="in use"):
        other.add_link(link)
    other.add_link(replace(link, ah=None))
