from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ike import (
    AES_GCM_16,
    ELSEWHERE,
    GATEWAY,
    IKE_GCM,
    MOBILE,
    SPI_I,
    SPI_R,
    Talk,
    clear,
    delete,
    fragments,
    init_request,
    init_response,
    keys,
    nat_hashes,
    nonce,
    notify,
    outer,
    reply,
    sa,
    sealed,
)

import scapy_mobsec.observer.ike as ike_module
from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.nat_detection import Verdict
from scapy_mobsec.ike.numbers import Exchange, NotifyType, PayloadType, Protocol
from scapy_mobsec.ike.payloads import Opaque, VendorId
from scapy_mobsec.observer.ike_messages import Reading
from scapy_mobsec.observer.links import Links
from scapy_mobsec.packet.path import Endpoint

UPDATE = notify(NotifyType.UPDATE_SA_ADDRESSES)
COOKIE2 = notify(NotifyType.COOKIE2, b"c" * 16)
INFORMATIONAL = Exchange.INFORMATIONAL
NEW_SPIS = b"new init", b"new resp"


def readings(talk):
    return [seen.reading for each in talk.sa.exchanges for seen in each.messages]


def dropped(talk, *messages, **options):
    with pytest.raises(Drop) as caught:
        talk.see(*messages, **options)
    return caught.value.reason


def test_requests_and_responses_make_exchanges():
    talk = Talk(keys()).init().auth().exchange(INFORMATIONAL, [COOKIE2], [COOKIE2])
    kinds = [each.request.header.exchange for each in talk.sa.exchanges]
    assert kinds == [Exchange.IKE_SA_INIT, Exchange.IKE_AUTH, INFORMATIONAL]
    assert all(each.response for each in talk.sa.exchanges)
    assert readings(talk) == [Reading.CLEAR] * 2 + [Reading.VERIFIED] * 4
    assert talk.sa.exchanges[2].path_proved
    assert talk.sa.verified == 4


def test_both_ends_may_ask_with_the_same_message_id():
    talk = Talk(keys())
    talk.exchange(INFORMATIONAL, [], [], mid=0).exchange(INFORMATIONAL, [], [], 0, None, False)
    assert [len(each.messages) for each in talk.sa.exchanges] == [2, 2]


def test_a_response_that_comes_first_finds_its_request():
    talk = Talk(keys()).see(reply(keys(), INFORMATIONAL, mid=5), sealed(keys(), 37, mid=5))
    (exchange,) = talk.sa.exchanges
    assert exchange.request.frame == 2


def test_without_keys_the_exchange_is_named_and_nothing_more():
    talk = Talk().init().auth()
    assert readings(talk) == [Reading.CLEAR] * 2 + [Reading.ENCRYPTED] * 2
    (content,) = talk.sa.exchanges[1].request.contents
    assert isinstance(content, Opaque)
    assert content.type == PayloadType.SK
    assert len(talk.clear) == 2


def test_without_integrity_keys_it_is_marked():
    sa_keys = keys("aes-cbc", "hmac-sha1-96")
    talk = Talk(keys("aes-cbc", "hmac-sha1-96", sk_ai=None, sk_ar=None))
    talk.see(sealed(sa_keys, INFORMATIONAL, COOKIE2))
    assert readings(talk) == [Reading.UNVERIFIED]
    assert talk.sa.verified == 0
    wrong = keys("aes-cbc", "hmac-sha1-96", sk_ei=b"x" * 32, sk_er=b"y" * 32)
    assert dropped(talk, sealed(wrong, INFORMATIONAL, COOKIE2, mid=1)) in (
        DropReason.UNREADABLE,
        DropReason.MALFORMED_IKE,
    )


def test_a_wrong_icv_is_a_drop_and_never_content():
    talk = Talk(keys()).init()
    forged = sealed(keys(), INFORMATIONAL, UPDATE)
    assert dropped(talk, forged[:-1] + b"?") is DropReason.BAD_ICV
    assert talk.sa.icv_failed == 1
    assert len(talk.sa.exchanges) == 1
    assert talk.updates == []


def test_good_octets_of_which_the_payloads_are_malformed_are_a_drop():
    talk = Talk(keys())
    assert dropped(talk, sealed(keys(), 37, (PayloadType.NONCE, b"short"))) is (
        DropReason.MALFORMED_IKE
    )


