from dataclasses import replace

import pytest
from frames import GATEWAY, HOME, NEW, OLD, TO_GATEWAY, TO_MOBILE, reply, request, signalling

import scapy_mobsec.observer.registrations as registrations_module
from contrib_layers.numbers import AttemptFlag, FieldCode, NatureCode, ReplyCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.ip import build_ip, build_udp
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.registration.description import EspHeader, Ipv4Header, UdpHeader
from scapy_mobsec.registration.extensions import TranslationItem
from scapy_mobsec.registration.messages import Attempt

INSIDE = Endpoint.of("10.0.0.2", 4500)
SEEN = (
    Ipv4Header(NEW.address, GATEWAY.address),
    UdpHeader(NEW.port, GATEWAY.port),
    EspHeader(TO_GATEWAY),
)
BACK = (
    Ipv4Header(GATEWAY.address, NEW.address),
    UdpHeader(GATEWAY.port, NEW.port),
    EspHeader(TO_MOBILE),
)


def asks(bench, source=NEW, **fields):
    return bench.up(source, payload=signalling(request(**fields)))


def answers(bench, destination=NEW, **fields):
    return bench.down(destination, payload=signalling(reply(**fields)))


def test_a_registration_behind_a_nat(bench):
    bench.see(asks(bench))
    bench.see(answers(bench, observed=SEEN, sent=BACK), after=0.05)
    (entry,) = bench.report.registrations
    assert entry.request.attempt.number == 1
    assert entry.observed == SEEN
    assert entry.round_trip_ns == 50_000_000
    assert entry.reply_translations == ()


@pytest.mark.parametrize(
    ("changed", "answered"),
    [
        ({}, True),
        ({"identification": 1 << 32 | 7}, False),
        ({"identification": 1 << 32 | 7, "code": ReplyCode.IDENTIFICATION_MISMATCH}, True),
        ({"identification": 8, "code": ReplyCode.IDENTIFICATION_MISMATCH}, False),
        ({"home_address": NEW.address}, False),
    ],
)
def test_which_rreq_an_rrep_answers(changed, answered):
    answer = replace(reply(), identification=7)
    asking = replace(request(), identification=7, home_address=answer.home_address)
    assert registrations_module.answers(replace(answer, **changed), asking) == answered


def written_behind_a_nat(bench, **fields):
    message = request(**fields)
    inside = request(source=INSIDE, **fields).sent
    return bench.up(NEW, payload=signalling(type(message)(**_fields(message) | {"sent": inside})))


def _fields(message):
    return {name: getattr(message, name) for name in message.__dataclass_fields__}


@pytest.mark.parametrize("answered", [True, False])
def test_translations_are_told_with_and_without_the_reply(bench, answered):
    bench.see(written_behind_a_nat(bench))
    if answered:
        bench.see(answers(bench, observed=SEEN))
    (entry,) = bench.report.registrations
    assert (entry.reply is not None) == answered
    assert [(item.field, item.nature) for item in entry.translations] == [
        (FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS_AND_PORT),
        (FieldCode.SOURCE_PORT, NatureCode.ADDRESS_AND_PORT),
    ]


def test_a_challenge_alone_is_no_answer(bench):
    bench.see(asks(bench))
    alone = {"attempt": Attempt(1, AttemptFlag.PROBE), "challenge": bytes(8)}
    bench.see(answers(bench, **alone))
    (entry,) = bench.report.registrations
    assert entry.reply is None
    bench.see(answers(bench, **alone, sent=BACK))  # of a PROBE
    assert entry.reply.challenge
    assert bench.report.replies_without_request == 0


def test_of_several_requests_the_one_that_is_used_moves_the_link(bench):
    bench.see(bench.up(OLD), bench.down(OLD))
    bench.see(asks(bench, NEW, attempt=Attempt(1, 0, 0, 2)))
    assert not bench.report.moves
    bench.see(answers(bench, NEW, attempt=Attempt(1, AttemptFlag.USE, 0, 2)))
    (move,) = bench.report.moves
    assert move.signalled
    assert (move.left, move.reached) == (OLD, NEW)


def test_the_move_is_signalled_by_it(bench):
    bench.see(bench.up(OLD), bench.down(OLD), asks(bench), answers(bench), bench.up(NEW))
    (move,) = bench.report.moves
    assert move.signalled
    assert (move.left, move.reached) == (OLD, NEW)


