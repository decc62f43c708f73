"""Whatever an attacker does with recorded octets, a binding moves only where X went.

An attacker who delivers a fresh RREQ before the original does is another story (`test_racing`);
all else may not move it: what was delivered, what is stale, what was changed, what was made up.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from terminals import (
    ELSEWHERE,
    HOME,
    NEW,
    OLD,
    PING,
    PONG,
    TO_OTHER,
    TRANSLATED,
    Pair,
    events,
    path_at_mobile,
    path_at_other,
)

from scapy_mobsec.terminal.events import (
    BindingMoved,
    MoveCause,
    Registered,
    RegistrationReceived,
)

SOURCES = {OLD: OLD, NEW: TRANSLATED}
"""Where X may be, and how Y sees it there."""

INDEX = st.integers(0, 1000)
MUTATIONS = st.tuples(INDEX, INDEX, st.integers(1, 255))


def mutated(data, position, change):
    position %= len(data)
    return data[:position] + bytes((data[position] ^ change,)) + data[position + 1 :]


class Attacked(RuleBasedStateMachine):
    """X, Y, a network that loses and reorders, and an attacker on it who sees every packet."""

    def __init__(self):
        super().__init__()
        self.pair = Pair()
        self.to_other = []  # under way: (attempt, octets, endpoint that Y will see)
        self.to_mobile = []
        self.delivered = []  # octets that Y has had
        self.moved_by = 0
        self.numbers = set()

    # what the honest do

    @rule(place=st.sampled_from(list(SOURCES)))
    def move(self, place):
        self.pair.mobile.move([place], self.pair.now)
        self.collect()

    @rule()
    def ping(self):
        self.pair.mobile.send(PING, self.pair.now)
        self.collect()

    @rule()
    def pong(self):
        self.pair.other.send(PONG, self.pair.now)
        self.collect()

    @rule(seconds=st.sampled_from([0.001, 0.6, 10.0, 2000.0, 4000.0]))
    def wait(self, seconds):
        self.pair.now += seconds
        self.pair.mobile.handle_timer(self.pair.now)
        self.pair.other.handle_timer(self.pair.now)
        self.collect()

    @precondition(lambda self: self.to_other)
    @rule(index=INDEX, lost=st.sampled_from([False, False, False, True]))
    def arrive_at_other(self, index, lost):
        attempt, data, source = self.to_other.pop(index % len(self.to_other))
        if lost:
            return
        self.pair.to_other(data, source)
        self.delivered.append(data)
        for event in self.other_events():
            if isinstance(event, BindingMoved):
                assert event.new.remote == source
                assert self.moved_by <= event.attempt <= attempt
                assert event.attempt == attempt or event.cause is MoveCause.RESPONSE
                self.moved_by = event.attempt
        self.collect()

    @precondition(lambda self: self.to_mobile)
    @rule(index=INDEX)
    def arrive_at_mobile(self, index):
        self.pair.to_mobile(self.to_mobile.pop(index % len(self.to_mobile)))
        self.collect()

    # what the attacker does; the binding must stay as it is

    @precondition(lambda self: self.delivered)
    @rule(index=INDEX)
    def replay(self, index):
        self.attack(self.delivered[index % len(self.delivered)])

    @precondition(lambda self: self.to_other)
    @rule(mutation=MUTATIONS)
    def mutate(self, mutation):
        index, position, change = mutation
        self.attack(mutated(self.to_other[index % len(self.to_other)][1], position, change))

    @rule(octets=st.binary(max_size=80))
    def forge(self, octets):
        self.attack(octets)
        self.attack(TO_OTHER.spi.to_bytes(4, "big") + (9999).to_bytes(4, "big") + octets)

    @precondition(lambda self: self.stale())
    @rule(index=INDEX)
    def deliver_what_is_stale(self, index):
        self.attack(self.stale()[index % len(self.stale())])

    @precondition(lambda self: self.to_mobile)
    @rule(index=INDEX)
    def reflect(self, index):
        self.attack(self.to_mobile[index % len(self.to_mobile)])

    @precondition(lambda self: self.delivered)
    @rule(index=INDEX)
    def reflect_to_mobile(self, index):
        path = self.pair.mobile.path
        self.pair.mobile.receive(
            self.delivered[index % len(self.delivered)], path_at_mobile(OLD), self.pair.now
        )
        assert self.pair.mobile.path == path

    def attack(self, octets):
        before = self.pair.other.path(HOME)
        self.pair.to_other(octets, ELSEWHERE)
        assert self.pair.other.path(HOME) == before
        kinds = {type(event) for event in self.other_events()}
        assert not kinds & {BindingMoved}
        self.collect()

    def stale(self):
        """RREQs under way, older than the attempt that set the path."""
        return [data for attempt, data, _ in self.to_other if attempt < self.moved_by]

    # what must always hold

    def other_events(self):
        return events(self.pair.other)

    def collect(self):
        mobile, other, now = self.pair.mobile, self.pair.other, self.pair.now
        for transmit in mobile.transmits(now):
            self.note_number(transmit.data)
            source = SOURCES[transmit.path.local]
            self.to_other.append((mobile.attempt, transmit.data, source))
        for transmit in other.transmits(now):
            self.note_number(transmit.data)
            self.to_mobile.append(transmit.data)
        mobile.received()
        other.received()
        events(mobile)

    def note_number(self, data):
        assert data[:8] not in self.numbers, "sequence number used twice"
        self.numbers.add(data[:8])

    @invariant()
    def the_attacker_gets_nothing(self):
        path = self.pair.other.path(HOME)
        assert path is None or path.remote in SOURCES.values()


Attacked.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAttacked = Attacked.TestCase


@pytest.fixture(scope="module")
def recording():
    """RREQ of attempt 2 and its RREP, both not delivered yet, after a registration."""

    def make():
        pair = Pair()
        pair.register(OLD)
        request = pair.move(NEW)
        twin = Pair()
        twin.register(OLD)
        twin.to_other(twin.move(NEW).data)
        events(pair.other)
        events(pair.mobile)
        return pair, request.data, twin.from_other().data

    return make


@settings(max_examples=200)
@given(position=st.integers(0, 1231), change=st.integers(1, 255))
def test_no_changed_octet_of_a_request_is_accepted(recording, position, change):
    pair, request, _ = recording()
    pair.to_other(mutated(request, position, change))
    assert pair.other.path(HOME) == path_at_other(OLD)
    assert not [event for event in events(pair.other) if isinstance(event, RegistrationReceived)]
    pair.to_other(request)  # the original still is
    assert pair.other.path(HOME) == path_at_other(TRANSLATED)


@settings(max_examples=200)
@given(position=st.integers(0, 300), change=st.integers(1, 255))
def test_no_changed_octet_of_a_reply_is_accepted(recording, position, change):
    pair, _, reply = recording()
    pair.to_mobile(mutated(reply, position, change))
    assert not [event for event in events(pair.mobile) if isinstance(event, Registered)]
    pair.to_mobile(reply)
    assert [event for event in events(pair.mobile) if isinstance(event, Registered)]


@settings(max_examples=100)
@given(message=st.binary(max_size=60), data=st.data())
def test_no_message_inside_esp_raises(message, data):
    """Not even from somebody who has the keys."""
    pair = Pair()
    pair.register()
    head = data.draw(st.sampled_from([b"", b"\x01\x20", b"\x03\x00"]))
    pair.give_message(head + message)
    pair.to_mobile(pair.as_other.seal_message(head + message))
    assert pair.other.path(HOME) == path_at_other(OLD)
    assert pair.mobile.path == path_at_mobile(OLD)