def test_the_clear_octets_are_handed_over():
    talk = Talk(keys()).see(sealed(keys(), INFORMATIONAL, COOKIE2, mid=3))
    (octets,) = talk.clear
    assert octets == clear(INFORMATIONAL, COOKIE2, mid=3)


def test_fragments_are_put_together():
    parts = fragments(keys(), Exchange.IKE_AUTH, nonce(bytes(100)), COOKIE2, mid=1)
    talk = Talk(keys()).see(*parts)
    (exchange,) = talk.sa.exchanges
    assert exchange.request.fragments == len(parts) == 4
    assert parse_message(talk.clear[0]).payloads[0].body == bytes(100)


def test_too_many_fragments_are_a_drop():
    talk = Talk(keys())
    parts = fragments(keys(), 37, *[(200, bytes(60_000))] * 2, size=50_000)
    assert dropped(talk, *parts) is DropReason.IKE_FRAGMENT_LIMIT


def test_the_same_octets_again_are_counted_at_the_first():
    talk = Talk(keys())
    message = sealed(keys(), INFORMATIONAL, COOKIE2)
    talk.see(message, message, message)
    (exchange,) = talk.sa.exchanges
    assert exchange.request.repeats == 2


def test_update_sa_addresses_moves_the_sa():
    talk = Talk(keys()).init().auth()
    talk.see(sealed(keys(), INFORMATIONAL, UPDATE, mid=2), path=outer(ELSEWHERE))
    (update,) = talk.updates
    assert (update.old, update.new) == (outer(MOBILE), outer(ELSEWHERE))
    assert talk.sa.outer == outer(ELSEWHERE)


def test_the_sa_goes_from_port_500_to_4500_with_ike_auth():
    at_500 = outer(Endpoint(MOBILE.address, 500), Endpoint(GATEWAY.address, 500))
    talk = Talk(keys()).see(init_response(), path=at_500.reversed())
    assert talk.sa.outer == at_500
    assert talk.auth().sa.outer == outer(MOBILE, GATEWAY)


def test_a_repeated_update_from_elsewhere_moves_it_again():
    talk = Talk(keys()).init()
    message = sealed(keys(), INFORMATIONAL, UPDATE, mid=2)
    for place in (ELSEWHERE, ELSEWHERE, MOBILE):
        talk.see(message, path=outer(place))
    assert [each.new for each in talk.updates] == [outer(ELSEWHERE), outer(MOBILE)]


def test_other_messages_from_elsewhere_move_nothing():
    talk = Talk(keys()).init().auth()
    talk.see(sealed(keys(), INFORMATIONAL, mid=2), path=outer(ELSEWHERE))
    talk.see(reply(keys(), INFORMATIONAL, UPDATE, mid=2), path=outer(GATEWAY, ELSEWHERE))
    assert talk.updates == []


@pytest.mark.parametrize("kind", [INFORMATIONAL, Exchange.IKE_SA_INIT])
def test_an_update_in_clear_is_nobodys_word(kind):
    talk = Talk(keys()).init()
    talk.see(clear(kind, UPDATE, nonce(bytes(16)), mid=2), path=outer(ELSEWHERE))
    assert talk.updates == []


@pytest.mark.parametrize(
    ("kind", "refused"),
    [(NotifyType.UNACCEPTABLE_ADDRESSES, True), (NotifyType.INITIAL_CONTACT, False)],
)
def test_an_error_in_the_answer_refuses_the_move(kind, refused):
    links = Links()
    talk = Talk(keys(), on_update=partial(signal, links)).init().auth()
    talk.see(sealed(keys(), INFORMATIONAL, UPDATE, mid=2), path=outer(ELSEWHERE))
    talk.see(reply(keys(), INFORMATIONAL, notify(kind), mid=2), path=outer(GATEWAY, ELSEWHERE))
    assert links.moves[0].refused is refused


def signal(links, update):
    return links.signal(None, update.old, update.new, update.seen.time_ns, 1, verified=True)


def test_who_refuses_a_move_without_an_icv_may_be_anybody():
    sa_keys, links = keys("aes-cbc", "hmac-sha1-96"), Links()
    talk = Talk(replace(sa_keys, sk_ai=None, sk_ar=None), on_update=partial(signal, links))
    talk.see(sealed(sa_keys, INFORMATIONAL, mid=1))
    talk.see(sealed(sa_keys, INFORMATIONAL, UPDATE, mid=2), path=outer(ELSEWHERE))
    (move,) = links.moves
    talk.see(reply(sa_keys, INFORMATIONAL, notify(NotifyType.UNACCEPTABLE_ADDRESSES), mid=2))
    assert (move.refused, move.verified) == (True, False)