def test_data_that_overtook_the_request_leaves_the_move_signalled(bench):
    bench.see(bench.up(OLD), bench.up(NEW), asks(bench))
    (move,) = bench.report.moves
    assert move.signalled
    assert move.evidence.value == "data"


@pytest.mark.parametrize("flags", [AttemptFlag.PROBE, AttemptFlag.CONFIRM])
def test_probes_move_nothing(bench, flags):
    bench.see(bench.up(OLD))
    bench.see(asks(bench, flags=flags, response=bytes(8)))
    bench.see(answers(bench, flags=0))
    assert bench.report.moves == []
    assert [len(sa.spans) for sa in bench.report.sas] == [1, 0]


def test_refused_is_not_accepted(bench):
    bench.see(asks(bench), answers(bench, code=ReplyCode.IDENTIFICATION_MISMATCH))
    report = bench.report
    assert (report.registrations, report.summary.registrations) == ([], 0)
    assert report.refused[0].reply.code == 133


def test_a_133_is_paired_though_its_high_word_is_new(bench):
    bench.see(asks(bench, identification=7))
    bench.see(answers(bench, identification=(9 << 32) | 7, code=133))
    assert bench.report.refused[0].reply is not None


def test_a_reply_to_another_request_is_not_paired(bench):
    bench.see(asks(bench, identification=7), answers(bench, identification=8))
    assert bench.report.registrations[0].reply is None


def test_replays_register_nothing(bench):
    packet = asks(bench)
    summary = bench.see(packet, packet, after=2)
    assert (summary.registrations, summary.replayed) == (1, 1)


def test_plain_mobile_ip_inside_is_data(bench):
    summary = bench.see(asks(bench, attempt=None))
    assert (summary.registrations, summary.malformed) == (0, 0)


def test_poorly_formed_is_a_named_drop(bench):
    garbage = build_udp(HOME, GATEWAY.address, 434, 434, b"\x01")
    summary = bench.see(bench.up(payload=build_ip(HOME, GATEWAY.address, 17, garbage)))
    assert bench.report.drops == {DropReason.POORLY_FORMED: 1}
    assert (summary.verified, summary.malformed) == (1, 1)


@pytest.mark.parametrize("answered", [True, False])
def test_a_poorly_formed_request_is_kept_among_the_refused(bench, answered):
    bench.see(asks(bench, sent=None))
    if answered:
        bench.see(answers(bench, code=ReplyCode.POORLY_FORMED))
    report = bench.report
    assert report.drops == {DropReason.POORLY_FORMED: 1}
    assert report.registrations == []
    assert (report.refused[0].reply is not None) == answered


def test_what_cannot_be_parsed_is_kept_as_far_as_it_can_be_read(bench):
    octets = signalling(request(identification=5))[28:] + b"\x05\x02ab"  # an unknown type below 128
    udp = build_udp(HOME, GATEWAY.address, 434, 434, octets)
    bench.see(bench.up(payload=build_ip(HOME, GATEWAY.address, 17, udp)))
    bench.see(answers(bench, identification=5, code=ReplyCode.POORLY_FORMED))
    (entry,) = bench.report.refused
    assert (entry.request.attempt.number, entry.reply.code) == (1, 134)


def test_a_move_whose_registration_is_refused_is_marked(bench):
    bench.see(bench.up(OLD), asks(bench), answers(bench, code=129))
    assert [move.refused for move in bench.report.moves] == [True]


def test_a_confirm_is_no_registration(bench):
    bench.see(asks(bench, flags=AttemptFlag.CONFIRM, response=bytes(8)))
    assert bench.report.registrations == []


@pytest.mark.parametrize(("to_gateway", "to_mobile"), [(0.05, 0), (0, 0.05), (0.02, 0.03)])
def test_the_whole_round_trip_wherever_the_capture_is(bench, to_gateway, to_mobile):
    """The way from the capture to either terminal and back."""
    bench.see(asks(bench))
    bench.see(answers(bench, challenge=b"12345678"), after=to_gateway)
    (entry,) = bench.report.registrations
    assert entry.whole_round_trip_ns == entry.round_trip_ns == pytest.approx(to_gateway * 1e9)
    bench.see(asks(bench, flags=AttemptFlag.CONFIRM, response=b"othertwo"), after=to_mobile)
    bench.see(asks(bench, flags=AttemptFlag.CONFIRM, response=b"12345678"), after=0)
    bench.see(asks(bench, flags=AttemptFlag.CONFIRM, response=b"12345678"), after=1)
    assert entry.whole_round_trip_ns == pytest.approx(50e6)
    assert bench.packets[-1].registration is entry


