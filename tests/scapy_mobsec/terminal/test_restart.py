"""What Y knows after a restart: each field of a snapshot, and what is not in it."""

from dataclasses import replace

import pytest
from terminals import (
    HOME,
    OLD,
    OTHER_LINK,
    PING,
    PONG,
    TRANSLATED,
    Pair,
    a_request,
    drops,
    events,
    path_at_other,
    with_attempt,
)

from contrib_layers.numbers import ReplyCode
from scapy_mobsec.drops import DropReason
from scapy_mobsec.packet.path import Encapsulation, Path
from scapy_mobsec.registration.messages import parse_reply
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.bound_link import BoundLink
from scapy_mobsec.terminal.config import OtherConfiguration
from scapy_mobsec.terminal.counters import COMMITTED_WITHIN, SKIPPED_NUMBERS
from scapy_mobsec.terminal.events import BindingEnded, NumbersSkipped
from scapy_mobsec.terminal.exchange import Purpose
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.restart import restore, take_snapshot


def restarted(pair, **changes):
    """Let Y go on from its snapshot."""
    (snapshot,) = pair.other.snapshots()
    pair.other = OtherTerminal(
        OtherConfiguration((OTHER_LINK,)),
        random_bytes=pair.random.randbytes,
        snapshots=[replace(snapshot, **changes)],
    )
    return pair.other


def test_a_snapshot_of_a_snapshot_is_the_same():
    pair = Pair()
    pair.register()
    (snapshot,) = pair.other.snapshots()
    link = BoundLink(OTHER_LINK, bytes)
    restore(link, snapshot)
    assert take_snapshot(link) == snapshot
    assert (snapshot.path, snapshot.validated) == (path_at_other(OLD), True)


def test_when_a_snapshot_is_due():
    pair = Pair()
    assert pair.other.snapshot_due is None
    pair.register()
    assert pair.other.snapshot_due == 0  # numbers
    assert len(pair.other.snapshots()) == 1
    assert pair.other.snapshot_due is None
    assert pair.other.snapshots() == ()
    pair.other.send(PONG, pair.now)
    assert pair.other.snapshot_due is None
    pair.now += 1
    pair.request(TRANSLATED, **with_attempt(2))
    assert pair.other.snapshot_due == pair.now + COMMITTED_WITHIN
    assert len(pair.other.snapshots()) == 1


def test_a_request_that_was_seen_before_the_restart_is_stale():
    pair = Pair()
    pair.register()
    last = a_request(pair.now + 1).identification
    pair.request(**with_attempt(2), identification=last)
    other = restarted(pair)
    pair.as_mobile.outbound.skip(SKIPPED_NUMBERS)
    for attempt, identification in ((1, last + 9), (2, last), (2, last - 1), (3, last)):
        (reply,) = pair.request(**with_attempt(attempt), identification=identification)
        assert parse_reply(pair.read_reply(reply)).code == ReplyCode.IDENTIFICATION_MISMATCH
    assert len(drops(other)) == 4
    assert other.path(HOME) == path_at_other(TRANSLATED)


def test_the_third_reply_without_response_skips_numbers():
    pair = Pair()
    pair.to_other(pair.move().data)
    pair.from_other()
    skipped = []
    for seconds in (0.5, 1.0, 2.0):
        pair.other.handle_timer(pair.now + seconds)
        skipped += [one for one in events(pair.other) if isinstance(one, NumbersSkipped)]
        numbers = [out.data[4:8] for out in pair.other.transmits(pair.now)]
        assert (int.from_bytes(numbers[0]) > SKIPPED_NUMBERS) is (seconds > 0.5)
    assert skipped == [NumbersSkipped(SKIPPED_NUMBERS)]


def test_a_path_that_proved_itself_is_heard():
    pair = Pair()
    pair.register()
    for _ in range(9):
        pair.now += 60
        pair.mobile._begin(Purpose.KEEPALIVE, pair.mobile.path, pair.now)
        pair.to_other(pair.from_mobile().data, OLD)
        pair.to_mobile(pair.from_other().data)
    assert not [one for one in events(pair.other) if isinstance(one, NumbersSkipped)]