def test_nat_detection_is_judged():
    hashes = nat_hashes(MOBILE, ELSEWHERE, (SPI_I, bytes(8)))
    talk = Talk(keys()).see(init_request(*hashes))
    (exchange,) = talk.sa.exchanges
    verdicts = [each.verdict for each in exchange.request.detections]
    assert verdicts == [Verdict.NOT_TRANSLATED, Verdict.TRANSLATED]
    assert len(exchange.request.translations) == 2


def test_a_made_up_endpoint_is_taken_back_from_the_translations():
    random = Endpoint.of("57.12.99.4", 0)
    before, after = Endpoint(GATEWAY.address, 500), GATEWAY
    talk = Talk(keys()).see(init_request())
    talk.see(init_response(*nat_hashes(random, MOBILE)), path=outer(before, MOBILE))
    first = talk.sa.exchanges[0].response
    assert first.detections[0].verdict is Verdict.TRANSLATED
    assert first.translations
    hashes = nat_hashes(random, MOBILE)
    talk.see(reply(keys(), INFORMATIONAL, mid=1))
    talk.see(reply(keys(), INFORMATIONAL, *hashes, mid=2), path=outer(after, MOBILE))
    for seen in (first, talk.sa.exchanges[2].response):
        verdicts = [each.verdict for each in seen.detections]
        assert verdicts == [Verdict.FORCED, Verdict.NOT_TRANSLATED]
        assert seen.translations == ()


def test_a_re_keyed_ike_sa_is_followed_if_its_keys_are_given():
    new = keys(initiator_spi=NEW_SPIS[0], responder_spi=NEW_SPIS[1], sk_ei=b"E" * 36)
    mobike = notify(NotifyType.MOBIKE_SUPPORTED)
    address = notify(NotifyType.ADDITIONAL_IP4_ADDRESS, ELSEWHERE.address)
    talk = Talk(keys(), new).init().auth(more=[mobike, address], answer=[mobike])
    asked = sa(IKE_GCM, Protocol.IKE, NEW_SPIS[0]), nonce(b"I" * 32)
    answered = sa(IKE_GCM, Protocol.IKE, NEW_SPIS[1]), nonce(b"R" * 32)
    gone = sa(AES_GCM_16, spi=b"\0\0\5\5"), nonce(b"n" * 32)
    talk.exchange(Exchange.CREATE_CHILD_SA, gone, gone)
    talk.exchange(INFORMATIONAL, [delete(Protocol.ESP, b"\0\0\5\5")], [], mid=3)
    talk.learnt.clear()
    talk.exchange(Exchange.CREATE_CHILD_SA, asked, answered, mid=4)
    assert talk.sa.replaced_by == NEW_SPIS
    assert talk.learnt == []
    side = sa(AES_GCM_16, spi=b"\0\0\7\7"), nonce(b"n" * 32)
    talk.exchange(Exchange.CREATE_CHILD_SA, side, side, mid=0, sa_keys=new)
    old, successor = talk.tracker.sas
    assert successor.initiator_spi == NEW_SPIS[0]
    assert (successor.uses_mobike, successor.inherited) == (True, old.children[:1])
    assert successor.identities == old.identities != {}
    assert successor.addresses == old.addresses != {}
    assert successor.children[0].reason == ""
    assert [each.spi for each in talk.learnt] == [0x707, 0x707]


def test_the_exchange_that_makes_an_ike_sa_tells_its_algorithms():
    suite = ((1, 12, 256), (2, 5, None), (3, 12, None), (4, 31, None))
    spis = dict(zip(("initiator_spi", "responder_spi"), NEW_SPIS, strict=True))
    whole = keys("aes-cbc", "hmac-sha2-256-128", **spis)
    talk = Talk(keys(), replace(whole, integrity=None, prf=None)).init().auth()
    asked, answered = ((sa(suite, Protocol.IKE, spi), nonce(b"n" * 32)) for spi in NEW_SPIS)
    talk.exchange(Exchange.CREATE_CHILD_SA, asked, answered)
    side = sa(AES_GCM_16, spi=b"\0\0\7\7"), nonce(b"n" * 32)
    talk.exchange(Exchange.CREATE_CHILD_SA, side, side, mid=0, sa_keys=whole)
    successor = talk.tracker.sas[1]
    assert (successor.verified, successor.prf) == (2, "hmac-sha2-256")
    assert successor.children[0].reason == ""