def test_challenges_that_are_remembered_are_bounded(bench, monkeypatch):
    monkeypatch.setattr(registrations_module, "MAX_WAITING", 1)
    for number in (1, 2):
        bench.see(asks(bench, identification=number))
        bench.see(answers(bench, identification=number, challenge=bytes([number] * 8)))
    for number in (1, 2):
        response = bytes([number] * 8)
        bench.see(asks(bench, flags=AttemptFlag.CONFIRM, response=response, identification=9))
    confirmed = [entry.confirmed_ns is not None for entry in bench.report.registrations]
    assert confirmed == [False, True]


def test_a_reply_that_comes_first_is_paired(bench):
    bench.see(answers(bench))
    assert bench.report.replies_without_request == 1
    bench.see(asks(bench))
    assert bench.report.registrations[0].reply is not None
    assert bench.report.replies_without_request == 0


def test_a_repeated_reply_changes_nothing(bench):
    bench.see(asks(bench), answers(bench), answers(bench))
    assert bench.report.registrations[0].round_trip_ns == 10_000_000


def test_only_a_133_is_paired_by_the_low_word(bench):
    bench.see(asks(bench, identification=7), asks(bench, identification=1 << 32 | 7, number=2))
    bench.see(answers(bench, identification=7))
    assert [entry.reply is not None for entry in bench.report.registrations] == [True, False]


def test_what_the_reply_tells_stands_where_it_shows_no_headers(bench):
    item = TranslationItem(0, FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS)
    bench.see(asks(bench), answers(bench, translations=(item,)))
    (entry,) = bench.report.registrations
    assert [each.field for each in entry.translations] == [FieldCode.SOURCE_ADDRESS]


def test_a_reply_that_contradicts_itself_is_shown(bench):
    bench.see(written_behind_a_nat(bench), answers(bench, observed=SEEN, translations=()))
    (entry,) = bench.report.registrations
    assert len(entry.translations) == 2
    assert entry.told == ()


def test_translations_that_fit_no_header_are_not_told(bench):
    item = TranslationItem(9, FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS)
    bench.see(asks(bench), answers(bench, translations=(item,)))
    assert bench.report.registrations[0].told is None


def test_transport_mode(bench):
    inner = signalling(request())[20:]
    bench.see(bench.up(NEW, payload=inner, next_header=17))
    (entry,) = bench.report.registrations
    assert entry.home_address == HOME


def test_the_inner_source_is_the_identity_of_a_link_without_ipv4(bench):
    home, gateway = (Endpoint.of(text).address for text in ("2001:db8::1", "2001:db8::2"))
    octets = signalling(request())[28:]
    octets = octets[:4] + bytes(4) + octets[8:]
    udp = build_udp(home, gateway, 434, 434, octets)
    bench.see(bench.up(payload=build_ip(home, gateway, 17, udp), next_header=41))
    (entry,) = bench.report.registrations
    assert entry.home_address == home


def test_what_is_kept_is_bounded_but_all_counted(bench, monkeypatch):
    monkeypatch.setattr(registrations_module, "MAX_REGISTRATIONS", 2)
    monkeypatch.setattr(registrations_module, "MAX_WAITING", 1)
    summary = bench.see(*(asks(bench, identification=number) for number in range(5)))
    assert len(bench.report.registrations) == 2
    assert summary.registrations == 5
    bench.see(answers(bench, identification=0))
    assert bench.report.registrations[0].reply is None
    for number in range(90, 99):
        bench.see(answers(bench, identification=number))
    assert bench.report.replies_without_request == 1


def test_it_is_verified_where_both_messages_are(bench):
    bench.see(bench.up(payload=signalling(request())), bench.down(payload=signalling(reply())))
    (entry,) = bench.report.registrations
    assert entry.verified
    answered, entry.answered = entry.answered, replace(entry.answered, verified=False)
    assert not entry.verified
    entry.answered, entry.asked = answered, replace(entry.asked, verified=False)
    assert not entry.verified
