"""Numbers over a restart: when X skips some, and how it goes on from a snapshot."""

from dataclasses import replace
from itertools import pairwise

import pytest
from scripted import NATIVE, PROBE, UDP, USE, Script
from terminals import AH_LINKS, AH_TO_MOBILE, NEW, OLD, PING, PONG, START, TO_OTHER, drops, events

from scapy_mobsec.drops import DropReason
from scapy_mobsec.esp.ah import OutboundAh
from scapy_mobsec.esp.sa import OutboundSa
from scapy_mobsec.terminal.counters import (
    CEILING_AHEAD,
    RESERVED_ATTEMPTS,
    RESERVED_NUMBERS,
    SKIPPED_NUMBERS,
    AhNumbers,
    RepeatedChallenge,
    Reservation,
    SkipLimit,
    UnansweredReplies,
)
from scapy_mobsec.terminal.events import NumbersSkipped, PacketDropped


def numbers(script):
    return [int.from_bytes(out.data[4:8], "big") for out in script.outs]


def test_numbers_are_skipped_at_the_second_unanswered_retransmission_then_rarely():
    script = Script()
    script.move()
    script.wait(31)
    assert numbers(script)[:4] == [1, 2, 131_075, 131_076]
    assert numbers(script)[-1] < 131_090
    assert script.events(NumbersSkipped) == [NumbersSkipped(SKIPPED_NUMBERS)]
    script.wait(3600)  # 112 attempts later
    assert len(script.events(NumbersSkipped)) == 6


def test_data_is_no_answer():
    """A restarted Y sends, and refuses what comes."""
    script = Script()
    script.move()
    script.wait(0.6)
    script.give_data(PONG, script.mobile.path)
    script.wait(20)
    assert script.events(NumbersSkipped) == [NumbersSkipped(SKIPPED_NUMBERS)]


def test_not_where_an_answer_cannot_be_there_yet():
    """The three transmissions of a keepalive PROBE leave within a second."""
    script = Script(keepalive=20)
    script.move()
    script.wait(1.2)
    script.reply(script.last())
    script.wait(61.2)
    sent = [line.partition(" ")[2] for line in script.took()]
    assert sent[-3:] == ["udp RREQ #1 1/1 PROBE"] * 3
    script.reply(script.last(), flags=USE | PROBE)
    script.wait(50)
    assert script.events(NumbersSkipped) == []


@pytest.mark.parametrize("registered", [True, False])
def test_who_leaves_does_not_ask_whether_the_numbers_were_taken(registered):
    script = Script()
    script.move()
    first = script.last()
    script.reply(first)
    script.wait(1)
    if not registered:
        script.mobile.deregister(script.now)
        script.collect()
    script.took()
    for _ in range(3):
        script.reply(first, challenge=bytes(8))
        script.wait(0.3)
    assert script.events(NumbersSkipped) == [NumbersSkipped(SKIPPED_NUMBERS)]
    assert any("PROBE" in line for line in script.took()) is registered
    script.wait(60)


def test_not_where_another_way_was_answered():
    script = Script(NATIVE, UDP)
    script.move()
    script.wait(0.6)
    script.reply(script.last(UDP))
    script.wait(20)
    assert script.events(NumbersSkipped) == []


def test_replies_without_response():
    replies = UnansweredReplies()
    parallel = [replies.may_skip(now) for now in (1.0, 1.05, 1.1, 1.15)]
    assert parallel == [False] * 4
    assert [replies.may_skip(now) for now in (1.5, 2.0, 3.0)] == [True, False, False]
    replies.begin()
    assert not any(replies.may_skip(now) for now in (30.0, 30.5, 31.0))  # 30 s have not passed
    replies.hear(42.0)
    replies.begin()
    assert [replies.may_skip(now) for now in (43.0, 43.5, 44.0)] == [False, False, True]
    replies.begin()
    assert [replies.may_skip(now) for now in (3700.0, 3700.5, 3701.0)] == [False, False, True]


def test_an_attempt_with_a_response_skips_nothing():
    """Else an attacker whose place is challenged in vain uses up what a restart of X needs."""
    replies = UnansweredReplies()
    replies.hear(1.0)
    assert not any(replies.may_skip(now) for now in (2.0, 2.5, 3.0, 4.0))


def test_what_is_reserved():
    """65,536 numbers ahead, renewed 16,384 before the last of them."""
    reservation = Reservation(1, ((7, 0),))
    assert reservation.sent(2)
    assert reservation.next_sequence == 65_538
    assert not reservation.sent(49_154)
    assert reservation.sent(49_155)
    assert reservation.received(7, 1)
    assert reservation.ceilings == ((7, 65_537),)
    assert not reservation.received(7, 49_153)
    assert reservation.received(7, 49_154)
    assert reservation.received(7, 2**64 - 1)
    assert reservation.ceilings == ((7, 2**64 - 1),)


def test_answers_to_one_challenge_are_counted():
    challenges = RepeatedChallenge()
    told = [challenges.answered(octets, at) for octets, at in ((b"1", 5), (b"1", 6), (b"2", 7))]
    assert told == [(1, 5), (2, 5), (1, 7)]


