"""What waits for a stream is bounded in number and time, and keeps its order."""

import pytest

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.terminal.streams import LONGEST_WAIT, MAX_WAITING, WaitingData


def test_in_order_and_once():
    waiting = WaitingData()
    waiting.add(b"1", 0.0)
    waiting.add(b"2", 0.0)
    assert waiting.take() == [b"1", b"2"]
    assert waiting.take() == []


def test_not_more_than_64_packets():
    waiting = WaitingData()
    for number in range(MAX_WAITING):
        waiting.add(bytes((number,)), 0.0)
    with pytest.raises(Drop) as caught:
        waiting.add(b"more", 0.0)
    assert caught.value.reason is DropReason.QUEUE_FULL
    assert len(waiting.take()) == MAX_WAITING == 64


def test_not_longer_than_100_ms():
    waiting = WaitingData()
    assert waiting.due is None
    waiting.add(b"1", 0.0)
    waiting.add(b"2", 0.05)
    assert waiting.due == LONGEST_WAIT == 0.1
    assert waiting.expired(0.09) == []
    assert waiting.expired(0.1) == [b"1"]
    assert waiting.take() == [b"2"]
    assert waiting.due is None
