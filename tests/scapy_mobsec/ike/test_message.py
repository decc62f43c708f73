from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ike import clear, header, keys, nonce, notify, sealed
from scapy.contrib.ikev2 import IKEv2, IKEv2_Nonce, IKEv2_Notify

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike.message import (
    HEADER,
    MAX_PAYLOADS,
    in_clear,
    parse_header,
    parse_message,
    split_payloads,
)
from scapy_mobsec.ike.numbers import Exchange, PayloadType
from scapy_mobsec.ike.protection import Opener

WHOLE = clear(Exchange.IKE_SA_INIT, nonce(bytes(32)), notify(16388, bytes(20)), mid=7)


def reason_of(octets):
    with pytest.raises(Drop) as caught:
        parse_message(octets)
    return caught.value.reason


def test_header_and_payloads_are_split_as_scapy_does():
    message, theirs = parse_message(WHOLE), IKEv2(WHOLE)
    assert message.header.initiator_spi == theirs.init_SPI
    assert message.header.message_id == theirs.id == 7
    assert message.header.from_initiator
    assert not message.header.is_response
    assert [each.type for each in message.payloads] == [PayloadType.NONCE, PayloadType.NOTIFY]
    assert message.payloads[0].body == theirs[IKEv2_Nonce].nonce
    assert message.payloads[1].body[4:] == theirs[IKEv2_Notify].notify


def test_octets_behind_the_length_are_ignored():
    assert parse_message(WHOLE + b"trailer").octets == WHOLE


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_a_truncated_message_is_malformed(length):
    assert reason_of(WHOLE[:length]) is DropReason.MALFORMED_IKE


@pytest.mark.parametrize(
    "octets",
    [
        header(0, 34, 0, version=0x30),
        header(0, 34, -1),
        header(0, 34, 4) + bytes(4),
        header(40, 34, 0),
        header(40, 34, 3) + bytes(3),
        header(40, 34, 4) + b"\0\0\0\3",
        header(40, 34, 4) + b"\0\0\0\5",
        header(40, 34, 8) + b"\0\0\0\0\0\0\0\0",
        header(41, 34, 4 * 257) + (b"\x29\0\0\4" * 256 + b"\0\0\0\4"),
    ],
)
def test_what_cannot_be_split_is_malformed(octets):
    assert reason_of(octets) is DropReason.MALFORMED_IKE


def test_payloads_are_bounded():
    chain = b"\x29\0\0\4" * (MAX_PAYLOADS - 1) + b"\0\0\0\4"
    assert len(split_payloads(chain, 0, 41)) == MAX_PAYLOADS


def test_critical_is_a_bit_of_its_own():
    (payload,) = split_payloads(b"\0\x80\0\4", 0, 200)
    assert payload.critical
    (payload,) = split_payloads(b"\0\x7f\0\4", 0, 200)
    assert not payload.critical


def test_ikev1_may_be_padded_and_encrypted_payloads_are_not_split():
    body = b"\0\0\0\5x" + bytes(3)
    padded = header(13, 2, len(body), version=0x10, initiator=False) + body
    assert [each.body for each in parse_message(padded).payloads] == [b"x"]
    assert reason_of(padded[:24] + (len(padded) + 1).to_bytes(4) + body + b"\0") is (
        DropReason.MALFORMED_IKE
    )
    hidden = HEADER.pack(b"i" * 8, b"r" * 8, 8, 0x10, 32, 1, 0, HEADER.size + 8) + b"\xff" * 8
    assert parse_message(hidden).payloads == ()


@pytest.mark.parametrize("before", [[], [notify(16388, bytes(20))]])
def test_in_clear_any_dissector_reads_what_was_encrypted(before):
    inside = [nonce(b"n" * 16), notify(16396)]
    opener = Opener(keys(), None)
    message = parse_message(sealed(keys(), Exchange.IKE_AUTH, *inside))
    if before:
        whole = clear(Exchange.IKE_AUTH, *before, (PayloadType.SK, bytes(40)))
        message = parse_message(whole)
        plaintext = parse_message(clear(34, *inside)).octets[HEADER.size :]
        octets = in_clear(message, plaintext, PayloadType.NONCE)
    else:
        opened = opener.open(message)
        octets = in_clear(message, opened.plaintext, opened.first_type)
    types = [each.type for each in parse_message(octets).payloads]
    assert types == [kind for kind, _ in (*before, *inside)]
    assert IKEv2(octets)[IKEv2_Nonce].nonce == b"n" * 16
    assert parse_header(octets).length == len(octets)


def test_a_message_in_clear_stays_as_it_is():
    assert in_clear(parse_message(WHOLE), b"", 0) == WHOLE


@given(st.binary(max_size=120), st.sampled_from([0x10, 0x20, 0x2F]))
def test_only_drop_leaves_the_parser(body, version):
    for octets in (body, header(33, 34, len(body), version=version) + body):
        with suppress(Drop):
            parse_message(octets)