def test_keys_with_sk_d_are_taken_before_those_without():
    for both in ([keys(sk_d=None), keys()], [keys(), keys(sk_d=None)]):
        assert len(Talk(*both).init().auth().learnt) == 2


def test_a_second_responder_is_an_sa_of_its_own():
    other = b"another!"
    talk = Talk(keys(responder_spi=other)).init()
    talk.see(init_response(spis=(SPI_I, other)))
    assert [each.responder_spi for each in talk.tracker.sas] == [SPI_R, other]
    talk.see(sealed(keys(), 37, spis=(SPI_I, other), mid=1))
    assert talk.tracker.sas[1].verified == 1
    assert len(talk.tracker.sas[1].exchanges) == 2
    talk.auth()
    assert len(talk.tracker.sas) == 2


def test_sas_are_bounded_but_those_with_keys_have_room(monkeypatch):
    monkeypatch.setattr(ike_module, "MAX_IKE_SAS", 2)
    talk = Talk(keys())
    talk.see(*(clear(37, spis=(bytes([n]) * 8, SPI_R)) for n in (1, 2)))
    assert dropped(talk, clear(37, spis=(b"3" * 8, SPI_R))) is DropReason.SA_LIMIT
    talk.init().auth()
    assert len(talk.tracker.sas) == 3
    assert len(talk.learnt) == 2
    guessed = clear(37, spis=(SPI_I, b"guessed!"))
    assert dropped(talk, guessed) is DropReason.SA_LIMIT


def test_exchanges_and_what_is_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(ike_module, "MAX_EXCHANGES", 3)
    monkeypatch.setattr(ike_module, "MAX_RECENT", 4)
    talk = Talk(keys())
    for mid in range(9):
        talk.exchange(INFORMATIONAL, [], [], mid=mid)
    assert (len(talk.sa.exchanges), talk.tracker.not_kept) == (3, 6)
    assert len(talk.sa.recent) == 4
    monkeypatch.setattr(ike_module, "MAX_OCTETS", 200)
    talk = Talk(keys()).init().auth()
    contents = [bool(seen.contents) for each in talk.sa.exchanges for seen in each.messages]
    assert contents == [True, False, True, True]
    assert len(talk.learnt) == 2


def test_values_are_bounded_and_not_only_octets(monkeypatch):
    monkeypatch.setattr(ike_module, "MAX_VALUES", 60)
    talk = Talk()
    for n in range(9):
        talk.see(init_request(transforms=[(1, n, None)] * 20, spis=(bytes([n]) * 8, bytes(8))))
    kept = [each.exchanges[0].request.contents for each in talk.tracker.sas]
    assert [bool(contents) for contents in kept] == [True] * 2 + [False] * 7


def test_many_transforms_are_nobodys_choice():
    talk = Talk(keys()).see(init_request(), init_response(transforms=[(1, 20, 256)] * 200))
    assert talk.sa.chosen is None
    assert talk.see(init_response(nonce(bytes(20)))).sa.chosen is not None


def test_ikev1_is_named():
    main_mode = clear(2, (13, b"vendor"), version=0x10, initiator=False)
    talk = Talk(keys()).see(main_mode)
    assert readings(talk) == [Reading.CLEAR]
    assert talk.sa.exchanges[0].request.contents == (VendorId(b"vendor"),)
    hidden = main_mode[:19] + b"\x01" + main_mode[20:]
    talk.see(hidden)
    assert readings(talk) == [Reading.CLEAR, Reading.ENCRYPTED]
    assert [len(each.messages) for each in talk.sa.exchanges] == [1, 1]


MESSAGES = [
    init_request(),
    sealed(keys(), Exchange.IKE_AUTH, sa(AES_GCM_16, spi=b"\0\0\1\1"), mid=1),
    sealed(keys(), INFORMATIONAL, UPDATE, COOKIE2, mid=2),
    fragments(keys(), INFORMATIONAL, nonce(bytes(100)), mid=3)[0],
]


@given(st.sampled_from(MESSAGES), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 255))))
def test_only_drop_leaves_the_tracker(message, changes):
    octets = bytearray(message)
    for position, change in changes:
        octets[position % len(octets)] ^= change
    talk = Talk(keys()).init()
    with suppress(Drop):
        talk.see(bytes(octets))
    verified = sum(each.verified for each in talk.tracker.sas)
    if bytes(octets) != message:
        assert verified == 0
