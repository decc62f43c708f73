"""States and events of both roles, as data. Everything that affects transitions lives here.

A terminal changes its state only by `Machine.fire`. A missing entry is the error: a
`LocalProtocolError` where our own side caused the event, a named `Drop` where the peer did.
This file knows neither messages nor timers; it does not know which role it plays.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from scapy_mobsec.drops import Drop, DropReason


class LocalProtocolError(Exception):
    """The caller asked a terminal for something that its present state does not allow."""


class MobileState(Enum):
    """Where X stands; the value is the sentence a person reads."""

    DETACHED = "no path"
    REGISTERING = "waits for the reply to a new attempt"
    REGISTERED = "the other terminal uses the current path"
    REFRESHING = "registered, waits for the reply to a renewal"
    REFUSED = "the other terminal refused; waits before the next attempt"
    DEREGISTERING = "waits for the reply to its de-registration"


class MobileEvent(Enum):
    """What can happen to X."""

    MOVE = "another local endpoint"
    LOSE = "no usable local endpoint left"
    ACCEPTED = "reply with code 0"
    ELSEWHERE = "reply with code 0, but another path is the current one"
    STALE = "reply with code 133"
    REFUSED = "reply with another code"
    TIMEOUT = "no reply"
    RETRY = "time for another attempt"
    RESTART = "the current path failed, or its translation changed"
    REFRESH = "half of the lifetime is over"
    DEREGISTER = "the user ends the registration"


class OtherState(Enum):
    """Where one binding at Y stands."""

    UNBOUND = "not registered"
    BOUND = "registered, with a current path"
    SUSPENDED = "registered, current path lost, data waits"
    EXPIRED = "lifetime over, no current path"

    __hash__ = object.__hash__  # members are singletons; the one of Enum is not in C


class OtherEvent(Enum):
    """What can happen to a binding at Y."""

    MOVE = "request that sets the current path"
    RENEW = "request of the attempt that set the current path"
    CHOOSE = "path that has proved itself becomes the current one"
    SUSPEND = "current path failed or closed, and no other has proved itself"
    DEREGISTER = "request with lifetime 0"
    EXPIRE = "lifetime over"

    __hash__ = object.__hash__


State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)
Table = Mapping[State, Mapping[Event, State]]

MOBILE: Table[MobileState, MobileEvent] = {
    MobileState.DETACHED: {
        MobileEvent.MOVE: MobileState.REGISTERING,
        MobileEvent.LOSE: MobileState.DETACHED,
    },
    MobileState.REGISTERING: {
        MobileEvent.MOVE: MobileState.REGISTERING,
        MobileEvent.LOSE: MobileState.DETACHED,
        MobileEvent.ACCEPTED: MobileState.REGISTERED,
        MobileEvent.ELSEWHERE: MobileState.REGISTERING,
        MobileEvent.STALE: MobileState.REGISTERING,
        MobileEvent.REFUSED: MobileState.REFUSED,
        MobileEvent.TIMEOUT: MobileState.REGISTERING,
        MobileEvent.RESTART: MobileState.REGISTERING,
        MobileEvent.DEREGISTER: MobileState.DEREGISTERING,
    },
    MobileState.REGISTERED: {
        MobileEvent.MOVE: MobileState.REGISTERING,
        MobileEvent.LOSE: MobileState.DETACHED,
        MobileEvent.REFRESH: MobileState.REFRESHING,
        MobileEvent.ELSEWHERE: MobileState.REGISTERING,
        MobileEvent.STALE: MobileState.REGISTERING,
        MobileEvent.TIMEOUT: MobileState.REGISTERING,
        MobileEvent.RESTART: MobileState.REGISTERING,
        MobileEvent.DEREGISTER: MobileState.DEREGISTERING,
    },
    MobileState.REFRESHING: {
        MobileEvent.MOVE: MobileState.REGISTERING,
        MobileEvent.LOSE: MobileState.DETACHED,
        MobileEvent.ACCEPTED: MobileState.REGISTERED,
        MobileEvent.ELSEWHERE: MobileState.REGISTERING,
        MobileEvent.STALE: MobileState.REGISTERING,
        MobileEvent.REFUSED: MobileState.REFUSED,
        MobileEvent.TIMEOUT: MobileState.REGISTERING,
        MobileEvent.RESTART: MobileState.REGISTERING,
        MobileEvent.DEREGISTER: MobileState.DEREGISTERING,
    },
    MobileState.REFUSED: {
        MobileEvent.MOVE: MobileState.REGISTERING,
        MobileEvent.LOSE: MobileState.DETACHED,
        MobileEvent.RETRY: MobileState.REGISTERING,
        MobileEvent.DEREGISTER: MobileState.DEREGISTERING,
    },
    MobileState.DEREGISTERING: {
        MobileEvent.MOVE: MobileState.REGISTERING,
        MobileEvent.LOSE: MobileState.DETACHED,
        MobileEvent.ACCEPTED: MobileState.DETACHED,
        MobileEvent.STALE: MobileState.DEREGISTERING,
        MobileEvent.REFUSED: MobileState.DETACHED,
        MobileEvent.TIMEOUT: MobileState.DETACHED,
    },
}

OTHER: Table[OtherState, OtherEvent] = {
    OtherState.UNBOUND: {
        OtherEvent.MOVE: OtherState.BOUND,
        OtherEvent.DEREGISTER: OtherState.UNBOUND,
    },
    OtherState.BOUND: {
        OtherEvent.MOVE: OtherState.BOUND,
        OtherEvent.RENEW: OtherState.BOUND,
        OtherEvent.CHOOSE: OtherState.BOUND,
        OtherEvent.SUSPEND: OtherState.SUSPENDED,
        OtherEvent.DEREGISTER: OtherState.UNBOUND,
        OtherEvent.EXPIRE: OtherState.EXPIRED,
    },
    OtherState.SUSPENDED: {
        OtherEvent.MOVE: OtherState.BOUND,
        OtherEvent.CHOOSE: OtherState.BOUND,
        OtherEvent.DEREGISTER: OtherState.UNBOUND,
        OtherEvent.EXPIRE: OtherState.EXPIRED,
    },
    OtherState.EXPIRED: {
        OtherEvent.MOVE: OtherState.BOUND,
        OtherEvent.CHOOSE: OtherState.BOUND,
        OtherEvent.DEREGISTER: OtherState.UNBOUND,
    },
}

CAUSED_BY_PEER: frozenset[Enum] = frozenset(
    {
        MobileEvent.ACCEPTED,
        MobileEvent.ELSEWHERE,
        MobileEvent.STALE,
        MobileEvent.REFUSED,
        OtherEvent.MOVE,
        OtherEvent.RENEW,
        OtherEvent.CHOOSE,
        OtherEvent.DEREGISTER,
    }
)
"""Events that a message brings about: out of place, they are a drop and not our own fault."""


class Machine(Generic[State, Event]):
    """One state that moves along one table."""

    __slots__ = ("_table", "state")

    def __init__(self, table: Table[State, Event], state: State) -> None:
        self._table = table
        self.state = state
        """Where it stands; `fire` alone changes it."""

    def check(self, event: Event) -> State:
        """Return the state that `event` would lead to.

        Raises Drop(UNEXPECTED_MESSAGE) or LocalProtocolError where the table has no entry.
        """
        state = self._table[self.state].get(event)
        if state is not None:
            return state
        detail = f"{event.value}, while: {self.state.value}"
        if event in CAUSED_BY_PEER:
            raise Drop(DropReason.UNEXPECTED_MESSAGE, detail)
        raise LocalProtocolError(detail)

    def fire(self, event: Event) -> State:
        """Go where `event` leads, and return that state. Raises as `check` does."""
        self.state = self.check(event)
        return self.state
