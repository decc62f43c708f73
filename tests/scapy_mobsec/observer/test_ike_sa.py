from dataclasses import replace

import pytest
from ike import (
    AES_GCM_16,
    ELSEWHERE,
    GATEWAY,
    IKE_GCM,
    MOBILE,
    NONCE_I,
    NONCE_R,
    SPI_I,
    SPI_R,
    Talk,
    clear,
    delete,
    identity,
    init_request,
    init_response,
    key_exchange,
    keys,
    nonce,
    notify,
    reply,
    sa,
    sealed,
    selectors,
)

import scapy_mobsec.observer.ike_sa as ike_sa_module
from scapy_mobsec.ike.child import KeySeed, derive_child_sa
from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.numbers import Exchange, NotifyType, PayloadType, Protocol
from scapy_mobsec.ike.payloads import parse_payload
from scapy_mobsec.observer.ike_messages import Reading

REKEY = notify(NotifyType.REKEY_SA, protocol=Protocol.ESP, spi=b"\0\0\2\2")
NEW = b"\0\0\3\3", b"\0\0\4\4"
AGAIN = nonce(b"I" * 32), nonce(b"R" * 32)


def proposal_of(spi):
    (payload,) = parse_message(clear(37, sa(AES_GCM_16, spi=spi))).payloads
    return parse_payload(payload).proposals[0]


def derived(spis, nonces):
    seed = KeySeed("hmac-sha2-256", keys().sk_d, *nonces)
    return list(derive_child_sa(seed, *map(proposal_of, spis)))


def test_the_child_sa_of_ike_auth_comes_from_the_nonces_of_ike_sa_init():
    talk = Talk(keys()).init().auth()
    assert talk.learnt == derived((b"\0\0\1\1", b"\0\0\2\2"), (NONCE_I, NONCE_R))
    (child,) = talk.sa.children
    assert (child.initiator_spi, child.responder_spi) == (b"\0\0\1\1", b"\0\0\2\2")
    assert (child.reason, child.replaces, child.transport_mode) == ("", None, False)
    assert talk.sa.child_spis == [(3, 0x101), (3, 0x202)]


def test_prf_and_integrity_are_told_by_ike_sa_init():
    talk = Talk(keys(prf=None)).init().auth()
    assert talk.sa.prf == "hmac-sha2-256"
    assert talk.sa.algorithms == ("aes-gcm-16", None)
    assert len(talk.learnt) == 2


@pytest.mark.parametrize("initiator", [True, False])
def test_a_child_sa_of_create_child_sa_comes_from_its_own_nonces(initiator):
    talk = Talk(keys()).init().auth()
    ours, theirs = (
        selectors(PayloadType.TSI, MOBILE if initiator else GATEWAY),
        selectors(PayloadType.TSR, GATEWAY if initiator else MOBILE),
    )
    asked = REKEY, sa(AES_GCM_16, spi=NEW[0]), AGAIN[0], ours, theirs
    answered = sa(AES_GCM_16, spi=NEW[1]), AGAIN[1], ours, theirs
    talk.exchange(Exchange.CREATE_CHILD_SA, asked, answered, initiator=initiator)
    assert talk.learnt[2:] == derived(NEW, (b"I" * 32, b"R" * 32))
    child = talk.sa.children[1]
    spis = child.initiator_spi, child.responder_spi
    assert spis == (NEW if initiator else NEW[::-1])
    assert child.replaces == b"\0\0\2\2"
    of_initiator, of_responder = child.selectors
    assert of_initiator.selectors[0].first == MOBILE.address
    assert of_responder.selectors[0].first == GATEWAY.address


def test_with_pfs_nothing_follows_and_it_says_so():
    talk = Talk(keys()).init().auth()
    asked = sa(AES_GCM_16, spi=NEW[0]), AGAIN[0], key_exchange()
    answered = sa(AES_GCM_16, spi=NEW[1]), AGAIN[1], key_exchange()
    talk.exchange(Exchange.CREATE_CHILD_SA, asked, answered)
    assert len(talk.learnt) == 2
    assert "Diffie-Hellman" in talk.sa.children[1].reason


def test_without_sk_d_nothing_follows_and_it_says_so():
    talk = Talk(keys(sk_d=None)).init().auth()
    assert talk.learnt == []
    assert "SK_d" in talk.sa.children[0].reason