def test_a_refusal_that_is_not_heard_counts_too():
    pair = Pair()
    pair.register()
    events(pair.other)
    for _ in range(3):
        pair.now += 0.5
        pair.request(OLD, **with_attempt(0))
    assert NumbersSkipped(SKIPPED_NUMBERS) in events(pair.other)


def test_a_lifetime_goes_on():
    pair = Pair()
    pair.register()
    other = restarted(pair)
    events(other)
    other.handle_timer(pair.now + 3500)
    assert other.state(HOME) is OtherState.BOUND
    other.handle_timer(pair.now + 3600)
    assert other.state(HOME) is OtherState.EXPIRED
    assert [type(event) for event in events(other)] == [BindingEnded]
    (snapshot,) = other.snapshots()
    assert (snapshot.path, snapshot.expires) == (None, None)


def test_a_path_that_did_not_prove_itself_gets_a_challenge_and_no_data_yet():
    pair = Pair()
    pair.register()
    other = restarted(pair, validated=False)
    for count in (1, 0):
        other.send(PONG, pair.now)
        assert len(sent := other.transmits(pair.now)) == count
        assert all(parse_reply(pair.read_reply(each)).challenge for each in sent)
    assert other.path(HOME) == path_at_other(OLD)


@pytest.mark.parametrize("changed", [False, True], ids=["too low", "another ICV"])
def test_what_is_refused_after_the_restart_has_the_kept_path_challenged(changed):
    pair = Pair()
    pair.register()
    other = restarted(pair)
    data = pair.mobile._link.seal_data(PING)
    if changed:
        data = (1 << 20).to_bytes(4).join((data[:4], data[8:]))
    for place, challenges in ((TRANSLATED, 0), (OLD, 1), (OLD, 0)):
        pair.to_other(data, place)
        assert len(sent := other.transmits(pair.now)) == challenges
        assert all(each.path == path_at_other(OLD) for each in sent)
    for _ in range(4):
        pair.now = other.timer()
        other.handle_timer(pair.now)
    assert other.path(HOME) == path_at_other(OLD)  # it did prove itself before
    assert other.timer() > pair.now + 60


def test_a_path_that_did_not_prove_itself_is_challenged_too_and_then_suspended():
    pair = Pair()
    pair.register()
    other = restarted(pair, validated=False)
    pair.to_other(pair.mobile._link.seal_data(PING), OLD)
    assert len(other.transmits(pair.now)) == 1
    for _ in range(4):
        pair.now = other.timer()
        other.handle_timer(pair.now)
    assert other.state(HOME) is OtherState.SUSPENDED


def test_nor_once_something_was_accepted():
    pair = Pair()
    pair.register()
    data = pair.mobile._link.seal_data(PING)
    other = restarted(pair)
    pair.as_mobile.outbound.skip(SKIPPED_NUMBERS)
    pair.to_other(pair.as_mobile.seal_data(PING), OLD)
    pair.to_other(data, OLD)
    assert other.transmits(pair.now) == []


def test_a_stream_is_gone_and_data_waits():
    pair = Pair()
    pair.register()
    path = Path(Encapsulation.TCP, path_at_other(OLD).local, OLD)
    other = restarted(pair, path=path)
    assert other.state(HOME) is OtherState.SUSPENDED
    other.send(PONG, pair.now)
    assert drops(other) == []
    pair.mobile._link.outbound.skip(SKIPPED_NUMBERS)
    pair.to_other(pair.move().data)
    assert len(other.transmits(pair.now)) == 2  # the RREP, and what waited


def test_snapshots_of_other_sas_are_refused():
    pair = Pair()
    pair.register()
    with pytest.raises(ValueError, match="ceiling"):
        restarted(pair, ceilings=())


def test_what_was_received_is_refused():
    pair = Pair()
    request = pair.move()
    pair.to_other(request.data)
    other = restarted(pair)
    pair.to_other(request.data)
    assert drops(other) == [DropReason.TOO_OLD]
