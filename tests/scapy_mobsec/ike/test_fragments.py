import pytest
from ike import chain, clear, fragments, keys, notify

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.ike.fragments import MAX_MESSAGES, MAX_OCTETS, FragmentedMessages
from scapy_mobsec.ike.message import parse_message
from scapy_mobsec.ike.numbers import Exchange
from scapy_mobsec.ike.protection import Opened, Opener

ITEMS = [notify(40_960 + n, bytes(20)) for n in range(6)]


def header(mid=1, **fields):
    return parse_message(clear(Exchange.IKE_AUTH, mid=mid, **fields)).header


def part(number, total, octets=b"x", verified=True):
    return Opened(octets, 41 if number == 1 else 0, verified, number, total)


@pytest.mark.parametrize("turned", [False, True])
def test_fragments_in_any_order_make_the_message(turned):
    opener, waiting = Opener(keys(), None), FragmentedMessages()
    messages = [parse_message(each) for each in fragments(keys(), Exchange.IKE_AUTH, *ITEMS)]
    results = [
        waiting.add(message.header, opener.open(message))
        for message in (reversed(messages) if turned else messages)
    ]
    assert results[:-1] == [None] * (len(messages) - 1)
    first, octets = chain(ITEMS)
    assert results[-1] == Opened(octets, first, True, 1, len(messages))
    assert len(messages) == 5
    assert len(waiting) == 0


def test_what_is_whole_passes():
    whole = part(1, 1)
    assert FragmentedMessages().add(header(), whole) is whole


def test_a_repeated_fragment_counts_once():
    waiting = FragmentedMessages()
    assert waiting.add(header(), part(1, 2)) is None
    assert waiting.add(header(), part(1, 2)) is None
    assert waiting.add(header(), part(2, 2)).plaintext == b"xx"


def test_messages_are_told_by_id_direction_and_sender():
    waiting = FragmentedMessages()
    for fields in ({"mid": 2}, {"response": True}, {"initiator": False}):
        assert waiting.add(header(**fields), part(1, 2)) is None
    assert waiting.add(header(), part(2, 2)) is None
    assert len(waiting) == 4


def test_a_larger_total_begins_anew_and_a_smaller_one_is_ignored():
    waiting = FragmentedMessages()
    waiting.add(header(), part(1, 2, b"old"))
    assert waiting.add(header(), part(2, 3, b"2")) is None
    assert waiting.add(header(), part(2, 2, b"old")) is None
    assert waiting.add(header(), part(1, 2, b"old")) is None
    assert waiting.add(header(), part(1, 3, b"1")) is None
    assert waiting.add(header(), part(3, 3, b"3")).plaintext == b"123"


def test_one_unverified_fragment_makes_all_unverified():
    waiting = FragmentedMessages()
    waiting.add(header(), part(1, 2, verified=False))
    assert not waiting.add(header(), part(2, 2)).verified


def test_the_octets_of_a_message_are_bounded():
    waiting = FragmentedMessages()
    waiting.add(header(), part(1, 3, bytes(MAX_OCTETS)))
    with pytest.raises(Drop) as caught:
        waiting.add(header(), part(2, 3))
    assert caught.value.reason is DropReason.IKE_FRAGMENT_LIMIT
    assert len(waiting) == 0


def test_the_messages_that_wait_are_bounded():
    waiting = FragmentedMessages()
    for mid in range(20):
        waiting.add(header(mid), part(1, 2))
    assert len(waiting) == MAX_MESSAGES
    assert waiting.add(header(0), part(2, 2)) is None
    assert waiting.add(header(19), part(2, 2)) is not None
