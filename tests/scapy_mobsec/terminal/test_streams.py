"""What waits for a stream is bounded, and keeps its order."""

import pytest

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.terminal.streams import MAX_WAITING, WaitingData


def test_in_order_and_once():
    waiting = WaitingData()
    waiting.add(b"1")
    waiting.add(b"2")
    assert waiting.take() == [b"1", b"2"]
    assert waiting.take() == []


def test_not_more_than_64_packets():
    waiting = WaitingData()
    for number in range(MAX_WAITING):
        waiting.add(bytes((number,)))
    with pytest.raises(Drop) as caught:
        waiting.add(b"more")
    assert caught.value.reason is DropReason.QUEUE_FULL
    assert len(waiting.take()) == MAX_WAITING == 64
