"""Numbers over a restart: when X skips some, and how it goes on from a snapshot."""

from dataclasses import replace

import pytest
from scripted import Script
from terminals import PING, PONG, START, TO_OTHER

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.sa import OutboundSa
from scapy_mobsec.terminal.counters import SKIPPED_NUMBERS, MobileSnapshot, SkipLimit
from scapy_mobsec.terminal.events import NumbersSkipped, PacketDropped


def numbers(script):
    return [int.from_bytes(out.data[4:8], "big") for out in script.outs]


def test_numbers_are_skipped_at_the_second_unanswered_retransmission_once():
    script = Script()
    script.move()
    script.wait(40)  # the next attempt has begun
    assert numbers(script)[:4] == [1, 2, 131_075, 131_076]
    assert numbers(script)[-1] < 131_090
    assert script.events(NumbersSkipped) == [NumbersSkipped(SKIPPED_NUMBERS)]
    script.wait(3600)
    assert script.events(NumbersSkipped) == [NumbersSkipped(SKIPPED_NUMBERS)]


def test_not_while_the_peer_is_heard():
    script = Script()
    script.move()
    script.wait(0.6)
    script.give_data(PONG, script.mobile.path)
    script.wait(20)
    assert script.events(NumbersSkipped) == []


def test_once_again_after_the_peer_was_heard():
    limit = SkipLimit()
    assert not limit.may_skip(2, 0.0, 0.5)
    assert limit.may_skip(3, 0.0, 1.5)
    assert not limit.may_skip(3, 32.0, 33.0)
    limit.hear(40.0)
    assert not limit.may_skip(3, 39.0, 41.0)
    assert limit.may_skip(3, 50.0, 52.0)
    assert limit.may_skip(3, 3651.0, 3652.0)


def test_no_number_is_skipped_beyond_the_last_one():
    sa = OutboundSa(TO_OTHER, random_bytes=bytes, last_sequence=100)
    assert not sa.skip(100)
    assert sa.skip(99)
    assert sa.next_sequence == 100
    sa.seal(b"", 59)


def test_a_terminal_goes_on_from_a_snapshot():
    script = Script()
    script.move()
    script.reply(script.last())
    script.send(PING)
    snapshot = script.mobile.snapshot()
    assert snapshot.next_sequence == 3
    again = Script(snapshot=snapshot)
    again.link = script.link
    again.now = START - 1000  # the clock was set back
    again.move()
    before, after = script.last().request, again.last().request
    assert after.attempt.number == before.attempt.number + 1
    assert after.identification > before.identification
    assert numbers(again) == [3]
    again.give_data(PONG, again.mobile.path)  # its number may have been used before
    assert [event.reason for event in again.events(PacketDropped)] == [DropReason.TOO_OLD]
    again.link.outbound.skip(65_536)
    again.give_data(PONG, again.mobile.path)
    assert again.mobile.received() == [PONG]


def test_a_snapshot_beyond_the_last_number_is_refused():
    snapshot = replace(Script().mobile.snapshot(), next_sequence=2**32 + 1)
    with pytest.raises(ValueError, match="sequence number"):
        Script(snapshot=snapshot)
    assert isinstance(snapshot, MobileSnapshot)