def test_without_ike_sa_init_only_later_child_sas_follow():
    talk = Talk(keys()).auth()
    assert "IKE_SA_INIT" in talk.sa.children[0].reason
    asked, answered = (sa(AES_GCM_16, spi=NEW[0]), AGAIN[0]), (sa(AES_GCM_16, spi=NEW[1]), AGAIN[1])
    talk.exchange(Exchange.CREATE_CHILD_SA, asked, answered)
    assert [each.spi for each in talk.learnt] == [0x404, 0x303]
    untold = Talk(keys(prf=None)).exchange(Exchange.CREATE_CHILD_SA, asked, answered)
    assert "IKE_SA_INIT" in untold.sa.children[0].reason
    assert talk.sa.algorithms == ("aes-gcm-16", None)


def test_with_eap_the_answer_comes_exchanges_later():
    talk = Talk(keys()).init()
    talk.exchange(
        Exchange.IKE_AUTH, [sa(AES_GCM_16, spi=b"\0\0\1\1")], [(PayloadType.EAP, b"\1\1")], mid=1
    )
    talk.exchange(Exchange.IKE_AUTH, [(PayloadType.EAP, b"\2\1")], [], mid=2)
    assert talk.learnt == []
    talk.exchange(
        Exchange.IKE_AUTH, [(PayloadType.AUTH, bytes(36))], [sa(AES_GCM_16, spi=b"\0\0\2\2")], mid=3
    )
    assert talk.learnt == derived((b"\0\0\1\1", b"\0\0\2\2"), (NONCE_I, NONCE_R))


def test_a_proposal_that_was_not_offered_makes_no_child_sa():
    talk = Talk(keys()).init()
    kind, body = sa(AES_GCM_16, spi=b"\0\0\2\2")
    other = kind, body[:4] + b"\x05" + body[5:]
    talk.exchange(Exchange.IKE_AUTH, [sa(AES_GCM_16, spi=b"\0\0\1\1")], [other], mid=1)
    assert (talk.learnt, talk.sa.children) == ([], [])


def test_nobody_vouches_for_ike_sa_init_so_the_first_answer_stays():
    talk = Talk(keys()).see(init_request(), init_response())
    forged = sa([(1, 12, 128)], Protocol.IKE), nonce(b"F" * 32)
    talk.see(clear(Exchange.IKE_SA_INIT, *forged, response=True, initiator=False))
    talk.see(clear(Exchange.IKE_SA_INIT, *forged))
    talk.auth()
    assert talk.learnt == derived((b"\0\0\1\1", b"\0\0\2\2"), (NONCE_I, NONCE_R))


def test_a_cookie_is_no_answer_to_keep():
    cookie = notify(NotifyType.COOKIE, b"c" * 20)
    refused = clear(
        Exchange.IKE_SA_INIT, cookie, spis=(SPI_I, bytes(8)), response=True, initiator=False
    )
    again = clear(
        Exchange.IKE_SA_INIT,
        cookie,
        sa(IKE_GCM, Protocol.IKE),
        key_exchange(),
        nonce(NONCE_I),
        spis=(SPI_I, bytes(8)),
    )
    talk = Talk(keys()).see(init_request(), refused, again, init_response()).auth()
    assert len(talk.tracker.sas) == 1
    assert talk.sa.responder_spi == SPI_R
    assert len(talk.sa.exchanges) == 3
    assert talk.learnt == derived((b"\0\0\1\1", b"\0\0\2\2"), (NONCE_I, NONCE_R))


def test_answers_without_what_they_need_make_nothing():
    nothing = clear(Exchange.IKE_SA_INIT, nonce(NONCE_R), response=True, initiator=False)
    talk = Talk(keys()).see(init_request(), nothing)
    assert talk.sa.chosen is None
    refused = notify(NotifyType.NO_PROPOSAL_CHOSEN)
    talk.exchange(Exchange.CREATE_CHILD_SA, [sa(AES_GCM_16, spi=NEW[0]), AGAIN[0]], [refused])
    assert talk.sa.children == []


def test_an_offer_is_answered_once():
    talk = Talk(keys()).init().auth()
    talk.see(reply(keys(), Exchange.IKE_AUTH, sa(AES_GCM_16, spi=b"\0\0\2\2"), mid=2))
    assert len(talk.sa.children) == 1


def test_a_delete_names_the_spi_that_its_sender_receives_with():
    talk = Talk(keys()).init().auth()
    talk.exchange(37, [delete(Protocol.ESP, b"\0\0\2\2")], [])
    assert not talk.sa.children[0].deleted
    talk.exchange(37, [delete(Protocol.ESP, b"\0\0\2\2")], [], mid=0, initiator=False)
    assert talk.sa.children[0].deleted
    assert not talk.sa.deleted
    talk.exchange(37, [delete(Protocol.IKE)], [], mid=3)
    assert talk.sa.deleted


