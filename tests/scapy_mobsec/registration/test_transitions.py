"""The transition tables: whole, connected, and strict about what is missing."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest

from scapy_mobsec.drops import Drop, DropReason
from scapy_mobsec.registration.transitions import (
    CAUSED_BY_PEER,
    MOBILE,
    OTHER,
    LocalProtocolError,
    Machine,
    MobileEvent,
    MobileState,
    OtherEvent,
    OtherState,
)

ROLES = [
    (MOBILE, MobileState, MobileEvent, MobileState.DETACHED),
    (OTHER, OtherState, OtherEvent, OtherState.UNBOUND),
]
roles = pytest.mark.parametrize(("table", "states", "events", "start"), ROLES)


@roles
def test_every_state_has_a_row_and_is_reached(
    table: Mapping[Any, Mapping[Any, Any]], states: type[Enum], events: type[Enum], start: Enum
) -> None:
    assert set(table) == set(states)
    assert {event for row in table.values() for event in row} == set(events)
    reached, todo = {start}, [start]
    while todo:
        for state in table[todo.pop()].values():
            if state not in reached:
                reached.add(state)
                todo.append(state)
    assert reached == set(states)


@roles
def test_a_missing_entry_is_the_error(
    table: Mapping[Any, Mapping[Any, Any]], states: type[Enum], events: type[Enum], start: Enum
) -> None:
    for state in states:
        for event in events:
            machine = Machine(table, state)
            if event in table[state]:
                assert machine.fire(event) is table[state][event] is machine.state
            elif event in CAUSED_BY_PEER:
                with pytest.raises(Drop) as caught:
                    machine.fire(event)
                assert caught.value.reason is DropReason.UNEXPECTED_MESSAGE
                assert machine.state is state
            else:
                with pytest.raises(LocalProtocolError):
                    machine.fire(event)
                assert machine.state is state


def test_check_moves_nothing() -> None:
    machine = Machine(MOBILE, MobileState.DETACHED)
    assert machine.check(MobileEvent.MOVE) is MobileState.REGISTERING
    assert machine.state is MobileState.DETACHED


def test_the_mobile_terminal_can_always_move_and_lose_its_endpoints() -> None:
    for row in MOBILE.values():
        assert row[MobileEvent.MOVE] is MobileState.REGISTERING
        assert row[MobileEvent.LOSE] is MobileState.DETACHED


def test_a_deregistered_binding_is_not_renewed() -> None:
    """Rule 2(a): after de-registration only a newer attempt sets a path again."""
    assert OtherEvent.RENEW not in OTHER[OtherState.UNBOUND]