def test_once_again_after_the_peer_was_heard():
    limit = SkipLimit()
    assert not limit.may_skip(2, 0.0, 0.5)
    assert limit.may_skip(3, 0.0, 1.5)
    assert not limit.may_skip(3, 30.0, 31.0)
    limit.hear(40.0)
    assert not limit.may_skip(3, 39.0, 41.0)
    assert limit.may_skip(3, 50.0, 52.0)


def test_numbers_skipped_in_vain_are_skipped_again_ever_more_rarely():
    """30 s later, then twice as long, up to an hour."""
    limit = SkipLimit()
    times = [now for now in range(12_000) if limit.may_skip(3, now, now)]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_skip_that_was_not_due_comes_with_a_later_transmission():
    limit = SkipLimit()
    assert limit.may_skip(3, 0.0, 1.5)
    told = [limit.may_skip(count, 29.0, now) for count, now in ((3, 30.5), (4, 32.5), (5, 36.5))]
    assert told == [False, True, False]


def test_refusals_go_on_to_count():
    """All that Y may have to send to a restarted X with lost counters; no attempt begins."""
    replies = UnansweredReplies()
    times = [now for now in range(100) if replies.may_skip(now, refuses=True)]
    assert times == [2, 32, 92]


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
    assert snapshot.next_sequence == 2 + RESERVED_NUMBERS
    assert script.mobile.snapshot_due is None
    again = Script(snapshot=snapshot)
    again.link = script.link
    again.now = START - 1000  # the clock was set back
    again.move()
    before, after = script.last().request, again.last().request
    assert after.attempt.number == before.attempt.number + RESERVED_ATTEMPTS + 1
    assert after.identification > before.identification
    assert numbers(again) == [2 + RESERVED_NUMBERS]
    again.give_data(PONG, again.mobile.path)  # its number may have been used before
    assert [event.reason for event in again.events(PacketDropped)] == [DropReason.TOO_OLD]
    again.link.outbound.skip(65_536)
    again.give_data(PONG, again.mobile.path)
    assert again.mobile.received() == [PONG]


def test_a_snapshot_beyond_the_last_number_is_refused():
    snapshot = replace(Script().mobile.snapshot(), next_sequence=2**32 + 1)
    with pytest.raises(ValueError, match="sequence number"):
        Script(snapshot=snapshot)
    with pytest.raises(ValueError, match="sequence number"):
        Script(snapshot=replace(snapshot, next_sequence=0))


def test_a_snapshot_without_an_inbound_sa_is_refused():
    snapshot = replace(Script().mobile.snapshot(), ceilings=((99, 5),))
    with pytest.raises(ValueError, match="ceiling"):
        Script(snapshot=snapshot)


def test_a_snapshot_is_due_before_the_first_packet_leaves_and_after_16_attempts():
    script = Script()
    assert script.mobile.snapshot_due is None
    due = []
    for _ in range(40):
        script.mobile.move((NEW,), script.now)
        due.append(script.mobile.snapshot_due)
        saved = script.mobile.snapshot()
        assert saved.attempt >= script.mobile.attempt
        script.collect()
    assert [index for index, each in enumerate(due) if each == 0] == [0, 17, 34]


def test_ah_has_numbers_of_its_own():
    script = Script(link=AH_LINKS[0])
    script.mobile.move([OLD], START)
    path = script.mobile.path
    answers = OutboundAh(AH_TO_MOBILE)
    ends = path.remote.address, path.local.address
    script.mobile.receive(answers.seal(PONG, 4, *ends), path, START)
    assert script.mobile.snapshot_due == 0
    snapshot = script.mobile.snapshot()
    assert (snapshot.next_sequence, snapshot.ceilings) == (1, ((AH_TO_MOBILE.spi, 0),))
    assert snapshot.ah == AhNumbers(2 + RESERVED_NUMBERS, ((AH_TO_MOBILE.spi, 1 + CEILING_AHEAD),))
    again = Script(link=AH_LINKS[0], snapshot=snapshot).mobile
    assert again._link.outbound_ah.next_sequence == snapshot.ah.next_sequence
    assert again.snapshot().ah == snapshot.ah
    again.receive(answers.seal(PONG, 4, *ends), path, START)
    assert drops(again) == [DropReason.TOO_OLD]
    beyond = AhNumbers(2**32 + 1, snapshot.ah.ceilings)
    for ah, message in ((beyond, "sequence number"), (None, "ceiling")):
        with pytest.raises(ValueError, match=message):
            Script(link=AH_LINKS[0], snapshot=replace(snapshot, ah=ah))


def test_numbers_are_skipped_on_all_sas():
    mobile = Script(link=AH_LINKS[0]).mobile
    mobile.move([OLD], START)
    while not (skipped := [each for each in events(mobile) if isinstance(each, NumbersSkipped)]):
        mobile.handle_timer(mobile.timer())
    assert skipped == [NumbersSkipped(SKIPPED_NUMBERS)]
    link = mobile._link
    assert min(link.outbound.next_sequence, link.outbound_ah.next_sequence) > SKIPPED_NUMBERS