def test_transport_mode_is_what_both_agreed_to():
    transport = notify(NotifyType.USE_TRANSPORT_MODE)
    assert not Talk(keys()).init().auth(more=[transport]).sa.children[0].transport_mode
    both = Talk(keys()).init().auth(more=[transport], answer=[transport])
    assert both.sa.children[0].transport_mode


def test_mobike_is_what_both_support():
    mobike = notify(NotifyType.MOBIKE_SUPPORTED)
    assert not Talk(keys()).init().auth(more=[mobike]).sa.uses_mobike
    assert Talk(keys()).init().auth(more=[mobike], answer=[mobike]).sa.uses_mobike


def test_additional_addresses_are_those_told_last():
    one = notify(NotifyType.ADDITIONAL_IP4_ADDRESS, ELSEWHERE.address)
    six = notify(NotifyType.ADDITIONAL_IP6_ADDRESS, bytes(16))
    talk = Talk(keys()).init().auth(more=[one, six], answer=[one])
    addresses = talk.sa.addresses
    assert addresses == {True: (ELSEWHERE.address, bytes(16)), False: (ELSEWHERE.address,)}
    talk.exchange(37, [notify(NotifyType.NO_ADDITIONAL_ADDRESSES)], [])
    assert addresses == {True: (), False: (ELSEWHERE.address,)}
    talk.exchange(37, [notify(NotifyType.COOKIE2, bytes(8))], [], mid=3)
    assert addresses[False] == (ELSEWHERE.address,)


def test_identities_serve_to_find_what_was_hashed():
    talk = Talk(keys()).init().auth(more=[identity(GATEWAY.address, 1, initiator=False)])
    assert talk.sa.identities[False].data == GATEWAY.address
    assert GATEWAY.address in talk.sa.known_addresses()


def test_keys_that_do_not_serve_say_why():
    talk = Talk(keys(sk_ei=bytes(5), sk_er=bytes(5))).init().auth()
    assert "key of 5 octets" in talk.sa.problem
    assert talk.learnt == []


def test_an_integrity_that_nobody_tells_is_a_problem_until_ike_sa_init_is_seen():
    talk = Talk(keys("aes-cbc", "hmac-sha1-96", prf=None)).init()
    assert talk.sa.ready()
    bare = Talk(replace(keys("aes-cbc", "hmac-sha1-96"), integrity=None))
    bare.see(sealed(keys("aes-cbc", "hmac-sha1-96"), Exchange.INFORMATIONAL))
    assert "aes-cbc is not decrypted" in bare.sa.problem


@pytest.mark.parametrize("known", [True, False])
def test_an_integrity_told_by_ike_sa_init_serves_with_and_without_its_keys(known):
    whole = keys("aes-cbc", "hmac-sha1-96")
    secrets = {} if known else {"sk_ai": None, "sk_ar": None}
    talk = Talk(replace(whole, integrity=None, prf=None, **secrets))
    agreed = (1, 12, 256), (2, 2, None), (3, 2, None), (4, 31, None)
    talk.see(init_request(transforms=agreed), init_response(transforms=agreed))
    talk.see(sealed(whole, 37, notify(NotifyType.COOKIE2, bytes(8)), mid=1))
    assert talk.sa.algorithms == ("aes-cbc", "hmac-sha1-96")
    reading = talk.sa.exchanges[1].request.reading
    assert reading is (Reading.VERIFIED if known else Reading.UNVERIFIED)


def test_children_and_exchanges_under_way_are_bounded(monkeypatch):
    monkeypatch.setattr(ike_sa_module, "MAX_CHILDREN", 2)
    monkeypatch.setattr(ike_sa_module, "MAX_OPEN_EXCHANGES", 2)
    talk = Talk(keys()).init().auth()
    for mid in range(2, 6):
        spi = bytes((0, 0, 9, mid))
        side = sa(AES_GCM_16, spi=spi), AGAIN[0]
        talk.exchange(Exchange.CREATE_CHILD_SA, side, side, mid=mid)
    assert len(talk.sa.children) == 2
    assert len(talk.sa.under_way) == 2


def test_no_key_octets_show():
    talk = Talk(keys()).init().auth()
    text = repr(talk.sa)
    assert talk.sa.opener is not None
    for secret in (keys().sk_d, keys().sk_ei, NONCE_I):
        assert repr(secret)[2:20] not in text


def test_a_reply_alone_has_nothing_to_answer():
    talk = Talk(keys()).init()
    talk.see(reply(keys(), Exchange.IKE_AUTH, sa(AES_GCM_16, spi=b"\0\0\2\2"), mid=1))
    assert talk.sa.children == []
